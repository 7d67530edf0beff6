/** Queries of a forwarder that runs: over threads, messages and sleeps, of one worker and of two. */
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { EventKind } from "../../assembly/abi.js";
import { parseConfig } from "../../host/config/parse.js";
import { Lab, labSupport } from "../../host/demo/lab.js";
import { Forwarder } from "../../host/forwarder.js";
import {
  parseConnFilter,
  parseConnQuery,
  parseFlush,
  parseHostQuery,
  parseMappingQuery,
  parsePageQuery,
  parsePoolQuery,
} from "../../host/telemetry/filter.js";
import { parseTrace } from "../../host/trace/input.js";
import { burst } from "../harness/burst.js";
import { inside } from "../harness/inside.js";

const reason = labSupport();
const SEED = new Uint8Array(16);
const HOSTS = 1500;

/** @param changes  what is otherwise than usual */
function configuration(workers: number, changes: object = {}) {
  const lan = { name: "lan", port: 1, zone: "a", interface: "eth0", mac: "02:00:00:00:00:01" };
  const wan = { name: "wan", port: 2, zone: "public", interface: "eth1" };
  return parseConfig(
    JSON.stringify({
      version: 1,
      workers,
      zones: [
        { id: 10, name: "a" },
        { id: 20, name: "public" },
      ],
      devices: [
        { ...lan, addresses: ["10.0.255.254/16"] },
        { ...wan, addresses: ["203.0.113.2/24"] },
      ],
      routes: [{ zone: "public", to: "0.0.0.0/0", via: "203.0.113.1" }],
      neighbors: [{ zone: "public", address: "203.0.113.1", mac: "02:00:00:00:00:02" }],
      pools: [{ name: "p1", zone: "public", addresses: ["203.0.113.64-203.0.113.67"] }],
      nat: [{ from: ["a"], to: "public", pool: "p1" }],
      capacity: { conns: 8192 },
      ...changes,
    }),
    "test",
  );
}

t.test("queries of a running forwarder", { skip: reason ?? false }, async (t) => {
  for (const workers of [1, 2]) {
    t.test(`${workers} workers`, async (t) => {
      const lab = await Lab.create();
      t.teardown(() => lab.close());
      const near = await lab.namespace("near");
      const far = await lab.namespace("far");
      await lab.veth(near, "eth0", far, "eth0");
      await lab.veth(near, "eth1", far, "eth1");
      const config = configuration(workers);
      const forwarder = await inside(near.pid, () => Forwarder.start(config, SEED));
      t.teardown(() => forwarder.stop());
      const count = (filter: object) => forwarder.countConns(parseConnFilter(filter, config));
      // A busy machine may have no place for some frames.
      for (let turn = 0; turn < 10 && (await count({ zone: "a" })) < HOSTS; turn++) {
        await burst(far, HOSTS);
        await sleep(200);
      }
      t.equal(await count({ zone: "a" }), HOSTS);

      const ids = new Set<string>();
      let before = 0;
      for (let cursor: string | undefined, pages = 0; pages < 20; pages++) {
        const query = { filter: { protocol: "udp" }, sort: "source", limit: 200, cursor };
        const page = await forwarder.queryConns(parseConnQuery(query, config));
        t.equal(page.matched, HOSTS);
        for (const { id, original } of page.rows) {
          const [, , high = 0, low = 0] = original.source.split(".").map(Number);
          t.ok(high * 256 + low > before, "ascending over pages and workers");
          before = high * 256 + low;
          ids.add(id);
        }
        cursor = page.cursor;
        if (cursor === undefined) break;
      }
      t.equal(ids.size, HOSTS);

      const askedAt = performance.now();
      const newest = await forwarder.queryConns(parseConnQuery({ limit: 10 }, config));
      // Each worker reads ages at a moment of its own; clocks of threads differ by one at most.
      const apartMs = performance.now() - askedAt + 2;
      t.equal(newest.rows.length, 10);
      const ages = newest.rows.map(({ ageMs }) => ageMs);
      t.ok(
        ages.every((age, i) => age + apartMs >= (ages[i - 1] ?? 0)),
        `the youngest first, up to ${apartMs} ms: ${ages}`,
      );

      const top = await forwarder.topHosts(parseHostQuery({ sort: "conns", limit: 3 }, config));
      t.equal(top.length, 3);
      t.match(top[0], { zone: 10, conns: 1, ports: { udp: 1 } });
      const mappings = await forwarder.listMappings(parseMappingQuery({ limit: 500 }, config));
      t.equal(mappings.rows.length, 500);
      t.ok(mappings.cursor);
      const [pool] = await forwarder.listPools();
      t.equal(pool?.ports.udp.used, HOSTS);
      t.strictSame(pool?.zones, [{ zone: 10, tcp: 0, udp: HOSTS, icmp: 0, others: 0 }]);
      const page = parsePoolQuery({ pool: "p1", limit: 3 }, config);
      t.equal((await forwarder.listPoolAddresses(page)).rows.length, 3);
      const neighbors = await forwarder.listNeighbors(parsePageQuery({}, config));
      t.match(neighbors.rows.at(-1), { device: "wan", address: "203.0.113.1", state: "permanent" });
      const flows = await forwarder.listFlows(parsePageQuery({}, config));
      t.ok(flows.rows.some(({ packets }) => packets >= HOSTS));

      const many = Array.from({ length: 17 }, () => count({ port: 53 }));
      const settled = await Promise.allSettled(many);
      t.equal(settled.filter(({ status }) => status === "rejected").length, 1, "one too many");
      t.ok(settled.every((each) => each.status === "rejected" || each.value === HOSTS));

      const said = await forwarder.examine(configuration(workers, { nat: [] }));
      t.match(said, {
        conns: HOSTS,
        ending: HOSTS,
        reasons: [{ reason: "NoFlow", conns: HOSTS }],
        zones: [{ zone: 10, name: "a", conns: HOSTS }],
      });
      t.equal(said.first.length, 20);
      t.match(await forwarder.examine(config), { conns: HOSTS, ending: 0, reasons: [] });
      const large = configuration(workers, { capacity: { conns: 100_000 } });
      await t.rejects(forwarder.examine(large), /capacity\.conns: 100000 wanted/);
      await t.rejects(forwarder.examine(configuration(3)), /workers: 3 wanted/);
      // A switch that comes meanwhile goes first; what was there before it is looked at behind it.
      const [under] = await Promise.all([
        forwarder.examine(configuration(workers, { nat: [] })),
        forwarder.reconfigure(configuration(workers, { timeouts: { udp: 299 } })),
      ]);
      t.match(under, { conns: HOSTS, ending: HOSTS });
      t.equal(await count({ zone: "a" }), HOSTS, "nothing has ended");

      const packet = { protocol: "udp", source: "10.0.200.1", destination: "198.51.100.10" };
      const asked = { zone: "a", ...packet, sourcePort: 4000, destinationPort: 53 };
      const traced = await forwarder.trace(parseTrace(asked, config));
      t.equal(traced.verdict, "Forwarded");
      t.match(
        traced.steps.find(({ step, verdict }) => step === "decide" && verdict === "continue"),
        { details: { pool: "p1", conn: { original: { source: packet.source }, phase: "new" } } },
      );
      t.match(traced.frames, [{ device: "wan", hex: /^0200000000 ?02/ }]);
      const again = await forwarder.trace(parseTrace(asked, config));
      t.same(again.frames, traced.frames, "the same port once more");
      t.equal(await count({ zone: "a" }), HOSTS, "no conn was made");

      const ended: number[] = [];
      forwarder.on("event", ({ kind }) => ended.push(kind));
      const some = parseConnFilter({ source: "10.0.1.0/25" }, config);
      t.equal(await forwarder.deleteConns(some, true), 128);
      t.equal(await forwarder.deleteConns(some), 128);
      t.equal(await count({ zone: "a" }), HOSTS - 128);
      t.equal(await forwarder.flushConns(parseFlush({ zone: "a" }, config)), HOSTS - 128);
      t.equal((await forwarder.conns()).length, 0);
      const [rested] = await forwarder.listPools();
      t.strictSame(rested?.ports.udp, { used: 0, resting: HOSTS, free: 4 * 64512 - HOSTS });
      t.notOk(ended.includes(EventKind.TableFull));
    });
  }
});
