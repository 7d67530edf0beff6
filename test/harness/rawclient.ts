/** A client that is only a socket: it says what it is told to, byte by byte, right or wrong. */
import { connect, type NetConnectOpts, type Socket } from "node:net";

/** A machine that does other things as well. */
const PATIENCE_MS = 20_000;

export const KEY = "dGhlIHNhbXBsZSBub25jZQ==";

/** RFC 6455 section 5.2. */
export interface Frame {
  readonly opcode: number;
  readonly payload: Buffer;
}

export const Opcode = { Continuation: 0, Text: 1, Binary: 2, Close: 8, Ping: 9, Pong: 10 } as const;

export interface FrameOptions {
  readonly fin?: boolean;
  readonly isMasked?: boolean;
  /** The three reserved bits. */
  readonly reserved?: number;
}

/** A frame as a client sends it. */
export function frame(opcode: number, payload: string | Uint8Array, options: FrameOptions = {}) {
  const { fin = true, isMasked = true, reserved = 0 } = options;
  const body = Buffer.from(payload);
  const mask = isMasked ? 0x80 : 0;
  const head = [(fin ? 0x80 : 0) | (reserved << 4) | opcode];
  if (body.length < 126) head.push(mask | body.length);
  else if (body.length < 65536) head.push(mask | 126, body.length >> 8, body.length & 0xff);
  else
    head.push(mask | 127, 0, 0, 0, 0, ...[24, 16, 8, 0].map((by) => (body.length >>> by) & 0xff));
  if (!isMasked) return Buffer.concat([Buffer.from(head), body]);
  const key = [0x12, 0x34, 0x56, 0x78];
  const masked = body.map((byte, at) => byte ^ (key[at & 3] ?? 0));
  return Buffer.concat([Buffer.from(head), Buffer.from(key), masked]);
}

/** A request, as it is written: the first line and headers. */
export function requestText(line: string, headers: Record<string, string> = {}): string {
  const all = { Host: "localhost", ...headers };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${line} HTTP/1.1\r\n${lines.join("")}\r\n`;
}

/** The headers of a handshake; an empty value leaves one out. */
export function upgradeText(headers: Record<string, string> = {}, line = "GET /rpc"): string {
  const all: Record<string, string> = {
    Upgrade: "websocket",
    Connection: "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Protocol": "crosszone.v1",
    ...headers,
  };
  return requestText(
    line,
    Object.fromEntries(Object.entries(all).filter(([, text]) => text !== "")),
  );
}

export interface HttpReply {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
}

export class RawClient {
  /** How it ended: "end" by the server's FIN, or the error's code. */
  readonly closed: Promise<string>;
  isClosed = false;
  private bytes: Buffer = Buffer.alloc(0);
  private readonly pieces: Buffer[] = [];
  private readonly watchers = new Set<() => void>();

  private constructor(readonly socket: Socket) {
    let how = "end";
    socket.on("data", (piece: Buffer) => {
      this.pieces.push(piece);
      this.wake();
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      how = error.code ?? "error";
    });
    this.closed = new Promise((resolve) => {
      socket.on("close", () => {
        this.isClosed = true;
        resolve(how);
        this.wake();
      });
    });
  }

  static connect(options: NetConnectOpts): Promise<RawClient> {
    const client = new RawClient(connect(options));
    return new Promise((resolve, reject) => {
      client.socket.once("connect", () => resolve(client));
      client.socket.once("error", reject);
    });
  }

  /** A channel; what the server answered is taken away. */
  static async open(options: NetConnectOpts, headers: Record<string, string> = {}) {
    const client = await RawClient.connect(options);
    client.write(upgradeText(headers));
    const { status } = await client.head();
    if (status !== 101) throw new Error(`status ${status}`);
    return client;
  }

  /** All that has come and was not taken. */
  get received(): Buffer {
    if (this.pieces.length > 0) this.bytes = Buffer.concat([this.bytes, ...this.pieces.splice(0)]);
    return this.bytes;
  }

  write(...what: (string | Uint8Array)[]): void {
    for (const each of what) this.socket.write(each);
  }

  /** Takes the first line and the headers of an answer. */
  async head(): Promise<HttpReply> {
    await this.until(() => this.received.includes("\r\n\r\n"), "an answer's headers");
    const end = this.received.indexOf("\r\n\r\n");
    const [first = "", ...lines] = this.received.subarray(0, end).toString("latin1").split("\r\n");
    this.bytes = this.received.subarray(end + 4);
    const headers = new Map(
      lines.map((line) => {
        const [, name = "", value = ""] = /^([^:]+): ?(.*)$/.exec(line) ?? [];
        return [name.toLowerCase(), value];
      }),
    );
    return { status: Number(first.split(" ")[1]), headers, body: Buffer.alloc(0) };
  }

  /** A whole answer, up to the end of the connection. */
  async reply(): Promise<HttpReply> {
    const head = await this.head();
    await this.until(() => this.isClosed, "the end of an answer");
    const isChunked = head.headers.get("transfer-encoding") === "chunked";
    return { ...head, body: isChunked ? joined(this.received) : this.received };
  }

  /** Takes the next frame. */
  async frame(timeoutMs = PATIENCE_MS): Promise<Frame> {
    let found: { frame: Frame; bytes: number } | undefined;
    await this.until(
      () => {
        found = parse(this.received);
        return found !== undefined;
      },
      "a frame",
      timeoutMs,
    );
    if (found === undefined) throw new Error("no frame");
    this.bytes = this.received.subarray(found.bytes);
    return found.frame;
  }

  /** The code of the close frame; 1006 where the connection ends without one. Passes over other frames. */
  async closeCode(timeoutMs = PATIENCE_MS): Promise<number> {
    for (;;) {
      const next = await this.frame(timeoutMs).catch((error: unknown) => {
        if (this.isClosed) return undefined;
        throw error;
      });
      if (next === undefined) return 1006;
      if (next.opcode === Opcode.Close) {
        return next.payload.length < 2 ? 1005 : next.payload.readUInt16BE(0);
      }
    }
  }

  async until(isTrue: () => boolean, what: string, timeoutMs = PATIENCE_MS): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    while (!isTrue()) {
      const left = deadline - Date.now();
      if (this.isClosed || left <= 0) {
        const how = this.isClosed ? "the connection ended" : `${timeoutMs} ms have passed`;
        throw new Error(`waiting for ${what}: ${how}; ${this.received.length} bytes are there`);
      }
      await this.change(left);
    }
  }

  destroy(): void {
    this.socket.destroy();
  }

  reset(): void {
    this.socket.resetAndDestroy();
  }

  private wake(): void {
    for (const watcher of this.watchers) watcher();
  }

  private change(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.watchers.delete(done);
        resolve();
      };
      const timer = setTimeout(done, timeoutMs);
      this.watchers.add(done);
    });
  }
}

/** A body in chunks, RFC 9112 section 7.1. Throws where the last one is missing. */
function joined(bytes: Buffer): Buffer {
  const pieces: Buffer[] = [];
  for (let at = 0; ; ) {
    const end = bytes.indexOf("\r\n", at);
    const length = Number.parseInt(bytes.subarray(at, end).toString(), 16);
    if (end < 0 || Number.isNaN(length)) throw new Error("a chunk is missing");
    if (length === 0) return Buffer.concat(pieces);
    pieces.push(bytes.subarray(end + 2, end + 2 + length));
    at = end + 2 + length + 2;
  }
}

function parse(bytes: Buffer): { frame: Frame; bytes: number } | undefined {
  if (bytes.length < 2) return undefined;
  let length = (bytes[1] ?? 0) & 0x7f;
  let at = 2;
  if (length === 126) {
    if (bytes.length < 4) return undefined;
    length = bytes.readUInt16BE(2);
    at = 4;
  } else if (length === 127) {
    if (bytes.length < 10) return undefined;
    length = Number(bytes.readBigUInt64BE(2));
    at = 10;
  }
  if (bytes.length < at + length) return undefined;
  const payload = Buffer.from(bytes.subarray(at, at + length));
  return { frame: { opcode: (bytes[0] ?? 0) & 15, payload }, bytes: at + length };
}
