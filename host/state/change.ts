/**
 * A change on its way: what a store hands out between "may it be?" and "it is". Whoever switches the
 * forwarder settles it once, by `commit` when the switch is done or by `abandon` when it is not; the store
 * begins nothing else in between.
 */

import { messageOf } from "../errortext.js";
import type { Now } from "./deadline.js";

/** What the forwarder is to run. */
export interface Target {
  readonly number: number;
  readonly text: string;
}

/** Switches the forwarder. Rejects, and then the forwarder runs what it ran. */
export type SwitchTo = (target: Target) => Promise<void>;

/** What becomes of a change; the store's side of it. */
export interface Settling {
  commit(now: Now): void;
  abandon(why: string, now: Now): void;
}

export class Change implements Target {
  private isSettled = false;

  constructor(
    readonly number: number,
    readonly text: string,
    private readonly settling: Settling,
  ) {}

  /**
   * The forwarder runs `text`.
   * @throws StorageFailed when that cannot be written down: then the forwarder must go back to what the store
   * says is current
   */
  commit(now: Now): void {
    this.settle();
    this.settling.commit(now);
  }

  /** The forwarder does not run `text`. */
  abandon(why: string, now: Now): void {
    this.settle();
    this.settling.abandon(why, now);
  }

  private settle(): void {
    if (this.isSettled) throw new Error(`the change to revision ${this.number} is settled`);
    this.isSettled = true;
  }
}

/** The forwarder runs one configuration and the store says another: only a restart of the process helps. */
export class Diverged extends Error {
  override readonly name = "Diverged";

  constructor(
    readonly running: number,
    readonly current: number,
    override readonly cause: unknown,
  ) {
    const why = messageOf(cause);
    super(`revision ${running} still runs, and revision ${current} should: ${why}`);
  }
}
