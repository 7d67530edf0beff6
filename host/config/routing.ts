/** Routes, the connected ones included, and static neighbors. */

import {
  formatPrefix,
  isUnicastAddress,
  type Prefix,
  parseAddress,
  parsePrefix,
  prefixRange,
} from "./address.js";
import type { Entry } from "./document.js";
import { describe, type Problems } from "./error.js";
import type { Device, Neighbor, Route, Zone } from "./model.js";
import type { NeighborEntry, RouteEntry } from "./schema.js";
import type { Scope } from "./scope.js";
import { readMac, type Topology } from "./topology.js";

/** An address that a host may have; undefined, with a problem, for anything else. */
export function readHostAddress(
  path: string,
  text: string,
  problems: Problems,
): number | undefined {
  const address = parseAddress(text);
  if (address !== undefined && isUnicastAddress(address)) return address;
  problems.add(path, "an IPv4 address that a host may have", describe(text));
  return undefined;
}

/** The connected routes, one per subnet, then the document's. */
export function readRoutes(
  entries: readonly Entry<RouteEntry>[],
  topology: Topology,
  scope: Scope,
): Route[] {
  const routes: Route[] = [];
  const known = new Map<string, string>();
  for (const device of topology.devices) {
    for (const address of device.addresses) {
      const to: Prefix = { address: prefixRange(address).first, length: address.length };
      const key = routeKey(device.zone, to);
      if (known.has(key)) continue;
      known.set(key, `on-link through device ${device.name}`);
      routes.push({ zone: device.zone, to, via: undefined, device });
    }
  }
  for (const { path, value } of entries) {
    const route = readRoute(path, value, topology, scope);
    if (route === undefined) continue;
    const key = routeKey(route.zone, route.to);
    const other = known.get(key);
    if (other === undefined) routes.push(route);
    else {
      const expected = `a prefix that zone ${route.zone.name} has no other route to`;
      scope.problems.add(`${path}.to`, expected, `${describe(value.to)}, ${other}`);
    }
    known.set(key, other ?? `as in ${path}`);
  }
  return routes;
}

function routeKey(zone: Zone, to: Prefix): string {
  return `${zone.id} ${formatPrefix(to)}`;
}

function readRoute(
  path: string,
  entry: RouteEntry,
  topology: Topology,
  scope: Scope,
): Route | undefined {
  const zone = scope.zone(entry.zone, `${path}.zone`);
  const to = parsePrefix(entry.to);
  if (to === undefined) {
    scope.problems.add(
      `${path}.to`,
      'a prefix without host bits, as "10.0.0.0/8"',
      describe(entry.to),
    );
  }
  const hop =
    entry.via === undefined ? undefined : readHostAddress(`${path}.via`, entry.via, scope.problems);
  const hopIsSound = hop !== undefined || entry.via === undefined;
  if (entry.via === undefined && entry.device === undefined) {
    scope.problems.add(path, "via or device", "neither");
    return undefined;
  }
  if (zone === undefined || !hopIsSound) {
    if (entry.device !== undefined) scope.device(entry.device, `${path}.device`);
    return undefined;
  }
  if (hop !== undefined && topology.links.isOwn(zone, hop)) {
    scope.problems.add(
      `${path}.via`,
      "the address of a neighbor",
      `${describe(entry.via)}, our own`,
    );
  }
  const device = egress(path, "via", zone, hop, entry, topology, scope);
  return to === undefined || device === undefined ? undefined : { zone, to, via: hop, device };
}

/** The device that an entry names, or through which its address is on-link. */
function egress(
  path: string,
  key: string,
  zone: Zone,
  address: number | undefined,
  entry: RouteEntry | NeighborEntry,
  topology: Topology,
  scope: Scope,
): Device | undefined {
  if (entry.device !== undefined) {
    const device = scope.device(entry.device, `${path}.device`);
    if (device === undefined || device.zone === zone) return device;
    const found = `${describe(entry.device)} of zone ${device.zone.name}`;
    scope.problems.add(`${path}.device`, `a device of zone ${zone.name}`, found);
    return undefined;
  }
  const device = address === undefined ? undefined : topology.links.deviceOf(zone, address);
  if (device === undefined && topology.links.isSure(zone)) {
    const expected = `an address that is on-link of a device of zone ${zone.name}`;
    scope.problems.add(`${path}.${key}`, expected, describe(Reflect.get(entry, key)));
  }
  return device;
}

export function readNeighbors(
  entries: readonly Entry<NeighborEntry>[],
  topology: Topology,
  scope: Scope,
): Neighbor[] {
  const neighbors = new Map<string, Neighbor>();
  for (const { path, value } of entries) {
    const zone = scope.zone(value.zone, `${path}.zone`);
    const address = readHostAddress(`${path}.address`, value.address, scope.problems);
    const mac = readMac(path, value.mac, scope.problems);
    if (zone === undefined || address === undefined) continue;
    if (topology.links.isOwn(zone, address)) {
      const found = `${describe(value.address)}, our own`;
      scope.problems.add(`${path}.address`, "the address of a neighbor", found);
    }
    const device = egress(path, "address", zone, address, value, topology, scope);
    if (device === undefined || mac === undefined) continue;
    const key = `${device.index} ${address}`;
    if (neighbors.has(key)) {
      const expected = `an address that no other neighbor on device ${device.name} has`;
      scope.problems.add(`${path}.address`, expected, describe(value.address));
    }
    neighbors.set(key, { device, address, mac });
  }
  return [...neighbors.values()];
}
