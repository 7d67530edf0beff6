/** Alarms that come again and again: each once a second, none hidden by another, all of them counted. */

import t from "tap";
import { EventKind, Limit, Reason } from "../../assembly/abi.js";
import { Host, SERVER } from "../harness/host.js";
import { nat } from "../harness/nat.js";
import type { Document, Router } from "../harness/router.js";

function zones(limits: Document): Document {
  return {
    zones: [
      { id: 10, name: "a", limits },
      { id: 11, name: "b", limits },
      { id: 20, name: "public" },
    ],
  };
}

function quotas(router: Router) {
  return router
    .events()
    .filter(({ kind }) => kind === EventKind.QuotaExceeded)
    .map(({ zone, address, value, repeats }) => ({
      host: `${zone} ${address}`,
      reason: Reason[value],
      repeats,
    }));
}

/** A host of zone a. */
function host(router: Router, n: number): Host {
  return new Host(router, "lan-a", `192.168.0.${100 + n}`);
}

t.test("RFC 8158 S8: a host at its limit does not hide another one", async (t) => {
  const { router } = nat({}, zones({ connsPerHost: 1 }));
  const [one, other] = [host(router, 1), host(router, 2)];
  for (const each of [one, other]) each.udp(SERVER, 1, 53);
  for (let n = 2; n < 6; n++) one.udp(SERVER, n, 53);
  other.udp(SERVER, 2, 53);
  t.same(quotas(router), [
    { host: "10 192.168.0.101", reason: "HostConnLimit", repeats: 0 },
    { host: "10 192.168.0.102", reason: "HostConnLimit", repeats: 3 },
  ]);
  router.wait(1000);
  one.udp(SERVER, 9, 53);
  t.same(
    quotas(router).map(({ repeats }) => repeats),
    [0],
  );
});

t.test("RFC 8158 S8: one reason does not hide another one", async (t) => {
  const { router, a } = nat({}, zones({ conns: 3, connsPerHost: 2 }));
  a.udp(SERVER, 1, 53);
  a.udp(SERVER, 2, 53);
  a.udp(SERVER, 3, 53);
  const other = host(router, 1);
  other.udp(SERVER, 1, 53);
  other.udp(SERVER, 2, 53);
  other.udp(SERVER, 3, 53);
  t.same(
    quotas(router).map(({ reason, repeats }) => ({ reason, repeats })),
    [
      { reason: "HostConnLimit", repeats: 0 },
      { reason: "ZoneConnLimit", repeats: 0 },
    ],
  );
  router.wait(1000);
  other.udp(SERVER, 4, 53);
  t.same(
    quotas(router).map(({ reason, repeats }) => ({ reason, repeats })),
    [{ reason: "ZoneConnLimit", repeats: 1 }],
    "what was left out is told under its own reason",
  );
});

t.test("RFC 8158 S8: a second tells of some hosts of a zone, and counts the others", async (t) => {
  const { router, b } = nat({}, zones({ connsPerHost: 1 }));
  const hosts = Array.from({ length: 30 }, (_, n) => host(router, n));
  for (const each of [...hosts, b]) each.udp(SERVER, 1, 53);
  for (const each of [...hosts, b]) each.udp(SERVER, 2, 53);
  const told = quotas(router);
  const ofA = told.filter(({ host }) => host.startsWith("10 "));
  t.equal(ofA.length, Limit.AlarmsPerZone);
  t.equal(told.length, Limit.AlarmsPerZone + 1, "the other zone has its own");
  router.wait(1000);
  hosts[0]?.udp(SERVER, 3, 53);
  const all = [...ofA, ...quotas(router)];
  const counted = all.reduce((sum, { repeats }) => sum + 1 + repeats, 0);
  t.equal(counted, 31, "every refusal is told or counted");
});

t.test(
  "RFC 8158 S8: a pool without TCP ports does not hide that UDP ports run out, too",
  async (t) => {
    const { router, a } = nat({ ports: "5000-5000" });
    a.udp(SERVER, 1, 53);
    a.tcp(SERVER, 1, 80, 2);
    router.events();
    a.udp(SERVER, 2, 53);
    a.tcp(SERVER, 2, 80, 2);
    t.same(
      router.events().map(({ kind, protocol }) => ({ kind, protocol })),
      [
        { kind: EventKind.PortsExhausted, protocol: "udp" },
        { kind: EventKind.PortsExhausted, protocol: "tcp" },
      ],
    );
  },
);

t.test("RFC 8158 S8: a next hop that does not answer", async (t) => {
  const { router, a } = nat({}, { neighbors: [] });
  const unresolved = () =>
    router.events().filter(({ kind }) => kind === EventKind.NeighborUnresolved);
  const wait = (seconds: number) => {
    for (let n = 0; n < seconds; n++) {
      a.udp("8.8.8.8", 1000, 53);
      router.wait(1000);
    }
  };
  wait(2);
  t.same(unresolved(), [], "it is still asked");
  wait(3);
  t.match(unresolved(), [{ zone: 20, zoneName: "public", device: "wan" }]);
  wait(50);
  t.same(unresolved(), [], "once a minute, though it is asked again and again");
  wait(10);
  t.equal(unresolved().length, 1);
  // A host of the link, which nobody needs to hear of.
  const { router: other, a: host } = nat({}, { neighbors: [] });
  host.udp(SERVER, 1000, 53);
  for (let n = 0; n < 6; n++) other.wait(1000);
  t.same(
    other.events().filter(({ kind }) => kind === EventKind.NeighborUnresolved),
    [],
  );
});
