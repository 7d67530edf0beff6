/**
 * Whether the configuration in force would make a conn again. Asked of each conn once after a switch, by its
 * next packet or by the sweep (nat/sweep.ts), and of one that is about to begin from outside.
 */

import { ConnState, FlowAction, Lapse, None } from "../abi";
import { active, pairKey } from "../config/configuration";
import { FlowRecord, PoolRecord } from "../config/records";
import { arena, scratch } from "../memory";
import { Direction } from "../packet";
import { NONE } from "../table/none";
import { seenBetween } from "./between";
import { Conn, ConnFlag, opposite } from "./conn";
import { FlowQuery, findFlow } from "./flow";
import { targetPort } from "./forward";
import { isGood } from "./grant";
import { Mapping, mayKeep } from "./mapping";
import { requestType } from "./query";

export function stillAllowed(conn: Conn): bool {
  return lapseOf(conn) == Lapse.None;
}

/**
 * The same tenants' zones, a flow that leads its original direction where it went, and the external address
 * and port still its own to have: or what of this is missing.
 */
export function lapseOf(conn: Conn): Lapse {
  if (!isSameTenant(conn.original.zone, conn)) return zoneLapse(conn.original.zone);
  if (!isSameTenant(conn.reply.zone, conn)) return zoneLapse(conn.reply.zone);
  const index = originalFlow(conn);
  if (index == NONE) return Lapse.NoFlow;
  const flow = active.flow(index);
  switch (<u32>flow.action) {
    case FlowAction.Masquerade: {
      const way: Lapse = conn.mapping == NONE ? Lapse.OtherWay : wayLapse(flow, conn);
      return way == Lapse.None ? endpointLapse(conn, active.pool(flow.pool)) : way;
    }
    case FlowAction.Source: {
      const isItsOwn =
        conn.mapping == NONE &&
        conn.has(ConnFlag.Snat) &&
        flow.targetAddress == conn.reply.destination;
      return isItsOwn ? wayLapse(flow, conn) : Lapse.OtherWay;
    }
    case FlowAction.Destination: {
      const isItsOwn =
        conn.has(ConnFlag.Dnat) &&
        !conn.has(ConnFlag.Snat) &&
        namesZonesOf(flow, conn, Direction.Original) &&
        flow.targetAddress == conn.reply.source &&
        targetPort(flow, conn.original) == <u32>conn.reply.sourcePort;
      return isItsOwn ? Lapse.None : Lapse.OtherWay;
    }
    case FlowAction.Route: {
      const isItsOwn =
        !conn.has(ConnFlag.Snat) &&
        !conn.has(ConnFlag.Dnat) &&
        namesZonesOf(flow, conn, Direction.Original);
      return isItsOwn ? Lapse.None : Lapse.OtherWay;
    }
    case FlowAction.Reverse:
      return Lapse.NoFlow;
    default:
      return Lapse.FlowDrop;
  }
}

/** The pool (index) behind which the configuration in force would put a conn; NONE where it would not. */
export function poolOf(conn: Conn): u32 {
  const index = originalFlow(conn);
  if (index == NONE || active.flow(index).action != <u32>FlowAction.Masquerade) return NONE;
  return active.flow(index).pool;
}

/**
 * Whether a conn, by which its mapping's filter lets others in, may still do so: the configuration in force
 * allows it, and filters no stricter than when its mapping was made.
 */
export function mayAdmit(conn: Conn): bool {
  if (conn.validated != arena.configured && !stillAllowed(conn)) return false;
  const index = originalFlow(conn);
  if (index == NONE || active.flow(index).action != <u32>FlowAction.Masquerade) return false;
  return letsIn(active.pool(active.flow(index).pool), Mapping.at(conn.mapping), false);
}

/** Whether a flow that changes the source leads where the conn goes: on, or round and back in. */
function wayLapse(flow: FlowRecord, conn: Conn): Lapse {
  if (!namesZonesOf(flow, conn, Direction.Original)) return Lapse.OtherWay;
  if (conn.has(ConnFlag.Hairpin)) {
    return stillTurns(conn, flow.targetZone) ? Lapse.None : Lapse.Hairpin;
  }
  // Where there are other workers, one of them goes on with what is ours.
  const leadsOn = arena.workers > 1 || !active.isOurs(flow.targetZone, conn.reply.source);
  return leadsOn ? Lapse.None : Lapse.OwnAddress;
}

/** Whether the configuration in force would turn a hairpinned conn round in the same way again. */
function stillTurns(conn: Conn, middle: u32): bool {
  if (conn.target != NONE && !stillLetsIn(Mapping.at(conn.target))) return false;
  const query = seenBetween(conn, middle);
  const isMapped = conn.target != NONE;
  if (isMapped) query.state |= <u16>ConnState.Reply;
  const index = findFlow(query);
  if (index == NONE) return false;
  const flow = active.flow(index);
  if (flow.actionZone != None.Short && flow.actionZone != middle) return false;
  if (isMapped) {
    const external = active.externalByAddress.get(pairKey(middle, query.destination));
    return flow.action == FlowAction.Reverse && external == Mapping.at(conn.target).external;
  }
  return (
    flow.action == FlowAction.Destination &&
    active.zone(flow.targetZone).number == conn.reply.zone &&
    flow.targetAddress == conn.reply.source &&
    targetPort(flow, query) == <u32>conn.reply.sourcePort
  );
}

/** Whether the filtering by which a mapping let a conn in still holds; of an address of two pools, the first's. */
function stillLetsIn(mapping: Mapping): bool {
  const pool: u32 = mapping.externalAddress.pool;
  return pool != None.Short && letsIn(active.pool(pool), mapping, false);
}

/** Whether the pool would let a conn have its external endpoint. */
function endpointLapse(conn: Conn, pool: PoolRecord): Lapse {
  const mapping = Mapping.at(conn.mapping);
  if (conn.has(ConnFlag.Inward) && !letsIn(pool, mapping, conn.isGranted)) return Lapse.Filtered;
  const zone = active.zoneIndex(conn.original.zone);
  if (mayKeep(mapping, pool, zone, conn.original.source)) return Lapse.None;
  const external = mapping.external;
  const isThere = active.hasExternal(pool, external, mapping.externalAddress.address);
  return isThere ? Lapse.PortGone : Lapse.AddressGone;
}

/** Whether who came in may still: by a grant, or, unless only that let it in, by a filtering no stricter now. */
function letsIn(pool: PoolRecord, mapping: Mapping, byGrant: bool): bool {
  if (mapping.grant != NONE && isGood(mapping.grant)) return true;
  return (
    !byGrant &&
    mapping.which != <u16>None.Short &&
    pool.filtering(mapping.which) <= <u32>mapping.filtering
  );
}

/** Whether the zones that a flow names are those of the conn, seen from this direction. */
export function namesZonesOf(flow: FlowRecord, conn: Conn, direction: Direction): bool {
  const here = conn.tuple(direction);
  if (flow.actionZone != None.Short && active.zone(flow.actionZone).number != here.zone) {
    return false;
  }
  if (flow.action == FlowAction.Reverse) return true;
  if (conn.has(ConnFlag.Hairpin)) return leadsBetween(flow, here.destination);
  const there = conn.tuple(opposite(direction)).zone;
  const target = flow.targetZone;
  return (target == None.Short ? here.zone : active.zone(target).number) == there;
}

/** A hairpinned packet goes, in both directions, to an external address in the zone that the flow names. */
function leadsBetween(flow: FlowRecord, destination: u32): bool {
  const translates = flow.action == FlowAction.Masquerade || flow.action == FlowAction.Source;
  return translates && active.isOurs(flow.targetZone, destination);
}

function isSameTenant(zone: u16, conn: Conn): bool {
  const index = active.zoneIndex(zone);
  return index != NONE && active.zoneState(index).born <= conn.born;
}

function zoneLapse(zone: u16): Lapse {
  return active.zoneIndex(zone) == NONE ? Lapse.ZoneGone : Lapse.OtherTenant;
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
