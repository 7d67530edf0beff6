/**
 * Pages of conns against a list that a test filters and sorts by itself: whatever is asked for, in whatever slices, of one
 * worker or of two.
 */

import fc from "fast-check";
import t from "tap";
import type { FoundConn } from "../../host/tables.js";
import type { ConnView, TupleView } from "../../host/telemetry/conn.js";
import { parseConnFilter, parseConnQuery, parseHostQuery } from "../../host/telemetry/filter.js";
import { echoRequest, TcpFlags, udp } from "../harness/frame.js";
import { around, edge, SERVER, TENANT } from "../harness/host.js";
import { holds } from "../harness/property.js";
import { Router } from "../harness/router.js";
import { tablesOf } from "../harness/tables.js";

const CONNS = 1200;
const PORTS = [1000, 1001, 2000, 40_000];
const SOURCES = Array.from({ length: 40 }, (_, i) => `10.0.${i >> 3}.${(i & 7) + 1}`);
const PHASES = ["new", "established", "fin-original", "fin-reply", "closing", "reset"];

/** A generator that gives the same numbers every time. */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** An edge with two tenants behind two addresses, a forward, and a route that translates nothing. */
function site(workers: number): Router {
  const router = new Router(
    edge({
      workers,
      routes: [
        { zone: "public", to: "0.0.0.0/0", via: "203.0.113.1" },
        { zone: "a", to: "10.0.0.0/8", via: TENANT },
        { zone: "b", to: "10.0.0.0/8", via: TENANT },
      ],
      pools: [{ name: "p1", zone: "public", addresses: ["203.0.113.7-203.0.113.8"] }],
      forwards: [
        {
          protocol: "tcp",
          zone: "public",
          address: "203.0.113.7",
          port: 80,
          to: { zone: "a", address: TENANT, port: 8080 },
        },
      ],
      flows: ["zone=a,udp,tp_dst=9999 actions=route(zone=public)"],
      capacity: { conns: 4096 },
    }),
  );
  const next = numbers(7);
  const { a, b, server } = around(router);
  for (let n = 0; n < CONNS; n++) {
    if (next(3) === 0) router.wait(next(40));
    const from = next(2) === 0 ? a : b;
    const source = SOURCES[next(SOURCES.length)] as string;
    const port = 1 + next(3000);
    const kind = next(10);
    const sourcePort = PORTS[next(PORTS.length)] as number;
    if (kind === 0) {
      server.tcp("203.0.113.7", 1024 + n, 80, TcpFlags.Syn, {}, { source: "198.51.100.9" });
    } else if (kind === 1) from.send(SERVER, echoRequest(sourcePort, 1, "x"), { source });
    else if (kind < 5) {
      const [sent] = from.tcp(SERVER, sourcePort, port, TcpFlags.Syn, {}, { source });
      if (sent?.device === "wan" && next(2) === 0) server.answer(sent);
    } else {
      const destinationPort = next(6) === 0 ? 9999 : port;
      const payload = udp({ sourcePort, destinationPort, data: "d".repeat(next(400)) });
      const [sent] = from.send(SERVER, payload, { source });
      if (sent?.device === "wan" && destinationPort !== 9999 && next(2) === 0) server.answer(sent);
    }
  }
  return router;
}

function value(address: string): number {
  return address.split(".").reduce((sum, byte) => sum * 256 + Number(byte), 0);
}

function isIn(text: string, address: string): boolean {
  const [prefix = "", length = "32"] = text.split("/");
  const size = 2 ** (32 - Number(length));
  return Math.floor(value(prefix) / size) === Math.floor(value(address) / size);
}

function isWithin(ports: string | number, port: number): boolean {
  const [low = 0, high = low] = String(ports).split("-").map(Number);
  return port >= low && port <= high;
}

const ZONES: Readonly<Record<string, number>> = { a: 10, b: 11, public: 20 };
const PROTOCOLS: Readonly<Record<number, string>> = { 1: "icmp", 6: "tcp", 17: "udp" };

interface Filter {
  readonly zone?: string;
  readonly originalZone?: string | number;
  readonly replyZone?: string;
  readonly protocol?: string | number;
  readonly source?: string;
  readonly destination?: string;
  readonly replySource?: string;
  readonly translated?: string;
  readonly address?: string;
  readonly sourcePort?: string | number;
  readonly destinationPort?: string | number;
  readonly translatedPort?: string;
  readonly port?: string | number;
  readonly phase?: string | string[];
  readonly translation?: string;
}

function changesSource({ original, reply }: ConnView): boolean {
  return original.source !== reply.destination || original.sourcePort !== reply.destinationPort;
}
function changesDestination({ original, reply }: ConnView): boolean {
  return original.destination !== reply.source || original.destinationPort !== reply.sourcePort;
}

/** What the datapath is held against. */
function fits(conn: ConnView, filter: Filter): boolean {
  const { original, reply, protocol } = conn;
  const numberOf = (zone: string | number) => (typeof zone === "number" ? zone : ZONES[zone]);
  const any = (test: (tuple: TupleView) => boolean) => test(original) || test(reply);
  /** Of what is left out everything fits. */
  const asked = <T>(given: T | undefined, test: (given: T) => boolean) =>
    given === undefined || test(given);
  const translated = filter.translated !== undefined || filter.translatedPort !== undefined;
  return (
    asked(filter.zone, (zone) => any((tuple) => tuple.zone === numberOf(zone))) &&
    asked(filter.originalZone, (zone) => original.zone === numberOf(zone)) &&
    asked(filter.replyZone, (zone) => reply.zone === numberOf(zone)) &&
    asked(filter.protocol, (each) => protocol === (PROTOCOLS[each as number] ?? each)) &&
    asked(filter.source, (text) => isIn(text, original.source)) &&
    asked(filter.destination, (text) => isIn(text, original.destination)) &&
    asked(filter.replySource, (text) => isIn(text, reply.source)) &&
    (!translated || changesSource(conn)) &&
    asked(filter.translated, (text) => isIn(text, reply.destination)) &&
    asked(filter.translatedPort, (ports) => isWithin(ports, reply.destinationPort)) &&
    asked(filter.address, (text) =>
      any((each) => isIn(text, each.source) || isIn(text, each.destination)),
    ) &&
    asked(filter.sourcePort, (ports) => isWithin(ports, original.sourcePort)) &&
    asked(filter.destinationPort, (ports) => isWithin(ports, original.destinationPort)) &&
    asked(filter.port, (ports) =>
      any((each) => isWithin(ports, each.sourcePort) || isWithin(ports, each.destinationPort)),
    ) &&
    asked(filter.phase, (phases) => [phases].flat().includes(conn.phase)) &&
    asked(filter.translation, (which) => {
      if (which === "source") return changesSource(conn);
      return which === "destination"
        ? changesDestination(conn)
        : !changesSource(conn) && !changesDestination(conn);
    })
  );
}

const KEYS: Readonly<Record<string, (conn: ConnView) => number>> = {
  table: () => 0,
  age: (conn) => conn.ageMs,
  expiry: (conn) => conn.expiresInMs,
  bytes: (conn) => conn.originalBytes + conn.replyBytes,
  packets: (conn) => conn.originalPackets + conn.replyPackets,
  source: ({ original }) => value(original.source) * 65536 + original.zone,
  zone: ({ original }) => original.zone * 2 ** 32 + value(original.source),
};

const addresses = fc.oneof(
  fc.constantFrom(...SOURCES, SERVER, TENANT, "203.0.113.7", "203.0.113.8"),
  fc.constantFrom("10.0.0.0/24", "10.0.0.0/8", "203.0.113.0/29", "0.0.0.0/0", "10.0.1.4/30"),
);
const ports = fc.oneof(
  fc.constantFrom<string | number>(...PORTS, 80, "8080", 0),
  fc.constantFrom("1000-1001", "0-1500", "1-65535", "2000-60000"),
);
const zones = fc.constantFrom("a", "b", "public");
const filters: fc.Arbitrary<Filter> = fc
  .record(
    {
      zone: zones,
      originalZone: fc.constantFrom("a", "b", "public", 10, 20),
      replyZone: zones,
      protocol: fc.constantFrom<string | number>("tcp", "udp", "icmp", 6, 17),
      source: addresses,
      destination: addresses,
      replySource: addresses,
      translated: addresses,
      address: addresses,
      sourcePort: ports,
      destinationPort: ports,
      translatedPort: fc.constantFrom("1024-30000", "30000-65535"),
      port: ports,
      phase: fc.oneof(fc.constantFrom(...PHASES), fc.subarray(PHASES, { minLength: 1 })),
      translation: fc.constantFrom("source", "destination", "none"),
    },
    { requiredKeys: [] },
  )
  .map((filter) => {
    const { translation, ...rest } = filter;
    const isOf = rest.translated !== undefined || rest.translatedPort !== undefined;
    return isOf || translation === undefined ? rest : { ...rest, translation };
  });
/** Few conditions at once, so that something is left. */
const loose = fc.tuple(filters, fc.integer({ min: 0, max: 2 })).map(([filter, most]) => {
  return Object.fromEntries(Object.entries(filter).slice(0, most)) as Filter;
});
const sorts = fc.record({
  sort: fc.constantFrom(...Object.keys(KEYS)),
  order: fc.constantFrom("asc", "desc"),
});
const slices = fc.constantFrom(7, 97, 4096);

async function allPages(
  router: Router,
  query: object,
  limit: number,
  slice: number,
  between?: (page: number) => void,
): Promise<FoundConn[]> {
  const tables = tablesOf(router, { slice });
  const found: FoundConn[] = [];
  for (let cursor: string | undefined, n = 0; ; n++) {
    const page = await tables.queryConns(
      parseConnQuery({ ...query, limit, cursor }, router.config),
    );
    if (page.rows.length > limit) throw new Error(`${page.rows.length} rows, ${limit} wanted`);
    found.push(...page.rows);
    cursor = page.cursor;
    if (cursor === undefined) return found;
    if (n > 2 * CONNS) throw new Error("pages without end");
    between?.(n);
  }
}

/** A conn without what its name adds. */
function text({ id: _, ...conn }: FoundConn | (ConnView & { id?: string })): string {
  return JSON.stringify(conn);
}

for (const workers of [1, 2]) {
  const router = site(workers);
  const all = router.conns();

  t.test(`the site of ${workers} has conns of every kind`, async (t) => {
    t.ok(all.length > CONNS / 2, `${all.length}`);
    for (const translation of ["source", "destination", "none"]) {
      t.ok(
        all.some((conn) => fits(conn, { translation })),
        translation,
      );
    }
    for (const protocol of ["tcp", "udp", "icmp"])
      t.ok(all.some((conn) => fits(conn, { protocol })));
    t.ok(all.some((conn) => fits(conn, { phase: "established" })));
  });

  holds(
    t,
    `all pages of a query are what fits, in its order (${workers} workers)`,
    fc.asyncProperty(
      loose,
      sorts,
      fc.constantFrom(23, 50, 499, 500),
      slices,
      async (filter, { sort, order }, limit, slice) => {
        const found = await allPages(router, { filter, sort, order }, limit, slice);
        const expected = all.filter((conn) => fits(conn, filter));
        if (found.map(text).sort().join() !== expected.map(text).sort().join()) {
          throw new Error(`${found.length} found, ${expected.length} expected`);
        }
        const keys = found.map(KEYS[sort] as (conn: ConnView) => number);
        const sign = order === "desc" ? -1 : 1;
        keys.forEach((key, i) => {
          const before = keys[i - 1];
          if (before !== undefined && sign * (key - before) < 0)
            throw new Error(`row ${i}: ${key}`);
        });
        if (new Set(found.map(({ id }) => id)).size !== found.length)
          throw new Error("a row twice");
      },
    ),
    60,
  );

  holds(
    t,
    `as many are counted as fit (${workers} workers)`,
    fc.asyncProperty(loose, slices, async (filter, slice) => {
      const count = await tablesOf(router, { slice }).countConns(
        parseConnFilter(filter, router.config),
      );
      const expected = all.filter((conn) => fits(conn, filter)).length;
      if (count !== expected) throw new Error(`${count}, ${expected} expected`);
    }),
    60,
  );

  t.test(`conns of all phases are counted in one search (${workers} workers)`, async (t) => {
    const expected = PHASES.map((phase) => all.filter((conn) => fits(conn, { phase })).length);
    t.ok(expected.filter((conns) => conns > 0).length > 1, `${expected}`);
    for (const slice of [7, 97, 4096]) {
      t.strictSame(await tablesOf(router, { slice }).countPhases(), expected, `${slice}`);
    }
  });

  holds(
    t,
    `hosts have what their conns have, and stand in order (${workers} workers)`,
    fc.asyncProperty(
      fc.record({ zone: zones, address: addresses }, { requiredKeys: [] }),
      fc.constantFrom("conns", "ports", "packets", "bytes"),
      fc.constantFrom("asc", "desc"),
      fc.constantFrom(1, 5, 500),
      slices,
      async (filter, sort, order, limit, slice) => {
        const query = parseHostQuery({ filter, sort, order, limit }, router.config);
        const top = await tablesOf(router, { slice }).topHosts(query);
        const hosts = new Map<
          string,
          { conns: number; ports: number; packets: number; bytes: number }
        >();
        const sum = (zone: number, address: string) => {
          const name = `${zone} ${address}`;
          const known = hosts.get(name) ?? { conns: 0, ports: 0, packets: 0, bytes: 0 };
          hosts.set(name, known);
          return known;
        };
        for (const host of router.hosts()) {
          const known = sum(host.zone, host.address);
          known.conns += host.conns;
          known.ports += host.ports.tcp + host.ports.udp + host.ports.icmp;
        }
        for (const conn of all.filter(changesSource)) {
          const known = sum(conn.original.zone, conn.original.source);
          known.packets += conn.originalPackets + conn.replyPackets;
          known.bytes += conn.originalBytes + conn.replyBytes;
        }
        const asked = [...hosts].filter(([name]) => {
          const [zone = "", address = ""] = name.split(" ");
          const { zone: inZone, address: at } = filter;
          return (
            (inZone === undefined || ZONES[inZone] === Number(zone)) &&
            (at === undefined || isIn(at, address))
          );
        });
        const sign = order === "desc" ? -1 : 1;
        const keys = asked.map(([, host]) => host[sort]).sort((x, y) => sign * (x - y));
        const found = top.map(({ zone, address, conns, packets, bytes, ports }) => {
          const host = { conns, packets, bytes, ports: ports.tcp + ports.udp + ports.icmp };
          const same = JSON.stringify(Object.entries(hosts.get(`${zone} ${address}`) ?? {}).sort());
          if (same !== JSON.stringify(Object.entries(host).sort())) {
            throw new Error(`${zone} ${address}: ${JSON.stringify(host)}, ${same} expected`);
          }
          return host[sort];
        });
        if (found.join() !== keys.slice(0, limit).join()) {
          throw new Error(`${found} found, ${keys.slice(0, limit)} expected`);
        }
      },
    ),
    30,
  );
}

for (const workers of [1, 2]) {
  holds(
    t,
    `what stays is on one page, whatever comes and goes between them (${workers} workers)`,
    fc.asyncProperty(
      fc.record({
        sort: fc.constantFrom("table", "age", "source", "zone"),
        order: fc.constantFrom("asc", "desc"),
      }),
      fc.integer({ min: 1, max: 2 ** 31 }),
      async ({ sort, order }, seed) => {
        const router = site(workers);
        const next = numbers(seed);
        const before = await allPages(router, { sort: "table" }, 500, 97);
        const { a } = around(router);
        const found = await allPages(router, { sort, order }, 60, 97, () => {
          for (let n = 0; n < 20; n++) {
            const payload = udp({
              sourcePort: 5000 + next(5000),
              destinationPort: 53,
              data: "new",
            });
            a.send(SERVER, payload, { source: SOURCES[next(SOURCES.length)] as string });
          }
          router.wait(next(2000));
        });
        const after = new Set(
          (await allPages(router, { sort: "table" }, 500, 97)).map(({ id }) => id),
        );
        const ids = found.map(({ id }) => id);
        if (new Set(ids).size !== ids.length) throw new Error("a row twice");
        const missed = before.filter(({ id }) => after.has(id) && !ids.includes(id));
        if (missed.length > 0) throw new Error(`${missed.length} were on no page`);
      },
    ),
    4,
  );
}
