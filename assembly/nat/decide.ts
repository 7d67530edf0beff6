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
import { arena, connSlab, RecordBytes, scratch } from "../memory";
import { CONTINUE, Direction, LOCAL, NO_CONN, Packet } from "../packet";
import { NONE } from "../table/none";
import { isRequest } from "../wire/icmp";
import { IpProtocol } from "../wire/ipv4";
import { Conn, ConnFlag, isFree, NO_EXTERNAL, openConn, opposite } from "./conn";
import { giveExternal, hasPorts } from "./external";
import { FlowQuery, findFlow, findTrackedFlow } from "./flow";
import { forwardedUpTo } from "./forward";
import { endConn } from "./lifetime";
import { poolHas, takeExternal } from "./pool";
import { requestType } from "./query";
import { beginsTcp } from "./tcp";
import { timeoutSet } from "./timeout";

/**
 * Finds or makes the packet's conn and the flow that speaks for it. CONTINUE, with `handle`, `flow` and
 * `output` set; LOCAL for a packet to the router itself; or the Reason it ends with.
 */
export function decide(packet: Packet, now: u32): u32 {
  const verdict = packet.handle == NO_CONN ? decideNew(packet, now) : decideKnown(packet);
  return verdict == CONTINUE && active.flowsTracked != NONE ? decideTracked(packet) : verdict;
}

function decideKnown(packet: Packet): u32 {
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
  let state: u32 =
    conn.phase == ConnPhase.New && direction == Direction.Original
      ? ConnState.New
      : ConnState.Established;
  if (direction == Direction.Reply) state |= ConnState.Reply;
  if (conn.has(ConnFlag.Snat)) state |= ConnState.Snat;
  if (conn.has(ConnFlag.Dnat)) state |= ConnState.Dnat;
  return state;
}

/** Asks the flow table about a received packet and counts the flow that answers. */
function flowFor(packet: Packet, state: u32): u32 {
  const query = changetype<FlowQuery>(scratch);
  query.copy(packet);
  query.device = packet.device;
  query.zoneIndex = packet.zoneIndex;
  query.state = <u16>state;
  query.icmpType = packet.flags;
  query.icmpCode = packet.code;
  const flow = findFlow(query);
  packet.flow = <u16>flow;
  if (flow != NONE) {
    packet.output = active.flow(flow).output;
    active.countFlow(flow, packet.totalBytes);
  }
  return flow;
}

/** Whether the zones that a flow names are those of the conn, seen from this direction. */
function namesZonesOf(flow: FlowRecord, conn: Conn, direction: Direction): bool {
  const here = conn.tuple(direction).zone;
  const there = conn.tuple(opposite(direction)).zone;
  if (flow.actionZone != None.Short && active.zone(flow.actionZone).number != here) return false;
  if (flow.action == FlowAction.Reverse) return true;
  return (flow.targetZone == None.Short ? here : active.zone(flow.targetZone).number) == there;
}

function decideNew(packet: Packet, now: u32): u32 {
  // RFC 1812 section 5.3.7: nobody but the router sends from an address of its own.
  const source = pairKey(packet.zoneIndex, packet.source);
  if (active.deviceByAddress.get(source) != NONE) return Reason.IpBadSource;
  const begins = beginsConn(packet);
  const flow = flowFor(packet, begins ? ConnState.New : ConnState.Invalid);
  const action: u32 = flow == NONE ? NONE : active.flow(flow).action;
  const local = active.deviceByAddress.get(pairKey(packet.zoneIndex, packet.destination)) != NONE;
  if (local && (action == NONE || !servesLocal(action))) return LOCAL;
  switch (action) {
    case NONE:
      return Reason.NoFlow;
    case FlowAction.Drop:
      return Reason.FlowDrop;
    case FlowAction.Reject:
      return Reason.FlowReject;
    case FlowAction.Reverse:
      return Reason.NoConn;
  }
  const record = active.flow(flow);
  if (record.actionZone != None.Short && record.actionZone != packet.zoneIndex) {
    return Reason.ZoneMismatch;
  }
  if (!begins) {
    return packet.protocol == IpProtocol.Tcp ? Reason.TcpNotSyn : Reason.EchoNotRequest;
  }
  return open(packet, record, now);
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

/** Makes the conn that a flow with a nat or route action asks for. */
function open(packet: Packet, flow: FlowRecord, now: u32): u32 {
  const zone = active.zone(packet.zoneIndex);
  if (zone.connsMax != 0 && active.zoneState(packet.zoneIndex).conns >= zone.connsMax) {
    return Reason.ZoneConnLimit;
  }
  const index = connSlab.take();
  if (index == NONE) return Reason.ConnTableFull;
  const conn = Conn.at(index);
  memory.fill(changetype<usize>(conn), 0, RecordBytes.Conn);
  conn.external = NO_EXTERNAL;
  conn.track(Direction.Original, None.Short);
  conn.track(Direction.Reply, None.Short);
  conn.original.copy(packet);
  conn.reply.mirror(packet);
  conn.timeouts = <u16>timeoutSet(packet.zoneIndex, packet);
  let verdict = translateTuples(conn, packet, flow);
  if (verdict == CONTINUE && !openConn(index, now)) {
    if (conn.external != NO_EXTERNAL) {
      giveExternal(conn.external, packet.protocol, conn.reply.destinationPort);
    }
    verdict = Reason.ConnTableFull;
  }
  if (verdict != CONTINUE) {
    connSlab.give(index);
    return verdict;
  }
  conn.arrive(Direction.Original, packet.port);
  packet.handle = index << 1;
  return CONTINUE;
}

/** Fills in what the answers to a new conn will look like, and takes the external port they go to. */
function translateTuples(conn: Conn, packet: Packet, flow: FlowRecord): u32 {
  const reply = conn.reply;
  const target: u32 = flow.targetZone == None.Short ? packet.zoneIndex : flow.targetZone;
  reply.zone = active.zone(target).number;
  if (flow.action == FlowAction.Destination) {
    reply.source = flow.targetAddress;
    if (flow.targetPort != 0 && hasTargetPort(packet.protocol)) reply.sourcePort = flow.targetPort;
    conn.flags = <u8>ConnFlag.Dnat;
  }
  if (isOurs(target, reply.source)) return Reason.Hairpin;
  if (flow.action != FlowAction.Masquerade) {
    // Nor does anybody send from an address that is ours where the packet goes to.
    if (isOurs(target, reply.destination)) return Reason.IpBadSource;
    return isFree(reply) ? CONTINUE : Reason.TupleInUse;
  }
  conn.flags = <u8>ConnFlag.Snat;
  conn.external = takeExternal(active.pool(flow.pool), packet, reply);
  if (conn.external != NONE) return CONTINUE;
  return hasPorts(packet.protocol) ? Reason.PoolExhausted : Reason.ProtocolAmbiguous;
}

/** Whether a new destination port means anything to the protocol: an echo's identifier is its asker's. */
function hasTargetPort(protocol: u32): bool {
  return protocol == IpProtocol.Tcp || protocol == IpProtocol.Udp;
}

/** Whether an address of a zone is the router's own, or a pool's: nothing is sent on to it. */
function isOurs(zoneIndex: u32, address: u32): bool {
  const key = pairKey(zoneIndex, address);
  return active.deviceByAddress.get(key) != NONE || active.externalByAddress.get(key) != NONE;
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

/**
 * Whether the configuration in force would make this conn again: the same tenants' zones, a flow that
 * leads its original direction where it went, and the external address still in the flow's pool.
 */
export function stillAllowed(conn: Conn): bool {
  const original = conn.original;
  const reply = conn.reply;
  if (!isSameTenant(original.zone, conn) || !isSameTenant(reply.zone, conn)) return false;
  const flow = originalFlow(conn);
  if (flow == NONE) return false;
  const record = active.flow(flow);
  switch (<u32>record.action) {
    case FlowAction.Masquerade: {
      if (!conn.has(ConnFlag.Snat) || !namesZonesOf(record, conn, Direction.Original)) return false;
      const pool = active.pool(record.pool);
      const key = pairKey(pool.zone, reply.destination);
      return (
        poolHas(pool, reply.destination) &&
        active.externalByAddress.get(key) == conn.external &&
        forwardedUpTo(conn.external, pool.zone, reply) == NONE
      );
    }
    case FlowAction.Destination:
      return (
        conn.has(ConnFlag.Dnat) &&
        namesZonesOf(record, conn, Direction.Original) &&
        record.targetAddress == reply.source &&
        (record.targetPort == 0 ||
          !hasTargetPort(reply.protocol) ||
          record.targetPort == reply.sourcePort)
      );
    case FlowAction.Route:
      return (
        !conn.has(ConnFlag.Snat) &&
        !conn.has(ConnFlag.Dnat) &&
        namesZonesOf(record, conn, Direction.Original)
      );
    default:
      return false;
  }
}

function isSameTenant(zone: u16, conn: Conn): bool {
  const index = active.zoneIndex(zone);
  return index != NONE && active.zoneState(index).born <= conn.born;
}

/** The flow that would speak for the first packet of this conn now. */
function originalFlow(conn: Conn): u32 {
  const query = changetype<FlowQuery>(scratch);
  query.copy(conn.original);
  query.zoneIndex = <u16>active.zoneIndex(query.zone);
  const device = active.deviceByPort.get(conn.ingress(Direction.Original));
  const inPlace = device != NONE && active.device(device).zone == query.zoneIndex;
  query.device = inPlace ? <u16>device : <u16>None.Short;
  query.state = <u16>ConnState.New;
  query.icmpType = <u8>requestType(query.destinationPort);
  query.icmpCode = 0;
  return findFlow(query);
}
