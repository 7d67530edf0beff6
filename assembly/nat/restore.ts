/**
 * Restoring: what another process has saved (nat/save.ts) begins again where the configuration in force allows it. It
 * comes to the same as if the process had gone on and been given that configuration, and each record goes
 * through what a new conn goes through: zones that are the same tenants' (number and name), a flow that leads it
 * there, a pool that lets its host keep the port, limits, tables. What fits is restored whole, anything else not at all,
 * and counted by its Fate; in doubt what was restored first stays.
 *
 * A record may have been written by anybody: nothing is believed that is not asked here, or by `stillAllowed`.
 *
 * Where several workers share the configuration each is given all records and takes its own: those whose conns would
 * begin with it (nat/owner.ts). Of those that are nobody's the first worker tells.
 */

import {
  Allocation,
  EventClass,
  Exchange,
  Fate,
  ImageAt,
  None,
  RestoredAt,
  SavedAt,
  SavedBeginAt,
  SavedConnAt,
  SavedGrantAt,
  SavedKind,
  SavedMappingAt,
  SavedPortAt,
} from "../abi";
import { active, pairKey } from "../config/configuration";
import { PoolRecord } from "../config/records";
import { arena, searchWorkspace, workspaceEntries } from "../memory";
import { NONE } from "../table/none";
import { IpProtocol } from "../wire/ipv4";
import { takeBlockPort } from "./block";
import { bitmapOf, External } from "./external";
import {
  ASKS,
  ELSEWHERE,
  forgetZones,
  meetZone,
  nobodys,
  sameZone,
  startCounting,
  tell,
} from "./fate";
import { holdAgain, poolForGrant } from "./grant";
import { releaseHost, takeHost } from "./host";
import { abandonMapping, Mapping } from "./mapping";
import { ownerOfHost, ownerOfPort } from "./owner";
import { blockFor } from "./pool";
import { externalOf, remap, remapped } from "./remap";
import { restSince } from "./rest";
import { askedFor, mappingAt, restoreConn } from "./restoreconn";
import { Tuple } from "./tuple";

/** Index of the zone because of whose limit `restoreRecords` has stopped, NONE where it has not. */
export let stoppedFor: u32 = NONE;

/**
 * Restores the records at Exchange.Rows, which were written `elapsed` milliseconds ago; with `old` packets may have been
 * forwarded since. Returns how many bytes it is through with: less where the last record is not whole, or where it
 * has stopped for a limit that is lent, unless it `insists`.
 */
export function restoreRecords(bytes: u32, elapsed: u32, now: u32, old: bool, insists: bool): u32 {
  arena.now = now;
  arena.restoredAt = now;
  stoppedFor = NONE;
  // These have been told of when they began.
  const mask = arena.eventMask;
  arena.eventMask = EventClass.Alarms;
  const from = <usize>Exchange.Rows;
  let at = from;
  while (at + SavedAt.Bytes <= from + bytes) {
    const length: u32 = load<u16>(at, SavedAt.Length);
    if (length < <u32>SavedAt.Bytes || at + length > from + bytes) break;
    const mayAsk = !insists || at > from;
    if (!restoreRecord(at, length, elapsed, old, mayAsk)) break;
    at += length;
  }
  arena.eventMask = mask;
  return <u32>(at - from);
}

/** The time of the PCP server goes on from what was saved `elapsed` seconds ago: no grant of it was lost. */
export function continueEpoch(elapsed: u32): void {
  arena.continueEpoch(arena.savedEpoch + elapsed);
}

/** False where it stops for a limit that is lent. */
function restoreRecord(at: usize, length: u32, elapsed: u32, old: bool, mayAsk: bool): bool {
  switch (<u32>load<u8>(at)) {
    case SavedKind.Begin:
      if (length == SavedBeginAt.Bytes) arena.savedEpoch = load<u32>(at, SavedBeginAt.Epoch);
      forgetZones();
      return true;
    case SavedKind.Zone:
      meetZone(at, length);
      return true;
    case SavedKind.Grant: {
      const fate = restoreGrant(at, length, elapsed);
      if (fate != <u32>Fate.Restored && length == SavedGrantAt.Bytes) {
        const inside = Tuple.view(at + SavedGrantAt.Inside);
        noteLost(at + SavedGrantAt.Mapping, inside.protocol);
      }
      tell(RestoredAt.Grants, fate);
      return true;
    }
    case SavedKind.Conn: {
      const fate = restoreConn(at, length, elapsed, old, mayAsk);
      if (fate == ASKS) {
        stoppedFor = askedFor;
        return false;
      }
      if (fate != <u32>Fate.Restored && mappingAt != 0) {
        const original = Tuple.view(at + SavedConnAt.Original);
        noteLost(mappingAt, original.protocol);
      }
      tell(RestoredAt.Conns, fate);
      return true;
    }
    case SavedKind.RestingPort:
      tell(RestoredAt.Ports, restorePort(at, length, elapsed));
      return true;
    default:
      return true;
  }
}

function restoreGrant(at: usize, length: u32, elapsed: u32): u32 {
  if (length != SavedGrantAt.Bytes) return nobodys(Fate.Unsound);
  const inside = Tuple.view(at + SavedGrantAt.Inside);
  const zone = sameZone(inside.zone);
  if (zone == NONE) return nobodys(Fate.ZoneGone);
  const isPorted = inside.protocol == IpProtocol.Tcp || inside.protocol == IpProtocol.Udp;
  if (!isPorted) return nobodys(Fate.Unsound);
  if (arena.workers > 1 && ownerOfHost(inside.zone, inside.source) != arena.worker) {
    return ELSEWHERE;
  }
  const left = load<u32>(at, SavedGrantAt.ExpiresIn);
  if (left <= elapsed) return Fate.Expired;
  const ingress: u32 = load<u16>(at, SavedGrantAt.Ingress);
  const index = poolForGrant(inside, ingress);
  if (index == NONE) return Fate.Refused;
  const pool = active.pool(index);
  const saved = at + SavedGrantAt.Mapping;
  // Such a pool gives an endpoint one port for all destinations; what was given otherwise it would give anew.
  if (load<u8>(saved, SavedMappingAt.Mapping) != 0) return Fate.Refused;
  const fate = remap(pool, inside, saved, zone, elapsed);
  if (fate != Fate.Restored) return fate;
  const mapping = remapped;
  // Where nobody else does, this holds it for as long as it takes to ask.
  Mapping.at(mapping).conns++;
  const low = load<u64>(at, SavedGrantAt.NonceLow);
  const high = load<u32>(at, SavedGrantAt.NonceHigh);
  const held = Mapping.at(mapping).grant;
  const given = holdAgain(mapping, pool, zone, low, high, ingress, left - elapsed);
  abandonMapping(mapping);
  if (given != NONE) return Fate.Restored;
  return held == NONE ? Fate.TableFull : Fate.Contradicted;
}

function restorePort(at: usize, length: u32, elapsed: u32): u32 {
  if (length != SavedPortAt.Bytes) return nobodys(Fate.Unsound);
  const zone = sameZone(load<u16>(at, SavedPortAt.ExternalZone));
  if (zone == NONE) return nobodys(Fate.ZoneGone);
  const address = load<u32>(at, SavedPortAt.External);
  const external = active.externalByAddress.get(pairKey(zone, address));
  if (external == NONE) return nobodys(Fate.Refused);
  const which: u32 = load<u8>(at, SavedPortAt.Which);
  const port: u32 = load<u16>(at, SavedPortAt.Port);
  if (which > 2) return nobodys(Fate.Unsound);
  if (arena.workers > 1 && ownerOfPort(External.at(external), which, port) != arena.worker) {
    return ELSEWHERE;
  }
  const rested = <u64>load<u32>(at, SavedPortAt.Rested) + elapsed;
  if (rested >= active.delay(ImageAt.HoldDown)) return Fate.Expired;
  const pool: u32 = External.at(external).pool;
  if (pool == <u32>None.Short) return Fate.Refused;
  if (active.pool(pool).allocation == <u8>Allocation.Block) {
    if (!takeBlockOf(at, active.pool(pool), external, port, which)) return Fate.PortTaken;
  } else if (!External.at(external).bitmap(which).set(port)) return Fate.PortTaken;
  External.at(external).countPort(which, port, 1);
  restSince(external, which, port, arena.now - <u32>rested);
  return Fate.Restored;
}

/** Takes the port together with the block that it keeps its host from losing, where that can be had back. */
function takeBlockOf(at: usize, pool: PoolRecord, external: u32, port: u32, which: u32): bool {
  const zone = sameZone(load<u16>(at, SavedPortAt.HostZone));
  const hasHost = load<u8>(at, SavedPortAt.InBlock) != 0 && zone != NONE;
  const host = hasHost ? takeHost(zone, load<u32>(at, SavedPortAt.Host)) : NONE;
  const bitmap = External.at(external).bitmap(which);
  const isFree = !bitmap.has(port);
  const name = isFree ? blockFor(pool, host, external, port) : NONE;
  if (name != NONE) takeBlockPort(name);
  if (host != NONE) releaseHost(host);
  return isFree && bitmap.set(port);
}

// ---------------------------------------------------------------------------------------------------
// Ports of what does not go on

/** Of a port that is noted, where a search would count: u32 external address, u16 port, u16 bitmap. */
const LOST_BYTES: usize = 8;

/** Nothing has been restored yet. */
export function startRestoring(): void {
  startCounting();
  arena.lostPorts = 0;
}

/**
 * The port of a mapping that does not go on is to rest, as it would have rested if its conn had ended: but only when all has
 * been restored, since another conn of the mapping may still need it.
 */
function noteLost(saved: usize, protocol: u32): void {
  const which = bitmapOf(protocol);
  const external = which == NONE ? NONE : externalOf(saved);
  if (external == NONE || arena.lostPorts == 2 * workspaceEntries()) return;
  const port: u32 = load<u16>(saved, SavedMappingAt.ExternalPort);
  const address = External.at(external);
  if (arena.workers > 1 && ownerOfPort(address, which, port) != arena.worker) return;
  if (address.bitmap(which).has(port)) return;
  const at = searchWorkspace + <usize>arena.lostPorts * LOST_BYTES;
  arena.lostPorts++;
  store<u32>(at, external);
  store<u16>(at, <u16>port, 4);
  store<u16>(at, <u16>which, 6);
}

/** All has been restored: what nobody has got of the ports noted rests from now on. */
export function finishRestoring(now: u32): void {
  arena.now = now;
  for (let i: u32 = 0; i < arena.lostPorts; i++) {
    const at = searchWorkspace + <usize>i * LOST_BYTES;
    const external = load<u32>(at);
    const port: u32 = load<u16>(at, 4);
    const which: u32 = load<u16>(at, 6);
    if (!External.at(external).bitmap(which).set(port)) continue;
    External.at(external).countPort(which, port, 1);
    restSince(external, which, port, now);
  }
  arena.lostPorts = 0;
}
