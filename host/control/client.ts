/**
 * A client of the control plane, typed by the protocol's methods: over the unix socket of a router on this machine, or
 * over TCP with a token or a certificate.
 *
 * Times: ConnectMs, or what the target says, to be let in, hello included; a call's own for its answer. A call that gets none fails, and the
 * connection is over with it. Whoever reads notifications too slowly pauses the connection, and the router drops and
 * counts what it cannot send.
 */

import { connect } from "node:net";
import WebSocket, { type ClientOptions } from "ws";
import type {
  GivenParams,
  MethodName,
  Notification,
  NotificationName,
  Result,
} from "./protocol/methods.js";
import { CHANNEL_PATH, PROTOCOL } from "./protocol/names.js";
import { RpcCode, RpcError } from "./protocol/rpc.js";

export enum ClientLimit {
  /** Milliseconds to be let in where nothing else is said. */
  ConnectMs = 5000,
  /** Milliseconds that an answer may take where nothing else is said. */
  AnswerMs = 30_000,
  /** Bytes of a message: more than the router ever sends (`hardBytes` of admission.ts). */
  MessageBytes = 8 * 1024 * 1024,
}

/** Where the router is, and who asks. Certificates and keys are in PEM. */
export interface ClientTarget {
  /** The path of a unix socket, or a URL. */
  readonly at: { readonly socket: string } | { readonly url: URL };
  readonly token?: string | undefined;
  readonly ca?: Buffer | undefined;
  readonly cert?: Buffer | undefined;
  readonly key?: Buffer | undefined;
  /** What the router's log and history call the client. */
  readonly name: string;
  readonly answerMs?: number;
  readonly connectMs?: number;
}

/** Why there is no connection, or none any more; it says what to do where that is known. */
export class ConnectionError extends Error {
  override readonly name = "ConnectionError";
}

interface Waiting {
  readonly method: MethodName;
  readonly timer: NodeJS.Timeout;
  resolve(result: unknown): void;
  reject(error: Error): void;
}

/** An answer, or a notification, as it comes. */
interface Incoming {
  readonly id?: unknown;
  readonly result?: unknown;
  readonly error?: {
    readonly code: RpcCode;
    readonly message: string;
    readonly data?: RpcError["data"];
  };
  readonly method?: string;
  readonly params?: unknown;
}

export class Client {
  /** Resolves when the connection is over: with why, or with nothing when it was `close`. */
  readonly ended: Promise<ConnectionError | undefined>;
  private readonly waiting = new Map<number, Waiting>();
  private readonly listeners = new Map<string, (params: unknown) => void>();
  private last = 0;
  private isClosing = false;
  /** The longest message that the router takes, as hello says. */
  private messageBytes = Number.POSITIVE_INFINITY;

  private constructor(
    private readonly socket: WebSocket,
    private readonly place: string,
    private readonly answerMs: number,
  ) {
    socket.on("message", (data: Buffer) => this.hear(data.toString()));
    this.ended = new Promise((resolve) => {
      socket.once("close", (code, reason) => {
        const why = reason.length > 0 ? `: ${reason.toString()}` : "";
        const error = new ConnectionError(
          `${place}: the router ended the connection (${code}${why})`,
        );
        this.abandon(error);
        resolve(this.isClosing ? undefined : error);
      });
    });
  }

  /** Connects and says hello. @throws ConnectionError, or the RpcError with which the router refuses */
  static async connect(target: ClientTarget): Promise<Client> {
    const place = placeOf(target);
    const until = performance.now() + connectMsOf(target);
    const socket = await open(target, place);
    const client = new Client(socket, place, target.answerMs ?? ClientLimit.AnswerMs);
    try {
      await client.greet(target, until);
    } catch (error) {
      client.close();
      throw error;
    }
    return client;
  }

  /** @throws RpcError that the router answers with, ConnectionError where it does not */
  call<M extends MethodName>(
    method: M,
    params: GivenParams<M>,
    answerMs = this.answerMs,
  ): Promise<Result<M>> {
    const id = ++this.last;
    const message = JSON.stringify({ jsonrpc: "2.0", id, method, params });
    const bytes = Buffer.byteLength(message);
    if (bytes > this.messageBytes) {
      const most = `the router takes messages of ${this.messageBytes} bytes`;
      return Promise.reject(new ConnectionError(`${method}: ${bytes} bytes are too many, ${most}`));
    }
    return new Promise((resolve, reject) => {
      const giveUp = () => {
        const seconds = answerMs / 1000;
        this.waiting.delete(id);
        this.socket.terminate();
        reject(new ConnectionError(`${this.place}: no answer to ${method} within ${seconds} s`));
      };
      const timer = setTimeout(giveUp, answerMs);
      const settle = (result: unknown) => resolve(result as Result<M>);
      this.waiting.set(id, { method, timer, resolve: settle, reject });
      this.socket.send(message, (error) => {
        if (error == null || !this.waiting.delete(id)) return;
        clearTimeout(timer);
        reject(new ConnectionError(`${this.place}: ${error.message}`));
      });
    });
  }

  /** One listener for each. */
  on<N extends NotificationName>(name: N, listener: (params: Notification<N>) => void): void {
    this.listeners.set(name, (params) => listener(params as Notification<N>));
  }

  /** Reads no more before `resume`. */
  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  /** What is not answered yet fails. */
  close(): void {
    this.isClosing = true;
    this.socket.close(1000);
    // The router may be gone; nobody waits for it.
    setTimeout(() => this.socket.terminate(), 500).unref();
  }

  /** A token goes with the request; only where that was not enough hello is asked why. */
  private async greet({ token, name }: ClientTarget, until: number): Promise<void> {
    // In tenths of a second, for the text that says how long it was.
    const left = () => Math.max(1, Math.ceil((until - performance.now()) / 100)) * 100;
    const hello = (params: GivenParams<"hello">) => this.call("hello", params, left());
    const refused = (error: unknown) => {
      const isUnknown = error instanceof RpcError && error.code === RpcCode.Unauthenticated;
      if (!isUnknown || token === undefined) throw error;
      return hello({ client: name, token });
    };
    const { messageBytes } = await hello({ client: name }).catch(refused);
    this.messageBytes = messageBytes;
  }

  private hear(text: string): void {
    let message: Incoming;
    try {
      message = JSON.parse(text) as Incoming;
    } catch {
      this.socket.close(1007, "a message that is no JSON");
      return;
    }
    const { id, method, params } = message;
    if (method !== undefined) this.listeners.get(method)?.(params);
    else if (typeof id === "number") this.settle(id, message);
  }

  private settle(id: number, { result, error }: Incoming): void {
    const waiting = this.waiting.get(id);
    if (waiting === undefined) return;
    this.waiting.delete(id);
    clearTimeout(waiting.timer);
    if (error === undefined) waiting.resolve(result);
    else waiting.reject(new RpcError(error.code, error.message, error.data));
  }

  private abandon(error: Error): void {
    for (const { timer, reject } of this.waiting.values()) {
      clearTimeout(timer);
      reject(error);
    }
    this.waiting.clear();
  }
}

function connectMsOf({ connectMs = ClientLimit.ConnectMs }: ClientTarget): number {
  return connectMs;
}

function placeOf({ at }: ClientTarget): string {
  return "socket" in at ? at.socket : at.url.href;
}

function open(target: ClientTarget, place: string): Promise<WebSocket> {
  return new Promise((resolve, reject) => {
    const fail = (what: string) => {
      socket.terminate();
      reject(new ConnectionError(`${place}: ${what}`));
    };
    const socket = new WebSocket(addressOf(target), PROTOCOL, optionsOf(target));
    socket.once("open", () => {
      socket.removeAllListeners();
      // What breaks it from here on is said by its end.
      socket.on("error", () => {});
      resolve(socket);
    });
    // `terminate` before it is open is an error, too; by then it is said what it was.
    socket.on("error", (error: NodeJS.ErrnoException) => fail(reasonOf(error, target)));
    socket.once("unexpected-response", (_request, response) => {
      const parts: Buffer[] = [];
      response.on("data", (part: Buffer) => {
        if (parts.length < 8) parts.push(part);
      });
      response.on("end", () => {
        const said = Buffer.concat(parts).toString().trim().split("\n")[0] ?? "";
        const status = `${response.statusCode ?? ""} ${response.statusMessage ?? ""}`.trim();
        fail(`the router refuses the connection: ${said === "" ? status : `${status}: ${said}`}`);
      });
    });
  });
}

function addressOf({ at }: ClientTarget): URL {
  if ("socket" in at) return new URL(CHANNEL_PATH, "ws://localhost");
  return at.url.pathname === "/" ? new URL(CHANNEL_PATH, at.url) : at.url;
}

function optionsOf(target: ClientTarget): ClientOptions {
  const { at, token, ca, cert, key } = target;
  const connectMs = connectMsOf(target);
  const options: ClientOptions = {
    handshakeTimeout: connectMs,
    maxPayload: ClientLimit.MessageBytes,
    perMessageDeflate: false,
    followRedirects: false,
    headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
  };
  if ("socket" in at) {
    return { ...options, createConnection: () => connect({ path: at.socket, timeout: connectMs }) };
  }
  return {
    ...options,
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  };
}

/** In words that say what to do. */
function reasonOf({ code, message }: NodeJS.ErrnoException, target: ClientTarget): string {
  const { at } = target;
  const isLocal = "socket" in at;
  switch (code) {
    case "ENOENT":
      return isLocal
        ? "there is no such socket; is crosszone running? Where `crosszone run --socket` names another one, say --socket"
        : message;
    case "ECONNREFUSED":
      return isLocal
        ? "nobody listens there; is crosszone running?"
        : "nobody listens there; is crosszone running, with --listen?";
    case "EACCES":
    case "EPERM":
      return "permission denied; the socket is root's: try sudo";
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return "the name of the host is not known";
    case "ENOTSOCK":
      return "that is no socket";
    case "DEPTH_ZERO_SELF_SIGNED_CERT":
    case "SELF_SIGNED_CERT_IN_CHAIN":
    case "UNABLE_TO_VERIFY_LEAF_SIGNATURE":
    case "UNABLE_TO_GET_ISSUER_CERT_LOCALLY":
      return `the router's certificate is signed by nobody that is trusted here (${code}); say --tls-ca`;
    default:
      return otherReason(message, target);
  }
}

/** What has no code of its own. */
function otherReason(message: string, target: ClientTarget): string {
  const { at } = target;
  if (message === "Opening handshake has timed out") {
    return `no answer within ${connectMsOf(target) / 1000} s`;
  }
  const [, alert, problem] = /SSL routines:[^:]*:(\w+ alert )?([^:]*)/.exec(message) ?? [];
  if (/alert certificate required/.test(message)) {
    return "the router asks for a certificate; say --tls-cert and --tls-key";
  }
  if (problem !== undefined && alert === undefined && /wrong version|packet length/.test(problem)) {
    return "what listens there has no TLS; say ws:// in place of wss://";
  }
  if (problem !== undefined) return `TLS: ${alert ?? ""}${problem}`;
  if (message === "socket hang up" && "url" in at && at.url.protocol === "wss:") {
    return "the router hung up; it does not serve TLS there, or does not take the certificate";
  }
  if (message === "socket hang up") {
    return "it hung up; it serves TLS there (wss://), or is no router";
  }
  return message;
}
