/** What of a packet's headers a translation changes, the packet that an ICMP error quotes included. */

import { formatAddress } from "../config/address.js";

export interface Change {
  /** As `source`, `tcp sequence`, `quoted destination`. */
  readonly field: string;
  readonly before: string;
  readonly after: string;
}

interface Field {
  readonly name: string;
  readonly at: number;
  readonly bytes: 1 | 2 | 4;
  readonly form?: "address" | "hex";
}

const IP_FIELDS: readonly Field[] = [
  { name: "total length", at: 2, bytes: 2 },
  { name: "identification", at: 4, bytes: 2 },
  { name: "ttl", at: 8, bytes: 1 },
  { name: "header checksum", at: 10, bytes: 2, form: "hex" },
  { name: "source", at: 12, bytes: 4, form: "address" },
  { name: "destination", at: 16, bytes: 4, form: "address" },
];

const PORT_FIELDS: readonly Field[] = [
  { name: "source port", at: 0, bytes: 2 },
  { name: "destination port", at: 2, bytes: 2 },
];

const TRANSPORT_FIELDS: ReadonlyMap<number, readonly Field[]> = new Map([
  [
    1,
    [
      { name: "icmp checksum", at: 2, bytes: 2, form: "hex" },
      { name: "icmp identifier", at: 4, bytes: 2 },
    ],
  ],
  [
    6,
    [
      ...PORT_FIELDS,
      { name: "sequence", at: 4, bytes: 4 },
      { name: "acknowledgement", at: 8, bytes: 4 },
      { name: "tcp checksum", at: 16, bytes: 2, form: "hex" },
    ],
  ],
  [17, [...PORT_FIELDS, { name: "udp checksum", at: 6, bytes: 2, form: "hex" }]],
  [132, PORT_FIELDS],
]);

/** ICMP messages that quote a packet: unreachable, quench, redirect, time exceeded, parameter problem. */
const QUOTING: readonly number[] = [3, 4, 5, 11, 12];
const ICMP = 1;
const ICMP_BYTES = 8;

/** Both begin with their IPv4 headers, which are as long; what is cut off is not compared. */
export function changesOf(
  before: Uint8Array | undefined,
  after: Uint8Array | undefined,
): readonly Change[] {
  if (before === undefined || after === undefined) return [];
  const one = viewOf(before);
  const other = viewOf(after);
  return compare(one, other, "");
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function compare(before: DataView, after: DataView, prefix: string): Change[] {
  if (before.byteLength < 20 || after.byteLength < 20) return [];
  const headerBytes = (before.getUint8(0) & 0xf) * 4;
  const protocol = before.getUint8(9);
  const isFirst = (before.getUint16(6) & 0x1fff) === 0;
  const changes = compareFields(before, after, IP_FIELDS, 0, prefix);
  if (!isFirst) return changes;
  // Of an error the words behind its checksum are no identifier.
  const quotes = protocol === ICMP && isQuoting(before, headerBytes);
  const fields = (TRANSPORT_FIELDS.get(protocol) ?? []).slice(0, quotes ? 1 : undefined);
  changes.push(...compareFields(before, after, fields, headerBytes, prefix));
  const quoted = headerBytes + ICMP_BYTES;
  if (quotes && prefix === "" && before.byteLength > quoted && after.byteLength > quoted) {
    changes.push(...compare(behind(before, quoted), behind(after, quoted), "quoted "));
  }
  return changes;
}

function isQuoting(packet: DataView, at: number): boolean {
  return at < packet.byteLength && QUOTING.includes(packet.getUint8(at));
}

function behind(view: DataView, at: number): DataView {
  return new DataView(view.buffer, view.byteOffset + at, view.byteLength - at);
}

function compareFields(
  before: DataView,
  after: DataView,
  fields: readonly Field[],
  from: number,
  prefix: string,
): Change[] {
  const end = Math.min(before.byteLength, after.byteLength);
  return fields
    .filter(({ at, bytes }) => from + at + bytes <= end)
    .map((field) => ({
      field: `${prefix}${field.name}`,
      before: read(before, field, from),
      after: read(after, field, from),
    }))
    .filter((change) => change.before !== change.after);
}

function read(packet: DataView, { at, bytes, form }: Field, from: number): string {
  const value =
    bytes === 4
      ? packet.getUint32(from + at)
      : bytes === 2
        ? packet.getUint16(from + at)
        : packet.getUint8(from + at);
  if (form === "address") return formatAddress(value);
  return form === "hex" ? `0x${value.toString(16).padStart(4, "0")}` : String(value);
}
