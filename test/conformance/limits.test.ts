/** Limits of zones and hosts, and what is said as they come near: what exists is never touched. */

import t from "tap";
import { EventKind, Reason } from "../../assembly/abi.js";
import { SERVER } from "../harness/host.js";
import { isProhibited, nat } from "../harness/nat.js";
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

const THRESHOLDS: readonly EventKind[] = [EventKind.ThresholdReached, EventKind.ThresholdCleared];

function thresholds(router: ReturnType<typeof nat>["router"]) {
  return router
    .events()
    .filter(({ kind }) => THRESHOLDS.includes(kind))
    .map(({ kind, value, zone, pool }) => ({ kind, value, zone, pool }));
}

t.test("peers P18; peers P34: exactly 5 of 10 pass in a zone whose limit is 5", async (t) => {
  const { router, a, b, server } = nat({}, zones({ conns: 5 }));
  const outs = Array.from({ length: 10 }, (_, i) => a.udp(SERVER, i, 53));
  t.equal(outs.filter((sent) => !isProhibited(sent)).length, 5);
  t.same(router.ended, { ZoneConnLimit: 1 });
  for (let i = 0; i < 10; i++) t.notOk(isProhibited(b.udp(SERVER, i, 53)), "the other zone");
  for (const out of outs.slice(0, 5)) t.equal(server.answer(out[0]).length, 1);
  t.equal(router.conns().filter(({ original }) => original.zone === 10).length, 5);
});

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
  "80 % of a zone's conns are said once, and again when there are fewer than 70",
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

t.test("80 % of a pool's ports, and of the conn table", async (t) => {
  const { router, a } = nat({ ports: "5000-5009" });
  for (let i = 0; i < 10; i++) a.udp(SERVER, i, 53);
  t.same(thresholds(router), [
    { kind: EventKind.ThresholdReached, value: 80, zone: 0, pool: "p1" },
  ]);
  router.wait(500_000);
  t.same(thresholds(router), [
    { kind: EventKind.ThresholdCleared, value: 60, zone: 0, pool: "p1" },
  ]);
  const capacity = { conns: 10, neighbors: 16, poolAddresses: 4, imageBytes: 65536 };
  const small = nat({}, { capacity });
  for (let i = 0; i < 10; i++) small.a.udp(SERVER, i, 53);
  t.same(thresholds(small.router), [
    { kind: EventKind.ThresholdReached, value: 80, zone: 0, pool: "" },
  ]);
  small.router.wait(500_000);
  t.same(thresholds(small.router), [
    { kind: EventKind.ThresholdCleared, value: 60, zone: 0, pool: "" },
  ]);
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
