/**
 * The transport on uWebSockets.js 20 (glibc, Node 18 to 22). What it is like, as far as this file depends on it:
 *
 * - A connection is seen when it comes (`filter`), then as a response, then as a socket, and nothing says
 *   which of these are one. So the three hand on who is counted, not a connection: whichever of them
 *   sees the end lets the guest leave. The handler that `filter` sets is in force until the request's
 *   own takes its place, or the upgrade.
 * - A request that follows another in one piece is handled inside of the call that handled the first, if
 *   that was answered; if not, the connection is ended. Answers wait for the next turn of the event loop, so
 *   there is one request to a connection.
 * - What it ends by itself (bad UTF-8, bad frames, messages beyond `maxPayloadLength`) ends without a close
 *   frame. It takes frames without a mask for masked ones.
 */
import { createServer } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import type { Limits } from "./admission.js";
import type { Link, Wire } from "./channel.js";
import { CHANNEL_PATH, PROTOCOL } from "./protocol/names.js";
import { type Guest, guestOf, type Reception } from "./reception.js";
import { type Head, headerMap, type Reply } from "./request.js";
import type { Listener, Transport } from "./server.js";
import type {
  ListenToken,
  UpgradeContext,
  Uws,
  UwsApp,
  UwsBehavior,
  UwsRequest,
  UwsResponse,
  UwsSocket,
} from "./uwstypes.js";

/** So that a message that is too long is told so; a longer one is ended by the library. */
const BEYOND = 2;
/** Room behind the hard limit for a close frame and for what answers pings. */
const CONTROL_BYTES = 64 * 1024;
/** Longer bodies go out piece by piece, as fast as they are read. */
const PIECE_BYTES = 64 * 1024;
const NOTHING = new Uint8Array(0);
/** Milliseconds that close frames get to leave before everything is ended. */
const LINGER_MS = 250;

/** Throws where it does not load. It reads its limit of headers when it does, from the environment. */
export async function loadUws(headerBytes: number): Promise<Uws> {
  process.env.UWS_HTTP_MAX_HEADERS_SIZE = String(headerBytes);
  // A name in a variable: the compiler would look for types that are not there on every machine.
  const name: string = "uWebSockets.js";
  const uws = (await import(name)) as Uws;
  uws._cfg?.("silent");
  return uws;
}

interface Data {
  readonly guest: Guest;
  readonly headers: ReadonlyMap<string, string>;
  link?: Link;
}

export class UwsTransport implements Transport {
  readonly name = "uws";
  private readonly apps: UwsApp[] = [];
  private readonly tokens: ListenToken[] = [];
  private hasEndedAny = false;

  constructor(
    private readonly uws: Uws,
    private readonly reception: Reception,
    private readonly limits: Limits,
  ) {}

  async listen({ at, tls }: Listener): Promise<number> {
    const app =
      tls === undefined
        ? this.uws.App()
        : this.uws.SSLApp({ cert_file_name: tls.cert, key_file_name: tls.key });
    const isLocal = "path" in at;
    this.route(app, isLocal, tls !== undefined);
    this.apps.push(app);
    let token: ListenToken | false = false;
    const done = (result: ListenToken | false) => {
      token = result;
    };
    if (isLocal) {
      app.listen_unix(done, at.path);
      if (!token) await probe(at);
    } else {
      // It binds with SO_REUSEPORT: two routers of one user would share the port without a word.
      if (at.port !== 0) await probe(at);
      app.listen(at.host, at.port, done);
      if (!token) await probe(at);
    }
    if (!token) throw new Error("cannot be listened on, uWebSockets.js does not say why");
    this.tokens.push(token);
    return isLocal ? 0 : this.uws.us_socket_local_port(token);
  }

  stopAccepting(): void {
    for (const token of this.tokens.splice(0)) this.uws.us_listen_socket_close(token);
  }

  async end(): Promise<void> {
    this.stopAccepting();
    if (this.hasEndedAny) await delay(LINGER_MS);
    for (const app of this.apps.splice(0)) app.close();
  }

  private route(app: UwsApp, isLocal: boolean, isTls: boolean): void {
    // biome-ignore lint/suspicious/useIterableCallbackReturn: an app is no array
    app.filter((response, count) => {
      if (count > 0) this.connected(response, isLocal);
    });
    app.any("/*", (response, request) => this.requested(response, request, isLocal, isTls));
    app.ws(CHANNEL_PATH, this.behavior(isLocal, isTls));
  }

  private connected(response: UwsResponse, isLocal: boolean): void {
    const guest = guestAt(response, isLocal);
    if (guest === undefined || !this.reception.enter(guest)) {
      response.close();
      return;
    }
    response.onAborted(() => this.reception.leave(guest));
  }

  private requested(
    response: UwsResponse,
    request: UwsRequest,
    isLocal: boolean,
    isTls: boolean,
    context?: UpgradeContext,
  ): void {
    const guest = guestAt(response, isLocal);
    if (guest === undefined) {
      response.close();
      return;
    }
    const head = headOf(request);
    const verdict = this.reception.judge(head, guest, isTls);
    const exchange = () => new Exchange(response, this.reception, guest, head.method === "HEAD");
    if (verdict.kind === "reply") {
      exchange().write(verdict.reply);
    } else if (verdict.kind === "answer") {
      const reply = exchange();
      void this.reception.answer(verdict.request).then((found) => reply.write(found));
    } else if (context !== undefined) {
      const { headers } = verdict;
      const key = headers.get("sec-websocket-key") ?? "";
      response.upgrade<Data>({ guest, headers }, key, PROTOCOL, "", context);
    } else {
      response.close();
    }
  }

  private behavior(isLocal: boolean, isTls: boolean): UwsBehavior<Data> {
    const { limits } = this;
    return {
      compression: this.uws.DISABLED,
      maxPayloadLength: limits.messageBytes * BEYOND,
      maxBackpressure: limits.hardBytes + CONTROL_BYTES,
      // Silence is looked after by channels themselves. What is left of it is 4 s for a peer that is closed.
      idleTimeout: 0,
      sendPingsAutomatically: false,
      upgrade: (response, request, context) =>
        this.requested(response, request, isLocal, isTls, context),
      open: (socket) => {
        const data = socket.getUserData();
        data.link = this.reception.link(data.guest, data.headers, this.wire(socket));
      },
      message: (socket, message, isBinary) => {
        const { link } = socket.getUserData();
        if (isBinary) link?.receivedBinary();
        else link?.received(() => Buffer.from(message).toString(), message.byteLength);
      },
      ping: (socket, { byteLength }) => socket.getUserData().link?.heard(byteLength),
      pong: (socket, { byteLength }) => socket.getUserData().link?.heard(byteLength),
      drain: (socket) => socket.getUserData().link?.drained(),
      close: (socket, code, message) => {
        const { guest, link } = socket.getUserData();
        this.reception.leave(guest);
        const reason = Buffer.from(message).toString();
        // A channel that ends while it is opened is not known here yet, and knows it already.
        link?.gone(meaning(code, reason), reason);
      },
    };
  }

  private wire(socket: UwsSocket<Data>): Wire {
    return {
      get bufferedBytes() {
        return socket.getBufferedAmount();
      },
      send: (text) => void socket.send(text, false),
      ping: () => void socket.ping(),
      end: (code, reason) => {
        this.hasEndedAny = true;
        socket.end(code, reason);
      },
      terminate: () => socket.close(),
    };
  }
}

/** Undefined where the peer is gone already: nobody knows then whose count it is. */
function guestAt(response: UwsResponse, isLocal: boolean): Guest | undefined {
  if (isLocal) return guestOf(undefined);
  const address = new Uint8Array(response.getRemoteAddress());
  return address.length === 0 ? undefined : guestOf(address.slice());
}

function headOf(request: UwsRequest): Head {
  const pairs: [string, string][] = [];
  request.forEach((name, value) => {
    pairs.push([name, value]);
  });
  const query = request.getQuery();
  return {
    method: request.getMethod().toUpperCase(),
    target: query === undefined ? request.getUrl() : `${request.getUrl()}?${query}`,
    headers: headerMap(pairs),
  };
}

/** It tells what it found wrong in words, with 1006 for a code. */
function meaning(code: number, reason: string): number {
  if (code !== 1006) return code;
  if (/too big/i.test(reason)) return 1009;
  if (/utf-8/i.test(reason)) return 1007;
  return /invalid/i.test(reason) ? 1002 : 1006;
}

/** A request and its answer; lets the guest leave when either side has ended it. */
class Exchange {
  private isOver = false;
  private readonly settled: () => void;

  constructor(
    private readonly response: UwsResponse,
    private readonly reception: Reception,
    private readonly guest: Guest,
    private readonly isHead: boolean,
  ) {
    this.settled = reception.expect(() => {
      if (!this.isOver) response.close();
    });
    response.onAborted(() => this.over());
  }

  write(reply: Reply): void {
    setImmediate(() => {
      if (this.isOver) return;
      this.response.cork(() => this.begin(reply));
      // After the headers of a body that does not come, it waits for the body.
      if (this.isHead && !this.isOver) this.response.close();
    });
  }

  private begin({ statusLine, headers, body }: Reply): void {
    const { response } = this;
    response.writeStatus(statusLine);
    for (const [name, value] of headers) response.writeHeader(name, value);
    if (body === undefined || body.length === 0) this.finish(NOTHING);
    else if (this.isHead) response.tryEnd(NOTHING, body.length);
    else this.pour(body);
  }

  private finish(last: Uint8Array): void {
    this.over();
    this.response.end(last, true);
  }

  private pour(body: Uint8Array): void {
    let at = 0;
    /** False where what is written waits. */
    const pour = (): boolean => {
      while (body.length - at > PIECE_BYTES) {
        const piece = body.subarray(at, at + PIECE_BYTES);
        at += PIECE_BYTES;
        if (!this.response.write(piece)) return false;
      }
      this.finish(body.subarray(at));
      return true;
    };
    this.response.onWritable(() => {
      let isDone = false;
      this.response.cork(() => {
        isDone = pour();
      });
      return isDone;
    });
    pour();
  }

  private over(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.settled();
    this.reception.leave(this.guest);
  }
}

/** Rejects with the system's error where nobody can listen; uWebSockets.js has none. */
function probe(at: Listener["at"]): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen({ ...at, exclusive: true }, () => server.close(() => resolve()));
  });
}
