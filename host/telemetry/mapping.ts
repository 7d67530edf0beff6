/** Mappings and inside hosts as people and programs read them. */

import {
  FilteringBehaviour,
  HostRowAt,
  MappingBehaviour,
  MappingRowAt,
} from "../../assembly/abi.js";
import { formatAddress } from "../config/address.js";
import { protocolName } from "./conn.js";
import { word } from "./words.js";

export interface MappingView {
  readonly protocol: string;
  readonly mapping: string;
  readonly filtering: string;
  /** Conns of several endpoints use the port; then there is no inside to name. */
  readonly shared: boolean;
  /** Numbers of zones; ports are identifiers where it is ICMP. */
  readonly zone: number;
  readonly address: string;
  readonly port: number;
  readonly externalZone: number;
  readonly external: string;
  readonly externalPort: number;
  readonly conns: number;
  readonly ageMs: number;
}

/** A row of abi's MappingRowAt. */
export function readMapping(row: DataView): MappingView {
  return {
    protocol: protocolName(row.getUint8(MappingRowAt.Protocol)),
    mapping: word(MappingBehaviour[row.getUint8(MappingRowAt.Mapping)]),
    filtering: word(FilteringBehaviour[row.getUint8(MappingRowAt.Filtering)]),
    shared: row.getUint8(MappingRowAt.Shared) !== 0,
    zone: row.getUint16(MappingRowAt.Zone, true),
    address: formatAddress(row.getUint32(MappingRowAt.Address, true)),
    port: row.getUint16(MappingRowAt.Port, true),
    externalZone: row.getUint16(MappingRowAt.ExternalZone, true),
    external: formatAddress(row.getUint32(MappingRowAt.External, true)),
    externalPort: row.getUint16(MappingRowAt.ExternalPort, true),
    conns: row.getUint32(MappingRowAt.Conns, true),
    ageMs: row.getUint32(MappingRowAt.Age, true),
  };
}

export interface HostView {
  readonly zone: number;
  readonly address: string;
  readonly conns: number;
  readonly ports: { readonly tcp: number; readonly udp: number; readonly icmp: number };
  readonly blocks: number;
}

/** A row of abi's HostRowAt. */
export function readHost(row: DataView): HostView {
  return {
    zone: row.getUint16(HostRowAt.Zone, true),
    address: formatAddress(row.getUint32(HostRowAt.Address, true)),
    conns: row.getUint32(HostRowAt.Conns, true),
    ports: {
      tcp: row.getUint32(HostRowAt.TcpPorts, true),
      udp: row.getUint32(HostRowAt.UdpPorts, true),
      icmp: row.getUint32(HostRowAt.IcmpPorts, true),
    },
    blocks: row.getUint32(HostRowAt.Blocks, true),
  };
}
