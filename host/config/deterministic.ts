/**
 * Deterministic pools (RFC 7422): which external address and ports a host has, and who has a port, told
 * from the configuration alone. Subscribers are numbered through the pool's prefixes in their order; each
 * address of the pool, ascending, serves as many as its ports have room for, from the lowest port up.
 *
 *     low           low + n            low + 2n                       overflowLow         high
 *     | subscriber 0 | subscriber 1 | … | too few for one more | anyone's |
 */

import { type AddressRange, type PortRange, prefixRange } from "./address.js";
import type { Pool, Subscribers, Zone } from "./model.js";

/** What the arithmetic needs of a pool. */
export interface Plan extends Subscribers {
  readonly ranges: readonly AddressRange[];
  readonly addressCount: number;
  readonly ports: PortRange;
}

/** The plan of a pool; undefined where it is not deterministic. */
export function planOf({ ranges, addressCount, ports, deterministic }: Pool): Plan | undefined {
  return deterministic === undefined
    ? undefined
    : { ranges, addressCount, ports, ...deterministic };
}

/** Ports of one address that subscribers may have. */
export function portsForHosts(ports: PortRange, overflowLow: number | undefined): number {
  return (overflowLow ?? ports.high + 1) - ports.low;
}

/** Subscribers that one address serves. */
export function hostsPerAddress(
  plan: Pick<Plan, "ports" | "overflowLow" | "portsPerHost">,
): number {
  return Math.floor(portsForHosts(plan.ports, plan.overflowLow) / plan.portsPerHost);
}

/** The most ports that each subscriber can have; 0 where there are too many subscribers. */
export function mostPortsPerHost(available: number, hosts: number, addresses: number): number {
  return Math.floor(available / Math.ceil(hosts / addresses));
}

/** Hosts of a prefix. */
export function hostCount(length: number): number {
  return 2 ** (32 - length);
}

export interface ExternalPorts {
  readonly external: number;
  readonly ports: PortRange;
}

/** What a host has; undefined where it is no subscriber. */
export function externalOf(plan: Plan, zone: Zone, address: number): ExternalPorts | undefined {
  for (const host of plan.hosts) {
    const { first, last } = prefixRange(host.prefix);
    if (host.zone !== zone || address < first || address > last) continue;
    return shareOf(plan, host.first + address - first);
  }
  return undefined;
}

/** What the subscriber with this number has. */
function shareOf(plan: Plan, number: number): ExternalPorts {
  const perAddress = hostsPerAddress(plan);
  const low = plan.ports.low + (number % perAddress) * plan.portsPerHost;
  return {
    external: addressAt(plan.ranges, Math.floor(number / perAddress)),
    ports: { low, high: low + plan.portsPerHost - 1 },
  };
}

/** Whose an external port is. */
export type PortOwner =
  | {
      readonly kind: "host";
      readonly zone: Zone;
      readonly address: number;
      readonly ports: PortRange;
    }
  /** Anyone's of the pool. */
  | { readonly kind: "overflow"; readonly ports: PortRange }
  | { readonly kind: "unassigned" };

/** Undefined where the address is none of the pool. */
export function ownerOf(plan: Plan, external: number, port: number): PortOwner | undefined {
  const index = indexOf(plan.ranges, external);
  if (index === undefined) return undefined;
  const { ports, overflowLow, portsPerHost } = plan;
  if (port < ports.low || port > ports.high) return { kind: "unassigned" };
  if (overflowLow !== undefined && port >= overflowLow) {
    return { kind: "overflow", ports: { low: overflowLow, high: ports.high } };
  }
  const perAddress = hostsPerAddress(plan);
  const place = Math.floor((port - ports.low) / portsPerHost);
  if (place >= perAddress) return { kind: "unassigned" };
  return subscriber(plan, index * perAddress + place) ?? { kind: "unassigned" };
}

/** The subscriber with this number. */
function subscriber(plan: Plan, number: number): PortOwner | undefined {
  for (const { zone, prefix, first } of plan.hosts) {
    if (number >= first + hostCount(prefix.length)) continue;
    const address = prefix.address + number - first;
    return { kind: "host", zone, address, ports: shareOf(plan, number).ports };
  }
  return undefined;
}

/** The n-th address of some ranges. */
function addressAt(ranges: readonly AddressRange[], n: number): number {
  let left = n;
  for (const { first, last } of ranges) {
    if (left <= last - first) return first + left;
    left -= last - first + 1;
  }
  throw new RangeError(`address ${n} of a pool that has no more than ${n - left}`);
}

/** Which of the addresses it is. */
function indexOf(ranges: readonly AddressRange[], address: number): number | undefined {
  let before = 0;
  for (const { first, last } of ranges) {
    if (address >= first && address <= last) return before + address - first;
    before += last - first + 1;
  }
  return undefined;
}
