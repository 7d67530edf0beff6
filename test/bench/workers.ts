/**
 * What several workers forward together by what one does: real threads, each with a datapath, a memory and a share of the
 * hosts of its own (workerthread.ts), timed from a common start to a common end. One worker and several take turns,
 * repetition by repetition.
 */

import { cpus } from "node:os";
import { Worker } from "node:worker_threads";
import { makeBoard } from "../../host/workers/board.js";
import { Barrier, type Stint, together } from "./barrier.js";
import { clockName } from "./clock.js";
import { median, round } from "./measure.js";
import type { EdgeShape } from "./plan.js";
import {
  CrossedAt,
  type HandStart,
  type Stints,
  WORKER_COSTS,
  type WorkerCost,
  type WorkerOrder,
} from "./workerorder.js";

export interface WorkersOptions {
  /** The first is what the others are compared with. */
  readonly workers: readonly number[];
  /** Sites, by the conns of all workers together. */
  readonly shapes: readonly EdgeShape[];
  readonly repetitions: number;
  /** Of all workers together, for each steady figure of each repetition. */
  readonly packets: number;
}

export interface WorkersRow {
  readonly workers: number;
  readonly conns: number;
  readonly name: WorkerCost;
  /** Million packets a second of all workers together, or conns where they are set up. */
  readonly mpps: number;
  readonly raw: readonly number[];
  /** By the first number of workers; of handed-off packets, by its `steady-out`. */
  readonly byFirst: number;
  /** The same of the fastest repetitions. */
  readonly bestByFirst: number;
}

/** One repetition of one number of workers. */
export type Rates = Readonly<Partial<Record<WorkerCost, number>>>;

/** Threads that take orders. */
class Crew {
  private readonly hands: readonly Worker[];

  constructor(size: number) {
    const path = new URL("./workerthread.js", import.meta.url);
    const workerData: HandStart = { clock: clockName() };
    this.hands = Array.from({ length: size }, () => new Worker(path, { workerData }));
  }

  /** One repetition by the first `workers` of them; the others sleep. */
  async repeat(shape: EdgeShape, workers: number, packets: number): Promise<Rates> {
    const shared = {
      barrier: Barrier.make(),
      board: makeBoard(workers),
      crossed: new SharedArrayBuffer(CrossedAt.Words * 4),
    };
    const all = await Promise.all(
      this.hands.slice(0, workers).map((hand, worker) => {
        return ask(hand, { shape: { ...shape, workers }, workers, worker, packets, ...shared });
      }),
    );
    return ratesOf(all);
  }

  async close(): Promise<void> {
    await Promise.all(this.hands.map((hand) => hand.terminate()));
  }
}

function ask(hand: Worker, order: WorkerOrder): Promise<Stints> {
  return new Promise((resolve, reject) => {
    const settle = (act: () => void) => {
      hand.off("message", answered).off("error", failed);
      act();
    };
    const answered = (stints: Stints) => settle(() => resolve(stints));
    const failed = (error: Error) => settle(() => reject(error));
    hand.on("message", answered).on("error", failed).postMessage(order);
  });
}

function ratesOf(all: readonly Stints[]): Rates {
  return Object.fromEntries(
    WORKER_COSTS.flatMap((name) => {
      const stints = all.map((each) => each[name]).filter((each): each is Stint => !!each);
      return stints.length === 0 ? [] : [[name, together(stints, clockName()) / 1e6]];
    }),
  );
}

/** Numbers of workers for which there are cores; a thread that waits for one would be measured with its waiting. */
export function fitting(workers: readonly number[]): number[] {
  return workers.filter((each) => each <= cpus().length);
}

export async function benchWorkers(options: WorkersOptions): Promise<WorkersRow[]> {
  const { shapes, repetitions, packets } = options;
  const workers = fitting(options.workers);
  if (workers.length === 0) return [];
  const crew = new Crew(Math.max(...workers));
  const rows: WorkersRow[] = [];
  try {
    for (const shape of shapes) {
      const all = workers.map((): Rates[] => []);
      // The first one is for the compiler.
      for (let n = -1; n < repetitions; n++) {
        for (const [i, each] of workers.entries()) {
          const rates = await crew.repeat(shape, each, packets);
          if (n >= 0) all[i]?.push(rates);
        }
      }
      rows.push(...workerRows(shape.conns, workers, all));
    }
  } finally {
    await crew.close();
  }
  return rows;
}

/** @param all  the repetitions of each number of workers */
export function workerRows(
  conns: number,
  workers: readonly number[],
  all: readonly (readonly Rates[])[],
): WorkersRow[] {
  const rawOf = (i: number, name: WorkerCost) =>
    (all[i] ?? []).flatMap((rates) => rates[name] ?? []);
  return WORKER_COSTS.flatMap((name) => {
    const first = rawOf(0, name === "handed-off" ? "steady-out" : name);
    return workers.flatMap((each, i) => {
      const raw = rawOf(i, name);
      if (raw.length === 0) return [];
      const mpps = round(median(raw));
      const byFirst = round(median(raw) / median(first));
      const bestByFirst = round(Math.max(...raw) / Math.max(...first));
      return [{ workers: each, conns, name, mpps, raw: raw.map(round), byFirst, bestByFirst }];
    });
  });
}

export function printWorkers(rows: readonly WorkersRow[]): void {
  for (const { workers, conns, name, mpps, byFirst, bestByFirst, raw } of rows) {
    console.log(
      `workers   ${String(workers).padStart(8)}  ${name.padEnd(12)} ${String(conns).padStart(8)} conns ` +
        `${mpps.toFixed(2).padStart(7)} M/s  × ${byFirst.toFixed(2)}, best × ${bestByFirst.toFixed(2)}  ` +
        `(${raw.map((each) => each.toFixed(2)).join(" ")})`,
    );
  }
}
