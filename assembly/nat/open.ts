/**
 * A conn begins: outwards, as a flow asks for it, or inwards, through the mapping of an inside endpoint whose
 * filter lets the sender in. All or nothing: what was taken on the way is given back when a step fails.
 *
 * The original tuple of a conn behind a pool is the inside's, also when the first packet came from outside:
 * whose conn it is, which limits count it and which flow allows it does not depend on who spoke first.
 */

import { EventKind, FlowAction, None, PoolFlag, Reason } from "../abi";
import { active } from "../config/configuration";
import { FlowRecord, PoolRecord } from "../config/records";
import { arena, clear, connSlab, RecordBytes } from "../memory";
import { CONTINUE, Direction, Packet } from "../packet";
import { NONE } from "../table/none";
import { mayAdmit, stillAllowed } from "./allowed";
import { asked, Conn, ConnFlag, isFree } from "./conn";
import { noteQuota, noteSession, noteTableFull, watchConns } from "./event";
import { Expectation, endExpectation } from "./expectation";
import { hasPorts } from "./external";
import { closeFilter, openFilter } from "./filter";
import { targetPort } from "./forward";
import { gatewayFor } from "./gateway";
import { Grant } from "./grant";
import { hairpin } from "./hairpin";
import { openConn } from "./lifetime";
import { countConn, uncountConn } from "./limit";
import { abandonMapping, Mapping } from "./mapping";
import { takeMapping } from "./masquerade";
import { mayAskForMore, ownerOfAnswers } from "./owner";
import { holdOriginal, isHeld, reserve } from "./reservation";
import { timeoutSet } from "./timeout";
import { Tuple } from "./tuple";

/** Makes the conn that a flow with a nat or route action asks for. CONTINUE, or a Reason. */
export function openOutward(packet: Packet, flow: FlowRecord, now: u32): u32 {
  if (arena.workers > 1 && !isHeld(packet)) return Reason.TupleInUse;
  const index = begin(packet.zoneIndex, packet, packet);
  if (index == NONE) {
    if (refusal == Reason.HandedOff) holdOriginal(packet);
    return refusal;
  }
  const conn = Conn.at(index);
  conn.original.copy(packet);
  conn.reply.mirror(packet);
  conn.arrive(Direction.Original, packet.port);
  let verdict = translateTuples(conn, packet, flow);
  if (verdict == CONTINUE && arena.workers > 1) verdict = reserve(packet, conn);
  // What a hairpin's receiver does not let in begins all the same, and waits (nat/hairpin.ts).
  const waits = verdict == Reason.Filtered;
  const begins = waits ? CONTINUE : verdict;
  // Whatever translates has asked last whether the reply tuple is free.
  const end = finish(index, packet.zoneIndex, begins, packet.hashed, asked, now);
  if (end != CONTINUE) return end;
  if (waits) return Reason.Filtered;
  packet.handle = index << 1;
  return CONTINUE;
}

/** Makes the conn of a packet from outside that the filter of conn `permit` (index) lets in. */
export function openInward(packet: Packet, permit: u32, now: u32): u32 {
  const other = Conn.at(permit);
  // The zone's number may be another tenant's by now, who has let in nobody.
  if (!mayAdmit(other)) return Reason.Filtered;
  const keeps = other.flags & <u8>ConnFlag.KeepsExpiry;
  const ingress = <u16>other.ingress(Direction.Original);
  return openTo(packet, other.original, other.mapping, other.born, keeps, ingress, now);
}

/** Makes the conn of a packet from outside that a grant (index) lets in. */
export function openGranted(packet: Packet, index: u32, now: u32): u32 {
  const grant = Grant.at(index);
  const owner = Mapping.at(grant.mapping);
  const keeps = <u8>grant.flags;
  const verdict = openTo(packet, owner, grant.mapping, owner.born, keeps, grant.ingress, now);
  if (verdict == CONTINUE) Conn.of(packet.handle).markGranted();
  return verdict;
}

/** Makes the conn of a packet from outside that a gateway has foreseen (nat/expectation.ts). */
export function openExpected(packet: Packet, expectation: u32, now: u32): u32 {
  const foreseen = Expectation.at(expectation);
  const mapping = foreseen.mapping;
  const ingress = foreseen.ingress;
  const born = foreseen.born;
  const verdict = openTo(packet, foreseen.inside, mapping, born, foreseen.flags, ingress, now);
  // One conn each: whoever wants another says so again.
  if (verdict == CONTINUE) endExpectation(expectation);
  return verdict;
}

/** To the endpoint that is the source of `endpoint`, through its mapping. */
function openTo(
  packet: Packet,
  endpoint: Tuple,
  mapping: u32,
  born: u32,
  keeps: u8,
  ingress: u16,
  now: u32,
): u32 {
  const inside = active.zoneIndex(endpoint.zone);
  if (inside == NONE) return Reason.Filtered;
  const index = begin(inside, endpoint, packet);
  if (index == NONE) return refusal;
  const conn = Conn.at(index);
  conn.reply.copy(packet);
  conn.original.mirror(packet);
  conn.original.zone = endpoint.zone;
  conn.original.source = endpoint.source;
  conn.original.sourcePort = endpoint.sourcePort;
  conn.flags = keeps | <u8>ConnFlag.Snat | <u8>ConnFlag.Inward;
  conn.mapping = mapping;
  Mapping.at(conn.mapping).conns++;
  conn.arrive(Direction.Original, ingress);
  // It may be let in by what the same tenants have said only.
  conn.born = born;
  const allowed = isFree(conn.original) && stillAllowed(conn);
  const begins = allowed ? CONTINUE : <u32>Reason.Filtered;
  const verdict = finish(index, inside, begins, asked, packet.hashed, now);
  if (verdict == CONTINUE) packet.handle = (index << 1) | <u32>Direction.Reply;
  return verdict;
}

/** Why `begin` gave no conn. */
export let refusal: u32 = 0;

/** A cleared conn of the zone, if its limit and the table allow one more; else NONE, and `refusal`. */
export function begin(zoneIndex: u32, original: Tuple, packet: Packet): u32 {
  if (isAtLimit(zoneIndex)) {
    if (mayAskForMore(packet, zoneIndex)) {
      refusal = Reason.HandedOff;
      return NONE;
    }
    refusal = Reason.ZoneConnLimit;
    noteQuota(zoneIndex, original, Reason.ZoneConnLimit);
    return NONE;
  }
  const index = connSlab.take();
  if (index == NONE) {
    refusal = Reason.ConnTableFull;
    noteTableFull(original, Reason.ConnTableFull);
    return NONE;
  }
  const conn = Conn.at(index);
  clear(changetype<usize>(conn), RecordBytes.Conn);
  // Whose zones and host it is of is asked before it has begun.
  conn.born = arena.generation;
  conn.mapping = NONE;
  conn.target = NONE;
  conn.ringNext = NONE;
  conn.gateway = <u16>None.Short;
  conn.track(Direction.Original, None.Short);
  conn.track(Direction.Reply, None.Short);
  return index;
}

/** Whether the zone has as many conns as its limit, or what of it the host has lent this worker, allows. */
export function isAtLimit(zoneIndex: u32): bool {
  const most = active.zone(zoneIndex).connsMax;
  if (most == 0) return false;
  const state = active.zoneState(zoneIndex);
  return state.conns >= (arena.workers == 1 ? most : state.allowance);
}

/**
 * Lets a conn begin whose tuples, with these hashes, stand; gives everything back where `verdict`, or a step here,
 * forbids it.
 */
export function finish(
  index: u32,
  zoneIndex: u32,
  verdict: u32,
  originalHash: u64,
  replyHash: u64,
  now: u32,
): u32 {
  const conn = Conn.at(index);
  let end = verdict == CONTINUE ? countConn(conn, zoneIndex) : verdict;
  if (end == CONTINUE) {
    conn.timeouts = <u16>timeoutSet(zoneIndex, conn.original);
    conn.gateway = gatewayFor(conn);
    if (enter(index, zoneIndex, originalHash, replyHash, now)) {
      noteSession(EventKind.SessionCreated, conn.original, conn.reply);
      watchConns(zoneIndex);
      return CONTINUE;
    }
    uncountConn(conn);
    end = Reason.ConnTableFull;
  }
  if (
    end == Reason.ConnTableFull ||
    end == Reason.MappingTableFull ||
    end == Reason.HostTableFull
  ) {
    noteTableFull(conn.original, end);
  }
  if (conn.mapping != NONE) abandonMapping(conn.mapping);
  if (conn.target != NONE) abandonMapping(conn.target);
  connSlab.give(index);
  return end;
}

/** Both tables or none: what the filter lets in, and the conn itself. */
function enter(index: u32, zoneIndex: u32, originalHash: u64, replyHash: u64, now: u32): bool {
  if (!openFilter(index)) return false;
  if (openConn(index, zoneIndex, originalHash, replyHash, now)) return true;
  closeFilter(index);
  return false;
}

/** Fills in what the answers to a new conn will look like, and takes the external port they go to. */
function translateTuples(conn: Conn, packet: Packet, flow: FlowRecord): u32 {
  const target: u32 = flow.targetZone == None.Short ? packet.zoneIndex : flow.targetZone;
  conn.reply.zone = active.zone(target).number;
  switch (<u32>flow.action) {
    case FlowAction.Masquerade:
      return masquerade(conn, packet, active.pool(flow.pool));
    case FlowAction.Source:
      conn.reply.destination = flow.targetAddress;
      conn.flags = <u8>ConnFlag.Snat;
      return leave(conn, packet, target);
    case FlowAction.Destination:
      conn.reply.source = flow.targetAddress;
      conn.reply.sourcePort = <u16>targetPort(flow, packet);
      conn.flags = <u8>ConnFlag.Dnat;
  }
  if (active.isOurs(target, conn.reply.source)) return Reason.Hairpin;
  // Nor does anybody send from an address that is ours where the packet goes to.
  if (active.isOurs(target, conn.reply.destination)) return Reason.IpBadSource;
  return isFree(conn.reply) ? CONTINUE : <u32>Reason.TupleInUse;
}

function masquerade(conn: Conn, packet: Packet, pool: PoolRecord): u32 {
  conn.flags = <u8>ConnFlag.Snat;
  if ((pool.flags & PoolFlag.InboundRefresh) == 0) conn.flags |= <u8>ConnFlag.KeepsExpiry;
  const verdict = takeMapping(conn, packet, pool);
  return verdict == CONTINUE ? leave(conn, packet, pool.zone) : verdict;
}

/** Whether a mapping is the new conn's alone: then it was made just now, for a port that left the reply tuple free. */
function isAlone(mapping: u32): bool {
  return mapping != NONE && Mapping.at(mapping).conns == 1;
}

/** Where a packet with its new source goes: on, or back in by an external address of ours. */
function leave(conn: Conn, packet: Packet, zoneIndex: u32): u32 {
  const isOurs = active.isOurs(zoneIndex, conn.reply.source);
  const turns = isOurs && ownerOfAnswers(conn.reply, zoneIndex) == arena.worker;
  if (turns) return hairpin(conn, packet, zoneIndex);
  // Without a port nothing says whom it goes round to, other than by a forward of this worker's own.
  if (isOurs && !hasPorts(packet.protocol)) return Reason.Hairpin;
  return isAlone(conn.mapping) || isFree(conn.reply) ? CONTINUE : <u32>Reason.TupleInUse;
}
