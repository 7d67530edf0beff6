/** Saving and restoring: what goes on in another process, as it was, and what does not. */

import fc from "fast-check";
import t from "tap";
import { SavedAt, SavedConnAt, SavedKind, SavedMappingAt } from "../../../assembly/abi.js";
import { formatConn } from "../../../host/telemetry/conn.js";
import { raw, TcpFlags } from "../../harness/frame.js";
import { around, EXTERNAL, edge, Host, SERVER, TENANT } from "../../harness/host.js";
import { NEIGHBORS, nat, pooled, portOf, SECOND } from "../../harness/nat.js";
import { askPcp, mapRequest, Result } from "../../harness/pcp.js";
import { holds } from "../../harness/property.js";
import { restart } from "../../harness/restart.js";
import { type Document, Router } from "../../harness/router.js";

const { Syn, Ack, Fin, Rst, Psh } = TcpFlags;

// A busy machine takes its time.
t.setTimeout(120_000);

const GATEWAY = "192.168.0.1";
const ZONES = [
  { id: 10, name: "a" },
  { id: 11, name: "b" },
  { id: 20, name: "public" },
];

/** An established conn of tenant a; its external port. */
function connect(router: Router, port = 4562): number {
  const { a, server } = around(router);
  const [syn] = a.tcp(SERVER, port, 80, Syn);
  server.answer(syn);
  a.tcp(SERVER, port, 80, Ack);
  return portOf(syn === undefined ? [] : [syn]);
}

function texts(router: Router): string[] {
  return router.conns().map(formatConn).sort();
}

t.test("all kinds of conns go on, each as it was translated", async (t) => {
  const forwards = [
    {
      protocol: "tcp",
      zone: "public",
      address: "203.0.113.2",
      port: 8080,
      to: { zone: "b", address: TENANT, port: 80 },
    },
  ];
  const document = edge({
    neighbors: NEIGHBORS,
    forwards,
    flows: ["priority=50,zone=a,udp,tp_dst=9 actions=route(zone=public)"],
    pools: [{ name: "p1", zone: "public", addresses: [EXTERNAL], filtering: "address-dependent" }],
  });
  const first = new Router(document);
  const { a, b, server } = around(first);
  const port = connect(first);
  const [datagram] = a.udp(SERVER, 700, 53);
  const [ping] = b.ping(SERVER, 9);
  server.answer(ping);
  a.send(SERVER, raw(47, "tunnel"));
  server.tcp("203.0.113.2", 3000, 8080, Syn);
  a.udp(SERVER, 701, 9);
  const inward = server.udp(EXTERNAL, 54, portOf(datagram ? [datagram] : []));
  t.match(inward, [{ device: "lan-a", ip: { destinationPort: 700 } }]);
  const turned = b.udp(EXTERNAL, 702, portOf(datagram ? [datagram] : []));
  t.equal(turned.length, 0, "a hairpin that waits, which its receiver has not let in");
  const had = texts(first);
  const { router, fates } = restart(first, document, { slice: 3 });
  t.same(fates.conns, { Restored: 7, Expired: 1 }, "but for the one that waits");
  t.same(
    texts(router),
    had.filter((each) => !each.startsWith("11:192.168.0.10:702")),
  );
  const after = around(router);
  t.match(after.a.tcp(SERVER, 4562, 80, Ack | Psh, { data: "more" }), [
    { device: "wan", ip: { source: EXTERNAL, sourcePort: port } },
  ]);
  t.match(after.server.tcp(EXTERNAL, 80, port, Ack), [{ device: "lan-a" }]);
  t.match(after.server.udp(EXTERNAL, 55, portOf(datagram ? [datagram] : [])), [
    { device: "lan-a", ip: { destinationPort: 700 } },
  ]);
  t.equal(portOf(after.a.udp(SECOND, 700, 53)), portOf(datagram ? [datagram] : []), "one mapping");
  t.same(after.server.answer(ping)[0]?.device, "lan-b");
});

t.test("age, traffic, phase and what is left of its time go on", async (t) => {
  const first = new Router(edge());
  connect(first);
  first.wait(5000);
  const [before] = first.conns();
  const { router } = restart(first, edge(), { elapsed: 3000 });
  const [after] = router.conns();
  t.same(after, {
    ...before,
    ageMs: (before?.ageMs ?? 0) + 3000,
    expiresInMs: (before?.expiresInMs ?? 0) - 3000,
  });
  t.equal(router.counters().zones.a?.conns, 1);
  t.equal(router.counters().zones.a?.connsCreated, 0, "it was counted when it began");
  const shorter = edge({ timeouts: { tcpEstablished: 7440 / 4 } });
  const [limited] = restart(first, shorter).router.conns();
  t.equal(limited?.expiresInMs, 1_860_000, "no longer than the configuration allows");
});

t.test("RFC 6888 R8: what ends in between rests, and so does what rested", async (t) => {
  const pool = { ports: "5000-5001" };
  const [, changes] = [pool, { timeouts: { udp: 120, holdDown: 120 }, neighbors: NEIGHBORS }];
  const { router: first, a } = nat(pool, changes);
  const port = portOf(a.udp(SERVER, 700, 53));
  const document = pooled(pool, changes);
  const ended = restart(first, document, { elapsed: 121_000 });
  t.same(ended.fates.conns, { Expired: 1 });
  t.same(ended.router.mappings(), []);
  const other = 10_001 - port;
  t.equal(portOf(around(ended.router).b.udp(SERVER, 700, 53)), other);
  t.equal(around(ended.router).b.udp(SERVER, 701, 53)[0]?.ip?.protocol, 1, "none is left");
  ended.router.wait(119_000);
  t.equal(around(ended.router).b.udp(SERVER, 701, 53)[0]?.ip?.protocol, 1);
  ended.router.wait(2000);
  t.equal(portOf(around(ended.router).b.udp(SERVER, 701, 53)), port);

  first.wait(150_000);
  t.same(first.mappings(), []);
  const rests = restart(first, document, { elapsed: 60_000 });
  t.same(rests.fates.ports, { Restored: 1 });
  const { b } = around(rests.router);
  t.equal(portOf(b.udp(SERVER, 700, 53)), other);
  t.equal(b.udp(SERVER, 701, 53)[0]?.ip?.protocol, 1, "it still rests");
  rests.router.wait(40_000);
  t.equal(portOf(b.udp(SERVER, 701, 53)), port, "for as long as was left");
  t.same(restart(first, document, { elapsed: 100_000 }).fates.ports, { Expired: 1 });
});

t.test(
  "RFC 6888 R8: a port rests whose conn nobody has swept yet, or waits to turn round",
  async (t) => {
    const pool = { ports: "5000-5001" };
    const changes = { timeouts: { udp: 120, holdDown: 120 }, neighbors: NEIGHBORS };
    const document = pooled(pool, changes);
    const isFull = (router: Router) => around(router).a.udp(SERVER, 702, 53)[0]?.ip?.protocol === 1;

    const late = nat(pool, changes);
    const port = portOf(late.a.udp(SERVER, 700, 53));
    late.router.wait(120_001);
    t.equal(late.router.conns().length, 1, "its time is up");
    const swept = restart(late.router, document);
    t.same(swept.fates.conns, { Expired: 1 });
    t.equal(portOf(around(swept.router).b.udp(SERVER, 700, 53)), 10_001 - port);
    t.ok(isFull(swept.router), "its port rests");

    const turning = nat(pool, changes);
    const first = portOf(turning.a.udp(SERVER, 700, 53));
    turning.b.udp(EXTERNAL, 701, first);
    t.same(turning.router.ended, { Filtered: 1 });
    t.equal(turning.router.conns().length, 2);
    const turned = restart(turning.router, document);
    t.same(turned.fates.conns, { Restored: 1, Expired: 1 });
    t.ok(isFull(turned.router), "its port rests, too");
    turned.router.wait(121_000);
    t.notOk(isFull(turned.router), "not for longer");
  },
);

t.test("a zone is its number and its name", async (t) => {
  const first = new Router(edge());
  connect(first);
  around(first).b.udp(SERVER, 700, 53);
  const renamed = (name: string) => {
    const names: Record<string, string> = { a: "a", b: "b", public: "public", [name]: "other" };
    return edge({
      zones: ZONES.map((zone) => ({ ...zone, name: names[zone.name] })),
      devices: (edge().devices as { zone: string }[]).map((each) => ({
        ...each,
        zone: names[each.zone],
      })),
      routes: [{ zone: names.public, to: "0.0.0.0/0", via: "203.0.113.1" }],
      neighbors: [],
      pools: [{ name: "p1", zone: names.public, addresses: [EXTERNAL] }],
      nat: [{ from: [names.a, names.b], to: names.public, pool: "p1" }],
    });
  };
  t.same(restart(first, renamed("a")).fates.conns, { Restored: 1, ZoneGone: 1 });
  t.same(restart(first, renamed("b")).fates.conns, { Restored: 1, ZoneGone: 1 });
  t.same(restart(first, renamed("public")).fates.conns, { ZoneGone: 2 });
  const { router } = restart(first, renamed("a"));
  const port = first.mappings().find(({ zone }) => zone === 10)?.externalPort ?? 0;
  around(router).server.tcp(EXTERNAL, 80, port, Ack);
  t.same(router.ended, { Filtered: 1 }, "nothing of it reaches the other tenant; its port rests");
});

t.test("what the configuration would not make again does not go on", async (t) => {
  const first = new Router(edge());
  const port = connect(first);
  const fateUnder = (changes: Document) => restart(first, edge(changes)).fates.conns;
  t.same(fateUnder({ pools: [{ name: "p1", zone: "public", addresses: ["203.0.113.8"] }] }), {
    Refused: 1,
  });
  t.same(fateUnder({ nat: [{ from: ["b"], to: "public", pool: "p1" }] }), { Refused: 1 });
  t.same(fateUnder({ flows: ["priority=99,zone=a,tcp,tp_dst=80 actions=drop"] }), { Refused: 1 });
  const to = { zone: "b", address: TENANT, port: 80 };
  const forward = { protocol: "tcp", zone: "public", address: EXTERNAL, port, to };
  t.same(fateUnder({ forwards: [forward] }), { PortTaken: 1 }, "kept for a forward");
  const small = { conns: 1024, neighbors: 256, poolAddresses: 16, imageBytes: 65536 };
  for (let i = 0; i < 9; i++) connect(first, 5000 + i);
  t.same(fateUnder({ capacity: { ...small, conns: 4 } }), { Restored: 4, TableFull: 6 });
  const limited = (limits: Document) => ({
    zones: ZONES.map((zone) => (zone.id === 10 ? { ...zone, limits } : zone)),
  });
  t.same(fateUnder(limited({ conns: 3 })), { Restored: 3, OverLimit: 7 });
  t.same(fateUnder(limited({ connsPerHost: 3 })), { Restored: 3, OverLimit: 7 });
  t.same(fateUnder(limited({ portsPerHost: 3 })), { Restored: 3, OverLimit: 7 });
  const { router } = restart(first, edge({ workers: 2, ...limited({ conns: 3 }) }));
  t.equal(router.conns().length, 3, "a limit that workers share is one limit");
});

t.test("a flow that leads elsewhere now, or a filter that is stricter, ends it too", async (t) => {
  const to = (port: number) => ({ zone: "b", address: TENANT, port });
  const forwards = (port: number) => [
    { protocol: "tcp", zone: "public", address: "203.0.113.2", port: 8080, to: to(port) },
  ];
  const route = ["priority=50,zone=a,udp,tp_dst=9 actions=route(zone=public)"];
  const pools = (filtering: string) => [
    { name: "p1", zone: "public", addresses: [EXTERNAL], filtering },
  ];
  const made = { forwards: forwards(80), flows: route, pools: pools("address-dependent") };
  const first = new Router(edge(made));
  const { a, server } = around(first);
  server.tcp("203.0.113.2", 3000, 8080, Syn);
  a.udp(SERVER, 701, 9);
  const port = portOf(a.udp(SERVER, 700, 53));
  t.equal(server.udp(EXTERNAL, 54, port).length, 1);
  const fateUnder = (changes: Document) => restart(first, edge({ ...made, ...changes })).fates;
  t.same(fateUnder({}).conns, { Restored: 4 });
  t.same(fateUnder({ forwards: [] }).conns, { Restored: 3, Refused: 1 });
  t.same(fateUnder({ forwards: forwards(81) }).conns, { Restored: 3, Refused: 1 });
  t.same(fateUnder({ flows: [] }).conns, { Restored: 3, Refused: 1 });
  const strict = fateUnder({ pools: pools("address-and-port-dependent") });
  t.same(strict.conns, { Restored: 3, Refused: 1 }, "who came in by that filter");
});

t.test("one worker, then two, then three: each port stays its host's", async (t) => {
  const document = (workers: number) => edge({ workers, neighbors: NEIGHBORS });
  let router = new Router(document(1));
  const ports = new Map<string, number>();
  for (let i = 0; i < 40; i++) {
    for (const [name, host] of Object.entries(around(router))) {
      if (name !== "server") ports.set(`${name} ${i}`, portOf(host.udp(SERVER, 700 + i, 53)));
    }
  }
  for (const workers of [2, 3, 1, 3]) {
    const next = restart(router, document(workers));
    t.same(next.fates.conns, { Restored: router.conns().length }, `${workers} workers`);
    t.same(texts(next.router), texts(router));
    const { a, b, server } = around(next.router);
    for (const [name, port] of ports) {
      const [which, i] = name.split(" ");
      const host = which === "a" ? a : b;
      if (portOf(host.udp(SERVER, 700 + Number(i), 53)) !== port) t.fail(`${name}: another port`);
      if (portOf(host.udp(SECOND, 700 + Number(i), 53)) !== port) t.fail(`${name}: elsewhere`);
      const [back] = server.udp(EXTERNAL, 53, port);
      if (back?.device !== host.device) t.fail(`${name}: its answers`);
      if (server.udp(EXTERNAL, 54, port)[0]?.device !== host.device) t.fail(`${name}: inwards`);
    }
    for (let i = 0; i < 200; i++) a.ping(SERVER, i);
    next.router.wait(70_000);
    router = next.router;
  }
  router.wait(3_600_000);
  t.same(router.mappings(), []);
});

t.test(
  "a port that stays its host's is given to nobody by the worker whose it would be",
  async (t) => {
    const pools = [{ name: "p1", zone: "public", addresses: [EXTERNAL], ports: "4992-5119" }];
    const document = (workers: number) => edge({ workers, pools, neighbors: NEIGHBORS });
    const hosts = (router: Router) =>
      Array.from({ length: 20 }, (_, i) => new Host(router, "lan-a", `192.168.0.${20 + i}`));
    const first = new Router(document(1));
    for (const host of hosts(first)) host.udp(SERVER, 700, 53);
    const { router, fates } = restart(first, document(2));
    t.same(fates.conns, { Restored: 20 });
    for (let port = 701; port < 780; port++) {
      for (const host of hosts(router)) host.udp(SERVER, port, 53);
    }
    const ports = router.mappings().map(({ externalPort }) => externalPort);
    t.equal(ports.length, 128, "all are in use");
    t.equal(new Set(ports).size, 128, "each once");
  },
);

t.test("a block is its host's again, and nobody else's", async (t) => {
  const blocks = { allocation: "block", block: { ports: 64, perHost: 1 }, ports: "1024-1151" };
  const changes = { neighbors: NEIGHBORS, timeouts: { udp: 60, holdDown: 120 } };
  const { router: first, a, b } = nat(blocks, changes);
  const ports = [portOf(a.udp(SERVER, 700, 53)), portOf(b.udp(SERVER, 700, 53))];
  first.wait(30_000);
  a.udp(SERVER, 701, 53);
  first.wait(40_000);
  t.equal(first.mappings().length, 1, "one rests of each, which is all that b has");
  const { router, fates } = restart(first, pooled(blocks, changes));
  t.same([fates.conns, fates.ports], [{ Restored: 1 }, { Restored: 2 }]);
  t.same(
    router
      .hosts()
      .map(({ zone, blocks }) => [zone, blocks])
      .sort(),
    [
      [10, 1],
      [11, 1],
    ],
  );
  const after = around(router);
  const again = [portOf(after.a.udp(SERVER, 702, 53)), portOf(after.b.udp(SERVER, 702, 53))];
  t.same(
    again.map((port) => port >> 6),
    ports.map((port) => port >> 6),
  );
  router.wait(500_000);
  t.same(router.hosts(), [], "and goes back when the last of its ports has rested");
});

t.test("windows that are exact judge at once, those that are old catch up", async (t) => {
  const first = new Router(edge());
  const port = connect(first);
  const far = { sequence: 50_000_000, acknowledgment: 70_000_000, data: "far" };
  const back = { sequence: 70_000_000, acknowledgment: 50_000_003, data: "back" };
  const exact = restart(first, edge()).router;
  around(exact).a.tcp(SERVER, 4562, 80, Ack, far);
  t.same(exact.ended, { TcpOutOfWindow: 1 });

  const { router } = restart(first, edge(), { old: true });
  const { a, server } = around(router);
  t.equal(server.tcp(EXTERNAL, 80, port, Rst, { sequence: 70_000_000 }).length, 0, "no RST does");
  t.same(router.ended, { TcpOutOfWindow: 1 });
  t.equal(a.tcp(SERVER, 4562, 80, Psh, far).length, 0, "nor what has no ACK");
  t.equal(a.tcp(SERVER, 4562, 80, Ack, far).length, 1);
  t.equal(server.tcp(EXTERNAL, 80, port, Ack, back).length, 1);
  const next = { sequence: 50_000_003, acknowledgment: 70_000_004 };
  t.equal(a.tcp(SERVER, 4562, 80, Fin | Ack, next).length, 1);
  t.match(router.conns()[0]?.phase, /^fin.?original$/i, "they are followed again");
  router.wait(240_000);
  server.tcp(EXTERNAL, 80, port, Ack, { ...back, sequence: 1_000_000_000 });
  t.same(router.ended, { TcpOutOfWindow: 1 }, "and judge when it is long ago");
});

t.test(
  "RFC 6888 R9: what PCP has given goes on, and its time where nothing was lost",
  async (t) => {
    const document = edge({ zones: ZONES.map((zone) => ({ ...zone, pcp: zone.id < 20 })) });
    const first = new Router(document);
    const ask = (router: Router, lifetime = 600, nonce = "mine") =>
      askPcp(around(router).a, mapRequest(TENANT, { lifetime, nonce }), GATEWAY);
    first.wait(100_000);
    const given = ask(first);
    t.equal(given?.result, Result.Success);
    const port = given?.port ?? 0;
    const stranger = (router: Router) => new Host(router, "wan", "198.51.100.77");
    stranger(first).udp(EXTERNAL, 999, port);
    const { router, fates } = restart(first, document, { elapsed: 60_000 });
    t.same([fates.grants, fates.conns], [{ Restored: 1 }, { Restored: 1 }]);
    t.match(stranger(router).udp(EXTERNAL, 998, port), [{ device: "lan-a" }]);
    t.equal(ask(router, 600, "another")?.result, Result.NotAuthorized, "whose nonce it is");
    t.match(ask(router), { result: Result.Success, port, epoch: 0 }, "the time begins anew");
    router.datapath.keepEpoch(60);
    t.equal(ask(router)?.epoch, 160, "unless the host says that nothing was lost");
    const late = restart(first, document, { elapsed: 599_000 }).router;
    late.wait(5000);
    stranger(late).udp(EXTERNAL, 997, port);
    t.same(late.ended, { Filtered: 1 }, "its lifetime went on");
    t.same(restart(first, document, { elapsed: 600_000 }).fates.grants, { Expired: 1 });
    t.same(restart(first, edge()).fates.grants, { Refused: 1 }, "the zone has PCP no more");
  },
);

t.test("RFC 5382 R6: numbers that a gateway has shifted stay shifted", async (t) => {
  const document = edge({ gateways: { ftp: true } });
  const first = new Router(document);
  const { a, server } = around(first);
  const [syn] = a.tcp(SERVER, 2000, 21, Syn);
  server.answer(syn);
  a.tcp(SERVER, 2000, 21, Ack);
  const port = portOf(syn ? [syn] : []);
  const [command] = a.tcp(SERVER, 2000, 21, Ack | Psh, { data: `PORT 192,168,0,10,11,184\r\n` });
  const growth = (command?.ip?.data.length ?? 0) - 26;
  t.not(growth, 0, "the text has another length");
  t.equal(server.tcp(EXTERNAL, 21, port, Ack).length, 1);
  const before = command?.ip?.payload.readUInt32BE(4) ?? 0;
  const { router, fates } = restart(first, document);
  t.same(fates.conns, { Restored: 1 });
  const [next] = around(router).a.tcp(SERVER, 2000, 21, Ack | Psh, { data: "NOOP\r\n" });
  t.equal(next?.ip?.payload.readUInt32BE(4), before + 26 + growth);
  t.equal(around(router).server.tcp(EXTERNAL, 21, port, Ack).length, 1);
});

t.test(
  "a switch while it is saved: zones mean what they meant when their conns were",
  async (t) => {
    const first = new Router(edge());
    for (let i = 0; i < 40; i++) around(first).a.udp(SERVER, 700 + i, 53);
    for (let i = 0; i < 40; i++) around(first).b.udp(SERVER, 700 + i, 53);
    const { datapath } = first;
    datapath.beginSave();
    const pieces: Uint8Array[] = [];
    for (let calls = 0; !datapath.isSaved; calls++) {
      const piece = new Uint8Array(32_768);
      pieces.push(piece.subarray(0, datapath.save(20, first.now, piece, 0)));
      // From here on number 11 is another tenant's: what b had is not its own.
      if (calls === 0) first.reconfigure(renamed());
    }
    const after = (document: Document) => {
      const router = new Router(document, { seed: 9 });
      const { conns } = router.restore([Buffer.concat(pieces)]);
      return { conns, zones: router.conns().map(({ original }) => original.zone) };
    };
    t.same(new Set(after(renamed()).zones), new Set([10]));
    t.notMatch(after(edge()).zones, [11], "b's were saved by nobody");
    t.equal(after(edge()).zones.length, 40);
  },
);

/** Tenant b has gone, its number is tenant c's. */
function renamed(): Document {
  const other = (name: string) => (name === "b" ? "c" : name);
  return edge({
    zones: ZONES.map((zone) => ({ ...zone, name: other(zone.name) })),
    devices: (edge().devices as { zone: string }[]).map((each) => ({
      ...each,
      zone: other(each.zone),
    })),
    neighbors: [],
    nat: [{ from: ["a", "c"], to: "public", pool: "p1" }],
  });
}

/** Conns of all kinds, to be tampered with. */
function busy(): Router {
  const document = edge({ neighbors: NEIGHBORS, gateways: { ftp: true } });
  const router = new Router(document);
  const { a, b, server } = around(router);
  connect(router);
  a.tcp(SERVER, 2000, 21, Syn);
  server.answer(b.ping(SERVER, 9)[0]);
  for (let i = 0; i < 4; i++) b.udp(SERVER, 700 + i, 53);
  a.send(SERVER, raw(47, "tunnel"));
  return router;
}

const saved = Buffer.concat(busy().save());

/** Where the records of conns begin, and how long they are. */
function findConns(records: Buffer): { at: number; length: number }[] {
  const found: { at: number; length: number }[] = [];
  for (let at = 0; at < records.length; ) {
    const length = records.readUInt16LE(at + SavedAt.Length);
    if (records[at] === SavedKind.Conn) found.push({ at, length });
    at += length;
  }
  return found;
}

function connRecords(): { at: number; length: number }[] {
  return findConns(saved);
}

holds(
  t,
  "whatever a record says: it is refused, or is a conn that leaks nothing and ends",
  fc.property(
    fc.array(
      fc.record({
        record: fc.nat(connRecords().length - 1),
        byte: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        value: fc.nat(255),
      }),
      { minLength: 1, maxLength: 6 },
    ),
    fc.boolean(),
    (changes, old) => {
      const records = Buffer.from(saved);
      for (const { record, byte, value } of changes) {
        const { at, length } = connRecords()[record] ?? { at: 0, length: 0 };
        const from = SavedAt.Bytes;
        records[at + from + Math.floor(byte * (length - from))] = value;
        if (value % 5 === 0) records[at + SavedAt.Parts] = value & 31;
      }
      const router = new Router(edge({ neighbors: NEIGHBORS }), { seed: 3 });
      const { conns } = router.restore([records], { old });
      const told = Object.values(conns).reduce((sum, each) => sum + each, 0);
      if (told !== connRecords().length) throw new Error(`${told} fates`);
      for (const conn of router.conns()) {
        const { original, reply } = conn;
        const isTenants = original.zone < 20 && reply.zone === 20;
        if (!isTenants || reply.destination !== EXTERNAL) throw new Error(formatConn(conn));
        if (reply.source !== original.destination) throw new Error(formatConn(conn));
      }
      router.wait(86_400_000);
      const left = [...router.conns(), ...router.mappings(), ...router.hosts()];
      if (left.length > 0) throw new Error(JSON.stringify(left));
      const { a } = router.counters().zones;
      if (a?.conns !== 0) throw new Error(`${a?.conns} conns counted`);
    },
  ),
  150,
);

t.test("two endpoints with one external port: the first that is restored has it", async (t) => {
  const first = new Router(edge({ neighbors: NEIGHBORS }));
  const { a, b } = around(first);
  const port = portOf(a.udp(SERVER, 700, 53));
  b.udp(SECOND, 700, 53);
  const records = Buffer.concat(first.save());
  const ends = findConns(records).map(({ at }) => at);
  const other = ends[1] ?? 0;
  records.writeUInt16LE(port, other + SavedConnAt.Reply + 10);
  records.writeUInt16LE(port, other + SavedConnAt.Bytes + SavedMappingAt.ExternalPort);
  const router = new Router(edge({ neighbors: NEIGHBORS }));
  t.same(router.restore([records]).conns, { Restored: 1, PortTaken: 1 });
  t.same(
    router.mappings().map(({ zone, externalPort }) => [zone, externalPort]),
    [[10, port]],
  );
});

t.test("the records of a conn are as long as their parts", async (t) => {
  t.ok(connRecords().length >= 8);
  for (const { length } of connRecords()) t.ok(length >= SavedConnAt.Bytes);
});
