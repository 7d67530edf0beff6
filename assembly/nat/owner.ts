/**
 * Whose a packet is, where several workers share one configuration. Each has conns, mappings and ports of its own and
 * knows of no other's; so what belongs together must come to one of them, whoever receives it:
 *
 *     to an external port      whoever has the port: ports are shared out once, for as long as the process lives
 *     to a subscriber's port   whoever has the subscriber (nat/deterministic.ts)
 *     anything else            whoever has the host that sends it, by zone and address
 *
 * A conn belongs to whom its answers come to. For one that is masqueraded that is the worker of its host, which takes
 * ports of its own only. For one that keeps its port (a forward, a route, a protocol without ports) it may be another,
 * and then its first packet is handed on to that one.
 *
 * The kernel steers by the same rule (host/device/steering.ts), as far as a packet shows it what that needs. Nobody
 * depends on it: what comes to the wrong worker is handed off.
 */

import {
  Allocation,
  DescriptorFlag,
  FlowAction,
  HOST_FACTOR,
  None,
  Reason,
  ZONE_FACTOR,
} from "../abi";
import { active, pairKey } from "../config/configuration";
import { FlowRecord } from "../config/records";
import { arena, keyScratch } from "../memory";
import { CONTINUE, Packet } from "../packet";
import { NONE } from "../table/none";
import { prefixMask } from "../table/prefix";
import { ordinalAt } from "./deterministic";
import { bitmapOf, External, shareOf } from "./external";
import { movedTo } from "./moved";
import { Tuple } from "./tuple";

/** The worker of a host. Not keyed: who knows it could load one worker with his own hosts, and nothing else. */
export function ownerOfHost(zone: u32, address: u32): u32 {
  const hash = (address ^ (zone * <u32>ZONE_FACTOR)) * <u32>HOST_FACTOR;
  return ((hash >> 16) * arena.workers) >> 16;
}

/** The worker that a packet with this tuple, in the zone with this index, belongs to. */
export function ownerOf(tuple: Tuple, zoneIndex: u32): u32 {
  const which = bitmapOf(tuple.protocol);
  if (which != NONE) {
    const index = active.externalByAddress.get(pairKey(zoneIndex, tuple.destination));
    if (index != NONE) return ownerOfPort(External.at(index), which, tuple.destinationPort);
  }
  return ownerOfHost(tuple.zone, tuple.source);
}

/** The worker that has a port of an external address, of the bitmap's protocol. */
export function ownerOfPort(external: External, which: u32, port: u32): u32 {
  const moved = movedTo(external.zone, external.address, which, port);
  if (moved != NONE) return moved;
  const pool = active.pool(external.pool);
  if (pool.allocation == <u8>Allocation.Deterministic) {
    const ordinal = ordinalAt(pool, external.address, port);
    for (let i: u32 = 0; ordinal != NONE && i < pool.subscriberCount; i++) {
      const each = active.poolSubscriber(pool.subscribers + i);
      const offset = ordinal - each.first;
      if (offset > ~prefixMask(each.prefixLength)) continue;
      return ownerOfHost(active.zone(each.zone).number, each.prefix + offset);
    }
  }
  return shareOf(external.address, port);
}

/** The worker that the answers to a packet with this tuple, which leaves in the zone with this index, belong to. */
export function ownerOfAnswers(tuple: Tuple, zoneIndex: u32): u32 {
  const answer = Tuple.view(keyScratch);
  answer.mirror(tuple);
  return ownerOf(answer, zoneIndex);
}

/** To whom a packet is to be handed that a step ended as HandedOff, and with which bits of DescriptorFlag. */
export let handTo: u32 = 0;
export let handAs: u32 = 0;
/** Index of the zone whose limit the host is to be asked about. */
export let handAbout: u32 = 0;

/**
 * Whether a packet without a conn stays: CONTINUE, or the Reason that it ends with, HandedOff where the conn that the
 * flow with this index (NONE for none) leads it into is another worker's. Asked also for one that begins no conn: its
 * conn is then there.
 */
export function stay(packet: Packet, flow: u32): u32 {
  const owner = flow == NONE ? arena.worker : ownerBy(active.flow(flow), packet, packet.zoneIndex);
  if (owner == arena.worker) return CONTINUE;
  if ((packet.passage & DescriptorFlag.Placed) != 0) return Reason.Astray;
  handNext(owner, 0);
  return Reason.HandedOff;
}

/** Hands the packet to another worker, beside its own, and says what more. */
export function handNext(worker: u32, flags: u32): void {
  handTo = worker;
  handAs = DescriptorFlag.Owned | DescriptorFlag.Placed | flags;
}

/** Whether a flow makes another worker begin the conn of a packet with this tuple. */
export function leadsElsewhere(flow: FlowRecord, tuple: Tuple, zoneIndex: u32): bool {
  return ownerBy(flow, tuple, zoneIndex) != arena.worker;
}

/** The worker that the answers of a conn belong to which a flow begins for a packet with this tuple. */
function ownerBy(flow: FlowRecord, packet: Tuple, zoneIndex: u32): u32 {
  const target: u32 = flow.targetZone == None.Short ? zoneIndex : flow.targetZone;
  const reply = Tuple.view(keyScratch);
  reply.mirror(packet);
  reply.zone = active.zone(target).number;
  switch (<u32>flow.action) {
    case FlowAction.Masquerade:
      // To a port of its host's worker, whatever it goes to: so an endpoint has one mapping.
      if (bitmapOf(packet.protocol) != NONE) return ownerOfHost(packet.zone, packet.source);
      return ownerOfHost(active.zone(active.pool(flow.pool).zone).number, packet.destination);
    case FlowAction.Source:
      reply.destination = flow.targetAddress;
      return ownerOf(reply, target);
    case FlowAction.Destination:
      reply.source = flow.targetAddress;
      return ownerOf(reply, target);
    case FlowAction.Route:
      return ownerOf(reply, target);
    default:
      return arena.worker;
  }
}

/**
 * Whether the host can be asked to let this worker have more conns of the zone with this index, for a packet of which
 * it has not been asked yet; it then comes back.
 */
export function mayAskForMore(packet: Packet, zoneIndex: u32): bool {
  if (arena.workers == 1 || (packet.passage & DescriptorFlag.Asked) != 0) return false;
  if (packet.input == <u16>None.Short) return false;
  handTo = arena.worker;
  handAs = DescriptorFlag.Owned | DescriptorFlag.Asked;
  handAbout = zoneIndex;
  return true;
}
