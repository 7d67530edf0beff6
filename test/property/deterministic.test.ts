/** Deterministic pools (RFC 7422): what a host has leads back to it, and to nobody else. */

import fc from "fast-check";
import t from "tap";
import {
  externalOf,
  hostCount,
  ownerOf,
  type Plan,
  planOf,
} from "../../host/config/deterministic.js";
import type { Config } from "../../host/config/model.js";
import { checkConfig } from "../../host/config/parse.js";
import { holds } from "../unit/config/fixture.js";

/** Prefixes of a zone's own /16, one per /20 of it, so that they never overlap. */
const hosts = fc
  .array(fc.record({ zone: fc.constantFrom("a", "b"), length: fc.integer({ min: 26, max: 32 }) }), {
    minLength: 1,
    maxLength: 6,
  })
  .map((all) => all.map(({ zone, length }, i) => ({ zone, prefix: `10.0.${16 * i}.0/${length}` })));

const pool = fc.record({
  hosts,
  /** In any order; with gaps between them. */
  addresses: fc.uniqueArray(fc.integer({ min: 10, max: 40 }), { minLength: 1, maxLength: 8 }),
  low: fc.integer({ min: 1, max: 60000 }),
  size: fc.integer({ min: 1, max: 5000 }),
  portsPerHost: fc.option(fc.integer({ min: 1, max: 300 }), { nil: undefined }),
  overflowPorts: fc.nat(2000),
});

type Chosen = typeof pool extends fc.Arbitrary<infer T> ? T : never;

function configOf({ hosts, addresses, low, size, portsPerHost, overflowPorts }: Chosen): Config {
  const device = { name: "wan", zone: "public", interface: "eth0", addresses: ["203.0.113.2/24"] };
  return checkConfig({
    version: 1,
    zones: [
      { id: 1, name: "a" },
      { id: 2, name: "b" },
      { id: 3, name: "public" },
    ],
    devices: [device],
    pools: [
      {
        name: "p",
        zone: "public",
        addresses: addresses.map((last) => `203.0.113.${last}`),
        ports: `${low}-${Math.min(low + size, 65535)}`,
        allocation: "deterministic",
        deterministic: {
          hosts,
          overflowPorts,
          ...(portsPerHost === undefined ? {} : { portsPerHost }),
        },
      },
    ],
  });
}

/** The plan of a pool that fits; undefined where it is refused. */
function plan(chosen: Chosen): Plan | undefined {
  try {
    const [made] = configOf(chosen).pools;
    return made === undefined ? undefined : planOf(made);
  } catch {
    return undefined;
  }
}

/** Every subscriber with what it has. */
function shares(plan: Plan) {
  return plan.hosts.flatMap(({ zone, prefix }) =>
    Array.from({ length: hostCount(prefix.length) }, (_, i) => {
      const address = prefix.address + i;
      const has = externalOf(plan, zone, address);
      if (has === undefined) throw new Error(`${zone.name} ${address} has nothing`);
      return { zone, address, ...has };
    }),
  );
}

t.test("RFC 7422 section 2: a host's ports are its own, and each of them leads back", async (t) => {
  let planned = 0;
  const property = fc.property(pool, (chosen) => {
    const made = plan(chosen);
    if (made === undefined) return true;
    planned += 1;
    const taken = new Set<string>();
    for (const { zone, address, external, ports } of shares(made)) {
      if (ports.low < made.ports.low || ports.high >= (made.overflowLow ?? made.ports.high + 1)) {
        return false;
      }
      for (const port of [ports.low, ports.high]) {
        const owner = ownerOf(made, external, port);
        if (owner?.kind !== "host" || owner.zone !== zone || owner.address !== address)
          return false;
      }
      for (let port = ports.low; port <= ports.high; port++) {
        const key = `${external}:${port}`;
        if (taken.has(key)) return false;
        taken.add(key);
      }
    }
    return true;
  });
  holds(t, property, 300);
  t.ok(planned > 50, `${planned} pools fit`);
});

t.test("every port has one owner: a host that has it, the overflow, or nobody", async (t) => {
  const property = fc.property(pool, fc.integer({ min: 1, max: 65535 }), (chosen, port) => {
    const made = plan(chosen);
    if (made === undefined) return true;
    return made.ranges.every(({ first }) => {
      const owner = ownerOf(made, first, port);
      switch (owner?.kind) {
        case "host": {
          const has = externalOf(made, owner.zone, owner.address);
          return has?.external === first && has.ports.low <= port && port <= has.ports.high;
        }
        case "overflow":
          return made.overflowLow !== undefined && port >= made.overflowLow;
        default:
          return owner?.kind === "unassigned";
      }
    });
  });
  holds(t, property, 1000);
});

t.test("without a number of ports, as many as fit: one more each would not", async (t) => {
  const property = fc.property(pool, (chosen) => {
    const made = plan({ ...chosen, portsPerHost: undefined });
    if (made === undefined || made.portsPerHost === 65535) return true;
    return plan({ ...chosen, portsPerHost: made.portsPerHost + 1 }) === undefined;
  });
  holds(t, property, 300);
});

t.test("subscribers are numbered in the order of the prefixes, addresses ascend", async (t) => {
  const made = plan({
    hosts: [
      { zone: "b", prefix: "10.0.0.0/31" },
      { zone: "a", prefix: "10.0.0.0/31" },
    ],
    addresses: [30, 10],
    low: 1000,
    size: 29,
    portsPerHost: 8,
    overflowPorts: 4,
  });
  if (made === undefined) throw new Error("it fits");
  t.same(
    shares(made).map(({ zone, address, external, ports }) => [
      zone.name,
      address & 0xff,
      external & 0xff,
      ports.low,
      ports.high,
    ]),
    [
      ["b", 0, 10, 1000, 1007],
      ["b", 1, 10, 1008, 1015],
      ["a", 0, 10, 1016, 1023],
      ["a", 1, 30, 1000, 1007],
    ],
  );
  const kinds = [999, 1000, 1024, 1025, 1026, 1029, 1030].map(
    (port) => ownerOf(made, 0xcb00710a, port)?.kind,
  );
  t.same(kinds, [
    "unassigned",
    "host",
    "unassigned",
    "unassigned",
    "overflow",
    "overflow",
    "unassigned",
  ]);
  t.equal(ownerOf(made, 0xcb00710b, 1000), undefined, "an address between those of the pool");
  t.equal(ownerOf(made, 0xcb00711e, 1008)?.kind, "unassigned", "no such subscriber");
  const [host] = made.hosts;
  if (host !== undefined) t.equal(externalOf(made, host.zone, 0x0a000002), undefined);
});
