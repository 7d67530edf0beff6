/**
 * Zones, interfaces and devices, and what is on-link where. Equal addresses in different zones are the
 * product's purpose; in one zone every address belongs to one device.
 */

import { Driver, Limit } from "../../assembly/abi.js";
import {
  formatPrefix,
  isUnicastAddress,
  isUnicastMac,
  type Prefix,
  parseInterfaceAddress,
  parseMac,
  prefixRange,
} from "./address.js";
import type { Entry, Sections } from "./document.js";
import { describe, type Problems } from "./error.js";
import type { Device, Interface, Timeouts, Vlan, Zone } from "./model.js";
import type { DeviceEntry, ZoneEntry } from "./schema.js";
import type { Scope } from "./scope.js";
import { zoneTimeouts } from "./timeouts.js";

/** The zones, ascending by number. */
export function readZones(
  entries: readonly Entry<ZoneEntry>[],
  timeouts: Timeouts,
  scope: Scope,
): Zone[] {
  const ascending = [...entries].sort((one, other) => one.value.id - other.value.id);
  const zones: Zone[] = [];
  for (const { path, value } of ascending) {
    if (scope.zones.get(value.id) !== undefined) {
      scope.problems.add(`${path}.id`, "a number that no other zone has", `${value.id}`);
      continue;
    }
    if (value.name !== undefined && scope.zones.get(value.name) !== undefined) {
      scope.problems.add(`${path}.name`, "a name that no other zone has", describe(value.name));
    }
    const zone: Zone = {
      index: zones.length,
      id: value.id,
      name: value.name ?? String(value.id),
      ...limitsOf(value),
      timeouts: zoneTimeouts(value.timeouts, timeouts),
      pcp: value.pcp,
    };
    zones.push(zone);
    scope.zones.set(zone.id, zone);
    if (scope.zones.get(zone.name) === undefined) scope.zones.set(zone.name, zone);
  }
  if (zones.length > Limit.Zones) {
    scope.problems.add("zones", `at most ${Limit.Zones} zones`, `${zones.length}`);
  }
  return zones;
}

function limitsOf({ limits }: ZoneEntry) {
  const { portsPerHost } = limits;
  const ports = typeof portsPerHost === "number" ? undefined : portsPerHost;
  const all = typeof portsPerHost === "number" ? portsPerHost : 0;
  return {
    connsMax: limits.conns ?? 0,
    connsPerHost: limits.connsPerHost ?? 0,
    portsPerHost: { tcp: ports?.tcp ?? all, udp: ports?.udp ?? all, icmp: ports?.icmp ?? all },
  };
}

/** An address of a device, and the subnet that is on-link through it. */
interface Subnet {
  readonly prefix: Prefix;
  readonly device: Device;
  readonly path: string;
}

/** What is on-link in which zone. */
export class Links {
  private readonly byZone = new Map<Zone, Subnet[]>();
  private readonly unsure = new Set<Zone>();
  /** Every zone is unsure. */
  private allUnsure = false;

  add(subnet: Subnet): void {
    const subnets = this.of(subnet.device.zone);
    subnets.push(subnet);
    this.byZone.set(subnet.device.zone, subnets);
  }

  /** Addresses of the zone (of every zone) are missing because they are broken. */
  doubt(zone?: Zone): void {
    if (zone === undefined) this.allUnsure = true;
    else this.unsure.add(zone);
  }

  /** Whether it can be said that something is not on-link in the zone. */
  isSure(zone: Zone): boolean {
    return !this.allUnsure && !this.unsure.has(zone);
  }

  of(zone: Zone): Subnet[] {
    return this.byZone.get(zone) ?? [];
  }

  get zones(): Iterable<Zone> {
    return this.byZone.keys();
  }

  /** The device through which an address is on-link in the zone. */
  deviceOf(zone: Zone, address: number): Device | undefined {
    return this.of(zone).find(({ prefix }) => contains(prefix, address))?.device;
  }

  /** Whether the address is one of our own in the zone. */
  isOwn(zone: Zone, address: number): boolean {
    return this.of(zone).some(({ prefix }) => prefix.address === address);
  }
}

export function contains(prefix: Prefix, address: number): boolean {
  const { first, last } = prefixRange(prefix);
  return first <= address && address <= last;
}

export interface Topology {
  readonly interfaces: readonly Interface[];
  readonly devices: readonly Device[];
  readonly links: Links;
}

const DRIVERS = {
  afpacket: Driver.Afpacket,
  afxdp: Driver.Afxdp,
  pcap: Driver.Pcap,
  loopback: Driver.Loopback,
} as const;

/** The devices in the document's order, with their interfaces in the order of first use. */
export function readDevices(sections: Sections, scope: Scope): Topology {
  const entries = sections.devices;
  const ports = assignPorts(entries, scope.problems);
  const interfaces = new Map<string, Interface>();
  const tags = new Map<string, string>();
  const devices: Device[] = [];
  const links = new Links();
  for (const [at, { path, value }] of entries.entries()) {
    const port = ports[at] ?? 0;
    const zone = scope.zone(value.zone, `${path}.zone`);
    if (scope.devices.get(value.name) !== undefined) {
      scope.problems.add(`${path}.name`, "a name that no other device has", describe(value.name));
    }
    checkTag(path, value, tags, scope.problems);
    const on = interfaceOf(path, value, interfaces, scope.problems);
    const addresses = readAddresses(path, value, scope.problems);
    const mac = readMac(path, value.mac, scope.problems);
    const device: Device | null =
      zone === undefined
        ? null
        : {
            index: devices.length,
            name: value.name,
            port,
            zone,
            interface: on,
            vlan: vlanOf(value),
            mac,
            addresses: addresses.map(({ prefix }) => prefix),
            mtu: value.mtu,
          };
    if (scope.devices.get(port) === undefined) scope.devices.set(port, device);
    if (scope.devices.get(value.name) === undefined) scope.devices.set(value.name, device);
    if (device === null) continue;
    devices.push(device);
    for (const address of addresses) links.add({ ...address, device });
    if (scope.problems.isAbout(`${path}.addresses`)) links.doubt(device.zone);
  }
  if (scope.devices.incomplete) links.doubt();
  if (entries.length > Limit.Devices) {
    scope.problems.add("devices", `at most ${Limit.Devices} devices`, `${entries.length}`);
  }
  for (const zone of links.zones) checkOverlaps(zone, links.of(zone), scope.problems);
  return { interfaces: [...interfaces.values()], devices, links };
}

/** A port for every device: its own, or the lowest that is free, in order. */
function assignPorts(entries: readonly Entry<DeviceEntry>[], problems: Problems): number[] {
  const taken = new Set<number>();
  for (const { path, value } of entries) {
    if (value.port === undefined) continue;
    if (taken.has(value.port)) {
      problems.add(`${path}.port`, "a number that no other device has", `${value.port}`);
    }
    taken.add(value.port);
  }
  let free = 1;
  return entries.map(({ value }) => {
    if (value.port !== undefined) return value.port;
    while (taken.has(free)) free += 1;
    taken.add(free);
    return free;
  });
}

function vlanOf(entry: DeviceEntry): Vlan | undefined {
  if (entry.vlan === undefined) return undefined;
  return typeof entry.vlan === "number"
    ? { outer: entry.vlan, inner: undefined }
    : { outer: entry.vlan[0], inner: entry.vlan[1] };
}

function checkTag(
  path: string,
  entry: DeviceEntry,
  tags: Map<string, string>,
  problems: Problems,
): void {
  // A VLAN that is broken would pass for none.
  if (problems.isAbout(`${path}.vlan`)) return;
  const key = `${entry.interface}/${JSON.stringify(entry.vlan ?? null)}`;
  const other = tags.get(key);
  if (other === undefined) {
    tags.set(key, path);
    return;
  }
  const at = entry.vlan === undefined ? `${path}.interface` : `${path}.vlan`;
  const found =
    entry.vlan === undefined
      ? `${describe(entry.interface)} without a VLAN`
      : `VLAN ${describe(entry.vlan)} on ${describe(entry.interface)}`;
  problems.add(at, "an interface and VLAN that no other device has", `${found}, as in ${other}`);
}

function interfaceOf(
  path: string,
  entry: DeviceEntry,
  interfaces: Map<string, Interface>,
  problems: Problems,
): Interface {
  const driver = DRIVERS[entry.driver];
  const known = interfaces.get(entry.interface);
  if (known === undefined) {
    const added: Interface = { index: interfaces.size, name: entry.interface, driver };
    interfaces.set(entry.interface, added);
    return added;
  }
  if (known.driver !== driver && !problems.isAbout(`${path}.driver`)) {
    const expected = `the driver of the other devices on ${describe(entry.interface)}`;
    problems.add(`${path}.driver`, expected, describe(entry.driver));
  }
  return known;
}

/** A MAC of the document; undefined when there is none, or none that is sound. */
export function readMac(
  path: string,
  text: string | undefined,
  problems: Problems,
): number | undefined {
  if (text === undefined) return undefined;
  const mac = parseMac(text);
  if (mac !== undefined && isUnicastMac(mac)) return mac;
  const expected = 'a unicast MAC as "02:00:5e:00:00:01"';
  problems.add(`${path}.mac`, expected, describe(text));
  return undefined;
}

function readAddresses(path: string, entry: DeviceEntry, problems: Problems) {
  const addresses: { prefix: Prefix; path: string }[] = [];
  for (const [index, text] of entry.addresses.entries()) {
    const at = `${path}.addresses[${index}]`;
    const prefix = parseInterfaceAddress(text);
    if (prefix === undefined) {
      problems.add(at, 'an IPv4 address with its prefix, as "192.168.0.1/24"', describe(text));
    } else if (!isHostAddress(prefix)) {
      problems.add(at, "an address that a host may have", describe(text));
    } else {
      addresses.push({ prefix, path: at });
    }
  }
  return addresses;
}

/** RFC 1122 section 3.2.1.3; RFC 3021 lets both addresses of a /31 be hosts. */
function isHostAddress(prefix: Prefix): boolean {
  const { first, last } = prefixRange(prefix);
  if (!isUnicastAddress(prefix.address)) return false;
  return prefix.length > 30 || (prefix.address !== first && prefix.address !== last);
}

/** Prefixes are nested or apart, so sorted by their first address every overlap is with an open one. */
function checkOverlaps(zone: Zone, subnets: readonly Subnet[], problems: Problems): void {
  const sorted = [...subnets].sort(
    (one, other) =>
      prefixRange(one.prefix).first - prefixRange(other.prefix).first ||
      one.prefix.length - other.prefix.length,
  );
  let open: Subnet[] = [];
  const owners = new Map<number, Subnet>();
  for (const subnet of sorted) {
    const { first } = prefixRange(subnet.prefix);
    open = open.filter(({ prefix }) => prefixRange(prefix).last >= first);
    const twin = owners.get(subnet.prefix.address);
    const rival = open.find(({ device }) => device !== subnet.device);
    if (twin !== undefined && twin.device === subnet.device) {
      report(zone, "an address", twin, subnet, problems);
    } else if (rival !== undefined) {
      report(zone, "a subnet", rival, subnet, problems);
    }
    owners.set(subnet.prefix.address, subnet);
    open.push(subnet);
  }
}

function report(zone: Zone, what: string, one: Subnet, other: Subnet, problems: Problems): void {
  const [earlier, later] = one.device.index <= other.device.index ? [one, other] : [other, one];
  problems.add(
    later.path,
    `${what} that does not overlap another of zone ${zone.name}`,
    `"${formatPrefix(later.prefix)}", while ${earlier.path} is "${formatPrefix(earlier.prefix)}"`,
  );
}
