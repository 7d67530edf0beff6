/**
 * Events: what an operator must hear of, as records in a ring that the host empties. Numbers are those of
 * RFC 8158 where it has one. A ring that is full loses the newest, and counts it. Alarms that come again
 * and again are noted once a second, with how many were left out (RFC 8158 section 5: rate limits).
 */

import { Allocation, EventAt, EventClass, EventKind, Limit, None, Reason } from "../abi";
import { active } from "../config/configuration";
import { PoolRecord } from "../config/records";
import { arena, connSlab, events } from "../memory";
import { NONE } from "../table/none";
import { BLOCKS, External } from "./external";
import { Tuple } from "./tuple";

/** Equal alarms are at least so far apart. */
const ALARM_INTERVAL_MS: u32 = 1000;
/** Percent of a table or pool that raise the alarm, and that end it. */
const HIGH: u64 = 80;
const LOW: u64 = 70;

function isNoted(kind: EventClass): bool {
  return (arena.eventMask & kind) != 0;
}

/** A cleared record of this kind at the end of the ring; 0 when there is no place. */
function begin(kind: EventKind): usize {
  if (arena.eventCount == Limit.Events) {
    arena.eventsLost++;
    return 0;
  }
  const place = (arena.eventFirst + arena.eventCount++) % Limit.Events;
  const at = events + <usize>place * EventAt.Bytes;
  memory.fill(at, 0, EventAt.Bytes);
  store<u16>(at, <u16>kind, EventAt.Kind);
  store<u32>(at, arena.now, EventAt.Time);
  store<u16>(at, <u16>None.Short, EventAt.Pool);
  return at;
}

/** Moves the oldest event to `to`; false when none waits. */
export function takeEvent(to: usize): bool {
  if (arena.eventCount == 0) return false;
  memory.copy(to, events + <usize>arena.eventFirst * EventAt.Bytes, EventAt.Bytes);
  arena.eventFirst = (arena.eventFirst + 1) % Limit.Events;
  arena.eventCount--;
  return true;
}

/** Whether an alarm whose last time stands in these two words is to be noted; else it is left out. */
function isDue(at: u32, repeats: u32): bool {
  return at == 0 || arena.now - at >= ALARM_INTERVAL_MS || repeats == 0xffff;
}

/** No port of the protocol is left in the pool for this host; without ports: no address. */
export function notePoolExhausted(pool: PoolRecord, original: Tuple, hasPorts: bool): void {
  const state = active.poolStateOf(pool);
  if (!isDue(state.alarmAt, state.alarmRepeats)) {
    state.alarmRepeats++;
    return;
  }
  const at = begin(hasPorts ? EventKind.PortsExhausted : EventKind.AddressesExhausted);
  if (at != 0) {
    writeHost(at, original);
    store<u16>(at, <u16>active.poolIndexOf(pool), EventAt.Pool);
    store<u16>(at, active.zone(pool.zone).number, EventAt.ExternalZone);
    store<u16>(at, <u16>state.alarmRepeats, EventAt.Repeats);
  }
  state.alarmAt = max<u32>(arena.now, 1);
  state.alarmRepeats = 0;
}

/** A limit of the zone with this index, or of one of its hosts, is reached. */
export function noteQuota(zoneIndex: u32, original: Tuple, reason: Reason): void {
  const state = active.zoneState(zoneIndex);
  if (!isDue(state.alarmAt, state.alarmRepeats)) {
    state.alarmRepeats++;
    return;
  }
  const at = begin(EventKind.QuotaExceeded);
  if (at != 0) {
    writeHost(at, original);
    store<u32>(at, reason, EventAt.Value);
    store<u16>(at, <u16>state.alarmRepeats, EventAt.Repeats);
  }
  state.alarmAt = max<u32>(arena.now, 1);
  state.alarmRepeats = 0;
}

/** A table that all zones share is full. */
export function noteTableFull(original: Tuple, reason: Reason): void {
  if (!isDue(arena.alarmAt, arena.alarmRepeats)) {
    arena.alarmRepeats++;
    return;
  }
  const at = begin(EventKind.TableFull);
  if (at != 0) {
    writeHost(at, original);
    store<u32>(at, reason, EventAt.Value);
    store<u16>(at, <u16>arena.alarmRepeats, EventAt.Repeats);
  }
  arena.alarmAt = max<u32>(arena.now, 1);
  arena.alarmRepeats = 0;
}

/** Percent of `all` that are used, when that crosses a threshold: upwards unless `high`, else downwards. */
function crossing(used: u64, all: u64, high: bool): bool {
  return high ? used * 100 < all * LOW : used * 100 >= all * HIGH;
}

function noteCrossing(used: u64, all: u64, high: bool): usize {
  const at = begin(high ? EventKind.ThresholdCleared : EventKind.ThresholdReached);
  // What workers have borrowed of a limit may be more than what is theirs by number.
  if (at != 0) store<u32>(at, <u32>min<u64>((used * 100) / all, 100), EventAt.Value);
  return at;
}

/**
 * To be called when a conn was made or has ended: 80 % of the table, and of the zone's limit, if there is one; where
 * several workers share it, of what is one's by number.
 */
export function watchConns(zoneIndex: u32): void {
  const all: u64 = arena.connCapacity;
  if (crossing(connSlab.count, all, arena.connsHigh != 0)) {
    noteCrossing(connSlab.count, all, arena.connsHigh != 0);
    arena.connsHigh ^= 1;
  }
  if (zoneIndex == NONE) return;
  const connsMax = active.zone(zoneIndex).connsMax;
  if (connsMax == 0) return;
  const limit: u64 = max<u32>(1, connsMax / arena.workers);
  const state = active.zoneState(zoneIndex);
  if (!crossing(state.conns, limit, state.connsHigh != 0)) return;
  const at = noteCrossing(state.conns, limit, state.connsHigh != 0);
  if (at != 0) store<u16>(at, active.zone(zoneIndex).number, EventAt.Zone);
  state.connsHigh ^= 1;
}

/**
 * To be called when a port of an external address was taken or became free: 80 % of its pool. For a block of
 * ports, which belongs to all protocols, `which` is BLOCKS and `protocol` 0.
 */
export function watchPool(external: External, which: u32, protocol: u32): void {
  if (external.pool == <u32>None.Short) return;
  const pool = active.pool(external.pool);
  const state = active.poolState(external.pool);
  const ports = which == BLOCKS ? wholeBlocks(pool) : <u64>pool.portHigh - pool.portLow + 1;
  let all = <u64>pool.addressCount * ports;
  if (arena.workers > 1) all /= arena.workers;
  if (all == 0) return;
  const bit: u32 = 1 << which;
  const high = (state.high & bit) != 0;
  if (!crossing(state.used(which), all, high)) return;
  const at = noteCrossing(state.used(which), all, high);
  if (at != 0) {
    store<u16>(at, <u16>external.pool, EventAt.Pool);
    store<u16>(at, <u16>protocol, EventAt.Protocol);
    store<u16>(at, active.zone(pool.zone).number, EventAt.ExternalZone);
  }
  state.high ^= bit;
}

/** Ports of an external address that the pool gives in blocks. */
function wholeBlocks(pool: PoolRecord): u64 {
  if (pool.allocation != <u8>Allocation.Block) return 0;
  const size: u32 = pool.blockPorts;
  const first = (pool.portLow + size - 1) / size;
  const end = (<u32>pool.portHigh + 1) / size;
  return end > first ? (end - first) * size : 0;
}

/** A host was given a block of ports, or has given it up. */
export function noteBlock(
  kind: EventKind,
  zone: u32,
  host: u32,
  external: External,
  first: u32,
  last: u32,
): void {
  if (!isNoted(EventClass.Blocks)) return;
  const at = begin(kind);
  if (at == 0) return;
  store<u16>(at, <u16>zone, EventAt.Zone);
  store<u32>(at, host, EventAt.Address);
  store<u16>(at, external.zone, EventAt.ExternalZone);
  store<u32>(at, external.address, EventAt.External);
  store<u16>(at, <u16>first, EventAt.ExternalPort);
  store<u16>(at, <u16>last, EventAt.LastPort);
}

/** An inside endpoint was given an external port, or has given it up. */
export function noteMapping(
  kind: EventKind,
  inside: Tuple,
  external: External,
  externalPort: u32,
): void {
  if (!isNoted(EventClass.Mappings)) return;
  const at = begin(kind);
  if (at == 0) return;
  writeHost(at, inside);
  store<u16>(at, external.zone, EventAt.ExternalZone);
  store<u32>(at, external.address, EventAt.External);
  store<u16>(at, <u16>externalPort, EventAt.ExternalPort);
}

/** A conn was made, or has ended. */
export function noteSession(kind: EventKind, original: Tuple, reply: Tuple): void {
  if (!isNoted(EventClass.Sessions)) return;
  const at = begin(kind);
  if (at == 0) return;
  writeHost(at, original);
  store<u16>(at, reply.zone, EventAt.ExternalZone);
  store<u32>(at, reply.destination, EventAt.External);
  store<u16>(at, reply.destinationPort, EventAt.ExternalPort);
  store<u32>(at, original.destination, EventAt.Remote);
  store<u16>(at, original.destinationPort, EventAt.RemotePort);
}

function writeHost(at: usize, original: Tuple): void {
  store<u16>(at, original.protocol, EventAt.Protocol);
  store<u16>(at, original.zone, EventAt.Zone);
  store<u32>(at, original.source, EventAt.Address);
  store<u16>(at, original.sourcePort, EventAt.Port);
}
