/**
 * One worker's side of all crossings: an interface without a medium, by which the loop receives what others hand off,
 * and to which it gives what belongs to others (assembly/handoff.ts).
 *
 * A frame says under which configuration it was sent. One of a later configuration waits until this worker has switched,
 * too; one of the configuration before is taken where its device is still the same, all others are dropped and counted.
 */

import { DescriptorFlag, Limit, RESERVATION_BYTES } from "../../assembly/abi.js";
import type { Datapath } from "../datapath.js";
import type { InputBatch, Interface, LinkCounters, Window } from "../device/device.js";
import type { Allowances } from "./allowances.js";
import type { Board } from "./board.js";
import type { CrossingRing } from "./ring.js";

/** Holds the longest frame, its headroom in front, with what it may ask. */
const LONGEST = Limit.FrameBytes + RESERVATION_BYTES;
const SLOT_BYTES = Math.ceil((Limit.Headroom + LONGEST + 8) / 64) * 64;

export function handOffWindowBytes(): number {
  return Limit.Batch * SLOT_BYTES;
}

/** Which configuration a worker works under. */
export interface Standing {
  readonly number: number;
  /** The one before, and the numbers of the devices that are still what they were in it. */
  readonly before: number;
  readonly kept: ReadonlySet<number>;
}

export interface HandOffOptions {
  readonly worker: number;
  readonly workers: number;
  readonly board: Board;
  readonly datapath: Datapath;
  readonly allowances: Allowances;
  /** At least handOffWindowBytes long. */
  readonly window: Window;
  /** Ends the sleep of a worker. */
  wake(worker: number): void;
}

export class HandOff implements Interface {
  readonly name: string;
  readonly fds: readonly number[] = [];
  /** rxMissed: of another configuration; txDropped: the ring was full. */
  readonly counters: LinkCounters = { rxMissed: 0, rxRefused: 0, txDropped: 0 };
  standing: Standing = { number: 0, before: -1, kept: new Set() };
  private readonly memory: Int32Array;
  private readonly incoming: readonly CrossingRing[];
  private readonly outgoing: readonly CrossingRing[];
  /** Rings into which something was put since the last `flush`. */
  private readonly filled: boolean[];
  private lent = 0;
  private first = 0;

  constructor(private readonly options: HandOffOptions) {
    const { worker, workers, board, window } = options;
    this.name = `worker ${worker}`;
    this.memory = new Int32Array(window.memory.buffer);
    const all = Array.from({ length: workers }, (_, i) => i);
    this.incoming = all.map((from) => board.ring(from, worker));
    this.outgoing = all.map((to) => board.ring(worker, to));
    this.filled = all.map(() => false);
  }

  /** Whether others have handed something off that can be taken now. */
  get waiting(): boolean {
    return this.incoming.some((ring) => ring.waiting && ring.configuration <= this.standing.number);
  }

  receive(batch: InputBatch): void {
    const { incoming } = this;
    this.first = (this.first + 1) % incoming.length;
    for (let n = 0; n < incoming.length; n++) {
      this.drain(incoming[(this.first + n) % incoming.length] as CrossingRing, batch);
    }
  }

  /** Lends copies, so that their places in the ring are free at once. */
  private drain(ring: CrossingRing, batch: InputBatch): void {
    while (batch.room > 0 && ring.waiting) {
      const { configuration } = ring;
      if (configuration > this.standing.number) break;
      if (configuration === this.standing.number || this.isKept(ring)) {
        const slot = this.options.window.at + this.lent++ * SLOT_BYTES + Limit.Headroom;
        const frame = ring.copy(this.memory, slot);
        batch.push(frame, ring.size, ring.place, ring.flags);
      } else {
        this.counters.rxMissed++;
      }
      ring.take();
    }
    ring.release();
  }

  /** Whether a frame of the configuration before means the same now. */
  private isKept(ring: CrossingRing): boolean {
    const { before, kept } = this.standing;
    const isTurned = (ring.flags & DescriptorFlag.Turned) !== 0;
    return ring.configuration === before && !isTurned && kept.has(ring.place);
  }

  /** Gives an output of the datapath to the worker that it names. */
  handOff(i: number): void {
    const { datapath, allowances, worker } = this.options;
    const to = datapath.outputDevice(i);
    const flags = datapath.outputFlags(i);
    if (to === worker && (flags & DescriptorFlag.Asked) !== 0) {
      allowances.lend(datapath.outputZone(i));
    }
    const frame = datapath.outputFrame(i);
    const size = datapath.outputSize(i);
    const place = datapath.outputPlace(i);
    const put = this.outgoing[to]?.put(
      this.memory,
      frame,
      size,
      this.standing.number,
      place,
      flags,
    );
    if (put === true) this.filled[to] = true;
    else this.counters.txDropped++;
  }

  send(): void {
    throw new Error(`${this.name}: nothing is sent by it`);
  }

  flush(): void {
    const { filled, outgoing } = this;
    for (let to = 0; to < filled.length; to++) {
      if (!filled[to]) continue;
      filled[to] = false;
      outgoing[to]?.publish();
      if (to !== this.options.worker && this.options.board.mustWake(to)) this.options.wake(to);
    }
  }

  release(): void {
    this.lent = 0;
  }

  check(): undefined {
    return undefined;
  }

  close(): void {}
}
