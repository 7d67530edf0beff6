/** Inside hosts with what their conns have carried: a worker's are read, those of several are added up and sorted again. */

import { HostRowAt, HostTrafficAt, SearchSort } from "../../assembly/abi.js";
import type { TableQuery } from "./filter.js";
import { type HostView, readHost } from "./mapping.js";

/** Of all its conns, both directions. */
export interface HostTraffic extends HostView {
  readonly packets: number;
  readonly bytes: number;
}

export function readTraffic(row: DataView): HostTraffic {
  return {
    ...readHost(new DataView(row.buffer, row.byteOffset, HostRowAt.Bytes)),
    packets: Number(row.getBigUint64(HostTrafficAt.Packets, true)),
    bytes: Number(row.getBigUint64(HostTrafficAt.PacketBytes, true)),
  };
}

export function addHosts(one: HostTraffic | undefined, other: HostTraffic): HostTraffic {
  if (one === undefined) return other;
  return {
    ...one,
    conns: one.conns + other.conns,
    ports: {
      tcp: one.ports.tcp + other.ports.tcp,
      udp: one.ports.udp + other.ports.udp,
      icmp: one.ports.icmp + other.ports.icmp,
    },
    blocks: one.blocks + other.blocks,
    packets: one.packets + other.packets,
    bytes: one.bytes + other.bytes,
  };
}

/** Again, since a sum may stand elsewhere than its parts. Equal ones stay as they are. */
export function sortHosts(hosts: HostTraffic[], { sort, descending }: TableQuery): HostTraffic[] {
  const key = (host: HostTraffic): number => {
    switch (sort) {
      case SearchSort.Conns:
        return host.conns;
      case SearchSort.Ports:
        return host.ports.tcp + host.ports.udp + host.ports.icmp;
      case SearchSort.Packets:
        return host.packets;
      case SearchSort.Bytes:
        return host.bytes;
      default:
        return 0;
    }
  };
  return hosts.sort((a, b) => (descending ? key(b) - key(a) : key(a) - key(b)));
}
