/** RFC 4787: UDP behind a pool. Mapping, filtering, timers and hairpin. */

import t from "tap";
import { TcpFlags, udp } from "../harness/frame.js";
import { EXTERNAL, Host, SERVER, TENANT } from "../harness/host.js";
import {
  BEHAVIOURS,
  begin,
  checkBehaviour,
  endpointOf,
  isProhibited,
  NEIGHBORS,
  nat,
  portOf,
  SECOND,
} from "../harness/nat.js";

t.test("RFC 4787 R1; RFC 4787 R8: each mapping with each filtering, for UDP", async (t) => {
  for (const mapping of BEHAVIOURS) {
    for (const filtering of BEHAVIOURS) checkBehaviour(t, "udp", mapping, filtering);
  }
});

t.test("RFC 4787 R1: by default an endpoint has one port for everybody", async (t) => {
  const { router, a } = nat();
  const ports = [SERVER, SECOND, "8.8.8.8"].flatMap((to) =>
    [1, 53, 65535].map((port) => endpointOf(a.udp(to, 4562, port))),
  );
  t.equal(new Set(ports).size, 1);
  t.same(
    router.mappings().map(({ mapping, filtering, conns }) => ({ mapping, filtering, conns })),
    [{ mapping: "endpoint-independent", filtering: "address-dependent", conns: 9 }],
  );
});

t.test("RFC 4787 R2: all endpoints of a host have one external address", async (t) => {
  const addresses = ["203.0.113.64/28"];
  const { router } = nat({ addresses }, { capacity: { conns: 1024, poolAddresses: 16 } });
  const used = new Set<string | undefined>();
  for (let last = 2; last < 40; last++) {
    const host = new Host(router, "lan-a", `192.168.0.${last}`);
    const its = new Set([1, 2, 3, 4].map((port) => host.udp(SERVER, port, 53)[0]?.ip?.source));
    t.equal(its.size, 1);
    used.add([...its][0]);
  }
  t.ok(used.size > 8, "and hosts have different ones");
});

t.test("RFC 4787 R3: no two inside endpoints have one external endpoint", async (t) => {
  const { a, b } = nat({ ports: "5000-5007" });
  const given = [1, 2, 3, 4].flatMap((port) => [
    portOf(a.udp(SERVER, port, 53)),
    portOf(b.udp(SECOND, port, 54)),
  ]);
  t.same(given.sort(), [5000, 5001, 5002, 5003, 5004, 5005, 5006, 5007]);
  t.ok(isProhibited(a.udp("8.8.8.8", 5, 53)), "not towards another destination either");
});

t.test("RFC 4787 R3a: a port keeps its class, below 1024 or not", async (t) => {
  const { router, a, b } = nat({ ports: "1000-1047" });
  for (let port = 0; port < 24; port++) {
    t.ok(portOf(a.udp(SERVER, 500 + port, 53)) < 1024);
    t.ok(portOf(b.udp(SERVER, 5000 + port, 53)) >= 1024);
  }
  t.ok(isProhibited(a.udp(SERVER, 600, 53)));
  t.equal(router.ended.PoolExhausted, 1);
});

t.test(
  "RFC 4787 R4; RFC 7857 S8: a port keeps its parity where the pool asks for it",
  async (t) => {
    const { a } = nat({ ports: "5000-5039", parity: true });
    for (let port = 100; port < 140; port++) {
      t.equal(portOf(a.udp(SERVER, port, 53)) % 2, port % 2);
    }
    const odd = nat({ ports: "5001-5001", parity: true });
    t.equal(portOf(odd.a.udp(SERVER, 2, 53)), 5001, "given up when nothing else is left");
  },
);

t.test("RFC 4787 R5; RFC 4787 R5c: without traffic for five minutes", async (t) => {
  const { router, a, server } = nat();
  const out = a.udp(SERVER, 1, 53);
  router.wait(299_000);
  t.equal(server.answer(out[0]).length, 1);
  router.wait(301_000);
  t.same(router.conns(), []);
});

t.test("RFC 4787 R5a: shorter towards a well-known port alone", async (t) => {
  const ports = [{ protocol: "udp", port: 53, seconds: 10 }];
  const { router, a } = nat({}, { timeouts: { ports } });
  a.udp(SERVER, 1, 53);
  a.udp(SERVER, 1, 54);
  router.wait(11_000);
  t.same(
    router.conns().map(({ original }) => original.destinationPort),
    [54],
  );
  t.equal(router.mappings().length, 1, "the mapping stays for the other");
});

t.test("RFC 4787 R5b: as configured, for all and for a zone", async (t) => {
  const zones = [
    { id: 10, name: "a", timeouts: { udp: 60 } },
    { id: 11, name: "b" },
    { id: 20, name: "public" },
  ];
  const { router, a, b } = nat({}, { zones, timeouts: { udp: 180 } });
  a.udp(SERVER, 1, 53);
  b.udp(SERVER, 1, 53);
  router.wait(61_000);
  t.same(
    router.conns().map(({ original }) => original.zone),
    [11],
  );
  router.wait(120_000);
  t.same(router.conns(), []);
});

t.test("RFC 4787 R6: packets from inside prolong a mapping", async (t) => {
  const { router, a } = nat({ inboundRefresh: false });
  const port = portOf(a.udp(SERVER, 1, 53));
  for (let n = 0; n < 5; n++) {
    router.wait(250_000);
    t.equal(portOf(a.udp(SERVER, 1, 53)), port);
  }
});

t.test(
  "RFC 4787 R6a; RFC 7857 S5: packets from outside prolong it where the pool says so",
  async (t) => {
    for (const inboundRefresh of [true, false]) {
      const { router, a, server } = nat({ inboundRefresh });
      const out = a.udp(SERVER, 1, 53);
      router.wait(200_000);
      t.equal(server.answer(out[0]).length, 1);
      router.wait(200_000);
      t.equal(router.conns().length, inboundRefresh ? 1 : 0, `${inboundRefresh}`);
    }
  },
);

t.test("RFC 4787 R6: an end that is announced from outside counts in any case", async (t) => {
  for (const inboundRefresh of [true, false]) {
    const { router, a, server } = nat({ inboundRefresh });
    const port = portOf(a.tcp(SERVER, 1, 80, TcpFlags.Syn));
    server.tcp(EXTERNAL, 80, port, TcpFlags.Syn | TcpFlags.Ack);
    a.tcp(SERVER, 1, 80, TcpFlags.Ack);
    // The sweep after a switch shortens conns, too, and is over then.
    router.wait(0);
    server.tcp(EXTERNAL, 80, port, TcpFlags.Rst | TcpFlags.Ack);
    router.wait(241_000);
    t.same(router.conns(), [], `${inboundRefresh}`);
  }
});

t.test("RFC 4787 R7: inside and outside may have the same addresses", async (t) => {
  const { router, a } = nat(
    {},
    {
      devices: [
        { name: "lan-a", zone: "a", interface: "eth1", vlan: 10, addresses: ["203.0.113.254/24"] },
        { name: "lan-b", zone: "b", interface: "eth1", vlan: 11, addresses: ["203.0.113.254/24"] },
        { name: "wan", zone: "public", interface: "eth0", addresses: ["203.0.113.2/24"] },
      ],
      neighbors: [
        ...NEIGHBORS.slice(2),
        { zone: "a", address: SECOND, mac: "06:00:0a:00:71:62" },
        { zone: "b", address: EXTERNAL, mac: "06:00:0b:00:71:07" },
      ],
    },
  );
  t.equal(a.device, "lan-a");
  const server = new Host(router, "wan", SERVER);
  for (const host of [new Host(router, "lan-a", SECOND), new Host(router, "lan-b", EXTERNAL)]) {
    const out = host.udp(SERVER, 4562, 53);
    t.equal(out[0]?.ip?.source, EXTERNAL);
    const [back] = server.answer(out[0]);
    t.equal(`${back?.device} ${back?.ip?.destination}`, `${host.device} ${host.address}`);
  }
});

t.test("RFC 4787 R8a: each pool has its own filtering", async (t) => {
  const pools = BEHAVIOURS.slice(0, 2).map((filtering, i) => ({
    name: `p${i}`,
    zone: "public",
    addresses: [`203.0.113.${7 + i}`],
    filtering,
  }));
  const { router, a, b, third } = nat(
    {},
    {
      pools,
      nat: [
        { from: ["a"], to: "public", pool: "p0" },
        { from: ["b"], to: "public", pool: "p1" },
      ],
    },
  );
  t.equal(third.udp(EXTERNAL, 9, portOf(a.udp(SERVER, 1, 53)))[0]?.device, "lan-a");
  t.same(third.udp("203.0.113.8", 9, portOf(b.udp(SERVER, 1, 53))), []);
  t.same(router.ended, { Filtered: 1 });
});

t.test("RFC 4787 R9; RFC 4787 R9a: two hosts meet by their external endpoints", async (t) => {
  const { router, a, b } = nat({ filtering: "endpoint-independent" });
  const other = new Host(router, "lan-a", "192.168.0.11");
  other.ask("192.168.0.1");
  const endpoints = [a, b, other].map((host) => ({ host, port: portOf(host.udp(SERVER, 1, 53)) }));
  for (const from of endpoints) {
    for (const to of endpoints.filter((each) => each !== from)) {
      const [sent] = from.host.udp(EXTERNAL, 1, to.port);
      t.equal(`${sent?.device} ${sent?.ip?.destination}`, `${to.host.device} ${to.host.address}`);
      t.equal(sent?.ip?.destinationPort, 1);
      t.equal(`${sent?.ip?.source}:${sent?.ip?.sourcePort}`, `${EXTERNAL}:${from.port}`);
      const [back] = to.host.answer(sent);
      t.equal(`${back?.device} ${back?.ip?.source}`, `${from.host.device} ${EXTERNAL}`);
      t.equal(back?.ip?.sourcePort, to.port);
    }
  }
});

t.test("RFC 4787 R9: the filter holds for who comes from inside, too", async (t) => {
  const to = { zone: "a", address: TENANT, port: 80 };
  const forwards = [{ protocol: "udp", zone: "public", address: EXTERNAL, port: 8080, to }];
  const { router, a, b } = nat({}, { forwards });
  const port = portOf(b.udp(SERVER, 1, 53));
  t.same(a.udp(EXTERNAL, 1, port), []);
  t.same(router.ended, { Filtered: 1 });
  const [turned] = b.udp(EXTERNAL, 1, 8080);
  t.equal(
    `${turned?.device} ${turned?.ip?.source}:${turned?.ip?.sourcePort}`,
    `lan-a ${EXTERNAL}:${port}`,
  );
  t.equal(a.udp(EXTERNAL, 1, port)[0]?.device, "lan-b", "b has sent to that address");
});

t.test("RFC 4787 R11: the same again, also when ports run short", async (t) => {
  const run = () => {
    const { router, a, b } = nat({ ports: "5000-5003" });
    const seen = Array.from({ length: 12 }, (_, i) => {
      const sent = (i % 2 === 0 ? a : b).udp(i % 3 === 0 ? SERVER : SECOND, i % 7, 53);
      return `${Object.keys(router.ended)} ${sent[0]?.ip?.source}:${sent[0]?.ip?.sourcePort}`;
    });
    return { seen, router, a };
  };
  const { seen, router, a } = run();
  t.same(run().seen, seen);
  t.ok(seen.some((each) => each.startsWith("PoolExhausted")));
  const [kept] = router.mappings().filter(({ zone }) => zone === 10);
  t.equal(portOf(a.udp("8.8.8.8", kept?.port ?? 0, 9)), kept?.externalPort, TENANT);
});

t.test("RFC 4787 R9: two tenants that open to each other find through", async (t) => {
  for (const protocol of ["udp", "tcp"]) {
    const { router, a, b } = nat();
    const ofA = portOf(begin(protocol, a, SERVER, 5000));
    const ofB = portOf(begin(protocol, b, SERVER, 6000));
    t.same(begin(protocol, a, EXTERNAL, 5000, ofB), [], "the other's filter is not open yet");
    t.same(router.ended, { Filtered: 1 });
    const [first] = begin(protocol, b, EXTERNAL, 6000, ofA);
    t.equal(`${first?.device} ${endpointOf(first ? [first] : [])}`, `lan-a ${EXTERNAL}:${ofB}`);
    t.equal(begin(protocol, a, EXTERNAL, 5000, ofB)[0]?.device, "lan-b", "and back");
    t.equal(portOf(begin(protocol, a, SERVER, 5000, 54)), ofA, "by the ports that they have");
    t.equal(router.conns().length, 4, "the conn that waited has made way");
  }
});

t.test("RFC 4787 R9: who waits for another tenant gets no answer from outside", async (t) => {
  const { router, a, b, third } = nat();
  const ofA = portOf(a.udp(SERVER, 5000, 53));
  const ofB = portOf(b.udp(SERVER, 6000, 53));
  a.udp(EXTERNAL, 5000, ofB);
  const ports = { sourcePort: ofB, destinationPort: ofA };
  t.same(third.send(EXTERNAL, udp({ ...ports, data: "forged" }), { source: EXTERNAL }), []);
  t.same(router.ended, { IpBadSource: 1 });
  router.wait(1_000_000);
  t.same([router.conns(), router.mappings(), router.hosts()], [[], [], []]);
});
