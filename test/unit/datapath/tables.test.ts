/** What an operator asks of the tables beside pages of conns: ends conns, and sees what pools and zones have left. */

import t from "tap";
import { EventClass, EventKind } from "../../../assembly/abi.js";
import { Busy, SUMS_MS } from "../../../host/tables.js";
import {
  parseConnFilter,
  parseConnQuery,
  parseFlush,
  parseHostQuery,
  parseMappingQuery,
} from "../../../host/telemetry/filter.js";
import { CursorError } from "../../../host/telemetry/page.js";
import { TcpFlags } from "../../harness/frame.js";
import { around, EXTERNAL, edge, SERVER, TENANT } from "../../harness/host.js";
import { nat, portOf } from "../../harness/nat.js";
import { type Document, Router } from "../../harness/router.js";
import { tablesOf } from "../../harness/tables.js";

/** Longer than a port rests. */
const REST_MS = 130_000;

const behind = {
  routes: [
    { zone: "public", to: "0.0.0.0/0", via: "203.0.113.1" },
    { zone: "a", to: "10.0.0.0/8", via: TENANT },
  ],
};

/** So many conns of zone a, of ten to a host, and half as many of zone b. */
function filled(conns: number, changes: Document = {}): Router {
  const router = new Router(edge({ ...behind, capacity: { conns: 4096 }, ...changes }));
  const { a, b } = around(router);
  for (let n = 0; n < conns; n++) {
    const source = `10.0.0.${1 + Math.floor(n / 10)}`;
    const payload = { source };
    a.tcp(SERVER, 5000 + n, 80, TcpFlags.Syn, {}, payload);
    if (n % 2 === 0) b.udp(SERVER, 5000 + n, 53);
  }
  return router;
}

for (const workers of [1, 2]) {
  t.test(`what is deleted ends as if its time had come (${workers} workers)`, async (t) => {
    const router = filled(400, { workers });
    const tables = tablesOf(router);
    const filter = parseConnFilter({ originalZone: "a", source: "10.0.0.0/28" }, router.config);
    const expected = router
      .conns()
      .filter(({ original }) => original.zone === 10 && Number(original.source.split(".")[3]) < 16);
    t.equal(expected.length, 150);
    for (const datapath of router.datapaths) datapath.watchEvents(EventClass.Sessions);
    router.events();
    t.equal(await tables.deleteConns(filter, true), 150, "a dry run counts");
    t.equal(router.conns().length, 600, "and ends nothing");
    const seen: number[] = [];
    const watched = tablesOf(router, {
      slice: 64,
      between: () => seen.push(router.conns().length),
    });
    t.equal(await watched.deleteConns(filter), 150);
    t.ok(seen.length > 5, "in slices");
    t.equal(router.conns().length, 450);
    t.equal(await tables.countConns(filter), 0);
    const ended = router.events().filter(({ kind }) => kind === EventKind.SessionDeleted);
    t.equal(ended.length, 150, "each is told");
    t.equal(router.counters().zones.a?.conns, 250);
    const hosts = router.hosts().filter(({ zone }) => zone === 10);
    t.equal(hosts.length, 25, "hosts without anything are forgotten");
    t.ok(hosts.every(({ conns, ports }) => conns === 10 && ports.tcp === 10));
    const [pool] = await tables.listPools();
    t.strictSame(pool?.ports.tcp, { used: 250, resting: 150, free: 64512 - 400 }, "its ports rest");
    router.wait(REST_MS);
    const [later] = await tables.listPools();
    t.equal(later?.ports.tcp.resting, 0, "and are free again");
  });
}

t.test("RFC 6888 REQ-8: the port of a conn that was deleted rests", async (t) => {
  const { router, a } = nat({ ports: "5000-5000" });
  t.equal(portOf(a.udp(SERVER, 1, 53)), 5000);
  const filter = parseConnFilter({ port: 5000 }, router.config);
  t.equal(await tablesOf(router).deleteConns(filter), 1);
  a.udp(SERVER, 2, 53);
  t.match(router.ended, { PoolExhausted: 1 });
  router.wait(REST_MS);
  t.equal(portOf(a.udp(SERVER, 2, 53)), 5000);
});

t.test("a slice of a deletion ends no more than there is room for its events", async (t) => {
  const router = filled(1000);
  for (const datapath of router.datapaths) {
    datapath.watchEvents(EventClass.Sessions | EventClass.Mappings | EventClass.Blocks);
  }
  router.events();
  let told = 0;
  const tell = () => {
    told += router.events().filter(({ kind }) => kind === EventKind.SessionDeleted).length;
  };
  const tables = tablesOf(router, { slice: 4096, between: tell });
  t.equal(await tables.flushConns(parseFlush({}, router.config)), 1500);
  tell();
  t.equal(told, 1500);
  t.equal(router.datapath.lostEvents, 0);
  t.strictSame(router.conns(), []);
});

t.test("a flush is of a zone, or of one host of it, also where conns came in to it", async (t) => {
  const forwards = [
    {
      protocol: "tcp",
      zone: "public",
      address: EXTERNAL,
      port: 80,
      to: { zone: "a", address: TENANT },
    },
  ];
  const router = filled(100, { forwards });
  const { a, server } = around(router);
  const tables = tablesOf(router);
  a.udp(SERVER, 1, 53);
  server.tcp(EXTERNAL, 1024, 80, TcpFlags.Syn);
  t.equal(router.conns().length, 152);
  const flush = (scope: object) => tables.flushConns(parseFlush(scope, router.config));
  t.equal(await flush({ zone: "a", host: "10.0.0.1" }), 10);
  t.equal(await flush({ zone: "a", host: TENANT }), 2, "one that it began, one that came in");
  t.equal(await flush({ zone: "b" }), 50);
  t.equal(router.conns().length, 90);
  t.equal(await flush({ zone: "public" }), 90, "either zone counts");
  await t.rejects(tables.deleteConns({}), /flush ends everything/, "nothing is not everything");
});

t.test("what ends while a page is looked for is not on it", async (t) => {
  const router = filled(200);
  const { a } = around(router);
  let n = 0;
  const between = () => {
    if (n++ === 2) router.wait(3_600_000);
    if (n > 3) a.udp(SERVER, 7000 + n, 53);
  };
  const query = parseConnQuery({ filter: { zone: "a" }, limit: 500 }, router.config);
  const { rows } = await tablesOf(router, { slice: 64, between }).queryConns(query);
  const there = new Set(router.conns().map(({ original }) => original.sourcePort));
  t.ok(rows.every(({ original }) => there.has(original.sourcePort)));
  t.ok(rows.length < 10, `${rows.length}`);
});

for (const workers of [1, 2]) {
  t.test(
    `pools: what is used, rests and is free, and whose it is (${workers} workers)`,
    async (t) => {
      const router = filled(200, {
        workers,
        pools: [
          {
            name: "p1",
            zone: "public",
            addresses: ["203.0.113.7-203.0.113.8"],
            ports: "2000-9999",
          },
          { name: "idle", zone: "public", addresses: ["203.0.113.9"] },
        ],
      });
      const { a } = around(router);
      for (let n = 0; n < 5; n++) a.ping(SERVER, n);
      const [p1, idle] = await tablesOf(router).listPools();
      t.match(p1, { name: "p1", zone: 20, allocation: "random", addresses: 2 });
      t.strictSame(p1?.ports.tcp, { used: 200, resting: 0, free: 16000 - 200 });
      t.strictSame(p1?.ports.udp, { used: 100, resting: 0, free: 16000 - 100 });
      t.strictSame(p1?.ports.icmp, { used: 5, resting: 0, free: 16000 - 5 });
      t.strictSame(p1?.zones, [
        { zone: 10, tcp: 200, udp: 0, icmp: 5, others: 0 },
        { zone: 11, tcp: 0, udp: 100, icmp: 0, others: 0 },
      ]);
      t.strictSame(idle?.ports.tcp, { used: 0, resting: 0, free: 64512 });
      t.strictSame(idle?.zones, []);
      const page = { pool: 0, limit: 1, cursor: undefined };
      const first = await tablesOf(router).listPoolAddresses(page);
      t.equal(first.matched, 2);
      t.equal(first.rows[0]?.address, "203.0.113.7");
      const second = await tablesOf(router).listPoolAddresses({ ...page, cursor: first.cursor });
      t.equal(second.cursor, undefined);
      const sum = [first, second].reduce(
        (used, { rows }) => used + (rows[0]?.ports.tcp.used ?? 0),
        0,
      );
      t.equal(sum, 200);
    },
  );

  t.test(`pools: blocks (${workers} workers)`, async (t) => {
    const block = { ports: 256, perHost: 2 };
    const pool = { name: "p1", zone: "public", addresses: [EXTERNAL], ports: "1024-9215" };
    const router = filled(40, { workers, pools: [{ ...pool, allocation: "block", block }] });
    const [p1] = await tablesOf(router).listPools();
    t.strictSame(p1?.blocks, { ports: 256, used: 5, free: 32 - 5 });
    const [sums] = await tablesOf(router).sumPools();
    t.strictSame({ ...sums, zones: p1?.zones }, p1, "the same without zones");
    t.notOk(sums !== undefined && "zones" in sums);
  });

  t.test(`pools: subscribers' ports are counted once (${workers} workers)`, async (t) => {
    const deterministic = {
      hosts: [{ zone: "a", prefix: "10.0.0.0/29" }],
      portsPerHost: 100,
      overflowPorts: 128,
    };
    const pool = { name: "p1", zone: "public", addresses: [EXTERNAL], ports: "1024-2047" };
    const router = filled(20, {
      workers,
      pools: [{ ...pool, allocation: "deterministic", deterministic }],
    });
    const used = router.mappings().filter(({ protocol }) => protocol === "tcp").length;
    t.ok(used >= 20);
    const [p1] = await tablesOf(router).listPools();
    t.strictSame(p1?.ports.tcp, { used, resting: 0, free: 1024 - used });
  });

  t.test(`mappings by pages (${workers} workers)`, async (t) => {
    const router = filled(300, { workers });
    const tables = tablesOf(router);
    const ask = async (filter: object) => {
      const found: unknown[] = [];
      for (let cursor: string | undefined; ; ) {
        const query = parseMappingQuery({ filter, limit: 70, cursor }, router.config);
        const page = await tables.listMappings(query);
        found.push(...page.rows);
        cursor = page.cursor;
        if (cursor === undefined) return found.map((each) => JSON.stringify(each)).sort();
      }
    };
    const all = router.mappings();
    const texts = (which: (each: (typeof all)[number]) => boolean) =>
      all
        .filter(which)
        .map((each) => JSON.stringify(each))
        .sort();
    t.strictSame(
      await ask({}),
      texts(() => true),
    );
    t.strictSame(
      await ask({ insideZone: "b" }),
      texts(({ zone }) => zone === 11),
    );
    t.strictSame(
      await ask({ address: "10.0.0.3" }),
      texts(({ address }) => address === "10.0.0.3"),
    );
    t.strictSame(
      await ask({ protocol: "udp", zone: 20 }),
      texts(({ protocol }) => protocol === "udp"),
    );
    t.strictSame(
      await ask({ externalPort: "1-30000", external: EXTERNAL }),
      texts(({ externalPort }) => externalPort <= 30000),
    );
    t.strictSame(
      await ask({ port: 5001 }),
      texts(({ port }) => port === 5001),
    );
  });
}

t.test(
  "a switch between two slices: uses are counted again, under the names in force",
  async (t) => {
    const router = filled(200);
    const standing = { number: 0 };
    let slices = 0;
    const between = () => {
      if (slices++ !== 3) return;
      const zones = [10, 11, 12, 13].map((id) => ({ id, name: id === 13 ? "z" : "abc"[id - 10] }));
      router.reconfigure(
        edge({
          ...behind,
          zones: [...zones, { id: 20, name: "public" }],
          capacity: { conns: 4096 },
        }),
      );
      standing.number++;
    };
    const [pool] = await tablesOf(router, { slice: 50, between }, standing).listPools();
    t.ok(slices > 4);
    t.strictSame(pool?.zones, [
      { zone: 10, tcp: 200, udp: 0, icmp: 0, others: 0 },
      { zone: 11, tcp: 0, udp: 100, icmp: 0, others: 0 },
    ]);
  },
);

t.test("neighbors and flows by pages", async (t) => {
  const router = filled(10, { workers: 2 });
  const tables = tablesOf(router);
  const first = await tables.listNeighbors({ limit: 3, cursor: undefined });
  t.equal(first.matched, 4);
  t.match(first.rows[0], { zone: 10, device: "lan-a", address: TENANT, state: "permanent" });
  const second = await tables.listNeighbors({ limit: 3, cursor: first.cursor });
  t.equal(second.rows.length, 1);
  t.equal(second.cursor, undefined);
  const flows = await tables.listFlows({ limit: 1, cursor: undefined });
  t.equal(flows.matched, router.config.flows.length);
  t.equal(flows.rows[0]?.flow, router.config.flows[0]?.text);
  await t.rejects(tables.listFlows({ limit: 1, cursor: "7.1" }), CursorError);
  await t.rejects(tables.listNeighbors({ limit: 1, cursor: "x" }), CursorError);
});

t.test("hosts are sorted by what they have", async (t) => {
  const router = filled(45);
  const { a } = around(router);
  a.udp(SERVER, 1, 53, "x".repeat(1000));
  const top = (query: object) => tablesOf(router).topHosts(parseHostQuery(query, router.config));
  const [first, second] = await top({ sort: "conns", limit: 2 });
  t.match(first, { zone: 11, address: TENANT, conns: 23, packets: 23 });
  t.match(second, { zone: 10, conns: 10, ports: { tcp: 10 } });
  t.match(await top({ sort: "bytes", limit: 1, filter: { zone: "a" } }), [
    { address: TENANT, packets: 1 },
  ]);
});

t.test("what hosts have carried is added up again when it is two seconds old", async (t) => {
  const router = filled(45);
  const { a } = around(router);
  const tables = tablesOf(router);
  const query = parseHostQuery({ sort: "bytes", filter: { zone: "a" } }, router.config);
  const top = async () => {
    const hosts = await tables.topHosts(query);
    return hosts.map(({ address, conns, packets }) => ({ address, conns, packets }));
  };
  const [first] = await top();
  t.strictSame(first, { address: "10.0.0.1", conns: 10, packets: 10 });
  a.udp(SERVER, 1, 53, "x".repeat(1000));
  router.now += SUMS_MS - 1;
  t.equal((await top()).find(({ address }) => address === TENANT)?.packets, 0, "not yet");
  t.match(await top(), [first], "what is kept is not added to itself");
  await tables.countConns({});
  t.equal((await top()).find(({ address }) => address === TENANT)?.packets, 0);
  router.now += 1;
  t.match(await top(), [{ address: TENANT, conns: 1, packets: 1 }, first]);
  a.udp(SERVER, 1, 53, "x".repeat(1000));
  await tables.listPools();
  t.equal((await top())[0]?.packets, 2, "pools have taken the place of the sums");
});

t.test("a host in another one's place has carried nothing yet", async (t) => {
  const router = filled(45);
  const { b } = around(router);
  const tables = tablesOf(router);
  const all = parseHostQuery({ sort: "bytes" }, router.config);
  await tables.topHosts(all);
  const zone = { originalZone: 11 };
  t.equal(await tables.deleteConns(zone), 23);
  b.udp(SERVER, 1, 53, "", { source: "10.9.9.9" });
  const [host] = (await tables.topHosts(all)).filter(({ address }) => address === "10.9.9.9");
  t.match(host, { zone: 11, conns: 1, packets: 0, bytes: 0 });
});

t.test("sums of a month ago are no sums of today", async (t) => {
  const router = filled(45);
  const tables = tablesOf(router);
  const query = parseHostQuery({ sort: "bytes", limit: 1 }, router.config);
  t.match(await tables.topHosts(query), [{ zone: 11, packets: 23 }]);
  router.wait(2 ** 31 + 10_000);
  around(router).a.udp(SERVER, 1, 53);
  t.match(await tables.topHosts(query), [{ zone: 10, packets: 1 }]);
});

t.test("what a flush would end: a conn that turns round is one", async (t) => {
  const router = filled(45);
  const tables = tablesOf(router);
  const flush = (scope: object, dryRun: boolean) =>
    tables.flushConns(parseFlush(scope, router.config), dryRun);
  for (const scope of [{ zone: "a", host: "10.0.0.1" }, { zone: "b" }, {}]) {
    const would = await flush(scope, true);
    t.ok(would > 0);
    t.equal(await flush(scope, false), would);
    t.equal(await flush(scope, true), 0);
  }
});

const exact = { mapping: "address-and-port-dependent", filtering: "address-and-port-dependent" };

for (const [what, changes] of Object.entries({
  "on ports that many share": {
    pools: [{ name: "p1", zone: "public", addresses: [EXTERNAL], ...exact }],
  },
  "that are only routed, where a limit counts them": {
    zones: [
      { id: 10, name: "a", limits: { connsPerHost: 100 } },
      { id: 11, name: "b" },
      { id: 20, name: "public" },
    ],
    flows: ["zone=a,tcp,tp_dst=80 actions=route(zone=public)"],
  },
})) {
  t.test(`hosts have the traffic of conns ${what}, and of none that have ended`, async (t) => {
    const router = filled(200, changes);
    const host = { zone: "a", source: "10.0.0.3" };
    const ended = parseConnFilter({ ...host, sourcePort: "5020-5024" }, router.config);
    t.equal(await tablesOf(router).deleteConns(ended), 5);
    const query = parseHostQuery({ filter: { zone: "a" }, sort: "bytes" }, router.config);
    const hosts = await tablesOf(router).topHosts(query);
    t.equal(hosts.length, 20);
    for (const { address, conns, packets, bytes } of hosts) {
      const expected = address === "10.0.0.3" ? 5 : 10;
      t.strictSame(
        { conns, packets, bytes },
        { conns: expected, packets: expected, bytes: expected * 40 },
      );
    }
  });
}

t.test("only so many questions wait", async (t) => {
  const router = filled(1);
  const never = { ask: () => new Promise<never>(() => {}) };
  const { Tables } = await import("../../../host/tables.js");
  const tables = new Tables([never], {
    now: () => 0,
    inForce: () => 0,
    configOf: () => router.config,
    counters: () => Promise.resolve(router.counters()),
  });
  for (let n = 0; n < 16; n++) void tables.countConns({});
  await t.rejects(tables.countConns({}), Busy);
});
