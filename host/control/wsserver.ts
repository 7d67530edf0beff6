/**
 * The transport on `ws` and Node's own HTTP: wherever Node runs, and with client certificates.
 */
import { createServer, type IncomingMessage, type Server, ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { TLSSocket } from "node:tls";
import { type ServerOptions, type WebSocket, WebSocketServer } from "ws";
import { ipBytes } from "./address.js";
import type { Limits } from "./admission.js";
import type { Link, Wire } from "./channel.js";
import { PROTOCOL } from "./protocol/names.js";
import { type Guest, guestOf, type Reception } from "./reception.js";
import { type Head, headerMap, type Reply } from "./request.js";
import type { Listener, Transport } from "./server.js";
import { readTls, type TlsFiles } from "./tls.js";

/** Milliseconds between Node's looks at requests that take too long. */
const CHECK_MS = 1000;
/** Pieces that a message may come in: 64 bytes each is no sensible sender's. */
const FRAGMENTS = 16 * 1024;

/** Its types are older than it is. */
type Options = ServerOptions & { readonly closeTimeout: number; readonly maxFragments: number };

export class WsTransport implements Transport {
  readonly name = "ws";
  private readonly servers: Server[] = [];
  private readonly sockets = new Set<Socket>();
  private readonly asked = new WeakSet<Socket>();
  private readonly channels: WebSocketServer;

  constructor(
    private readonly reception: Reception,
    private readonly limits: Limits,
  ) {
    const options: Options = {
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: limits.messageBytes,
      maxFragments: FRAGMENTS,
      closeTimeout: limits.closeMs,
      handleProtocols: () => PROTOCOL,
    };
    this.channels = new WebSocketServer(options);
  }

  listen({ at, tls }: Listener): Promise<number> {
    const server = this.makeServer(tls);
    this.route(server, "path" in at, tls !== undefined);
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen({ ...at, exclusive: true }, () => {
        server.off("error", reject);
        this.servers.push(server);
        const address = server.address();
        resolve(typeof address === "object" ? (address?.port ?? 0) : 0);
      });
    });
  }

  stopAccepting(): void {
    for (const server of this.servers.splice(0)) server.close();
  }

  async end(): Promise<void> {
    this.stopAccepting();
    for (const socket of this.sockets) socket.destroy();
  }

  private makeServer(tls: TlsFiles | undefined): Server {
    const { headerBytes, requestMs } = this.limits;
    const options = {
      maxHeaderSize: headerBytes,
      headersTimeout: requestMs,
      requestTimeout: requestMs,
      connectionsCheckingInterval: Math.min(CHECK_MS, requestMs),
    };
    if (tls === undefined) return createServer(options);
    const { cert, key, ca } = readTls(tls);
    return createTlsServer({
      ...options,
      cert,
      key,
      ...(ca === undefined ? {} : { ca, requestCert: true, rejectUnauthorized: true }),
      minVersion: "TLSv1.2",
      handshakeTimeout: requestMs,
    });
  }

  private route(server: Server, isLocal: boolean, isTls: boolean): void {
    server.on("connection", (socket: Socket) => this.connected(socket, isLocal));
    server.on("request", (request: IncomingMessage, response: ServerResponse) =>
      this.requested(request, response, isLocal, isTls),
    );
    server.on("upgrade", (request: IncomingMessage, socket: Socket, first: Buffer) => {
      socket.on("error", () => socket.destroy());
      this.requested(request, socket, isLocal, isTls, first);
    });
    server.on("connect", (request: IncomingMessage, socket: Socket) => {
      socket.on("error", () => socket.destroy());
      this.requested(request, socket, isLocal, isTls);
    });
    server.on("clientError", (error: NodeJS.ErrnoException, socket: Duplex) => {
      const text = COMPLAINTS[error.code ?? ""] ?? "400 Bad Request";
      const isLost = error.code === "ECONNRESET" || !socket.writable;
      if (isLost) socket.destroy();
      else socket.end(`HTTP/1.1 ${text}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
    });
  }

  private connected(socket: Socket, isLocal: boolean): void {
    const guest = guestAt(socket, isLocal);
    if (guest === undefined || !this.reception.enter(guest)) {
      socket.destroy();
      return;
    }
    this.sockets.add(socket);
    socket.once("close", () => {
      this.sockets.delete(socket);
      this.reception.leave(guest);
    });
  }

  /** `to` is a socket where Node has taken its HTTP off: an upgrade or CONNECT. */
  private requested(
    request: IncomingMessage,
    to: ServerResponse | Socket,
    isLocal: boolean,
    isTls: boolean,
    first?: Buffer,
  ): void {
    const { socket } = request;
    // Node hands on what was sent behind the first request; the first answer ends the connection.
    if (this.asked.has(socket)) return;
    this.asked.add(socket);
    const guest = guestAt(socket, isLocal);
    if (guest === undefined) {
      socket.destroy();
      return;
    }
    const head = headOf(request);
    const verdict = this.reception.judge(head, guest, isTls);
    if (verdict.kind === "channel") {
      if (first === undefined) socket.destroy();
      else this.upgrade(request, socket, first, guest, verdict.headers);
      return;
    }
    const response = to instanceof ServerResponse ? to : responseOn(socket, request);
    const settled = this.reception.expect(() => socket.destroy());
    socket.once("close", settled);
    if (verdict.kind === "reply") write(response, verdict.reply);
    else void this.reception.answer(verdict.request).then((reply) => write(response, reply));
  }

  private upgrade(
    request: IncomingMessage,
    socket: Socket,
    first: Buffer,
    guest: Guest,
    headers: ReadonlyMap<string, string>,
  ): void {
    this.channels.handleUpgrade(request, socket, first, (channel) => {
      // Before anything else: what is wrong with a frame is told by an event, and nobody may miss it.
      let link: Link | undefined;
      channel.on("error", (error) => {
        const code = meaning(error);
        if (code === 1009) link?.tooLong();
        else link?.gone(code, error.message);
      });
      channel.on("message", (data: Buffer, isBinary) => {
        if (isBinary) link?.receivedBinary();
        else link?.received(() => data.toString(), data.length);
      });
      channel.on("ping", (data) => void link?.heard(data.length));
      channel.on("pong", (data) => void link?.heard(data.length));
      channel.on("close", (code, reason) => link?.gone(code, reason.toString()));
      socket.on("drain", () => link?.drained());
      link = this.reception.link(guest, headers, wireOf(channel));
    });
  }
}

const COMPLAINTS: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: "431 Request Header Fields Too Large",
  ERR_HTTP_REQUEST_TIMEOUT: "408 Request Timeout",
};

/** RFC 6455 section 7.4.1. */
function meaning(error: Error): number {
  const { code = "" } = error as NodeJS.ErrnoException;
  if (code === "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH") return 1009;
  if (code === "WS_ERR_INVALID_UTF8") return 1007;
  return code.startsWith("WS_ERR_") ? 1002 : 1006;
}

function wireOf(channel: WebSocket): Wire {
  return {
    get bufferedBytes() {
      return channel.bufferedAmount;
    },
    send: (text) => channel.send(text, { binary: false }),
    ping: () => channel.ping(),
    end: (code, reason) => channel.close(code, reason),
    terminate: () => channel.terminate(),
  };
}

/** Undefined where the peer is gone already. */
function guestAt(socket: Socket, isLocal: boolean): Guest | undefined {
  if (isLocal) return guestOf(undefined);
  const address = ipBytes(socket.remoteAddress ?? "");
  return address && guestOf(address, clientName(socket));
}

function clientName(socket: Socket): string | undefined {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined;
  const name: string | string[] | undefined = socket.getPeerCertificate().subject?.CN;
  return typeof name === "string" ? name : name?.[0];
}

function headOf(request: IncomingMessage): Head {
  const { rawHeaders } = request;
  const pairs: [string, string][] = [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    pairs.push([rawHeaders[at] ?? "", rawHeaders[at + 1] ?? ""]);
  }
  return {
    method: request.method ?? "",
    target: request.url ?? "",
    headers: headerMap(pairs),
  };
}

function responseOn(socket: Socket, request: IncomingMessage): ServerResponse {
  const response = new ServerResponse(request);
  response.assignSocket(socket);
  response.once("finish", () => socket.end());
  return response;
}

function write(response: ServerResponse, reply: Reply): void {
  const { status, headers, body } = reply;
  for (const [name, value] of headers) response.setHeader(name, value);
  response.setHeader("Connection", "close");
  if (body !== undefined) response.setHeader("Content-Length", body.length);
  response.writeHead(status);
  response.end(body);
}
