/** The conn table: whose reply it is, how long a conn lives, and what happens when there is no room. */

import t from "tap";
import { numberOf, raw, TcpFlags, udp } from "../../harness/frame.js";
import { around, bareEdge, EXTERNAL, edge, Host, SERVER, TENANT } from "../../harness/host.js";
import { type Document, macIn, Router } from "../../harness/router.js";

const { Syn, Ack, Fin, Rst } = TcpFlags;

t.test("RFC 4787 R7: two tenants with one address, one port, at once", async (t) => {
  const router = new Router(edge());
  const { a, b, server } = around(router);
  const [fromA] = a.udp(SERVER, 4562, 53, "of a");
  const [fromB] = b.udp(SERVER, 4562, 53, "of b");
  t.not(fromA?.ip?.sourcePort, fromB?.ip?.sourcePort);
  t.same([server.answer(fromB)[0]?.device, server.answer(fromA)[0]?.device], ["lan-b", "lan-a"]);
  t.same(
    router.conns().map(({ original }) => original.zone),
    [10, 11],
  );
});

t.test("the same, in one batch", async (t) => {
  const router = new Router(edge());
  const { a, b, server } = around(router);
  const payload = raw(200, "protocol 200");
  const sent = router.sendTogether([
    { device: "lan-a", bytes: a.frame(SERVER, payload) },
    { device: "lan-a", bytes: a.frame(SERVER, payload) },
    { device: "lan-b", bytes: b.frame(SERVER, payload) },
  ]);
  t.same(router.ended, { Forwarded: 2, ProtocolAmbiguous: 1 });
  t.equal(server.answer(sent[1])[0]?.device, "lan-a");
  t.equal(router.conns().length, 1, "the second packet found the first one's conn");
});

/** As many tenants as VLANs, all of them 10.1.0.3 behind 10.1.0.2. */
function tenants(count: number): Document {
  const ids = Array.from({ length: count }, (_, i) => i + 1);
  return edge({
    zones: [...ids.map((id) => ({ id, name: `t${id}` })), { id: 5000, name: "public" }],
    devices: [
      ...ids.map((id) => ({
        name: `lan${id}`,
        zone: `t${id}`,
        interface: "eth1",
        vlan: id,
        addresses: ["10.1.0.2/24"],
      })),
      { name: "wan", zone: "public", interface: "eth0", addresses: ["10.3.0.1/24"] },
    ],
    routes: [],
    neighbors: [
      ...ids.map((id) => ({
        zone: id,
        address: "10.1.0.3",
        mac: macIn(id, numberOf("10.1.0.3")),
      })),
      { zone: "public", address: "10.3.0.99", mac: macIn(5000, numberOf("10.3.0.99")) },
    ],
    pools: [{ name: "p", zone: "public", addresses: ["10.3.0.7"] }],
    nat: [{ from: ids.map((id) => `t${id}`), to: "public", pool: "p" }],
    capacity: { conns: 4096, neighbors: 4096, poolAddresses: 4, imageBytes: 1 << 20 },
  });
}

t.test("peers P1; peers P2: 100 tenants ping, and connect from port 10000, at once", async (t) => {
  const router = new Router(tenants(100));
  const server = new Host(router, "wan", "10.3.0.99");
  const hosts = router.config.devices
    .slice(0, -1)
    .map(({ name }) => new Host(router, name, "10.1.0.3"));
  for (let round = 0; round < 3; round++) {
    const asked = [
      ...hosts.map((host) => host.ping("10.3.0.99", 7, host.device)[0]),
      ...hosts.map((host) => host.tcp("10.3.0.99", 10000, 5201, Syn)[0]),
      ...hosts.map((host) => host.udp("10.3.0.99", 10000, 5201, host.device)[0]),
    ];
    t.equal(
      new Set(
        asked.map(
          (each) => `${each?.ip?.protocol} ${each?.ip?.identifier} ${each?.ip?.sourcePort}`,
        ),
      ).size,
      300,
    );
    const answered = asked.map((each) => server.answer(each));
    t.same(
      answered.map(([each]) => each?.device),
      [...hosts, ...hosts, ...hosts].map(({ device }) => device),
    );
    t.ok(answered.every((each) => each.length === 1));
  }
  const { zones } = router.counters();
  for (const { device } of hosts) {
    const zone = zones[device.replace("lan", "t")];
    t.same([zone?.rxPackets, zone?.txPackets, zone?.conns], [9, 9, 3]);
  }
});

t.test("peers P3: 2,000 tenants with one UDP tuple", async (t) => {
  const router = new Router(tenants(2000));
  const server = new Host(router, "wan", "10.3.0.99");
  const names = router.config.devices.slice(0, -1).map(({ name }) => name);
  const question = udp({ sourcePort: 10000, destinationPort: 5201 });
  const sent = router.sendTogether(
    names.map((device) => ({
      device,
      bytes: new Host(router, device, "10.1.0.3").frame("10.3.0.99", question),
    })),
  );
  const answers = sent.map(({ ip }) => {
    const ports = { sourcePort: 5201, destinationPort: ip?.sourcePort ?? 0 };
    return server.frame("10.3.0.7", udp(ports));
  });
  const back = router.send("wan", ...answers);
  t.same(
    back.map(({ device }) => device),
    names,
  );
  t.equal(router.conns().length, 2000);
});

const TIMEOUTS = { udp: 100, tcpEstablished: 1000, tcpTransitory: 50, icmp: 20, other: 70 };

/** Milliseconds that the only conn lives if nothing more comes, to within two ticks. */
function lifetime(router: Router): number {
  const from = router.now;
  for (let ms = 0; ms < 2_000_000; ms += 500) {
    if (router.conns().length === 0) return Math.floor((router.now - from) / 1000);
    router.wait(500);
  }
  return Number.POSITIVE_INFINITY;
}

t.test("RFC 4787 R5; RFC 5382 R5; RFC 5508 R2: timeouts by protocol", async (t) => {
  const cases = {
    udp: (host: Host) => host.udp(SERVER, 1, 53),
    icmp: (host: Host) => host.ping(SERVER, 1),
    tcpTransitory: (host: Host) => host.tcp(SERVER, 1, 80, Syn),
    other: (host: Host) => host.send(SERVER, raw(47, "gre")),
  };
  for (const [name, send] of Object.entries(cases)) {
    const router = new Router(edge({ timeouts: TIMEOUTS }));
    const { a, server } = around(router);
    send(a);
    const seconds = TIMEOUTS[name as keyof typeof TIMEOUTS];
    t.equal(lifetime(router), seconds, name);
    send(a);
    router.wait((seconds - 1) * 1000);
    send(a);
    t.equal(lifetime(router), seconds, `${name}: outbound refreshes (RFC 4787 R6)`);
    if (name !== "tcpTransitory") {
      const [again] = send(a);
      server.answer(again);
      t.equal(lifetime(router), seconds, `${name}: answered`);
    }
  }
});

t.test("RFC 4787 R5c: the defaults are those of the RFCs", async (t) => {
  const router = new Router(edge());
  const { a, server } = around(router);
  a.udp(SERVER, 1, 53);
  a.ping(SERVER, 1);
  server.answer(a.tcp(SERVER, 1, 80, Syn)[0]);
  a.tcp(SERVER, 2, 80, Syn);
  t.same(
    router.conns().map(({ protocol, phase, expiresInMs }) => [protocol, phase, expiresInMs / 1000]),
    [
      ["udp", "new", 300],
      ["icmp", "new", 60],
      ["tcp", "established", 7440],
      ["tcp", "new", 240],
    ],
  );
});

t.test("RFC 7857 2: timers of TCP follow its phases", async (t) => {
  const timed = (steps: readonly [from: "a" | "server", flags: number][]) => {
    const router = new Router(edge({ timeouts: TIMEOUTS }));
    const { a, server } = around(router);
    const [out] = a.tcp(SERVER, 1, 80, Syn);
    const port = out?.ip?.sourcePort ?? 0;
    for (const [from, flags] of steps) {
      if (from === "a") a.tcp(SERVER, 1, 80, flags);
      else server.tcp(EXTERNAL, 80, port, flags);
    }
    const phase = router.conns()[0]?.phase;
    return [phase, lifetime(router)];
  };
  t.same(timed([]), ["new", 50], "SYN");
  t.same(timed([["a", Syn]]), ["new", 50], "SYN again");
  t.same(timed([["server", Syn | Ack]]), ["established", 1000], "answered");
  t.same(
    timed([
      ["server", Syn | Ack],
      ["a", Ack],
    ]),
    ["established", 1000],
  );
  t.same(timed([["server", Rst | Ack]]), ["reset", 50], "refused");
  t.same(
    timed([
      ["server", Syn | Ack],
      ["a", Fin | Ack],
    ]),
    ["fin-original", 1000],
    "FIN from inside: half-closed",
  );
  t.same(
    timed([
      ["server", Syn | Ack],
      ["server", Fin | Ack],
    ]),
    ["fin-reply", 1000],
    "from outside",
  );
  t.same(
    timed([
      ["server", Syn | Ack],
      ["a", Rst],
    ]),
    ["reset", 50],
    "RST",
  );
  t.same(
    timed([
      ["server", Syn | Ack],
      ["a", Fin | Ack],
      ["server", Ack],
    ]),
    ["fin-original", 1000],
    "the other side may go on",
  );
  t.same(
    timed([
      ["server", Syn | Ack],
      ["a", Fin | Ack],
      ["server", Fin | Ack],
      ["a", Ack],
    ]),
    ["closing", 50],
    "both",
  );
  t.same(
    timed([
      ["server", Syn | Ack],
      ["a", Fin | Ack],
      ["server", Fin | Ack],
      ["a", Syn],
    ]),
    ["new", 50],
    "RFC 9293 3.6.1: opened anew",
  );
  t.same(
    timed([
      ["server", Rst | Ack],
      ["a", Syn],
      ["server", Syn | Ack],
    ]),
    ["established", 1000],
    "and answered",
  );
});

t.test("conns expire on time across the wrap of the 32-bit clock", async (t) => {
  for (const before of [0, 1, 50_000, 99_000, 150_000]) {
    const router = new Router(edge({ timeouts: TIMEOUTS }), { now: 2 ** 32 - before });
    const { a, server } = around(router);
    const [out] = a.udp(SERVER, 1, 53);
    t.equal(router.conns()[0]?.expiresInMs, 100_000);
    router.wait(60_000);
    t.equal(router.conns()[0]?.ageMs, 60_000);
    server.answer(out);
    t.equal(router.conns()[0]?.expiresInMs, 100_000);
    t.equal(lifetime(router), 100, `begun ${before} ms before`);
  }
});

t.test("the longest timeout", async (t) => {
  const router = new Router(edge({ timeouts: { tcpEstablished: 1_000_000 } }));
  const { a, server } = around(router);
  server.answer(a.tcp(SERVER, 1, 80, Syn)[0]);
  router.wait(999_999_000);
  t.equal(router.conns().length, 1);
  router.wait(2000);
  t.equal(router.conns().length, 0);
});

t.test("a conn that expired gives everything back", async (t) => {
  const router = new Router(edge({ capacity: { conns: 8, neighbors: 16 } }));
  const { a, b, server } = around(router);
  for (let round = 0; round < 20; round++) {
    const host = round % 2 === 0 ? a : b;
    for (let port = 0; port < 8; port++) host.udp(SERVER, port, 53);
    t.same(router.ended, { Forwarded: 1 });
    t.equal(router.conns().length, 8);
    router.wait(301_000);
    t.same(router.conns(), []);
  }
  t.same(server.udp(EXTERNAL, 53, 40000), []);
  t.equal(router.counters().zones.a?.connsCreated, 80);
  t.equal(router.counters().zones.a?.conns, 0);
});

t.test(
  "a full table: exactly as many conns as it holds, those that are there untouched",
  async (t) => {
    for (const conns of [1, 2, 100, 1000]) {
      const router = new Router(edge({ capacity: { conns, neighbors: 16 } }));
      const { a, server } = around(router);
      const sent = [];
      for (let port = 0; port < conns; port++) sent.push(...a.udp(SERVER, port, 53));
      t.equal(router.conns().length, conns);
      a.udp(SERVER, 60000, 53);
      t.same(router.ended, { ConnTableFull: 1 });
      const backs = sent.map((each) => server.answer(each)[0]?.ip?.destinationPort);
      t.same(
        backs,
        sent.map((_, port) => port),
      );
    }
  },
);

t.test("peers P18; peers P34: a zone's limit: exactly that many, and its own alone", async (t) => {
  const zones = [
    { id: 10, name: "a", limits: { conns: 5 } },
    { id: 11, name: "b" },
    { id: 20, name: "public" },
  ];
  const router = new Router(edge({ zones }));
  const { a, b } = around(router);
  for (let port = 0; port < 10; port++) {
    a.udp(SERVER, port, 53);
    t.same(router.ended, port < 5 ? { Forwarded: 1 } : { ZoneConnLimit: 1 });
    b.udp(SERVER, port, 53);
    t.same(router.ended, { Forwarded: 1 });
  }
  a.udp(SERVER, 0, 53);
  t.same(router.ended, { Forwarded: 1 }, "a conn that is there goes on");
  t.equal(router.counters().zones.a?.conns, 5);
  router.wait(200_000);
  a.udp(SERVER, 4, 53);
  router.wait(101_000);
  t.equal(router.counters().zones.a?.conns, 1);
  a.udp(SERVER, 7, 53);
  t.same(router.ended, { Forwarded: 1 }, "room again");
});

t.test("two conns whose answers would look the same: TupleInUse", async (t) => {
  const router = new Router(
    bareEdge(["zone=a actions=route(zone=public)", "zone=b actions=route(zone=public)"]),
  );
  const { a, b } = around(router);
  t.equal(a.udp(SERVER, 1, 53)[0]?.ip?.source, TENANT);
  t.same(b.udp(SERVER, 1, 53), []);
  t.same(router.ended, { TupleInUse: 1 });
  t.equal(b.udp(SERVER, 2, 53).length, 1);
  t.equal(router.conns().length, 2);
});

t.test("more conns than one listing has rows", async (t) => {
  const router = new Router(edge());
  const { a } = around(router);
  for (let port = 0; port < 600; port++) a.udp(SERVER, port, 53);
  const ports = router.conns().map(({ original }) => original.sourcePort);
  t.same(
    ports.sort((x, y) => x - y),
    Array.from({ length: 600 }, (_, i) => i),
  );
});

t.test("packets and bytes, by direction", async (t) => {
  const router = new Router(edge());
  const { a, server } = around(router);
  const [out] = a.udp(SERVER, 1, 53, "x".repeat(100));
  a.udp(SERVER, 1, 53, "x".repeat(100));
  server.answer(out);
  a.send(SERVER, raw(17, Buffer.from("0001003500080000", "hex")), { ttl: 1 });
  const [conn] = router.conns();
  t.same(
    [conn?.originalPackets, conn?.originalBytes],
    [2, 256],
    "what was not sent on is not counted",
  );
  t.same([conn?.replyPackets, conn?.replyBytes], [1, 34]);
});

t.test("a deadline that moves earlier is kept: RST late in a long life", async (t) => {
  const router = new Router(edge({ timeouts: { ...TIMEOUTS, tcpEstablished: 7440 } }));
  const { a, server } = around(router);
  const [out] = a.tcp(SERVER, 1, 80, Syn);
  server.answer(out);
  a.tcp(SERVER, 1, 80, Ack);
  router.wait(245_000);
  a.tcp(SERVER, 1, 80, Rst);
  t.equal(lifetime(router), 50);
});

t.test("a timeout that a configuration makes shorter holds for conns that are there", async (t) => {
  const router = new Router(edge({ timeouts: { udp: 1000 } }));
  around(router).a.udp(SERVER, 1, 53);
  router.reconfigure(edge({ timeouts: { udp: 10 } }));
  t.equal(lifetime(router), 10);
});
