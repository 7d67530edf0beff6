/**
 * Two zones that use the same addresses, and flows that leave them as they are: what a tenant sends to a public server and
 * what that server sends to a public host of the tenant's address are one tuple. Whoever comes first has it, also where
 * both conns are different workers' (assembly/nat/reservation.ts).
 */

import t, { type Test } from "tap";
import type { ConnView } from "../../../host/telemetry/conn.js";
import { cut } from "../../harness/fragments.js";
import { ipv4Packet, raw, udp } from "../../harness/frame.js";
import { bareEdge, Host, staticNeighbor, TENANT } from "../../harness/host.js";
import { type Document, Router, type RouterOptions } from "../../harness/router.js";

const WORKERS = [1, 2, 3, 5, 16];
const SERVER = "203.0.113.80";
const ADDRESSES = Array.from({ length: 24 }, (_, n) => `203.0.113.${100 + n}`);
/** Whatever a tenant sends to comes to the server. */
const ANYWHERE = "198.51.100.1";
const PORT = 5000;

function site(workers: number, options: RouterOptions = {}, changes: Document = {}) {
  const flows = [
    "priority=40000,zone=public,conn_state=+rpl actions=nat(reverse,zone=public)",
    "zone=public actions=route(zone=public)",
    `zone=a,udp actions=nat(dst=${SERVER}:80,dst_zone=public)`,
    `zone=a,nw_proto=47 actions=nat(dst=${SERVER},dst_zone=public)`,
  ];
  const router = new Router(
    bareEdge(flows, {
      workers,
      routes: [{ zone: "a", to: "203.0.113.0/24", via: TENANT }],
      neighbors: [
        staticNeighbor("a", 10, TENANT),
        ...[SERVER, ...ADDRESSES].map((address) => staticNeighbor("public", 20, address)),
      ],
      ...changes,
    }),
    options,
  );
  return {
    router,
    server: new Host(router, "wan", SERVER),
    tenants: ADDRESSES.map((address) => new Host(router, "lan-a", address)),
  };
}

const ask = (host: Host) => host.send(ANYWHERE, udp({ sourcePort: PORT, destinationPort: 9 }));
const serve = (server: Host, to: string) =>
  server.send(to, udp({ sourcePort: 80, destinationPort: PORT, data: to }));

/** In how many conns each tuple is. */
function mostOf(conns: readonly ConnView[]): number {
  const count = new Map<string, number>();
  for (const { protocol, original, reply } of conns) {
    for (const tuple of [original, reply]) {
      const key = `${protocol} ${JSON.stringify(tuple)}`;
      count.set(key, (count.get(key) ?? 0) + 1);
    }
  }
  return Math.max(0, ...count.values());
}

function each(name: string, test: (t: Test, workers: number) => void): void {
  for (const workers of WORKERS)
    t.test(`${name}, ${workers} workers`, async (t) => test(t, workers));
}

each("the server's conns are there: no tenant takes them over", (t, workers) => {
  const { router, server, tenants } = site(workers);
  for (const address of ADDRESSES) t.equal(serve(server, address).length, 1);
  for (const tenant of tenants) {
    t.same(ask(tenant), []);
    t.match(router.ended, { TupleInUse: 1 });
    const sent = serve(server, tenant.address);
    t.same([sent.length, sent[0]?.device], [1, "wan"], "to the public host, as before");
  }
  t.equal(router.conns().length, ADDRESSES.length);
});

each("the tenants' conns are there: what the server sends is an answer", (t, workers) => {
  const { router, server, tenants } = site(workers);
  for (const tenant of tenants) t.equal(ask(tenant)[0]?.device, "wan");
  for (const address of ADDRESSES) t.equal(serve(server, address)[0]?.device, "lan-a");
  t.equal(router.conns().length, ADDRESSES.length);
  t.equal(mostOf(router.conns()), 1);
});

each("so it is with protocols that have no ports, and with a packet in pieces", (t, workers) => {
  const { router, server, tenants } = site(workers);
  for (const [n, tenant] of tenants.entries()) {
    const { address } = tenant;
    const payload = n % 2 === 0 ? raw(47, Buffer.alloc(800)) : whole();
    const packet = ipv4Packet({ source: address, destination: ANYWHERE, payload });
    const pieces = cut(packet, [200, 400]);
    const isServed = n % 3 === 0;
    if (isServed && n % 2 === 0) server.send(address, raw(47, Buffer.alloc(8)));
    else if (isServed) serve(server, address);
    // The last one first: all wait for the first one.
    const sent = [...pieces].reverse().flatMap((piece) => tenant.sendPacket(piece));
    t.equal(sent.length, isServed ? 0 : 3, `${address}: ${JSON.stringify(router.ended)}`);
    t.ok(sent.every(({ device }) => device === "wan"));
  }
  t.equal(mostOf(router.conns()), 1);
});

function whole() {
  return udp({ sourcePort: PORT, destinationPort: 9, data: Buffer.alloc(800) });
}

function race(t: Test, workers: number, changes: Document = {}): void {
  let turns = 0;
  const { router, server, tenants } = site(workers, { lingers: () => turns-- <= 0 }, changes);
  const won = { tenant: 0, public: 0 };
  for (const [n, tenant] of tenants.entries()) {
    // The question is somewhere on its way when the server's packet comes.
    turns = n % (4 * workers);
    const sent = [...ask(tenant)];
    turns = 0;
    sent.push(...serve(server, tenant.address), ...router.settle());
    turns = Number.POSITIVE_INFINITY;
    const [later] = serve(server, tenant.address);
    won[later?.device === "wan" ? "public" : "tenant"]++;
    t.equal(mostOf(router.conns()), 1, `after ${n % (4 * workers)} turns`);
    const devices = sent.map(({ device, ip }) => `${device} ${ip?.source}`).sort();
    const has =
      later?.device === "wan" ? [`wan ${SERVER}`] : [`lan-a ${ANYWHERE}`, `wan ${tenant.address}`];
    t.same(devices, has, "the one that has it, and nobody else, has been heard");
  }
  t.ok(won.tenant > 0, JSON.stringify(won));
  if (workers > 1) t.ok(won.public > 0, JSON.stringify(won));
}

each("both at once, at whatever moment: one of them has the tuple", race);

each("also where they have to ask for more conns first", (t, workers) => {
  const [a, b] = [
    { id: 10, name: "a", limits: { conns: 500 } },
    { id: 11, name: "b" },
  ];
  race(t, workers, { zones: [a, b, { id: 20, name: "public", limits: { conns: 500 } }] });
});

each(
  "packets of one conn that come while it is asked about share what is reserved",
  (t, workers) => {
    let turns = 0;
    const { router, tenants } = site(workers, { lingers: () => turns-- <= 0 });
    for (const tenant of tenants.slice(0, 6)) {
      turns = 0;
      const sent = Array.from({ length: 200 }, () => ask(tenant)).flat();
      turns = Number.POSITIVE_INFINITY;
      sent.push(...router.settle());
      t.equal(sent.length, 200, "none is lost");
    }
  },
);

each("a flow counts the packet once, however often it was asked about", (t, workers) => {
  const { router, tenants } = site(workers);
  for (const tenant of tenants) ask(tenant);
  const counted = router.counters().flows.map(({ packets }) => packets);
  t.same(counted, [0, 0, tenants.length, 0]);
});
