/** Repetitions, medians and the header that says where figures come from. */

import { readFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { type ClockName, clockName, nowNs } from "./clock.js";

export interface Sample {
  /** Nanoseconds per packet, conn or whatever the row counts, of each repetition in order. */
  readonly raw: readonly number[];
  readonly median: number;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** The smallest value that at least the given share of all (0 to 1) does not exceed. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

export function sampleOf(raw: readonly number[]): Sample {
  return { raw: raw.map(round), median: round(median(raw)) };
}

/** Raw repetitions, as they are printed beside their median. */
export function list(values: readonly number[]): string {
  return values.map((each) => each.toFixed(1)).join(" ");
}

export function round(value: number): number {
  return Math.round(value * 100) / 100;
}

/**
 * Of the fastest repetitions, the one's by the other's. What disturbs a machine only ever adds, so on a busy one this
 * is nearer to the truth than the ratio of the medians.
 */
export function bestRatio(of: readonly number[], by: readonly number[]): number {
  return round(Math.min(...of) / Math.min(...by));
}

/** Nanoseconds that `work` takes, by the clock in use. */
export function timeNs(work: () => void): number {
  const began = nowNs();
  work();
  return nowNs() - began;
}

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly kernel: string;
  readonly node: string;
  readonly v8: string;
  readonly date: string;
  /** Threads that wanted to run when the benchmark ended, averaged over the last minute; 1 is its own. */
  readonly load: number;
  readonly clock: ClockName;
}

export function machine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: cpus().length,
    kernel: readFileSync("/proc/sys/kernel/osrelease", "utf8").trim(),
    node: process.version,
    v8: process.versions.v8,
    date: new Date().toISOString().slice(0, 10),
    load: round(loadavg()[0] ?? Number.NaN),
    clock: clockName(),
  };
}
