/**
 * Addresses that a pool must leave alone: ARP answers for pool addresses, so a network's own two addresses,
 * next hops and static neighbors of its zone would be taken from whoever has them.
 */

import { formatAddress, prefixRange } from "./address.js";
import type { Problems } from "./error.js";
import type { Device, Neighbor, Pool, Route, Zone } from "./model.js";

export interface Surface {
  readonly devices: readonly Device[];
  readonly routes: readonly Route[];
  readonly neighbors: readonly Neighbor[];
}

/** A network so small has no addresses of its own (RFC 3021). */
const POINT_TO_POINT = 31;

export function checkCollisions(
  pools: readonly Pool[],
  pathOf: (pool: Pool) => string,
  surface: Surface,
  problems: Problems,
): void {
  const byZone = new Map<Zone, Map<number, string>>();
  for (const pool of pools) {
    const owners = byZone.get(pool.zone) ?? reserved(pool.zone, surface);
    byZone.set(pool.zone, owners);
    for (const [address, owner] of owners) {
      if (!pool.ranges.some(({ first, last }) => address >= first && address <= last)) continue;
      const found = `${formatAddress(address)}, ${owner}`;
      problems.add(pathOf(pool), "addresses that nobody else has", found);
    }
  }
}

function reserved(zone: Zone, { devices, routes, neighbors }: Surface): Map<number, string> {
  const owners = new Map<number, string>();
  for (const { zone: of, name, addresses } of devices) {
    if (of !== zone) continue;
    for (const prefix of addresses) {
      if (prefix.length >= POINT_TO_POINT) continue;
      const { first, last } = prefixRange(prefix);
      owners.set(first, `the network of device ${name}`);
      owners.set(last, `the broadcast address of device ${name}`);
    }
  }
  for (const { zone: of, via } of routes) {
    if (of === zone && via !== undefined) owners.set(via, "a route's next hop");
  }
  for (const { device, address } of neighbors) {
    if (device.zone === zone) owners.set(address, "a static neighbor");
  }
  return owners;
}
