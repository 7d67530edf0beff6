/** One turn: receive → process → send → expire. Bounded by the batch, and fair to every interface. */

import { Limit, None } from "../assembly/abi.js";
import type { Datapath } from "./datapath.js";
import type { Interface } from "./device/device.js";

/** Takes what the datapath hands off to other workers. */
export interface Crossings {
  handOff(output: number): void;
}

/** Frames that one interface may put into a batch while others wait. */
const SHARE = 64;

/** Conns and neighbors that one turn looks after. */
const EXPIRE_LIMIT = 256;

/** Milliseconds after which frames are offered again that an interface has not taken. */
const UNSENT_MS = 1;

export class Loop {
  private first = 0;
  private expiredAt = -1;

  /** The interfaces stand in the order of the image that is in force; behind them what others hand off. */
  constructor(
    private readonly datapath: Datapath,
    public interfaces: readonly Interface[],
    private readonly crossings?: Crossings,
  ) {}

  /** Moves what has arrived. Returns how many frames that were; `now` is in milliseconds. */
  turn(now: number): number {
    this.flushUnsent();
    const received = this.receive();
    if (received > 0) {
      this.send(this.datapath.process(now));
      for (const each of this.interfaces) each.release();
    }
    if (now !== this.expiredAt) {
      this.expiredAt = now;
      if (this.datapath.wait(now) === 0) this.send(this.datapath.expire(now, EXPIRE_LIMIT));
    }
    return received;
  }

  /** Milliseconds in which there is nothing to do, unless something arrives. */
  wait(now: number): number {
    const due = this.datapath.wait(now);
    return this.hasUnsent() ? Math.min(due, UNSENT_MS) : due;
  }

  private hasUnsent(): boolean {
    for (const each of this.interfaces) if (each.hasUnsent === true) return true;
    return false;
  }

  private flushUnsent(): void {
    for (const each of this.interfaces) if (each.hasUnsent === true) each.flush();
  }

  /** Fills one batch, beginning with another interface each time: a share for each, then what is left of it. */
  private receive(): number {
    const { length } = this.interfaces;
    if (length === 0) return 0;
    if (this.take(SHARE)) this.take(Limit.Batch);
    this.first = (this.first + 1) % length;
    return this.datapath.inputs.count;
  }

  /** Up to `share` frames from each interface. Whether one of them has had its share, and the batch has room. */
  private take(share: number): boolean {
    const { inputs } = this.datapath;
    const { length } = this.interfaces;
    let hasMore = false;
    for (let n = 0; n < length && inputs.count < Limit.Batch; n++) {
      const index = (this.first + n) % length;
      inputs.interface = index;
      inputs.limit = Math.min(inputs.count + share, Limit.Batch);
      this.interfaces[index]?.receive(inputs);
      hasMore ||= inputs.room === 0;
    }
    return hasMore && inputs.count < Limit.Batch;
  }

  private send(outputs: number): void {
    if (outputs === 0) return;
    const { datapath, interfaces } = this;
    for (let i = 0; i < outputs; i++) {
      const index = datapath.outputInterface(i);
      if (index === None.Short) this.crossings?.handOff(i);
      else interfaces[index]?.send(datapath.outputFrame(i), datapath.outputSize(i));
    }
    for (const each of interfaces) each.flush();
  }
}
