/**
 * Hand-offs that are under way while workers switch to another configuration, one after the other: nothing is lost without
 * a Reason or a count, nothing comes to a wrong tenant, nothing twice.
 */

import t, { type Test } from "tap";
import { ImageRefused } from "../../../host/datapath.js";
import { udp } from "../../harness/frame.js";
import { around, EXTERNAL, edge, type Host, SERVER, TENANT } from "../../harness/host.js";
import { type Document, Router, type Sent } from "../../harness/router.js";

const WORKERS = [2, 3];
const PORTS = Array.from({ length: 40 }, (_, n) => 5000 + n);

/** A router whose frames wait between its workers for as long as `waits` says so. */
function slow(document: Document) {
  const state = { waits: false };
  const router = new Router(document, { lingers: () => state.waits });
  return { router, state, ...around(router) };
}

/** Each host asks the server from each port; what it says names both. */
function ask(hosts: readonly Host[]): Sent[] {
  return hosts.flatMap((host) =>
    PORTS.flatMap((port) => {
      const data = `${host.device} ${port}`;
      return host.send(SERVER, udp({ sourcePort: port, destinationPort: 53, data }));
    }),
  );
}

/** The server answers each question with what it said. */
function answer(server: Host, asked: readonly Sent[]): Sent[] {
  return asked.flatMap(({ ip }) =>
    server.send(
      EXTERNAL,
      udp({ sourcePort: 53, destinationPort: ip?.sourcePort ?? 0, data: String(ip?.data) }),
    ),
  );
}

/** Whose each answer is; fails where somebody else has got it. */
function heardBy(t: Test, sent: readonly Sent[]): string[] {
  return sent.map(({ device, ip }) => {
    const heard = `${device} ${ip?.destinationPort}`;
    t.equal(String(ip?.data), heard);
    return heard;
  });
}

function frames(reasons: Record<string, number>): number {
  const { HeldSent: _, ...ends } = reasons;
  return Object.values(ends).reduce((sum, count) => sum + count, 0);
}

function everyone({ a, b }: { a: Host; b: Host }): string[] {
  return [a, b].flatMap(({ device }) => PORTS.map((port) => `${device} ${port}`)).sort();
}

t.test("what waits behind a switch arrives where its device is the same", async (t) => {
  for (const workers of WORKERS) {
    const site = slow(edge({ workers }));
    const { router, state, a, b, server } = site;
    const asked = ask([a, b]);
    t.equal(asked.length, 2 * PORTS.length);
    state.waits = true;
    const early = answer(server, asked);
    t.ok(router.isCrossing);
    router.reconfigure(edge({ workers, timeouts: { udp: 200 } }));
    const late = router.settle();
    t.ok(late.length > 0);
    t.same(heardBy(t, [...early, ...late]).sort(), everyone(site), "each once");
    t.same(router.reasons(), { Forwarded: 4 * PORTS.length });
  }
});

t.test("so does what is sent while some have switched and others have not", async (t) => {
  for (const workers of WORKERS) {
    for (const waits of [false, true]) {
      const site = slow(edge({ workers }));
      const { router, state, a, b, server } = site;
      const asked = ask([a, b]);
      const heard: Sent[] = [];
      state.waits = waits;
      let turns = 0;
      router.reconfigure(edge({ workers, timeouts: { udp: 200 } }), () => {
        const share = Math.ceil(asked.length / (workers - 1));
        heard.push(...answer(server, asked.slice(turns * share, ++turns * share)));
      });
      heard.push(...router.settle());
      t.same(heardBy(t, heard).sort(), everyone(site), "each once");
      t.same(router.reasons(), { Forwarded: 4 * PORTS.length });
    }
  }
});

/** The edge where the number of zone a is another tenant's. */
function renamed(workers: number): Document {
  return edge({
    workers,
    zones: [
      { id: 10, name: "c" },
      { id: 11, name: "b" },
      { id: 20, name: "public" },
    ],
    devices: [
      { name: "lan-a", zone: "c", interface: "eth1", vlan: 10, addresses: ["192.168.0.1/24"] },
      { name: "lan-b", zone: "b", interface: "eth1", vlan: 11, addresses: ["192.168.0.1/24"] },
      { name: "wan", zone: "public", interface: "eth0", addresses: ["203.0.113.2/24"] },
    ],
    neighbors: [
      { zone: "c", address: TENANT, mac: "06:00:0a:a8:00:0a" },
      { zone: "b", address: TENANT, mac: "06:00:0b:a8:00:0a" },
      { zone: "public", address: SERVER, mac: "06:00:14:00:71:63" },
    ],
    nat: [{ from: ["c", "b"], to: "public", pool: "p1" }],
  });
}

t.test(
  "nothing for a tenant reaches another one that has its number, device and address",
  async (t) => {
    for (const workers of WORKERS) {
      for (const when of ["before", "between"]) {
        const { router, state, a, b, server } = slow(edge({ workers }));
        const asked = ask([a, b]);
        state.waits = true;
        const heard: Sent[] = [];
        if (when === "before") heard.push(...answer(server, asked));
        let answered = when === "before";
        router.reconfigure(renamed(workers), () => {
          if (!answered) heard.push(...answer(server, asked));
          answered = true;
        });
        heard.push(...router.settle());
        const late = heard.filter(({ configuration }) => configuration === 1);
        t.ok(late.length > 0, "what is b's goes on");
        t.same(new Set(late.map(({ device }) => device)), new Set(["lan-b"]), when);
        heardBy(t, heard);
        const { Forwarded = 0, ConnRevoked = 0, ...others } = router.reasons();
        t.same(others, {});
        t.equal(Forwarded, asked.length + heard.length);
        t.equal(heard.length + ConnRevoked, asked.length, "the others are counted");
      }
    }
  },
);

t.test("what comes in by a device that is another now is dropped, and counted", async (t) => {
  for (const workers of WORKERS) {
    const { router, state, a, b } = slow(edge({ workers }));
    state.waits = true;
    const sent = ask([a, b]);
    router.reconfigure(renamed(workers));
    const late = router.settle();
    t.same(
      late.filter(({ ip }) => String(ip?.data).startsWith("lan-a")),
      [],
      "nothing of the tenant that is gone",
    );
    const ended = frames(router.reasons());
    t.equal(ended + router.missed, 2 * PORTS.length, `${router.missed} were passed over`);
    t.ok(router.missed > 0);
    t.equal(router.reasons().Forwarded, sent.length + late.length);
  }
});

const DETERMINISTIC = {
  allocation: "deterministic",
  deterministic: { hosts: [{ zone: "a", prefix: "192.168.0.0/26" }], portsPerHost: 64 },
};

t.test(
  "a host's ports are its own worker's, also where another one had to do with it",
  async (t) => {
    // Under the first configuration the answers' worker has the conn, under the second one the host's.
    const route = "priority=50,zone=a,udp actions=nat(src=203.0.113.20,dst_zone=public)";
    for (const workers of WORKERS) {
      const pools = [{ name: "p1", zone: "public", addresses: [EXTERNAL], ...DETERMINISTIC }];
      const nat = [{ from: ["a"], to: "public", pool: "p1" }];
      const before = edge({ workers, pools, nat, flows: [route] });
      const { router, state, a } = slow(before);
      state.waits = true;
      const ask = (source: string) => {
        for (const sourcePort of PORTS.slice(0, 8)) {
          a.send(SERVER, udp({ sourcePort, destinationPort: 53, data: "?" }), { source });
        }
      };
      const hosts = Array.from({ length: 20 }, (_, n) => `192.168.0.${n + 10}`);
      router.reconfigure(edge({ workers, pools, nat }), () => {
        for (const host of hosts) ask(host);
      });
      router.settle();
      state.waits = false;
      for (const host of hosts) ask(host);
      const ports = router.mappings().map(({ externalPort }) => externalPort);
      t.equal(new Set(ports).size, ports.length, "none is given twice");
      t.equal(frames(router.reasons()) + router.missed, workers * hosts.length * 8);
    }
  },
);

t.test("a configuration that one worker has no place for, none switches to", async (t) => {
  const capacity = { conns: 1024, neighbors: 64, poolAddresses: 3, imageBytes: 65536 };
  for (const workers of WORKERS) {
    const on = (...addresses: string[]) =>
      edge({ workers, capacity, pools: [{ name: "p1", zone: "public", addresses }] });
    const router = new Router(on(EXTERNAL));
    const { a } = around(router);
    t.equal(a.udp(SERVER, 5000, 53).length, 1);
    router.reconfigure(on("203.0.113.8"));
    // The worker of that host still has its conn on the first address.
    let switched = false;
    t.throws(
      () =>
        router.reconfigure(on("203.0.113.9", "203.0.113.10"), () => {
          switched = true;
        }),
      ImageRefused,
    );
    t.notOk(switched);
    const [sent] = a.udp(SERVER, 5001, 53);
    t.equal(sent?.ip?.source, "203.0.113.8", "the one in force goes on");
    router.wait(1000);
    router.reconfigure(on("203.0.113.9", "203.0.113.10"));
    t.equal(a.udp(SERVER, 5002, 53).length, 1, "once that conn has ended");
  }
});
