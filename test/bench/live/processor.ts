/** Time that the two cores were busy, whoever asked for it: /proc/stat, proc(5). */

import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { CANDIDATE_CORE, GENERATOR_CORE } from "./plan.js";

/** USER_HZ is 100 on every Linux that Node runs on. */
const TICK_NS = 10_000_000;

/** Columns that are work: user, nice, system, irq, softirq. Not idle, iowait, nor what the host took (steal). */
const WORK = [0, 1, 2, 5, 6];

/** Nanoseconds of work since the machine started, of the generator's core and the candidate's. */
export function busyNs(text = readFileSync("/proc/stat", "utf8")): number {
  return [GENERATOR_CORE, CANDIDATE_CORE].reduce((sum, core) => sum + busyOf(text, core), 0);
}

function busyOf(text: string, core: number): number {
  const line = text.split("\n").find((each) => each.startsWith(`cpu${core} `)) ?? "";
  const columns = line.split(/\s+/).slice(1).map(Number);
  return WORK.reduce((sum, column) => sum + (columns[column] ?? 0), 0) * TICK_NS;
}

const OTHERS_MS = 1000;

/** How much of both cores others use, in percent, while nothing is measured. */
export async function othersPercent(): Promise<number> {
  const before = busyNs();
  await sleep(OTHERS_MS);
  return Math.round((busyNs() - before) / (OTHERS_MS * 2e4));
}
