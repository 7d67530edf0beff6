/** How a pool gives its ports out: behaviours of each protocol, and what its allocation needs. */

import { Allocation, FilteringBehaviour, MappingBehaviour } from "../../assembly/abi.js";
import { type PortRange, parsePrefix, prefixRange } from "./address.js";
import { RangeClaims } from "./claims.js";
import { hostCount, hostsPerAddress, mostPortsPerHost, portsForHosts } from "./deterministic.js";
import { describe } from "./error.js";
import type { HostPrefix, PerProtocol, Pool, PortBlocks, Subscribers } from "./model.js";
import { ALLOCATIONS, BEHAVIOURS, type Behaviour } from "./poolschema.js";
import type { PoolEntry } from "./schema.js";
import type { Scope } from "./scope.js";

export type PoolPolicy = Pick<
  Pool,
  | "mapping"
  | "filtering"
  | "allocation"
  | "parity"
  | "inboundRefresh"
  | "pooling"
  | "block"
  | "deterministic"
>;

/** RFC 4787 REQ-1 and REQ-8, RFC 5382 REQ-1 and REQ-3. */
const MAPPING = MappingBehaviour.EndpointIndependent;
const FILTERING = FilteringBehaviour.AddressDependent;

function forAll<T>(value: T): PerProtocol<T> {
  return { tcp: value, udp: value, icmp: value };
}

/** Of a pool that a flow's masq= makes. */
export const STANDARD_POLICY: PoolPolicy = {
  mapping: forAll(MAPPING),
  filtering: forAll(FILTERING),
  allocation: Allocation.Random,
  parity: false,
  inboundRefresh: true,
  pooling: "paired",
  block: undefined,
  deterministic: undefined,
};

/** Of the one address of a forward: every port stays, nobody is kept out. */
export const WHOLE_ADDRESS_POLICY: PoolPolicy = {
  ...STANDARD_POLICY,
  filtering: forAll(FilteringBehaviour.EndpointIndependent),
  allocation: Allocation.Preserve,
};

/** What the policy is about. */
export interface PoolSpace {
  readonly ports: PortRange;
  readonly addressCount: number;
}

export function readPolicy(
  path: string,
  entry: PoolEntry,
  space: PoolSpace,
  scope: Scope,
): PoolPolicy {
  const { allocation } = entry;
  for (const key of ["block", "deterministic"] as const) {
    if (entry[key] === undefined || allocation === key) continue;
    if (scope.problems.isAbout(`${path}.allocation`)) continue;
    const expected = `no such key unless allocation is "${key}"`;
    scope.problems.add(`${path}.${key}`, expected, describe(entry[key]));
  }
  return {
    mapping: behaviours(entry.mapping, MAPPING),
    filtering: behaviours(entry.filtering, FILTERING),
    allocation: ALLOCATIONS.indexOf(allocation),
    parity: entry.parity,
    inboundRefresh: entry.inboundRefresh,
    pooling: entry.pooling,
    block: allocation === "block" ? readBlocks(path, entry, space, scope) : undefined,
    deterministic:
      allocation === "deterministic" ? readSubscribers(path, entry, space, scope) : undefined,
  };
}

/** The words are in the order of abi's enums, which number both kinds of behaviour alike. */
function behaviours(
  entry: PoolEntry["mapping"],
  standard: MappingBehaviour | FilteringBehaviour,
): PerProtocol<number> {
  const read = (word: Behaviour | undefined) =>
    word === undefined ? standard : BEHAVIOURS.indexOf(word);
  if (typeof entry !== "object") return forAll(read(entry));
  return { tcp: read(entry.tcp), udp: read(entry.udp), icmp: read(entry.icmp) };
}

const BLOCKS: PortBlocks = { ports: 512, perHost: 4 };

function readBlocks(path: string, entry: PoolEntry, space: PoolSpace, scope: Scope): PortBlocks {
  const block = entry.block ?? BLOCKS;
  const { low, high } = space.ports;
  const first = Math.ceil(low / block.ports) * block.ports;
  const isSure = !["ports", "block"].some((key) => scope.problems.isAbout(`${path}.${key}`));
  if (isSure && first + block.ports - 1 > high) {
    const expected = `ports with a whole block of ${block.ports}, which begins at a multiple of that`;
    scope.problems.add(`${path}.ports`, expected, describe(entry.ports));
  }
  return block;
}

function readSubscribers(
  path: string,
  { deterministic, ports: text }: PoolEntry,
  { ports, addressCount }: PoolSpace,
  scope: Scope,
): Subscribers | undefined {
  const { problems } = scope;
  const at = `${path}.deterministic`;
  if (deterministic === undefined) {
    if (problems.isAbout(at)) return undefined;
    problems.add(at, 'the hosts of allocation "deterministic"', "nothing");
    return undefined;
  }
  const hosts = readHosts(`${at}.hosts`, deterministic.hosts, scope);
  const { overflowPorts, portsPerHost } = deterministic;
  const overflowLow = overflowPorts === 0 ? undefined : ports.high + 1 - overflowPorts;
  const available = portsForHosts(ports, overflowLow);
  const isSure = ["ports", "addresses"].every((key) => !problems.isAbout(`${path}.${key}`));
  if (isSure && available <= 0) {
    const expected = `fewer ports than the pool has on an address, ${describe(text)}`;
    problems.add(`${at}.overflowPorts`, expected, `${overflowPorts}`);
  }
  if (problems.isAbout(at) || !isSure) return undefined;
  const count = hosts.reduce((sum, { prefix }) => sum + hostCount(prefix.length), 0);
  const share = portsPerHost ?? mostPortsPerHost(available, count, addressCount);
  const room =
    share === 0
      ? available * addressCount
      : addressCount * hostsPerAddress({ ports, overflowLow, portsPerHost: share });
  if (count > room) {
    const of = `of ${Math.max(share, 1)} ports each, that ${addressCount} addresses have room for`;
    problems.add(`${at}.hosts`, `at most ${room} hosts ${of}`, `${count}`);
  }
  return { hosts, portsPerHost: share, overflowLow };
}

function readHosts(
  path: string,
  entries: NonNullable<PoolEntry["deterministic"]>["hosts"],
  scope: Scope,
): HostPrefix[] {
  const claims = new RangeClaims();
  const hosts: HostPrefix[] = [];
  let next = 0;
  for (const [index, entry] of entries.entries()) {
    const at = `${path}[${index}]`;
    const zone = scope.zone(entry.zone, `${at}.zone`);
    const prefix = parsePrefix(entry.prefix);
    if (prefix === undefined) {
      const expected = 'a prefix without host bits, as "10.0.0.0/24"';
      scope.problems.add(`${at}.prefix`, expected, describe(entry.prefix));
    }
    if (zone === undefined || prefix === undefined) continue;
    const { first: low, last: high } = prefixRange(prefix);
    const other = claims.claim(`${zone.id}`, { low, high, path: at });
    if (other !== undefined) {
      const expected = `a prefix that overlaps no other of zone ${zone.name}`;
      scope.problems.add(
        `${at}.prefix`,
        expected,
        `${describe(entry.prefix)}, as in ${other.path}`,
      );
    }
    hosts.push({ zone, prefix, first: next });
    next += hostCount(prefix.length);
  }
  return hosts;
}
