/** What is told of a revision. */

import type { Entry } from "./archive.js";
import type { Outcome } from "./record.js";

export type RevisionState = "begun" | "pending" | "damaged" | Outcome["state"];

/** A line of the history. */
export interface RevisionInfo {
  readonly number: number;
  readonly state: RevisionState;
  /** The forwarder runs it. */
  readonly isInForce: boolean;
  /** What is known of it, but for a damaged one: see record.ts. */
  readonly base: number | undefined;
  readonly time: number | undefined;
  readonly who: string | undefined;
  readonly note: string | undefined;
  readonly confirmWithinSec: number | null | undefined;
  readonly restores: number | null | undefined;
  readonly bytes: number;
  /** What became of it, once something has. */
  readonly outcome: Pick<Outcome, "time" | "who" | "why"> | undefined;
  /** When a pending one is rolled back: milliseconds since 1970. */
  readonly deadlineMs: number | undefined;
  /** What is wrong with a damaged one. */
  readonly damage: string | undefined;
}

export interface Revision extends RevisionInfo {
  readonly text: string;
}

/** What only the store knows of a revision. */
export interface Standing {
  readonly isInForce: boolean;
  readonly isBegun: boolean;
  /** Of a pending one. */
  readonly deadlineMs: number | undefined;
}

export function infoOf(entry: Entry, { isInForce, isBegun, deadlineMs }: Standing): RevisionInfo {
  const { number, about, outcome, bytes, damage } = entry;
  let state: RevisionState = outcome?.state ?? "rolled-back";
  if (damage !== undefined) state = "damaged";
  else if (deadlineMs !== undefined) state = "pending";
  else if (isBegun) state = "begun";
  return {
    number,
    state,
    isInForce,
    base: about?.base,
    time: about?.time,
    who: about?.who,
    note: about?.note,
    confirmWithinSec: about?.confirmWithinSec,
    restores: about?.restores,
    bytes,
    outcome: outcome && { time: outcome.time, who: outcome.who, why: outcome.why },
    deadlineMs,
    damage: damage?.message,
  };
}
