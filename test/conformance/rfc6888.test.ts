/** RFC 6888: what a carrier-grade NAT must do beside: limits, exhaustion, hold-down, what is logged. */

import t from "tap";
import { EventKind, Reason } from "../../assembly/abi.js";
import { TcpFlags, udp } from "../harness/frame.js";
import { EXTERNAL, Host, SERVER, TENANT } from "../harness/host.js";
import { begin, endpointOf, isProhibited, nat, pooled, portOf, SECOND } from "../harness/nat.js";
import type { Document } from "../harness/router.js";

function zones(limits: Document): Document {
  return {
    zones: [
      { id: 10, name: "a", limits },
      { id: 11, name: "b" },
      { id: 20, name: "public" },
    ],
  };
}

t.test("RFC 6888 R2: a host has one external address unless pooling is arbitrary", async (t) => {
  const capacity = { conns: 1024, poolAddresses: 16 };
  for (const pooling of ["paired", "arbitrary"]) {
    const { a } = nat({ addresses: ["203.0.113.64/28"], pooling }, { capacity });
    const used = new Set(
      Array.from({ length: 60 }, (_, i) => a.udp(SERVER, i, 53)[0]?.ip?.source ?? ""),
    );
    t.equal(used.size > 1, pooling === "arbitrary", pooling);
  }
});

t.test("RFC 6888 R3; RFC 6888 R13: ranges with gaps between them, used to the full", async (t) => {
  const addresses = ["203.0.113.40", "203.0.113.50-203.0.113.52", "198.51.100.0/30", "192.0.2.9"];
  const capacity = { conns: 1024, poolAddresses: 16 };
  const { router, a, b } = nat({ addresses, ports: "2000-2002" }, { capacity });
  const given = Array.from({ length: 27 }, (_, i) =>
    endpointOf((i % 2 === 0 ? a : b).udp(SERVER, i, 53)),
  );
  t.equal(new Set(given).size, 27);
  t.equal(new Set(given.map((each) => each.split(":")[0])).size, 9);
  t.ok(isProhibited(a.udp(SERVER, 99, 53)));
  t.same(router.ended, { PoolExhausted: 1 });
});

t.test("RFC 6888 R4; RFC 6888 R4a: ports of a host are limited, per protocol", async (t) => {
  const { router, a, b } = nat({}, zones({ portsPerHost: { tcp: 1, udp: 2, icmp: 3 } }));
  for (const [protocol, most] of [
    ["tcp", 1],
    ["udp", 2],
    ["icmp", 3],
  ] as const) {
    for (let port = 1; port <= 4; port++) {
      const sent = begin(protocol, a, SERVER, port);
      t.equal(isProhibited(sent), port > most, `${protocol} ${port}`);
      if (port > most) t.same(router.ended, { HostPortLimit: 1 });
      t.equal(
        portOf(begin(protocol, b, SERVER, port)) > 0,
        true,
        "the other tenant's is another host",
      );
    }
  }
  t.equal(a.udp(SECOND, 1, 53).length, 1, "no port more for an endpoint that has one");
  const neighbor = new Host(router, "lan-a", "192.168.0.11");
  t.notOk(isProhibited(neighbor.udp(SERVER, 1, 53)), "another host of the zone");
  const [host] = router.hosts().filter(({ zone, address }) => zone === 10 && address === TENANT);
  t.same(host?.ports, { tcp: 1, udp: 2, icmp: 3 });
});

t.test("RFC 6888 R5: the conns of a host are limited", async (t) => {
  const { router, a } = nat({}, zones({ connsPerHost: 3 }));
  for (let port = 1; port <= 5; port++) {
    t.equal(isProhibited(a.udp(SERVER, 7, port)), port > 3);
  }
  t.same(router.ended, { HostConnLimit: 1 });
  t.equal(router.conns().length, 3);
  router.wait(301_000);
  t.notOk(isProhibited(a.udp(SERVER, 7, 9)), "those that ended count no more");
});

t.test("RFC 6888 R6: some destinations are reached without translation", async (t) => {
  const flows = [`priority=100,zone=a,nw_dst=${SECOND} actions=route(zone=public)`];
  const routes = [
    { zone: "public", to: "0.0.0.0/0", via: "203.0.113.1" },
    { zone: "public", to: "192.168.0.0/24", via: SECOND },
  ];
  const { router, a, second } = nat({}, { flows, routes });
  const [out] = a.udp(SECOND, 4562, 53);
  t.equal(`${out?.ip?.source}:${out?.ip?.sourcePort}`, `${TENANT}:4562`);
  t.equal(second.send(TENANT, udp({ sourcePort: 53, destinationPort: 4562 }))[0]?.device, "lan-a");
  t.same(router.mappings(), []);
  t.equal(a.udp(SERVER, 4562, 53)[0]?.ip?.source, EXTERNAL);
});

t.test("RFC 6888 R7: endpoint-independent filtering lets anybody in", async (t) => {
  const { a, third } = nat({ filtering: "endpoint-independent" });
  const port = portOf(a.udp(SERVER, 1, 53));
  t.equal(third.udp(EXTERNAL, 9, port)[0]?.device, "lan-a");
});

t.test("RFC 6888 R8: a port rests for 120 seconds, to the moment", async (t) => {
  const { router, a, b } = nat({ ports: "5000-5000" }, { timeouts: { udp: 1 } });
  for (let offset = 0; offset < 8; offset++) {
    router.wait(offset);
    t.equal(portOf(a.udp(SERVER, 1, 53)), 5000);
    while (router.conns().length > 0) router.wait(1);
    router.wait(119_999);
    t.ok(isProhibited(b.udp(SERVER, 1, 53)), "not before");
    router.wait(9);
    t.equal(portOf(b.udp(SERVER, 1, 53)), 5000, "then at once");
    router.wait(130_000);
  }
});

t.test("RFC 6888 R8: never less, whenever its conn ended", async (t) => {
  const document = pooled({ ports: "5000-5000" });
  for (let offset = 0; offset < 4; offset++) {
    const { router, a, b } = nat({ ports: "5000-5000" });
    a.udp(SERVER, 1, 53);
    router.wait(offset);
    router.reconfigure({ ...document, nat: [] });
    a.udp(SERVER, 1, 53);
    t.same(router.ended, { ConnRevoked: 1 });
    router.reconfigure(document);
    router.wait(119_999);
    t.ok(isProhibited(b.udp(SERVER, 1, 53)));
    router.wait(9);
    t.equal(portOf(b.udp(SERVER, 1, 53)), 5000);
  }
});

t.test("RFC 6888 R8: nothing rests where nothing is to", async (t) => {
  const { router, a, b } = nat({ ports: "5000-5000" }, { timeouts: { udp: 1, holdDown: 0 } });
  a.udp(SERVER, 1, 53);
  router.wait(1500);
  t.equal(portOf(b.udp(SERVER, 1, 53)), 5000);
});

t.test("RFC 6888 R10: conns, mappings, hosts and counters can be read", async (t) => {
  const { router, a } = nat();
  const port = portOf(a.udp(SERVER, 4562, 53));
  const [mapping] = router.mappings();
  t.match(mapping, {
    protocol: "udp",
    zone: 10,
    address: TENANT,
    port: 4562,
    externalZone: 20,
    external: EXTERNAL,
    externalPort: port,
    conns: 1,
  });
  const [host] = router.hosts();
  t.match(host, { zone: 10, address: TENANT, conns: 1, ports: { tcp: 0, udp: 1, icmp: 0 } });
  t.equal(router.counters().reasons.Forwarded, 1);
});

t.test("RFC 6888 R11a; RFC 6888 R11b; RFC 6888 R11c; RFC 6888 R11d: exhaustion", async (t) => {
  const { router, a, b, server } = nat({ ports: "5000-5000" });
  const out = a.udp(SERVER, 1, 53);
  const before = { conns: router.conns(), mappings: router.mappings() };
  router.events();
  for (let n = 0; n < 5; n++) t.ok(isProhibited(b.udp(SERVER, n, 53)), "told");
  t.same(router.ended, { PoolExhausted: 1 }, "dropped");
  t.same({ conns: router.conns(), mappings: router.mappings() }, before, "nothing made room");
  const alarms = router.events();
  t.same(
    alarms.map(({ kind, pool, zone }) => ({ kind, pool, zone })),
    [{ kind: EventKind.PortsExhausted, pool: "p1", zone: 11 }],
    "one alarm a second",
  );
  router.wait(1000);
  b.udp(SERVER, 9, 53);
  t.equal(router.events()[0]?.repeats, 4, "with how many were left out");
  t.equal(server.answer(out[0]).length, 1);
});

t.test("RFC 6888 R11a; RFC 6888 R11d: a full table refuses the new alone", async (t) => {
  const capacity = { conns: 4, neighbors: 16, poolAddresses: 4, imageBytes: 65536 };
  const { router, a, b } = nat({}, { capacity });
  for (let port = 1; port <= 4; port++) a.udp(SERVER, port, 53);
  router.events();
  t.ok(isProhibited(b.udp(SERVER, 1, 53)));
  t.same(router.ended, { ConnTableFull: 1 });
  const [alarm] = router.events();
  t.match(alarm, { kind: EventKind.TableFull, value: Reason.ConnTableFull, zone: 11 });
  t.equal(router.conns().length, 4);
});

t.test(
  "RFC 6888 R12: no event of a session, and so no destination, is noted by default",
  async (t) => {
    const { router, a } = nat({ allocation: "block", block: { ports: 64, perHost: 2 } });
    a.udp(SERVER, 1, 53);
    a.tcp(SERVER, 1, 80, TcpFlags.Syn);
    router.wait(500_000);
    const events = router.events();
    t.ok(events.length > 0);
    t.ok(events.every(({ remote, remotePort }) => remote === "0.0.0.0" && remotePort === 0));
  },
);

t.test("RFC 6888 R14: with blocks, one line says who had 64 ports", async (t) => {
  const { router, a } = nat({ allocation: "block", block: { ports: 64, perHost: 2 } });
  for (let port = 0; port < 64; port++) a.udp(SERVER, port, 53);
  t.equal(router.events().length, 1);
});

t.test("RFC 6888 R15: neither the last port nor the next is near", async (t) => {
  const { a } = nat();
  const ports = Array.from({ length: 200 }, (_, i) => portOf(a.udp(SERVER, i, 53)));
  const near = ports.slice(1).filter((port, i) => Math.abs(port - (ports[i] ?? 0)) < 256);
  t.ok(near.length < 12, `${near.length} of 199 steps are short`);
});
