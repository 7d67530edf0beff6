/** The main thread's handle on the forwarding thread, here in one process with the test. */
import { readdirSync, readlinkSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import koffi from "koffi";
import t, { type Test } from "tap";
import { EventKind, Table } from "../../assembly/abi.js";
import type { Config } from "../../host/config/model.js";
import { parseConfig } from "../../host/config/parse.js";
import { Lab, labSupport } from "../../host/demo/lab.js";
import { Forwarder } from "../../host/forwarder.js";
import { formatMetrics } from "../../host/telemetry/prometheus.js";
import { burst } from "../harness/burst.js";
import { inside } from "../harness/inside.js";

// Longer than the limit of a file, for a machine that does other things as well.
t.setTimeout(300_000);

const reason = labSupport();
const SEED = new Uint8Array(16);

/** More hosts than events that may wait. */
const HOSTS = 3000;

function parse(document: object): Config {
  return parseConfig(JSON.stringify(document), "test");
}

/** @param vlans  devices beside the first, on the same interface */
function configuration(vlans: number, conns = 64) {
  const names = Array.from({ length: vlans }, (_, i) => `a${i}`);
  const devices = names.map((name, i) => ({
    name,
    port: i + 2,
    zone: "z",
    interface: "eth0",
    vlan: i + 1,
    addresses: [`10.2.${i}.1/24`],
  }));
  const first = { name: "lan", port: 1, zone: "z", interface: "eth0", addresses: ["10.1.0.1/24"] };
  return parse({
    version: 1,
    zones: [{ id: 1, name: "z" }],
    devices: [...devices, first],
    capacity: { conns },
  });
}

/** A device on each interface. */
function manyInterfaces(names: readonly string[], workers: number, driver = "afpacket") {
  const devices = names.map((name, i) => ({
    name,
    port: i + 1,
    zone: "z",
    interface: name,
    driver,
    addresses: [`10.1.${i}.1/24`],
  }));
  return parse({ version: 1, workers, zones: [{ id: 1, name: "z" }], devices });
}

/** Of this process: sockets, and programs and maps of the kernel. */
function openSockets(): number {
  return openFiles().filter((target) => /^socket:|bpf/.test(target)).length;
}

function openFiles(): string[] {
  return readdirSync("/proc/self/fd").map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return "";
    }
  });
}

/** More files than a start of two workers opens. */
const FILES_MAX = 200;

/** asm-generic/resource.h */
const RLIMIT_NOFILE = 7;
const c = koffi.load(null);
const getrlimit = c.func("int getrlimit(int resource, void *limit)");
const setrlimit = c.func("int setrlimit(int resource, void *limit)");

/** This process may open so many files more. @returns ends that */
function allowFiles(more: number): () => void {
  const before = new BigUint64Array(2);
  getrlimit(RLIMIT_NOFILE, before);
  setrlimit(RLIMIT_NOFILE, BigUint64Array.of(BigInt(openFiles().length + more), before[1] ?? 0n));
  return () => void setrlimit(RLIMIT_NOFILE, before);
}

async function site(t: Test) {
  const lab = await Lab.create();
  t.teardown(() => lab.close());
  const near = await lab.namespace("near");
  const far = await lab.namespace("far");
  await lab.veth(near, "eth0", far, "eth0");
  /** Threads and sockets belong to the namespace in which they are made. */
  const here = <Result>(action: () => Result): Result => inside(near.pid, action);
  return { lab, near, far, here };
}

t.test("a forwarder", { skip: reason ?? false }, async (t) => {
  t.test("stops, and stop returns at once when its thread has ended", async (t) => {
    const { here } = await site(t);
    const forwarder = await here(() => Forwarder.start(configuration(0), SEED));
    await forwarder.stop();
    await forwarder.stop();
    await t.rejects(forwarder.counters(), /the forwarding thread ended/);
  });

  t.test("counters belong to one configuration, also while another one comes", async (t) => {
    const { here } = await site(t);
    const forwarder = await here(() => Forwarder.start(configuration(1), SEED));
    t.teardown(() => forwarder.stop());
    for (const vlans of [9, 0, 5]) {
      const before = forwarder.counters();
      const done = here(() => forwarder.reconfigure(configuration(vlans)));
      const after = forwarder.counters();
      t.not(Object.keys((await before).devices).length, vlans + 1);
      t.equal(Object.keys((await after).devices).length, vlans + 1);
      await done;
      t.equal(Object.keys((await forwarder.counters()).devices).length, vlans + 1);
    }
  });

  t.test("a refused configuration leaves names and counters as they were", async (t) => {
    const { here } = await site(t);
    const forwarder = await here(() => Forwarder.start(configuration(1), SEED));
    t.teardown(() => forwarder.stop());
    const refused = here(() => forwarder.reconfigure(configuration(3, 65)));
    await t.rejects(refused, /^capacity\.conns: 65 wanted, 64 set aside at the start/);
    t.strictSame(Object.keys((await forwarder.counters()).devices), ["a0", "lan"]);
  });

  t.test(
    "a switch is made before what is gone is closed, and what comes back meanwhile works",
    async (t) => {
      const { lab, near, far, here } = await site(t);
      const names = Array.from({ length: 16 }, (_, i) => `x${i}`);
      await Promise.all(names.map((name) => lab.veth(near, name, far, name)));
      const all = manyInterfaces(names, 1);
      const few = manyInterfaces(names.slice(0, 6), 1);
      const before = openSockets();
      const forwarder = await here(() => Forwarder.start(few, SEED));
      t.teardown(() => forwarder.stop());
      const alone = openSockets();
      t.ok(alone > before);
      await here(() => forwarder.reconfigure(all));
      await here(() => forwarder.reconfigure(few));
      // They are closed within a second, one by one.
      t.ok(openSockets() > alone, "the answer does not wait for ten interfaces");
      await here(() => forwarder.reconfigure(all));
      t.same(Object.keys((await forwarder.counters()).links), names);
      await here(() => forwarder.reconfigure(few));
      for (let n = 0; n < 200 && openSockets() > alone; n++) await sleep(100);
      t.equal(openSockets(), alone, "all of them are closed in the end");
    },
  );

  t.test("of a start that fails at any point nothing is left", async (t) => {
    const { lab, near, far, here } = await site(t);
    const names = ["x0", "x1"];
    for (const name of names) await lab.veth(near, name, far, name);
    const config = manyInterfaces(names, 2, "afxdp");
    const before = openSockets();
    let failures = 0;
    for (let more = 4; more < FILES_MAX; more += 4) {
      const undo = allowFiles(more);
      try {
        const forwarder = await here(() => Forwarder.start(config, SEED));
        await forwarder.stop();
        break;
      } catch {
        failures++;
      } finally {
        undo();
      }
      t.equal(openSockets(), before, `with ${more} files more`);
    }
    t.ok(failures > 5, "it fails at several points");
    t.equal(openSockets(), before);
    for (const name of names) {
      const { stdout } = await near.run("ip", ["-j", "link", "show", name]);
      t.notOk(JSON.parse(stdout)[0].xdp, `no program is left on ${name}`);
    }
  });

  t.test("readings: what workers do, and how full tables are", async (t) => {
    const { far, here } = await site(t);
    const mac = "02:00:00:00:00:01";
    const lan = { name: "lan", zone: "z", interface: "eth0", mac, addresses: ["10.0.0.1/8"] };
    const document = { version: 1, zones: [{ id: 1, name: "z" }], devices: [lan] };
    const config = parse({ ...document, capacity: { conns: 64 } });
    const forwarder = await here(() => Forwarder.start(config, SEED));
    t.teardown(() => forwarder.stop());
    const before = await forwarder.readings();
    t.match(before.tables[Table.Conns], { used: 0, capacity: 64 });
    await burst(far, HOSTS);
    const workOf = ({ work: [first] }: typeof before) => {
      if (first === undefined) throw new Error("no worker");
      return first;
    };
    const idle = workOf(before);
    let after = await forwarder.readings();
    // A turn's time is counted when the next one begins.
    for (let n = 0; n < 100 && workOf(after).busyMs === idle.busyMs; n++) {
      await sleep(100);
      after = await forwarder.readings();
    }
    const busy = workOf(after);
    t.ok(busy.frames - idle.frames > 0, `${busy.frames} frames`);
    t.ok(busy.busyMs > idle.busyMs, `${busy.busyMs} ms`);
    t.ok(busy.turns > busy.emptyTurns);
    t.ok(busy.sleeps > 0);
    const batches = busy.batches.reduce((sum, each) => sum + each);
    t.equal(batches, busy.turns - busy.emptyTurns);
    t.match(
      formatMetrics({ version: "0", startedAt: 0, readings: after, logs: [] }),
      /_frames_total/,
    );
  });

  t.test("every event of a burst is told", async (t) => {
    const { lab, near, far, here } = await site(t);
    await lab.veth(near, "eth1", far, "eth1");
    const lan = { port: 1, zone: "a", interface: "eth0", mac: "02:00:00:00:00:01" };
    const wan = { port: 2, zone: "public", interface: "eth1", addresses: ["203.0.113.2/24"] };
    const config = parse({
      version: 1,
      zones: [
        { id: 10, name: "a" },
        { id: 20, name: "public" },
      ],
      devices: [
        { ...lan, name: "lan", addresses: ["10.0.255.254/16"] },
        { ...wan, name: "wan" },
      ],
      routes: [{ zone: "public", to: "0.0.0.0/0", via: "203.0.113.1" }],
      neighbors: [{ zone: "public", address: "203.0.113.1", mac: "02:00:00:00:00:02" }],
      pools: [
        {
          name: "p1",
          zone: "public",
          addresses: ["203.0.113.64-203.0.113.67"],
          allocation: "block",
          block: { ports: 64, perHost: 1 },
        },
      ],
      nat: [{ from: ["a"], to: "public", pool: "p1" }],
      capacity: { conns: 8192 },
    });
    const forwarder = await here(() => Forwarder.start(config, SEED));
    t.teardown(() => forwarder.stop());
    const told = new Set<string>();
    const warnings: string[] = [];
    forwarder.on(
      "event",
      ({ kind, address }) => kind === EventKind.BlockAllocated && told.add(address),
    );
    forwarder.on("notice", (text) => warnings.push(text));
    // A busy machine may have no place for some frames. Who has a block is not told again.
    for (let turn = 0; turn < 10 && told.size < HOSTS; turn++) {
      await burst(far, HOSTS);
      for (let n = 0; n < 20 && told.size < HOSTS; n++) await sleep(100);
    }
    t.equal(told.size, HOSTS);
    t.same(warnings, []);
  });

  t.test("interfaces come and go over the same windows", async (t) => {
    const { lab, near, far, here } = await site(t);
    const names = Array.from({ length: 7 }, (_, i) => `x${i}`);
    await Promise.all(names.map((name) => lab.veth(near, name, far, name)));
    const on = (used: readonly string[]) =>
      parse({
        version: 1,
        zones: [{ id: 1, name: "z" }],
        devices: used.map((name, i) => ({
          name,
          port: i + 1,
          zone: "z",
          interface: name,
          addresses: [`10.1.${i}.1/24`],
        })),
        capacity: { slots: 1024 },
      });
    const switchTo = (used: readonly string[]) => here(() => forwarder.reconfigure(on(used)));
    const forwarder = await here(() => Forwarder.start(on(["eth0"]), SEED));
    t.teardown(() => forwarder.stop());
    const warnings: string[] = [];
    forwarder.on("notice", (text) => warnings.push(text));
    for (let i = 0; i < 14; i++) await switchTo([names[i % 7] ?? "", names[(i + 1) % 7] ?? ""]);
    await t.rejects(
      switchTo(names),
      /x\d: wants \d+ bytes of the memory that was set aside .* \d+ are left; a restart/,
    );
    await switchTo(names.slice(0, 4));
    t.strictSame(Object.keys((await forwarder.counters()).links), names.slice(0, 4));
    t.strictSame(warnings, []);
  });

  t.test("what the start warns of is heard by who listens after it", async (t) => {
    const { here } = await site(t);
    const config = parse({
      version: 1,
      zones: [{ id: 1, name: "z" }],
      devices: Array.from({ length: 65 }, (_, i) => ({
        name: `v${i}`,
        port: i + 1,
        zone: "z",
        interface: "eth0",
        vlan: i + 1,
        mac: `02:00:5e:00:01:${(i + 1).toString(16).padStart(2, "0")}`,
        addresses: [`10.2.${i}.1/24`],
      })),
    });
    const forwarder = await here(() => Forwarder.start(config, SEED));
    t.teardown(() => forwarder.stop());
    const [text] = await new Promise<[string]>((resolve) =>
      forwarder.once("notice", (...said) => resolve(said)),
    );
    t.match(text, /more than 64 MACs/);
  });

  t.test("a start that fails says why, and leaves no thread", async (t) => {
    const { here, near } = await site(t);
    await near.ip("link del eth0");
    const start = here(() => Forwarder.start(configuration(0), SEED));
    await t.rejects(start, /afpacket eth0: no such interface/);
  });
});
