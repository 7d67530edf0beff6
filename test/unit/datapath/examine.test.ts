/** What an examination says of a configuration: each reason for which a conn would end, and where. */

import t from "tap";
import { around, edge, Host, SERVER, TENANT } from "../../harness/host.js";
import { type Document, Router } from "../../harness/router.js";
import { examination } from "../../harness/tables.js";

const STRANGER = "198.51.100.77";

/** A pool whose mappings let in anybody, unless it says otherwise. */
function open(changes: Document = {}, pool: Document = {}): Document {
  const addresses = ["203.0.113.7"];
  const filtering = "endpoint-independent";
  return edge({
    pools: [{ name: "p1", zone: "public", addresses, filtering, ...pool }],
    ...changes,
  });
}

/** One conn outwards from each tenant, one inwards to the first one's mapping. */
function talked(): Router {
  const router = new Router(open());
  const { a, b } = around(router);
  const [sent] = a.udp(SERVER, 1000, 53);
  b.udp(SERVER, 1000, 53);
  new Host(router, "wan", STRANGER).udp(sent?.ip?.source ?? "", 5000, sent?.ip?.sourcePort ?? 0);
  if (router.conns().length !== 3) throw new Error("three conns are wanted");
  return router;
}

/** The edge with other zones, or without the second tenant. */
function renamed(name: string | undefined): Document {
  const base = open() as Record<"devices" | "neighbors", Document[]>;
  const others = (list: Document[]) =>
    list
      .filter(({ zone }) => name !== undefined || zone !== "b")
      .map((each) => (each.zone === "b" ? { ...each, zone: name } : each));
  const zones: Document[] = [
    { id: 10, name: "a" },
    { id: 20, name: "public" },
  ];
  if (name !== undefined) zones.push({ id: 11, name });
  const from = name === undefined ? ["a"] : ["a", name];
  const devices = others(base.devices);
  const neighbors = others(base.neighbors);
  return open({ zones, devices, neighbors, nat: [{ from, to: "public", pool: "p1" }] });
}

function withOwn(address: string): Document {
  const { devices } = open() as { devices: Document[] };
  const addresses = ["203.0.113.2/24", address];
  const wan = devices.map((each) => (each.name === "wan" ? { ...each, addresses } : each));
  const { neighbors } = open() as { neighbors: Document[] };
  return open({ devices: wan, neighbors: neighbors.slice(0, 2) });
}

const flows = (...flows: string[]) => open({ flows });

const CASES: readonly (readonly [string, string, Document, Record<string, number>])[] = [
  ["the same", "nothing", open(), {}],
  ["a tenant is gone", "b", renamed(undefined), { ZoneGone: 1 }],
  ["a zone's number is another tenant's", "b", renamed("c"), { OtherTenant: 1 }],
  [
    "one tenant is not translated any more",
    "b",
    open({ nat: [{ from: ["a"], to: "public", pool: "p1" }] }),
    { NoFlow: 1 },
  ],
  [
    "answers alone are let in",
    "a",
    flows("priority=90,zone=a actions=nat(reverse,zone=a)"),
    { NoFlow: 2 },
  ],
  ["a flow drops", "a", flows("priority=90,zone=a,udp,tp_dst=53 actions=drop"), { FlowDrop: 1 }],
  [
    "a flow rejects",
    "a",
    flows("priority=90,zone=a,udp,tp_dst=53 actions=reject"),
    { FlowDrop: 1 },
  ],
  [
    "a flow leads on untranslated",
    "a",
    flows("priority=90,zone=a actions=route(zone=public)"),
    { OtherWay: 2 },
  ],
  [
    "a flow leads to another server",
    "a",
    flows("priority=90,zone=a,udp,tp_dst=53 actions=nat(dst=203.0.113.1,dst_zone=public)"),
    { OtherWay: 1 },
  ],
  ["the server's address is the router's", "a,b", withOwn(`${SERVER}/24`), { OwnAddress: 2 }],
  [
    "the pool has another address",
    "a,b",
    open({}, { addresses: ["203.0.113.8"] }),
    { AddressGone: 3 },
  ],
  [
    "all ports are forwarded",
    "a,b",
    flows(
      "zone=public,udp,nw_dst=203.0.113.7,tp_dst=1-65535 actions=nat(dst=192.168.0.10,dst_zone=a)",
    ),
    { PortGone: 3 },
  ],
  ["ports are given in blocks", "a,b", open({}, { allocation: "block" }), { PortGone: 3 }],
  ["strangers are not let in", "a", open({}, { filtering: "address-dependent" }), { Filtered: 1 }],
];

for (const [name, tenants, document, expected] of CASES) {
  t.test(name, async (t) => {
    const said = await examination(talked(), document);
    const reasons = said.reasons.map(({ reason, conns }) => [reason, conns]);
    t.same(Object.fromEntries(reasons), expected);
    t.equal(said.conns, 3);
    t.equal(said.zones.map((zone) => zone.name).join() || "nothing", tenants);
    t.equal(said.first.length, said.ending);
    t.ok(said.first.every(({ reason }) => reason in expected));
    t.ok(said.reasons.every(({ text }) => text.length > 0));
  });
}

t.test("what turns round would not be let in any more", async (t) => {
  const router = new Router(open());
  const { a, b } = around(router);
  const [sent] = b.udp(SERVER, 1000, 53);
  a.udp(sent?.ip?.source ?? "", 2000, sent?.ip?.sourcePort ?? 0);
  t.equal(router.ended.Forwarded, 1);
  const said = await examination(router, open({}, { filtering: "address-dependent" }));
  t.match(said.reasons, [{ reason: "Hairpin", conns: 1 }]);
  t.match(said.zones, [{ zone: 10, name: "a", conns: 1 }]);
});

t.test("the first twenty are told, all are counted", async (t) => {
  const router = new Router(open());
  const { a } = around(router);
  for (let port = 1000; port < 1600; port++) a.udp(SERVER, port, 53);
  const said = await examination(router, open({ nat: [] }), { slice: 4096 });
  t.match(said, { conns: 600, ending: 600, zones: [{ zone: 10, name: "a", conns: 600 }] });
  t.equal(said.first.length, 20);
  t.equal(new Set(said.first.map(({ id }) => id)).size, 20);
  t.match(said.first[0], { reason: "NoFlow", protocol: "udp", original: { source: TENANT } });
});
