/**
 * Driver `loopback`: an interface without a medium, for tests, replay and the demo without root.
 *
 * Two queues of slots in a window of the linear memory, each bounded in frames:
 *
 *     inject → | receive slots | → receive     send → | transmit slots | → flush → take
 *
 * As with a kernel's ring, a lent slot is free again after `release`, and a full queue loses the newest.
 */
import { Limit } from "../../assembly/abi.js";
import {
  type InputBatch,
  type Interface,
  type LinkCounters,
  type LinkEvent,
  PAGE_BYTES,
  type Window,
} from "./device.js";

/** Holds the longest frame that the datapath accepts, with its headroom, on a cache line. */
const SLOT_BYTES = Math.ceil((Limit.Headroom + Limit.FrameBytes) / 64) * 64;

const SLOTS_DEFAULT = 256;

/** @param slots  frames that each of the two queues holds */
export function loopbackWindowBytes(slots = SLOTS_DEFAULT): number {
  return Math.ceil((2 * slots * SLOT_BYTES) / PAGE_BYTES) * PAGE_BYTES;
}

export class Loopback implements Interface {
  readonly fds: readonly number[] = [];
  readonly counters: LinkCounters = { rxMissed: 0, rxRefused: 0, txDropped: 0 };

  private readonly bytes: Uint8Array;
  private readonly incoming: Queue;
  private readonly outgoing: Queue;
  private lent = 0;
  /** Sent frames that a `flush` has handed over. */
  private flushed = 0;
  private event: LinkEvent | undefined;

  /** @throws RangeError when the window is shorter than loopbackWindowBytes(slots) */
  constructor(
    readonly name: string,
    window: Window,
    slots = SLOTS_DEFAULT,
  ) {
    if (window.bytes < loopbackWindowBytes(slots)) {
      throw new RangeError(`loopback ${name}: window of ${window.bytes} bytes is too short`);
    }
    this.bytes = new Uint8Array(window.memory.buffer);
    this.incoming = new Queue(window.at, slots);
    this.outgoing = new Queue(window.at + slots * SLOT_BYTES, slots);
  }

  /** Frames that wait for `receive`, and for `take`. */
  get arrived(): number {
    return this.incoming.count - this.lent;
  }

  get sent(): number {
    return this.flushed;
  }

  /**
   * A frame arrives from outside. False, and counted, when it is too long or the queue is full.
   * @param vlanTci  as if the kernel had taken the tag off; with a VlanBeside flag
   */
  inject(frame: Uint8Array, vlanTci = 0, flags = 0): boolean {
    if (frame.length > SLOT_BYTES - Limit.Headroom) {
      this.counters.rxRefused++;
      return false;
    }
    const slot = this.incoming.add(frame.length, vlanTci, flags);
    if (slot === undefined) {
      this.counters.rxMissed++;
      return false;
    }
    this.bytes.set(frame, slot.at);
    return true;
  }

  /** The oldest frame that has left, copied; undefined when there is none. */
  take(): Uint8Array | undefined {
    if (this.flushed === 0) return undefined;
    const { at, size } = this.outgoing.oldest(0);
    this.outgoing.remove(1);
    this.flushed--;
    return this.bytes.slice(at, at + size);
  }

  receive(batch: InputBatch): void {
    for (; batch.room > 0 && this.lent < this.incoming.count; this.lent++) {
      const { at, size, vlanTci, flags } = this.incoming.oldest(this.lent);
      batch.push(at, size, vlanTci, flags);
    }
  }

  send(frame: number, size: number): void {
    const slot = size > SLOT_BYTES - Limit.Headroom ? undefined : this.outgoing.add(size, 0, 0);
    if (slot === undefined) this.counters.txDropped++;
    else this.bytes.copyWithin(slot.at, frame, frame + size);
  }

  flush(): void {
    this.flushed = this.outgoing.count;
  }

  release(): void {
    this.incoming.remove(this.lent);
    this.lent = 0;
  }

  /** What the next `check` returns. */
  announce(event: LinkEvent): void {
    this.event = event;
  }

  check(): LinkEvent | undefined {
    const event = this.event;
    this.event = undefined;
    return event;
  }

  close(): void {
    this.lent = 0;
    this.flushed = 0;
    this.incoming.remove(this.incoming.count);
    this.outgoing.remove(this.outgoing.count);
  }
}

interface Slot {
  /** Where the frame begins, its headroom in front. */
  readonly at: number;
  size: number;
  vlanTci: number;
  flags: number;
}

/** First in, first out; slots are made once. */
class Queue {
  private readonly slots: readonly Slot[];
  private first = 0;
  count = 0;

  constructor(at: number, slots: number) {
    this.slots = Array.from({ length: slots }, (_, i) => ({
      at: at + i * SLOT_BYTES + Limit.Headroom,
      size: 0,
      vlanTci: 0,
      flags: 0,
    }));
  }

  /** The slot to fill, undefined when all are in use. */
  add(size: number, vlanTci: number, flags: number): Slot | undefined {
    if (this.count === this.slots.length) return undefined;
    const slot = this.oldest(this.count++);
    slot.size = size;
    slot.vlanTci = vlanTci;
    slot.flags = flags;
    return slot;
  }

  /** @param after  how many are older */
  oldest(after: number): Slot {
    return this.slots[(this.first + after) % this.slots.length] as Slot;
  }

  remove(count: number): void {
    this.first = (this.first + count) % this.slots.length;
    this.count -= count;
  }
}
