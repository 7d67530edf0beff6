/** External addresses and ports: each is given once, all of them are given, and none is lost. */

import t from "tap";
import { Protocol, TcpFlags, udp } from "../../harness/frame.js";
import { around, EXTERNAL, edge, Host, SERVER } from "../../harness/host.js";
import { type Document, Router } from "../../harness/router.js";

/** An edge with one pool of one's own. */
function pooled(pool: Document, changes: Document = {}): Document {
  return edge({
    pools: [{ name: "p1", zone: "public", addresses: [EXTERNAL], ...pool }],
    ...changes,
  });
}

t.test("64,512 ports of one address: each once, none twice, then PoolExhausted", async (t) => {
  const capacity = { conns: 70_000, neighbors: 16, poolAddresses: 4, imageBytes: 65536 };
  const router = new Router(edge({ capacity }));
  const { a, b, server } = around(router);
  const frame = (i: number) =>
    (i % 2 === 0 ? a : b).frame(SERVER, udp({ sourcePort: i, destinationPort: 53, data: "" }));
  const ask = (from: number, count: number) =>
    router.sendTogether(
      Array.from({ length: count }, (_, i) => ({
        device: (from + i) % 2 === 0 ? "lan-a" : "lan-b",
        bytes: frame(from + i),
      })),
    );
  const ports = new Set<number>();
  for (let first = 0; first < 64_512; first += 1024) {
    for (const { ip } of ask(first, 1024)) ports.add(ip?.sourcePort ?? 0);
    if (router.ended.Forwarded !== 1024) t.fail(`${first}: ${JSON.stringify(router.ended)}`);
  }
  t.equal(ports.size, 64_512);
  t.equal(Math.min(...ports), 1024);
  t.equal(Math.max(...ports), 65_535);
  t.same(ask(64_512, 1000), []);
  t.same(router.ended, { PoolExhausted: 1000 }, "and nothing of the others is taken");
  t.equal(router.conns().length, 64_512);
  const [conn] = router.conns();
  const external = conn?.reply.destinationPort ?? 0;
  t.equal(server.udp(EXTERNAL, 53, external).length, 1, "a conn that is there goes on");
  t.equal(a.tcp(SERVER, 1, 80, TcpFlags.Syn).length, 1, "TCP has ports of its own");
  t.equal(a.ping(SERVER, 1).length, 1, "so has ICMP");
  router.wait(150_000);
  const kept = conn?.original.sourcePort ?? 0;
  router.send("lan-a", frame(kept));
  router.wait(151_000);
  t.equal(router.conns().filter(({ protocol }) => protocol === "udp").length, 1);
  const again = new Set(ask(1, 1024).map(({ ip }) => ip?.sourcePort));
  t.equal(again.size, 1024, "freed ports are usable again");
  t.notOk(again.has(external), "the one that is held is not given");
});

t.test("one address and one port: the second conn fails, the first is untouched", async (t) => {
  const router = new Router(pooled({ ports: "5000-5000" }));
  const { a, b, server } = around(router);
  const [out] = a.udp(SERVER, 1, 53);
  t.equal(out?.ip?.sourcePort, 5000);
  b.udp(SERVER, 1, 53);
  t.same(router.ended, { PoolExhausted: 1 });
  t.equal(server.answer(out)[0]?.device, "lan-a");
  t.equal(router.conns().length, 1);
  router.wait(301_000);
  t.equal(b.udp(SERVER, 1, 53)[0]?.ip?.sourcePort, 5000, "freed, it is given again");
});

t.test("a range at either end of the ports", async (t) => {
  for (const [ports, low, high] of [
    ["1-3", 1, 3],
    ["65534-65535", 65534, 65535],
    ["63-65", 63, 65],
    ["4095-4097", 4095, 4097],
  ] as const) {
    const router = new Router(pooled({ ports }));
    const { a } = around(router);
    const given = [];
    for (let port = low; port <= high; port++) {
      given.push(a.udp(SERVER, port, 53)[0]?.ip?.sourcePort ?? 0);
    }
    given.sort((x, y) => x - y);
    t.same(
      given,
      Array.from({ length: high - low + 1 }, (_, i) => low + i),
      ports,
    );
    a.udp(SERVER, 9, 53);
    t.same(router.ended, { PoolExhausted: 1 });
  }
});

t.test("RFC 4787 R2: one internal address keeps one external address", async (t) => {
  const router = new Router(
    pooled(
      { addresses: ["203.0.113.64/28", "203.0.113.40"] },
      { capacity: { conns: 1024, poolAddresses: 17 } },
    ),
  );
  const used = new Map<string, Set<string>>();
  for (let host = 2; host < 60; host++) {
    const tenant = new Host(router, host % 2 === 0 ? "lan-a" : "lan-b", `192.168.0.${host}`);
    for (const port of [1, 2, 3]) {
      const [udp] = tenant.udp(SERVER, port, 53);
      const [ping] = tenant.ping(SERVER, port);
      const seen = used.get(tenant.address) ?? new Set();
      used.set(tenant.address, seen.add(udp?.ip?.source ?? "").add(ping?.ip?.source ?? ""));
    }
  }
  t.ok([...used.values()].every((addresses) => addresses.size === 1));
  const all = new Set([...used.values()].flatMap((addresses) => [...addresses]));
  t.ok(all.size > 8, `${all.size} of 17 addresses are used`);
});

t.test("RFC 6888 R3: when its address is used up, a host gets another", async (t) => {
  const addresses = ["203.0.113.40", "203.0.113.50-203.0.113.51"];
  const router = new Router(pooled({ addresses, ports: "2000-2001" }));
  const { a } = around(router);
  const given = [];
  for (let port = 0; port < 6; port++) {
    const [sent] = a.udp(SERVER, port, 53);
    given.push(`${sent?.ip?.source}:${sent?.ip?.sourcePort}`);
  }
  const expected = ["40", "50", "51"].flatMap((last) => [
    `203.0.113.${last}:2000`,
    `203.0.113.${last}:2001`,
  ]);
  t.same(given.sort(), expected);
  a.udp(SERVER, 6, 53);
  t.same(router.ended, { PoolExhausted: 1 });
});

t.test("two pools share an address and never give one port twice", async (t) => {
  const pools = [
    { name: "p1", zone: "public", addresses: [EXTERNAL], ports: "2000-2009" },
    { name: "p2", zone: "public", addresses: [EXTERNAL], ports: "2005-2014" },
  ];
  const nat = [
    { from: ["a"], to: "public", pool: "p1" },
    { from: ["b"], to: "public", pool: "p2" },
  ];
  const router = new Router(edge({ pools, nat }));
  const { a, b } = around(router);
  const given = [];
  for (let port = 0; port < 10; port++) {
    given.push(...a.udp(SERVER, port, 53), ...b.udp(SERVER, port, 53));
  }
  const ports = given.map(({ ip }) => ip?.sourcePort ?? 0);
  t.equal(new Set(ports).size, ports.length);
  t.ok(ports.length >= 10 && ports.length <= 15, `${ports.length} ports given`);
});

t.test("RFC 6888 R15: the seed decides which ports, and nobody foresees them", async (t) => {
  const portsOf = (seed: number) => {
    const router = new Router(edge(), { seed });
    const { a } = around(router);
    return Array.from({ length: 200 }, (_, i) => a.udp(SERVER, i, 53)[0]?.ip?.sourcePort ?? 0);
  };
  const ports = portsOf(1);
  t.same(portsOf(1), ports);
  t.notSame(portsOf(2), ports);
  const steps = ports.slice(1).filter((port, i) => Math.abs(port - (ports[i] ?? 0)) < 256);
  t.ok(steps.length < 20, "they do not follow each other");
});

t.test("a port that a forward leads inside is nobody else's, whatever it talks to", async (t) => {
  const forwards = [
    {
      protocol: "udp",
      zone: "public",
      address: EXTERNAL,
      port: 5000,
      to: { zone: "b", address: "192.168.0.10", port: 53 },
    },
  ];
  const router = new Router(pooled({ ports: "5000-5001" }, { forwards }));
  const { a, server } = around(router);
  const [inward] = server.udp(EXTERNAL, 700, 5000);
  t.equal(inward?.device, "lan-b");
  const [out] = a.udp(SERVER, 1, 700);
  t.equal(out?.ip?.sourcePort, 5001);
  a.udp(SERVER, 2, 700);
  t.same(router.ended, { PoolExhausted: 1 }, "not the forward's");
  a.udp(SERVER, 1, 701);
  t.same(router.ended, { PoolExhausted: 1 }, "nor towards another endpoint");
});

t.test("a forward that is configured later takes its port from the conn that has it", async (t) => {
  const forwards = [
    {
      protocol: "udp",
      zone: "public",
      address: EXTERNAL,
      port: 5000,
      to: { zone: "b", address: "192.168.0.10", port: 53 },
    },
  ];
  const router = new Router(pooled({ ports: "5000-5000" }));
  const { a, server } = around(router);
  t.equal(a.udp(SERVER, 1, 700)[0]?.ip?.sourcePort, 5000);
  router.reconfigure(pooled({ ports: "5000-5000" }, { forwards }));
  t.equal(server.udp(EXTERNAL, 700, 5000).length, 0, "the old conn ends");
  t.same(router.ended, { ConnRevoked: 1 });
  t.equal(server.udp(EXTERNAL, 700, 5000)[0]?.device, "lan-b", "then it is the forward's");
});

t.test("protocols without ports need none", async (t) => {
  const router = new Router(pooled({ ports: "5000-5000" }));
  const { a, server } = around(router);
  a.udp(SERVER, 1, 53);
  const gre = { protocol: Protocol.Gre, bytes: () => Buffer.from("gre") };
  const [out] = a.send(SERVER, gre);
  t.equal(server.answer(out)[0]?.device, "lan-a");
  router.wait(700_000);
  t.same(router.conns(), []);
  t.equal(a.send(SERVER, gre).length, 1);
});

t.test("whatever ends a conn, or keeps it from beginning, gives its port back", async (t) => {
  const nat = "zone=a actions=nat(src_zone=a,dst_zone=public,masq=p1)";
  const base = { ports: "5000-5000" };
  const flowing = (...flows: string[]) => pooled(base, { nat: [], flows: [nat, ...flows] });
  const short = { capacity: { conns: 1, neighbors: 16 } };
  const datagram = udp({ sourcePort: 1, destinationPort: 53, data: "x".repeat(100) });
  const devices = edge().devices as Document[];
  const narrow = devices.map((each) => (each.name === "wan" ? { ...each, mtu: 68 } : each));
  const ways: Record<string, [Document, (router: Router, a: Host) => unknown]> = {
    expiry: [
      flowing(),
      (router, a) => {
        a.send(SERVER, datagram);
        router.wait(301_000);
      },
    ],
    "time exceeded": [flowing(), (_, a) => a.send(SERVER, datagram, { ttl: 1 })],
    "no route": [{ ...flowing(), routes: [] }, (_, a) => a.send("8.8.8.8", datagram)],
    broadcast: [flowing(), (_, a) => a.send("203.0.113.255", datagram)],
    "a second pass that drops": [
      flowing("conn_state=+tracked,udp,tp_dst=53 actions=drop"),
      (_, a) => a.send(SERVER, datagram),
    ],
    "too big": [
      { ...flowing(), devices: narrow },
      (_, a) => a.send(SERVER, datagram, { fragment: 0x4000 }),
    ],
    "revoked by a packet": [
      flowing(),
      (router, a) => {
        a.send(SERVER, datagram);
        router.reconfigure(pooled(base, { nat: [], flows: [] }));
        a.send(SERVER, datagram);
        router.reconfigure(flowing());
      },
    ],
    "revoked by the sweep": [
      flowing(),
      (router, a) => {
        a.send(SERVER, datagram);
        router.reconfigure(pooled(base, { nat: [], flows: [] }));
        router.wait(0);
        router.reconfigure(flowing());
      },
    ],
    "a full table": [
      { ...flowing(), ...short },
      (router, a) => {
        a.send(SERVER, datagram);
        a.send("203.0.113.98", datagram);
        router.wait(301_000);
      },
    ],
  };
  for (const [name, [document, end]] of Object.entries(ways)) {
    const router = new Router(document);
    const { a } = around(router);
    end(router, a);
    const [sent] = a.udp(SERVER, 2, 54, "");
    t.equal(sent?.ip?.sourcePort, 5000, name);
  }
});
