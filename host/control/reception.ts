/**
 * What both implementations do alike: counts who comes, judges requests, has them answered in time, keeps the
 * channels, and looks after all that has a time.
 *
 * A connection is `enter`ed once and `leave`s once, when it is over, or when the channel that it became is.
 */
import { messageOf } from "../errortext.js";
import { ipText, peerKey } from "./address.js";
import { type Limits, type Names, Peers, type Refusal } from "./admission.js";
import { type ChannelLimit, Link, type Surroundings, type Wire } from "./channel.js";
import { type Head, judge, makeReply, type Reply, type Verdict } from "./request.js";
import type { Handlers, Peer, Request } from "./server.js";

/** Refusals and ends by reason, and what is there now. */
export interface Counters {
  connections: number;
  channels: number;
  requests: number;
  readonly refused: Record<
    Refusal | "host" | "origin" | "channels" | "request" | "slowAnswer",
    number
  >;
  readonly ended: Record<ChannelLimit, number>;
}

/** Who has connected, for limits and for handlers. */
export interface Guest {
  readonly key: string | undefined;
  readonly peer: Peer;
}

const LOCAL: Guest = { key: undefined, peer: { address: "unix", isLocalSocket: true } };

/** The guest of this address; `undefined` stands for a unix socket. */
export function guestOf(address: Uint8Array | undefined, tlsClientName?: string): Guest {
  if (address === undefined) return LOCAL;
  const name = tlsClientName === undefined ? {} : { tlsClientName };
  const peer = { address: ipText(address), isLocalSocket: false, ...name };
  return { key: peerKey(address), peer };
}

export class Reception implements Surroundings {
  readonly counters: Counters = {
    connections: 0,
    channels: 0,
    requests: 0,
    refused: {
      connections: 0,
      connectionsPerPeer: 0,
      connectRate: 0,
      localConnections: 0,
      channels: 0,
      host: 0,
      origin: 0,
      request: 0,
      slowAnswer: 0,
    },
    ended: {
      binary: 0,
      tooLong: 0,
      tooMany: 0,
      tooSlow: 0,
      unauthenticated: 0,
      silent: 0,
      failed: 0,
    },
  };
  private readonly peers: Peers;
  private readonly links = new Set<Link>();
  private readonly answering = new Set<{ readonly until: number; readonly abort: () => void }>();
  private timer: NodeJS.Timeout | undefined;
  private isClosing = false;

  constructor(
    private readonly handlers: Handlers,
    private readonly names: Names,
    readonly limits: Limits,
    readonly now: () => number,
    readonly onNotice: (text: string) => void,
  ) {
    this.peers = new Peers(limits);
  }

  start(): void {
    this.timer = setInterval(() => this.sweep(), this.limits.sweepMs);
  }

  get connections(): number {
    return this.peers.connections;
  }

  /** Whether the connection may stay; if so, `leave` is due. */
  enter(guest: Guest): boolean {
    if (this.isClosing) return false;
    const refusal = this.peers.enter(guest.key, this.now());
    if (refusal !== undefined) this.counters.refused[refusal]++;
    this.counters.connections = this.peers.connections;
    return refusal === undefined;
  }

  leave(guest: Guest): void {
    this.peers.leave(guest.key);
    this.counters.connections = this.peers.connections;
  }

  judge(head: Head, guest: Guest, isTls: boolean): Verdict {
    this.counters.requests++;
    const verdict = judge(head, guest.peer, this.names, isTls);
    if (verdict.kind === "reply") this.counters.refused[verdict.why ?? "request"]++;
    if (verdict.kind !== "channel") return verdict;
    if (this.links.size < this.limits.channels && !this.isClosing) return verdict;
    this.counters.refused.channels++;
    return { kind: "reply", reply: makeReply({ status: 503, body: "too many channels\n" }) };
  }

  /** Never rejects: what goes wrong in the handler is a 500. */
  async answer(request: Request): Promise<Reply> {
    try {
      return makeReply(await this.handlers.answer(request));
    } catch (error) {
      this.onNotice(`control: ${request.method} ${request.path}: ${messageOf(error)}`);
      return makeReply({ status: 500, body: "internal error\n" });
    }
  }

  /** `abort` is called once where the answer is not gone in time. Returns what says that it is. */
  expect(abort: () => void): () => void {
    const entry = { until: this.now() + this.limits.answerMs, abort };
    this.answering.add(entry);
    return () => this.answering.delete(entry);
  }

  link(guest: Guest, headers: ReadonlyMap<string, string>, wire: Wire): Link {
    const link = new Link(guest.peer, headers, wire, this);
    this.links.add(link);
    this.counters.channels = this.links.size;
    link.begin((channel) => this.handlers.open(channel));
    return link;
  }

  isCrowded(): boolean {
    let bytes = 0;
    for (const link of this.links) bytes += link.bufferedBytes;
    return bytes > this.limits.waitingBytes;
  }

  onLimit(limit: ChannelLimit): void {
    this.counters.ended[limit]++;
  }

  onOver(link: Link): void {
    this.links.delete(link);
    this.counters.channels = this.links.size;
  }

  /** From now on nobody enters. */
  closeChannels(code: number, reason: string): void {
    this.isClosing = true;
    for (const link of [...this.links]) link.close(code, reason);
  }

  stop(): void {
    this.isClosing = true;
    clearInterval(this.timer);
  }

  private sweep(): void {
    const now = this.now();
    for (const link of [...this.links]) link.tend(now);
    for (const entry of [...this.answering]) {
      if (now < entry.until) continue;
      this.answering.delete(entry);
      this.counters.refused.slowAnswer++;
      entry.abort();
    }
    this.peers.sweep(now);
  }
}
