/** Whose a packet is, of several workers: what one worker alone would do, all of them together do. */

import t from "tap";
import { icmpError, ipv4Packet, udp } from "../../harness/frame.js";
import {
  around,
  EXTERNAL,
  edge,
  Host,
  SERVER,
  staticNeighbor,
  TENANT,
} from "../../harness/host.js";
import { type Document, Router } from "../../harness/router.js";

const COUNTS = [1, 2, 3];

/** The edge, and beyond its public zone another one, into which flows lead. */
function beyond(workers: number, flows: readonly string[], changes: Document = {}): Document {
  const document = edge() as Record<string, Document[]>;
  return edge({
    workers,
    zones: [...(document.zones ?? []), { id: 21, name: "outer" }],
    devices: [
      ...(document.devices ?? []),
      { name: "out", zone: "outer", interface: "eth2", addresses: ["198.51.100.2/24"] },
    ],
    routes: [
      { zone: "public", to: "0.0.0.0/0", via: "203.0.113.1" },
      { zone: "outer", to: "0.0.0.0/0", via: "198.51.100.1" },
    ],
    neighbors: [...(document.neighbors ?? []), staticNeighbor("outer", 21, "198.51.100.1")],
    pools: [
      { name: "p1", zone: "public", addresses: ["203.0.113.7"] },
      { name: "p2", zone: "outer", addresses: ["198.51.100.7"] },
    ],
    flows,
    ...changes,
  });
}

const OUTWARDS = "priority=50,zone=public,udp actions=nat(src_zone=public,dst_zone=outer,masq=p2)";

t.test("an endpoint has one mapping, also towards ports that are another worker's", async (t) => {
  for (const workers of COUNTS) {
    const router = new Router(beyond(workers, [OUTWARDS]));
    const host = new Host(router, "wan", SERVER);
    const ports = new Set<number | undefined>();
    for (let port = 1000; port < 3000; port += 64) {
      const [sent] = host.udp("203.0.113.7", 4562, port);
      t.equal(sent?.device, "out");
      ports.add(sent?.ip?.sourcePort);
    }
    t.equal(ports.size, 1, `${workers} workers`);
    t.equal(router.hosts().length, 1);
  }
});

t.test("what turns round goes to who has the address there, and nowhere else", async (t) => {
  for (const flow of [
    OUTWARDS,
    "priority=50,zone=public,udp actions=route(zone=outer)",
    "priority=50,zone=public,udp actions=nat(src=198.51.100.9,dst_zone=outer)",
  ]) {
    for (const workers of COUNTS) {
      const router = new Router(beyond(workers, [flow]));
      const a = new Host(router, "lan-a", TENANT);
      const sent = [];
      for (let port = 1000; port < 3000; port += 64) sent.push(...a.udp("203.0.113.7", 4562, port));
      t.same(sent, [], flow);
      const { Hairpin = 0, ...others } = router.reasons();
      t.same([Hairpin, others], [32, {}], `${workers} workers`);
    }
  }
});

t.test("nor does it go round for ever", async (t) => {
  const flows = [OUTWARDS, "zone=outer,udp actions=nat(src_zone=outer,dst_zone=public,masq=p1)"];
  const addresses = ["203.0.113.7"];
  for (const workers of COUNTS) {
    const pools = [
      { name: "p1", zone: "public", addresses },
      { name: "p2", zone: "outer", addresses },
    ];
    const router = new Router(beyond(workers, flows, { pools }));
    const a = new Host(router, "lan-a", TENANT);
    for (let port = 1000; port < 3000; port += 64) t.same(a.udp("203.0.113.7", 4562, port), []);
    t.same(router.reasons(), { Hairpin: 32 }, `${workers} workers`);
    t.ok(router.conns().length <= 32);
  }
});

t.test("nobody outside speaks for an external address of ours", async (t) => {
  for (const workers of COUNTS) {
    const router = new Router(edge({ workers }));
    const { a, b, server } = around(router);
    for (let n = 0; n < 8; n++) {
      const ofA = a.udp(SERVER, 5000 + n, 53)[0]?.ip?.sourcePort ?? 0;
      const ofB = b.udp(SERVER, 6000 + n, 53)[0]?.ip?.sourcePort ?? 0;
      const forged = udp({ sourcePort: ofB, destinationPort: ofA, data: "forged" });
      a.udp(EXTERNAL, 5000 + n, ofB);
      t.same(server.send(EXTERNAL, forged, { source: EXTERNAL }), [], "who waits for another");
      t.same(router.ended, { IpBadSource: 1 }, `${workers} workers`);
      const quoted = ipv4Packet({ source: EXTERNAL, destination: EXTERNAL, payload: forged });
      t.same(server.send(EXTERNAL, icmpError({ type: 3, quoted })), [], "nor an error");
      t.same(router.ended, { IcmpUnrelated: 1 });
    }
  }
});

t.test(
  "two tenants that open to each other by their external addresses hear each other",
  async (t) => {
    for (const workers of COUNTS) {
      const router = new Router(edge({ workers }));
      const { a, b } = around(router);
      for (let n = 0; n < 8; n++) {
        const ofA = a.udp(SERVER, 5000 + n, 53)[0]?.ip?.sourcePort ?? 0;
        const ofB = b.udp(SERVER, 6000 + n, 53)[0]?.ip?.sourcePort ?? 0;
        t.same(a.udp(EXTERNAL, 5000 + n, ofB), [], "b does not let it in yet");
        const [toA] = b.udp(EXTERNAL, 6000 + n, ofA);
        t.equal(`${toA?.device} ${toA?.ip?.destinationPort}`, `lan-a ${5000 + n}`);
        const [toB] = a.udp(EXTERNAL, 5000 + n, ofB);
        t.equal(`${toB?.device} ${toB?.ip?.destinationPort}`, `lan-b ${6000 + n}`);
      }
    }
  },
);
