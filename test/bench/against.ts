/**
 * This build against another checkout's, in one process: repetition by repetition, the other's, this one's, the
 * other's …, so that a disturbance of the machine hits both. Each build has its own code and module throughout.
 */

import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { Core, type CoreOptions, type CoreRow, rowsOf } from "./core.js";
import { list, median, round } from "./measure.js";

export interface AgainstRow {
  readonly name: CoreRow["name"];
  readonly conns: number;
  readonly oldNs: number;
  readonly newNs: number;
  /** New by old: below 1 is faster. */
  readonly ratio: number;
  readonly oldRaw: readonly number[];
  readonly newRaw: readonly number[];
}

/** One repetition, as rows of one value each. */
export type Repeat = (conns: number, packets: number) => CoreRow[];

/** A checkout of this version, or one from before repetitions could be driven one at a time. */
type Other = Partial<typeof import("./core.js")>;

export class AgainstError extends Error {}

export function repeatBy(core: Core, rows = rowsOf): Repeat {
  return (conns, packets) => rows(conns, packets, [core.repeat(conns, packets)]);
}

function repeatOf({ Core: Repetitions, rowsOf: rows, benchCore }: Other): Repeat {
  if (Repetitions !== undefined && rows !== undefined) return repeatBy(new Repetitions(), rows);
  if (benchCore === undefined) throw new AgainstError("its test/bench/core.js has no benchCore");
  return (conns, packets) => [...benchCore({ conns: [conns], repetitions: 1, packets })];
}

/** What the benchmark of the checkout at `folder` can be driven by. It must have been built. */
export async function openOther(folder: string): Promise<Repeat> {
  const path = join(resolve(folder), "dist/test/bench/core.js");
  if (!existsSync(path)) throw new AgainstError(`${path} is not there: build it first`);
  return repeatOf((await import(pathToFileURL(path).href)) as Other);
}

export function* benchAgainst(
  other: Repeat,
  options: CoreOptions,
  own = repeatBy(new Core()),
): Generator<AgainstRow> {
  for (const conns of options.conns) {
    const old: CoreRow[] = [];
    const now: CoreRow[] = [];
    for (let n = 0; n < options.repetitions; n++) {
      old.push(...other(conns, options.packets));
      now.push(...own(conns, options.packets));
    }
    yield* compare(conns, old, now);
  }
}

/** One row for each name that both have. */
export function compare(
  conns: number,
  old: readonly CoreRow[],
  now: readonly CoreRow[],
): AgainstRow[] {
  const raw = (rows: readonly CoreRow[], name: string) =>
    rows.filter((row) => row.name === name).flatMap((row) => row.raw);
  return [...new Set(now.map(({ name }) => name))].flatMap((name) => {
    const oldRaw = raw(old, name);
    const newRaw = raw(now, name);
    if (oldRaw.length === 0) return [];
    const oldNs = round(median(oldRaw));
    const newNs = round(median(newRaw));
    return [{ name, conns, oldNs, newNs, ratio: round(newNs / oldNs), oldRaw, newRaw }];
  });
}

export function printAgainst(rows: readonly AgainstRow[]): void {
  for (const { name, conns, oldNs, newNs, ratio, oldRaw, newRaw } of rows) {
    const figures = [oldNs, newNs].map((ns) => ns.toFixed(1).padStart(8)).join(" → ");
    console.log(
      `${name.padEnd(11)} ${String(conns).padStart(8)} conns ${figures} ns  × ${ratio.toFixed(2)}` +
        `  (${list(oldRaw)} → ${list(newRaw)})`,
    );
  }
}
