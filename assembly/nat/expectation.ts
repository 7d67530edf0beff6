/**
 * Expectations: conns that an application gateway has read of in another conn and that are about to begin
 * from outside (RFC 4787 REQ-10). Each says: from this address, any port, to this external endpoint, comes
 * one conn for that inside endpoint. It lets in whatever the filtering of the mapping is, once, and no other.
 *
 *     record   0  what is to come: a tuple without source port     16  the conn's original tuple, as the inside
 *             32  mapping, conn, due, born                         48  ingress, flags
 *
 * A ring in order of arrival, since all last equally long; the oldest gives way. A zone that has its share
 * gives up its own. An expectation counts as a user of the mapping, whose port is not another's before it ends.
 */

import { Limit } from "../abi";
import { active, pairKey } from "../config/configuration";
import { arena, expectationIndex, expectations, keyScratch, RecordBytes } from "../memory";
import { Index } from "../table/index";
import { NONE } from "../table/none";
import { leaveMapping, Mapping } from "./mapping";
import { Tuple } from "./tuple";

/** How long one waits: a user who looks at a prompt before the transfer begins. */
const TIMEOUT_MS: u32 = 120_000;
/** Those that one zone may have. */
const PER_ZONE: u32 = Limit.Expectations / 4;
/** The tag of one that counts. */
const LIVE: u8 = 1;

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
  get isLive(): bool {
    return this.tag == LIVE;
  }
}
if (offsetof<Expectation>() > <usize>RecordBytes.Expectation) {
  ERROR("an Expectation outgrew its place");
}

function placeOf(n: u32): u32 {
  return (arena.expectationFirst + n) % <u32>Limit.Expectations;
}

/** The expectation that a packet, or a hairpinned one, in the zone with this index fulfils; NONE for none. */
export function findExpectation(from: Tuple, zoneIndex: u32): u32 {
  if (arena.expectationCount == 0) return NONE;
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
  makeRoom(inside.zone);
  const index = placeOf(arena.expectationCount);
  if (!expectationIndex.insert(hash, index)) return false;
  arena.expectationCount++;
  const expectation = Expectation.at(index);
  expectation.fill(inside.destination, address, 0, port, zone, inside.protocol);
  expectation.tag = LIVE;
  expectation.inside.copy(inside);
  expectation.mapping = mapping;
  expectation.conn = conn;
  expectation.due = arena.now + TIMEOUT_MS;
  expectation.born = arena.generation;
  expectation.ingress = ingress;
  expectation.flags = flags;
  return true;
}

function isSource(a: Tuple, b: Tuple): bool {
  return a.source == b.source && a.sourcePort == b.sourcePort && a.zone == b.zone;
}

/** A place in the ring, and in the zone's share of it. */
function makeRoom(zone: u16): void {
  let oldest = NONE;
  let count: u32 = 0;
  for (let n: u32 = 0; n < arena.expectationCount; n++) {
    const expectation = Expectation.at(placeOf(n));
    if (!expectation.isLive || expectation.inside.zone != zone) continue;
    if (oldest == NONE) oldest = placeOf(n);
    count++;
  }
  if (count >= PER_ZONE) endExpectation(oldest);
  if (arena.expectationCount == <u32>Limit.Expectations) endExpectation(arena.expectationFirst);
}

/** Ends one that is fulfilled or given up; its mapping lives as long as others use it. */
export function endExpectation(index: u32): void {
  const expectation = Expectation.at(index);
  expectationIndex.remove(expectation.hash, index);
  expectation.tag = 0;
  leaveMapping(expectation.mapping);
  while (arena.expectationCount > 0 && !Expectation.at(arena.expectationFirst).isLive) {
    arena.expectationFirst = placeOf(1);
    arena.expectationCount--;
  }
}

/** Ends what a conn (index) has announced. */
export function endExpectationsOf(conn: u32): void {
  for (let n: u32 = 0; n < arena.expectationCount; ) {
    const index = placeOf(n);
    const expectation = Expectation.at(index);
    const first = arena.expectationFirst;
    if (expectation.isLive && expectation.conn == conn) endExpectation(index);
    // Where the first one has ended, the next one may be the first.
    n = arena.expectationFirst == first ? n + 1 : 0;
  }
}

/** Ends at most `limit` of those whose time has come. */
export function expireExpectations(limit: u32): void {
  for (let n: u32 = 0; n < limit && expectationWait(arena.now) == 0; n++) {
    endExpectation(arena.expectationFirst);
  }
}

/** Milliseconds until one has waited long enough: 0 when one has, NONE when there is none. */
export function expectationWait(now: u32): u32 {
  if (arena.expectationCount == 0) return NONE;
  const left = <i32>(Expectation.at(arena.expectationFirst).due - now);
  return left > 0 ? <u32>left : 0;
}
