/**
 * Hairpin: a packet that has left its zone for an external address of ours turns round there and comes in
 * again, by a forward or by the mapping of another inside endpoint (RFC 4787 REQ-9). One conn does both
 * translations: its original tuple is what the sender sees, its reply tuple what the receiver does, each in
 * its own zone. The receiver sees the sender's external address and port (REQ-9a).
 *
 * The zone between them is asked like for any packet that comes in there: its flows, and the mapping's filter.
 * Where that filter refuses, the packet is dropped, but its conn begins and waits: it has opened the sender's
 * own filter, so that two tenants that open to each other find through (RFC 5128 section 3.3).
 *
 * Where the other endpoint is another worker's, each has a conn of its own, from its host to the external address, and
 * the packet goes from the one to the other as it is in the zone between (handoff.ts).
 */

import { ConnState, FlowAction, None, Reason } from "../abi";
import { active } from "../config/configuration";
import { FlowRecord } from "../config/records";
import { arena } from "../memory";
import { CONTINUE, Packet } from "../packet";
import { NONE } from "../table/none";
import { IpProtocol } from "../wire/ipv4";
import { mayAdmit } from "./allowed";
import { seenBetween } from "./between";
import { asked, Conn, ConnFlag, findConn, isFree } from "./conn";
import { Expectation, endExpectation, findExpectation } from "./expectation";
import { portInUse } from "./external";
import { findPermit } from "./filter";
import { FlowQuery, findFlow } from "./flow";
import { targetPort } from "./forward";
import { findGrant, Grant } from "./grant";
import { endConn } from "./lifetime";
import { Mapping } from "./mapping";
import { ownerOfHost } from "./owner";
import { Tuple } from "./tuple";

/**
 * Completes the reply tuple of a conn that has been given its new source in the zone with this index, and whose
 * destination there is ours.
 */
export function hairpin(conn: Conn, packet: Packet, middle: u32): u32 {
  const query = seenBetween(conn, middle);
  const permit = findPermit(query);
  const foreseen = permit == NONE ? findExpectation(query, middle) : NONE;
  const grant = permit == NONE && foreseen == NONE ? findGrant(query) : NONE;
  if (permit != NONE || grant != NONE) query.state |= <u16>ConnState.Reply;
  if (foreseen != NONE) query.state |= <u16>(ConnState.Reply | ConnState.Related);
  const index = findFlow(query);
  if (index == NONE) return unreached(conn, query);
  const flow = active.flow(index);
  active.countFlow(index, packet.totalBytes);
  if (flow.actionZone != None.Short && flow.actionZone != middle) return Reason.ZoneMismatch;
  switch (<u32>flow.action) {
    case FlowAction.Destination:
      // Another worker has the host that it leads to: the packet goes round to it, as to an external port of that one.
      if (isOthers(flow)) return isFree(conn.reply) ? CONTINUE : <u32>Reason.TupleInUse;
      turnByForward(conn, flow, query);
      break;
    case FlowAction.Reverse:
      if (foreseen != NONE) {
        turnAsForeseen(conn, foreseen);
        break;
      }
      if (grant != NONE) {
        const granted = Grant.at(grant).mapping;
        turnByMapping(conn, Mapping.at(granted), granted);
        break;
      }
      if (permit == NONE) return unreached(conn, query);
      if (!mayAdmit(Conn.at(permit))) return unreached(conn, seenBetween(conn, middle));
      turnByMapping(conn, Conn.at(permit).original, Conn.at(permit).mapping);
      break;
    case FlowAction.Drop:
      return Reason.FlowDrop;
    case FlowAction.Reject:
      return Reason.FlowReject;
    default:
      return Reason.Hairpin;
  }
  conn.flags |= <u8>ConnFlag.Hairpin;
  // Whoever talks to its own external port would be both ends of the conn.
  if (conn.original.equals(conn.reply)) return Reason.Hairpin;
  return makeWay(conn.reply) ? CONTINUE : <u32>Reason.TupleInUse;
}

/** Whether a conn has not turned round yet: its receiver's filter refuses it so far. */
export function isWaiting(conn: Conn): bool {
  return conn.has(ConnFlag.Hairpin) && !conn.has(ConnFlag.Dnat) && conn.target == NONE;
}

/** Whether the reply tuple is free, or was that of a conn which has waited for this one. */
function makeWay(reply: Tuple): bool {
  if (isFree(reply)) return true;
  const handle = findConn(reply, asked);
  if (!isWaiting(Conn.of(handle))) return false;
  endConn(handle >> 1);
  return true;
}

/** Nobody is there, or nobody who lets it in; then the conn is to wait (`Filtered`). */
function unreached(conn: Conn, query: FlowQuery): u32 {
  // A query of ICMP goes to no port (nat/query.ts).
  const isIcmp = query.protocol == <u8>IpProtocol.Icmp;
  if (isIcmp || !portInUse(query.zoneIndex, query)) return Reason.Hairpin;
  if (query.source == query.destination && query.sourcePort == query.destinationPort) {
    return Reason.Hairpin;
  }
  conn.flags |= <u8>ConnFlag.Hairpin;
  return isFree(conn.reply) ? Reason.Filtered : Reason.TupleInUse;
}

function isOthers(flow: FlowRecord): bool {
  return ownerOfHost(active.zone(flow.targetZone).number, flow.targetAddress) != arena.worker;
}

function turnByForward(conn: Conn, flow: FlowRecord, query: FlowQuery): void {
  conn.reply.zone = active.zone(flow.targetZone).number;
  conn.reply.source = flow.targetAddress;
  conn.reply.sourcePort = <u16>targetPort(flow, query);
  conn.flags |= <u8>ConnFlag.Dnat;
}

/** To the endpoint that is the source of `inside`, by its mapping. */
function turnByMapping(conn: Conn, inside: Tuple, mapping: u32): void {
  conn.reply.zone = inside.zone;
  conn.reply.source = inside.source;
  conn.reply.sourcePort = inside.sourcePort;
  conn.target = mapping;
  Mapping.at(conn.target).conns++;
}

/** As a gateway has foreseen it, this once. */
function turnAsForeseen(conn: Conn, foreseen: u32): void {
  const expectation = Expectation.at(foreseen);
  turnByMapping(conn, expectation.inside, expectation.mapping);
  endExpectation(foreseen);
}
