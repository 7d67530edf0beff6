/**
 * The control plane's transport: HTTP, and channels of text messages (WebSocket, RFC 6455), over TCP, TLS
 * and unix sockets. Two implementations stand behind `serve`: uWebSockets.js where it loads, `ws` on Node's
 * own HTTP where it does not. What they do alike is in reception.ts and channel.ts, what they do not in
 * docs/adr/0024-transport.md.
 *
 * What comes in is bounded by admission.ts before anybody behind this file hears of it.
 */

import { setTimeout as delay } from "node:timers/promises";
import { messageOf } from "../errortext.js";
import { endpointText, ipBytes, ipText, isLoopback } from "./address.js";
import { hostName, LIMITS, type Limits, Names, originText } from "./admission.js";
import { ListenError, listenFailure } from "./listenerror.js";
import { type Counters, Reception } from "./reception.js";
import { SocketFile } from "./socketfile.js";
import { checkTls, type TlsFiles } from "./tls.js";
import { loadUws, UwsTransport } from "./uws.js";
import { WsTransport } from "./wsserver.js";

export type { Limits } from "./admission.js";
export { ListenError } from "./listenerror.js";
export type { Counters } from "./reception.js";
export type { TlsFiles } from "./tls.js";

export const DEFAULT_LISTEN: Listen = { host: "127.0.0.1", port: 8090 };

export type ImplementationName = "uws" | "ws";

/** An IP address (or "localhost") and a port, 0 for any; or the path of a unix socket. */
export type Listen = { readonly host: string; readonly port: number } | { readonly path: string };

export interface ServeOptions {
  /** Default: DEFAULT_LISTEN. */
  readonly listen?: readonly Listen[];
  /**
   * Listened on besides where that works; a notice says where it does not, but for a path at which somebody else answers.
   * Default: nothing.
   */
  readonly optional?: readonly Listen[];
  /** For TCP; a unix socket is plain. */
  readonly tls?: TlsFiles | undefined;
  /** Names that a Host header may have, besides localhost and the addresses listened on. */
  readonly hosts?: readonly string[];
  /** Origins of pages that may come, besides our own. */
  readonly origins?: readonly string[];
  /** True when the handlers ask for tokens; without, only loopback and unix sockets are listened on. */
  readonly hasAccessControl?: boolean;
  /** Default: the environment's CROSSZONE_TRANSPORT, or what loads. */
  readonly implementation?: ImplementationName | undefined;
  readonly limits?: Partial<Limits>;
  /** A line for the log. It holds no secrets. */
  readonly onNotice?: (text: string) => void;
  /** Milliseconds that never go back. */
  readonly now?: () => number;
}

/** Who is at the other end. */
export interface Peer {
  /** An IP address, or "unix". */
  readonly address: string;
  readonly isLocalSocket: boolean;
  /** The common name of the certificate that the client has shown and that was verified. */
  readonly tlsClientName?: string;
}

export type Method = "GET" | "HEAD";

export interface Request {
  readonly method: Method;
  /** Decoded; starts with a slash, has no `..`, no control characters and no backslash. */
  readonly path: string;
  /** What follows the question mark, as sent. */
  readonly query: string;
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  readonly peer: Peer;
}

export interface Answer {
  readonly status: number;
  /** Content-Type. Default: plain text. */
  readonly type?: string;
  /** Left out by the transport where the request was HEAD. */
  readonly body?: string | Uint8Array;
  /** Besides those that every answer has, and in place of them where the name is the same. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** An open WebSocket of the subprotocol. Everything may be called after its end, to no effect. */
export interface Channel {
  readonly peer: Peer;
  /** Of the request that it began with; names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  readonly isOpen: boolean;
  /** Bytes that wait for the peer to read. */
  readonly bufferedBytes: number;
  /**
   * Sends what must arrive. False: the consumer is slow (more than the soft limit waits), send no more before
   * onDrain; or the channel is over. Above the hard limit the channel ends with 1013.
   */
  send(text: string): boolean;
  /** Sends what may be dropped; false, and dropped, while the consumer is slow. */
  offer(text: string): boolean;
  /** Called once the peer is known to be allowed; without it the channel ends with 1008 after five seconds. */
  authenticated(): void;
  /** RFC 6455 section 7.4: 1000 or 3000 to 4999, or another that an endpoint may send. Calls onClose. */
  close(code: number, reason: string): void;
}

/** What is told of a channel. Whatever these throw ends the channel with 1011. */
export interface ChannelEvents {
  onMessage(text: string): void;
  /** The consumer is no longer slow. */
  onDrain?(): void;
  /** Once, last; 1005 and 1006 as in RFC 6455 where nothing was said. */
  onClose(code: number, reason: string): void;
}

export interface Handlers {
  answer(request: Request): Answer | Promise<Answer>;
  open(channel: Channel): ChannelEvents;
}

export interface Server {
  readonly implementation: ImplementationName;
  /** What is listened on, with the ports that were chosen. */
  readonly listening: readonly Listen[];
  readonly counters: Readonly<Counters>;
  /** Accepts no more, ends channels with 1001, and is done within two seconds. */
  close(): Promise<void>;
}

/** One listener, as an implementation gets it. */
export interface Listener {
  /** An address; or the path to bind to, which is not the path that clients see. */
  readonly at: Listen;
  readonly tls: TlsFiles | undefined;
}

/** What an implementation is to `serve`. */
export interface Transport {
  readonly name: ImplementationName;
  /** The port, 0 for a unix socket. Rejects with the system's error. */
  listen(listener: Listener): Promise<number>;
  stopAccepting(): void;
  /** Ends what is still there. */
  end(): Promise<void>;
}

/** Listens everywhere or nowhere: rejects with a ListenError that names the address. */
export async function serve(options: ServeOptions, handlers: Handlers): Promise<Server> {
  const {
    listen = [DEFAULT_LISTEN],
    tls,
    onNotice = () => {},
    now = () => performance.now(),
  } = options;
  const limits = { ...LIMITS, ...options.limits };
  const check = (each: Listen) => checked(each, options.hasAccessControl === true);
  const wanted = listen.map(check);
  const optional = (options.optional ?? []).map(check);
  if (tls !== undefined) checkTls(tls);
  const addresses = [...wanted, ...optional].flatMap((each) => ("host" in each ? each.host : []));
  const names = new Names(addresses, hostsOf(options), originsOf(options));
  const reception = new Reception(handlers, names, limits, now, onNotice);
  const transport = await choose(options, reception, limits, onNotice);
  reception.start();
  const files: SocketFile[] = [];
  const listening: Listen[] = [];
  const end = async () => {
    reception.stop();
    await transport.end();
    for (const file of files) file.remove();
  };
  try {
    for (const at of wanted) listening.push(await open(transport, at, tls, files));
    for (const at of optional) {
      try {
        listening.push(await open(transport, at, tls, files));
      } catch (error) {
        if (isOthers(at, error)) throw error;
        onNotice(`control: ${messageOf(error)}; not listening there`);
      }
    }
  } catch (error) {
    transport.stopAccepting();
    await end();
    throw error;
  }
  let closing: Promise<void> | undefined;
  const close = async () => {
    transport.stopAccepting();
    const deadline = now() + limits.closeMs;
    reception.closeChannels(1001, "the server is stopping");
    while (reception.connections > 0 && now() < deadline) await delay(20);
    await end();
  };
  return {
    implementation: transport.name,
    listening,
    counters: reception.counters,
    close: () => {
      closing ??= close();
      return closing;
    },
  };
}

/** Whoever looks for this router by the socket's path would find the other one. */
function isOthers(at: Listen, error: unknown): boolean {
  return "path" in at && error instanceof ListenError && error.code === "EADDRINUSE";
}

/** In one spelling; throws where nobody may listen. */
function checked(at: Listen, hasAccessControl: boolean): Listen {
  if ("path" in at) return at;
  const { port } = at;
  const bytes = ipBytes(at.host === "localhost" ? "127.0.0.1" : at.host);
  const text = endpointText(at.host, port);
  if (bytes === undefined) throw new ListenError(text, "expected an IP address or localhost");
  if (!Number.isInteger(port) || port < 0 || port > 65535) {
    throw new ListenError(text, "expected a port from 0 to 65535");
  }
  if (!isLoopback(bytes) && !hasAccessControl) {
    const why = "other machines could connect, and no token is there to keep them out";
    throw new ListenError(text, `${why}; add one, or listen on 127.0.0.1`);
  }
  return { host: ipText(bytes), port };
}

function hostsOf({ hosts = [] }: ServeOptions): string[] {
  return hosts.map((text) => {
    const name = hostName(text);
    if (name === undefined) throw new ListenError(`allowed host ${text}`, "expected a host name");
    return name;
  });
}

function originsOf({ origins = [] }: ServeOptions): string[] {
  return origins.map((text) => {
    const origin = originText(text);
    const expected = "expected a scheme, a host and a port, as https://ops.example:8443";
    if (origin === undefined) throw new ListenError(`allowed origin ${text}`, expected);
    return origin;
  });
}

async function choose(
  { implementation, tls }: ServeOptions,
  reception: Reception,
  limits: Limits,
  onNotice: (text: string) => void,
): Promise<Transport> {
  const asked = implementation ?? process.env.CROSSZONE_TRANSPORT;
  if (asked !== undefined && asked !== "uws" && asked !== "ws") {
    throw new ListenError("CROSSZONE_TRANSPORT", `expected uws or ws, found ${asked}`);
  }
  const ws = () => new WsTransport(reception, limits);
  if (asked === "ws") return ws();
  if (tls?.clientCa !== undefined) {
    onNotice(
      "control: ws serves, since uWebSockets.js does not tell whose a client certificate is",
    );
    return ws();
  }
  try {
    return new UwsTransport(await loadUws(limits.headerBytes), reception, limits);
  } catch (error) {
    const why = error instanceof Error ? error.message.split("\n", 1)[0] : String(error);
    if (asked === "uws") throw new ListenError("uWebSockets.js", `does not load: ${why}`);
    onNotice(`control: ws serves, since uWebSockets.js does not load: ${why}`);
    return ws();
  }
}

async function open(
  transport: Transport,
  at: Listen,
  tls: TlsFiles | undefined,
  files: SocketFile[],
): Promise<Listen> {
  if ("path" in at) {
    const file = await SocketFile.prepare(at.path);
    try {
      await file.privately(() => transport.listen({ at: { path: file.hidden }, tls: undefined }));
      files.push(file);
      file.publish();
    } catch (error) {
      throw listenFailure(at.path, error);
    }
    return at;
  }
  try {
    return { host: at.host, port: await transport.listen({ at, tls }) };
  } catch (error) {
    throw listenFailure(endpointText(at.host, at.port), error);
  }
}
