/** From repetitions to rows: medians, and ratios of repetitions that were measured one after the other. */

import { median, round } from "../measure.js";

export type Figures = Readonly<Record<string, number>>;

/** One repetition of one candidate under one workload. */
export interface Measured {
  readonly workload: string;
  readonly candidate: string;
  readonly repetition: number;
  readonly figures: Figures;
}

export interface Row {
  readonly workload: string;
  readonly candidate: string;
  readonly median: Figures;
  /** By the reference: the median of the ratios of each repetition. Empty where the reference has none. */
  readonly ratio: Figures;
  readonly raw: readonly Figures[];
}

/** Rows in the order in which workloads and candidates first appear. */
export function rowsOf(all: readonly Measured[], reference: string): Row[] {
  const workloads = unique(all.map(({ workload }) => workload));
  return workloads.flatMap((workload) => {
    const own = all.filter((each) => each.workload === workload);
    const base = own.filter(({ candidate }) => candidate === reference);
    return unique(own.map(({ candidate }) => candidate)).map((candidate) =>
      rowOf(workload, candidate, own, base),
    );
  });
}

function rowOf(
  workload: string,
  candidate: string,
  all: readonly Measured[],
  base: readonly Measured[],
): Row {
  const own = all.filter((each) => each.candidate === candidate);
  const names = unique(own.flatMap(({ figures }) => Object.keys(figures)));
  const pick = (values: (name: string) => readonly number[]): Figures =>
    Object.fromEntries(
      names.flatMap((name) => {
        const found = values(name).filter(Number.isFinite);
        return found.length === 0 ? [] : [[name, round(median(found))]];
      }),
    );
  return {
    workload,
    candidate,
    median: pick((name) => own.map(({ figures }) => figures[name] ?? Number.NaN)),
    ratio: pick((name) => own.map((each) => ratioTo(each, base, name))),
    raw: own.map(({ figures }) => figures),
  };
}

/** NaN where the reference was not measured in the same repetition, or is 0. */
function ratioTo(own: Measured, base: readonly Measured[], name: string): number {
  const other = base.find(({ repetition }) => repetition === own.repetition)?.figures[name];
  return other === undefined || other === 0
    ? Number.NaN
    : (own.figures[name] ?? Number.NaN) / other;
}

function unique(values: readonly string[]): string[] {
  return [...new Set(values)];
}
