/** A conn as a line: in the forms of conntrack, of Open vSwitch and our own, and as a row of CSV. */

import type { Result } from "../../control/protocol/methods.js";
import { formatConn } from "../../telemetry/conn.js";
import { protocolColumn } from "./protocol.js";
import { conntrackState, ovsState } from "./state.js";

export type Conn = Result<"conns.query">["rows"][number];
export type Tuple = Conn["original"];

/** What a line of conntrack says of a conn, be it one of the table or one of an event. */
export interface Tracked {
  readonly protocol: string;
  readonly original: Tuple;
  readonly reply: Tuple;
  /** An answer has been seen. */
  readonly hasReplied: boolean;
}

/** ICMP: the types of a query and of its answer, by the destination port of the original tuple. */
const ECHO = { query: 8, answer: 0 };
const TIMESTAMP = { query: 13, answer: 14 };

/**
 * `conntrack -L -o extended`, less `mark=` and `use=`, of which we have none. Both zones are always there: `zone-orig=` and
 * `zone-reply=`, where conntrack writes them.
 */
export function extendedLine(conn: Conn, withId = false): string {
  const { protocol, phase, original, reply } = conn;
  const hasReplied = conn.replyPackets > 0 || phase !== "new";
  const seconds = Math.ceil(conn.expiresInMs / 1000);
  const state = protocol === "tcp" ? [conntrackState(phase, hasReplied)] : [];
  const counted = (packets: number, bytes: number) => `packets=${packets} bytes=${bytes}`;
  return [
    "ipv4     2",
    `${protocolColumn(protocol)} ${seconds}`,
    ...state,
    tupleText(protocol, original, original),
    `zone-orig=${original.zone}`,
    counted(conn.originalPackets, conn.originalBytes),
    ...(hasReplied ? [] : ["[UNREPLIED]"]),
    tupleText(protocol, reply, original),
    `zone-reply=${reply.zone}`,
    counted(conn.replyPackets, conn.replyBytes),
    ...(isAssured(conn) ? ["[ASSURED]"] : []),
    ...(withId ? [`id=${conn.id}`] : []),
  ].join(" ");
}

/** `src=… dst=… sport=… dport=…`; ICMP's ports are types and an identifier. */
export function tupleText(protocol: string, tuple: Tuple, original: Tuple): string {
  const addresses = `src=${tuple.source} dst=${tuple.destination}`;
  if (protocol === "icmp") {
    const { type, id } = icmpOf(tuple, original);
    return `${addresses} type=${type} code=0 id=${id}`;
  }
  if (!hasPorts(tuple)) return addresses;
  return `${addresses} sport=${tuple.sourcePort} dport=${tuple.destinationPort}`;
}

/** Protocols that are translated by address have none. */
function hasPorts({ sourcePort, destinationPort }: Tuple): boolean {
  return sourcePort !== 0 || destinationPort !== 0;
}

function icmpOf(tuple: Tuple, original: Tuple): { readonly type: number; readonly id: number } {
  const types = original.destinationPort === TIMESTAMP.query ? TIMESTAMP : ECHO;
  if (tuple === original) return { type: types.query, id: tuple.sourcePort };
  return { type: types.answer, id: tuple.destinationPort };
}

/**
 * conntrack's word for what it does not drop early: a TCP connection whose handshake was complete, and UDP that goes on
 * behind an answer. It keeps a bit for that; here phase and packets must do. A reset connection counts as one that was
 * open where more came than a handshake has. UDP counts from the second packet of
 * its original direction on, while the kernel waits for one two seconds behind the first. Packets are counted anew after a restart.
 */
function isAssured({ protocol, phase, originalPackets, replyPackets }: Conn): boolean {
  if (phase === "new") return false;
  if (protocol === "udp") return originalPackets >= 2 && replyPackets >= 1;
  if (protocol !== "tcp") return false;
  if (phase === "reset") return originalPackets >= 3 && replyPackets >= 2;
  // A SYN and its answer.
  return phase !== "established" || originalPackets !== 1 || replyPackets !== 1;
}

/** `ovs-appctl dpctl/dump-conntrack`. It knows one zone: ours of the reply stands behind it as `zone-reply=`. */
export function ovsLine({ protocol, phase, original, reply, replyPackets }: Conn): string {
  const state = ovsState(phase, replyPackets > 0);
  const protoinfo = protocol === "tcp" ? `,protoinfo=(state=${state})` : "";
  return (
    `${protocol},orig=(${ovsTuple(protocol, original, original)})` +
    `,reply=(${ovsTuple(protocol, reply, original)})` +
    `,zone=${original.zone},zone-reply=${reply.zone}${protoinfo}`
  );
}

function ovsTuple(protocol: string, tuple: Tuple, original: Tuple): string {
  const addresses = `src=${tuple.source},dst=${tuple.destination}`;
  if (protocol === "icmp") {
    const { type, id } = icmpOf(tuple, original);
    return `${addresses},id=${id},type=${type},code=0`;
  }
  if (!hasPorts(tuple)) return addresses;
  return `${addresses},sport=${tuple.sourcePort},dport=${tuple.destinationPort}`;
}

/** `udp established 10:192.168.0.10:4562→8.8.8.8:53 ↔ 20:8.8.8.8:53→203.0.113.7:9553` */
export function crosszoneLine(conn: Conn): string {
  return `${conn.protocol.padEnd(4)}  ${conn.phase.padEnd(12)}  ${formatConn(conn)}`;
}

const CSV_COLUMNS: readonly (readonly [name: string, value: (conn: Conn) => string | number])[] = [
  ["id", ({ id }) => id],
  ["protocol", ({ protocol }) => protocol],
  ["phase", ({ phase }) => phase],
  ["original_zone", ({ original }) => original.zone],
  ["original_source", ({ original }) => original.source],
  ["original_source_port", ({ original }) => original.sourcePort],
  ["original_destination", ({ original }) => original.destination],
  ["original_destination_port", ({ original }) => original.destinationPort],
  ["reply_zone", ({ reply }) => reply.zone],
  ["reply_source", ({ reply }) => reply.source],
  ["reply_source_port", ({ reply }) => reply.sourcePort],
  ["reply_destination", ({ reply }) => reply.destination],
  ["reply_destination_port", ({ reply }) => reply.destinationPort],
  ["original_packets", ({ originalPackets }) => originalPackets],
  ["original_bytes", ({ originalBytes }) => originalBytes],
  ["reply_packets", ({ replyPackets }) => replyPackets],
  ["reply_bytes", ({ replyBytes }) => replyBytes],
  ["expires_in_ms", ({ expiresInMs }) => expiresInMs],
  ["age_ms", ({ ageMs }) => ageMs],
];

/** RFC 4180: lines end with CR LF, the first one names the columns. */
export const CSV_HEADING = csvLine(CSV_COLUMNS.map(([name]) => name));

export function csvRow(conn: Conn): string {
  return csvLine(CSV_COLUMNS.map(([, value]) => String(value(conn))));
}

/** RFC 4180 section 2.6 and 2.7. */
export function csvLine(fields: readonly string[]): string {
  const quoted = fields.map((field) => {
    return /[",\r\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field;
  });
  return `${quoted.join(",")}\r\n`;
}
