/** Limits of zones and hosts that several workers share, across reloads. */

import t from "tap";
import { udp } from "../../harness/frame.js";
import { around, edge, Host, SERVER, staticNeighbor } from "../../harness/host.js";
import { type Document, Router } from "../../harness/router.js";

const WORKERS = [2, 3];
/** More hosts than any limit here, spread over all workers. */
const HOSTS = Array.from({ length: 200 }, (_, n) => `10.0.${n >> 5}.${n & 31}`);

/** The edge with limits of zone a, whose hosts are behind one neighbor. */
function limited(limits: Document | undefined, workers: number, changes: Document = {}): Document {
  return edge({
    workers,
    zones: [
      { id: 10, name: "a", ...(limits === undefined ? {} : { limits }) },
      { id: 11, name: "b" },
      { id: 20, name: "public" },
    ],
    routes: [
      { zone: "public", to: "0.0.0.0/0", via: "203.0.113.1" },
      { zone: "a", to: "10.0.0.0/8", via: "192.168.0.10" },
    ],
    timeouts: { udp: 4 },
    ...changes,
  });
}

/** How many of these hosts get a conn each. */
function begin(host: Host, sources: readonly string[], sourcePort: number): number {
  const payload = udp({ sourcePort, destinationPort: 53, data: "?" });
  const begins = (source: string) =>
    host.send(SERVER, payload, { source }).some(({ device }) => device === "wan");
  return sources.filter(begins).length;
}

function conns(router: Router): number {
  return router.counters().zones.a?.conns ?? 0;
}

/** Hosts try without a pause while conns end; how many conns there are each time. */
function press(router: Router, host: Host, ms: number, firstPort: number): number[] {
  const counts: number[] = [];
  for (let at = 0; at < ms; at += 50) {
    router.wait(50);
    begin(host, HOSTS.slice(0, 60), firstPort + at);
    counts.push(conns(router));
  }
  return counts;
}

t.test("a limit that a reload lowers holds, however busy the zone", async (t) => {
  for (const workers of WORKERS) {
    const router = new Router(limited({ conns: 80 }, workers));
    const { a } = around(router);
    // So many that some end in each of the next seconds.
    for (let n = 0; n < 80; n += 2) {
      begin(a, HOSTS.slice(n, n + 2), 5000);
      router.wait(100);
    }
    const before = conns(router);
    t.ok(before > 60, `${before} conns`);
    router.reconfigure(limited({ conns: 20 }, workers));
    const counts = press(router, a, 5000, 6000);
    t.same(
      counts.filter((count, i) => count > Math.max(20, counts[i - 1] ?? before)),
      [],
      "fewer and fewer",
    );
    t.same(
      counts.slice(-10),
      Array.from({ length: 10 }, () => 20),
      "down to the limit, and no less",
    );
  }
});

t.test("nor does one where there was none let more begin than it says", async (t) => {
  for (const workers of WORKERS) {
    const router = new Router(limited(undefined, workers));
    const { a } = around(router);
    t.equal(begin(a, HOSTS, 5000), HOSTS.length);
    router.reconfigure(limited({ conns: 30 }, workers));
    router.wait(1000);
    t.equal(begin(a, HOSTS, 5001), 0, "there are too many already");
    router.wait(4000);
    t.equal(conns(router), 0);
    begin(a, HOSTS, 5002);
    router.wait(1000);
    begin(a, HOSTS, 5003);
    t.equal(conns(router), 30);
  }
});

t.test("a limit that a reload raises, or takes away, holds at once", async (t) => {
  for (const workers of WORKERS) {
    const router = new Router(limited({ conns: 20 }, workers));
    const { a } = around(router);
    begin(a, HOSTS, 5000);
    router.reconfigure(limited({ conns: 50 }, workers));
    begin(a, HOSTS, 5001);
    t.equal(conns(router), 50);
    router.reconfigure(limited(undefined, workers));
    t.equal(begin(a, HOSTS, 5002), HOSTS.length);
    router.reconfigure(limited({ conns: 50 }, workers));
    router.wait(1000);
    t.equal(begin(a, HOSTS, 5003), 0, "and comes back");
  }
});

/** Zones in front of the others, so that those have other indices; and more interfaces of zone a. */
function more(limits: Document, workers: number): Document {
  const { zones, devices } = limited(limits, workers) as Record<string, Document[]>;
  return limited(limits, workers, {
    zones: [{ id: 5, name: "new", limits: { conns: 3 } }, ...(zones ?? [])],
    devices: [
      { name: "lan-new", zone: "new", interface: "eth1", vlan: 5, addresses: ["192.168.0.1/24"] },
      { name: "more-a", zone: "a", interface: "eth2", addresses: ["192.168.7.1/24"] },
      ...(devices ?? []),
    ],
    neighbors: [
      staticNeighbor("a", 10, "192.168.0.10"),
      staticNeighbor("a", 10, "192.168.7.10"),
      staticNeighbor("public", 20, SERVER),
    ],
  });
}

t.test("a zone has one limit, whatever its index and however many interfaces it has", async (t) => {
  for (const workers of WORKERS) {
    const router = new Router(limited({ conns: 40 }, workers));
    const { a } = around(router);
    begin(a, HOSTS.slice(0, 25), 5000);
    router.reconfigure(more({ conns: 40 }, workers));
    const other = new Host(router, "more-a", "192.168.7.10");
    const others = HOSTS.map((_, n) => `192.168.7.${n + 10}`);
    begin(other, others.slice(0, 60), 5000);
    router.wait(1000);
    begin(a, HOSTS, 5001);
    t.equal(conns(router), 40, "of both interfaces together");
    router.reconfigure(limited({ conns: 40 }, workers));
    router.wait(1000);
    begin(a, HOSTS, 5002);
    t.equal(conns(router), 40, "and when one is gone");
    router.wait(10_000);
    t.equal(conns(router), 0);
    begin(a, HOSTS, 5003);
    router.wait(1000);
    begin(a, HOSTS, 5004);
    t.equal(conns(router), 40, "all of it is there again");
  }
});

t.test("a host's limit is its worker's to keep, before and behind a reload", async (t) => {
  for (const workers of WORKERS) {
    const router = new Router(limited({ connsPerHost: 5 }, workers));
    const { a } = around(router);
    const tries = (first: number) =>
      Array.from({ length: 20 }, (_, n) => begin(a, HOSTS.slice(0, 1), first + n)).filter(Boolean)
        .length;
    t.equal(tries(5000), 5);
    router.reconfigure(limited({ connsPerHost: 8 }, workers));
    t.equal(tries(5100), 3);
    router.reconfigure(limited({ connsPerHost: 2 }, workers));
    t.equal(tries(5200), 0);
    router.wait(5000);
    t.equal(tries(5300), 2);
  }
});
