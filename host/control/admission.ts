/**
 * Who is let in: what a request's Host and Origin may say, and how much of everything one peer, and all of
 * them, may have. Nothing here knows a socket or a clock.
 *
 * Host is checked against DNS rebinding: a page whose own name is made to mean 127.0.0.1 sends that name.
 * An address is no name, so nobody can rebind it. Origin is checked because a browser lets every page open
 * a WebSocket anywhere (RFC 6455 section 10.2).
 */
import { ipBytes, ipText, isLoopback, isUnspecified } from "./address.js";

/** Every limit of the control plane's transport. */
export const LIMITS = {
  /** Connections at once of one address (IPv6: of one /64). A browser has 6 and its channels. */
  connectionsPerPeer: 32,
  /** Connections at once by TCP, of all addresses. */
  connections: 1024,
  /** Connections at once by unix sockets, which the others leave room for: the operator's own way in. */
  localConnections: 64,
  /** Channels (WebSockets) at once, whatever they come by. */
  channels: 256,
  /** Addresses that are remembered at once. */
  peers: 4096,
  /** New connections of one address: per second, and at once. Not for unix sockets. */
  connectsPerSecond: 32,
  connectBurst: 64,
  /** Of one channel, in units: per second, and at once. A frame is one, and one more for each `unitBytes`. */
  unitsPerSecond: 100,
  unitBurst: 500,
  unitBytes: 16 * 1024,

  /** Bytes of a request line and headers. */
  headerBytes: 8 * 1024,
  /** Bytes of a message that comes in. */
  messageBytes: 1024 * 1024,
  /** Bytes that wait for a channel's peer: above it what may be dropped is … */
  softBytes: 256 * 1024,
  /** … and above this one the channel ends. The longest message that can be sent. */
  hardBytes: 4 * 1024 * 1024,
  /** Bytes that wait for all peers: above it a channel that is above its soft limit ends. */
  waitingBytes: 64 * 1024 * 1024,

  /** Milliseconds for a handshake of TLS and a whole request. uWebSockets.js has it built in: 10 to 12 s. */
  requestMs: 10_000,
  /** Milliseconds from a request to the last byte of its answer. */
  answerMs: 30_000,
  /** Milliseconds that a channel may be unauthenticated. */
  authenticationMs: 5000,
  /** Milliseconds of silence after which a channel is asked for a sign of life, … */
  pingMs: 15_000,
  /** … and after which it is over. */
  idleMs: 30_000,
  /** Milliseconds for the peer's part in closing a channel, and for closing the server. */
  closeMs: 1200,
  /** Milliseconds between looks at everything that has a time. */
  sweepMs: 500,
};

export type Limits = typeof LIMITS;

/** Tokens that come back with time. */
export class Bucket {
  private tokens: number;

  /** `now` in milliseconds. It starts full. */
  constructor(
    private readonly perSecond: number,
    private readonly burst: number,
    private at: number,
  ) {
    this.tokens = burst;
  }

  /** False, and nothing taken, where fewer than `cost` are there. */
  take(cost: number, now: number): boolean {
    this.refill(now);
    if (this.tokens < cost) return false;
    this.tokens -= cost;
    return true;
  }

  isFull(now: number): boolean {
    this.refill(now);
    return this.tokens >= this.burst;
  }

  private refill(now: number): void {
    const passed = Math.max(0, now - this.at);
    this.tokens = Math.min(this.burst, this.tokens + (passed * this.perSecond) / 1000);
    this.at = Math.max(this.at, now);
  }
}

/** Why a connection is not taken: also the words of counters. */
export type Refusal = "connections" | "connectionsPerPeer" | "connectRate" | "localConnections";

interface Account {
  connections: number;
  readonly bucket: Bucket;
}

/** The connections of everybody. A key is peerKey's; `undefined` stands for all of the unix sockets. */
export class Peers {
  private readonly accounts = new Map<string, Account>();
  private remote = 0;
  private local = 0;

  constructor(private readonly limits: Limits) {}

  get connections(): number {
    return this.remote + this.local;
  }

  /** Counts one more connection, or says why not. Each one that is counted leaves once. */
  enter(key: string | undefined, now: number): Refusal | undefined {
    if (key === undefined) {
      if (this.local >= this.limits.localConnections) return "localConnections";
      this.local++;
      return undefined;
    }
    const account = this.accounts.get(key) ?? this.open(key, now);
    if (account === undefined) return "connections";
    if (!account.bucket.take(1, now)) return "connectRate";
    if (account.connections >= this.limits.connectionsPerPeer) return "connectionsPerPeer";
    if (this.remote >= this.limits.connections) return "connections";
    account.connections++;
    this.remote++;
    return undefined;
  }

  leave(key: string | undefined): void {
    if (key === undefined) {
      this.local--;
      return;
    }
    const account = this.accounts.get(key);
    if (account === undefined) return;
    account.connections--;
    this.remote--;
  }

  /** Forgets the addresses of which nothing is left to know. */
  sweep(now: number): void {
    for (const [key, { connections, bucket }] of this.accounts) {
      if (connections === 0 && bucket.isFull(now)) this.accounts.delete(key);
    }
  }

  private open(key: string, now: number): Account | undefined {
    if (this.accounts.size >= this.limits.peers) this.sweep(now);
    if (this.accounts.size >= this.limits.peers) return undefined;
    const { connectsPerSecond, connectBurst } = this.limits;
    const account = { connections: 0, bucket: new Bucket(connectsPerSecond, connectBurst, now) };
    this.accounts.set(key, account);
    return account;
  }
}

/** The host of a Host header without its port, in one spelling; undefined where it is malformed. */
export function hostName(header: string): string | undefined {
  const [, bracketed, plain] =
    /^(?:\[([\da-f:.]+)\]|([a-z\d_-]+(?:\.[a-z\d_-]+)*)\.?)(?::\d{1,5})?$/i.exec(header) ?? [];
  if (bracketed !== undefined) {
    const bytes = ipBytes(bracketed);
    return bytes && ipText(bytes);
  }
  return plain?.toLowerCase();
}

/** `https://ops.example` in one spelling; undefined of what is no origin of a page. */
export function originText(text: string): string | undefined {
  if (!/^https?:\/\/[^/?#@\s]+$/i.test(text)) return undefined;
  try {
    return new URL(text).origin;
  } catch {
    return undefined;
  }
}

/** The names that a server goes by. */
export class Names {
  private readonly hosts: ReadonlySet<string>;
  private readonly origins: ReadonlySet<string>;
  private readonly isEverywhere: boolean;

  /**
   * `addresses` are listened on; `hosts` and `origins` are allowed besides, as hostName and originText
   * write them.
   */
  constructor(
    addresses: readonly string[],
    hosts: readonly string[] = [],
    origins: readonly string[] = [],
  ) {
    const listening = addresses.flatMap((text) => ipBytes(text) ?? []);
    this.isEverywhere = listening.some(isUnspecified);
    this.hosts = new Set(["localhost", ...listening.map(ipText), ...hosts]);
    this.origins = new Set(origins);
  }

  /** The port is not looked at: a forwarded one (ssh -L) is another. */
  allowsHost(header: string): boolean {
    const name = hostName(header);
    if (name === undefined) return false;
    if (this.hosts.has(name)) return true;
    const bytes = ipBytes(name);
    return bytes !== undefined && (this.isEverywhere || isLoopback(bytes));
  }

  /** Same origin (RFC 6454: scheme, host and port), or a listed one. */
  allowsOrigin(origin: string, host: string, isTls: boolean): boolean {
    const found = originText(origin);
    if (found === undefined) return false;
    return this.origins.has(found) || found === originText(`${isTls ? "https" : "http"}://${host}`);
  }
}
