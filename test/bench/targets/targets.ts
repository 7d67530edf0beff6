/**
 * `npm run bench -- targets`: measures everything that is to be reached, several times, and says of each whether it is.
 * It judges nothing beyond that: the exit code is the same.
 */

import { progress } from "../live/rounds.js";
import { type Machine, machine, median } from "../measure.js";
import { type Measure, measureBy, PARTS, type Part, type Parts, targetsPlan } from "./parts.js";
import { markdownOf, textOf } from "./report.js";
import { type Comparison, TARGETS, type Target } from "./target.js";

export interface TargetsOptions {
  readonly runs: number;
  readonly quick: boolean;
  readonly json: boolean;
}

/** What one run found. */
export interface Run {
  readonly parts: Parts;
  /** Why a part could not be measured. */
  readonly failures: Readonly<Partial<Record<Part, string>>>;
}

export interface Finding {
  readonly target: Target;
  /** Of the runs that have one. */
  readonly values: readonly number[];
  /** Their median; undefined where there are none. */
  readonly measured: number | undefined;
  readonly reached: boolean | undefined;
}

/** @returns the exit code: 2 when nothing can be measured here */
export async function benchTargets({ runs, quick, json }: TargetsOptions): Promise<number> {
  const plan = targetsPlan(quick);
  const all = await measureRuns(runs, measureBy(plan));
  const findings = findingsOf(all);
  const reasons = reasonsOf(all);
  const about = { machine: machine(), count: runs, quick, heldSeconds: plan.live.heldSeconds };
  const text = json
    ? JSON.stringify(asJson(about.machine, plan, findings, reasons, all), null, 2)
    : `${textOf(findings, reasons, about)}\n\n${markdownOf(findings)}`;
  console.log(text);
  return findings.some(({ measured }) => measured !== undefined) ? 0 : 2;
}

export async function measureRuns(count: number, measure: Measure): Promise<Run[]> {
  const runs: Run[] = [];
  for (let n = 1; n <= count; n++) runs.push(await measureRun(measure, `run ${n} of ${count}`));
  return runs;
}

async function measureRun(measure: Measure, name: string): Promise<Run> {
  const parts: Record<string, unknown> = {};
  const failures: Partial<Record<Part, string>> = {};
  for (const part of PARTS) {
    progress(`${name}: ${part}`);
    const began = performance.now();
    try {
      parts[part] = await measure[part]();
    } catch (error) {
      failures[part] = error instanceof Error ? error.message : String(error);
      progress(`${name}: ${part}: not measured: ${failures[part]}`);
    }
    progress(`${name}: ${part}: ${((performance.now() - began) / 1000).toFixed(0)} s`);
  }
  return { parts: parts as Parts, failures };
}

export function findingsOf(runs: readonly Run[]): Finding[] {
  return TARGETS.map((target) => {
    const values = runs.map(({ parts }) => target.figure(parts)).filter(Number.isFinite);
    if (values.length === 0) return { target, values, measured: undefined, reached: undefined };
    const measured = median(values);
    return { target, values, measured, reached: isReached(target, measured) };
  });
}

const HOLDS: Readonly<Record<Comparison, (value: number, bound: number) => boolean>> = {
  "≥": (value, bound) => value >= bound,
  "≤": (value, bound) => value <= bound,
  "=": (value, bound) => value === bound,
};

export function isReached({ comparison, bound }: Target, value: number): boolean {
  return HOLDS[comparison](value, bound);
}

/** What could not be measured, each once. */
export function reasonsOf(runs: readonly Run[]): string[] {
  const all = runs.flatMap(({ parts, failures }) => [
    ...Object.entries(failures).map(([part, reason]) => `${part}: ${reason}`),
    ...[parts.live, parts.latency].flatMap((result) =>
      (result?.omissions ?? []).map(({ candidate, reason }) => `${candidate}: ${reason}`),
    ),
    ...(parts.scale?.sites ?? []).flatMap(({ dimension, size, unfit }) =>
      unfit === undefined ? [] : [`${dimension} ${size}: ${unfit}`],
    ),
  ]);
  return [...new Set(all)];
}

function asJson(
  machine: Machine,
  plan: object,
  findings: readonly Finding[],
  notMeasured: readonly string[],
  runs: readonly Run[],
) {
  const targets = findings.map(({ target: { name, comparison, bound, unit, by }, ...found }) => {
    return { name, comparison, bound, unit, by, ...found };
  });
  return { machine, targets, notMeasured, plan, runs };
}
