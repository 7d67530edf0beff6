/**
 * Expectations: conns that an application gateway has read of in another conn and that are about to begin
 * from outside (RFC 4787 REQ-10). Each says: from this address, any port, to this external endpoint, comes
 * one conn for that inside endpoint. It lets in whatever the filtering of the mapping is, once, and no other.
 *
 *     record   0  what is to come: a tuple without source port     16  the conn's original tuple, as the inside
 *             32  mapping, conn, due, born                         48  ingress, flags
 *
 * A zone has its share of them and no more: one of its own makes room for the next, the oldest first. An
 * expectation counts as a user of the mapping, whose port is not another's before it ends.
 */

import { Limit } from "../abi";
import { active, pairKey } from "../config/configuration";
import {
  arena,
  expectationIndex,
  expectationSlab,
  expectations,
  expectationWheel,
  keyScratch,
  RecordBytes,
} from "../memory";
import { Index } from "../table/index";
import { NONE } from "../table/none";
import { leaveMapping, Mapping } from "./mapping";
import { Tuple } from "./tuple";

/** How long one waits: a user who looks at a prompt before the transfer begins. */
const TIMEOUT_MS: u32 = 120_000;
/** Those that one zone may have: an even share, but within these two. */
const PER_ZONE: u32 = Limit.Expectations / 4;
const PER_ZONE_MIN: u32 = 8;

@final
@unmanaged
export class Expectation extends Tuple {
  private insideAddresses: u64;
  private insideRest: u64;
  /** Index of the mapping that the external endpoint is of. */
  mapping: u32;
  /** Index of the conn that announced it. */
  conn: u32;
  due: u32;
  /** arena.generation when it was made. */
  born: u32;
  /** Number of the device behind which the inside endpoint is. */
  ingress: u16;
  /** Of the conn to come: ConnFlag.KeepsExpiry or nothing. */
  flags: u8;

  static at(index: u32): Expectation {
    return changetype<Expectation>(expectations + <usize>index * RecordBytes.Expectation);
  }

  /** The conn to come, as the inside endpoint would have begun it; its destination port is open. */
  get inside(): Tuple {
    return Tuple.view(changetype<usize>(this) + 16);
  }
}
if (offsetof<Expectation>() > <usize>RecordBytes.Expectation) {
  ERROR("an Expectation outgrew its place");
}

/** The expectation that a packet, or a hairpinned one, in the zone with this index fulfils; NONE for none. */
export function findExpectation(from: Tuple, zoneIndex: u32): u32 {
  if (expectationSlab.count == 0) return NONE;
  const key = Tuple.view(keyScratch);
  key.copy(from);
  key.sourcePort = 0;
  const index = find(key);
  return index != NONE && isGood(Expectation.at(index), zoneIndex) ? index : NONE;
}

function find(key: Tuple): u32 {
  const hash = key.hash;
  for (let which: u32 = 0; which < 2; which++) {
    const bucket = expectationIndex.bucket(hash, which);
    for (let fits = Index.matches(bucket, hash); fits != 0; fits &= fits - 1) {
      const index = Index.handle(bucket, ctz(fits));
      if (Expectation.at(index).equals(key)) return index;
    }
    if (Index.isWhole(bucket)) break;
  }
  return NONE;
}

/** In time, and both ends still mean what they meant. */
function isGood(expectation: Expectation, zoneIndex: u32): bool {
  if (<i32>(expectation.due - arena.now) <= 0) return false;
  const inside = active.zoneIndex(expectation.inside.zone);
  if (inside == NONE || active.zoneState(inside).born > expectation.born) return false;
  const external = active.externalByAddress.get(pairKey(zoneIndex, expectation.destination));
  return external == Mapping.at(expectation.mapping).external;
}

/**
 * Foresees a conn from `remote` for the source of `inside`, whose external endpoint is `external`:`port` in
 * `zone` (number). The caller has counted the expectation with the mapping; where this is false, nothing has
 * changed. `conn` is the index of the conn that announces it.
 */
export function expect(
  conn: u32,
  inside: Tuple,
  mapping: u32,
  zone: u16,
  address: u32,
  port: u32,
  ingress: u16,
  flags: u8,
): bool {
  const key = Tuple.view(keyScratch);
  const hash = key.fill(inside.destination, address, 0, port, zone, inside.protocol);
  const known = find(key);
  if (known != NONE) {
    // Another endpoint may wait for the same remote address at a port that both share.
    if (!isSource(Expectation.at(known).inside, inside)) return false;
    endExpectation(known);
  }
  const index = takePlace(inside.zone);
  if (index == NONE) return false;
  if (!expectationIndex.insert(hash, index)) {
    expectationSlab.give(index);
    return false;
  }
  const expectation = Expectation.at(index);
  expectation.fill(inside.destination, address, 0, port, zone, inside.protocol);
  expectation.inside.copy(inside);
  expectation.mapping = mapping;
  expectation.conn = conn;
  expectation.due = arena.now + TIMEOUT_MS;
  expectationWheel.add(index, expectation.due);
  expectation.born = arena.generation;
  expectation.ingress = ingress;
  expectation.flags = flags;
  return true;
}

function isSource(a: Tuple, b: Tuple): bool {
  return a.source == b.source && a.sourcePort == b.sourcePort && a.zone == b.zone;
}

/** A place within the zone's share, for which its own oldest gives way; NONE when others have them all. */
function takePlace(zone: u16): u32 {
  const even = <u32>Limit.Expectations / active.zoneCount;
  const most = min(PER_ZONE, max(PER_ZONE_MIN, even));
  let oldest = NONE;
  let count: u32 = 0;
  for (let i: u32 = 0; i < expectationSlab.fresh; i++) {
    if (!expectationSlab.holds(i) || Expectation.at(i).inside.zone != zone) continue;
    if (oldest == NONE || <i32>(Expectation.at(i).due - Expectation.at(oldest).due) < 0) oldest = i;
    count++;
  }
  if (oldest != NONE && (count >= most || expectationSlab.count == <u32>Limit.Expectations)) {
    endExpectation(oldest);
  }
  return expectationSlab.take();
}

/** Ends one that is fulfilled or given up; its mapping lives as long as others use it. */
export function endExpectation(index: u32): void {
  const expectation = Expectation.at(index);
  expectationIndex.remove(expectation.hash, index);
  expectationWheel.remove(index);
  expectationSlab.give(index);
  leaveMapping(expectation.mapping);
}

/** Ends what a conn (index) has announced. */
export function endExpectationsOf(conn: u32): void {
  for (let i: u32 = 0; i < expectationSlab.fresh && expectationSlab.count > 0; i++) {
    if (expectationSlab.holds(i) && Expectation.at(i).conn == conn) endExpectation(i);
  }
}

/** Ends at most `limit` of those whose time has come. */
export function expireExpectations(now: u32, limit: u32): void {
  for (let n: u32 = 0; n < limit; n++) {
    const index = expectationWheel.due(now);
    if (index == NONE) return;
    endExpectation(index);
  }
}
