/**
 * Which external endpoint an inside one would have that speaks to somebody outside, without a packet of its
 * own: asked by gateways that read of it. The flows are asked as they would be by the first packet, so the
 * endpoint is given what an outgoing conn of it would be given, or already has.
 *
 *     a forward leads from the same port to it    the port stays, and the forward lets in who comes
 *     the flows masquerade it                     its mapping in that pool, and an expectation that holds it
 *     neither                                     nothing can be shown of it
 */

import { Allocation, ConnState, FlowAction, None, PoolFlag } from "../abi";
import { active } from "../config/configuration";
import { PoolRecord } from "../config/records";
import { imaginedConn, imaginedPacket, scratch } from "../memory";
import { CONTINUE, Direction, Packet } from "../packet";
import { NONE } from "../table/none";
import { Conn, ConnFlag, opposite } from "./conn";
import { endExpectationsOf, expect } from "./expectation";
import { bitmapOf } from "./external";
import { FlowQuery, findFlow } from "./flow";
import { targetPort } from "./forward";
import { abandonMapping, Mapping, makeShared, sharesPorts } from "./mapping";
import { takeMapping } from "./masquerade";
import { taken, takePort } from "./pool";
import { free } from "./rest";

/** What `expose` has found. */
export let exposedAddress: u32 = 0;
export let exposedPort: u32 = 0;

/**
 * Shows a port of the host that speaks in this direction of the conn to the other end, which may then begin
 * one conn to it. `sameAddress`: it must be the address that the other end knows already. False, and nothing
 * has changed, where that cannot be.
 */
export function expose(index: u32, direction: Direction, port: u32, sameAddress: bool): bool {
  const conn = Conn.at(index);
  const seen = conn.tuple(opposite(direction)).destination;
  const zone = outsideOf(conn, direction);
  if (zone == NONE) return false;
  if (keepsPort(conn, direction, port, zone)) {
    exposedAddress = seen;
    exposedPort = port;
    return true;
  }
  const pool = poolFor(conn, direction, port, zone);
  if (pool == NONE) return false;
  const mapping = imagine(active.pool(pool));
  if (mapping == NONE) return false;
  endExpectationsOf(index);
  const reply = changetype<Conn>(imaginedConn).reply;
  const isKnown = reply.destination == seen || !sameAddress;
  if (!isKnown || !foresee(index, direction, mapping, active.pool(pool))) {
    abandonMapping(mapping);
    return false;
  }
  exposedAddress = reply.destination;
  exposedPort = reply.destinationPort;
  return true;
}

/** Lets in, once, who comes to the endpoint of the imagined conn. */
function foresee(index: u32, direction: Direction, mapping: u32, pool: PoolRecord): bool {
  const imagined = changetype<Conn>(imaginedConn);
  const reply = imagined.reply;
  const refresh = (pool.flags & PoolFlag.InboundRefresh) != 0;
  return expect(
    index,
    imagined.original,
    mapping,
    reply.zone,
    reply.destination,
    reply.destinationPort,
    <u16>Conn.at(index).ingress(direction),
    refresh ? 0 : <u8>ConnFlag.KeepsExpiry,
  );
}

/**
 * Index of the pool by which the flows would masquerade the first packet of the port towards that zone, which
 * is the imagined packet then; NONE where they would not.
 */
function poolFor(conn: Conn, direction: Direction, port: u32, zone: u32): u32 {
  const query = queryFrom(conn, direction, port);
  const index = findFlow(query);
  if (index == NONE) return NONE;
  const flow = active.flow(index);
  if (flow.action != <u32>FlowAction.Masquerade) return NONE;
  if (flow.actionZone != None.Short && flow.actionZone != query.zoneIndex) return NONE;
  if (<u32>active.pool(flow.pool).zone != zone) return NONE;
  const packet = changetype<Packet>(imaginedPacket);
  packet.copy(query);
  packet.zoneIndex = query.zoneIndex;
  return flow.pool;
}

/** Index of the zone in which the other end sees the one that speaks in this direction; NONE where it has none. */
function outsideOf(conn: Conn, direction: Direction): u32 {
  if (!conn.has(ConnFlag.Hairpin)) return active.zoneIndex(conn.tuple(opposite(direction)).zone);
  return conn.mapping == NONE
    ? NONE
    : active.zoneIndex(Mapping.at(conn.mapping).externalAddress.zone);
}

/** Whether a forward leads whoever comes to the same port of the address that is seen to the host itself. */
function keepsPort(conn: Conn, direction: Direction, port: u32, zone: u32): bool {
  const here = conn.tuple(direction);
  const query = changetype<FlowQuery>(scratch);
  query.source = here.destination;
  query.sourcePort = here.destinationPort;
  query.destination = conn.tuple(opposite(direction)).destination;
  query.destinationPort = <u16>port;
  query.protocol = here.protocol;
  query.zone = active.zone(zone).number;
  askAsNew(query, zone, conn.ingress(opposite(direction)));
  const index = findFlow(query);
  if (index == NONE) return false;
  const flow = active.flow(index);
  return (
    flow.action == <u32>FlowAction.Destination &&
    flow.targetAddress == here.source &&
    active.zone(flow.targetZone).number == here.zone &&
    targetPort(flow, query) == port
  );
}

/** The first packet of a conn from the port to the other end, as far as it can be known. */
function queryFrom(conn: Conn, direction: Direction, port: u32): FlowQuery {
  const query = changetype<FlowQuery>(scratch);
  query.copy(conn.tuple(direction));
  query.sourcePort = <u16>port;
  askAsNew(query, active.zoneIndex(query.zone), conn.ingress(direction));
  return query;
}

/** Fills in the rest of a query: a new conn that comes in by the device with this number, if that is there. */
function askAsNew(query: FlowQuery, zone: u32, port: u32): void {
  const device = active.deviceByPort.get(port);
  const inPlace = device != NONE && active.device(device).zone == zone;
  query.zoneIndex = <u16>zone;
  query.device = inPlace ? <u16>device : <u16>None.Short;
  query.state = <u16>ConnState.New;
  query.icmpType = 0;
  query.icmpCode = 0;
}

/**
 * Makes the imagined packet's conn as far as its external endpoint, and counts one more user of that mapping;
 * its index, NONE where it is refused.
 */
function imagine(pool: PoolRecord): u32 {
  const packet = changetype<Packet>(imaginedPacket);
  const conn = changetype<Conn>(imaginedConn);
  conn.mapping = NONE;
  conn.original.copy(packet);
  conn.reply.mirror(packet);
  conn.reply.zone = active.zone(pool.zone).number;
  const which = bitmapOf(packet.protocol);
  // No host owns a port that is shared, so neither of the two is of blocks or of subscribers.
  if (sharesPorts(pool, which) && pool.allocation <= <u8>Allocation.Preserve) {
    const mapping = takeUnshared(conn, packet, pool, which);
    if (mapping != NONE) return mapping;
  }
  return takeMapping(conn, packet, pool) == CONTINUE ? conn.mapping : NONE;
}

/** Whoever is to come may come from any port: where ports are shared, one that nobody has is the surest. */
function takeUnshared(conn: Conn, packet: Packet, pool: PoolRecord, which: u32): u32 {
  const reply = conn.reply;
  if (takePort(pool, which, NONE, packet, reply) != CONTINUE) return NONE;
  const mapping = makeShared(taken, which, reply.protocol, reply.destinationPort);
  if (mapping == NONE) free(taken, which, reply.destinationPort);
  else Mapping.at(mapping).conns++;
  return mapping;
}
