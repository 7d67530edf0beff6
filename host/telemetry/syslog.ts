/**
 * Events as syslog messages, RFC 5424:
 *
 *     <134>1 2026-01-31T12:00:00.000Z edge crosszone 4711 session-created [crosszone@32473 zone="a" …] text
 *
 * A message is a datagram (RFC 5426, and the socket /dev/log), or is counted in a stream (RFC 6587 section 3.4.1).
 * The structured data have the fields of JSON lines. 32473 is the enterprise number that RFC 5612 keeps for examples:
 * crosszone has none of its own.
 */

import { EventClass, EventKind } from "../../assembly/abi.js";
import type { SyslogFacility } from "../config/telemetryschema.js";
import { classOf, describeEvent, type EventView, kindName } from "./event.js";
import { fieldsOf } from "./fields.js";
import { Lines } from "./lines.js";

/** RFC 5424 section 6.2.1. */
const FACILITIES: Readonly<Record<SyslogFacility, number>> = {
  user: 1,
  daemon: 3,
  auth: 4,
  authpriv: 10,
  local0: 16,
  local1: 17,
  local2: 18,
  local3: 19,
  local4: 20,
  local5: 21,
  local6: 22,
  local7: 23,
};

enum Severity {
  Error = 3,
  Warning = 4,
  Notice = 5,
  Informational = 6,
}

export interface SyslogOptions {
  readonly facility: SyslogFacility;
  readonly hostname: string;
  readonly processId: number;
  /** Counts octets in front of each message, for a stream. */
  readonly counted: boolean;
}

export function syslogLines(options: SyslogOptions): Lines {
  return new Lines({ line: (event) => framed(event, options), single: !options.counted });
}

function framed(event: EventView, options: SyslogOptions): string {
  const message = syslogMessage(event, options);
  return options.counted ? `${Buffer.byteLength(message)} ${message}` : message;
}

export function syslogMessage(event: EventView, options: SyslogOptions): string {
  const priority = FACILITIES[options.facility] * 8 + severityOf(event.kind);
  const time = new Date(event.time).toISOString();
  const name = kindName(event.kind);
  const data = fieldsOf(event).map(([key, value]) => ` ${key}="${escaped(String(value))}"`);
  return (
    `<${priority}>1 ${time} ${header(options.hostname, 255)} crosszone ${options.processId} ${name} ` +
    `[crosszone@32473${data.join("")}] ${describeEvent(event)}`
  );
}

/** A header's value has no space and nothing beyond ASCII (RFC 5424 section 6). */
function header(text: string, most: number): string {
  const plain = text.replace(/[^\x21-\x7e]/gu, "").slice(0, most);
  return plain === "" ? "-" : plain;
}

/** RFC 5424 section 6.3.3. */
function escaped(text: string): string {
  return text.replace(/["\\\]]/g, "\\$&");
}

function severityOf(kind: EventKind): Severity {
  switch (kind) {
    case EventKind.AddressesExhausted:
    case EventKind.PortsExhausted:
    case EventKind.TableFull:
    case EventKind.EventsLost:
    case EventKind.InterfaceLost:
      return Severity.Error;
    case EventKind.ThresholdCleared:
    case EventKind.InterfaceBack:
      return Severity.Notice;
    default:
      return classOf(kind) === EventClass.Alarms ? Severity.Warning : Severity.Informational;
  }
}
