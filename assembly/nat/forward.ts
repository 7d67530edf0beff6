/**
 * Ports that are not a pool's to give: those that flows with nat(dst=) lead to a host inside. A conn of one
 * tenant that held such a port would receive what is meant for the other tenant's forward.
 *
 * Flows for one address stand in a list that begins at its External, all others in one list; both are made
 * when a configuration comes into force. What a flow asks beside zone, address, protocol and destination
 * port does not count: its ports are kept free for it as a whole.
 */

import { FlowAction, FlowMatch, None } from "../abi";
import { active, Configuration, pairKey } from "../config/configuration";
import { FlowRecord } from "../config/records";
import { NONE } from "../table/none";
import { IpProtocol } from "../wire/ipv4";
import { External, hasPorts } from "./external";
import { Tuple } from "./tuple";

const HIGHEST: u32 = 0xffff;

/** Where a flow with nat(dst=) leads a packet with this tuple: its new destination port. */
export function targetPort(flow: FlowRecord, tuple: Tuple): u32 {
  const port: u32 = tuple.destinationPort;
  const isPorted = tuple.protocol == IpProtocol.Tcp || tuple.protocol == IpProtocol.Udp;
  if (flow.targetPort == 0 || !isPorted) return port;
  if ((flow.match & FlowMatch.DestinationPorts) == 0) return flow.targetPort;
  return (<u32>flow.targetPort + port - flow.destinationPortLow) & 0xffff;
}

/** Makes the lists of the configuration in force, whose Externals are listed already. */
export function linkForwards(config: Configuration): void {
  config.wideForwards = NONE;
  for (let i: u32 = 0; i < config.flowCount; i++) {
    const flow = config.flow(i);
    if (flow.action != <u32>FlowAction.Destination) continue;
    const zone = zoneOf(config, flow);
    const isOne = flow.destinationMask == 0xffffffff && zone != <u32>None.Short;
    if (!isOne) {
      config.setNextForward(i, config.wideForwards);
      config.wideForwards = i;
      continue;
    }
    const index = config.externalByAddress.get(pairKey(zone, flow.destination));
    if (index == NONE) continue;
    const external = External.at(index);
    config.setNextForward(i, external.forwards);
    external.forwards = i;
  }
}

/** The zone that a flow's packets come from, None.Short where it is every zone. */
function zoneOf(config: Configuration, flow: FlowRecord): u32 {
  if ((flow.match & FlowMatch.Zone) != 0) return flow.zone;
  if ((flow.match & FlowMatch.Device) != 0) return config.device(flow.device).zone;
  return flow.actionZone;
}

/**
 * The last port of the forward that has this port of an External, which is in the zone with this index; NONE
 * where there is no such forward.
 */
export function forwardedUpTo(external: u32, zoneIndex: u32, protocol: u32, port: u32): u32 {
  const address = External.at(external).address;
  for (let i = External.at(external).forwards; i != NONE; i = active.nextForward(i)) {
    const last = lastPortOf(active.flow(i), zoneIndex, address, protocol, port);
    if (last != NONE) return last;
  }
  for (let i = active.wideForwards; i != NONE; i = active.nextForward(i)) {
    const last = lastPortOf(active.flow(i), zoneIndex, address, protocol, port);
    if (last != NONE) return last;
  }
  return NONE;
}

/** Whether forwards have all ports from `low` to `high` of an External. */
export function hasAllForwarded(
  external: u32,
  zoneIndex: u32,
  protocol: u32,
  low: u32,
  high: u32,
): bool {
  for (let port = low; port <= high; ) {
    const last = forwardedUpTo(external, zoneIndex, protocol, port);
    if (last == NONE) return false;
    port = last + 1;
  }
  return true;
}

function lastPortOf(flow: FlowRecord, zoneIndex: u32, address: u32, protocol: u32, port: u32): u32 {
  const zone = zoneOf(active, flow);
  if (zone != <u32>None.Short && zone != zoneIndex) return NONE;
  if ((address & flow.destinationMask) != flow.destination) return NONE;
  if ((flow.match & FlowMatch.Protocol) != 0 && <u32>flow.protocol != protocol) return NONE;
  const byPort =
    (flow.match & FlowMatch.DestinationPorts) != 0 &&
    hasPorts(protocol) &&
    protocol != IpProtocol.Icmp;
  if (!byPort) return HIGHEST;
  const within = port >= <u32>flow.destinationPortLow && port <= <u32>flow.destinationPortHigh;
  return within ? <u32>flow.destinationPortHigh : NONE;
}
