/** Random configurations: tenants whose addresses overlap, public zones whose addresses overlap as well. */

import { numberOf } from "../harness/frame.js";
import { type Document, macIn } from "../harness/router.js";
import type { Random } from "./random.js";

export const TENANT_HOSTS = ["192.168.0.10", "192.168.0.11", "192.168.0.12"];
export const PUBLIC_HOSTS = ["203.0.113.90", "203.0.113.91", "8.8.8.8"];
export const GATEWAY = "203.0.113.1";
/** Addresses that pools may have. */
export const POOL_ADDRESSES = ["203.0.113.7", "203.0.113.8", "203.0.113.9"];
/** Ports that packets and rules have: few, so that they meet. */
export const PORTS = [0, 1, 53, 80, 5000, 5001, 65535];
export const TIMEOUTS = { udp: 4, tcpEstablished: 6, tcpTransitory: 4, icmp: 4, other: 4 };

interface Zone {
  readonly id: number;
  readonly name: string;
}

/** A document that may pass the check; the zones' names may change hands. */
export function network(random: Random, workers = 1): Document {
  const tenants = Array.from({ length: 1 + random.below(4) }, (_, i) => zone(random, 10 + i));
  const publics = Array.from({ length: 1 + random.below(2) }, (_, i) => zone(random, 20 + i));
  const zones = [...tenants, ...publics];
  const devices = [
    ...tenants.flatMap((each) => devicesOf(random, each, "eth1", "192.168.0.1/24")),
    ...publics.map((each) => device(each, `wan${each.id}`, "eth0", "203.0.113.2/24")),
  ];
  const pools = publics.flatMap(({ id, name }) => [
    {
      name: `p${id}`,
      zone: name,
      addresses: someAddresses(random),
      ...policyOf(random, tenants, workers),
    },
  ]);
  return {
    version: 1,
    workers,
    zones: zones.map((each) => (random.chance(0.2) ? { ...each, limits: limitsOf(random) } : each)),
    devices: random.chance(0.5) ? devices : devices.reverse(),
    routes: publics.map(({ name }) => ({ zone: name, to: "0.0.0.0/0", via: GATEWAY })),
    neighbors: neighborsOf(random, tenants, publics),
    pools,
    nat: random
      .some(tenants, 0.8)
      .map(({ name }) => ({ from: [name], publicZone: random.pick(publics) }))
      .map(({ from, publicZone }) => ({ from, to: publicZone.name, pool: `p${publicZone.id}` })),
    forwards: forwardsOf(random, tenants, publics),
    flows: flowsOf(random, zones, publics),
    timeouts: { ...TIMEOUTS, holdDown: random.pick([0, 10, 120]) },
    tcp: { window: random.pick(["strict", "liberal"]) },
    icmp: { exhaustion: random.chance(0.5) },
    capacity: {
      conns: random.pick([4 * workers, 64, 512]),
      neighbors: 64,
      poolAddresses: 24,
      imageBytes: 65536,
    },
  };
}

/** The same arena's next configuration. */
export function another(random: Random, before: Document): Document {
  return { ...network(random, Number(before.workers)), capacity: before.capacity };
}

const BEHAVIOURS = [
  "endpoint-independent",
  "address-dependent",
  "address-and-port-dependent",
] as const;

/** How a pool gives its ports out. A combination that is refused is thrown away. */
function policyOf(random: Random, tenants: readonly Zone[], workers: number): Document {
  const behaviours = () => ({
    tcp: random.pick(BEHAVIOURS),
    udp: random.pick(BEHAVIOURS),
    icmp: random.pick(BEHAVIOURS),
  });
  const common = {
    mapping: behaviours(),
    filtering: behaviours(),
    parity: random.chance(0.3),
    inboundRefresh: random.chance(0.7),
    pooling: random.pick(["paired", "arbitrary"]),
  };
  const allocation = random.pick(["random", "random", "preserve", "block", "deterministic"]);
  if (allocation === "block") {
    const block = { ports: 64, perHost: 1 + random.below(3) };
    const blocks = `1024-${1024 + 64 * Math.max(2, workers) - 1}`;
    return { ...common, allocation, block, ports: random.pick([blocks, "1024-65535"]) };
  }
  if (allocation === "deterministic") {
    const hosts = tenants.map(({ name }) => ({ zone: name, prefix: "192.168.0.8/29" }));
    const deterministic = { hosts, portsPerHost: 4, overflowPorts: random.pick([0, 2]) };
    return { ...common, allocation, deterministic, ports: "1024-2047" };
  }
  const ranges = PORT_RANGES[workers - 1] ?? [];
  return { ...common, allocation, ports: random.pick(ranges) };
}

function limitsOf(random: Random): Document {
  const most = () => 1 + random.below(10);
  return {
    ...(random.chance(0.5) ? { conns: most() } : {}),
    ...(random.chance(0.5) ? { connsPerHost: most() } : {}),
    ...(random.chance(0.5) ? { portsPerHost: { tcp: most(), udp: most(), icmp: most() } } : {}),
  };
}

/**
 * By the number of workers, from one on: few ports, where addresses that follow each other are different workers'
 * (refused where there are not enough of them); or across the edge between two workers' ports; or all.
 */
const PORT_RANGES = [
  ["5000-5000", "5000-5003", "1024-65535"],
  ["5000-5000", "5000-5003", "5055-5056", "5052-5059", "1024-65535"],
  ["5000-5000", "5000-5003", "5055-5120", "5052-5123", "1024-65535"],
];

function zone(random: Random, id: number): Zone {
  return { id, name: random.chance(0.8) ? `z${id}` : `renamed${id}` };
}

function device(
  { name }: Zone,
  called: string,
  on: string,
  address: string,
  vlan?: number,
): Document {
  const untagged = { name: called, zone: name, interface: on, addresses: [address] };
  return vlan === undefined ? { ...untagged, interface: `${on}-${called}` } : { ...untagged, vlan };
}

function devicesOf(random: Random, zone: Zone, on: string, address: string): Document[] {
  const vlan = random.chance(0.8) ? zone.id : 100 + zone.id;
  const first = device(zone, `lan${zone.id}`, on, address, vlan);
  if (random.chance(0.8)) return [first];
  return [first, device(zone, `more${zone.id}`, on, "192.168.1.1/24", 200 + zone.id)];
}

function someAddresses(random: Random): string[] {
  const some = random.some(POOL_ADDRESSES);
  return some.length > 0 ? some : POOL_ADDRESSES.slice(0, 1);
}

function neighborsOf(
  random: Random,
  tenants: readonly Zone[],
  publics: readonly Zone[],
): Document[] {
  const entry = ({ id, name }: Zone, address: string) => ({
    zone: name,
    address,
    mac: macIn(id, numberOf(address)),
  });
  const all = [
    ...tenants.flatMap((each) => TENANT_HOSTS.map((address) => entry(each, address))),
    ...publics.flatMap((each) =>
      [GATEWAY, ...PUBLIC_HOSTS.slice(0, 2)].map((address) => entry(each, address)),
    ),
  ];
  return random.some(all, 0.7);
}

function forwardsOf(
  random: Random,
  tenants: readonly Zone[],
  publics: readonly Zone[],
): Document[] {
  const forwards = new Map<string, Document>();
  for (let i = random.below(4); i > 0; i--) {
    const { name } = random.pick(publics);
    const protocol = random.pick(["tcp", "udp"]);
    const port = random.pick([1, 53, 80, "5000-5001", 65535]);
    const to = {
      zone: random.pick(tenants).name,
      address: random.pick(TENANT_HOSTS),
      port: random.pick([1, 53, 80, 5000, 5001]),
    };
    forwards.set(`${name} ${protocol} ${port}`, {
      protocol,
      zone: name,
      address: "203.0.113.2",
      port,
      to,
    });
  }
  if (random.chance(0.2)) {
    const { name } = random.pick(publics);
    const to = { zone: random.pick(tenants).name, address: random.pick(TENANT_HOSTS) };
    forwards.set("any", { protocol: "any", zone: name, address: "203.0.113.10", to });
  }
  return [...forwards.values()];
}

function flowsOf(random: Random, zones: readonly Zone[], publics: readonly Zone[]): string[] {
  const flows: string[] = [];
  for (let i = random.below(6); i > 0; i--) {
    const from = random.pick(zones).name;
    const to = random.pick(zones).name;
    const outside = random.pick(publics);
    const match = [
      `priority=${100 + i},zone=${from}`,
      ...random.some(["nw_src=192.168.0.8/29"], 0.2),
      ...random.some([`nw_dst=${random.pick([...TENANT_HOSTS, ...PUBLIC_HOSTS])}`], 0.4),
      ...random.some(
        [random.pick(["tcp", "udp", "icmp", `udp,tp_dst=${random.pick(PORTS)}`])],
        0.6,
      ),
      ...random.some([
        `conn_state=${random.pick(["-tracked", "+new", "-reply", "+established", "+related", "-related"])}`,
      ]),
    ];
    const actions = [
      "drop",
      "reject",
      `route(zone=${to})`,
      `nat(dst=${random.pick(TENANT_HOSTS)}:${random.pick([80, 5000])},dst_zone=${to})`,
      `nat(reverse,zone=${from})`,
      ...(outside.name === from
        ? []
        : [`nat(src_zone=${from},dst_zone=${outside.name},masq=p${outside.id})`]),
    ];
    flows.push(`${match.join(",")} actions=${random.pick(actions)}`);
  }
  if (random.chance(0.2)) flows.push("conn_state=+tracked,udp,tp_dst=53 actions=drop");
  return flows;
}
