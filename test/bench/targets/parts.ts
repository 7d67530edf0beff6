/**
 * The benchmarks that the targets are measured by, with plans of their own: as short as is honest, and only what a target
 * asks for. What works in memory is a process each time, so that none finds the code as another has left it.
 */

import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { CoreOptions, CoreRow } from "../core.js";
import { CABLE } from "../live/cable.js";
import { crosszone } from "../live/crosszone.js";
import { type LatencyPlan, latencyPlan, measureLatency } from "../live/latency.js";
import { linuxZones } from "../live/linuxzones.js";
import { measureLive } from "../live/live.js";
import { allCandidates } from "../live/rounds.js";
import { leavingNothing, whyNot } from "../live/support.js";
import type { LatencyResult, LiveResult } from "../live/table.js";
import { type Plan, planOf, SHORT_MANY } from "../live/workload.js";
import type { MemoryOptions, MemoryResult } from "../memory.js";
import type { NativeResult } from "../native.js";
import type { ScaleOptions, ScaleResult } from "../scale.js";

/** What one run measures; what is left out could not be. */
export interface Parts {
  readonly core?: readonly CoreRow[];
  readonly native?: NativeResult;
  readonly scale?: ScaleResult;
  readonly memory?: MemoryResult;
  readonly live?: LiveResult;
  readonly latency?: LatencyResult;
}

export type Part = keyof Parts;

/** In the order in which a run measures them. */
export const PARTS = ["core", "native", "scale", "memory", "live", "latency"] as const;

/** Those in memory, by what they take. */
export interface InMemory {
  readonly core: CoreOptions;
  readonly native: CoreOptions;
  readonly scale: ScaleOptions;
  readonly memory: MemoryOptions;
}

export interface TargetsPlan extends InMemory {
  readonly live: Plan;
  readonly latency: LatencyPlan;
}

export function targetsPlan(quick: boolean): TargetsPlan {
  const steady = quick
    ? { repetitions: 3, packets: 500_000 }
    : { repetitions: 5, packets: 2_000_000 };
  return {
    core: { ...steady, conns: [1000, 60_000, 1_000_000] },
    native: { ...steady, conns: [1000, 60_000] },
    scale: {
      ...steady,
      sizes: { conns: [], zones: [], "nat zones": [], flows: [1, 10_000] },
      conns: quick ? 10_000 : 60_000,
      workers: [1, 2],
      workersConns: [60_000],
    },
    memory: { conns: [65_536], starts: quick ? 7 : 21, fills: 1 },
    live: { ...planOf(quick), workloads: [SHORT_MANY], repetitions: 1, tcpSeconds: 0 },
    latency: { ...latencyPlan(quick), repetitions: 1 },
  };
}

/** Measures one part. */
export type Measure = { readonly [P in Part]: () => Promise<NonNullable<Parts[P]>> };

export function measureBy(plan: TargetsPlan): Measure {
  return {
    core: () => inProcess("core", plan.core),
    native: () => inProcess("native", plan.native),
    scale: () => inProcess("scale", plan.scale),
    memory: () => inProcess("memory", plan.memory),
    live: () => onInterfaces(() => measureLive(plan.live, allCandidates())),
    latency: () => onInterfaces(() => measureLatency(plan.latency, FOR_LATENCY)),
  };
}

const FOR_LATENCY = [CABLE, linuxZones("same"), crosszone("afxdp")];

async function onInterfaces<Result>(measure: () => Promise<Result>): Promise<Result> {
  const reason = whyNot();
  if (reason !== undefined) throw new Error(reason);
  return leavingNothing(measure);
}

const PROGRAM = fileURLToPath(new URL("./part.js", import.meta.url));

/** @throws with what the process said when it fails */
export function inProcess<P extends keyof InMemory>(
  part: P,
  options: InMemory[P],
): Promise<NonNullable<Parts[P]>> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [PROGRAM, part, JSON.stringify(options)]);
    const said = { stdout: "", stderr: "" };
    for (const from of ["stdout", "stderr"] as const) {
      child[from].setEncoding("utf8").on("data", (text: string) => {
        said[from] += text;
      });
    }
    const end = () => child.kill();
    process.once("exit", end);
    child.on("error", reject);
    child.on("close", (status) => {
      process.off("exit", end);
      if (status === 0) resolve(JSON.parse(said.stdout) as NonNullable<Parts[P]>);
      else reject(new Error(said.stderr.trim() || `${part}: it ended without a word`));
    });
  });
}
