/** Rounds of every kind, each by a seed of its own; a failure names the command that repeats it. */

import { imageRound } from "./images.js";
import { isolationRound, type Tally, workersRound } from "./isolation.js";
import { mutationRound } from "./mutation.js";

export const KINDS = {
  isolation: isolationRound,
  workers: workersRound,
  frames: mutationRound,
  images: imageRound,
} as const;

export type Kind = keyof typeof KINDS;

export interface Failure {
  readonly kind: Kind;
  readonly seed: number;
  /** Repeats this round alone. */
  readonly command: string;
  readonly error: string;
}

export interface Outcome {
  readonly rounds: number;
  readonly tallies: Readonly<Record<string, Tally>>;
  readonly failures: readonly Failure[];
}

/** `rounds` of each kind; round n has the seed `seed` + n. */
export function fuzz(seed: number, rounds: number, kinds: readonly Kind[]): Outcome {
  const tallies: Record<string, Tally> = {};
  const failures: Failure[] = [];
  for (const kind of kinds) {
    const tally: Tally = {};
    tallies[kind] = tally;
    for (let round = 0; round < rounds; round++) {
      try {
        for (const [name, count] of Object.entries(KINDS[kind](seed + round))) {
          tally[name] = (tally[name] ?? 0) + count;
        }
      } catch (error) {
        failures.push(failure(kind, seed + round, error));
      }
    }
  }
  return { rounds, tallies, failures };
}

function failure(kind: Kind, seed: number, error: unknown): Failure {
  const command = `npm run fuzz -- ${kind} --seed ${seed} --rounds 1`;
  return { kind, seed, command, error: error instanceof Error ? (error.stack ?? "") : `${error}` };
}
