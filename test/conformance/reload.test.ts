/** Another configuration under load: what it still allows goes on, what ends says why, nothing stays behind. */

import t from "tap";
import { TcpFlags } from "../harness/frame.js";
import { EXTERNAL, SERVER, TENANT } from "../harness/host.js";
import { endpointOf, isProhibited, nat, pooled, portOf, SECOND } from "../harness/nat.js";
import type { Document } from "../harness/router.js";

const ONLY_A = { nat: [{ from: ["a"], to: "public", pool: "p1" }] };

/** A hundred conns of each tenant, and what they look like outside. */
function loaded(pool: Document = {}, changes: Document = {}) {
  const all = nat(pool, changes);
  const { a, b } = all;
  const outs = Array.from({ length: 100 }, (_, i) => ({
    a: a.udp(SERVER, i, 53),
    b: b.udp(SERVER, i, 53),
  }));
  return { ...all, outs };
}

t.test("peers P28: no conn is lost that the new configuration allows", async (t) => {
  const { router, a, server, outs } = loaded();
  const flows = ["priority=50,zone=a,udp,tp_dst=25 actions=drop"];
  const timeouts = { udp: 400 };
  for (const document of [pooled({}, { flows }), pooled({}, ONLY_A), pooled({}, { timeouts })]) {
    router.reconfigure(document);
    router.wait(1);
    for (const [i, { a: out }] of outs.entries()) {
      t.equal(server.answer(out[0])[0]?.device, "lan-a");
      t.equal(endpointOf(a.udp(SERVER, i, 53)), endpointOf(out));
    }
  }
});

t.test("peers P29; peers P33: those that end say why, and none is left over", async (t) => {
  const { router, b, server, outs } = loaded();
  router.reconfigure(pooled({}, ONLY_A));
  for (const { b: out } of outs.slice(0, 10)) t.same(server.answer(out[0]), []);
  for (let i = 10; i < 20; i++) b.udp(SERVER, i, 53);
  t.equal(router.reasons().ConnRevoked, 20);
  router.wait(0);
  t.equal(router.conns().filter(({ original }) => original.zone === 11).length, 0);
  t.equal(router.conns().length, 100);
  t.same(
    router.hosts().map(({ zone }) => zone),
    [10],
  );
});

t.test(
  "peers P35: nothing of a zone's former tenant is left when its number is used",
  async (t) => {
    const limits = { connsPerHost: 100, portsPerHost: 100 };
    const zones = (name: string) => [
      { id: 10, name, limits },
      { id: 11, name: "b" },
      { id: 20, name: "public" },
    ];
    const named = (name: string, changes: Document = {}) => {
      const text = JSON.stringify(pooled({ filtering: "endpoint-independent", ...changes }));
      const document = JSON.parse(text.replaceAll('"a"', `"${name}"`));
      return { ...document, zones: zones(name) };
    };
    const { router, a, server, outs } = loaded(
      { filtering: "endpoint-independent" },
      { zones: zones("a") },
    );
    const [old] = outs;
    router.reconfigure(named("new"));
    t.same(
      server.udp(EXTERNAL, 99, portOf(old?.a ?? [])),
      [],
      "nobody is let in to the old tenant",
    );
    t.same(server.answer(old?.a[0]), []);
    const port = endpointOf(a.udp(SERVER, 0, 53));
    t.not(port, endpointOf(old?.a ?? []), "it inherits no endpoint");
    for (let i = 1; i < 100; i++)
      t.notOk(isProhibited(a.udp(SERVER, 1000 + i, 53)), "its limits are its own");
    router.wait(0);
    t.match(
      router.hosts().find(({ zone }) => zone === 10),
      { conns: 100, ports: { udp: 100 } },
    );
    t.equal(router.conns().filter(({ original }) => original.zone === 10).length, 100);
  },
);

t.test(
  "peers P29: a pool's filtering made stricter lets nobody new in, and ends who had come in",
  async (t) => {
    const { router, a, server, third } = nat({ filtering: "endpoint-independent" });
    const out = a.udp(SERVER, 1, 53);
    t.equal(third.udp(EXTERNAL, 9, portOf(out)).length, 1);
    router.reconfigure(pooled({ filtering: "address-dependent" }));
    t.same(third.udp(EXTERNAL, 9, portOf(out)), []);
    t.same(router.ended, { ConnRevoked: 1 });
    t.same(third.udp(EXTERNAL, 10, portOf(out)), []);
    t.same(router.ended, { Filtered: 1 });
    t.equal(server.answer(out[0]).length, 1, "whoever was sent to may still answer");
    t.equal(portOf(a.udp("8.8.8.8", 1, 53)), portOf(out), "the endpoint keeps its port");
  },
);

t.test("peers P29: neither does it let anybody turn round there, nor keep who has", async (t) => {
  const { router, a, b } = nat({ filtering: "endpoint-independent" });
  const port = portOf(b.udp(SERVER, 1, 53));
  t.equal(a.udp(EXTERNAL, 1, port)[0]?.device, "lan-b");
  router.reconfigure(pooled({ filtering: "address-dependent" }));
  t.same(a.udp(EXTERNAL, 2, port), []);
  t.same(router.ended, { Filtered: 1 });
  t.same(a.udp(EXTERNAL, 1, port), []);
  t.same(router.ended, { ConnRevoked: 1 });
});

t.test(
  "peers P28: mappings go on over a reload, and end with the policy that made them",
  async (t) => {
    const { router, a } = nat();
    const port = portOf(a.udp(SERVER, 1, 53));
    router.reconfigure(pooled());
    t.equal(portOf(a.udp("8.8.8.8", 1, 53)), port);
    router.reconfigure(pooled({ mapping: "address-dependent" }));
    t.not(portOf(a.udp("8.8.4.4", 1, 53)), port, "a new conn is mapped as the pool says now");
    t.equal(portOf(a.udp(SERVER, 1, 53)), port, "an old one stays as it was");
  },
);

t.test(
  "RFC 6888 R8: an address goes while its ports rest, and another takes its place",
  async (t) => {
    const capacity = { conns: 64, neighbors: 16, poolAddresses: 2, imageBytes: 65_536 };
    const { router, a, b } = nat({ ports: "5000-5001" }, { capacity, timeouts: { udp: 1 } });
    a.udp(SERVER, 1, 53);
    a.tcp(SERVER, 1, 80, TcpFlags.Syn);
    router.wait(2_000);
    const next = (last: number) =>
      pooled({ addresses: [`203.0.113.${last}`], ports: "5000-5001" }, { capacity });
    router.reconfigure(next(8));
    router.wait(0);
    router.reconfigure(next(9));
    const given = [1, 2].map((port) => endpointOf(b.udp(SERVER, port, 53)));
    t.same(
      given.sort(),
      ["203.0.113.9:5000", "203.0.113.9:5001"],
      "nothing of the old one rests there",
    );
    router.wait(130_000);
    t.ok(isProhibited(b.udp(SERVER, 3, 53)), "nor is anything freed there that is in use");
    router.wait(500_000);
    t.same([router.conns(), router.mappings(), router.hosts()], [[], [], []]);
    t.equal(endpointOf(a.udp(SERVER, 1, 53)).split(":")[0], "203.0.113.9", TENANT);
  },
);

t.test(
  "peers P35: an endpoint of the new tenant has no part in the former one's mapping",
  async (t) => {
    const { router, a } = nat();
    const [old] = a.udp(SERVER, 4562, 53);
    const document = JSON.parse(JSON.stringify(pooled()).replaceAll('"a"', '"new"'));
    router.reconfigure(document);
    const [sent] = a.udp(SECOND, 4562, 53);
    t.not(sent?.ip?.sourcePort, old?.ip?.sourcePort);
    t.equal(router.mappings().length, 2, "the former one is there until its conns are swept");
    router.wait(0);
    t.equal(router.mappings().length, 1);
  },
);

t.test(
  "RFC 4787 R1; peers P29: a port that has become a forward's is its old user's no more",
  async (t) => {
    const pool = { filtering: "endpoint-independent" };
    const { router, a, third } = nat(pool);
    const port = portOf(a.udp(SERVER, 1, 53));
    const to = { zone: "b", address: TENANT, port };
    const forward = { protocol: "udp", zone: "public", address: EXTERNAL, port, to };
    router.reconfigure(pooled(pool, { forwards: [forward] }));
    t.not(portOf(a.udp(SECOND, 1, 53)), port, "before the sweep, too");
    router.wait(0);
    t.equal(third.udp(EXTERNAL, 9, port)[0]?.device, "lan-b");
  },
);

t.test(
  "peers P28: a pool's filtering made looser ends nobody, and lets in who may come",
  async (t) => {
    const { router, a, server, third } = nat({ filtering: "address-dependent" });
    const port = portOf(a.udp(SERVER, 1, 53));
    t.equal(server.udp(EXTERNAL, 99, port).length, 1);
    router.reconfigure(pooled({ filtering: "endpoint-independent" }));
    router.wait(0);
    t.equal(server.udp(EXTERNAL, 99, port).length, 1, "who had come in stays");
    t.equal(server.udp(EXTERNAL, 98, port).length, 1, "and others come as they could before");
    t.same(third.udp(EXTERNAL, 9, port), [], "an old mapping filters as it was made");
  },
);

t.test("RFC 6888 R8: an address that comes back finds its ports resting", async (t) => {
  const pool = { allocation: "preserve" };
  const { router, a, b } = nat(pool);
  t.equal(portOf(a.udp(SERVER, 4562, 53)), 4562);
  router.reconfigure(pooled({ ...pool, addresses: ["203.0.113.8"] }));
  router.wait(0);
  router.reconfigure(pooled(pool));
  t.not(portOf(b.udp(SERVER, 4562, 53)), 4562);
  router.wait(121_000);
  t.equal(portOf(a.udp(SERVER, 4562, 54)), 4562, "until they have rested");
});

t.test("RFC 6888 R8: nor does it begin anew before its conns are swept", async (t) => {
  const { router, a, b } = nat({ ports: "5000-5001" });
  const port = portOf(a.udp(SERVER, 1, 53));
  router.reconfigure(pooled({ addresses: ["203.0.113.8"] }));
  router.reconfigure(pooled({ ports: "5000-5001" }));
  t.not(portOf(b.udp(SERVER, 1, 53)), port);
  t.ok(isProhibited(b.udp(SERVER, 2, 53)));
  router.wait(0);
});

t.test("RFC 7422 S1: who had a port before its pool gave them by hosts gets another", async (t) => {
  const block = { allocation: "block", block: { ports: 64, perHost: 1 } };
  const hosts = [{ zone: "a", prefix: "192.168.0.0/26" }];
  const deterministic = { allocation: "deterministic", deterministic: { hosts, portsPerHost: 64 } };
  for (const policy of [block, deterministic]) {
    const { router, a } = nat({ ports: "20000-30000" });
    const port = portOf(a.udp(SERVER, 1, 53));
    router.reconfigure(pooled({ ...policy, ports: "1024-9999" }));
    const next = portOf(a.udp(SECOND, 1, 53));
    t.not(next, port);
    router.wait(0);
    for (let n = 0; n < 4; n++) t.equal(portOf(a.udp(`8.8.4.${n + 1}`, 1, 53)), next);
  }
});
