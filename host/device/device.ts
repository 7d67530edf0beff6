/**
 * What every driver offers the loop: an open network interface whose frames stand in the linear memory.
 *
 * One turn of the loop calls, in this order: `receive` (lends frames), the datapath, `send` for each
 * frame that leaves here, `flush`, and `release` on every interface whose frames were lent. A lent frame
 * may be rewritten where it stands, up to Limit.Headroom bytes in front of it included, until `release`.
 */

import type { Sharing } from "./fanout.js";

/** Where a driver puts what it received; each push takes one of `room` places. */
export interface InputBatch {
  /** Frames that still fit into this turn. */
  readonly room: number;
  /**
   * @param frame  byte address in the linear memory, with Limit.Headroom writable bytes before it
   * @param size  bytes of the frame
   * @param vlanTci  tag control information of a tag that travels beside the frame, else 0
   * @param flags  bits of DescriptorFlag
   */
  push(frame: number, size: number, vlanTci: number, flags: number): void;
}

/** Windows begin at, and have, multiples of this: a page of a linear memory, and of every kernel that we run on. */
export const PAGE_BYTES = 65536;

/** Bytes of the longest link header, with two tags. */
export const LINK_BYTES_MAX = 22;

/** A page-aligned stretch of the linear memory that a driver owns while it is open. */
export interface Window {
  readonly memory: WebAssembly.Memory;
  readonly at: number;
  readonly bytes: number;
}

/** The datapath's helpers for frames whose sender left work to a network card (see wire/offload.ts). */
export interface Offload {
  /** Completes the checksum that begins at `start` and is stored at `start + offset`; false when outside. */
  completeChecksum(frame: number, size: number, start: number, offset: number): boolean;
  /**
   * Cuts a TCP or UDP frame of up to 64 KiB into frames with `segmentBytes` of payload each, with all
   * headers and checksums right. Writes frame i's size as a u32 at `into + i * stride` and the frame
   * itself at `into + i * stride + Limit.Headroom`. Returns how many, 0 when it cannot be cut or needs
   * more than `max` frames or longer ones than a stride holds.
   */
  segment(
    frame: number,
    size: number,
    segmentBytes: number,
    into: number,
    stride: number,
    max: number,
  ): number;
}

/** The kernel may still write into a window that its driver gave back: nobody may use it again. */
export class StillMapped extends Error {
  override readonly name = "StillMapped";
}

export type LinkEvent = "up" | "down" | "lost" | "returned";

/** Frames and bytes that the driver itself could not carry, since it was opened. */
export interface LinkCounters {
  /** Lost by the kernel or the medium before we saw them (ring full). */
  rxMissed: number;
  /** Refused by the driver: truncated, or with an offload that cannot be undone. */
  rxRefused: number;
  /** Not sent: ring full or refused by the kernel. */
  txDropped: number;
}

export interface Interface {
  readonly name: string;
  /** File descriptors to poll for input; empty where there are none. Changes when a link returns. */
  readonly fds: readonly number[];
  readonly counters: Readonly<LinkCounters>;
  /** Lends what has arrived, up to `batch.room` frames; never waits. */
  receive(batch: InputBatch): void;
  /** Queues one frame to leave; its bytes are copied or owned before `flush` returns. */
  send(frame: number, size: number): void;
  /** Hands the queued frames to the medium. */
  flush(): void;
  /** The medium has not taken all of them: `flush` is to be called again soon. */
  readonly hasUnsent?: boolean;
  /** Takes back all lent frames. */
  release(): void;
  /** Looks after the link; called about once a second. An event is returned once. */
  check(): LinkEvent | undefined;
  /** It is there again and waits for another worker, which opens it first: `check` is to be called soon. */
  readonly isAwaitingTurn?: boolean;
  /**
   * Shares what comes in with other workers by another program from now on; only where it is shared.
   * @throws SystemError; then it goes on by the one before
   */
  steer?(sharing: Sharing): void;
  /**
   * Lets in frames for these MACs, too: before the switch to a configuration that has them.
   * @throws SystemError; then nothing has changed
   */
  widen?(macs: readonly Uint8Array[]): void;
  /** Lets in frames for these MACs alone, as far as the kernel plays along; what it refuses is a notice. */
  narrow?(macs: readonly Uint8Array[]): void;
  /** @throws StillMapped when the window could not be freed; everything else is closed */
  close(): void;
}
