/**
 * Pools: external addresses and their ports (RFC 4787 section 4).
 *
 * A free port is found whenever there is one: the bitmap of an external address (nat/external.ts) is searched
 * from a keyed random place (RFC 6056 section 3.3.1), all addresses of the pool are tried, beginning with the
 * one that the host is paired with (RFC 4787 REQ-2).
 */

import { active, pairKey } from "../config/configuration";
import { PoolRecord } from "../config/records";
import { arena } from "../memory";
import { mix64, sipHash } from "../table/hash";
import { NONE } from "../table/none";
import { isFree } from "./conn";
import { bitmapOf, External } from "./external";
import { forwardedUpTo } from "./forward";
import { Tuple } from "./tuple";

/** Whether this external address is one of the pool's. */
export function poolHas(pool: PoolRecord, address: u32): bool {
  for (let r: u32 = 0; r < pool.rangeCount; r++) {
    const range = active.poolRange(pool.ranges + r);
    if (address >= range.first && address <= range.last) return true;
  }
  return false;
}

/** 64 bits that nobody without the seed can guess. */
function draw(): u64 {
  return sipHash(arena.portKey, ++arena.draws);
}

/** A number below `bound`, as even as 32 random bits make it. */
function below(bound: u32, random: u64): u32 {
  return <u32>(((random >> 32) * <u64>bound) >> 32);
}

/** Which of the pool's addresses a host is paired with: the same one after every start, so no secret. */
function pairedWith(pool: PoolRecord, host: Tuple): u32 {
  return below(pool.addressCount, mix64(pairKey(host.zone, host.source)));
}

/**
 * Takes an external address and port for a conn whose reply tuple `reply` is complete but for them, and
 * writes them there. `original` says which host asks. Returns the index of the external address, NONE when
 * nothing of the pool is left.
 */
export function takeExternal(pool: PoolRecord, original: Tuple, reply: Tuple): u32 {
  const bitmap = bitmapOf(reply.protocol);
  const first = pairedWith(pool, original);
  for (let n: u32 = 0; n < pool.addressCount; n++) {
    const sum = first + n;
    const which = sum >= pool.addressCount ? sum - pool.addressCount : sum;
    const address = active.poolAddress(pool, which);
    const index = active.externalByAddress.get(pairKey(pool.zone, address));
    reply.destination = address;
    if (bitmap == NONE ? isUnused(index, pool, reply) : takePort(index, bitmap, pool, reply)) {
      External.at(index).used++;
      return index;
    }
  }
  return NONE;
}

/** For protocols without ports: no other conn has the remote endpoint, and no forward the address. */
function isUnused(index: u32, pool: PoolRecord, reply: Tuple): bool {
  return forwardedUpTo(index, pool.zone, reply) == NONE && isFree(reply);
}

/**
 * Takes a port that is nobody's: neither held by a conn, nor kept for a forward, nor that of a conn that
 * came in by one from the same remote endpoint. Goes round the pool's ports once.
 */
function takePort(index: u32, which: u32, pool: PoolRecord, reply: Tuple): bool {
  const bitmap = External.at(index).bitmap(which);
  const low: u32 = pool.portLow;
  const high: u32 = pool.portHigh;
  const size = high - low + 1;
  let start = low + below(size, draw());
  for (let passed: u32 = 0; passed < size; ) {
    const port = bitmap.take(start, low, high);
    if (port == NONE) return false;
    reply.destinationPort = <u16>port;
    const forwarded = forwardedUpTo(index, pool.zone, reply);
    if (forwarded == NONE && isFree(reply)) return true;
    bitmap.give(port);
    const next = (forwarded == NONE ? port : min(forwarded, high)) + 1;
    passed += (port >= start ? 0 : size) + next - start;
    start = next > high ? low : next;
  }
  return false;
}
