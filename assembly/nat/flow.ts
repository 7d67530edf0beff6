/**
 * The flow table: which rule speaks for a packet that no cached verdict speaks for. Highest priority wins,
 * then the order of writing; records are stored in that order, so the smaller index wins.
 *
 * Flows with in_port stand in a list of their device, those that match a zone in one of it, the others in one
 * list; a search walks the three side by side. So what a packet costs does not grow with other tenants' flows.
 * Flows that match +tracked form a list of their own, asked after a nat or route action was applied.
 */

import { FlowMatch, None } from "../abi";
import { active } from "../config/configuration";
import { FlowRecord } from "../config/records";
import { NONE } from "../table/none";
import { IpProtocol } from "../wire/ipv4";
import { Tuple } from "./tuple";

/** What flows are matched against, beside the tuple itself. */
@final
@unmanaged
export class FlowQuery extends Tuple {
  /** Index of the device and of the zone; None.Short where the device is gone. */
  device: u16;
  zoneIndex: u16;
  /** Bits of ConnState. */
  state: u16;
  /** ICMP: type and code, which stand for the ports (as in Open vSwitch). */
  icmpType: u8;
  icmpCode: u8;
}

/** Where a search stands in the three lists of the first pass. */
let ofDevice: u32 = NONE;
let ofZone: u32 = NONE;
let ofAny: u32 = NONE;

function beginSearch(query: FlowQuery): void {
  ofDevice = query.device == None.Short ? NONE : active.device(query.device).flows;
  ofZone = query.zoneIndex == None.Short ? NONE : active.zone(query.zoneIndex).flows;
  ofAny = active.flowsAnyDevice;
}

/** The next flow of the three lists, NONE at the end of all. */
function nextFlow(): u32 {
  const index = min(min(ofDevice, ofZone), ofAny);
  if (index == NONE) return NONE;
  const next = active.flow(index).next;
  if (index == ofDevice) ofDevice = next;
  else if (index == ofZone) ofZone = next;
  else ofAny = next;
  return index;
}

/** The flow that decides in the first pass, NONE when none matches. */
export function findFlow(query: FlowQuery): u32 {
  beginSearch(query);
  for (let index = nextFlow(); index != NONE; index = nextFlow()) {
    if (matches(active.flow(index), query)) return index;
  }
  return NONE;
}

/** The flow that decides wherever an endpoint sends to: those that ask for a destination do not count. */
export function findGeneralFlow(query: FlowQuery): u32 {
  beginSearch(query);
  for (let index = nextFlow(); index != NONE; index = nextFlow()) {
    const flow = active.flow(index);
    const isGeneral = flow.destinationMask == 0 && (flow.match & FlowMatch.DestinationPorts) == 0;
    if (isGeneral && matches(flow, query)) return index;
  }
  return NONE;
}

/** The flow that speaks for a packet after its translation, NONE when none does. */
export function findTrackedFlow(query: FlowQuery): u32 {
  let index = active.flowsTracked;
  while (index != NONE) {
    const flow = active.flow(index);
    if (matches(flow, query)) return index;
    index = flow.next;
  }
  return NONE;
}

function matches(flow: FlowRecord, query: FlowQuery): bool {
  const fields = flow.match;
  if ((query.state & flow.stateMask) != flow.stateValue) return false;
  if ((query.source & flow.sourceMask) != flow.source) return false;
  if ((query.destination & flow.destinationMask) != flow.destination) return false;
  if ((fields & FlowMatch.Device) != 0 && flow.device != query.device) return false;
  if ((fields & FlowMatch.Zone) != 0 && flow.zone != query.zoneIndex) return false;
  if ((fields & FlowMatch.Protocol) != 0 && flow.protocol != query.protocol) return false;
  return matchesPorts(flow, query);
}

function matchesPorts(flow: FlowRecord, query: FlowQuery): bool {
  const icmp = query.protocol == IpProtocol.Icmp;
  if ((flow.match & FlowMatch.SourcePorts) != 0) {
    const port: u32 = icmp ? query.icmpType : query.sourcePort;
    if (port < flow.sourcePortLow || port > flow.sourcePortHigh) return false;
  }
  if ((flow.match & FlowMatch.DestinationPorts) != 0) {
    const port: u32 = icmp ? query.icmpCode : query.destinationPort;
    if (port < flow.destinationPortLow || port > flow.destinationPortHigh) return false;
  }
  return true;
}
