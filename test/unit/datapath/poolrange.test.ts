/**
 * What is used of a pool counts in its own range: also while ports rest that it had before, and where several pools have
 * parts of one address.
 */

import t from "tap";
import { EventClass, EventKind } from "../../../assembly/abi.js";
import type { ConnView } from "../../../host/telemetry/conn.js";
import { around, EXTERNAL, edge, SERVER, TENANT } from "../../harness/host.js";
import { restart } from "../../harness/restart.js";
import { type Document, Router } from "../../harness/router.js";
import { tablesOf } from "../../harness/tables.js";

const REST_MS = 121_000;

const pool = (name: string, ports: string, changes: Document = {}) => ({
  name,
  zone: "public",
  addresses: [EXTERNAL],
  ports,
  ...changes,
});

async function udpOf(router: Router): Promise<Record<string, unknown>> {
  const tables = tablesOf(router);
  const uses: Record<string, unknown> = {};
  for (const [index, { name, ports, zones }] of (await tables.listPools()).entries()) {
    const ofZones = zones.reduce((sum, { udp }) => sum + udp, 0);
    const whose = `${name}: what is used is some zone's, or another pool's before it`;
    t.equal(ofZones, name === "p3" ? 0 : ports.udp.used, whose);
    const { rows } = await tables.listPoolAddresses({ pool: index, limit: 10, cursor: undefined });
    t.strictSame(rows[0]?.ports.udp, ports.udp, `${name}: the sum is that of the address`);
    uses[name] = ports.udp;
  }
  return uses;
}

/** Alarms of pools that begin or are over, each with the percent that is used. */
function percents(router: Router): string[] {
  return router
    .events()
    .filter(({ kind }) => [EventKind.ThresholdReached, EventKind.ThresholdCleared].includes(kind))
    .map(({ poolIndex, value }) => `${router.config.pools[poolIndex ?? 0]?.name} ${value}`);
}

function watched(document: Document): Router {
  const router = new Router(document);
  for (const datapath of router.datapaths) datapath.watchEvents(EventClass.Alarms);
  return router;
}

for (const workers of [1, 2]) {
  t.test(
    `ports that rest outside of a narrowed range do not count (${workers} workers)`,
    async (t) => {
      const routes = ["a", "b"].map((zone) => ({ zone, to: "10.0.0.0/8", via: TENANT }));
      const at = (ports: string) => edge({ workers, routes, pools: [pool("p1", ports)] });
      const router = watched(at("1024-65535"));
      const { a, b } = around(router);
      const source = (n: number) => ({ source: `10.0.0.${n % 250}` });
      for (let n = 0; n < 400; n++) a.udp(SERVER, 4000 + n, 53, "", source(n));
      router.reconfigure(at("2000-2127"));
      const inside = ({ reply: { destinationPort: port } }: ConnView) =>
        port >= 2000 && port <= 2127;
      const kept = router.conns().filter(inside).length;
      await tablesOf(router).flushConns([{}]);
      for (let n = 0; n < 90; n++) b.udp(SERVER, 4000 + n, 53, "", source(n));
      t.strictSame(await udpOf(router), { p1: { used: 90, resting: kept, free: 38 - kept } });
      t.strictSame(percents(router), [], "70 % is no alarm");
      for (let n = 90; n < 110; n++) b.udp(SERVER, 4000 + n, 53, "", source(n));
      const high = percents(router);
      t.equal(high.length, workers, "each worker's part is one");
      for (const each of high) t.match(each, /^p1 8\d$/);
      await tablesOf(router).flushConns([{}]);
      t.strictSame(await udpOf(router), { p1: { used: 0, resting: 110 + kept, free: 18 - kept } });
      router.reconfigure(at("1024-65535"));
      t.strictSame(await udpOf(router), { p1: { used: 0, resting: 510, free: 64512 - 510 } });
      router.wait(REST_MS);
      t.strictSame(await udpOf(router), { p1: { used: 0, resting: 0, free: 64512 } });
    },
  );
}

t.test(
  "what a restart has left with another worker counts there, also behind a reload",
  async (t) => {
    const routes = [{ zone: "a", to: "10.0.0.0/8", via: TENANT }];
    const at = (changes: Document = {}) =>
      edge({ routes, pools: [pool("p1", "1024-65535")], ...changes });
    const before = new Router(at());
    const { a } = around(before);
    for (let n = 0; n < 200; n++) a.udp(SERVER, 4000 + n, 53, "", { source: `10.0.0.${n}` });
    const { router } = restart(before, at({ workers: 2 }));
    for (const datapath of router.datapaths) datapath.watchEvents(EventClass.Alarms);
    const all = { p1: { used: 200, resting: 0, free: 64512 - 200 } };
    t.strictSame(await udpOf(router), all);
    router.reconfigure(at({ workers: 2, timeouts: { udp: 301 } }));
    t.strictSame(await udpOf(router), all);
    await tablesOf(router).flushConns([{}]);
    t.strictSame(await udpOf(router), { p1: { used: 0, resting: 200, free: 64512 - 200 } });
    router.wait(REST_MS);
    t.strictSame(await udpOf(router), { p1: { used: 0, resting: 0, free: 64512 } });
    t.strictSame(percents(router), []);
  },
);

t.test("pools that share an address count their own ports", async (t) => {
  const router = watched(
    edge({
      pools: [pool("p1", "2000-2009"), pool("p2", "3000-3099"), pool("p3", "3050-3149")],
      nat: [
        { from: ["a"], to: "public", pool: "p2" },
        { from: ["b"], to: "public", pool: "p1" },
      ],
    }),
  );
  const { a, b } = around(router);
  for (let n = 0; n < 79; n++) a.udp(SERVER, 4000 + n, 53);
  for (let n = 0; n < 7; n++) b.udp(SERVER, 4000 + n, 53);
  t.strictSame(percents(router), []);
  const uses = await udpOf(router);
  t.match(uses, {
    p1: { used: 7, resting: 0, free: 3 },
    p2: { used: 79, resting: 0, free: 21 },
  });
  a.udp(SERVER, 4079, 53);
  b.udp(SERVER, 4007, 53);
  t.strictSame(percents(router), ["p2 80", "p1 80"]);
  await tablesOf(router).flushConns([{ originalZone: 11 }]);
  t.match(await udpOf(router), {
    p1: { used: 0, resting: 8, free: 2 },
    p2: { used: 80, resting: 0, free: 20 },
  });
  router.wait(REST_MS);
  t.match(percents(router), ["p1 60"], "and is over when they have rested");
});

t.test("blocks outside of a narrowed range do not count", async (t) => {
  const at = (ports: string) =>
    edge({
      pools: [pool("p1", ports, { allocation: "block", block: { ports: 64, perHost: 8 } })],
    });
  const router = watched(at("1024-65535"));
  const { a, b } = around(router);
  for (let n = 0; n < 130; n++) a.udp(SERVER, 4000 + n, 53);
  const blocks = async () => (await tablesOf(router).listPools())[0]?.blocks;
  t.strictSame(await blocks(), { ports: 64, used: 3, free: 1005 });
  router.reconfigure(at("1024-1279"));
  const outside = router.conns().every(({ reply }) => reply.destinationPort > 1279);
  t.ok(outside, "else the seed was unlucky");
  t.strictSame(await blocks(), { ports: 64, used: 0, free: 4 });
  b.udp(SERVER, 4000, 53);
  t.strictSame(await blocks(), { ports: 64, used: 1, free: 3 });
  t.strictSame(percents(router), []);
});
