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

/** A document that passes the check; `names` are the zones' names, which may change hands. */
export function network(random: Random): Document {
  const tenants = Array.from({ length: 1 + random.below(4) }, (_, i) => zone(random, 10 + i));
  const publics = Array.from({ length: 1 + random.below(2) }, (_, i) => zone(random, 20 + i));
  const zones = [...tenants, ...publics];
  const devices = [
    ...tenants.flatMap((each) => devicesOf(random, each, "eth1", "192.168.0.1/24")),
    ...publics.map((each) => device(each, `wan${each.id}`, "eth0", "203.0.113.2/24")),
  ];
  const pools = publics.map((each) => poolOf(random, each, tenants));
  return {
    version: 1,
    zones: zones.map((each) => ({ ...each, ...limitsOf(random), ...timeoutsOf(random) })),
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
    timeouts: {
      ...TIMEOUTS,
      holdDown: random.pick([0, 2]),
      ...(random.chance(0.2) ? { ports: [{ protocol: "udp", port: "1-53", seconds: 5 }] } : {}),
    },
    tcp: { window: random.pick(["strict", "liberal"]) },
    icmp: { exhaustion: random.chance(0.5) },
    capacity: {
      conns: random.pick([4, 64, 512]),
      neighbors: 64,
      poolAddresses: 24,
      imageBytes: 65536,
    },
  };
}

/** The same arena's next configuration. */
export function another(random: Random, before: Document): Document {
  return { ...network(random), capacity: before.capacity };
}

function limitsOf(random: Random): Document {
  if (random.chance(0.8)) return {};
  const limit = () => 1 + random.below(10);
  return {
    limits: random.pick<Document>([
      { conns: limit() },
      { connsPerHost: limit() },
      { portsPerHost: limit() },
      { conns: limit(), portsPerHost: { udp: limit(), icmp: limit() } },
    ]),
  };
}

/** None of them shorter than everybody's. */
function timeoutsOf(random: Random): Document {
  return random.chance(0.8) ? {} : { timeouts: { udp: 8, tcpOpening: 5 } };
}

const BEHAVIOURS = [
  "endpoint-independent",
  "address-dependent",
  "address-and-port-dependent",
] as const;

/** One pool of each public zone: no two of them share an address of a zone. */
function poolOf(random: Random, { id, name }: Zone, tenants: readonly Zone[]): Document {
  const ports = random.pick(PORT_RANGES);
  const behaviour = () =>
    random.pick<unknown>([
      random.pick(BEHAVIOURS),
      { tcp: random.pick(BEHAVIOURS), udp: random.pick(BEHAVIOURS) },
    ]);
  return {
    name: `p${id}`,
    zone: name,
    addresses: someAddresses(random),
    ports,
    ...(random.chance(0.7) ? { mapping: behaviour(), filtering: behaviour() } : {}),
    ...(random.chance(0.2) ? { parity: true } : {}),
    ...(random.chance(0.2) ? { inboundRefresh: false } : {}),
    ...(random.chance(0.2) ? { pooling: "arbitrary" } : {}),
    ...(ports === EVERY_PORT ? allocationOf(random, tenants) : {}),
  };
}

function allocationOf(random: Random, tenants: readonly Zone[]): Document {
  const hosts = tenants.map((each) => ({ zone: each.name, prefix: "192.168.0.8/29" }));
  return random.pick<Document>([
    {},
    { allocation: "preserve" },
    { allocation: "block", block: { ports: 64, perHost: 1 + random.below(2) } },
    { allocation: "deterministic", deterministic: { hosts, overflowPorts: random.pick([0, 4]) } },
  ]);
}

const EVERY_PORT = "1024-65535";
const PORT_RANGES = ["5000-5000", "5000-5003", EVERY_PORT];

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
