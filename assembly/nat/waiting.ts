/**
 * Fragments that came before the first one of their datagram, which alone says whose they are. Copies: the
 * host gets its buffer back at the end of the call. Bounded in all, and per zone by nat/fragment.ts.
 *
 *     buffer   0  next: u32   4  IP bytes: u32   8  device: u16   …   16  Ethernet header   …   64  IP packet
 */

import { Limit } from "../abi";
import { arena, RecordBytes, waitingFragments } from "../memory";
import { Packet } from "../packet";
import { NONE } from "../table/none";
import { Ethernet } from "../wire/ethernet";

const ETHERNET: usize = 16;
/** Leaves room for the longest link header. */
const NETWORK: usize = RecordBytes.WaitingFragment - Limit.HeldFrameBytes;

function bufferAt(index: u32): usize {
  return waitingFragments + <usize>index * RecordBytes.WaitingFragment;
}

/** All buffers are free. Needed once, when the arena is laid out. */
export function startWaiting(): void {
  for (let i: u32 = 0; i < <u32>Limit.HeldFragments; i++) {
    store<u32>(bufferAt(i), i + 1 < <u32>Limit.HeldFragments ? i + 1 : NONE);
  }
  arena.waitingFree = 0;
  arena.waitingLeaving = NONE;
}

/** Copies a fragment, of at most Limit.HeldFrameBytes, into a buffer: one must be free. */
export function keepWaiting(packet: Packet): u32 {
  const index = arena.waitingFree;
  const at = bufferAt(index);
  arena.waitingFree = load<u32>(at);
  store<u32>(at, NONE);
  store<u32>(at, packet.totalBytes, 4);
  store<u16>(at, packet.device, 8);
  memory.copy(at + ETHERNET, packet.frame, Ethernet.BYTES);
  memory.copy(at + NETWORK, packet.network, packet.totalBytes);
  return index;
}

export function nextWaiting(index: u32): u32 {
  return load<u32>(bufferAt(index));
}
export function setNextWaiting(index: u32, next: u32): void {
  store<u32>(bufferAt(index), next);
}
/** Index of the device it came in by. */
export function waitingDevice(index: u32): u32 {
  return load<u16>(bufferAt(index), 8);
}

/** Makes a packet of it, as it came. Its device, zone and datagram are the caller's to fill in. */
export function readWaiting(index: u32, packet: Packet): void {
  const at = bufferAt(index);
  packet.frame = <u32>(at + ETHERNET);
  packet.network = <u32>(at + NETWORK);
  packet.totalBytes = <u16>load<u32>(at, 4);
  packet.frameBytes = packet.totalBytes + Ethernet.BYTES;
  packet.transport = <u32>packet.ip.payload;
}

/** Gives a buffer back: it keeps its bytes until the next call, since the host may be about to send them. */
export function giveWaiting(index: u32): void {
  setNextWaiting(index, arena.waitingLeaving);
  arena.waitingLeaving = index;
}

/** Makes the buffers free that were given back in the last call. */
export function reclaimWaiting(): void {
  while (arena.waitingLeaving != NONE) {
    const index = arena.waitingLeaving;
    arena.waitingLeaving = nextWaiting(index);
    setNextWaiting(index, arena.waitingFree);
    arena.waitingFree = index;
  }
}
