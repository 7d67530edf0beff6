/**
 * `npm run bench -- live`: frames through real interfaces, through crosszone and through what else could stand in
 * its place. docs/performance.md says what is measured, and how.
 */

import { measureBulk } from "./bulk.js";
import type { Candidate } from "./candidate.js";
import { prepare, runGenerator } from "./generatororder.js";
import { busyNs } from "./processor.js";
import { type Measured, rowsOf } from "./result.js";
import { allCandidates, progress, REFERENCES, Rounds } from "./rounds.js";
import { buildCeiling, closeLab, type Site } from "./site.js";
import { type BenchOptions, liveMachine, onMachine } from "./support.js";
import { type LiveResult, liveText } from "./table.js";
import { type Figures, FULL_SPEED, type Held, Track } from "./trial.js";
import { type Plan, planOf, SHORT_MANY, TCP, type Workload } from "./workload.js";

/** The generator with nothing behind it, beside the candidates. */
export const CEILING = "generator alone";

export function benchLive({ quick, json }: BenchOptions): Promise<number> {
  return onMachine("live", async () => {
    const result = await measureLive(planOf(quick), allCandidates());
    console.log(json ? JSON.stringify(result, null, 2) : liveText(result));
    return result.rows.length;
  });
}

export async function measureLive(plan: Plan, candidates: Candidate[]): Promise<LiveResult> {
  const machine = await liveMachine();
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
        const isHeld = workload === SHORT_MANY && REFERENCES.includes(candidate.name);
        const measure = (site: Site) => measureFrames(site, workload, plan, isHeld);
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
  return { machine, plan, candidates: about, reference, rows, omissions };
}

/** @param isHeld  whether it is also to carry half of its highest rate for a while */
export async function measureFrames(
  site: Site,
  workload: Workload,
  { effort, heldSeconds }: Pick<Plan, "effort" | "heldSeconds">,
  isHeld: boolean,
): Promise<Figures | (Figures & Held)> {
  const track = await Track.open(site, workload);
  await track.setUp(workload);
  const figures = await track.measure(effort);
  if (!isHeld || figures.highest === 0) return figures;
  return { ...figures, ...(await track.hold(figures.highest, heldSeconds)) };
}

/** What the generator makes, and what a frame costs it. */
async function ceiling(workload: Workload, seconds: number) {
  const { generator, gate, lab } = await buildCeiling();
  try {
    await prepare(generator, workload);
    const before = busyNs();
    const run = { perSecond: FULL_SPEED, seconds };
    const { idleNs } = await runGenerator(generator, run);
    const work = busyNs() - before - idleNs;
    const arrived = await gate.ask<number>("read");
    return { overload: arrived / seconds, nsPerFrame: work / arrived };
  } finally {
    await closeLab(lab);
  }
}
