/**
 * A channel, whatever carries it: what waits for its peer is bounded, what comes in is counted, and silence
 * ends it.
 *
 *     open ──close, a limit, the peer, silence──▶ over
 *
 * `over` is final, and onClose has been called by the time it is reached. What the wire still does then (the
 * closing handshake, its own deadline) concerns nobody above.
 */
import { messageOf } from "../errortext.js";
import { Bucket, type Limits } from "./admission.js";
import type { Channel, ChannelEvents, Peer } from "./server.js";

/** RFC 6455 section 5.5: a control frame's 125 bytes less those of the code. */
const REASON_BYTES = 123;

/** What an implementation gives for a channel. Nothing of it is called after the end. */
export interface Wire {
  readonly bufferedBytes: number;
  send(text: Uint8Array): void;
  ping(): void;
  /** The close frame behind what waits, then the end, by force after a while. */
  end(code: number, reason: string): void;
  terminate(): void;
}

/** What a channel asks of the place that it stands in. */
export interface Surroundings {
  readonly limits: Limits;
  now(): number;
  /** Too many bytes wait for all peers together. */
  isCrowded(): boolean;
  onNotice(text: string): void;
  /** It ended for a reason of ours, which is counted. */
  onLimit(limit: ChannelLimit): void;
  onOver(link: Link): void;
}

export type ChannelLimit =
  | "binary"
  | "tooLong"
  | "tooMany"
  | "tooSlow"
  | "unauthenticated"
  | "silent"
  | "failed";

export class Link implements Channel {
  private events: ChannelEvents | undefined;
  private ended: { readonly code: number; readonly reason: string } | undefined;
  private isAuthenticated = false;
  private isSlow = false;
  private heardAt: number;
  private pingedAt: number;
  private readonly openedAt: number;
  private readonly units: Bucket;

  constructor(
    readonly peer: Peer,
    readonly headers: ReadonlyMap<string, string>,
    private readonly wire: Wire,
    private readonly around: Surroundings,
  ) {
    const now = around.now();
    this.openedAt = now;
    this.heardAt = now;
    this.pingedAt = now;
    const { unitsPerSecond, unitBurst } = around.limits;
    this.units = new Bucket(unitsPerSecond, unitBurst, now);
  }

  get isOpen(): boolean {
    return !this.isOver;
  }

  private get isOver(): boolean {
    return this.ended !== undefined;
  }

  get bufferedBytes(): number {
    return this.isOver ? 0 : this.wire.bufferedBytes;
  }

  begin(open: (channel: Channel) => ChannelEvents): void {
    this.guarded(() => {
      const events = open(this);
      // It may have been closed in there, by somebody who could not be told of it yet.
      if (this.ended === undefined) this.events = events;
      else events.onClose(this.ended.code, this.ended.reason);
    });
  }

  send(text: string): boolean {
    if (this.isOver) return false;
    const { softBytes, hardBytes } = this.around.limits;
    const bytes = Buffer.from(text);
    const waiting = this.wire.bufferedBytes;
    const isTooSlow = waiting > softBytes && this.around.isCrowded();
    if (isTooSlow || waiting + bytes.length > hardBytes) {
      this.limit("tooSlow", 1013, `${waiting} bytes wait to be read`);
      return false;
    }
    this.wire.send(bytes);
    if (!this.isOver && this.wire.bufferedBytes > softBytes) this.isSlow = true;
    return !this.isSlow;
  }

  offer(text: string): boolean {
    if (this.isOver) return false;
    if (this.bufferedBytes > this.around.limits.softBytes) this.isSlow = true;
    if (this.isSlow) return false;
    this.send(text);
    return !this.isOver;
  }

  authenticated(): void {
    this.isAuthenticated = true;
  }

  close(code: number, reason: string): void {
    if (this.isOver) return;
    const short = shortened(reason);
    this.over(code, short, () => this.wire.end(code, short));
  }

  // What the implementation tells.

  received(text: () => string, bytes: number): void {
    const { messageBytes } = this.around.limits;
    if (bytes > messageBytes) this.tooLong();
    else if (this.heard(bytes)) this.guarded(() => this.events?.onMessage(text()));
  }

  receivedBinary(): void {
    this.limit("binary", 1003, "text messages only");
  }

  tooLong(): void {
    this.limit("tooLong", 1009, `a message has at most ${this.around.limits.messageBytes} bytes`);
  }

  /** A frame of this many bytes, whatever its kind; false where it was one too many. */
  heard(bytes: number): boolean {
    if (this.isOver) return false;
    const { limits } = this.around;
    this.heardAt = this.around.now();
    if (this.units.take(1 + Math.floor(bytes / limits.unitBytes), this.heardAt)) return true;
    this.limit("tooMany", 1008, "too many messages");
    return false;
  }

  drained(): void {
    if (!this.isSlow || this.bufferedBytes > this.around.limits.softBytes) return;
    this.isSlow = false;
    this.guarded(() => this.events?.onDrain?.());
  }

  /** The wire is at its end. */
  gone(code: number, reason: string): void {
    this.over(code, reason, () => {});
  }

  /** What time asks for. */
  tend(now: number): void {
    if (this.isOver) return;
    const { authenticationMs, idleMs, pingMs } = this.around.limits;
    if (!this.isAuthenticated && now - this.openedAt >= authenticationMs) {
      this.limit("unauthenticated", 1008, `not authenticated within ${authenticationMs / 1000} s`);
    } else if (now - this.heardAt >= idleMs) {
      this.around.onLimit("silent");
      this.over(1006, `silent for ${idleMs / 1000} s`, () => this.wire.terminate());
    } else if (now - Math.max(this.heardAt, this.pingedAt) >= pingMs) {
      this.pingedAt = now;
      this.wire.ping();
    }
  }

  private limit(limit: ChannelLimit, code: number, reason: string): void {
    if (this.isOver) return;
    this.around.onLimit(limit);
    this.close(code, reason);
  }

  private over(code: number, reason: string, end: () => void): void {
    if (this.isOver) return;
    this.ended = { code, reason };
    this.around.onOver(this);
    end();
    try {
      this.events?.onClose(code, reason);
    } catch (error) {
      this.around.onNotice(`control: a channel's end was not taken well: ${messageOf(error)}`);
    }
  }

  private guarded(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.around.onNotice(`control: a channel failed: ${messageOf(error)}`);
      this.limit("failed", 1011, "internal error");
    }
  }
}

/** At most 123 bytes, cut between characters. */
function shortened(reason: string): string {
  const bytes = Buffer.from(reason);
  if (bytes.length <= REASON_BYTES) return reason;
  let end = REASON_BYTES;
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.subarray(0, end).toString();
}
