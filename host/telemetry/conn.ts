/** Conns as people and programs read them. */

import { ConnPhase, ConnRowAt } from "../../assembly/abi.js";
import { formatAddress } from "../config/address.js";
import { word } from "./words.js";

export interface TupleView {
  /** The zone's number. */
  readonly zone: number;
  readonly source: string;
  /** Ports; for ICMP the identifier of whoever asks, and 0 (echo) or 13 (timestamp); 0 without ports. */
  readonly sourcePort: number;
  readonly destination: string;
  readonly destinationPort: number;
}

export interface ConnView {
  readonly protocol: string;
  readonly phase: string;
  readonly original: TupleView;
  readonly reply: TupleView;
  readonly originalPackets: number;
  readonly originalBytes: number;
  readonly replyPackets: number;
  readonly replyBytes: number;
  readonly expiresInMs: number;
  readonly ageMs: number;
}

const PROTOCOLS: ReadonlyMap<number, string> = new Map([
  [1, "icmp"],
  [6, "tcp"],
  [17, "udp"],
  [132, "sctp"],
]);

/** IANA's name where it is one that we know, else the number. */
export function protocolName(protocol: number): string {
  return PROTOCOLS.get(protocol) ?? String(protocol);
}

/** Reads one row of abi's ConnRowAt. */
export function readConn(row: DataView): ConnView {
  return {
    protocol: protocolName(row.getUint8(ConnRowAt.Protocol)),
    phase: word(ConnPhase[row.getUint8(ConnRowAt.Phase)]),
    original: readTuple(
      row,
      ConnRowAt.OriginalZone,
      ConnRowAt.OriginalSource,
      ConnRowAt.OriginalSourcePort,
    ),
    reply: readTuple(row, ConnRowAt.ReplyZone, ConnRowAt.ReplySource, ConnRowAt.ReplySourcePort),
    originalPackets: Number(row.getBigUint64(ConnRowAt.OriginalPackets, true)),
    originalBytes: Number(row.getBigUint64(ConnRowAt.OriginalBytes, true)),
    replyPackets: Number(row.getBigUint64(ConnRowAt.ReplyPackets, true)),
    replyBytes: Number(row.getBigUint64(ConnRowAt.ReplyBytes, true)),
    expiresInMs: row.getUint32(ConnRowAt.ExpiresIn, true),
    ageMs: row.getUint32(ConnRowAt.Age, true),
  };
}

/** A destination stands behind its source, the ports likewise. */
function readTuple(row: DataView, zone: number, addresses: number, ports: number): TupleView {
  return {
    zone: row.getUint16(zone, true),
    source: formatAddress(row.getUint32(addresses, true)),
    sourcePort: row.getUint16(ports, true),
    destination: formatAddress(row.getUint32(addresses + 4, true)),
    destinationPort: row.getUint16(ports + 2, true),
  };
}

/** `10:192.168.0.10:4562→8.8.8.8:53` */
export function formatTuple(tuple: TupleView): string {
  const source = `${tuple.source}:${tuple.sourcePort}`;
  return `${tuple.zone}:${source}→${tuple.destination}:${tuple.destinationPort}`;
}

/** Both tuples: the whole translation in one line. */
export function formatConn(conn: ConnView): string {
  return `${formatTuple(conn.original)} ↔ ${formatTuple(conn.reply)}`;
}
