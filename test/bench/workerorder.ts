/** What a thread of the workers' benchmark is asked for, and what it answers. */

import type { BoardBuffers } from "../../host/workers/board.js";
import type { Stint } from "./barrier.js";
import type { ClockName } from "./clock.js";
import type { EdgeShape } from "./plan.js";

export interface HandStart {
  readonly clock: ClockName;
}

/** One repetition: which of how many workers it is, and what it shares with the others. */
export interface WorkerOrder {
  readonly shape: EdgeShape;
  readonly workers: number;
  readonly worker: number;
  /** Of all workers together, for each steady figure. */
  readonly packets: number;
  readonly barrier: SharedArrayBuffer;
  readonly board: BoardBuffers;
  /** CrossedAt. */
  readonly crossed: SharedArrayBuffer;
}

/** Words: frames that were given to a worker that is not theirs, and those of them that have left. */
export enum CrossedAt {
  Given = 0,
  Left = 16,
  Words = 32,
}

export const WORKER_COSTS = ["set-up", "steady-out", "steady-in", "handed-off"] as const;
export type WorkerCost = (typeof WORKER_COSTS)[number];

/** What is left out has not been measured: alone, nobody hands off. */
export type Stints = Readonly<Partial<Record<WorkerCost, Stint>>>;
