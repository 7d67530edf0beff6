/**
 * Frames that wait until their neighbor's address is known (RFC 1122 section 2.3.2.2). Copies: the host
 * gets its buffer back at the end of the call. Bounded per neighbor, per device and in all.
 *
 *     buffer   0  next: u32   4  IP bytes: u32   8  is the end of a packet: u32   …   64  IP packet
 */

import { Limit } from "../abi";
import { arena, heldFrames, RecordBytes } from "../memory";
import { NONE } from "../table/none";
import { NETWORK_OFFSET } from "./output";

if (Limit.HeldFrameBytes + <i32>NETWORK_OFFSET != RecordBytes.HeldFrame) ERROR("HeldFrameBytes");

export function heldAt(index: u32): usize {
  return heldFrames + <usize>index * RecordBytes.HeldFrame;
}

/** All buffers are free. Needed once, when the arena is laid out. */
export function startHeld(): void {
  for (let i: u32 = 0; i < <u32>Limit.Held; i++) {
    store<u32>(heldAt(i), i + 1 < <u32>Limit.Held ? i + 1 : NONE);
  }
  arena.heldFree = 0;
  arena.heldLeaving = NONE;
}

/** Whether so many buffers are free. */
export function hasHeldBuffers(frames: u32): bool {
  let index = arena.heldFree;
  for (let n: u32 = 0; n < frames; n++) {
    if (index == NONE) return false;
    index = nextHeld(index);
  }
  return true;
}

/**
 * Copies an IP packet into a free buffer; NONE when there is none. A packet that was cut for its link is
 * held in pieces, of which the last `isEnd`: it is counted once.
 */
export function hold(network: usize, bytes: u32, isEnd: bool): u32 {
  const index = arena.heldFree;
  if (index == NONE) return NONE;
  const at = heldAt(index);
  arena.heldFree = load<u32>(at);
  store<u32>(at, NONE);
  store<u32>(at, bytes, 4);
  store<u32>(at, isEnd ? 1 : 0, 8);
  memory.copy(at + NETWORK_OFFSET, network, bytes);
  return index;
}

export function nextHeld(index: u32): u32 {
  return load<u32>(heldAt(index));
}
export function setNextHeld(index: u32, next: u32): void {
  store<u32>(heldAt(index), next);
}
export function heldBytes(index: u32): u32 {
  return load<u32>(heldAt(index), 4);
}

/** Whether a Reason is counted for it. */
export function isHeldEnd(index: u32): bool {
  return load<u32>(heldAt(index), 8) != 0;
}

/** Gives a buffer back: it keeps its bytes until the next call, since the host may be about to send them. */
export function giveHeld(index: u32): void {
  setNextHeld(index, arena.heldLeaving);
  arena.heldLeaving = index;
}

/** Makes the buffers free that were given back in the last call. */
export function reclaimHeld(): void {
  while (arena.heldLeaving != NONE) {
    const index = arena.heldLeaving;
    arena.heldLeaving = nextHeld(index);
    setNextHeld(index, arena.heldFree);
    arena.heldFree = index;
  }
}
