/** What the generator's process is asked for. */

import type { Traffic } from "./generatorprogram.js";
import type { Station } from "./station.js";

export interface Run {
  readonly perSecond: number;
  readonly seconds: number;
}

export type GeneratorOrder = { readonly prepare: Traffic } | { readonly run: Run };

export interface Sent {
  readonly frames: number;
  /** Nanoseconds that the generator did nothing but wait. */
  readonly idleNs: number;
}

/** Ends the system call that makes the frames. */
export const TIME_IS_OVER = "SIGALRM";

/** Until the first frame, usually; if the signal comes too early, the generator goes on for the rest. */
const START_MS = 60;

/** Within which it says what it sent. */
const ANSWER_MS = 60_000;

export function prepare(generator: Station, traffic: Traffic): Promise<void> {
  return generator.ask({ prepare: traffic } satisfies GeneratorOrder);
}

export async function runGenerator(generator: Station, run: Run): Promise<Sent> {
  const alarm = () => generator.signal(TIME_IS_OVER);
  const timer = setTimeout(alarm, run.seconds * 1000 + START_MS);
  try {
    const order: GeneratorOrder = { run };
    return await generator.ask<Sent>(order, run.seconds * 1000 + ANSWER_MS);
  } finally {
    clearTimeout(timer);
  }
}
