/** How external ports are chosen: at random, as inside, in blocks, by the host's address, or shared. */

import t from "tap";
import { EventClass, EventKind } from "../../assembly/abi.js";
import { formatAddress } from "../../host/config/address.js";
import { externalOf, ownerOf, planOf } from "../../host/config/deterministic.js";
import { TcpFlags } from "../harness/frame.js";
import { EXTERNAL, Host, SERVER, TENANT } from "../harness/host.js";
import { begin, endpointOf, isProhibited, nat, portOf, SECOND, THIRD } from "../harness/nat.js";

t.test("RFC 6056 S1: ports are spread evenly over the whole range", async (t) => {
  const capacity = { conns: 8192, neighbors: 64, poolAddresses: 4, imageBytes: 65536 };
  const { a } = nat({}, { capacity }, { seed: 7 });
  const bins = new Array<number>(64).fill(0);
  for (let i = 0; i < 6400; i++) {
    const bin = Math.floor((portOf(a.udp(SERVER, 1024 + i, 53)) - 1024) / 1008);
    bins[bin] = (bins[bin] ?? 0) + 1;
  }
  const chi = bins.reduce((sum, count) => sum + (count - 100) ** 2 / 100, 0);
  // 63 degrees of freedom: between these in 99.8 of 100 cases; less than even is as strange as more
  t.ok(chi > 32 && chi < 104, `chi-square ${chi}`);
});

t.test("RFC 6056 S2: the key decides, and each port is drawn anew", async (t) => {
  const portsOf = (seed: number) => {
    const { a } = nat({}, {}, { seed });
    return Array.from({ length: 100 }, (_, i) => portOf(a.udp(SERVER, i, 53)));
  };
  const ports = portsOf(1);
  t.same(portsOf(1), ports);
  const other = portsOf(2);
  t.ok(ports.filter((port, i) => port === other[i]).length < 3);
});

t.test(
  "RFC 4787 R3: preserve: the inside port where it is free, for one; else another",
  async (t) => {
    const { a, b } = nat({ allocation: "preserve", ports: "1000-65535" });
    for (const protocol of ["udp", "tcp", "icmp"]) {
      t.equal(portOf(begin(protocol, a, SERVER, 4562)), 4562);
      t.not(portOf(begin(protocol, b, SERVER, 4562)), 4562);
      t.not(portOf(begin(protocol, a, SERVER, 500)), 500, "not a port that the pool does not have");
    }
  },
);

const BLOCKS = { allocation: "block", block: { ports: 64, perHost: 2 }, ports: "1024-1279" };

t.test("RFC 8158 S5: a host gets a block, then another, and no third", async (t) => {
  const { router, a, b } = nat(BLOCKS);
  const blocks = () =>
    router.events().map(({ kind, externalPort, lastPort, zone, address }) => ({
      kind,
      ports: lastPort - externalPort + 1,
      first: externalPort,
      host: `${zone} ${address}`,
    }));
  const given = Array.from({ length: 64 }, (_, i) => portOf(a.udp(SERVER, i, 53)));
  const [first, ...none] = blocks();
  t.match(first, { kind: EventKind.BlockAllocated, ports: 64, host: `10 ${TENANT}` });
  t.same(none, []);
  t.same(new Set(given.map((port) => port >> 6)), new Set([(first?.first ?? 0) >> 6]));
  portOf(a.ping(SERVER, 1));
  t.same(blocks(), [], "a block is for all protocols");
  for (let i = 64; i < 128; i++) portOf(a.udp(SERVER, i, 53));
  t.equal(blocks().length, 1);
  t.ok(isProhibited(a.udp(SERVER, 200, 53)));
  t.same(router.ended, { HostPortLimit: 1 });
  const theirs = portOf(b.udp(SERVER, 1, 53)) >> 6;
  t.notOk(new Set(given.map((port) => port >> 6)).has(theirs), "the other tenant's is its own");
  t.equal(router.hosts().find(({ zone }) => zone === 10)?.blocks, 2);
});

t.test("RFC 8158 S5: a block is freed when the last of its ports has rested", async (t) => {
  const { router, a } = nat(BLOCKS);
  for (let i = 0; i < 10; i++) a.udp(SERVER, i, 53);
  router.events();
  router.wait(310_000);
  t.same(router.conns(), []);
  t.same(router.events(), []);
  router.wait(121_000);
  t.same(
    router.events().map(({ kind }) => kind),
    [EventKind.BlockFreed],
  );
  t.same(router.hosts(), []);
});

t.test("RFC 8158 S5: a block counts its ports however many it has", async (t) => {
  const block = { allocation: "block", block: { ports: 32_768, perHost: 1 } };
  const capacity = { conns: 131_072, neighbors: 256, poolAddresses: 16, imageBytes: 65_536 };
  const { router, a } = nat({ ...block, ports: "32768-65535" }, { capacity });
  // Together one more than 16 bits hold.
  for (let n = 0; n < 32_768; n++) {
    a.udp(SERVER, n, 53);
    a.tcp(SERVER, n, 80, TcpFlags.Syn);
  }
  a.ping(SERVER, 7);
  t.equal(router.conns().length, 65_537);
  router.wait(2_000_000);
  t.same([router.conns(), router.hosts()], [[], []]);
});

t.test("RFC 6888 R14: a block whose ports forwards have is passed over", async (t) => {
  const to = { zone: "b", address: TENANT };
  const forwards = [1024, 1088, 1152].map((low) => ({
    protocol: "udp",
    zone: "public",
    address: EXTERNAL,
    port: `${low}-${low + 63}`,
    to,
  }));
  for (let seed = 1; seed < 6; seed++) {
    const { router, a } = nat(BLOCKS, { forwards }, { seed });
    t.equal(portOf(a.udp(SERVER, 1, 53)) >> 6, 1216 >> 6);
    t.equal(router.events().length, 1, "and none is allocated in vain");
    t.ok(portOf(a.tcp(SERVER, 1, 53, 2)) >= 1216, "its own first, whatever the protocol");
  }
});

t.test(
  "RFC 4787 R3: block and deterministic pools share no ports, whatever their behaviours",
  async (t) => {
    const exact = {
      mapping: "address-and-port-dependent",
      filtering: "address-and-port-dependent",
    };
    const { router, a, b } = nat({ ...BLOCKS, ...exact });
    const given = [1, 2, 3].flatMap((port) => [a.udp(SERVER, port, 53), b.udp(SECOND, port, 53)]);
    t.equal(new Set(given.map(portOf)).size, 6);
    t.same(
      router.hosts().map(({ zone, blocks }) => `${zone} ${blocks}`),
      ["10 1", "11 1"],
    );
  },
);

const SUBSCRIBERS = {
  allocation: "deterministic",
  addresses: ["203.0.113.40", "203.0.113.50-203.0.113.51"],
  ports: "1024-1099",
  deterministic: {
    hosts: [
      { zone: "a", prefix: "192.168.0.8/29" },
      { zone: "b", prefix: "192.168.0.8/30" },
    ],
    portsPerHost: 16,
    overflowPorts: 8,
  },
};

t.test("RFC 7422 S1; RFC 7422 S2; RFC 7422 S3: every host has what the plan says", async (t) => {
  const { router } = nat(SUBSCRIBERS);
  const [pool] = router.config.pools;
  const plan = pool === undefined ? undefined : planOf(pool);
  if (plan === undefined) throw new Error("no plan");
  const hosts = [
    ...Array.from({ length: 8 }, (_, i) => ["lan-a", 8 + i] as const),
    ...Array.from({ length: 4 }, (_, i) => ["lan-b", 8 + i] as const),
  ];
  for (const [device, last] of hosts) {
    const host = new Host(router, device, `192.168.0.${last}`);
    const { zone } = router.device(device);
    const has = externalOf(plan, zone, 0xc0a80000 + last);
    for (let port = 0; port < 16; port++) {
      const [sent] = host.udp(SERVER, 2000 + port, 53);
      const external = sent?.ip?.sourcePort ?? 0;
      t.equal(sent?.ip?.source, formatAddress(has?.external ?? 0));
      t.ok(external >= (has?.ports.low ?? 0) && external <= (has?.ports.high ?? 0));
      t.ok(external > 1023);
      const owner = ownerOf(plan, has?.external ?? 0, external);
      t.match(owner, { kind: "host", zone: { id: zone.id }, address: 0xc0a80000 + last });
    }
  }
});

t.test("RFC 7422 S4: the overflow range serves who has used up its own", async (t) => {
  const { router, a, server } = nat(SUBSCRIBERS);
  const given = Array.from({ length: 16 + 24 }, (_, i) => endpointOf(a.udp(SERVER, i, 53)));
  t.equal(new Set(given).size, 40);
  t.equal(given.filter((each) => Number(each.split(":")[1]) >= 1092).length, 24);
  t.ok(isProhibited(a.udp(SERVER, 99, 53)));
  t.same(router.ended, { PoolExhausted: 1 });
  const stranger = new Host(router, "lan-a", "192.168.0.77");
  stranger.ask("192.168.0.1");
  t.ok(isProhibited(stranger.udp(SERVER, 1, 53)));
  t.same(router.ended, { NotSubscriber: 1 });
  t.equal(server.address, SERVER);
});

t.test(
  "RFC 6888 R13: shared ports: more conns than ports, until nothing is free towards one",
  async (t) => {
    const exact = {
      mapping: "address-and-port-dependent",
      filtering: "address-and-port-dependent",
    };
    const { router, a, b, server } = nat({ ...exact, ports: "5000-5003" });
    const towards = (to: string, port: number) =>
      [1, 2, 3, 4].map((from) => endpointOf((from % 2 === 0 ? a : b).udp(to, from, port)));
    for (const to of [SERVER, SECOND, THIRD]) {
      for (const port of [53, 54]) t.equal(new Set(towards(to, port)).size, 4, `${to} ${port}`);
    }
    t.equal(router.conns().length, 24);
    t.equal(router.mappings().length, 4);
    t.ok(isProhibited(a.udp(SERVER, 9, 53)));
    t.same(router.ended, { PoolExhausted: 1 });
    const sent = a.udp(SERVER, 9, 55);
    t.equal(server.answer(sent[0])[0]?.device, "lan-a");
    router.wait(301_000);
    t.same(router.mappings(), []);
    t.same(router.hosts(), []);
  },
);

t.test("RFC 8158 S1; RFC 8158 S2; RFC 8158 S3; RFC 8158 S4; RFC 8158 S6: events", async (t) => {
  t.same(
    [
      EventKind.AddressesExhausted,
      EventKind.SessionCreated,
      EventKind.SessionDeleted,
      EventKind.PortsExhausted,
      EventKind.QuotaExceeded,
      EventKind.BlockAllocated,
      EventKind.BlockFreed,
    ],
    [3, 4, 5, 12, 13, 16, 17],
  );
  const { router, a } = nat({ ports: "5000-5000" });
  router.datapath.watchEvents(EventClass.Alarms | EventClass.Sessions | EventClass.Mappings);
  a.udp(SERVER, 4562, 53);
  router.wait(301_000);
  const events = router.events();
  const lives = [4, 5, 8, 9];
  t.same(
    events.map(({ kind }) => kind).filter((kind) => lives.includes(kind)),
    [
      EventKind.MappingCreated,
      EventKind.SessionCreated,
      EventKind.SessionDeleted,
      EventKind.MappingDeleted,
    ],
  );
  t.match(
    events.find(({ kind }) => kind === EventKind.SessionCreated),
    { zone: 10, address: TENANT, port: 4562, external: EXTERNAL, externalPort: 5000 },
  );
});
