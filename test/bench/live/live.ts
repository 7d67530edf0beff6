/**
 * `npm run bench -- live`: frames through real interfaces, through crosszone and through what else could stand in
 * its place. docs/performance.md says what is measured, and how.
 */

import { measureBulk } from "./bulk.js";
import type { Candidate } from "./candidate.js";
import type { Sent } from "./generator.js";
import { type Measured, type Row, rowsOf } from "./result.js";
import { allCandidates, type Omission, progress, Rounds } from "./rounds.js";
import { makeConntrackRoom } from "./setting.js";
import { buildCeiling, closeLab, closeOnSignals, type Site } from "./site.js";
import { type LiveMachine, liveMachine, whyNot } from "./support.js";
import { liveText } from "./table.js";
import { type Figures, FULL_SPEED, order, Track } from "./trial.js";
import { type Plan, planOf, TCP, type Workload } from "./workload.js";

export interface LiveResult {
  readonly machine: LiveMachine;
  readonly plan: Plan;
  readonly candidates: readonly { readonly name: string; readonly about: string }[];
  /** What ratios are of. */
  readonly reference: string;
  readonly rows: readonly Row[];
  readonly omissions: readonly Omission[];
}

export interface BenchOptions {
  readonly quick: boolean;
  readonly json: boolean;
}

/** The generator with nothing behind it, beside the candidates. */
export const CEILING = "generator alone";

/** Prints the result; the exit code is 2 when nothing can be measured here. */
export async function benchLive({ quick, json }: BenchOptions): Promise<number> {
  const reason = whyNot();
  if (reason !== undefined) {
    progress(`bench live: nothing can be measured: ${reason}`);
    return 2;
  }
  const undo = makeConntrackRoom();
  closeOnSignals();
  try {
    const result = await measureLive(planOf(quick), allCandidates());
    console.log(json ? JSON.stringify(result, null, 2) : liveText(result));
    return result.rows.length > 0 ? 0 : 2;
  } finally {
    undo();
  }
}

export async function measureLive(plan: Plan, candidates: Candidate[]): Promise<LiveResult> {
  const rounds = new Rounds();
  const all: Measured[] = [];
  for (let repetition = 0; repetition < plan.repetitions; repetition++) {
    const add = (workload: string, candidate: string, figures: object | undefined): void => {
      if (figures === undefined) return;
      all.push({ workload, candidate, repetition, figures: { ...figures } });
      progress(`${workload}, ${candidate}, ${repetition + 1}: ${JSON.stringify(figures)}`);
    };
    for (const workload of plan.workloads) {
      add(workload.name, CEILING, await ceiling(workload, plan.effort.seconds));
      for (const candidate of candidates) {
        const measure = (site: Site) => measureFrames(site, workload, plan);
        add(
          workload.name,
          candidate.name,
          await rounds.measure(candidate, workload.name, "frames", measure),
        );
      }
    }
    if (plan.tcpSeconds === 0) continue;
    for (const candidate of candidates) {
      const measure = (site: Site) => measureBulk(site, plan.tcpSeconds);
      add(TCP, candidate.name, await rounds.measure(candidate, TCP, "stacks", measure));
    }
  }
  const { reference, omissions } = rounds;
  const about = candidates.map((each) => ({ name: each.name, about: each.about }));
  const rows = rowsOf(all, reference);
  return { machine: liveMachine(), plan, candidates: about, reference, rows, omissions };
}

async function measureFrames(site: Site, workload: Workload, plan: Plan): Promise<Figures> {
  const track = await Track.open(site, workload);
  await track.setUp(workload);
  return track.measure(plan.effort);
}

/** What the generator makes, and what a frame costs it. */
async function ceiling(workload: Workload, seconds: number) {
  const { generator, gate, lab } = await buildCeiling();
  try {
    await order(generator, { prepare: workload });
    const before = process.hrtime.bigint();
    const { frames, idleNs } = await order<Sent>(generator, {
      run: { perSecond: FULL_SPEED, seconds },
    });
    const ns = Number(process.hrtime.bigint() - before) - idleNs;
    const arrived = await gate.ask<number>("read");
    return { overload: arrived / seconds, nsPerFrame: ns / frames };
  } finally {
    await closeLab(lab);
  }
}
