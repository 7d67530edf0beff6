/**
 * This build against another checkout's, in one process: repetition by repetition, the other's, this one's, the
 * other's …, so that a disturbance of the machine hits both. Each build has its own code and module throughout.
 */

import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { Core, type CoreOptions, type CoreRow, rowsOf } from "./core.js";
import { median, round } from "./measure.js";

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
type Repeat = (conns: number, packets: number) => CoreRow[];

/** A checkout of this version, or one from before repetitions could be driven one at a time. */
type Other = Partial<typeof import("./core.js")>;

export class AgainstError extends Error {}

function repeatOf({ Core: Repetitions, rowsOf: rows, benchCore }: Other): Repeat {
  if (Repetitions !== undefined && rows !== undefined) {
    const core = new Repetitions();
    return (conns, packets) => rows(conns, packets, [core.repeat(conns, packets)]);
  }
  if (benchCore === undefined) throw new AgainstError("its test/bench/core.js has no benchCore");
  return (conns, packets) => [...benchCore({ conns: [conns], repetitions: 1, packets })];
}

/** What the benchmark of the checkout at `folder` can be driven by. It must have been built. */
export async function openOther(folder: string): Promise<Repeat> {
  const path = join(resolve(folder), "dist/test/bench/core.js");
  if (!existsSync(path)) throw new AgainstError(`${path} is not there: build it first`);
  return repeatOf((await import(pathToFileURL(path).href)) as Other);
}

export function* benchAgainst(other: Repeat, options: CoreOptions): Generator<AgainstRow> {
  const own = repeatOf({ Core, rowsOf });
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
