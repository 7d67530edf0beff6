/**
 * How zones share a table of a fixed size: half of it is promised to all of them evenly, the other half is
 * whose who come first, and none has more than `most`. So one zone's flood does not take what another one
 * needs, nor do the floods of many.
 *
 * A table counts the places that its zones have beyond the even share: those come out of the other half.
 */

import { active } from "../config/configuration";

function evenShare(capacity: u32, most: u32): u32 {
  return min(most, capacity / 2 / active.zoneCount);
}

/** Whether a zone that has `has` places may take one more, while all have `beyond` beyond their even shares. */
export function mayTake(capacity: u32, most: u32, has: u32, beyond: u32): bool {
  const even = evenShare(capacity, most);
  return has < even || (has < most && beyond < capacity - even * active.zoneCount);
}

/** How many of the places that a zone has are beyond its even share. */
export function placesBeyond(capacity: u32, most: u32, has: u32): u32 {
  const even = evenShare(capacity, most);
  return has > even ? has - even : 0;
}

/** Whether the place that a zone takes when it has `has`, or leaves to have `has`, is beyond its even share. */
export function isBeyond(capacity: u32, most: u32, has: u32): bool {
  return has >= evenShare(capacity, most);
}
