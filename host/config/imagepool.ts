/** Pools as they are read back from an image. */

import { Allocation, PoolAt, PoolFlag, PoolRangeAt, PoolSubscriberAt } from "../../assembly/abi.js";
import type { AddressRange } from "./address.js";
import { at, span } from "./imageerror.js";
import type { HostPrefix, Pool, PortBlocks, Subscribers, Zone } from "./model.js";

/** What the records of pools refer to. */
export interface PoolTables {
  readonly zones: readonly Zone[];
  readonly ranges: readonly AddressRange[];
  readonly subscribers: readonly HostPrefix[];
}

export function readPoolRange(record: DataView): AddressRange {
  return {
    first: record.getUint32(PoolRangeAt.First, true),
    last: record.getUint32(PoolRangeAt.Last, true),
  };
}

export function readSubscriber(record: DataView, zones: readonly Zone[]): HostPrefix {
  return {
    zone: at(zones, record.getUint16(PoolSubscriberAt.Zone, true), "zone"),
    prefix: {
      address: record.getUint32(PoolSubscriberAt.Prefix, true),
      length: record.getUint16(PoolSubscriberAt.PrefixLength, true),
    },
    first: record.getUint32(PoolSubscriberAt.First, true),
  };
}

export function readPool(record: DataView, tables: PoolTables): Omit<Pool, "index" | "name"> {
  const byte = (at: number) => record.getUint8(at);
  const short = (at: number) => record.getUint16(at, true);
  const long = (at: number) => record.getUint32(at, true);
  const flags = byte(PoolAt.Flags);
  const allocation: Allocation = byte(PoolAt.Allocation);
  return {
    zone: at(tables.zones, short(PoolAt.Zone), "zone"),
    ranges: span(tables.ranges, long(PoolAt.Ranges), short(PoolAt.RangeCount), "ranges"),
    addressCount: long(PoolAt.AddressCount),
    ports: { low: short(PoolAt.PortLow), high: short(PoolAt.PortHigh) },
    mapping: {
      tcp: byte(PoolAt.TcpMapping),
      udp: byte(PoolAt.UdpMapping),
      icmp: byte(PoolAt.IcmpMapping),
    },
    filtering: {
      tcp: byte(PoolAt.TcpFiltering),
      udp: byte(PoolAt.UdpFiltering),
      icmp: byte(PoolAt.IcmpFiltering),
    },
    allocation,
    parity: (flags & PoolFlag.Parity) !== 0,
    inboundRefresh: (flags & PoolFlag.InboundRefresh) !== 0,
    pooling: (flags & PoolFlag.ArbitraryPooling) !== 0 ? "arbitrary" : "paired",
    block: allocation === Allocation.Block ? readBlocks(record) : undefined,
    deterministic:
      allocation === Allocation.Deterministic ? readSubscribers(record, tables) : undefined,
  };
}

function readBlocks(record: DataView): PortBlocks {
  return {
    ports: record.getUint16(PoolAt.BlockPorts, true),
    perHost: record.getUint16(PoolAt.BlocksPerHost, true),
  };
}

function readSubscribers(record: DataView, { subscribers }: PoolTables): Subscribers {
  const first = record.getUint32(PoolAt.Subscribers, true);
  const count = record.getUint16(PoolAt.SubscriberCount, true);
  const overflowLow = record.getUint16(PoolAt.OverflowLow, true);
  return {
    hosts: span(subscribers, first, count, "subscribers"),
    portsPerHost: record.getUint16(PoolAt.BlockPorts, true),
    overflowLow: overflowLow === 0 ? undefined : overflowLow,
  };
}
