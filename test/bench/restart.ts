/**
 * What going on in another process costs: how long conns take to be saved and restored, the longest time between two batches
 * while they are saved, and what that costs packets. The datapath alone: the main thread writes the file beside it.
 */

import { RestoredAt } from "../../assembly/abi.js";
import { instantiatorOf, loadModule, RECORDS_BYTES } from "../../host/datapath.js";
import { SLICE } from "../../host/workers/jobs.js";
import { restoreRecords } from "../../host/workers/restoring.js";
import { Edge } from "./edge.js";
import { median, round, timeNs } from "./measure.js";
import { fill, type Site, Traffic } from "./query.js";

export interface RestartOptions {
  readonly conns: readonly number[];
  readonly repetitions: number;
}

export interface RestartRow {
  readonly conns: number;
  readonly bytes: number;
  /** Milliseconds to save all, nothing else to do; the median and the longest slice, microseconds. */
  readonly saveMs: number;
  readonly sliceUs: number;
  readonly longestUs: number;
  /** Milliseconds by which packets take longer while one snapshot is made among them. */
  readonly costMs: number;
  /** Milliseconds to restore all into an empty datapath. */
  readonly restoreMs: number;
}

/** Saves all, slice by slice; `between` is called behind each. */
function save({ edge }: Site, into: Uint8Array, between: () => void): number {
  const { datapath } = edge;
  let length = 0;
  datapath.beginSave();
  while (!datapath.isSaved) {
    length += datapath.save(SLICE, edge.now, into, length);
    between();
  }
  return length;
}

function slices({ edge }: Site, into: Uint8Array): number[] {
  const { datapath } = edge;
  const all: number[] = [];
  datapath.beginSave();
  while (!datapath.isSaved) all.push(timeNs(() => datapath.save(SLICE, edge.now, into, 0)));
  return all;
}

function restoreMs(site: Site, records: Uint8Array, conns: number): number {
  const { datapath, now } = new Edge(site.plan, instantiatorOf(loadModule()));
  datapath.beginRestore();
  const ns = timeNs(() => {
    restoreRecords(datapath, { records, elapsed: 0, old: false }, now, () => {});
    datapath.endRestore(now);
  });
  const restored = datapath.restored(RestoredAt.Conns)[0] ?? 0;
  if (restored !== conns) throw new Error(`${restored} of ${conns} conns are restored`);
  return ns / 1e6;
}

function measure(conns: number, repetitions: number): RestartRow {
  const site = fill(conns);
  const into = new Uint8Array(conns * 128 + 2 * RECORDS_BYTES);
  const traffic = new Traffic(site);
  const samples = { save: [] as number[], cost: [] as number[], restore: [] as number[] };
  const times: number[] = [];
  let bytes = 0;
  for (let n = 0; n < repetitions; n++) {
    samples.save.push(
      timeNs(() => {
        bytes = save(site, into, () => {});
      }),
    );
    times.push(...slices(site, into));
    let turns = 0;
    const loaded = timeNs(() =>
      save(site, into, () => {
        traffic.turn();
        turns++;
      }),
    );
    const alone = timeNs(() => {
      for (let turn = 0; turn < turns; turn++) traffic.turn();
    });
    samples.cost.push(loaded - alone);
  }
  const length = save(site, into, () => {});
  for (let n = 0; n < Math.min(3, repetitions); n++) {
    samples.restore.push(restoreMs(site, into.subarray(0, length), conns));
  }
  return {
    conns,
    bytes,
    saveMs: round(median(samples.save) / 1e6),
    sliceUs: round(median(times) / 1e3),
    longestUs: round(Math.max(...times) / 1e3),
    costMs: round(median(samples.cost) / 1e6),
    restoreMs: round(median(samples.restore)),
  };
}

export function benchRestart({ conns, repetitions }: RestartOptions): RestartRow[] {
  return conns.map((count) => measure(count, repetitions));
}

export function printRestart(rows: readonly RestartRow[]): void {
  for (const { conns, bytes, saveMs, sliceUs, longestUs, costMs, restoreMs } of rows) {
    console.log(
      `${String(conns).padStart(8)} conns: ${(bytes / 1e6).toFixed(1).padStart(6)} MB, ` +
        `saved in ${saveMs.toFixed(1)} ms, slice ${sliceUs.toFixed(0)} µs (≤ ${longestUs.toFixed(0)}), ` +
        `costs packets ${costMs.toFixed(1)} ms; restored in ${restoreMs.toFixed(0)} ms`,
    );
  }
}
