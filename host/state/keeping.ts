/** Which revisions stay, and which of them a restart runs. */

import type { Entry } from "./archive.js";
import { StateLimit } from "./record.js";

/** Fit to run after a restart. */
function isConfirmed({ outcome, damage }: Entry): boolean {
  return outcome?.state === "confirmed" && damage === undefined;
}

/** @param entries  ascending */
export function newestConfirmed(entries: readonly Entry[]): Entry | undefined {
  return entries.findLast(isConfirmed);
}

/**
 * The oldest beyond what is kept; never what is in force, nor what a restart could fall back to, nor the newest, whose
 * number is not to be used again.
 * @param entries  ascending
 */
export function expendable(
  entries: readonly Entry[],
  inForce: readonly (Entry | undefined)[],
): number[] {
  const newest = [...entries].reverse();
  const spared = new Set([newest[0], ...newest.filter(isConfirmed).slice(0, 2), ...inForce]);
  let bytes = 0;
  return newest.flatMap((entry, place) => {
    bytes += entry.bytes;
    const isKept = place < StateLimit.Kept && bytes <= StateLimit.KeptBytes;
    return isKept || spared.has(entry) ? [] : [entry.number];
  });
}

/** Outcomes alone, older than what is in force: an interrupted removal leaves them. */
export function halfPruned(entries: readonly Entry[], inForce: number): number[] {
  const isAlone = ({ about, damage }: Entry) => about === undefined && damage?.detail === "gone";
  return entries
    .filter((each) => isAlone(each) && each.number < inForce)
    .map((each) => each.number);
}
