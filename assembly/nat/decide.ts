/**
 * The decision: what the flow table says of a packet that has no conn yet, or whose conn's cached verdict
 * is older than the configuration.
 *
 * No packet of one zone reaches another except through a flow that names both and the conn it made: every
 * action's zones are compared with the zone the packet is in and the one its conn leads to.
 */

import { ConnPhase, ConnState, FlowAction, None, Reason } from "../abi";
import { active, pairKey } from "../config/configuration";
import { FlowRecord } from "../config/records";
import { arena, scratch } from "../memory";
import { CONTINUE, Direction, LOCAL, NO_CONN, Packet } from "../packet";
import { NONE } from "../table/none";
import { isRequest } from "../wire/icmp";
import { IpProtocol } from "../wire/ipv4";
import { namesZonesOf, stillAllowed } from "./allowed";
import { Conn, ConnFlag, opposite } from "./conn";
import { findExpectation } from "./expectation";
import { portInUse } from "./external";
import { findPermit } from "./filter";
import { FlowQuery, findFlow, findTrackedFlow } from "./flow";
import { findGrant } from "./grant";
import { isWaiting } from "./hairpin";
import { dropConn, endConn } from "./lifetime";
import { abandonMapping, Mapping } from "./mapping";
import { openExpected, openGranted, openInward, openOutward } from "./open";
import { stay } from "./owner";
import { beginsTcp } from "./tcp";
import { timeoutSet } from "./timeout";

/**
 * Finds or makes the packet's conn and the flow that speaks for it. CONTINUE, with `handle`, `flow` and
 * `output` set; LOCAL for a packet to the router itself; or the Reason it ends with.
 */
export function decide(packet: Packet, now: u32): u32 {
  if (packet.handle != NO_CONN && isWaiting(Conn.of(packet.handle)))
    return decideAgain(packet, now);
  const verdict = packet.handle == NO_CONN ? decideNew(packet, now) : decideKnown(packet);
  return verdict == CONTINUE && active.flowsTracked != NONE ? decideTracked(packet) : verdict;
}

/** A hairpinned conn that waits for its receiver to let it in; meanwhile nobody can answer it. */
function decideAgain(packet: Packet, now: u32): u32 {
  if (packet.direction == Direction.Reply) return Reason.IpBadSource;
  const index = packet.handle >> 1;
  const mapping = Conn.at(index).mapping;
  if (mapping != NONE) Mapping.at(mapping).conns++;
  dropConn(index);
  packet.handle = NO_CONN;
  const verdict = decideNew(packet, now);
  if (mapping != NONE) abandonMapping(mapping);
  return verdict;
}

function decideKnown(packet: Packet): u32 {
  if (isForged(packet)) return Reason.IpBadSource;
  const conn = Conn.of(packet.handle);
  if (conn.validated != arena.configured) {
    if (!stillAllowed(conn)) {
      endConn(packet.handle >> 1);
      packet.handle = NO_CONN;
      return Reason.ConnRevoked;
    }
    conn.validated = arena.configured;
    conn.timeouts = <u16>timeoutSet(active.zoneIndex(conn.original.zone), conn.original);
  }
  const direction = packet.direction;
  // What a former configuration's second pass said names a flow of that configuration.
  conn.track(direction, None.Short);
  const flow = flowFor(packet, stateOf(conn, direction));
  if (flow == NONE) return Reason.NoFlow;
  const record = active.flow(flow);
  switch (<u32>record.action) {
    case FlowAction.Drop:
      conn.decide(direction, packet.port, flow, NONE, true);
      return Reason.FlowDrop;
    case FlowAction.Reject:
      return Reason.FlowReject;
    default:
      return namesZonesOf(record, conn, direction) ? CONTINUE : Reason.ZoneMismatch;
  }
}

/**
 * What the flow table says of an ICMP error about a packet of a conn: the same as of a packet of the conn in
 * the direction that the error takes, `related` besides. CONTINUE, with `flow` and `output` set, or the
 * Reason it ends with. The conn remembers nothing of it, nor does it end.
 */
export function decideError(packet: Packet): u32 {
  const conn = Conn.of(packet.handle);
  const direction = packet.direction;
  if (conn.validated != arena.configured && !stillAllowed(conn)) return Reason.ConnRevoked;
  const state = stateOf(conn, direction) | ConnState.Related;
  const flow = flowFor(packet, state);
  if (flow == NONE) return Reason.NoFlow;
  const record = active.flow(flow);
  if (record.action == FlowAction.Drop) return Reason.FlowDrop;
  if (record.action == FlowAction.Reject) return Reason.FlowReject;
  if (!namesZonesOf(record, conn, direction)) return Reason.ZoneMismatch;
  if (active.flowsTracked == NONE) return CONTINUE;
  return obeyTracked(packet, trackedFlowFor(packet, conn, state));
}

/** Bits of ConnState for a packet of a conn, before any action. */
function stateOf(conn: Conn, direction: Direction): u32 {
  const isNew = conn.phase == ConnPhase.New && direction == conn.opener;
  let state: u32 = isNew ? ConnState.New : ConnState.Established;
  if (direction == Direction.Reply) state |= ConnState.Reply;
  if (conn.has(ConnFlag.Snat)) state |= ConnState.Snat;
  if (conn.has(ConnFlag.Dnat)) state |= ConnState.Dnat;
  return state;
}

/** The flow that speaks for a received packet. */
function lookUpFlow(packet: Packet, state: u32): u32 {
  const query = changetype<FlowQuery>(scratch);
  query.copy(packet);
  query.device = packet.device;
  query.zoneIndex = packet.zoneIndex;
  query.state = <u16>state;
  query.icmpType = packet.flags;
  query.icmpCode = packet.code;
  return findFlow(query);
}

/** Whether a packet without a conn is this worker's by the flow that leads it into one (nat/owner.ts). */
export function stayBy(packet: Packet, state: u32): u32 {
  return stay(packet, lookUpFlow(packet, state));
}

/** Asks the flow table about a received packet and counts the flow that answers. */
function flowFor(packet: Packet, state: u32): u32 {
  const flow = lookUpFlow(packet, state);
  packet.flow = <u16>flow;
  if (flow != NONE) {
    packet.output = active.flow(flow).output;
    active.countFlow(flow, packet.totalBytes);
  }
  return flow;
}

function decideNew(packet: Packet, now: u32): u32 {
  // RFC 1812 section 5.3.7: nobody but the router sends from an address of its own.
  const source = pairKey(packet.zoneIndex, packet.source);
  if (active.deviceByAddress.get(source) != NONE && !packet.isTurned) return Reason.IpBadSource;
  if (isForged(packet)) return Reason.IpBadSource;
  const destination = pairKey(packet.zoneIndex, packet.destination);
  const begins = beginsConn(packet);
  const pooled = begins && active.externalByAddress.get(destination) != NONE;
  const permit = pooled ? findPermit(packet) : NONE;
  const foreseen = pooled && permit == NONE ? findExpectation(packet, packet.zoneIndex) : NONE;
  const grant = pooled && permit == NONE && foreseen == NONE ? findGrant(packet) : NONE;
  let state: u32 = begins ? ConnState.New : ConnState.Invalid;
  if (permit != NONE || grant != NONE) state |= ConnState.Reply;
  if (foreseen != NONE) state |= ConnState.Reply | ConnState.Related;
  if (arena.workers > 1) {
    const verdict = stayBy(packet, begins ? state : <u32>ConnState.New);
    if (verdict != CONTINUE) return verdict;
  }
  const flow = flowFor(packet, state);
  const action: u32 = flow == NONE ? NONE : active.flow(flow).action;
  // What has turned round comes in to who has the address there, as in nat/hairpin.ts, and goes nowhere else.
  if (packet.isTurned && leadsOn(action)) return Reason.Hairpin;
  if (action == FlowAction.Reverse && (permit != NONE || grant != NONE)) {
    return decideInward(packet, flow, permit, grant, now);
  }
  if (action == FlowAction.Reverse && foreseen != NONE) {
    return isHere(active.flow(flow), packet)
      ? openExpected(packet, foreseen, now)
      : <u32>Reason.ZoneMismatch;
  }
  const local = active.deviceByAddress.get(destination) != NONE;
  if (local && (action == NONE || !servesLocal(action))) return LOCAL;
  switch (action) {
    case NONE:
      return portInUse(packet.zoneIndex, packet) ? Reason.Filtered : Reason.NoFlow;
    case FlowAction.Drop:
      return Reason.FlowDrop;
    case FlowAction.Reject:
      return Reason.FlowReject;
    case FlowAction.Reverse:
      return portInUse(packet.zoneIndex, packet) ? Reason.Filtered : Reason.NoConn;
  }
  const record = active.flow(flow);
  if (!isHere(record, packet)) return Reason.ZoneMismatch;
  if (!begins) {
    return packet.protocol == IpProtocol.Tcp ? Reason.TcpNotSyn : Reason.EchoNotRequest;
  }
  const verdict = openOutward(packet, record, now);
  // It comes back, and is counted then.
  if (verdict == Reason.HandedOff) active.uncountFlow(flow, packet.totalBytes);
  return verdict;
}

/**
 * Whether a packet has come by a link from an external address of ours (of an ICMP error: whether what it quotes went to
 * one). Where there are several workers, a conn may have such an end, but its packets have turned round (handoff.ts).
 */
export function isForged(packet: Packet): bool {
  return arena.workers > 1 && !packet.isTurned && active.isOurs(packet.zoneIndex, packet.source);
}

/** Whether the zone that the flow's action names, if any, is the packet's. */
function isHere(flow: FlowRecord, packet: Packet): bool {
  return flow.actionZone == None.Short || flow.actionZone == packet.zoneIndex;
}

/** From outside, by a flow that leads back, to a mapping that a conn or a grant lets the sender in to. */
function decideInward(packet: Packet, flow: u32, permit: u32, grant: u32, now: u32): u32 {
  if (!isHere(active.flow(flow), packet)) return Reason.ZoneMismatch;
  return permit != NONE ? openInward(packet, permit, now) : openGranted(packet, grant, now);
}

/** Actions that send a packet on to where it is addressed. */
function leadsOn(action: u32): bool {
  return (
    action == FlowAction.Masquerade || action == FlowAction.Source || action == FlowAction.Route
  );
}

/** Actions that apply to packets for an address of the router itself. */
function servesLocal(action: u32): bool {
  return (
    action == FlowAction.Destination || action == FlowAction.Drop || action == FlowAction.Reject
  );
}

/** Whether a conn may begin with this packet. */
function beginsConn(packet: Packet): bool {
  if (packet.protocol == IpProtocol.Tcp) return beginsTcp(packet.flags);
  if (packet.protocol == IpProtocol.Icmp) return isRequest(packet.flags);
  return true;
}

/** The second pass, in the zone the packet goes to, over the flows that match +tracked. */
function decideTracked(packet: Packet): u32 {
  const conn = Conn.of(packet.handle);
  const direction = packet.direction;
  const flow = trackedFlowFor(packet, conn, stateOf(conn, direction));
  conn.track(direction, flow);
  const verdict = obeyTracked(packet, flow);
  if (verdict == Reason.FlowDrop) conn.decide(direction, packet.port, packet.flow, NONE, true);
  return verdict;
}

/** Asks the flows of the second pass about a packet as it leaves; `state` is what it was before. */
function trackedFlowFor(packet: Packet, conn: Conn, state: u32): u32 {
  const query = changetype<FlowQuery>(scratch);
  query.mirror(conn.tuple(opposite(packet.direction)));
  query.zoneIndex = <u16>active.zoneIndex(query.zone);
  query.state = <u16>(state | ConnState.Tracked);
  query.device = packet.device;
  query.icmpType = packet.flags;
  query.icmpCode = packet.code;
  return findTrackedFlow(query);
}

/** Counts the flow of the second pass that speaks for the packet, if one does, and does as it says. */
function obeyTracked(packet: Packet, flow: u32): u32 {
  if (flow == NONE) return CONTINUE;
  active.countFlow(flow, packet.totalBytes);
  const record = active.flow(flow);
  if (record.action == FlowAction.Drop) return Reason.FlowDrop;
  if (record.action == FlowAction.Reject) return Reason.FlowReject;
  if (record.output != None.Short) packet.output = record.output;
  return CONTINUE;
}
