/** The highest rate that a candidate carries, by trials of which each may be disturbed. */

/** Of a second. */
export interface Outcome {
  readonly sent: number;
  readonly delivered: number;
}

/** Of what was sent. */
export const LOSS_MAX = 0.005;

/** A generator that sends less than this part of what is wanted is held up, by the candidate or by others. */
const HELD_UP = 0.95;

/** So much is seldom lost by one pause of the machine. */
const HOPELESS = 0.05;

/** Until both sides are known, the rate grows and shrinks by these factors: it costs more trials to go down. */
const UP = 1.6;
const DOWN = 2;

/** Where both sides are this close to each other, the search ends. */
const CLOSE = 1.03;

export function passes({ sent, delivered }: Outcome): boolean {
  return delivered >= sent * (1 - LOSS_MAX);
}

function isHopeless({ sent, delivered }: Outcome): boolean {
  return delivered < sent * (1 - HOPELESS);
}

/**
 * Searches from `first` on, with at most so many trials. A rate counts as too high when it fails twice in a row,
 * or hopelessly: one pause of the machine would otherwise be taken for a limit.
 *
 * @param attempt  one trial at a rate, in frames a second
 * @returns frames delivered a second in the best trial that passed; 0 when none did
 */
export async function highestRate(
  attempt: (perSecond: number) => Promise<Outcome>,
  first: number,
  trials: number,
): Promise<number> {
  let best = 0;
  let low = 0;
  let high = Number.POSITIVE_INFINITY;
  let failures = 0;
  let rate = first;
  for (let trial = 0; trial < trials && high > low * CLOSE; trial++) {
    const outcome = await attempt(rate);
    if (passes(outcome)) {
      // Asking for more yields no more: the candidate's work leaves the generator no time.
      if (outcome.sent < rate * HELD_UP && outcome.delivered < best * CLOSE) break;
      best = Math.max(best, outcome.delivered);
      low = rate;
      failures = 0;
    } else if (++failures === 2 || isHopeless(outcome)) {
      high = rate;
      failures = 0;
    }
    if (failures === 0) rate = between(low, high);
  }
  return best;
}

function between(low: number, high: number): number {
  if (high === Number.POSITIVE_INFINITY) return low * UP;
  return low === 0 ? high / DOWN : Math.sqrt(low * high);
}
