/** A search as the datapath takes it (abi: SearchAt). */

import { SearchAt, SearchMatch } from "../../assembly/abi.js";
import { type PortRange, type Prefix, prefixMask } from "../config/address.js";
import type { TableFilter, TableQuery } from "./filter.js";

const ALL_PORTS: PortRange = { low: 0, high: 65535 };

const TRANSLATIONS = {
  source: SearchMatch.Snat,
  destination: SearchMatch.Dnat,
  none: SearchMatch.Untranslated,
} as const;

/** From which rank on, and of Uses from which pool. */
interface From {
  readonly key?: bigint;
  readonly index?: number;
  readonly pool?: number;
}

/** All but the reference, which depends on the clock of who searches. */
export function writeSearch(query: Omit<TableQuery, "cursor">, from: From = {}): Uint8Array {
  const record = new DataView(new ArrayBuffer(SearchAt.Bytes));
  record.setUint8(SearchAt.Kind, query.kind);
  record.setUint8(SearchAt.Sort, query.sort);
  record.setUint8(SearchAt.Descending, Number(query.descending));
  record.setUint32(SearchAt.Rows, query.limit, true);
  record.setUint16(SearchAt.Pool, from.pool ?? 0, true);
  record.setUint32(SearchAt.FromIndex, from.index ?? 0, true);
  record.setBigUint64(SearchAt.FromKey, from.key ?? 0n, true);
  writeFilter(record, query.filter);
  return new Uint8Array(record.buffer);
}

function writeFilter(record: DataView, filter: TableFilter): void {
  let match = 0;
  /** Writes a number where there is one, and says that it counts. */
  const number = (value: number | undefined, at: SearchAt, bit: SearchMatch) => {
    if (value === undefined) return;
    match |= bit;
    if (at === SearchAt.Protocol) record.setUint8(at, value);
    else record.setUint16(at, value, true);
  };
  number(filter.protocol, SearchAt.Protocol, SearchMatch.Protocol);
  number(filter.zone, SearchAt.Zone, SearchMatch.Zone);
  number(filter.originalZone, SearchAt.OriginalZone, SearchMatch.OriginalZone);
  number(filter.replyZone, SearchAt.ReplyZone, SearchMatch.ReplyZone);
  const phases = filter.phases?.reduce((bits, phase) => bits | (1 << phase), 0);
  number(phases, SearchAt.Phases, SearchMatch.Phase);
  if (filter.translation !== undefined) match |= TRANSLATIONS[filter.translation];
  if (filter.port !== undefined) match |= SearchMatch.Port;
  record.setUint16(SearchAt.Match, match, true);
  writePrefix(record, filter.source, SearchAt.Source);
  writePrefix(record, filter.destination, SearchAt.Destination);
  writePrefix(record, filter.replySource, SearchAt.ReplySource);
  writePrefix(record, filter.replyDestination, SearchAt.ReplyDestination);
  writePrefix(record, filter.address, SearchAt.Address);
  writePorts(record, filter.sourcePort, SearchAt.SourcePortLow);
  writePorts(record, filter.destinationPort, SearchAt.DestinationPortLow);
  writePorts(record, filter.replySourcePort, SearchAt.ReplySourcePortLow);
  writePorts(record, filter.replyDestinationPort, SearchAt.ReplyDestinationPortLow);
  writePorts(record, filter.port, SearchAt.PortLow);
}

/** The mask stands behind its address. */
function writePrefix(record: DataView, prefix: Prefix | undefined, at: number): void {
  if (prefix === undefined) return;
  record.setUint32(at, prefix.address, true);
  record.setUint32(at + 4, prefixMask(prefix.length), true);
}

/** The high end stands behind the low one. */
function writePorts(record: DataView, ports: PortRange | undefined, at: number): void {
  const { low, high } = ports ?? ALL_PORTS;
  record.setUint16(at, low, true);
  record.setUint16(at + 2, high, true);
}
