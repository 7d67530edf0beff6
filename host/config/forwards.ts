/**
 * What forwards may have: an outside that is theirs alone and that somebody answers ARP for, ports that are
 * there, and a host inside.
 */

import { formatAddress, formatPorts, type PortRange } from "./address.js";
import { RangeClaims } from "./claims.js";
import { describe } from "./error.js";
import type { Route, Zone } from "./model.js";
import type { PoolBook } from "./pools.js";
import { readPorts } from "./ports.js";
import type { ForwardEntry } from "./schema.js";
import type { Scope } from "./scope.js";
import { contains, type Topology } from "./topology.js";

/** What a translation or forward may refer to. */
export interface Surroundings {
  readonly scope: Scope;
  readonly pools: PoolBook;
  readonly topology: Topology;
  readonly routes: readonly Route[];
}

/** One side of a forward. */
export interface End {
  readonly zone: Zone;
  readonly address: number;
}

const PROTOCOLS_WITH_PORTS = ["tcp", "udp", "sctp"] as const;

/** The ports of a forward. */
export interface ForwardPorts {
  readonly outside: PortRange;
  /** The first one inside; undefined: they stay, and nothing could change them. */
  readonly inside: number | undefined;
}

/** The forwards of a configuration while they are read. */
export class ForwardBook {
  private readonly ports = new RangeClaims();
  /** Outside addresses that are forwarded as a whole, by zone and address. */
  private readonly outsides = new Map<string, string>();
  /** Inside addresses of those. */
  private readonly insides = new Map<string, string>();

  constructor(private readonly around: Surroundings) {}

  private complain(path: string, expected: string, found: string): void {
    this.around.scope.problems.add(path, expected, found);
  }

  /** Undefined, with a problem, where there are none or they do not fit; not for protocol "any". */
  readPorts(path: string, { protocol, port, to }: ForwardEntry): ForwardPorts | undefined {
    const { problems } = this.around.scope;
    if (port === undefined) {
      if (problems.isAbout(`${path}.port`)) return undefined;
      this.complain(path, `the key "port" beside protocol "${protocol}"`, "nothing");
      return undefined;
    }
    const outside = readPorts(`${path}.port`, port, problems);
    if (outside === undefined) return undefined;
    if (protocol === "sctp") {
      // Its checksum covers the ports (RFC 9260 section 6.8), and translation leaves both alone.
      if (to.port !== undefined && to.port !== outside.low) {
        const expected = `no port, or ${outside.low}: SCTP keeps its ports`;
        this.complain(`${path}.to.port`, expected, `${to.port}`);
      }
      return { outside, inside: undefined };
    }
    const most = 65535 - (outside.high - outside.low);
    if (to.port !== undefined && to.port > most) {
      const expected = `a port up to ${most}, the first of as many as ${formatPorts(outside)}`;
      this.complain(`${path}.to.port`, expected, `${to.port}`);
    }
    return { outside, inside: to.port ?? outside.low };
  }

  /** A whole address has no ports. */
  checkPortless(path: string, { port, to }: ForwardEntry): void {
    if (port !== undefined) this.complain(`${path}.port`, 'no port beside "any"', describe(port));
    if (to.port !== undefined)
      this.complain(`${path}.to.port`, 'no port beside "any"', `${to.port}`);
  }

  /** Some ports of an address: no other forward's, and somebody answers ARP for the address. */
  claimPorts(path: string, entry: ForwardEntry, outside: End, ports: PortRange): void {
    const { zone, address } = outside;
    const whole = this.outsides.get(addressKey(outside));
    if (whole !== undefined) this.complainShared(path, entry, whole);
    const { low, high } = ports;
    const other = this.ports.claim(portsKey(outside, entry.protocol), { low, high, path });
    if (other !== undefined) {
      const same = other.low === low && other.high === high;
      const what = `${entry.protocol} ${formatAddress(address)}:${formatPorts(ports)}`;
      const found = same
        ? `${what}, as in ${other.path}`
        : `${what}, while ${other.path} has ${formatPorts(other)}`;
      this.complain(path, "an address and port that no other forward has", found);
    }
    const { links } = this.around.topology;
    const foreign =
      links.deviceOf(zone, address) !== undefined &&
      !links.isOwn(zone, address) &&
      this.around.pools.having(zone, address) === undefined;
    const { problems } = this.around.scope;
    if (!foreign || !links.isSure(zone) || problems.isAbout("pools")) return;
    const expected = `an address of a device or pool of zone ${zone.name}, as it is on-link there`;
    this.complain(`${path}.address`, expected, describe(entry.address));
  }

  /** An address as a whole; false, with a problem, where somebody else has some of it. */
  claimAddress(path: string, entry: ForwardEntry, outside: End): boolean {
    const { zone, address } = outside;
    const key = addressKey(outside);
    const byPorts = PROTOCOLS_WITH_PORTS.map((protocol) =>
      this.ports.lowest(portsKey(outside, protocol)),
    );
    const other = this.outsides.get(key) ?? byPorts.find((claim) => claim !== undefined)?.path;
    this.outsides.set(key, this.outsides.get(key) ?? path);
    const pool = this.around.pools.having(zone, address);
    const { links } = this.around.topology;
    if (other !== undefined) this.complainShared(path, entry, other);
    else if (links.isOwn(zone, address)) {
      this.complainOwned(path, entry, `of device ${links.deviceOf(zone, address)?.name}`);
    } else if (pool !== undefined) {
      this.complainOwned(path, entry, `of ${this.around.pools.pathOf(pool)}`);
    } else return true;
    return false;
  }

  private complainShared(path: string, entry: ForwardEntry, other: string): void {
    const found = `${describe(entry.address)}, as in ${other}`;
    this.complain(`${path}.address`, "an address that no other forward has", found);
  }

  private complainOwned(path: string, entry: ForwardEntry, owner: string): void {
    const expected = "an address that no device and no pool has";
    this.complain(`${path}.address`, expected, `${describe(entry.address)}, ${owner}`);
  }

  /** The host behind a whole address leaves by that one only. */
  claimInside(path: string, inside: End): void {
    const key = addressKey(inside);
    const other = this.insides.get(key);
    this.insides.set(key, other ?? path);
    if (other === undefined) return;
    const found = `${describe(formatAddress(inside.address))}, as in ${other}`;
    this.complain(`${path}.to.address`, 'a host that no other forward of "any" has', found);
  }

  /** A host, not our own, that the zone has a route to. */
  checkTarget(path: string, { zone, address }: End): void {
    const { pools, topology, routes, scope } = this.around;
    const text = describe(formatAddress(address));
    if (topology.links.isOwn(zone, address) || pools.having(zone, address) !== undefined) {
      this.complain(`${path}.to.address`, "the address of a host", `${text}, our own`);
    }
    const reached = routes.some((route) => route.zone === zone && contains(route.to, address));
    if (reached || !topology.links.isSure(zone) || scope.problems.isAbout("routes")) return;
    this.complain(`${path}.to.address`, `an address that zone ${zone.name} has a route to`, text);
  }
}

function addressKey({ zone, address }: End): string {
  return `${zone.id} ${address}`;
}

function portsKey({ zone, address }: End, protocol: string): string {
  return `${zone.id} ${address} ${protocol}`;
}
