/**
 * Ports that conns of many endpoints share towards different destinations (RFC 4787 section 4.1, address and
 * port dependent mapping), so that a pool carries more conns than it has ports. A port that nobody has comes
 * first; when there is none, the ports in use are tried one after the other from a random place on, until one
 * is not yet used towards this destination. That takes as many lookups as there are ports when the
 * destination is all but used up; so one call of the datapath tries all of them once at most, and what
 * follows in the same call is refused without.
 */

import { Allocation, Reason } from "../abi";
import { active, pairKey } from "../config/configuration";
import { PoolRecord } from "../config/records";
import { arena } from "../memory";
import { CONTINUE } from "../packet";
import { sipHash } from "../table/hash";
import { NONE } from "../table/none";
import { isFree } from "./conn";
import { External } from "./external";
import { forwardedUpTo } from "./forward";
import { findShared, makeShared } from "./mapping";
import { taken, takePort } from "./pool";
import { free } from "./rest";
import { Tuple } from "./tuple";

/** Searches through all ports that may fail in one call. */
const SEARCHES: u32 = 1;
let searchesLeft: u32 = 0;

export function beginSearches(): void {
  searchesLeft = SEARCHES;
}

/** Index of the mapping that `takeShared` has found. */
export let shared: u32 = NONE;

/** Finds or takes a port towards the conn's destination; writes it into `reply`. CONTINUE or a Reason. */
export function takeShared(pool: PoolRecord, which: u32, original: Tuple, reply: Tuple): u32 {
  if (pool.allocation == Allocation.Preserve && preserve(pool, original, reply)) return CONTINUE;
  const verdict = takePort(pool, which, NONE, original, reply);
  if (verdict == CONTINUE) {
    shared = makeShared(taken, which, reply.protocol, reply.destinationPort);
    if (shared != NONE) return CONTINUE;
    free(taken, which, reply.destinationPort);
    return Reason.MappingTableFull;
  }
  if (searchesLeft == 0) return Reason.PoolExhausted;
  for (let n: u32 = 0; n < pool.addressCount; n++) {
    if (search(pool, externalOf(pool, n), reply)) return CONTINUE;
  }
  searchesLeft--;
  return Reason.PoolExhausted;
}

function externalOf(pool: PoolRecord, n: u32): u32 {
  return active.externalByAddress.get(pairKey(pool.zone, active.poolAddress(pool, n)));
}

/** The inside port, where others use it towards other destinations only. */
function preserve(pool: PoolRecord, original: Tuple, reply: Tuple): bool {
  const port = original.sourcePort;
  if (port < pool.portLow || port > pool.portHigh) return false;
  for (let n: u32 = 0; n < pool.addressCount; n++) {
    if (serves(externalOf(pool, n), pool, port, reply)) return true;
  }
  return false;
}

function search(pool: PoolRecord, external: u32, reply: Tuple): bool {
  const size: u32 = <u32>pool.portHigh - pool.portLow + 1;
  const start = <u32>(((sipHash(arena.portKey, ++arena.draws) >> 32) * size) >> 32);
  for (let n: u32 = 0; n < size; n++) {
    const sum = start + n;
    const port = pool.portLow + (sum >= size ? sum - size : sum);
    if (serves(external, pool, <u16>port, reply)) return true;
  }
  return false;
}

/** Whether a port is shared, and free towards the conn's destination; then it is found. */
function serves(external: u32, pool: PoolRecord, port: u16, reply: Tuple): bool {
  const index = findShared(external, reply.protocol, port);
  if (index == NONE) return false;
  reply.destination = External.at(external).address;
  reply.destinationPort = port;
  if (forwardedUpTo(external, pool.zone, reply.protocol, port) != NONE || !isFree(reply))
    return false;
  shared = index;
  return true;
}
