/** Events as the datapath would tell them, without one. */
import { EventKind } from "../../assembly/abi.js";
import { parseAddress } from "../../host/config/address.js";
import { type EventView, hostEvent } from "../../host/telemetry/event.js";

/** 2026-01-31T12:00:00.000Z */
export const NOON = Date.UTC(2026, 0, 31, 12);

export function event(kind: EventKind, fields: Partial<EventView> = {}): EventView {
  return { ...hostEvent(kind, NOON), ...fields };
}

function numbered(text: string): number {
  return parseAddress(text) ?? 0;
}

export function session(fields: Partial<EventView> = {}): EventView {
  return event(EventKind.SessionCreated, {
    protocol: "udp",
    protocolNumber: 17,
    zone: 10,
    zoneName: "a",
    address: "192.168.0.10",
    addressNumber: numbered("192.168.0.10"),
    port: 4562,
    externalZone: 20,
    externalZoneName: "public",
    external: "203.0.113.7",
    externalNumber: numbered("203.0.113.7"),
    externalPort: 9553,
    remote: "8.8.8.8",
    remoteNumber: numbered("8.8.8.8"),
    remotePort: 53,
    target: "8.8.8.8",
    targetNumber: numbered("8.8.8.8"),
    targetPort: 53,
    ...fields,
  });
}
