/** One turn: receive → process → send → expire. Bounded by the batch, and fair to every interface. */

import { Limit } from "../assembly/abi.js";
import type { Datapath } from "./datapath.js";
import type { Interface } from "./device/device.js";

/** Frames that one interface may put into a batch while others wait. */
const SHARE = 64;

/** Conns and neighbors that one turn looks after. */
const EXPIRE_LIMIT = 256;

export class Loop {
  private first = 0;
  private expiredAt = -1;

  /** The interfaces stand in the order of the image that is in force. */
  constructor(
    private readonly datapath: Datapath,
    public interfaces: readonly Interface[],
  ) {}

  /** Moves what has arrived. Returns how many frames that were; `now` is in milliseconds. */
  turn(now: number): number {
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

  /** Fills one batch, beginning with another interface each time. */
  private receive(): number {
    const { inputs } = this.datapath;
    const { length } = this.interfaces;
    for (let n = 0; n < length && inputs.count < Limit.Batch; n++) {
      const index = (this.first + n) % length;
      inputs.interface = index;
      inputs.limit = Math.min(inputs.count + SHARE, Limit.Batch);
      this.interfaces[index]?.receive(inputs);
    }
    this.first = length === 0 ? 0 : (this.first + 1) % length;
    return inputs.count;
  }

  private send(outputs: number): void {
    if (outputs === 0) return;
    const { datapath, interfaces } = this;
    for (let i = 0; i < outputs; i++) {
      interfaces[datapath.outputInterface(i)]?.send(
        datapath.outputFrame(i),
        datapath.outputSize(i),
      );
    }
    for (const each of interfaces) each.flush();
  }
}
