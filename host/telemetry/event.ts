/** Events of the datapath as people and programs read them. */

import { EventAt, EventKind, None, Reason } from "../../assembly/abi.js";
import { formatAddress } from "../config/address.js";
import type { Config } from "../config/model.js";
import { protocolName } from "./conn.js";

export interface EventView {
  readonly kind: EventKind;
  readonly protocol: string;
  /** Milliseconds of the datapath's clock. */
  readonly at: number;
  /** Numbers of zones, 0 where none is meant; addresses and ports likewise. */
  readonly zone: number;
  readonly address: string;
  readonly port: number;
  readonly externalZone: number;
  readonly external: string;
  readonly externalPort: number;
  readonly lastPort: number;
  readonly remote: string;
  readonly remotePort: number;
  /** Percent, or a Reason; see abi's EventKind. */
  readonly value: number;
  /** Name of the pool, "" for none. */
  readonly pool: string;
  /** Equal events that were left out since the last one. */
  readonly repeats: number;
}

/** Rows of abi's EventAt; `config` is the one in force. */
export function readEvents(rows: Uint8Array, config: Config): EventView[] {
  return Array.from({ length: rows.length / EventAt.Bytes }, (_, i) =>
    readEvent(
      new DataView(rows.buffer, rows.byteOffset + i * EventAt.Bytes, EventAt.Bytes),
      config,
    ),
  );
}

function readEvent(row: DataView, config: Config): EventView {
  const pool = row.getUint16(EventAt.Pool, true);
  return {
    kind: row.getUint16(EventAt.Kind, true) as EventKind,
    protocol: protocolName(row.getUint16(EventAt.Protocol, true)),
    at: row.getUint32(EventAt.Time, true),
    zone: row.getUint16(EventAt.Zone, true),
    address: formatAddress(row.getUint32(EventAt.Address, true)),
    port: row.getUint16(EventAt.Port, true),
    externalZone: row.getUint16(EventAt.ExternalZone, true),
    external: formatAddress(row.getUint32(EventAt.External, true)),
    externalPort: row.getUint16(EventAt.ExternalPort, true),
    lastPort: row.getUint16(EventAt.LastPort, true),
    remote: formatAddress(row.getUint32(EventAt.Remote, true)),
    remotePort: row.getUint16(EventAt.RemotePort, true),
    value: row.getUint32(EventAt.Value, true),
    pool: pool === None.Short ? "" : (config.pools[pool]?.name ?? ""),
    repeats: row.getUint16(EventAt.Repeats, true),
  };
}

/** One line for a log. */
export function describeEvent(event: EventView): string {
  const zone = `zone ${event.zone}`;
  const again = event.repeats > 0 ? ` (and ${event.repeats} more since the last)` : "";
  switch (event.kind) {
    case EventKind.AddressesExhausted:
    case EventKind.PortsExhausted:
      return `pool ${event.pool}: nothing left for ${event.protocol} of ${event.address} in ${zone}${again}`;
    case EventKind.QuotaExceeded:
      return `${zone}: ${Reason[event.value]} reached by ${event.address}, ${event.protocol}${again}`;
    case EventKind.TableFull:
      return `${Reason[event.value]}: ${event.address} of ${zone} was refused${again}`;
    case EventKind.ThresholdReached:
      return `${subject(event)}: ${event.value} % in use`;
    case EventKind.ThresholdCleared:
      return `${subject(event)}: ${event.value} % in use, the alarm is over`;
    case EventKind.BlockAllocated:
    case EventKind.BlockFreed: {
      const what = event.kind === EventKind.BlockAllocated ? "has" : "gave back";
      const ports = `${event.external} ports ${event.externalPort}-${event.lastPort}`;
      return `${event.address} of ${zone} ${what} ${ports}`;
    }
    default:
      return `${EventKind[event.kind]}: ${event.address}:${event.port} of ${zone}`;
  }
}

/** What a threshold is about: a pool's ports of a protocol, its blocks, a zone's limit of conns, or the table. */
function subject(event: EventView): string {
  if (event.pool !== "") {
    return `pool ${event.pool}, ${event.protocol === "0" ? "blocks" : event.protocol}`;
  }
  return event.zone === 0 ? "the conn table" : `conns of zone ${event.zone}`;
}
