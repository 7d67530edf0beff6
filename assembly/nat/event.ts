/**
 * Events: what an operator must hear of, as records in a ring that the host empties. Numbers are those of
 * RFC 8158 where it has one. A ring that is full loses the newest, and counts it.
 *
 * Alarms come again and again, so each is noted once a second (RFC 8158 section 5: rate limits): those of a zone
 * and of each host, for each reason; those of a pool for each protocol; those of a table. Of one zone's hosts a
 * second notes Limit.AlarmsPerZone. What is left out is counted, and told by the next alarm for the same reason.
 * Which were noted lately stands in a table of as many places as Limit.Alarms, one for each hash; two that fall
 * together hide each other for that second. A zone fills few of its places, so no zone can hide another's.
 */

import { Allocation, EventAt, EventClass, EventFlag, EventKind, Limit, None, Reason } from "../abi";
import { active, ZoneState } from "../config/configuration";
import { PoolRecord } from "../config/records";
import { alarms, arena, connSlab, events, RecordBytes } from "../memory";
import { tupleHash } from "../table/hash";
import { NONE } from "../table/none";
import { BLOCKS, External } from "./external";
import { Tuple } from "./tuple";

/** Equal alarms are at least so far apart. */
const ALARM_INTERVAL_MS: u32 = 1000;
/** A next hop that does not answer is asked again with each packet that goes there. */
const UNRESOLVED_INTERVAL_MS: u32 = 60000;
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

/** A place of the table of alarms: which was noted, and when. */
@final
@unmanaged
class Alarm {
  key: u64;
  at: u32;
  private pad: u32;
}
if (offsetof<Alarm>() != RecordBytes.Alarm) ERROR("an Alarm is 16 bytes");

/** @param scope  number of the zone or index of the pool; `what` is the kind or Reason, never 0 */
function alarmKey(what: u32, scope: u32, protocol: u32, address: u32): u64 {
  return ((<u64>address) << 32) | ((<u64>scope) << 16) | ((<u64>protocol) << 8) | <u64>what;
}

/** Whether the alarm, or one that has its place, was noted within the interval; if not, it is now. */
function isRecent(key: u64, interval: u32 = ALARM_INTERVAL_MS): bool {
  const place = <usize>(tupleHash(arena.tupleKey, key, 0) % Limit.Alarms);
  const alarm = changetype<Alarm>(alarms + place * RecordBytes.Alarm);
  if (alarm.key != 0 && arena.now - alarm.at < interval) return true;
  alarm.key = key;
  alarm.at = arena.now;
  return false;
}

function oneMore(repeats: u16): u16 {
  return repeats == 0xffff ? repeats : repeats + 1;
}

/** No port of the protocol is left in the pool for this host; without ports: no address. */
export function notePoolExhausted(pool: PoolRecord, original: Tuple, hasPorts: bool): void {
  const state = active.poolStateOf(pool);
  const kind: u32 = hasPorts ? EventKind.PortsExhausted : EventKind.AddressesExhausted;
  const index = active.poolIndexOf(pool);
  if (isRecent(alarmKey(kind, index, original.protocol, 0))) {
    state.repeats = oneMore(state.repeats);
    return;
  }
  const at = begin(kind);
  if (at != 0) {
    writeHost(at, original);
    store<u16>(at, <u16>index, EventAt.Pool);
    writeExternalZone(at, active.zone(pool.zone).number);
    store<u16>(at, state.repeats, EventAt.Repeats);
  }
  state.repeats = 0;
}

/** A limit of the zone with this index, or of one of its hosts, is reached. */
export function noteQuota(zoneIndex: u32, original: Tuple, reason: Reason): void {
  const state = active.zoneState(zoneIndex);
  const isHosts = reason != Reason.ZoneConnLimit;
  const address = isHosts ? original.source : 0;
  const protocol: u32 = reason == Reason.HostPortLimit ? original.protocol : 0;
  const key = alarmKey(reason, original.zone, protocol, address);
  const repeats = repeatsOf(state, reason);
  if ((isHosts && !mayTellHost(state)) || isRecent(key)) {
    store<u16>(repeats, oneMore(load<u16>(repeats)));
    return;
  }
  if (isHosts) state.alarmsTold++;
  const at = begin(EventKind.QuotaExceeded);
  if (at != 0) {
    writeHost(at, original);
    store<u32>(at, reason, EventAt.Value);
    store<u16>(at, load<u16>(repeats), EventAt.Repeats);
  }
  store<u16>(repeats, 0);
}

/** Where the zone counts the alarms for a reason that were left out. */
function repeatsOf(state: ZoneState, reason: Reason): usize {
  const at = changetype<usize>(state);
  if (reason == Reason.ZoneConnLimit) return at + offsetof<ZoneState>("zoneRepeats");
  if (reason == Reason.HostConnLimit) return at + offsetof<ZoneState>("connRepeats");
  return at + offsetof<ZoneState>("portRepeats");
}

/** Whether this second has room for one more alarm about a host of the zone. */
function mayTellHost(state: ZoneState): bool {
  if (state.alarmsTold != 0 && arena.now - state.alarmAt < ALARM_INTERVAL_MS) {
    return state.alarmsTold < <u8>Limit.AlarmsPerZone;
  }
  state.alarmAt = arena.now;
  state.alarmsTold = 0;
  return true;
}

/** A next hop on the device with this index does not answer. */
export function noteUnresolved(device: u32, address: u32): void {
  // No Reason is as large.
  const key = alarmKey(EventKind.NeighborUnresolved, device, 0, address);
  if (isRecent(key, UNRESOLVED_INTERVAL_MS)) return;
  const at = begin(EventKind.NeighborUnresolved);
  if (at == 0) return;
  writeZone(at, active.zone(active.device(device).zone).number);
  store<u32>(at, address, EventAt.Address);
  store<u32>(at, device, EventAt.Value);
}

/** A table that all zones share is full. */
export function noteTableFull(original: Tuple, reason: Reason): void {
  if (isRecent(alarmKey(reason, 0, 0, 0))) {
    arena.tableRepeats = min<u32>(arena.tableRepeats + 1, 0xffff);
    return;
  }
  const at = begin(EventKind.TableFull);
  if (at != 0) {
    writeHost(at, original);
    store<u32>(at, reason, EventAt.Value);
    store<u16>(at, <u16>arena.tableRepeats, EventAt.Repeats);
  }
  arena.tableRepeats = 0;
}

/** Percent of `all` that are used, when that crosses a threshold: upwards unless `high`, else downwards. */
function crossing(used: u64, all: u64, high: bool): bool {
  return high ? used * 100 < all * LOW : used * 100 >= all * HIGH;
}

function noteCrossing(used: u64, all: u64, high: bool): usize {
  const at = begin(high ? EventKind.ThresholdCleared : EventKind.ThresholdReached);
  if (at != 0) store<u32>(at, <u32>((used * 100) / all), EventAt.Value);
  return at;
}

/**
 * To be called when a conn was made or has ended: 80 % of the table, and of the zone's limit, if there is one. Each of
 * several workers tells of what all of them have, as far as it knows.
 */
export function watchConns(zoneIndex: u32): void {
  const all: u64 = arena.connCapacity;
  if (crossing(connSlab.count, all, arena.connsHigh != 0)) {
    noteCrossing(connSlab.count, all, arena.connsHigh != 0);
    arena.connsHigh ^= 1;
  }
  if (zoneIndex == NONE) return;
  const limit: u64 = active.zone(zoneIndex).connsMax;
  if (limit == 0) return;
  const state = active.zoneState(zoneIndex);
  const conns = state.conns + state.elsewhere;
  if (!crossing(conns, limit, state.connsHigh != 0)) return;
  const at = noteCrossing(conns, limit, state.connsHigh != 0);
  if (at != 0) writeZone(at, active.zone(zoneIndex).number);
  state.connsHigh ^= 1;
}

/**
 * To be called when a port was taken or became free: 80 % of the pool with this index, NONE for none. For a block of
 * ports, which belongs to all protocols, `which` is BLOCKS and `protocol` 0.
 */
export function watchPool(index: u32, which: u32, protocol: u32): void {
  if (index >= active.poolCount) return;
  const pool = active.pool(index);
  const state = active.poolState(index);
  const ports = which == BLOCKS ? wholeBlocks(pool) : <u64>pool.portHigh - pool.portLow + 1;
  let all = <u64>pool.addressCount * ports;
  if (arena.workers > 1) all /= arena.workers;
  if (all == 0) return;
  const bit: u32 = 1 << which;
  const high = (state.high & bit) != 0;
  if (!crossing(state.used(which), all, high)) return;
  const at = noteCrossing(state.used(which), all, high);
  if (at != 0) {
    store<u16>(at, <u16>index, EventAt.Pool);
    store<u8>(at, <u8>protocol, EventAt.Protocol);
    writeExternalZone(at, active.zone(pool.zone).number);
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
  writeZone(at, <u16>zone);
  store<u32>(at, host, EventAt.Address);
  writeExternalZone(at, external.zone);
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
  writeExternalZone(at, external.zone);
  store<u32>(at, external.address, EventAt.External);
  store<u16>(at, <u16>externalPort, EventAt.ExternalPort);
}

/** A conn was made, or has ended. */
export function noteSession(kind: EventKind, original: Tuple, reply: Tuple): void {
  if (!isNoted(EventClass.Sessions)) return;
  const at = begin(kind);
  if (at == 0) return;
  writeHost(at, original);
  writeExternalZone(at, reply.zone);
  store<u32>(at, reply.destination, EventAt.External);
  store<u16>(at, reply.destinationPort, EventAt.ExternalPort);
  store<u32>(at, original.destination, EventAt.Remote);
  store<u16>(at, original.destinationPort, EventAt.RemotePort);
  store<u32>(at, reply.source, EventAt.Target);
  store<u16>(at, reply.sourcePort, EventAt.TargetPort);
}

function writeHost(at: usize, original: Tuple): void {
  store<u8>(at, <u8>original.protocol, EventAt.Protocol);
  writeZone(at, original.zone);
  store<u32>(at, original.source, EventAt.Address);
  store<u16>(at, original.sourcePort, EventAt.Port);
}

function writeZone(at: usize, zone: u16): void {
  store<u16>(at, zone, EventAt.Zone);
  store<u8>(at, load<u8>(at, EventAt.Flags) | <u8>EventFlag.Zone, EventAt.Flags);
}

function writeExternalZone(at: usize, zone: u16): void {
  store<u16>(at, zone, EventAt.ExternalZone);
  store<u8>(at, load<u8>(at, EventAt.Flags) | <u8>EventFlag.ExternalZone, EventAt.Flags);
}
