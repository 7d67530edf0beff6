/** What is in use of pools and their addresses, as people and programs read it. */

import { Allocation, ExternalRowAt, UseRowAt } from "../../assembly/abi.js";
import { formatAddress } from "../config/address.js";
import type { PerProtocol, Pool } from "../config/model.js";
import { recordsOf } from "./rows.js";

/** Ports of the pool's range; of ICMP identifiers. Ports that are kept for forwards count as free until used. */
export interface PortUse {
  /** Held by mappings. */
  readonly used: number;
  /** Given up, and not to be given again yet. */
  readonly resting: number;
  readonly free: number;
}

export interface BlockUse {
  readonly ports: number;
  readonly used: number;
  readonly free: number;
}

export interface PoolAddressView {
  readonly address: string;
  readonly ports: PerProtocol<PortUse>;
  /** Where ports are given in blocks. */
  readonly blocks?: BlockUse;
}

/** External ports that a zone's hosts have of a pool, and its uses by protocols without ports. */
export interface ZoneUse extends PerProtocol<number> {
  readonly zone: number;
  readonly others: number;
}

/** Sums over all addresses of a pool. */
export interface PoolSums {
  readonly name: string;
  /** Number of the zone that its addresses are in. */
  readonly zone: number;
  readonly allocation: string;
  readonly addresses: number;
  readonly ports: PerProtocol<PortUse>;
  readonly blocks?: BlockUse;
}

export interface PoolView extends PoolSums {
  /** Those that have something, by number. Ports that conns of many endpoints share are nobody's. */
  readonly zones: readonly ZoneUse[];
}

const PROTOCOLS = ["tcp", "udp", "icmp"] as const;

/** Sums of an address's rows, one of each worker. */
interface Sums {
  readonly place: number;
  readonly address: number;
  readonly taken: number[];
  readonly resting: number[];
  blocksUsed: number;
  blocksFree: number;
}

/**
 * The addresses of a pool, ascending.
 * @param workers  pages of abi's ExternalRowAt of each worker
 */
export function readPoolAddresses(
  pool: Pool,
  workers: readonly (readonly Uint8Array[])[],
): PoolAddressView[] {
  const sums = new Map<number, Sums>();
  for (const pages of workers) {
    for (const row of recordsOf(pages, ExternalRowAt.Bytes)) addRow(sums, row);
  }
  return [...sums.values()].sort((a, b) => a.place - b.place).map((sum) => viewOf(pool, sum));
}

function addRow(sums: Map<number, Sums>, row: DataView): void {
  const place = row.getUint32(ExternalRowAt.Place, true);
  const address = row.getUint32(ExternalRowAt.Address, true);
  const known = sums.get(place) ?? {
    place,
    address,
    taken: [0, 0, 0],
    resting: [0, 0, 0],
    blocksUsed: 0,
    blocksFree: 0,
  };
  for (let which = 0; which < PROTOCOLS.length; which++) {
    const at = which * 4;
    known.taken[which] =
      (known.taken[which] ?? 0) + row.getUint32(ExternalRowAt.TcpTaken + at, true);
    known.resting[which] =
      (known.resting[which] ?? 0) + row.getUint32(ExternalRowAt.TcpResting + at, true);
  }
  known.blocksUsed += row.getUint32(ExternalRowAt.BlocksUsed, true);
  known.blocksFree += row.getUint32(ExternalRowAt.BlocksFree, true);
  sums.set(place, known);
}

function viewOf(pool: Pool, sum: Sums): PoolAddressView {
  const size = pool.ports.high - pool.ports.low + 1;
  const ports = perProtocol((which) => {
    const taken = sum.taken[which] ?? 0;
    const resting = sum.resting[which] ?? 0;
    return { used: taken - resting, resting, free: size - taken };
  });
  const address = formatAddress(sum.address);
  if (pool.block === undefined) return { address, ports };
  const blocks = { ports: pool.block.ports, used: sum.blocksUsed, free: sum.blocksFree };
  return { address, ports, blocks };
}

function perProtocol<T>(of: (which: number) => T): PerProtocol<T> {
  return { tcp: of(0), udp: of(1), icmp: of(2) };
}

export function readPool(pool: Pool, addresses: readonly PoolAddressView[]): PoolSums {
  const sum = (of: (address: PoolAddressView) => number) =>
    addresses.reduce((total, each) => total + of(each), 0);
  const ports = perProtocol((which) => {
    const name = PROTOCOLS[which] ?? "tcp";
    return {
      used: sum((each) => each.ports[name].used),
      resting: sum((each) => each.ports[name].resting),
      free: sum((each) => each.ports[name].free),
    };
  });
  const view = {
    name: pool.name,
    zone: pool.zone.id,
    allocation: (Allocation[pool.allocation] ?? "").toLowerCase(),
    addresses: pool.addressCount,
    ports,
  };
  if (pool.block === undefined) return view;
  const used = sum(({ blocks }) => blocks?.used ?? 0);
  const free = sum(({ blocks }) => blocks?.free ?? 0);
  return { ...view, blocks: { ports: pool.block.ports, used, free } };
}

/** Adds rows of abi's UseRowAt to what zones have, by index of the pool and number of the zone. */
export function addUse(uses: Map<number, Map<number, ZoneUse>>, row: DataView): void {
  const pool = row.getUint16(UseRowAt.Pool, true);
  const zone = row.getUint16(UseRowAt.Zone, true);
  const zones = uses.get(pool) ?? new Map<number, ZoneUse>();
  const known = zones.get(zone) ?? { zone, tcp: 0, udp: 0, icmp: 0, others: 0 };
  zones.set(zone, {
    zone,
    tcp: known.tcp + row.getUint32(UseRowAt.TcpPorts, true),
    udp: known.udp + row.getUint32(UseRowAt.UdpPorts, true),
    icmp: known.icmp + row.getUint32(UseRowAt.IcmpPorts, true),
    others: known.others + row.getUint32(UseRowAt.Others, true),
  });
  uses.set(pool, zones);
}
