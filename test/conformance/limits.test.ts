/** Limits of zones and hosts, and what is said as they come near: what exists is never touched. */

import t from "tap";
import { EventKind, Reason } from "../../assembly/abi.js";
import { Host, SERVER } from "../harness/host.js";
import { nat, pooled } from "../harness/nat.js";
import { type Document, Router } from "../harness/router.js";

function zones(limits: Document): Document {
  return {
    zones: [
      { id: 10, name: "a", limits },
      { id: 11, name: "b" },
      { id: 20, name: "public" },
    ],
  };
}

const THRESHOLDS: readonly EventKind[] = [EventKind.ThresholdReached, EventKind.ThresholdCleared];

function thresholds(router: ReturnType<typeof nat>["router"]) {
  return router
    .events()
    .filter(({ kind }) => THRESHOLDS.includes(kind))
    .map(({ kind, value, zone, pool }) => ({ kind, value, zone, pool }));
}

t.test("RFC 8158 S4: a limit that is reached is event 13, with the Reason", async (t) => {
  for (const [limits, reason] of [
    [{ conns: 1 }, Reason.ZoneConnLimit],
    [{ connsPerHost: 1 }, Reason.HostConnLimit],
    [{ portsPerHost: 1 }, Reason.HostPortLimit],
  ] as const) {
    const { router, a } = nat({}, zones(limits));
    a.udp(SERVER, 1, 53);
    router.events();
    for (let n = 2; n < 6; n++) a.udp(SERVER, n, 53);
    const events = router.events();
    t.equal(events.length, 1, "once a second");
    t.match(events[0], { kind: EventKind.QuotaExceeded, value: reason, zone: 10, port: 2 });
  }
});

t.test(
  "RFC 6888 R11c: 80 % of a zone's conns are said once, and again when there are fewer than 70",
  async (t) => {
    const { router, a } = nat({}, { ...zones({ conns: 10 }), timeouts: { udp: 10 } });
    for (let i = 0; i < 7; i++) a.udp(SERVER, i, 53);
    t.same(thresholds(router), []);
    a.udp(SERVER, 7, 53);
    t.same(thresholds(router), [
      { kind: EventKind.ThresholdReached, value: 80, zone: 10, pool: "" },
    ]);
    a.udp(SERVER, 8, 53);
    a.udp(SERVER, 9, 53);
    t.same(thresholds(router), [], "not again");
    router.wait(5_000);
    for (let i = 0; i < 6; i++) a.udp(SERVER, i, 53);
    router.wait(7_000);
    t.equal(router.conns().length, 6);
    t.same(thresholds(router), [
      { kind: EventKind.ThresholdCleared, value: 60, zone: 10, pool: "" },
    ]);
  },
);

t.test("RFC 6888 R11c: 80 % of a pool's ports, and of the conn table", async (t) => {
  const { router, a } = nat({ ports: "5000-5009" });
  for (let i = 0; i < 10; i++) a.udp(SERVER, i, 53);
  t.same(thresholds(router), [
    { kind: EventKind.ThresholdReached, value: 80, zone: undefined, pool: "p1" },
  ]);
  router.wait(500_000);
  t.same(thresholds(router), [
    { kind: EventKind.ThresholdCleared, value: 60, zone: undefined, pool: "p1" },
  ]);
  const capacity = { conns: 10, neighbors: 16, poolAddresses: 4, imageBytes: 65536 };
  const small = nat({}, { capacity });
  for (let i = 0; i < 10; i++) small.a.udp(SERVER, i, 53);
  t.same(thresholds(small.router), [
    { kind: EventKind.ThresholdReached, value: 80, zone: undefined, pool: "" },
  ]);
  small.router.wait(500_000);
  t.same(thresholds(small.router), [
    { kind: EventKind.ThresholdCleared, value: 60, zone: undefined, pool: "" },
  ]);
});

t.test(
  "RFC 6888 R11c: 80 % of a pool's blocks, though hardly a port of them is in use",
  async (t) => {
    const blocks = { ports: "1024-1663", allocation: "block", block: { ports: 64 } };
    const document = pooled(blocks, { timeouts: { udp: 10 } });
    const router = new Router(document);
    const begin = (n: number) =>
      new Host(router, "lan-a", `192.168.0.${100 + n}`).udp(SERVER, 4000, 53);
    for (let n = 0; n < 7; n++) begin(n);
    router.reconfigure(document);
    t.same(thresholds(router), []);
    begin(7);
    t.same(thresholds(router), [
      { kind: EventKind.ThresholdReached, value: 80, zone: undefined, pool: "p1" },
    ]);
    begin(8);
    begin(9);
    t.same(thresholds(router), [], "not again");
    router.wait(500_000);
    t.same(thresholds(router), [
      { kind: EventKind.ThresholdCleared, value: 60, zone: undefined, pool: "p1" },
    ]);
  },
);
