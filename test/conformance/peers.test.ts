/** What others' test suites and bug trackers have: many tenants with one address, used to the last port. */

import t from "tap";
import { EventKind } from "../../assembly/abi.js";
import { TcpFlags, tcp, udp } from "../harness/frame.js";
import { EXTERNAL, Host, SERVER, staticNeighbor } from "../harness/host.js";
import { isProhibited, nat, portOf } from "../harness/nat.js";
import { type Document, Router } from "../harness/router.js";

const SAME = "10.1.0.3";

/** `count` tenants, each with the same host behind its own VLAN. */
function tenants(count: number, pool: Document = {}) {
  const ids = Array.from({ length: count }, (_, i) => 100 + i);
  const router = new Router({
    version: 1,
    zones: [...ids.map((id) => ({ id, name: `t${id}` })), { id: 20, name: "public" }],
    devices: [
      ...ids.map((id) => ({
        name: `lan${id}`,
        zone: `t${id}`,
        interface: "eth1",
        vlan: id,
        addresses: ["10.1.0.1/24"],
      })),
      { name: "wan", zone: "public", interface: "eth0", addresses: ["203.0.113.2/24"] },
    ],
    neighbors: [
      ...ids.map((id) => staticNeighbor(`t${id}`, id, SAME)),
      staticNeighbor("public", 20, SERVER),
    ],
    pools: [{ name: "p1", zone: "public", addresses: [EXTERNAL], ...pool }],
    nat: [{ from: ids.map((id) => `t${id}`), to: "public", pool: "p1" }],
    capacity: { conns: 4096, neighbors: 8192, poolAddresses: 4, imageBytes: 4 << 20 },
  });
  const hosts = ids.map((id) => new Host(router, `lan${id}`, SAME));
  return { router, ids, hosts, server: new Host(router, "wan", SERVER) };
}

function zones(limits: Document): Document {
  return {
    zones: [
      { id: 10, name: "a", limits },
      { id: 11, name: "b" },
      { id: 20, name: "public" },
    ],
  };
}

t.test("peers P1: a hundred tenants, all 10.1.0.3, three pings each", async (t) => {
  const { router, ids, hosts, server } = tenants(100);
  for (let n = 0; n < 3; n++) {
    for (const host of hosts) {
      const [asked] = host.ping(SERVER, 7);
      const [answer] = server.answer(asked);
      t.equal(`${answer?.device} ${answer?.ip?.destination}`, `${host.device} ${SAME}`);
    }
  }
  const conns = router.conns();
  t.same(conns.map(({ original }) => original.zone).sort(), [...ids].sort());
  const bytes = 3 * (20 + 8 + 4);
  t.ok(conns.every((each) => each.originalPackets === 3 && each.replyPackets === 3));
  t.ok(conns.every((each) => each.originalBytes === bytes && each.replyBytes === bytes));
});

t.test("peers P2: all of them connect at once from TCP port 10000", async (t) => {
  const { router, hosts, server } = tenants(100);
  const syn = tcp({ sourcePort: 10_000, destinationPort: 80, flags: TcpFlags.Syn });
  const sent = router.sendTogether(
    hosts.map((host) => ({ device: host.device, bytes: host.frame(SERVER, syn) })),
  );
  t.equal(new Set(sent.map((each) => each.ip?.sourcePort)).size, 100);
  const back = sent.map((each) => server.answer(each)[0]);
  t.same(
    back.map((each) => each?.device),
    hosts.map(({ device }) => device),
  );
  t.ok(back.every((each) => each?.ip?.destinationPort === 10_000));
});

t.test("peers P3: 2,000 zones send with one UDP tuple", async (t) => {
  const { router, hosts, server } = tenants(2000);
  const datagram = udp({ sourcePort: 4562, destinationPort: 53 });
  const sent = router.sendTogether(
    hosts.map((host) => ({ device: host.device, bytes: host.frame(SERVER, datagram) })),
  );
  t.equal(new Set(sent.map((each) => each.ip?.sourcePort)).size, 2000);
  t.equal(router.conns().length, 2000);
  for (const i of [0, 1, 999, 1999]) t.equal(server.answer(sent[i])[0]?.device, hosts[i]?.device);
});

t.test("peers P4: identifier 500 of three hosts to one address", async (t) => {
  for (const allocation of ["random", "preserve"]) {
    const { hosts, server } = tenants(3, { allocation, ports: "1-65535" });
    const asked = hosts.map((host) => host.ping(SERVER, 500));
    const identifiers = asked.map(portOf);
    t.equal(new Set(identifiers).size, 3);
    t.equal(identifiers.filter((each) => each === 500).length, allocation === "preserve" ? 1 : 0);
    for (const [i, each] of asked.entries()) {
      const [answer] = server.answer(each[0]);
      t.equal(`${answer?.device} ${answer?.ip?.identifier}`, `${hosts[i]?.device} 500`);
    }
  }
});

t.test("peers P17: 64,512 ports, each used once, none twice, then it is counted", async (t) => {
  const capacity = { conns: 65_536, neighbors: 16, poolAddresses: 4, imageBytes: 65_536 };
  const { router, a, b } = nat({}, { capacity, neighbors: [] });
  const given = new Uint8Array(65_536);
  for (const host of [a, b]) host.ask("192.168.0.1");
  const wan = new Host(router, "wan", "203.0.113.1");
  wan.ask("203.0.113.2");
  for (let i = 0; i < 64_512; i += 256) {
    const frames = Array.from({ length: 256 }, (_, n) => {
      const host = n % 2 === 0 ? a : b;
      const syn = tcp({ sourcePort: i + n, destinationPort: 80, flags: TcpFlags.Syn });
      return { device: host.device, bytes: host.frame("8.8.8.8", syn) };
    });
    for (const { ip } of router.sendTogether(frames)) {
      const port = ip?.sourcePort ?? 0;
      given[port] = (given[port] ?? 0) + 1;
    }
  }
  t.ok(given.every((times, port) => times === (port >= 1024 ? 1 : 0)));
  t.ok(isProhibited(a.tcp("8.8.8.8", 65_000, 80, TcpFlags.Syn)));
  t.same(router.ended, { PoolExhausted: 1 });
});

t.test("peers P36: a hairpinned packet goes to the zone of its mapping alone", async (t) => {
  const { hosts } = tenants(20, { filtering: "endpoint-independent" });
  const ports = hosts.map((host) => portOf(host.udp(SERVER, 4562, 53)));
  for (const [i, from] of hosts.entries()) {
    for (const [j, to] of hosts.entries()) {
      if (i === j) continue;
      const [sent, ...more] = from.udp(EXTERNAL, 4562, ports[j] ?? 0);
      t.equal(`${sent?.device} ${sent?.ip?.destination}`, `${to.device} ${SAME}`);
      t.equal(sent?.ip?.sourcePort, ports[i]);
      t.same(more, []);
    }
  }
});

t.test("peers P18; peers P34: exactly 5 of 10 pass in a zone whose limit is 5", async (t) => {
  const { router, a, b, server } = nat({}, zones({ conns: 5 }));
  const outs = Array.from({ length: 10 }, (_, i) => a.udp(SERVER, i, 53));
  t.equal(outs.filter((sent) => !isProhibited(sent)).length, 5);
  t.same(router.ended, { ZoneConnLimit: 1 });
  for (let i = 0; i < 10; i++) t.notOk(isProhibited(b.udp(SERVER, i, 53)), "the other zone");
  for (const out of outs.slice(0, 5)) t.equal(server.answer(out[0]).length, 1);
  t.equal(router.conns().filter(({ original }) => original.zone === 10).length, 5);
});

t.test("peers P37: what is refused gives back what it took, and nothing of another", async (t) => {
  const limits = { conns: 6, connsPerHost: 4, portsPerHost: 3 };
  const { router, a, b } = nat({ ports: "5000-5007" }, zones(limits));
  for (let i = 0; i < 4; i++) b.udp(SERVER, i, 53);
  const theirs = router.conns();
  for (let round = 0; round < 20; round++) {
    for (let i = 0; i < 8; i++) a.udp(SERVER, i, 53 + round);
  }
  t.same(
    router.conns().filter(({ original }) => original.zone === 11),
    theirs,
  );
  t.equal(router.mappings().length, 7, "three ports of a, four of b");
  t.match(
    router.hosts().find(({ zone }) => zone === 10),
    { conns: 4, ports: { udp: 3 } },
  );
  router.wait(700_000);
  t.same([router.conns(), router.mappings(), router.hosts()], [[], [], []]);
});

t.test("peers P16: one address with one port: one alarm", async (t) => {
  const { router, a, b, server } = nat({ ports: "5000-5000" });
  const out = a.udp(SERVER, 1, 53);
  router.events();
  t.ok(isProhibited(b.udp(SERVER, 1, 53)));
  t.same(
    router.events().map(({ kind }) => kind),
    [EventKind.PortsExhausted],
  );
  t.equal(server.answer(out[0])[0]?.device, "lan-a", "the first is untouched");
});
