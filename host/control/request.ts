/**
 * HTTP as both implementations see it: what becomes of a request line and its headers (RFC 9110, RFC 9112,
 * RFC 6455 section 4.2.1), and what an answer looks like. One request per connection: every answer ends it.
 */
import { STATUS_CODES } from "node:http";
import type { Names } from "./admission.js";
import { CHANNEL_PATH, PROTOCOL } from "./protocol/names.js";
import type { Answer, Method, Peer, Request } from "./server.js";

/** What came in, before anything of it is believed. */
export interface Head {
  readonly method: string;
  /** As sent: path and query. */
  readonly target: string;
  /** Names in lower case. Undefined: one that may be there once is there twice. */
  readonly headers: ReadonlyMap<string, string> | undefined;
}

/** Ready to be written. */
export interface Reply {
  readonly status: number;
  /** `404 Not Found` */
  readonly statusLine: string;
  readonly headers: readonly (readonly [string, string])[];
  /** Undefined where none may follow and none be spoken of (204, 304). */
  readonly body: Uint8Array | undefined;
}

export type Verdict =
  | { readonly kind: "reply"; readonly reply: Reply; readonly why?: "host" | "origin" }
  | { readonly kind: "answer"; readonly request: Request }
  | { readonly kind: "channel"; readonly headers: ReadonlyMap<string, string> };

/** Two of them are an attempt to be understood in two ways. */
const ONCE = new Set([
  "host",
  "origin",
  "authorization",
  "content-length",
  "content-type",
  "sec-websocket-key",
  "sec-websocket-version",
]);

export function headerMap(
  pairs: Iterable<readonly [string, string]>,
): ReadonlyMap<string, string> | undefined {
  const headers = new Map<string, string>();
  for (const [name, value] of pairs) {
    const key = name.toLowerCase();
    const before = headers.get(key);
    if (before !== undefined && ONCE.has(key)) return undefined;
    headers.set(key, before === undefined ? value : `${before}, ${value}`);
  }
  return headers;
}

function includes(list: string | undefined, word: string): boolean {
  return (list ?? "").split(",").some((each) => each.trim().toLowerCase() === word);
}

/** The path in plain characters, or undefined where it is none that a file or a page could have. */
export function plainPath(raw: string): string | undefined {
  let path: string;
  try {
    path = decodeURIComponent(raw);
  } catch {
    return undefined;
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  const isPlain = path.startsWith("/") && !/[\u0000-\u001f\u007f\\]/.test(path);
  return isPlain && !path.split("/").some((part) => part === "." || part === "..")
    ? path
    : undefined;
}

export function judge(head: Head, peer: Peer, names: Names, isTls: boolean): Verdict {
  const { method, headers } = head;
  if (headers === undefined) return refuse(400, "a header that may be there once is there twice");
  if (method !== "GET" && method !== "HEAD") {
    return refuse(405, "GET and HEAD, nothing else", { Allow: "GET, HEAD" });
  }
  const [raw = "", query = ""] = head.target.split(/\?(.*)/s);
  const path = plainPath(raw);
  if (path === undefined) return refuse(400, "the path is malformed");
  const host = headers.get("host");
  if (host === undefined) return refuse(400, "a Host header is needed");
  // Nothing that resolves names leads to a unix socket.
  if (!peer.isLocalSocket && !names.allowsHost(host)) {
    return { ...refuse(421, "the Host header names another machine"), why: "host" };
  }
  const origin = headers.get("origin");
  if (origin !== undefined && !names.allowsOrigin(origin, host, isTls)) {
    return { ...refuse(403, "pages of this origin are not allowed"), why: "origin" };
  }
  const hasBody =
    (headers.get("content-length") ?? "0") !== "0" || headers.has("transfer-encoding");
  if (hasBody) return refuse(400, "a request has no body here");
  const wantsChannel =
    includes(headers.get("upgrade"), "websocket") && includes(headers.get("connection"), "upgrade");
  if (path === CHANNEL_PATH) return judgeChannel(method, headers, wantsChannel);
  if (wantsChannel) return refuse(404, `WebSockets are at ${CHANNEL_PATH}`);
  return { kind: "answer", request: { method: method as Method, path, query, headers, peer } };
}

function judgeChannel(
  method: string,
  headers: ReadonlyMap<string, string>,
  wantsChannel: boolean,
): Verdict {
  if (!wantsChannel || method !== "GET") {
    return refuse(426, `${CHANNEL_PATH} is a WebSocket`, { Upgrade: "websocket" });
  }
  if (headers.get("sec-websocket-version") !== "13") {
    const version = { Upgrade: "websocket", "Sec-WebSocket-Version": "13" };
    return refuse(426, "Sec-WebSocket-Version has to be 13", version);
  }
  if (!/^[+/\dA-Za-z]{22}==$/.test(headers.get("sec-websocket-key") ?? "")) {
    return refuse(400, "Sec-WebSocket-Key has to be 16 bytes in Base64");
  }
  if (!includes(headers.get("sec-websocket-protocol"), PROTOCOL)) {
    return refuse(400, `Sec-WebSocket-Protocol has to offer ${PROTOCOL}`);
  }
  return { kind: "channel", headers };
}

function refuse(status: number, text: string, headers: Record<string, string> = {}) {
  return { kind: "reply" as const, reply: makeReply({ status, body: `${text}\n`, headers }) };
}

/** What every answer says to a browser: nothing from elsewhere, in no frame, and no guessing. */
const SECURITY = {
  "Content-Security-Policy":
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'",
  "X-Content-Type-Options": "nosniff",
  "X-Frame-Options": "DENY",
  "Referrer-Policy": "no-referrer",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Resource-Policy": "same-origin",
};

const TOKEN = /^[!#$%&'*+.^_`|~\dA-Za-z-]+$/;
/** Tab, visible ASCII and spaces: no line can end in it. */
const VALUE = /^[\t\x20-\x7e]*$/;
/** The connection's own; and who sets a body's length knows the body. */
const NOT_OURS = new Set(["connection", "content-length", "transfer-encoding", "date"]);

/** Throws RangeError where the answer cannot be sent as it is. */
export function makeReply(answer: Answer): Reply {
  const { status, type = "text/plain; charset=utf-8", body = "" } = answer;
  const text = STATUS_CODES[status];
  if (status < 200 || text === undefined) throw new RangeError(`no status: ${status}`);
  const hasBody = status !== 204 && status !== 304;
  const all = {
    ...(hasBody ? { "Content-Type": type } : {}),
    ...SECURITY,
    "Cache-Control": "no-store",
    ...answer.headers,
  };
  const byName = new Map<string, [string, string]>();
  for (const [name, value] of Object.entries(all)) {
    const key = name.toLowerCase();
    if (!TOKEN.test(name) || !VALUE.test(value) || NOT_OURS.has(key)) {
      throw new RangeError(`no header of an answer: ${JSON.stringify(name)}`);
    }
    byName.set(key, [name, value]);
  }
  return {
    status,
    statusLine: `${status} ${text}`,
    headers: [...byName.values()],
    body: hasBody ? (typeof body === "string" ? Buffer.from(body) : body) : undefined,
  };
}
