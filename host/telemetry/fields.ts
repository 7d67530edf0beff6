/** Which fields an event has by its kind, in the order in which JSON lines and syslog write them. */

import { EventKind, Reason } from "../../assembly/abi.js";
import { type EventView, isForwarded } from "./event.js";

export type Field = readonly [name: string, value: string | number];

export function fieldsOf(event: EventView): Field[] {
  switch (event.kind) {
    case EventKind.SessionCreated:
    case EventKind.SessionDeleted:
      return [...translation(event), ...destination(event)];
    case EventKind.MappingCreated:
    case EventKind.MappingDeleted:
      return translation(event);
    case EventKind.BlockAllocated:
    case EventKind.BlockFreed:
      return [
        ...host(event),
        ...externalZone(event),
        ["external", event.external],
        ["firstPort", event.externalPort],
        ["lastPort", event.lastPort],
      ];
    case EventKind.AddressesExhausted:
    case EventKind.PortsExhausted:
      return [["pool", event.pool], ...externalZone(event), ...refused(event)];
    case EventKind.QuotaExceeded:
      return [["reason", Reason[event.value] ?? ""], ...refused(event), ...limit(event)];
    case EventKind.TableFull:
      return [["reason", Reason[event.value] ?? ""], ...refused(event)];
    case EventKind.ThresholdReached:
    case EventKind.ThresholdCleared:
      return [...threshold(event), ["percent", event.value]];
    case EventKind.ClockJumped:
      return [["milliseconds", event.value]];
    case EventKind.InterfaceLost:
    case EventKind.InterfaceBack:
      return [["interface", event.interface]];
    case EventKind.NeighborUnresolved:
      return [...host(event), ["device", event.device]];
    case EventKind.EventsLost:
      return [["count", event.value]];
  }
}

function zone(event: EventView): Field[] {
  return event.zone === undefined
    ? []
    : [
        ["zone", event.zoneName],
        ["zoneId", event.zone],
      ];
}

function externalZone(event: EventView): Field[] {
  return event.externalZone === undefined
    ? []
    : [
        ["externalZone", event.externalZoneName],
        ["externalZoneId", event.externalZone],
      ];
}

function host(event: EventView): Field[] {
  return [...zone(event), ["address", event.address]];
}

function translation(event: EventView): Field[] {
  return [
    ["protocol", event.protocol],
    ...host(event),
    ["port", event.port],
    ...externalZone(event),
    ["external", event.external],
    ["externalPort", event.externalPort],
  ];
}

function destination(event: EventView): Field[] {
  const seen: Field[] = [
    ["remote", event.remote],
    ["remotePort", event.remotePort],
  ];
  if (!isForwarded(event)) return seen;
  return [...seen, ["target", event.target], ["targetPort", event.targetPort]];
}

/** Whose packet met the alarm. */
function refused(event: EventView): Field[] {
  return [["protocol", event.protocol], ...host(event), ["repeats", event.repeats]];
}

function limit(event: EventView): Field[] {
  return event.limit === 0 ? [] : [["limit", event.limit]];
}

function threshold(event: EventView): Field[] {
  if (event.pool === "") {
    return event.zone === undefined
      ? [["of", "conn-table"], ...limit(event)]
      : [["of", "zone"], ...zone(event), ...limit(event)];
  }
  const isBlocks = event.protocolNumber === 0;
  const ports: Field[] = isBlocks ? [] : [["protocol", event.protocol]];
  return [["of", isBlocks ? "pool-blocks" : "pool-ports"], ["pool", event.pool], ...ports];
}
