/**
 * Pools of external addresses: the document's, those that a flow's masq= makes, and those of one address each
 * that a forward of a whole address makes, so that ARP is answered for it.
 */

import { Limit } from "../../assembly/abi.js";
import {
  type AddressRange,
  formatAddress,
  formatRange,
  isUnicast,
  type PortRange,
  parseAddresses,
  parsePorts,
} from "./address.js";
import type { Entry } from "./document.js";
import { describe, type Problems } from "./error.js";
import type { Device, Pool, Zone } from "./model.js";
import {
  type PoolPolicy,
  readPolicy,
  STANDARD_POLICY,
  WHOLE_ADDRESS_POLICY,
} from "./poolpolicy.js";
import type { PoolEntry } from "./schema.js";
import type { Scope } from "./scope.js";

/** Ports below belong to services (RFC 6335 section 6). */
const PORTS: PortRange = { low: 1024, high: 65535 };
const EVERY_PORT: PortRange = { low: 1, high: 65535 };

/** The pools of a configuration while it is read. */
export class PoolBook {
  private readonly pools: Pool[] = [];
  /** Of flows, by zone and text. */
  private readonly implicit = new Map<string, Pool>();
  /** Of forwards, by zone and address: there may be thousands. */
  private readonly wholes = new Map<string, Pool>();
  /** Where the addresses of each pool stand. */
  private readonly paths = new Map<Pool, string>();
  private readonly servedZones: ReadonlySet<Zone>;

  constructor(
    private readonly scope: Scope,
    devices: readonly Device[],
  ) {
    this.servedZones = new Set(devices.map((device) => device.zone));
  }

  get list(): readonly Pool[] {
    return this.pools;
  }

  /** Addresses of all pools, an address of two pools counted twice, as the datapath counts. */
  get addressCount(): number {
    return this.pools.reduce((sum, pool) => sum + pool.addressCount, 0);
  }

  readAll(entries: readonly Entry<PoolEntry>[]): void {
    for (const { path, value } of entries) {
      const taken = this.scope.pools.get(value.name) !== undefined;
      if (taken) {
        const found = describe(value.name);
        this.scope.problems.add(`${path}.name`, "a name that no other pool has", found);
      }
      const pool = this.read(path, value);
      if (!taken) this.scope.pools.set(value.name, pool ?? null);
    }
  }

  private read(path: string, entry: PoolEntry): Pool | undefined {
    const zone = this.scope.zone(entry.zone, `${path}.zone`);
    const ranges = readRanges(path, entry.addresses, this.scope.problems);
    const ports = parsePorts(entry.ports);
    if (ports === undefined) {
      const expected = 'ports from 1 to 65535, as "1024-65535"';
      this.scope.problems.add(`${path}.ports`, expected, describe(entry.ports));
    }
    const space = { ranges, addressCount: countOf(ranges), ports: ports ?? PORTS };
    const policy = readPolicy(path, entry, space, this.scope);
    if (zone === undefined) return undefined;
    this.checkServed(`${path}.zone`, zone);
    return this.add(`${path}.addresses`, { name: entry.name, zone, ...space, ...policy });
  }

  /** The pool of a masq= that names addresses; equal texts of a zone share it. */
  forFlow(path: string, zone: Zone, range: AddressRange, text: string): Pool | undefined {
    const key = `${zone.id} ${text}`;
    const known = this.implicit.get(key);
    if (known !== undefined) return known;
    if (!isUnicast(range)) {
      this.scope.problems.add(path, "addresses that hosts may have", describe(text));
      return undefined;
    }
    this.checkServed(path, zone);
    const pool = this.addImplicit(`masq=${text}`, text, zone, range, PORTS, STANDARD_POLICY);
    this.implicit.set(key, pool);
    return pool;
  }

  /** The pool of a forward's whole address. */
  forAddress(path: string, zone: Zone, address: number): void {
    this.checkServed(path, zone);
    const range = { first: address, last: address };
    const text = formatAddress(address);
    const pool = this.addImplicit(path, text, zone, range, EVERY_PORT, WHOLE_ADDRESS_POLICY);
    this.wholes.set(wholeKey(zone, address), pool);
  }

  /** A pool of the zone that has the address. */
  having(zone: Zone, address: number): Pool | undefined {
    const whole = this.wholes.get(wholeKey(zone, address));
    if (whole !== undefined) return whole;
    // Those of forwards come last, after all others.
    const others = this.pools.slice(0, this.pools.length - this.wholes.size);
    return others.find(
      (pool) =>
        pool.zone === zone &&
        pool.ranges.some(({ first, last }) => first <= address && address <= last),
    );
  }

  /** Where the addresses of a pool stand: `pools[0].addresses`, `masq=203.0.113.7`. */
  pathOf(pool: Pool): string {
    return this.paths.get(pool) ?? "pools";
  }

  private addImplicit(
    path: string,
    name: string,
    zone: Zone,
    range: AddressRange,
    ports: PortRange,
    policy: PoolPolicy,
  ): Pool {
    const ranges = [range];
    return this.add(path, { name, zone, ranges, addressCount: countOf(ranges), ports, ...policy });
  }

  private add(path: string, parts: Omit<Pool, "index">): Pool {
    const pool: Pool = { index: this.pools.length, ...parts };
    this.pools.push(pool);
    this.paths.set(pool, path);
    return pool;
  }

  /** Nobody answers ARP for a pool in a zone without devices. */
  private checkServed(path: string, zone: Zone): void {
    if (this.servedZones.has(zone) || this.scope.devices.incomplete) return;
    this.scope.problems.add(path, "a zone that has a device", `zone ${zone.name}, which has none`);
  }

  checkTotal(): void {
    if (this.addressCount <= Limit.PoolAddresses) return;
    const expected = `at most ${Limit.PoolAddresses} addresses in all pools`;
    this.scope.problems.add("pools", expected, `${this.addressCount}`);
  }
}

function wholeKey(zone: Zone, address: number): string {
  return `${zone.id} ${address}`;
}

function countOf(ranges: readonly AddressRange[]): number {
  return ranges.reduce((sum, { first, last }) => sum + last - first + 1, 0);
}

/** The ranges of a pool, ascending. */
function readRanges(path: string, texts: readonly string[], problems: Problems): AddressRange[] {
  const ranges: (AddressRange & { path: string; text: string })[] = [];
  for (const [index, text] of texts.entries()) {
    const at = `${path}.addresses[${index}]`;
    const range = parseAddresses(text);
    if (range === undefined) {
      const expected = "an address, a prefix without host bits or an ascending range a-b";
      problems.add(at, expected, describe(text));
    } else if (!isUnicast(range)) {
      problems.add(at, "addresses that hosts may have", describe(text));
    } else {
      ranges.push({ ...range, path: at, text });
    }
  }
  ranges.sort((one, other) => one.first - other.first);
  let before: (typeof ranges)[number] | undefined;
  for (const range of ranges) {
    if (before !== undefined && range.first <= before.last) {
      const found = `${describe(range.text)}, while ${before.path} is ${formatRange(before)}`;
      problems.add(range.path, "addresses that the pool does not have already", found);
    }
    if (before === undefined || range.last > before.last) before = range;
  }
  return ranges.map(({ first, last }) => ({ first, last }));
}
