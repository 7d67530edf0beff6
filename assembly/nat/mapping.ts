/**
 * Mappings: which external port is an inside endpoint's own (RFC 4787 section 4.1). Conns from one endpoint
 * share its mapping; it lives while it has one, and its port rests afterwards (nat/rest.ts).
 *
 * A mapping is found by a key, a Tuple. The behaviours differ only in how much of the destination it keeps:
 *
 *     own      inside endpoint → nothing, the destination's address, or address and port; inside zone
 *     shared   nothing → external endpoint; external zone
 *
 * Shared is a port of a pool that maps and filters by address and port: conns of many endpoints use it towards
 * different destinations, since nothing but a whole reply tuple is let in. For protocols without ports a
 * mapping is one conn's, and found by nobody.
 *
 * A mapping leads to two zones. One that is older than what a zone's number means now is another tenant's.
 */

import { Allocation, EventKind, FilteringBehaviour, MappingBehaviour, None } from "../abi";
import { active } from "../config/configuration";
import { PoolRecord } from "../config/records";
import { arena, keyScratch, mappingIndex, mappingSlab, mappings, RecordBytes } from "../memory";
import { Index } from "../table/index";
import { NONE } from "../table/none";
import { blockWith } from "./block";
import { mayHave } from "./deterministic";
import { noteMapping } from "./event";
import { External } from "./external";
import { forwardedUpTo } from "./forward";
import { Host, releaseHost } from "./host";
import { free, rest } from "./rest";
import { Tuple } from "./tuple";

export enum MappingFlag {
  /** Of the external port, not of an inside endpoint. */
  Shared = 1,
  /** In the index, under its key. */
  Indexed = 2,
}

@final
@unmanaged
export class Mapping extends Tuple {
  /** Index of the external address. */
  external: u32;
  /** Index of the inside host, NONE for a shared one. */
  host: u32;
  /** Conns, those that are hairpinned to it included, and its grant. */
  conns: u32;
  /** arena.generation, and milliseconds of the clock, when it was made. */
  born: u32;
  created: u32;
  /** The external port, 0 for protocols without. */
  port: u16;
  /** Its bitmap; None.Short for protocols without ports. */
  which: u16;
  /** MappingBehaviour, FilteringBehaviour, bits of MappingFlag. */
  behaviour: u8;
  filtering: u8;
  flags: u8;
  private pad0: u8;
  /** Index of the grant that holds it (nat/grant.ts), NONE for none. */
  grant: u32;

  static at(index: u32): Mapping {
    return changetype<Mapping>(mappings + <usize>index * RecordBytes.Mapping);
  }

  has(flag: MappingFlag): bool {
    return (this.flags & <u8>flag) != 0;
  }
  get externalAddress(): External {
    return External.at(this.external);
  }
}
if (offsetof<Mapping>() != RecordBytes.Mapping) ERROR("a Mapping is 48 bytes");

/**
 * Whether a pool gives one port to conns of many endpoints: only where its filter tells them apart, and where
 * its ports are not given to hosts, in blocks or by their addresses.
 */
export function sharesPorts(pool: PoolRecord, which: u32): bool {
  return (
    <u32>pool.allocation <= <u32>Allocation.Preserve &&
    pool.mapping(which) == MappingBehaviour.AddressAndPortDependent &&
    pool.filtering(which) == FilteringBehaviour.AddressAndPortDependent
  );
}

/** The key of the mapping that an inside endpoint would have; RFC 4787 section 4.1. */
function ownKey(original: Tuple, behaviour: u32): Tuple {
  const key = Tuple.view(keyScratch);
  const keepsAddress = behaviour >= <u32>MappingBehaviour.AddressDependent;
  const keepsPort = behaviour >= <u32>MappingBehaviour.AddressAndPortDependent;
  key.copySource(original, keepsAddress, keepsPort);
  return key;
}

/** Hash of the key that `findOwn` has looked for last. */
let sought: u64 = 0;

/**
 * The inside endpoint's mapping among those that the pool would make now; NONE when there is none. The
 * endpoint is the source of a tuple in the zone with this index.
 */
export function findOwn(pool: PoolRecord, which: u32, zoneIndex: u32, original: Tuple): u32 {
  const key = ownKey(original, pool.mapping(which));
  const hash = key.hash;
  sought = hash;
  const born = active.zoneState(zoneIndex).born;
  for (let at: u32 = 0; at < 2; at++) {
    const bucket = mappingIndex.bucket(hash, at);
    for (let fits = Index.matches(bucket, hash); fits != 0; fits &= fits - 1) {
      const index = Index.handle(bucket, ctz(fits));
      const mapping = Mapping.at(index);
      if (
        mapping.equals(key) &&
        mapping.behaviour == <u8>pool.mapping(which) &&
        mapping.born >= born &&
        mayKeep(mapping, pool, zoneIndex, original.source)
      ) {
        return index;
      }
    }
    if (Index.isWhole(bucket)) break;
  }
  return NONE;
}

/**
 * Whether a pool lets a host (address, in the zone with this index) keep what a mapping gave it: an address
 * that is the pool's, a port that is no forward's and, where ports are given to hosts, is this host's. The
 * pool's range counts when a port is chosen, and no longer.
 */
export function mayKeep(mapping: Mapping, pool: PoolRecord, zoneIndex: u32, host: u32): bool {
  const external = mapping.external;
  const address = mapping.externalAddress.address;
  const port: u32 = mapping.port;
  if (!active.hasExternal(pool, external, address)) return false;
  if (forwardedUpTo(external, pool.zone, mapping.protocol, port) != NONE) return false;
  if (mapping.which == <u16>None.Short) return true;
  switch (<u32>pool.allocation) {
    case Allocation.Block:
      return mapping.host != NONE && blockWith(mapping.host, external, port) != NONE;
    case Allocation.Deterministic:
      return mayHave(pool, zoneIndex, host, address, port);
    default:
      return true;
  }
}

/** The mapping of an external port that many share; NONE when it is not such a port. */
export function findShared(external: u32, protocol: u32, port: u32): u32 {
  const key = Tuple.view(keyScratch);
  const address = External.at(external);
  const hash = key.fill(0, address.address, 0, port, address.zone, protocol);
  for (let at: u32 = 0; at < 2; at++) {
    const bucket = mappingIndex.bucket(hash, at);
    for (let fits = Index.matches(bucket, hash); fits != 0; fits &= fits - 1) {
      const index = Index.handle(bucket, ctz(fits));
      const mapping = Mapping.at(index);
      if (mapping.equals(key) && mapping.external == external) return index;
    }
    if (Index.isWhole(bucket)) break;
  }
  return NONE;
}

/**
 * Makes the own mapping of an inside endpoint, for which `findOwn` has just found none, of an external port that
 * was taken for it. NONE, and nothing changed, when there is no room.
 */
export function makeOwn(
  pool: PoolRecord,
  which: u32,
  host: u32,
  original: Tuple,
  external: u32,
  port: u32,
): u32 {
  const key = ownKey(original, pool.mapping(which));
  assert(sought == key.hash, "findOwn was asked for another endpoint");
  const index = make(key, sought, external, port, which);
  if (index == NONE) return NONE;
  const mapping = Mapping.at(index);
  mapping.host = host;
  mapping.behaviour = <u8>pool.mapping(which);
  mapping.filtering = <u8>pool.filtering(which);
  Host.at(host).countPort(which, 1);
  noteMapping(EventKind.MappingCreated, original, mapping.externalAddress, port);
  return index;
}

/** The own mapping with this key and behaviour that has this external endpoint; NONE when there is none. */
export function findExact(key: Tuple, behaviour: u32, external: u32, port: u32): u32 {
  const hash = key.hash;
  for (let at: u32 = 0; at < 2; at++) {
    const bucket = mappingIndex.bucket(hash, at);
    for (let fits = Index.matches(bucket, hash); fits != 0; fits &= fits - 1) {
      const index = Index.handle(bucket, ctz(fits));
      const mapping = Mapping.at(index);
      if (!mapping.equals(key) || mapping.has(MappingFlag.Shared)) continue;
      if (<u32>mapping.behaviour != behaviour || mapping.external != external) continue;
      if (<u32>mapping.port == port) return index;
    }
    if (Index.isWhole(bucket)) break;
  }
  return NONE;
}

/** Makes an own mapping as it was before a restart, of an external port that was taken for it. NONE without room. */
export function remakeOwn(
  which: u32,
  host: u32,
  key: Tuple,
  behaviour: u32,
  filtering: u32,
  external: u32,
  port: u32,
): u32 {
  const index = make(key, key.hash, external, port, which);
  if (index == NONE) return NONE;
  const mapping = Mapping.at(index);
  mapping.host = host;
  mapping.behaviour = <u8>behaviour;
  mapping.filtering = <u8>filtering;
  Host.at(host).countPort(which, 1);
  noteMapping(EventKind.MappingCreated, key, mapping.externalAddress, port);
  return index;
}

/** Makes the mapping of a port that many are to share. */
export function makeShared(external: u32, which: u32, protocol: u32, port: u32): u32 {
  const key = Tuple.view(keyScratch);
  const address = External.at(external);
  const hash = key.fill(0, address.address, 0, port, address.zone, protocol);
  const index = make(key, hash, external, port, which);
  if (index == NONE) return NONE;
  const mapping = Mapping.at(index);
  mapping.flags |= <u8>MappingFlag.Shared;
  mapping.behaviour = <u8>MappingBehaviour.AddressAndPortDependent;
  mapping.filtering = <u8>FilteringBehaviour.AddressAndPortDependent;
  return index;
}

/** Makes the mapping of one conn of a protocol without ports. */
export function makePortless(original: Tuple, external: u32): u32 {
  const index = mappingSlab.take();
  if (index == NONE) return NONE;
  begin(index, original, external, 0, None.Short);
  const mapping = Mapping.at(index);
  mapping.behaviour = <u8>MappingBehaviour.AddressAndPortDependent;
  mapping.filtering = <u8>FilteringBehaviour.AddressAndPortDependent;
  return index;
}

function make(key: Tuple, hash: u64, external: u32, port: u32, which: u32): u32 {
  const index = mappingSlab.take();
  if (index == NONE) return NONE;
  begin(index, key, external, port, which);
  if (mappingIndex.insert(hash, index)) {
    Mapping.at(index).flags = <u8>MappingFlag.Indexed;
    return index;
  }
  mappingSlab.give(index);
  return NONE;
}

function begin(index: u32, key: Tuple, external: u32, port: u32, which: u32): void {
  const mapping = Mapping.at(index);
  mapping.copy(key);
  mapping.external = external;
  mapping.host = NONE;
  mapping.conns = 0;
  mapping.grant = NONE;
  mapping.born = arena.generation;
  mapping.created = arena.now;
  mapping.port = <u16>port;
  mapping.which = <u16>which;
  mapping.flags = 0;
}

/** One conn less; behind the last one the mapping ends and its port rests. */
export function leaveMapping(index: u32): void {
  const mapping = Mapping.at(index);
  mapping.conns--;
  if (mapping.conns == 0) end(index, mapping, true);
}

/** One conn less, which nobody outside has seen: a port that was taken for it is free at once. */
export function abandonMapping(index: u32): void {
  const mapping = Mapping.at(index);
  mapping.conns--;
  if (mapping.conns == 0) end(index, mapping, false);
}

function end(index: u32, mapping: Mapping, rests: bool): void {
  if (mapping.has(MappingFlag.Indexed)) mappingIndex.remove(mapping.hash, index);
  if (mapping.which == <u16>None.Short) mapping.externalAddress.countUse(-1);
  else if (rests) rest(mapping.external, mapping.which, mapping.port);
  else free(mapping.external, mapping.which, mapping.port);
  if (mapping.host != NONE) {
    noteMapping(EventKind.MappingDeleted, mapping, mapping.externalAddress, mapping.port);
    Host.at(mapping.host).countPort(mapping.which, -1);
    releaseHost(mapping.host);
  }
  mappingSlab.give(index);
}
