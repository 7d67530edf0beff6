/** What a machine must have for the live benchmark, and which versions of it. */

import { spawnSync } from "node:child_process";
import { cpus } from "node:os";
import { ENVIRONMENT } from "../../../host/demo/child.js";
import { labSupport } from "../../../host/demo/lab.js";
import { type Machine, machine } from "../measure.js";
import { CANDIDATE_CORE, GENERATOR_CORE } from "./plan.js";
import { othersPercent } from "./processor.js";
import { makeConntrackRoom } from "./setting.js";
import { closeOnSignals } from "./site.js";

/** Programs where frames enter a namespace (TCX). */
const KERNEL_MIN = [6, 6] as const;

export interface BenchOptions {
  readonly quick: boolean;
  readonly json: boolean;
}

/**
 * Measures with all that it needs, and leaves nothing behind, whatever ends it.
 * @param measure  prints, and returns how many rows there are
 * @returns the exit code: 2 when nothing can be measured here
 */
export async function onMachine(name: string, measure: () => Promise<number>): Promise<number> {
  const reason = whyNot();
  if (reason !== undefined) {
    process.stderr.write(`bench ${name}: nothing can be measured: ${reason}\n`);
    return 2;
  }
  return (await leavingNothing(measure)) > 0 ? 0 : 2;
}

/** Measures with room for all conns, where `whyNot` has nothing against it. */
export async function leavingNothing<Answer>(measure: () => Promise<Answer>): Promise<Answer> {
  const undo = makeConntrackRoom();
  closeOnSignals();
  try {
    return await measure();
  } finally {
    undo();
  }
}

/** Why nothing can be measured here; undefined when it can. */
export function whyNot(): string | undefined {
  const reason = labSupport();
  if (reason !== undefined) return reason;
  const cores = Math.max(GENERATOR_CORE, CANDIDATE_CORE) + 1;
  if (cpus().length < cores) return `${cores} cores are needed, there is ${cpus().length}`;
  if (versionOf("taskset") === undefined) return "`taskset` is missing (Debian package util-linux)";
  const [major = 0, minor = 0] = machine().kernel.split(/[.-]/).map(Number);
  const isOld = major < KERNEL_MIN[0] || (major === KERNEL_MIN[0] && minor < KERNEL_MIN[1]);
  return isOld ? `Linux ${KERNEL_MIN.join(".")} or later is needed, for TCX` : undefined;
}

/** The first line of what a command says of its version; undefined when it is missing. */
export function versionOf(command: string): string | undefined {
  const { status, stdout } = spawnSync(command, ["--version"], {
    env: ENVIRONMENT,
    encoding: "utf8",
  });
  return status === 0 ? stdout.split("\n")[0]?.trim() : undefined;
}

export interface LiveMachine extends Machine {
  readonly nft: string;
  readonly openVswitch: string;
  readonly iperf3: string;
  /** Of both cores, by others, before anything was measured. */
  readonly othersPercent: number;
}

export async function liveMachine(): Promise<LiveMachine> {
  const version = (command: string) => versionOf(command) ?? "not installed";
  return {
    ...machine(),
    nft: version("nft"),
    openVswitch: version("ovs-vswitchd"),
    iperf3: version("iperf3"),
    othersPercent: await othersPercent(),
  };
}
