/**
 * Deterministic pools (RFC 7422): which external address and ports a host has follows from its own address
 * and the configuration alone, so nothing needs to be logged, and anybody who has the configuration can say
 * who used a port (`crosszone pool map`). Subscribers are numbered in the order of the pool's prefixes; each
 * address of the pool serves as many of them as fit in front of the ports that are anyone's.
 */

import { active } from "../config/configuration";
import { PoolRecord } from "../config/records";
import { NONE } from "../table/none";
import { prefixMask } from "../table/prefix";

/** The number of a host among the pool's subscribers, NONE when it is none of them. */
export function ordinalOf(pool: PoolRecord, zoneIndex: u32, address: u32): u32 {
  for (let i: u32 = 0; i < pool.subscriberCount; i++) {
    const each = active.poolSubscriber(pool.subscribers + i);
    const mask = prefixMask(each.prefixLength);
    if (each.zone == zoneIndex && (address & mask) == each.prefix) {
      return each.first + (address & ~mask);
    }
  }
  return NONE;
}

/** Whether the pool has ports that are anyone's. */
export function hasOverflow(pool: PoolRecord): bool {
  return pool.overflowLow != 0;
}

function perAddress(pool: PoolRecord): u32 {
  const end: u32 = hasOverflow(pool) ? pool.overflowLow : <u32>pool.portHigh + 1;
  return (end - pool.portLow) / pool.blockPorts;
}

/** Which of the pool's addresses is a subscriber's. */
export function subscriberAddress(pool: PoolRecord, ordinal: u32): u32 {
  return ordinal / perAddress(pool);
}

/** The first of a subscriber's ports. */
export function subscriberPort(pool: PoolRecord, ordinal: u32): u32 {
  return pool.portLow + (ordinal % perAddress(pool)) * pool.blockPorts;
}

/** The number of the subscriber whose own a port of one of the pool's addresses is; NONE where it is nobody's own. */
export function ordinalAt(pool: PoolRecord, address: u32, port: u32): u32 {
  const end: u32 = hasOverflow(pool) ? pool.overflowLow : <u32>pool.portHigh + 1;
  if (port < pool.portLow || port >= end) return NONE;
  const each = perAddress(pool);
  const at = (port - pool.portLow) / pool.blockPorts;
  const which = active.placeInPool(pool, address);
  return which == NONE || at >= each ? NONE : which * each + at;
}

/** Whether a port of an external address may be that of a host: its own, or anyone's. */
export function mayHave(
  pool: PoolRecord,
  zoneIndex: u32,
  host: u32,
  external: u32,
  port: u32,
): bool {
  const ordinal = ordinalOf(pool, zoneIndex, host);
  if (ordinal == NONE) return false;
  if (hasOverflow(pool) && port >= pool.overflowLow) return true;
  const low = subscriberPort(pool, ordinal);
  return (
    active.poolAddress(pool, subscriberAddress(pool, ordinal)) == external &&
    port >= low &&
    port < low + pool.blockPorts
  );
}
