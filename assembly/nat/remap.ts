/**
 * Mappings as they were before a restart: an inside endpoint has the very external port again, by the pool that a flow of the
 * configuration in force leads it to, or none at all.
 */

import { Allocation, Fate, FilteringBehaviour, SavedMappingAt } from "../abi";
import { active, pairKey } from "../config/configuration";
import { PoolRecord } from "../config/records";
import { arena } from "../memory";
import { Packet } from "../packet";
import { NONE } from "../table/none";
import { bitmapOf, External } from "./external";
import { sameZone } from "./fate";
import { forwardedUpTo } from "./forward";
import { Host, releaseHost, takeHost } from "./host";
import { mayTakePort } from "./limit";
import {
  findExact,
  findOwn,
  findShared,
  Mapping,
  makePortless,
  makeShared,
  remakeOwn,
} from "./mapping";
import { ownerOfPort } from "./owner";
import { retakePort } from "./pool";
import { free } from "./rest";
import { Tuple } from "./tuple";

/** Index of the External that a mapping's record names; NONE where there is none any more. */
export function externalOf(saved: usize): u32 {
  const zone = sameZone(load<u16>(saved, SavedMappingAt.ExternalZone));
  if (zone == NONE) return NONE;
  return active.externalByAddress.get(pairKey(zone, load<u32>(saved, SavedMappingAt.External)));
}

/** Index of the mapping that `remap` has found or made; nobody uses it yet where it was made. */
export let remapped: u32 = NONE;

/** The key of an own mapping of the source of `inside`, in a packet's record that nobody uses between two calls. */
export function keyOf(inside: Tuple, saved: usize): Tuple {
  const key = Tuple.view(changetype<usize>(Packet.at(0)));
  key.fill(
    inside.source,
    load<u32>(saved, SavedMappingAt.Destination),
    inside.sourcePort,
    load<u16>(saved, SavedMappingAt.DestinationPort),
    inside.zone,
    inside.protocol,
  );
  return key;
}

/** Finds or makes the mapping of the source of `inside`, in the zone with this index, as it was. */
export function remap(pool: PoolRecord, inside: Tuple, saved: usize, zone: u32, elapsed: u32): u32 {
  const external = externalOf(saved);
  if (external == NONE) return Fate.Refused;
  if (!active.hasExternal(pool, external, External.at(external).address)) return Fate.Refused;
  const which = bitmapOf(inside.protocol);
  if (which == NONE) return remapPortless(pool, inside, external, saved, elapsed);
  const port: u32 = load<u16>(saved, SavedMappingAt.ExternalPort);
  if (load<u8>(saved, SavedMappingAt.Shared) != 0) {
    return remapShared(pool, which, inside, external, port, saved, elapsed);
  }
  const behaviour: u32 = load<u8>(saved, SavedMappingAt.Mapping);
  const filtering: u32 = load<u8>(saved, SavedMappingAt.Filtering);
  if (max(behaviour, filtering) > <u32>FilteringBehaviour.AddressAndPortDependent) {
    return Fate.Unsound;
  }
  remapped = findExact(keyOf(inside, saved), behaviour, external, port);
  if (remapped != NONE) return Fate.Restored;
  // An endpoint has one mapping of each kind.
  const isLikeNew = behaviour == pool.mapping(which);
  if (isLikeNew && findOwn(pool, which, zone, keyOf(inside, saved)) != NONE) {
    return Fate.Contradicted;
  }
  if (!isOfThis(pool, external, which, port)) return Fate.PortElsewhere;
  const host = takeHost(zone, inside.source);
  if (host == NONE) return Fate.TableFull;
  const fate = remapOwn(pool, which, host, inside, external, port, saved, zone);
  if (fate == Fate.Restored) age(saved, elapsed);
  else releaseHost(host);
  return fate;
}

function remapOwn(
  pool: PoolRecord,
  which: u32,
  host: u32,
  inside: Tuple,
  external: u32,
  port: u32,
  saved: usize,
  zone: u32,
): u32 {
  if (!mayTakePort(zone, Host.at(host), which, inside)) return Fate.OverLimit;
  if (!retakePort(pool, which, host, inside, external, port)) return Fate.PortTaken;
  const behaviour: u32 = load<u8>(saved, SavedMappingAt.Mapping);
  const filtering: u32 = load<u8>(saved, SavedMappingAt.Filtering);
  const key = keyOf(inside, saved);
  remapped = remakeOwn(which, host, key, behaviour, filtering, external, port);
  if (remapped != NONE) return Fate.Restored;
  free(external, which, port);
  return Fate.TableFull;
}

function remapShared(
  pool: PoolRecord,
  which: u32,
  inside: Tuple,
  external: u32,
  port: u32,
  saved: usize,
  elapsed: u32,
): u32 {
  remapped = findShared(external, inside.protocol, port);
  if (remapped != NONE) return Fate.Restored;
  if (!isOfThis(pool, external, which, port)) return Fate.PortElsewhere;
  if (!retakePort(pool, which, NONE, inside, external, port)) return Fate.PortTaken;
  remapped = makeShared(external, which, inside.protocol, port);
  if (remapped == NONE) {
    free(external, which, port);
    return Fate.TableFull;
  }
  age(saved, elapsed);
  return Fate.Restored;
}

function remapPortless(
  pool: PoolRecord,
  inside: Tuple,
  external: u32,
  saved: usize,
  elapsed: u32,
): u32 {
  if (forwardedUpTo(external, pool.zone, inside.protocol, 0) != NONE) return Fate.PortTaken;
  remapped = makePortless(inside, external);
  if (remapped == NONE) return Fate.TableFull;
  External.at(external).countUse(1);
  age(saved, elapsed);
  return Fate.Restored;
}

/** Whether a port may be one of a host of this worker. */
function isOfThis(pool: PoolRecord, external: u32, which: u32, port: u32): bool {
  if (arena.workers == 1) return true;
  const isSubscribers =
    pool.allocation == <u8>Allocation.Deterministic &&
    (pool.overflowLow == 0 || port < <u32>pool.overflowLow);
  return isSubscribers || ownerOfPort(External.at(external), which, port) == arena.worker;
}

function age(saved: usize, elapsed: u32): void {
  Mapping.at(remapped).created = arena.now - load<u32>(saved, SavedMappingAt.Age) - elapsed;
}
