/** A new configuration under way: what goes on, what ends, and what a refused one changes. */

import t from "tap";
import { ImageAt } from "../../../assembly/abi.js";
import { compileImage } from "../../../host/config/compile.js";
import { checkConfig } from "../../../host/config/parse.js";
import { ImageRefused } from "../../../host/datapath.js";
import { TcpFlags } from "../../harness/frame.js";
import { around, bareEdge, EXTERNAL, edge, Host, SERVER, TENANT } from "../../harness/host.js";
import { type Document, Router } from "../../harness/router.js";

const PUBLIC = { id: 20, name: "public" };

/** Opens one UDP conn of each tenant, answered, and says how they fare afterwards. */
function opened(document: Document = edge()) {
  const router = new Router(document);
  const { a, b, server } = around(router);
  const [fromA] = a.udp(SERVER, 1, 53);
  const [fromB] = b.udp(SERVER, 1, 53);
  server.answer(fromA);
  server.answer(fromB);
  const fare = (host: Host) => {
    host.udp(SERVER, 1, 53);
    return Object.keys(router.ended).join();
  };
  return { router, a, b, server, fromA, fromB, fare };
}

t.test("peers P28: conns that are still allowed keep their endpoint and go on", async (t) => {
  const { router, a, b, server, fromA, fromB } = opened();
  const before = router.conns();
  router.reconfigure(edge({ timeouts: { udp: 200 } }));
  t.same(router.conns(), before);
  t.equal(a.udp(SERVER, 1, 53)[0]?.ip?.sourcePort, fromA?.ip?.sourcePort);
  t.equal(server.answer(fromB)[0]?.device, "lan-b");
  router.wait(0);
  t.equal(router.conns().length, 2, "the sweep agrees");
  t.equal(router.conns()[0]?.expiresInMs, 200_000, "with the new timeout");
  t.equal(b.udp(SERVER, 1, 53)[0]?.ip?.sourcePort, fromB?.ip?.sourcePort);
});

t.test(
  "peers P29: a tenant that is not translated any more: ConnRevoked, others go on",
  async (t) => {
    const { router, a, b, server, fromA, fare } = opened();
    router.reconfigure(edge({ nat: [{ from: ["b"], to: "public", pool: "p1" }] }));
    t.equal(fare(a), "ConnRevoked");
    t.equal(fare(a), "NoFlow", "then it is a packet without a conn");
    t.equal(fare(b), "Forwarded");
    t.same(server.answer(fromA), []);
    t.equal(router.conns().length, 1);
  },
);

t.test("an answer finds out by itself that its conn is revoked", async (t) => {
  const { router, server, fromA } = opened();
  router.reconfigure(edge({ nat: [{ from: ["b"], to: "public", pool: "p1" }] }));
  t.same(server.answer(fromA), []);
  t.same(router.ended, { ConnRevoked: 1 });
});

t.test(
  "peers P33: the sweep ends conns of which no packet comes any more, and frees their ports",
  async (t) => {
    const capacity = { conns: 1024, neighbors: 256, poolAddresses: 16, imageBytes: 65536 };
    const router = new Router(edge({ capacity }));
    const { a, b } = around(router);
    for (let port = 0; port < 700; port++) (port % 7 === 0 ? b : a).udp(SERVER, port, 53);
    router.reconfigure(edge({ capacity, nat: [{ from: ["b"], to: "public", pool: "p1" }] }));
    t.equal(router.conns().length, 700);
    router.wait(0);
    t.equal(router.conns().length, 100);
    t.same(router.counters().zones.a?.conns, 0);
    t.same(router.counters().zones.b?.conns, 100);
  },
);

t.test("peers P35: a zone's number with another name is another tenant", async (t) => {
  const { router, a, b, server, fromA, fare } = opened();
  const zones = [{ id: 10, name: "newcomer" }, { id: 11, name: "b" }, PUBLIC];
  const rename = (list: unknown) =>
    (list as Document[]).map((each) => (each.zone === "a" ? { ...each, zone: "newcomer" } : each));
  const { devices, neighbors } = edge();
  const nat = [{ from: ["newcomer", "b"], to: "public", pool: "p1" }];
  router.reconfigure(edge({ zones, devices: rename(devices), neighbors: rename(neighbors), nat }));
  t.same(server.answer(fromA), [], "the old tenant's answer does not reach the new one");
  t.same(router.ended, { ConnRevoked: 1 });
  t.equal(fare(a), "Forwarded");
  t.equal(fare(b), "Forwarded");
  t.equal(router.counters().zones.newcomer?.conns, 1);
  t.equal(router.counters().zones.newcomer?.connsCreated, 1, "counted from the beginning");
});

t.test("a zone that gets another number is another tenant", async (t) => {
  const { router, a, server, fromA, fare } = opened();
  router.reconfigure(
    edge({
      zones: [{ id: 12, name: "a" }, { id: 11, name: "b" }, PUBLIC],
      neighbors: [
        { zone: "a", address: TENANT, mac: "06:00:0c:a8:00:0a" },
        ...(edge().neighbors as Document[]).slice(1),
      ],
    }),
  );
  t.same(server.answer(fromA), []);
  t.same(router.ended, { ConnRevoked: 1 });
  t.equal(fare(a), "Forwarded", "a new conn");
  t.equal(router.conns().find(({ original }) => original.zone === 12)?.originalPackets, 1);
});

t.test("two tenants that exchange their numbers exchange no packet", async (t) => {
  const { router, server, fromA, fromB } = opened();
  const zones = [{ id: 11, name: "a" }, { id: 10, name: "b" }, PUBLIC];
  const neighbors = (edge().neighbors as Document[]).map((each, i) =>
    i < 2 ? { ...each, zone: i === 0 ? "b" : "a" } : each,
  );
  router.reconfigure(edge({ zones, neighbors }));
  t.same([server.answer(fromA), server.answer(fromB)], [[], []]);
  t.equal(router.reasons().ConnRevoked, 2);
  t.equal(router.conns().length, 0);
});

t.test("a zone that was away for one configuration comes back as another tenant", async (t) => {
  const { router, server, fromA } = opened();
  const without = {
    zones: [{ id: 11, name: "b" }, PUBLIC],
    devices: (edge().devices as Document[]).slice(1),
    neighbors: (edge().neighbors as Document[]).slice(1),
    nat: [{ from: ["b"], to: "public", pool: "p1" }],
  };
  router.reconfigure(edge(without));
  router.reconfigure(edge());
  t.same(server.answer(fromA), []);
  t.same(router.ended, { ConnRevoked: 1 });
  router.wait(0);
  t.equal(router.counters().zones.a?.conns, 0);
  t.equal(router.counters().zones.b?.conns, 1);
});

t.test("a pool that loses an address: its conns end, the others go on", async (t) => {
  const addresses = ["203.0.113.40-203.0.113.47"];
  const pools = (list: string[]) => [{ name: "p1", zone: "public", addresses: list }];
  const router = new Router(edge({ pools: pools(addresses) }));
  const hosts = Array.from(
    { length: 40 },
    (_, i) => new Host(router, "lan-a", `192.168.0.${i + 20}`),
  );
  const sources = hosts.map((host) => host.udp(SERVER, 1, 53)[0]?.ip?.source);
  router.reconfigure(edge({ pools: pools(["203.0.113.40-203.0.113.43"]) }));
  for (const [i, host] of hosts.entries()) {
    const kept = Number(sources[i]?.split(".")[3]) <= 43;
    const [sent] = host.udp(SERVER, 1, 53);
    t.same(router.ended, kept ? { Forwarded: 1 } : { ConnRevoked: 1 });
    if (kept) t.equal(sent?.ip?.source, sources[i]);
  }
});

t.test("a tenant that moves to another pool, while its old one still serves another", async (t) => {
  const pools = [
    { name: "p1", zone: "public", addresses: ["203.0.113.7"] },
    { name: "p2", zone: "public", addresses: ["203.0.113.8"] },
  ];
  const nat = (a: string) => [
    { from: ["a"], to: "public", pool: a },
    { from: ["b"], to: "public", pool: "p1" },
  ];
  const { router, a, b, fare } = opened(edge({ pools, nat: nat("p1") }));
  router.reconfigure(edge({ pools, nat: nat("p2") }));
  t.equal(fare(a), "ConnRevoked");
  t.equal(a.udp(SERVER, 1, 53)[0]?.ip?.source, "203.0.113.8");
  t.equal(b.udp(SERVER, 1, 53)[0]?.ip?.source, "203.0.113.7");
});

t.test("a pool's address that is taken away and comes back before the sweep", async (t) => {
  const pools = (address: string) => [{ name: "p1", zone: "public", addresses: [address] }];
  const { router, a, b, server, fromA } = opened(edge({ pools: pools(EXTERNAL) }));
  router.reconfigure(edge({ pools: pools("203.0.113.8") }));
  router.reconfigure(edge({ pools: pools(EXTERNAL) }));
  const given = new Set<number | undefined>();
  for (let port = 100; port < 400; port++) {
    const [sent] = a.udp(SERVER, port, 53);
    t.equal(sent?.ip?.source, EXTERNAL);
    given.add(sent?.ip?.sourcePort);
  }
  t.equal(given.size, 300, "no port is given twice");
  t.equal(server.answer(fromA)[0]?.ip?.destination, TENANT, "who had one has it still");
  given.add(fromA?.ip?.sourcePort);
  router.wait(0);
  t.equal(router.conns().length, 302);
  for (let port = 400; port < 800; port++) given.add(b.udp(SERVER, port, 53)[0]?.ip?.sourcePort);
  t.equal(given.size, 701, "nor after the sweep");
});

t.test(
  "more addresses on their way out than there is room for: refused, then accepted",
  async (t) => {
    const capacity = { conns: 64, neighbors: 16, poolAddresses: 2, imageBytes: 65536 };
    const with_ = (address: string) =>
      edge({ capacity, pools: [{ name: "p1", zone: "public", addresses: [address] }] });
    const router = new Router(with_("203.0.113.30"));
    const { a } = around(router);
    a.udp(SERVER, 1, 53);
    router.reconfigure(with_("203.0.113.31"));
    a.udp(SERVER, 2, 53);
    t.throws(() => router.reconfigure(with_("203.0.113.32")), ImageRefused);
    t.equal(a.udp(SERVER, 2, 53)[0]?.ip?.source, "203.0.113.31", "the one in force goes on");
    router.wait(0);
    router.reconfigure(with_("203.0.113.32"));
    a.udp(SERVER, 3, 53);
    t.ok(router.conns().some(({ reply }) => reply.destination === "203.0.113.32"));
  },
);

t.test("devices in another order: conns, neighbors and counters follow their device", async (t) => {
  const router = new Router(edge({ neighbors: [] }));
  const { a, b, server } = around(router);
  for (const host of [a, b]) host.ask("192.168.0.1");
  server.ask("203.0.113.2");
  const outs = [a.udp(SERVER, 1, 53)[0], b.udp(SERVER, 1, 53)[0]];
  const before = router.counters().devices;
  const ports: Record<string, number> = { "lan-a": 1, "lan-b": 2, wan: 3 };
  const devices = (edge().devices as Document[]).map((each) => ({
    ...each,
    port: ports[String(each.name)],
  }));
  router.reconfigure(edge({ neighbors: [], devices: devices.reverse() }));
  t.same(router.counters().devices, before);
  t.equal(router.neighbors().length, 3);
  t.same(
    outs.map((out) => server.answer(out)[0]?.device),
    ["lan-a", "lan-b"],
  );
  t.equal(a.udp(SERVER, 1, 53)[0]?.device, "wan");
});

t.test(
  "a device that goes takes its neighbors along; what waits for them is dropped",
  async (t) => {
    const router = new Router(edge({ neighbors: [] }));
    const { a } = around(router);
    a.udp(SERVER, 1, 53);
    t.same(router.ended, { Held: 1 });
    const devices = (edge().devices as Document[]).map((each) =>
      each.name === "wan" ? { ...each, name: "wan-new" } : each,
    );
    router.reconfigure(edge({ neighbors: [], devices }));
    t.same(router.ended, { NeighborFailed: 1 });
    t.same(router.neighbors(), []);
    t.equal(a.udp(SERVER, 1, 53)[0]?.device, "wan-new");
  },
);

t.test("a device that moves to another interface leaves its neighbors behind", async (t) => {
  const router = new Router(edge({ neighbors: [] }));
  around(router).server.ask("203.0.113.2");
  t.equal(router.neighbors().length, 1);
  const devices = (edge().devices as Document[]).map((each) =>
    each.name === "wan" ? { ...each, interface: "elsewhere" } : each,
  );
  router.reconfigure(edge({ neighbors: [], devices }));
  t.same(router.neighbors(), [], "the hosts on the other wire are others");
});

t.test("a frame that waits goes on waiting", async (t) => {
  const router = new Router(edge({ neighbors: [] }));
  const { a, server } = around(router);
  a.udp(SERVER, 1, 53, "patient");
  router.reconfigure(edge({ neighbors: [], timeouts: { udp: 100 } }));
  const [sent] = server.answerArp("203.0.113.2");
  t.same(router.ended, { Learned: 1, HeldSent: 1 });
  t.equal(sent?.ip?.data.toString(), "patient");
});

t.test("a static neighbor takes the place of a learned one, and a new MAC is used", async (t) => {
  const { router, a, server } = opened(edge());
  const moved = (edge().neighbors as Document[]).map((each) =>
    each.address === SERVER ? { ...each, mac: "06:00:14:00:00:09" } : each,
  );
  router.reconfigure(edge({ neighbors: moved }));
  t.equal(a.udp(SERVER, 1, 53)[0]?.to, "06:00:14:00:00:09");
  router.reconfigure(edge({ neighbors: (edge().neighbors as Document[]).slice(0, 2) }));
  t.equal(a.udp(SERVER, 1, 53)[0]?.to, "ff:ff:ff:ff:ff:ff", "and forgotten with its entry");
  server.answerArp("203.0.113.2");
  router.reconfigure(edge());
  t.equal(router.neighbors().find(({ address }) => address === SERVER)?.state, "permanent");
});

t.test(
  "counters go on: reasons, zones, devices that stay, flows that keep their text",
  async (t) => {
    const { router, a } = opened();
    const before = router.counters();
    router.reconfigure(edge({ flows: ["priority=50,in_port(lan-a),udp,tp_dst=25 actions=drop"] }));
    const after = router.counters();
    t.same(after.reasons, before.reasons);
    t.same(after.zones, before.zones);
    t.same(after.devices, before.devices);
    t.same(after.flows.slice(1), before.flows);
    a.udp(SERVER, 1, 25);
    t.equal(router.counters().flows[0]?.packets, 1);
    router.reconfigure(edge());
    t.same(router.counters().flows, before.flows);
  },
);

t.test("what a zone's former devices counted stays in its sum", async (t) => {
  const { router } = opened();
  const before = router.counters().zones.public;
  const devices = (edge().devices as Document[]).map((each) =>
    each.name === "wan" ? { ...each, name: "wan-new" } : each,
  );
  router.reconfigure(edge({ devices }));
  t.same(router.counters().zones.public, before);
  t.equal(router.counters().devices["wan-new"]?.rxPackets, 0);
  router.reconfigure(edge());
  t.same(router.counters().zones.public, before);
});

t.test("a refused image changes nothing", async (t) => {
  const { router, a, server, fromA } = opened();
  const { conns, counters, neighbors } = {
    conns: router.conns(),
    counters: router.counters(),
    neighbors: router.neighbors(),
  };
  const image = compileImage(checkConfig(bareEdge(["ip actions=drop"])));
  const broken = image.slice();
  broken[broken.length - 1] = (broken[broken.length - 1] as number) ^ 1;
  const refused = [
    image.subarray(0, 16),
    image.subarray(0, image.length - 8),
    broken,
    new Uint8Array(1 << 20),
    new Uint8Array(0),
  ];
  for (const bytes of refused) t.throws(() => router.install(bytes), ImageRefused);
  t.same(router.conns(), conns);
  t.same(router.counters(), counters);
  t.same(router.neighbors(), neighbors);
  t.equal(a.udp(SERVER, 1, 53)[0]?.ip?.sourcePort, fromA?.ip?.sourcePort);
  t.equal(server.answer(fromA)[0]?.device, "lan-a");
});

t.test(
  "a router that saw refused images behaves byte for byte like one that did not",
  async (t) => {
    const play = (disturb: (router: Router) => void) => {
      const router = new Router(edge({ neighbors: [] }), { seed: 9 });
      const { a, b, server } = around(router);
      const sent = [];
      for (let i = 0; i < 40; i++) {
        sent.push(...a.udp(SERVER, i, 53), ...b.tcp(SERVER, i, 80, TcpFlags.Syn));
        disturb(router);
        if (i === 3) sent.push(...server.answerArp("203.0.113.2"));
        sent.push(...router.wait(700));
      }
      return sent.map(({ bytes }) => bytes.toString("hex"));
    };
    const other = edge({ pools: [{ name: "p1", zone: "public", addresses: ["203.0.113.8/29"] }] });
    const image = compileImage(checkConfig(other));
    new DataView(image.buffer).setUint32(ImageAt.Sum, 0, true);
    const disturbed = play((router) => {
      t.throws(() => router.install(image), ImageRefused);
    });
    t.same(
      disturbed,
      play(() => undefined),
    );
  },
);

t.test("two configurations in quick succession", async (t) => {
  const { router, a, b, server, fromB, fare } = opened();
  const onlyB = edge({ nat: [{ from: ["b"], to: "public", pool: "p1" }] });
  router.reconfigure(onlyB);
  router.reconfigure(edge());
  t.equal(fare(a), "Forwarded", "what no packet and no sweep has ended goes on");
  t.equal(server.answer(fromB)[0]?.device, "lan-b");
  for (let i = 0; i < 50; i++) router.reconfigure(i % 2 === 0 ? onlyB : edge());
  t.equal(fare(b), "Forwarded");
  router.wait(0);
  t.equal(router.conns().length, 2);
  t.same(router.counters().zones.a?.conns, 1);
});

t.test("a conn's device that goes: the conn goes on by its zone's flow", async (t) => {
  const { router, server, fromA } = opened();
  const second = { name: "lan-a2", zone: "a", interface: "eth5", addresses: ["192.168.0.1/24"] };
  const devices = [second, ...(edge().devices as Document[]).slice(1)];
  router.reconfigure(edge({ devices }));
  t.equal(server.answer(fromA)[0]?.device, "lan-a2");
});

t.test("an image for more than the arena holds", async (t) => {
  const { router, a, fare } = opened();
  const larger = { conns: 2048, neighbors: 256, poolAddresses: 16, imageBytes: 65536 };
  t.throws(() => router.reconfigure(edge({ capacity: larger })), /TooLarge/);
  t.throws(
    () => router.reconfigure(edge({ capacity: { ...larger, conns: 10, neighbors: 4096 } })),
    /TooLarge/,
  );
  t.equal(fare(a), "Forwarded");
});

t.test(
  "a drop after a reload counts on its own flow, whatever +tracked flows there are",
  async (t) => {
    const many = Array.from(
      { length: 50 },
      (_, i) =>
        `priority=${40_000 + i},conn_state=+tracked,zone=public,tcp,tp_dst=${i + 1} actions=drop`,
    );
    const tracked =
      "priority=39000,conn_state=+tracked,zone=public,udp,tp_dst=53 actions=output(wan)";
    const { router, a } = opened(edge({ flows: [...many, tracked] }));
    a.udp(SERVER, 1, 53);
    const drop = "priority=50000,zone=a,udp,conn_state=+established actions=drop";
    const other = "priority=40000,conn_state=+tracked,zone=public,icmp actions=drop";
    router.reconfigure(edge({ flows: [other, drop] }));
    for (let i = 0; i < 3; i++) a.udp(SERVER, 1, 53);
    t.same(router.ended, { FlowDrop: 1 });
    const packetsOf = (word: string) =>
      router.counters().flows.find(({ flow }) => flow.includes(word))?.packets;
    t.equal(packetsOf("+established"), 3);
    t.equal(packetsOf("icmp"), 0, "nothing on another flow's account");
  },
);
