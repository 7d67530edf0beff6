/**
 * Datagrams of which fragments are on their way: what the first fragment said, which the others cannot say
 * for themselves, and which bytes have come.
 *
 * A Datagram is found by zone, addresses, protocol and identification (RFC 791 section 3.2): as a Tuple,
 * with the identification for a source port. It begins with whichever fragment comes first:
 *
 *     Waiting ──first fragment──▶ Known ──all bytes have come──▶ gone
 *        └──────────── FragmentTimeout after its beginning ───────▶ gone
 *
 * Waiting, its fragments are kept (nat/waiting.ts); Known, they leave as they come. All have one timeout,
 * so the list by age is the timer: no fragment prolongs it (RFC 1122 section 3.3.2).
 */

import { ImageAt, Limit, Reason } from "../abi";
import { active } from "../config/configuration";
import {
  arena,
  connSlab,
  count,
  datagramIndex,
  datagramSlab,
  datagrams,
  RecordBytes,
} from "../memory";
import { CONTINUE, NO_CONN, NO_WORKER, Packet } from "../packet";
import { Index } from "../table/index";
import { NONE } from "../table/none";
import { Conn } from "./conn";
import { isBeyond, mayTake } from "./share";
import { Tuple } from "./tuple";
import { giveWaiting, nextWaiting, setNextWaiting } from "./waiting";

export enum DatagramState {
  Waiting,
  Known,
}

@final
@unmanaged
export class Datagram extends Tuple {
  /** Conn and direction of its fragments; NO_CONN for one to the router itself, or that is another worker's. */
  handle: u32;
  /** Milliseconds of the clock when that conn was made, and the ports it is hit by: is it still the same? */
  private connCreated: u32;
  private connPorts: u32;
  /** Milliseconds of the clock when it began. */
  began: u32;
  /** Its neighbors in the list by age. */
  older: u32;
  newer: u32;
  /** The fragments that wait, in the order they came. */
  firstWaiting: u32;
  private lastWaiting: u32;
  zoneIndex: u16;
  /** The identification that its fragments leave with. */
  identification: u16;
  /** Bytes of the whole datagram's payload, 0 until its last fragment has come. */
  private bytes: u16;
  state: u8;
  /** TCP flags or ICMP type, and ICMP code, of the first fragment: flows may match them. */
  flags: u8;
  code: u8;
  private ranges: u8;
  /** The worker that its first fragment was handed to, and the others follow; NO_WORKER for none. */
  worker: u8;
  /** Bytes seen: Limit.FragmentRanges × (from u16, to u16), disjoint, none touching another, in order. */
  private range0: u64;
  private range2: u64;
  private range4: u64;
  private range6: u64;

  static at(index: u32): Datagram {
    return changetype<Datagram>(datagrams + <usize>index * RecordBytes.Datagram);
  }

  /** Takes in what the first fragment, whose way was decided, says for all. */
  learn(packet: Packet, identification: u32): void {
    this.state = <u8>DatagramState.Known;
    this.handle = packet.handle;
    this.flags = packet.flags;
    this.code = packet.code;
    this.identification = <u16>identification;
    this.worker = packet.worker;
    if (packet.handle == NO_CONN) return;
    const conn = Conn.of(packet.handle);
    this.connCreated = conn.created;
    this.connPorts = portsOf(conn.tuple(packet.direction));
  }

  /** Whether the conn of a Known one is still there: its place in the table may be another's by now. */
  hasConn(): bool {
    if (!connSlab.holds(this.handle >> 1)) return false;
    const conn = Conn.of(this.handle);
    const tuple = conn.tuple(this.handle & 1);
    return (
      conn.created == this.connCreated &&
      portsOf(tuple) == this.connPorts &&
      tuple.addresses == this.addresses &&
      tuple.zone == this.zone &&
      tuple.protocol == this.protocol
    );
  }

  /** Puts a fragment, kept as `held`, behind those that wait. */
  append(held: u32): void {
    if (this.firstWaiting == NONE) this.firstWaiting = held;
    else setNextWaiting(this.lastWaiting, held);
    this.lastWaiting = held;
    const state = active.zoneState(this.zoneIndex);
    arena.waitingBeyond += waitingBeyond(state.waiting++);
  }

  /** Takes the fragment off that has waited longest; NONE when none waits. Its buffer is the caller's to give. */
  takeWaiting(): u32 {
    const held = this.firstWaiting;
    if (held == NONE) return NONE;
    this.firstWaiting = nextWaiting(held);
    const state = active.zoneState(this.zoneIndex);
    arena.waitingBeyond -= waitingBeyond(--state.waiting);
    return held;
  }

  /** Whether all bytes from the first to the last have come. */
  get isWhole(): bool {
    return this.bytes != 0 && this.ranges == 1 && this.from(0) == 0 && this.to(0) == this.bytes;
  }

  /**
   * Whether the bytes `from` to `to` (excluded) may come now: CONTINUE, or the Reason why not. A fragment
   * that ends the datagram where another has ended it otherwise, or lies behind its end, contradicts bytes
   * that have come as an overlapping one does.
   */
  judge(from: u32, to: u32, isLast: bool): u32 {
    if (this.bytes != 0 && (isLast || to > this.bytes)) return Reason.FragmentOverlap;
    if (isLast && this.ranges > 0 && to < this.to(this.ranges - 1)) return Reason.FragmentOverlap;
    const at = this.placeOf(from);
    if (at > 0 && this.to(at - 1) > from) return Reason.FragmentOverlap;
    if (at < this.ranges && this.from(at) < to) return Reason.FragmentOverlap;
    const joins = (at > 0 && this.to(at - 1) == from) || (at < this.ranges && this.from(at) == to);
    return joins || this.ranges < <u8>Limit.FragmentRanges ? CONTINUE : Reason.FragmentTableFull;
  }

  /** Notes bytes that `judge` has let in. */
  note(from: u32, to: u32, isLast: bool): void {
    if (isLast) this.bytes = <u16>to;
    const at = this.placeOf(from);
    const joinsBefore = at > 0 && this.to(at - 1) == from;
    const joinsBehind = at < this.ranges && this.from(at) == to;
    if (joinsBefore && joinsBehind) {
      this.setRange(at - 1, this.from(at - 1), this.to(at));
      this.shift(at + 1, -1);
    } else if (joinsBefore) {
      this.setRange(at - 1, this.from(at - 1), to);
    } else if (joinsBehind) {
      this.setRange(at, from, this.to(at));
    } else {
      this.shift(at, 1);
      this.setRange(at, from, to);
    }
  }

  /** How many ranges begin before `from`. */
  private placeOf(from: u32): u32 {
    let at: u32 = 0;
    while (at < this.ranges && this.from(at) < from) at++;
    return at;
  }
  private rangeAt(i: u32): usize {
    return changetype<usize>(this) + offsetof<Datagram>("range0") + ((<usize>i) << 2);
  }
  private from(i: u32): u32 {
    return load<u16>(this.rangeAt(i));
  }
  private to(i: u32): u32 {
    return load<u16>(this.rangeAt(i), 2);
  }
  private setRange(i: u32, from: u32, to: u32): void {
    store<u16>(this.rangeAt(i), <u16>from);
    store<u16>(this.rangeAt(i), <u16>to, 2);
  }
  /** Moves the ranges from `i` on by one place. */
  private shift(i: u32, by: i32): void {
    const bytes = (<usize>(this.ranges - i)) << 2;
    memory.copy(this.rangeAt(i + by), this.rangeAt(i), bytes);
    this.ranges += <u8>by;
  }
}
if (offsetof<Datagram>() > <usize>RecordBytes.Datagram) ERROR("a Datagram outgrew its place");
if (offsetof<Datagram>("range0") + Limit.FragmentRanges * 4 > <usize>RecordBytes.Datagram)
  ERROR("a Datagram has no room for its ranges");

function portsOf(tuple: Tuple): u32 {
  return <u32>tuple.sourcePort | ((<u32>tuple.destinationPort) << 16);
}

/** Index of the datagram with this key, or NONE. */
export function findDatagram(key: Tuple, hash: u64): u32 {
  for (let which: u32 = 0; which < 2; which++) {
    const bucket = datagramIndex.bucket(hash, which);
    for (let fits = Index.matches(bucket, hash); fits != 0; fits &= fits - 1) {
      const index = Index.handle(bucket, ctz(fits));
      if (Datagram.at(index).equals(key)) return index;
    }
    if (Index.isWhole(bucket)) break;
  }
  return NONE;
}

/** Whether one more datagram of a zone may begin. */
export function hasDatagramRoom(zoneIndex: u32): bool {
  const has: u32 = active.zoneState(zoneIndex).datagrams;
  return mayTake(Limit.Datagrams, Limit.DatagramsPerZone, has, arena.datagramsBeyond);
}

/** Whether one more fragment of a zone may wait. */
export function hasWaitingRoom(zoneIndex: u32): bool {
  const has: u32 = active.zoneState(zoneIndex).waiting;
  return (
    arena.waitingFree != NONE &&
    mayTake(Limit.HeldFragments, Limit.HeldFragmentsPerZone, has, arena.waitingBeyond)
  );
}

/** 1 where a datagram, a waiting fragment, is one beyond the even share of a zone that has `has` others. */
function datagramBeyond(has: u32): u32 {
  return isBeyond(Limit.Datagrams, Limit.DatagramsPerZone, has) ? 1 : 0;
}
function waitingBeyond(has: u32): u32 {
  return isBeyond(Limit.HeldFragments, Limit.HeldFragmentsPerZone, has) ? 1 : 0;
}

/** A Waiting datagram of which nothing has come; NONE when there is no room for it. */
export function addDatagram(key: Tuple, hash: u64, zoneIndex: u32, now: u32): u32 {
  if (!hasDatagramRoom(zoneIndex)) return NONE;
  const index = datagramSlab.take();
  if (index == NONE) return NONE;
  if (!datagramIndex.insert(hash, index)) {
    datagramSlab.give(index);
    return NONE;
  }
  const datagram = Datagram.at(index);
  memory.fill(changetype<usize>(datagram), 0, RecordBytes.Datagram);
  datagram.copy(key);
  datagram.zoneIndex = <u16>zoneIndex;
  datagram.handle = NO_CONN;
  datagram.worker = NO_WORKER;
  datagram.began = now;
  datagram.firstWaiting = NONE;
  datagram.older = arena.newestDatagram;
  datagram.newer = NONE;
  if (arena.newestDatagram == NONE) arena.oldestDatagram = index;
  else Datagram.at(arena.newestDatagram).newer = index;
  arena.newestDatagram = index;
  const state = active.zoneState(zoneIndex);
  arena.datagramsBeyond += datagramBeyond(state.datagrams++);
  return index;
}

/** Forgets a datagram; what still waits for its first fragment waited in vain. */
export function endDatagram(index: u32): void {
  const datagram = Datagram.at(index);
  for (let held = datagram.takeWaiting(); held != NONE; held = datagram.takeWaiting()) {
    giveWaiting(held);
    count(Reason.FragmentTimeout);
  }
  const older = datagram.older;
  const newer = datagram.newer;
  if (older == NONE) arena.oldestDatagram = newer;
  else Datagram.at(older).newer = newer;
  if (newer == NONE) arena.newestDatagram = older;
  else Datagram.at(newer).older = older;
  const state = active.zoneState(datagram.zoneIndex);
  arena.datagramsBeyond -= datagramBeyond(--state.datagrams);
  datagramIndex.remove(datagram.hash, index);
  datagramSlab.give(index);
}

/** Forgets at most `limit` datagrams whose time is up. */
export function expireDatagrams(now: u32, limit: u32): void {
  for (let n: u32 = 0; n < limit && arena.oldestDatagram != NONE; n++) {
    if (datagramWait(now) != 0) return;
    endDatagram(arena.oldestDatagram);
  }
}

/** Milliseconds until a datagram's time is up: 0 when one's is, NONE when there are none. */
export function datagramWait(now: u32): u32 {
  if (arena.oldestDatagram == NONE) return NONE;
  const until = Datagram.at(arena.oldestDatagram).began + active.delay(ImageAt.FragmentTimeout);
  return <u32>max<i32>(0, <i32>(until - now));
}

/** Forgets all: a zone's index, and what its flows allow, are about to change. */
export function forgetDatagrams(): void {
  while (arena.oldestDatagram != NONE) endDatagram(arena.oldestDatagram);
}

/** None is on its way. Needed once, when the arena is laid out. */
export function startDatagrams(): void {
  arena.oldestDatagram = NONE;
  arena.newestDatagram = NONE;
}
