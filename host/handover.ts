/**
 * From one process to the next: all workers save what can go on (host/snapshot.ts), and all of the next process's are given
 * it before they forward anything. Each of those takes what is its own now.
 */

import { Fate } from "../assembly/abi.js";
import type { Config } from "./config/model.js";
import type { Answer, Order, RawFates } from "./orders.js";
import { chunkOf, headerOf, type Snapshot } from "./snapshot.js";
import { movedPorts } from "./workers/moves.js";

/** Milliseconds beyond the usual in which a worker must have answered: questions of operators may stand before. */
const MORE_MS = 60_000;

/** The longest time that is told apart: conns end long before. */
const ELAPSED_MAX = 2 ** 31 - 1;

/** Which of the next process's workers to ask. */
export interface Asked {
  ask<K extends Answer["kind"]>(
    kind: K,
    make: (id: number) => Order,
    ms?: number,
  ): Promise<Extract<Answer, { kind: K }>>;
  tell(make: (id: number) => Order, ms?: number): Promise<void>;
}

/** How many had which fate, by its name, those that none had left out. */
export type Fates = Partial<Record<keyof typeof Fate, number>>;

/** What became of a snapshot. */
export interface RestoreReport {
  readonly conns: Fates;
  readonly grants: Fates;
  /** That rested. */
  readonly ports: Fates;
  /** Whether hosts need not ask again for what PCP has given them (RFC 6887 section 8.5). */
  readonly keepsEpoch: boolean;
  /** Milliseconds since it was taken, and that restoring it took. */
  readonly ageMs: number;
  readonly tookMs: number;
}

/**
 * Saves what all workers have.
 * @param write  is given all bytes of the snapshot, piece by piece; what it throws ends the saving
 * @param halts  whether they are to forward nothing any more, so that nothing changes behind it
 * @returns bytes
 */
export async function saveAll(
  workers: readonly Asked[],
  write: (bytes: Uint8Array) => void,
  halts: boolean,
): Promise<number> {
  if (halts) {
    await Promise.all(workers.map((worker) => worker.tell((id) => ({ kind: "halt", id }))));
  }
  let bytes = 0;
  const put = (some: Uint8Array) => {
    write(some);
    bytes += some.length;
  };
  put(headerOf({ isLast: halts, workers: workers.length, wall: Date.now() }));
  for (const [rank, worker] of workers.entries()) {
    for (let begins = true, isDone = false; !isDone; begins = false) {
      const make = (id: number): Order => ({ kind: "save", id, begins });
      const answer = await worker.ask("saved", make, MORE_MS);
      const { wall, records } = answer;
      if (records.length > 0) put(chunkOf({ worker: rank, wall, records }));
      isDone = answer.isDone;
    }
  }
  return bytes;
}

/** What a restart has to know of the configuration that it begins with. */
export interface Beginning {
  readonly config: Config;
  /** External ports that belong to one worker stand together in twos to this power. */
  readonly shareShift: number;
}

/**
 * Gives all workers a snapshot, and then lets them forward.
 * @param restored  is called in between
 */
export async function restoreAll(
  workers: readonly Asked[],
  snapshot: Snapshot,
  { config, shareShift }: Beginning,
  restored = () => {},
): Promise<RestoreReport> {
  const began = Date.now();
  const { isLast, wall } = snapshot.header;
  const ports = movedPorts(() => recordsOf(snapshot), config, shareShift);
  if (ports.length > 0) {
    await Promise.all(
      workers.map((worker) => worker.tell((id) => ({ kind: "movePorts", id, ports }))),
    );
  }
  let fates: RawFates[] = [];
  for (const { records, wall } of snapshot.chunks()) {
    const elapsed = since(wall);
    const make = (id: number): Order => ({ kind: "restore", id, records, elapsed, old: !isLast });
    const answers = await Promise.all(
      workers.map((worker) => worker.ask("restored", make, MORE_MS)),
    );
    fates = answers.map((answer) => answer.fates);
  }
  const grants = sumOf(fates.map((each) => each.grants));
  const { Restored: _, Expired: __, ...lost } = grants;
  const keepsEpoch = isLast && Object.keys(lost).length === 0;
  const epoch = keepsEpoch ? Math.floor(since(wall) / 1000) : undefined;
  restored();
  await Promise.all(workers.map((worker) => worker.tell((id) => ({ kind: "begin", id, epoch }))));
  return {
    conns: sumOf(fates.map(({ conns }) => conns)),
    grants,
    ports: sumOf(fates.map(({ ports }) => ports)),
    keepsEpoch,
    ageMs: began - wall,
    tookMs: Date.now() - began,
  };
}

function* recordsOf(snapshot: Snapshot): Generator<Uint8Array> {
  for (const { records } of snapshot.chunks()) yield records;
}

/** Milliseconds since a time of day; none where the clock was set back meanwhile. */
function since(wall: number): number {
  return Math.floor(Math.min(ELAPSED_MAX, Math.max(0, Date.now() - wall)));
}

function sumOf(counts: readonly (readonly number[])[]): Fates {
  const fates: Fates = {};
  for (let fate: Fate = 0; fate < Fate.Count; fate++) {
    const sum = counts.reduce((all, each) => all + (each[fate] ?? 0), 0);
    if (sum > 0) fates[Fate[fate] as keyof typeof Fate] = sum;
  }
  return fates;
}
