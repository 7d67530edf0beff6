/**
 * What the product occupies, and how long it takes to start: bytes of the arena for one more of everything that a
 * capacity counts, those of a conn by their parts, resident bytes of a process with an empty and a full table, and the time from exec to the first
 * frame forwarded, by its parts.
 *
 * The processes are children of this one (startup.ts), and those of different capacities take turns.
 */

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  type ArenaCapacity,
  type Instantiate,
  instantiatorOf,
  loadModule,
  measureArena,
} from "../../host/datapath.js";
import { type ConnPart, connParts } from "./connbytes.js";
import { FRAME_BYTES, Pristine } from "./edge.js";
import { list, quantile, round, sampleOf } from "./measure.js";
import { documentOf } from "./plan.js";

const FIRST_FRAME = Buffer.from(
  Pristine.outward(Uint32Array.of(0)).bytes.subarray(0, FRAME_BYTES),
).toString("hex");
const STARTUP = fileURLToPath(new URL("startup.js", import.meta.url));

/**
 * A start, in its order:
 *
 *     node    from exec to the first line of ours
 *     code    the host's own code is loaded
 *     config  the configuration is read, checked and an image
 *     thread  the second thread runs, with its code loaded
 *     module  the datapath is compiled
 *     arena   the memory is there and laid out
 *     image   interfaces are open, the configuration is in force
 *     frame   the first frame has left
 */
export const PARTS = [
  "node",
  "code",
  "config",
  "thread",
  "module",
  "arena",
  "image",
  "frame",
] as const;
export type Part = (typeof PARTS)[number];

/** When each part ended, by the system's monotonic clock, nanoseconds: the same for all processes. */
export type Marks = Readonly<Record<Part, number>>;

/** What the started process prints. */
export interface Started {
  readonly marks: Marks;
  /** Bytes, after the first frame and with all conns. */
  readonly residentAtStart: number;
  readonly residentFull: number;
  readonly arenaBytes: number;
}

export interface MemoryOptions {
  /** `capacity.conns` of the processes. */
  readonly conns: readonly number[];
  /** Starts with each of them. */
  readonly starts: number;
  /** How many of these fill their table. */
  readonly fills: number;
}

/** What one more of a capacity adds to the arena, averaged over a million of them, or as many as fit. */
export interface ArenaShare {
  readonly what: keyof ArenaCapacity;
  readonly bytes: number;
}

export interface ResidentRow {
  readonly conns: number;
  /** After the first frame, or with as many conns as the table holds. */
  readonly name: "started" | "full";
  readonly bytes: number;
  readonly raw: readonly number[];
  /** Of these the arena's, used or not. */
  readonly arenaBytes: number;
}

export interface StartRow {
  readonly conns: number;
  readonly part: Part | "total";
  readonly ms: number;
  readonly p90Ms: number;
  readonly raw: readonly number[];
}

export interface MemoryResult {
  readonly shares: readonly ArenaShare[];
  /** Of the share of conns: together they are all of it. */
  readonly connParts: readonly ConnPart[];
  /** The largest `capacity.conns` that an arena has room for, everything else at its smallest. */
  readonly connsMax: number;
  readonly resident: readonly ResidentRow[];
  readonly starts: readonly StartRow[];
}

const SMALL: ArenaCapacity = { conns: 1024, neighbors: 64, poolAddresses: 1, imageBytes: 4096 };

/** Large steps: tables are rounded up to whole buckets, slots and lines. */
const STEPS: Readonly<Record<keyof ArenaCapacity, number>> = {
  conns: 1 << 20,
  neighbors: 1 << 18,
  poolAddresses: 1 << 14,
  imageBytes: 1 << 20,
};

function sharesOf(code: Instantiate): ArenaShare[] {
  const bytesWith = (what: keyof ArenaCapacity, count: number) =>
    measureArena(code, { ...SMALL, [what]: count });
  return (Object.keys(STEPS) as (keyof ArenaCapacity)[]).map((what) => {
    const step = STEPS[what];
    return { what, bytes: round((bytesWith(what, 2 * step) - bytesWith(what, step)) / step) };
  });
}

function partsOfConn(): Promise<ConnPart[]> {
  const conns = STEPS.conns;
  return connParts({ ...SMALL, conns }, { ...SMALL, conns: 2 * conns });
}

function connsMaxOf(code: Instantiate): number {
  let [fits, tooMany] = [0, 1 << 24];
  while (tooMany - fits > 1) {
    const middle = Math.floor((fits + tooMany) / 2);
    if (hasRoom(code, middle)) fits = middle;
    else tooMany = middle;
  }
  return fits;
}

function hasRoom(code: Instantiate, conns: number): boolean {
  try {
    return measureArena(code, { ...SMALL, conns }) > 0;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}

/** A process: when it was asked for, and what it told. */
interface Run extends Started {
  readonly began: number;
}

/** @param filled  conns that it makes */
function start(config: string, filled: number): Run {
  const began = Number(process.hrtime.bigint());
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [STARTUP, config, String(filled), FIRST_FRAME],
    { encoding: "utf8" },
  );
  if (status !== 0) throw new Error(`the started process failed:\n${stderr}`);
  return { began, ...(JSON.parse(stdout) as Started) };
}

/** Milliseconds of each part, and of all. */
function partsOf({ began, marks }: Run): Record<StartRow["part"], number> {
  const parts = PARTS.map((part, i) => {
    const before = PARTS[i - 1];
    return [part, (marks[part] - (before === undefined ? began : marks[before])) / 1e6] as const;
  });
  const total = (marks.frame - began) / 1e6;
  return { ...(Object.fromEntries(parts) as Record<Part, number>), total };
}

export async function benchMemory({ conns, starts, fills }: MemoryOptions): Promise<MemoryResult> {
  const code = instantiatorOf(loadModule());
  const runs = new Map(conns.map((capacity) => [capacity, [] as Run[]]));
  const folder = mkdtempSync(join(tmpdir(), "crosszone-memory-"));
  try {
    for (const capacity of conns) writeFileSync(configIn(folder, capacity), configOf(capacity));
    for (let n = 0; n < starts; n++) {
      for (const [capacity, all] of runs) {
        all.push(start(configIn(folder, capacity), n < fills ? capacity : 1));
      }
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  return {
    shares: sharesOf(code),
    connParts: await partsOfConn(),
    connsMax: connsMaxOf(code),
    resident: Array.from(runs, ([capacity, all]) => residentRows(capacity, all, fills)).flat(),
    starts: Array.from(runs, ([capacity, all]) => startRows(capacity, all)).flat(),
  };
}

function configIn(folder: string, conns: number): string {
  return join(folder, `${conns}.json`);
}

/** The other capacities are those that a configuration has by itself. */
function configOf(conns: number): string {
  return JSON.stringify(documentOf({ conns }, { conns }));
}

function residentRows(conns: number, runs: readonly Run[], fills: number): ResidentRow[] {
  const { arenaBytes } = runs[0] as Run;
  const row = (name: ResidentRow["name"], raw: readonly number[]): ResidentRow => {
    return { conns, name, bytes: sampleOf(raw).median, raw, arenaBytes };
  };
  return [
    row(
      "started",
      runs.map(({ residentAtStart }) => residentAtStart),
    ),
    row(
      "full",
      runs.slice(0, fills).map(({ residentFull }) => residentFull),
    ),
  ];
}

function startRows(conns: number, runs: readonly Run[]): StartRow[] {
  const all = runs.map(partsOf);
  return [...PARTS, "total" as const].map((part) => {
    const { median, raw } = sampleOf(all.map((parts) => parts[part]));
    return { conns, part, ms: median, p90Ms: quantile(raw, 0.9), raw };
  });
}

export function printMemory(result: MemoryResult): void {
  const { shares, connParts, connsMax, resident, starts } = result;
  for (const { what, bytes } of shares) console.log(`${what.padEnd(14)} ${bytes} bytes each`);
  console.log("of a conn's bytes are");
  for (const { name, bytes } of connParts) console.log(`${bytes.toFixed(1).padStart(14)} ${name}`);
  console.log(`conns at most  ${connsMax}`);
  for (const { conns, name, bytes, raw, arenaBytes } of resident) {
    console.log(
      `${String(conns).padStart(8)} conns  ${name.padEnd(8)} ${mebibytes(bytes)} MiB resident, ` +
        `arena ${mebibytes(arenaBytes)}  (${raw.map(mebibytes).join(" ")})`,
    );
  }
  for (const { conns, part, ms, p90Ms, raw } of starts) {
    console.log(
      `${String(conns).padStart(8)} conns  ${part.padEnd(7)} ${ms.toFixed(1).padStart(7)} ms  ` +
        `p90 ${p90Ms.toFixed(1).padStart(7)}  (${list(raw)})`,
    );
  }
}

function mebibytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(1);
}
