/**
 * Several workers as one router (docs/adr/0021-workers.md). Each frame is received by another worker than the one before,
 * so nearly all cross.
 */

import t from "tap";
import { EventKind } from "../../assembly/abi.js";
import { udp } from "../harness/frame.js";
import { around, EXTERNAL, edge, Host, SERVER, staticNeighbor } from "../harness/host.js";
import { askPcp, mapRequest, Result } from "../harness/pcp.js";
import { Router, type Sent } from "../harness/router.js";

const HOSTS = 64;
const ROUNDS = 40;

/** Inside addresses of zone a beside the tenant's, all behind one neighbor. */
function address(n: number): string {
  return `10.${n >> 8}.${n & 255}.9`;
}

/** A datagram to the server: what of it gets there. */
function query(host: Host, sourcePort: number, source: string): Sent[] {
  const payload = udp({ sourcePort, destinationPort: 53, data: "?" });
  return host.send(SERVER, payload, { source }).filter(({ device }) => device === "wan");
}

const behind = {
  routes: [
    { zone: "public", to: "0.0.0.0/0", via: "203.0.113.1" },
    { zone: "a", to: "10.0.0.0/8", via: "192.168.0.10" },
  ],
};

t.test("peers P30: two workers, or three, never give one port to two tenants", async (t) => {
  for (const workers of [2, 3]) {
    const router = new Router(edge({ ...behind, workers, capacity: { conns: 16384 } }));
    const { a, b, server } = around(router);
    const owners = new Map<number, string>();
    for (let n = 0; n < HOSTS; n++) {
      for (let round = 0; round < ROUNDS; round++) {
        for (const [host, tenant] of [
          [a, "lan-a"],
          [b, "lan-b"],
        ] as const) {
          if (host === b && n > 0) continue;
          const source = host === a ? address(n) : "192.168.0.10";
          const [sent] = query(host, 5000 + round, source);
          const port = sent?.ip?.sourcePort ?? 0;
          t.equal(sent?.ip?.source, EXTERNAL);
          if (owners.has(port)) t.fail(`port ${port} is given twice`);
          owners.set(port, `${tenant} ${source}:${5000 + round}`);
        }
      }
    }
    t.equal(owners.size, HOSTS * ROUNDS + ROUNDS);
    for (const [port, owner] of owners) {
      const [back] = server.udp(EXTERNAL, 53, port);
      const { destination, destinationPort } = back?.ip ?? {};
      t.equal(`${back?.device} ${destination}:${destinationPort}`, owner);
    }
    t.equal(router.conns().length, owners.size);
    t.same(router.reasons(), { Forwarded: 2 * owners.size });
  }
});

t.test("peers P34: a zone's limit holds for all workers together", async (t) => {
  for (const workers of [2, 3]) {
    for (const conns of [1, 7, 100, 300]) {
      const zones = [
        { id: 10, name: "a", limits: { conns } },
        { id: 11, name: "b" },
        { id: 20, name: "public" },
      ];
      const router = new Router(edge({ ...behind, workers, zones }));
      const { a, b } = around(router);
      let sent = 0;
      for (let n = 0; n < 2 * conns + 50; n++) {
        sent += query(a, 5000, address(n)).length;
      }
      // What one worker has to spare another one does not get before it is given back.
      t.ok(sent <= conns && sent >= conns - workers * Math.ceil(conns / 64), `${sent} of ${conns}`);
      t.equal(router.counters().zones.a?.conns, sent);
      router.wait(1000);
      for (let n = 0; n < 2 * conns + 50; n++) {
        sent += query(a, 5001, address(n)).length;
      }
      t.equal(sent, conns, "all of it, once that has been given back");
      t.equal(b.udp(SERVER, 1, 53).length, 1, "another zone's is its own");
    }
  }
});

t.test(
  "peers P34: 80 % of a zone's limit is told, also where several workers share it",
  async (t) => {
    for (const workers of [1, 2, 3]) {
      const zones = [
        { id: 10, name: "a", limits: { conns: 300 } },
        { id: 11, name: "b" },
        { id: 20, name: "public" },
      ];
      const router = new Router(edge({ ...behind, workers, zones }));
      const { a } = around(router);
      for (let n = 0; n < 150; n++) query(a, 5000, address(n));
      router.wait(1000);
      t.same(thresholds(router), [], `${workers} workers, half of it`);
      for (let n = 150; n < 900; n++) query(a, 5000, address(n));
      router.wait(1000);
      const told = thresholds(router);
      t.ok(told.length >= 1 && told.length <= workers, `${workers} workers, all of it`);
      t.same(new Set(told.map(({ zone }) => zone)), new Set([10]));
    }
  },
);

function thresholds(router: Router) {
  return router.events().filter(({ kind }) => kind === EventKind.ThresholdReached);
}

t.test(
  "peers P34: mappings by PCP are as many as a zone's limit, whatever the workers",
  async (t) => {
    for (const [workers, limit] of [
      [1, 6],
      [2, 6],
      [3, 7],
      [4, 6],
    ] as const) {
      const zones = [
        { id: 10, name: "a", pcp: true, limits: { conns: limit } },
        { id: 11, name: "b" },
        { id: 20, name: "public" },
      ];
      const hosts = Array.from({ length: 40 }, (_, n) => `192.168.0.${n + 20}`);
      const neighbors = [
        ...hosts.map((host) => staticNeighbor("a", 10, host)),
        staticNeighbor("public", 20, SERVER),
      ];
      const router = new Router(edge({ workers, zones, neighbors }));
      const given = hosts.filter((host) => {
        const asked = mapRequest(host, { port: 4000 });
        const answer = askPcp(new Host(router, "lan-a", host), asked, "192.168.0.1");
        return answer?.result === Result.Success;
      });
      t.equal(given.length, limit, `${workers} workers`);
    }
  },
);
