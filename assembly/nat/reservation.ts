/**
 * A conn whose answers keep their port may want a reply tuple that another worker's conn has as its original one. The
 * packets of both come in to this worker, which hands those of the other conn on as a flow says (nat/owner.ts); a conn
 * here would be found first, and take them for answers: they would reach another tenant. One worker alone sees that the
 * tuple is in use. Where there are several, and a flow would hand a packet with the tuple on, it is reserved:
 *
 *     here      the tuple is noted, and the conn's packet goes to another worker, the tuple in front of it
 *     there     no conn has the tuple: the packet goes back, else it ends as TupleInUse
 *     here      it goes to the next one, and when all were asked the conn begins
 *
 * What comes in meanwhile with the tuple itself cancels the reservation: nothing was sent yet that it could answer. Whatever
 * came before was handed on before the question, by the same ring: when that is asked there, it has its conn, or has
 * reserved what its own answers will look like, and then its original tuple is in use, too.
 */

import {
  ConnState,
  DescriptorFlag,
  HANDED_TO_SHIFT,
  Limit,
  RESERVATION_BYTES,
  Reason,
} from "../abi";
import { active } from "../config/configuration";
import { arena, keyScratch, RecordBytes, reservations, scratch } from "../memory";
import { CONTINUE, NO_CONN, Packet, PacketKind } from "../packet";
import { NONE } from "../table/none";
import { IpProtocol } from "../wire/ipv4";
import { Conn, findConn } from "./conn";
import { hasPorts } from "./external";
import { FlowQuery, findFlow } from "./flow";
import { handNext, leadsElsewhere } from "./owner";
import { Tuple } from "./tuple";

/** Far longer than to ask all takes. */
const STANDS_MS: u32 = 1000;
const WORKER_BITS: u32 = 4;
if (<u32>Limit.Workers > 1 << WORKER_BITS) ERROR("a worker outgrew its bits");

@final
@unmanaged
class Reservation extends Tuple {
  /** Whose it is, and above that which one; 0 for none. In the record behind the last: the one made last. */
  number: u32;
  /** When it was made, by the arena's clock. */
  since: u32;

  /** Whether it counts: one whose packet was lost on its way does not do so for long. */
  get stands(): bool {
    return this.number != 0 && arena.now - this.since <= STANDS_MS;
  }

  /** What the packet itself looks like. */
  get original(): Tuple {
    return Tuple.view(changetype<usize>(this) + ORIGINAL);
  }

  static at(index: u32): Reservation {
    return changetype<Reservation>(reservations + <usize>index * RecordBytes.Reservation);
  }
  static of(number: u32): Reservation {
    return Reservation.at((number >> WORKER_BITS) & (<u32>Limit.Reservations - 1));
  }
}
const ORIGINAL: usize = 32;
if (offsetof<Reservation>() > ORIGINAL || <usize>RecordBytes.Reservation != ORIGINAL + 16)
  ERROR("a Reservation outgrew its place");
if (offsetof<Reservation>("number") != 16 || RESERVATION_BYTES != 20)
  ERROR("a tuple and a number stand in front of the frame");

/** The one that the packet which is handed off asks about. */
let asking: u32 = 0;

/**
 * Whether a new conn of this packet may have its reply tuple, as far as other workers' conns matter: CONTINUE; HandedOff
 * where another one is to be asked first; or TupleInUse.
 */
export function reserve(packet: Packet, conn: Conn): u32 {
  const bits = packet.passage;
  let next: u32 = 0;
  if ((bits & DescriptorFlag.Reserves) != 0) {
    asking = numberOf(packet);
    const standing = Reservation.of(asking);
    // Cancelled, or what the conn asks for is another one by now.
    const isSame = standing.number == asking && standing.stands;
    if (!isSame || !standing.equals(conn.reply)) return Reason.TupleInUse;
    next = (bits >> HANDED_TO_SHIFT) + 1;
  } else {
    if (!isAmbiguous(conn)) return CONTINUE;
    asking = note(conn.original, conn.reply);
  }
  if (next == arena.worker) next++;
  if (next < arena.workers) {
    handNext(next, DescriptorFlag.Reserves | (next << HANDED_TO_SHIFT));
    return Reason.HandedOff;
  }
  Reservation.of(asking).number = 0;
  return CONTINUE;
}

/** Whether a packet with the conn's reply tuple may have begun another worker's conn. */
function isAmbiguous(conn: Conn): bool {
  // A port of this worker's is nobody else's.
  if (conn.mapping != NONE && hasPorts(conn.reply.protocol)) return false;
  const query = changetype<FlowQuery>(scratch);
  query.copy(conn.reply);
  query.zoneIndex = <u16>active.zoneIndex(query.zone);
  query.state = <u16>ConnState.New;
  query.icmpType = 0;
  query.icmpCode = 0;
  // What stands for the ports of a query does not tell its type.
  if (query.protocol == IpProtocol.Icmp) return true;
  for (let device: u32 = 0; device < active.deviceCount; device++) {
    if (active.device(device).zone != query.zoneIndex) continue;
    query.device = <u16>device;
    const flow = findFlow(query);
    if (flow != NONE && leadsElsewhere(active.flow(flow), query, query.zoneIndex)) return true;
  }
  return false;
}

/**
 * The number of the one that stands for the same conn; its packets share it, and each asks. Else of a new one, in the place
 * of the oldest, whose packets then end as TupleInUse.
 */
function note(original: Tuple, reply: Tuple): u32 {
  const known = find(original, reply);
  if (known != 0) return known;
  const last = Reservation.at(Limit.Reservations);
  last.number += 1 << WORKER_BITS;
  if (last.number == 0) last.number = 1 << WORKER_BITS;
  const made = Reservation.of(last.number);
  made.copy(reply);
  made.original.copy(original);
  made.since = arena.now;
  made.number = last.number | arena.worker;
  return made.number;
}

/** The number of the one that stands for these tuples, 0 for none. */
function find(original: Tuple, reply: Tuple): u32 {
  if (!hasAny()) return 0;
  for (let i: u32 = 0; i < <u32>Limit.Reservations; i++) {
    const each = Reservation.at(i);
    if (each.stands && each.original.equals(original) && each.equals(reply)) return each.number;
  }
  return 0;
}

/** The tuple of no packet. */
function nothing(): Tuple {
  const tuple = Tuple.view(keyScratch);
  tuple.fill(0, 0, 0, 0, 0, 0);
  return tuple;
}

/**
 * A packet that goes round to ask the host for more conns of its zone (nat/owner.ts) has reserved nothing yet; where another
 * worker has handed it on, its own tuple is in use until it comes back.
 */
export function holdOriginal(packet: Packet): void {
  if ((packet.passage & DescriptorFlag.Placed) != 0) note(packet, nothing());
}

/** Whether the tuple of one that has come back so, if it has, is its own still. */
export function isHeld(packet: Packet): bool {
  const bits = packet.passage;
  const round = DescriptorFlag.Placed | DescriptorFlag.Asked;
  return (bits & (round | DescriptorFlag.Reserves)) != round || find(packet, nothing()) != 0;
}

/** A packet without a conn came first. */
export function cancelReservations(packet: Packet): void {
  if (!hasAny() || packet.kind == PacketKind.IcmpError) return;
  for (let i: u32 = 0; i < <u32>Limit.Reservations; i++) {
    const each = Reservation.at(i);
    if (each.number != 0 && each.equals(packet)) each.number = 0;
  }
}

/** Whether there was ever one. */
function hasAny(): bool {
  return Reservation.at(Limit.Reservations).number != 0;
}

/** Whether a packet with this tuple has reserved what its answers will look like. */
function isReserving(tuple: Tuple): bool {
  if (!hasAny()) return false;
  for (let i: u32 = 0; i < <u32>Limit.Reservations; i++) {
    const each = Reservation.at(i);
    if (each.stands && each.original.equals(tuple)) return true;
  }
  return false;
}

/** Puts the reservation in front of a frame that asks another worker about it. */
export function writeReservation(frame: usize): void {
  memory.copy(
    frame - RESERVATION_BYTES,
    changetype<usize>(Reservation.of(asking)),
    RESERVATION_BYTES,
  );
}

function numberOf(packet: Packet): u32 {
  return load<u32>(<usize>packet.frame - RESERVATION_BYTES, offsetof<Reservation>("number"));
}

/** A packet that asks this worker about the tuple in front of it. */
export function readQuestion(packet: Packet): void {
  packet.copy(Tuple.view(<usize>packet.frame - RESERVATION_BYTES));
  packet.hashed = packet.hash;
  packet.kind = <u8>PacketKind.Question;
}

/** Whether what it asks about is free here. */
export function isFreeHere(packet: Packet): bool {
  return findConn(packet, packet.hashed) == NO_CONN && !isReserving(packet);
}

/** The worker that asks. */
export function askerOf(packet: Packet): u32 {
  return numberOf(packet) & ((1 << WORKER_BITS) - 1);
}
