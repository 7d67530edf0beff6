/** What the live benchmark sends, and how long. */

import type { Traffic } from "./generatorprogram.js";
import type { Effort } from "./trial.js";

export interface Workload extends Traffic {
  readonly name: string;
}

/** The shortest frame of Ethernet, without its check sequence. */
const SHORT = 60;

/** 7 : 4 : 1 of 64, 594 and 1518 bytes on the wire; the check sequence is not ours. Mixed, as traffic is. */
const MIX = [60, 590, 60, 60, 590, 60, 1514, 60, 590, 60, 60, 590] as const;

export const TCP = "tcp bulk";

const SHORT_FEW: Workload = { name: "60 bytes, 1,000 conns", conns: 1000, sizes: [SHORT] };
export const SHORT_MANY: Workload = {
  name: "60 bytes, 60,000 conns",
  conns: 60_000,
  sizes: [SHORT],
};
const MIX_FEW: Workload = { name: "IMIX, 1,000 conns", conns: 1000, sizes: MIX };
const MIX_MANY: Workload = { name: "IMIX, 60,000 conns", conns: 60_000, sizes: MIX };

export interface Plan {
  readonly workloads: readonly Workload[];
  readonly repetitions: number;
  readonly effort: Effort;
  /** At half of the highest rate, of SHORT_MANY. */
  readonly heldSeconds: number;
  readonly tcpSeconds: number;
}

const WHOLE: Plan = {
  workloads: [SHORT_FEW, SHORT_MANY, MIX_FEW, MIX_MANY],
  repetitions: 3,
  effort: { seconds: 1, trials: 14 },
  heldSeconds: 60,
  tcpSeconds: 5,
};

const QUICK: Plan = {
  workloads: [SHORT_FEW, SHORT_MANY, MIX_MANY],
  repetitions: 1,
  effort: { seconds: 0.5, trials: 10 },
  heldSeconds: 10,
  tcpSeconds: 2,
};

export function planOf(quick: boolean): Plan {
  return quick ? QUICK : WHOLE;
}
