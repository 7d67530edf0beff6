/**
 * Hold-down: a port that was given up rests before anybody gets it again (RFC 6888 REQ-8: 120 s), so that
 * late packets of its last user reach nobody else. Since all rest equally long, resting ports are a queue: a
 * ring of as many places as there are conns. When it is full the oldest is free at once.
 *
 *     u32  external address (index) | port << 16        u32  time << 2 | bitmap
 *
 * The time is in steps of 4 ms, which wraps after 2^30 of them; a port rests a step longer than asked, so
 * that it never rests less.
 */

import { ImageAt, None } from "../abi";
import { active } from "../config/configuration";
import { arena, RecordBytes, restingPorts } from "../memory";
import { NONE } from "../table/none";
import { giveBlockPort } from "./block";
import { watchPool } from "./event";
import { External, protocolOf } from "./external";

const STEP_SHIFT: u32 = 2;
const TIME_MASK: u32 = 0x3fffffff;

function placeAt(n: u32): usize {
  const place = arena.restFirst + n;
  const wrapped = place >= arena.connCapacity ? place - arena.connCapacity : place;
  return restingPorts + <usize>wrapped * RecordBytes.RestingPort;
}

/** Lets a port rest that nobody uses any more. */
export function rest(external: u32, which: u32, port: u32): void {
  restSince(external, which, port, arena.now);
}

/** Lets a port rest that nobody has used since `began`. */
export function restSince(external: u32, which: u32, port: u32, began: u32): void {
  if (active.delay(ImageAt.HoldDown) == 0) {
    free(external, which, port);
    return;
  }
  if (arena.restCount == arena.connCapacity) freeOldest();
  External.at(external).countResting(which, 1);
  const at = placeAt(arena.restCount++);
  store<u32>(at, external | (port << 16));
  store<u32>(at, (((began >> STEP_SHIFT) & TIME_MASK) << 2) | which, 4);
}

/** Frees at most `limit` ports that have rested long enough. */
export function freeRested(limit: u32): void {
  for (let n: u32 = 0; n < limit && restWait() == 0; n++) freeOldest();
}

/** Milliseconds until a port has rested long enough: 0 when one has, NONE when none rests. */
export function restWait(): u32 {
  if (arena.restCount == 0) return NONE;
  const rested = restedAt(0);
  const asked = active.delay(ImageAt.HoldDown) + (1 << STEP_SHIFT);
  return rested >= asked ? 0 : asked - rested;
}

/** Of the n-th of the ports that rest: for how many milliseconds it has. */
export function restedAt(n: u32): u32 {
  const began = load<u32>(placeAt(n), 4) >> 2;
  return (((arena.now >> STEP_SHIFT) - began) & TIME_MASK) << STEP_SHIFT;
}
/** Index of its external address, None.Short where that is another one by now; the port; its bitmap. */
export function externalAtRest(n: u32): u32 {
  return load<u32>(placeAt(n)) & 0xffff;
}
export function portAtRest(n: u32): u32 {
  return load<u32>(placeAt(n)) >> 16;
}
export function whichAtRest(n: u32): u32 {
  return load<u32>(placeAt(n), 4) & 3;
}

function freeOldest(): void {
  const at = placeAt(0);
  const place = load<u32>(at);
  arena.restFirst = arena.restFirst + 1 == arena.connCapacity ? 0 : arena.restFirst + 1;
  arena.restCount--;
  const external = place & 0xffff;
  if (external == <u32>None.Short) return;
  const which = load<u32>(at, 4) & 3;
  External.at(external).countResting(which, -1);
  free(external, which, place >> 16);
}

/** Frees everything that rests of an external address: it is to become another one. */
export function forgetResting(external: u32): void {
  if (External.at(external).resting == 0) return;
  for (let n: u32 = 0; n < arena.restCount; n++) {
    const at = placeAt(n);
    const place = load<u32>(at);
    if ((place & 0xffff) != external) continue;
    store<u32>(at, None.Short);
    const which = load<u32>(at, 4) & 3;
    External.at(external).countResting(which, -1);
    free(external, which, place >> 16);
  }
}

/** Makes a port free that nobody uses and that need not rest. */
export function free(index: u32, which: u32, port: u32): void {
  const external = External.at(index);
  external.bitmap(which).give(port);
  watchPool(external.countPort(which, port, -1), which, protocolOf(which));
  giveBlockPort(index, port);
}
