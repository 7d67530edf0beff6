/** Pools in the image: their records, their ranges of addresses and their subscribers. */

import { PoolAt, PoolFlag, PoolRangeAt, PoolSubscriberAt, Section } from "../../assembly/abi.js";
import { type SectionBytes, type Strings, section } from "./layout.js";
import type { Config, Pool } from "./model.js";

/** Sections Pools, PoolRanges and PoolSubscribers. */
export function poolSections({ pools }: Config, strings: Strings): SectionBytes[] {
  let ranges = 0;
  let subscribers = 0;
  return [
    section(Section.Pools, pools, (view, pool) => {
      writePool(view, pool, strings);
      view.setUint32(PoolAt.Ranges, ranges, true);
      view.setUint32(PoolAt.Subscribers, subscribers, true);
      ranges += pool.ranges.length;
      subscribers += pool.deterministic?.hosts.length ?? 0;
    }),
    section(
      Section.PoolRanges,
      pools.flatMap((pool) => pool.ranges),
      (view, range) => {
        view.setUint32(PoolRangeAt.First, range.first, true);
        view.setUint32(PoolRangeAt.Last, range.last, true);
      },
    ),
    section(
      Section.PoolSubscribers,
      pools.flatMap(({ deterministic }) => deterministic?.hosts ?? []),
      (view, { zone, prefix, first }) => {
        view.setUint16(PoolSubscriberAt.Zone, zone.index, true);
        view.setUint16(PoolSubscriberAt.PrefixLength, prefix.length, true);
        view.setUint32(PoolSubscriberAt.Prefix, prefix.address, true);
        view.setUint32(PoolSubscriberAt.First, first, true);
      },
    ),
  ];
}

function writePool(view: DataView, pool: Pool, strings: Strings): void {
  const { mapping, filtering, block, deterministic } = pool;
  view.setUint16(PoolAt.Zone, pool.zone.index, true);
  strings.refer(view, pool.name, PoolAt.NameBytes, PoolAt.Name);
  view.setUint16(PoolAt.RangeCount, pool.ranges.length, true);
  view.setUint8(PoolAt.Allocation, pool.allocation);
  view.setUint8(PoolAt.Flags, flagsOf(pool));
  view.setUint8(PoolAt.TcpMapping, mapping.tcp);
  view.setUint8(PoolAt.UdpMapping, mapping.udp);
  view.setUint8(PoolAt.IcmpMapping, mapping.icmp);
  view.setUint8(PoolAt.TcpFiltering, filtering.tcp);
  view.setUint8(PoolAt.UdpFiltering, filtering.udp);
  view.setUint8(PoolAt.IcmpFiltering, filtering.icmp);
  view.setUint16(PoolAt.PortLow, pool.ports.low, true);
  view.setUint16(PoolAt.PortHigh, pool.ports.high, true);
  view.setUint16(PoolAt.BlockPorts, block?.ports ?? deterministic?.portsPerHost ?? 0, true);
  view.setUint16(PoolAt.BlocksPerHost, block?.perHost ?? 0, true);
  view.setUint16(PoolAt.SubscriberCount, deterministic?.hosts.length ?? 0, true);
  view.setUint16(PoolAt.OverflowLow, deterministic?.overflowLow ?? 0, true);
  view.setUint32(PoolAt.AddressCount, pool.addressCount, true);
}

function flagsOf({ parity, inboundRefresh, pooling }: Pool): number {
  return (
    (parity ? PoolFlag.Parity : 0) |
    (inboundRefresh ? PoolFlag.InboundRefresh : 0) |
    (pooling === "arbitrary" ? PoolFlag.ArbitraryPooling : 0)
  );
}
