/**
 * `crosszone run --state` is killed at random moments, while it starts and while an operator applies, confirms and rolls back;
 * what the next one runs is whole, and one that somebody confirmed. KILLS and KILL_SEED in the environment set how often, and
 * the seed, which is printed.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import t from "tap";
import type { Child } from "../../host/demo/child.js";
import { Lab, type Namespace } from "../../host/demo/lab.js";
import { Random } from "../fuzz/random.js";
import { type Any, Client } from "../harness/plane.js";
import { skipReason } from "./tools.js";

const MAIN = fileURLToPath(new URL("../../host/main.js", import.meta.url));
const KILLS = Number(process.env.KILLS ?? 30);
const seed = Number(process.env.KILL_SEED ?? Date.now() % 1_000_000);

/** Milliseconds after which it is killed: of a start, and of work. */
const START_MS = 250;
const WORK_MS = 120;

t.setTimeout(60_000 + KILLS * 10_000);

/** Every part of the router shows which one it is. */
function configuration(variant: number) {
  return {
    version: 1,
    zones: [
      { id: 10, name: "a", limits: { conns: variant } },
      { id: 20, name: `public-${variant}` },
    ],
    devices: [
      { name: "lan", zone: "a", interface: "lan", addresses: ["10.0.0.1/24"] },
      { name: "wan", zone: `public-${variant}`, interface: "wan", addresses: ["203.0.113.1/24"] },
    ],
    pools: [{ name: `p${variant}`, zone: `public-${variant}`, addresses: ["203.0.113.7"] }],
    nat: [{ from: ["a"], to: `public-${variant}`, pool: `p${variant}` }],
    capacity: { conns: 1024 },
  };
}

/** What may be found after a kill, as far as the operator knows. */
class Record {
  /** Variant of the one that was confirmed last, as it was answered. */
  confirmed = 1;
  /** One that was asked to be confirmed, and not answered: it may be either. */
  asked: number | undefined;
  steps = 0;

  allows(variant: number): boolean {
    return variant === this.confirmed || variant === this.asked;
  }
}

interface Site {
  readonly router: Namespace;
  readonly folder: string;
  readonly socket: string;
}

function start({ router, folder, socket }: Site): Child {
  const options = ["--state", join(folder, "state"), "--socket", socket, "--listen", "none"];
  // As often as it goes, so that kills meet snapshots, too.
  options.push("--snapshot", "1");
  return router.spawn(process.execPath, [MAIN, "run", join(folder, "config.json"), ...options]);
}

function connect({ socket }: Site): Promise<Client> {
  return Client.open(`ws+unix:${socket}:/rpc`, {});
}

/** The variant that it runs; a fault where its parts are of different ones. */
async function running(client: Client): Promise<{ variant: number; fault?: string }> {
  const { revision, config } = await client.call("config.get");
  const { zones } = await client.call("zones.list");
  const { pools } = await client.call("pools.list");
  const variant: number = config.zones[0].limits.conns;
  const parts = [zones[0].connsMax, Number(zones[1].name.slice(7)), Number(pools[0].name.slice(1))];
  const found = { revision: revision.state, parts, config };
  const expected = {
    revision: "confirmed",
    parts: [variant, variant, variant],
    config: JSON.parse(JSON.stringify(configuration(variant))),
  };
  const isWhole = JSON.stringify(found) === JSON.stringify(expected);
  return isWhole ? { variant } : { variant, fault: `found ${JSON.stringify(found)}` };
}

/** Applies, confirms and rolls back until it is killed. */
async function work(site: Site, record: Record, random: Random, next: () => number) {
  const clients: Client[] = [];
  try {
    for (;;) {
      const client = await connect(site);
      clients.push(client);
      const { number } = (await client.call("config.get")).revision;
      const variant = next();
      const config = configuration(variant);
      if (random.chance(0.3)) {
        record.asked = variant;
        await client.call("config.apply", { config, base: number });
        record.confirmed = variant;
        record.steps++;
        continue;
      }
      const applied = await client.call("config.apply", {
        config,
        base: number,
        confirmWithinSec: 60,
      });
      record.steps++;
      if (random.chance(0.3)) {
        await client.call("config.rollback", {});
        record.steps++;
        continue;
      }
      const other = await connect(site);
      clients.push(other);
      record.asked = variant;
      await other.call("config.confirm", { revision: applied.revision.number });
      record.confirmed = variant;
      record.steps++;
    }
  } catch (error) {
    // The kill; anything else is what the test has found.
    const text = error instanceof Error ? error.message : String(error);
    return /closed with|ECONNREFUSED|ECONNRESET|ENOENT|hang up/.test(text) ? undefined : text;
  } finally {
    for (const client of clients) client.end();
  }
}

t.test("killed at random moments, it comes up whole", { skip: skipReason() }, async (t) => {
  const again = `KILLS=${KILLS} KILL_SEED=${seed} npx tap --disable-coverage`;
  t.comment(`again: ${again} dist/test/lab/kill.test.js`);
  const random = new Random(seed);
  const lab = await Lab.create();
  t.teardown(() => lab.close());
  const router = await lab.namespace("router");
  const other = await lab.namespace("other");
  await lab.veth(router, "lan", other, "eth0");
  await lab.veth(router, "wan", other, "eth1");
  const folder = mkdtempSync(join(tmpdir(), "crosszone-kill-"));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, "config.json"), JSON.stringify(configuration(1)));
  const site = { router, folder, socket: join(folder, "socket") };
  const record = new Record();
  let variant = 1;
  const faults: string[] = [];
  let kills = 0;
  while (kills < KILLS && faults.length === 0) {
    if (random.chance(0.2)) {
      const starting = start(site);
      await sleep(random.below(START_MS));
      starting.signal("SIGKILL");
      await starting.exited;
      kills++;
    }
    const child = start(site);
    try {
      await child.line("stderr", /^crosszone: running/);
    } catch {
      faults.push(`it does not start: ${child.stderr}`);
      break;
    }
    const client = await connect(site);
    const found = await running(client);
    client.end();
    if (found.fault !== undefined) faults.push(found.fault);
    else if (!record.allows(found.variant)) {
      faults.push(`runs ${found.variant}; confirmed ${record.confirmed}, asked ${record.asked}`);
    }
    record.confirmed = found.variant;
    record.asked = undefined;
    const working = work(site, record, random, () => ++variant);
    await sleep(random.below(WORK_MS));
    child.signal("SIGKILL");
    await child.exited;
    const fault: Any = await working;
    if (fault !== undefined) faults.push(fault);
    kills++;
  }
  t.same(faults, [], `seed ${seed}`);
  t.ok(kills >= KILLS, `${kills} kills`);
  t.ok(record.steps > KILLS, `${record.steps} steps were done between them`);
});
