/** `npm run bench -- latency`: one request at a time, from a tenant to a server that echoes it, and back. */

import { CABLE } from "./cable.js";
import type { Candidate } from "./candidate.js";
import type { Latency, LatencyOrder } from "./client.js";
import { crosszone } from "./crosszone.js";
import { GENERATOR_CORE } from "./plan.js";
import { type Measured, rowsOf } from "./result.js";
import { allCandidates, progress, Rounds } from "./rounds.js";
import type { Site } from "./site.js";
import { Station } from "./station.js";
import { type BenchOptions, liveMachine, onMachine } from "./support.js";
import { type LatencyResult, latencyText } from "./table.js";

/** What the others' figures are held against: one pass through the kernel. */
export const KERNEL = "linux zones";

/** One that is still looking when the next request comes. */
const BUSY = crosszone("afxdp", 1000);

interface LatencyWorkload extends LatencyOrder {
  readonly name: string;
}

export interface LatencyPlan {
  readonly workloads: readonly LatencyWorkload[];
  readonly repetitions: number;
}

export function latencyPlan(quick: boolean): LatencyPlan {
  const usual = { requests: quick ? 3000 : 10_000, pauseUs: 200 };
  return {
    workloads: [
      { ...usual, name: "nothing beside", beside: 0 },
      { requests: quick ? 500 : 2000, pauseUs: 2000, name: "nothing beside, at rest", beside: 0 },
      { ...usual, name: "20,000 frames/s beside", beside: 20_000 },
    ],
    repetitions: quick ? 1 : 3,
  };
}

export function benchLatency({ quick, json }: BenchOptions): Promise<number> {
  return onMachine("latency", async () => {
    const result = await measureLatency(latencyPlan(quick), [CABLE, ...allCandidates(), BUSY]);
    console.log(json ? JSON.stringify(result, null, 2) : latencyText(result));
    return result.rows.length;
  });
}

export async function measureLatency(
  plan: LatencyPlan,
  candidates: readonly Candidate[],
): Promise<LatencyResult> {
  const machine = await liveMachine();
  const rounds = new Rounds();
  const all: Measured[] = [];
  for (let repetition = 0; repetition < plan.repetitions; repetition++) {
    for (const { name: workload, ...order } of plan.workloads) {
      const own: Measured[] = [];
      for (const candidate of candidates) {
        const measure = (site: Site) => measureSite(site, order);
        const latency = await rounds.measure(candidate, workload, "stacks", measure);
        if (latency === undefined) continue;
        const figures = { ...latency };
        own.push({ workload, candidate: candidate.name, repetition, figures });
        progress(`${workload}, ${candidate.name}, ${repetition + 1}: ${JSON.stringify(figures)}`);
      }
      all.push(...withDifferences(own));
    }
  }
  const { reference, omissions } = rounds;
  const about = candidates.map((each) => ({ name: each.name, about: each.about }));
  const rows = rowsOf(all, reference);
  return { machine, plan, candidates: about, reference, rows, omissions };
}

async function measureSite(site: Site, order: LatencyOrder): Promise<Latency> {
  await site.startSink("echo");
  const client = await Station.start(site.tenant, GENERATOR_CORE, "client");
  return client.ask<Latency>(order, 120_000);
}

/** Each with what it takes longer than the kernel, in microseconds, where the kernel was measured. */
export function withDifferences(all: readonly Measured[]): Measured[] {
  const kernel = all.find(({ candidate }) => candidate === KERNEL);
  if (kernel === undefined) return [...all];
  return all.map((each) => ({ ...each, figures: longerThan(each.figures, kernel.figures) }));
}

function longerThan(own: Measured["figures"], kernel: Measured["figures"]): Measured["figures"] {
  const more = (name: string) => (own[name] ?? Number.NaN) - (kernel[name] ?? Number.NaN);
  return { ...own, p50More: more("p50"), p99More: more("p99") };
}
