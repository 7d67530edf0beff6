/**
 * `crosszone run --state` is stopped, or killed, and started again, while tenants have conns through it: TCP goes on with
 * its bytes in order and nobody sees a reset, an inside endpoint keeps its external port, and what damages the
 * snapshot costs the conns alone.
 */

import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import t from "tap";
import type { Child } from "../../host/demo/child.js";
import { Lab, type Namespace } from "../../host/demo/lab.js";
import { skipReason } from "./tools.js";

const MAIN = fileURLToPath(new URL("../../host/main.js", import.meta.url));
const skip = skipReason();

/** Windows stay small, so that a second's bytes are far outside of those that a snapshot has. */
const SMALL_WINDOWS = `
for each in rmem wmem; do echo "4096 65536 131072" > /proc/sys/net/ipv4/tcp_$each; done`;

/** Says every conn's port, and each datagram's; sends back what comes. */
const SERVER = `
const net = require("node:net"), dgram = require("node:dgram");
net.createServer((socket) => {
  console.log("conn " + socket.remotePort);
  socket.on("data", (bytes) => socket.write(bytes));
  socket.on("error", (error) => console.log("error " + error.message));
}).listen(7, "10.3.0.99", () => console.log("ready"));
const udp = dgram.createSocket("udp4");
udp.on("message", (bytes, from) => {
  console.log("datagram " + from.port + " " + bytes);
  udp.send(bytes, from.port, from.address);
});
udp.bind(7, "10.3.0.99");`;

/** Sends numbers, each of as many bytes as an argument says, and says which have come back, in order or not. */
const CLIENT = `
const net = require("node:net");
const bytes = Number(process.argv[1]);
const socket = net.connect(7, "10.3.0.99", () => console.log("connected"));
let next = 0, expected = 0, rest = "";
setInterval(() => {
  if (socket.writableLength < 65536) socket.write(String(next++).padEnd(bytes - 1) + "\\n");
}, 10);
socket.on("data", (data) => {
  const lines = (rest + data).split("\\n");
  rest = lines.pop();
  for (const line of lines) {
    if (line.length !== bytes - 1 || Number(line) !== expected) console.log("wrong " + line.slice(0, 20));
    expected++;
    if (expected % 10 === 0) console.log("back " + expected);
  }
});
socket.on("close", () => console.log("closed"));
socket.on("error", (error) => console.log("error " + error.message));`;

const DATAGRAMS = `
const socket = require("node:dgram").createSocket("udp4");
let next = 0;
socket.on("message", (bytes) => console.log("back " + bytes));
socket.bind(4000, "10.1.0.3", () => {
  console.log("bound");
  setInterval(() => socket.send(String(next++), 7, "10.3.0.99"), 100);
});`;

interface Site {
  readonly lab: Lab;
  readonly router: Namespace;
  readonly tenant: Namespace;
  readonly server: Namespace;
  readonly folder: string;
  readonly echo: Child;
  /** How many tests there were: each begins with nothing. */
  tests: number;
}

function configuration(changes: object = {}) {
  return {
    version: 1,
    zones: [
      { id: 10, name: "tenant" },
      { id: 20, name: "public" },
    ],
    devices: [
      { name: "lan", zone: "tenant", interface: "lan", addresses: ["10.1.0.2/24"] },
      { name: "wan", zone: "public", interface: "wan", addresses: ["10.3.0.1/24"] },
    ],
    pools: [{ name: "p", zone: "public", addresses: ["10.3.0.1"] }],
    nat: [{ from: ["tenant"], to: "public", pool: "p" }],
    capacity: { conns: 1024 },
    ...changes,
  };
}

async function build(): Promise<Site> {
  const lab = await Lab.create();
  const names = ["router", "tenant", "server"];
  const [router, tenant, server] = await Promise.all(names.map((name) => lab.namespace(name)));
  if (!router || !tenant || !server) throw new Error("the lab has no namespaces");
  await lab.veth(router, "lan", tenant, "eth0");
  await lab.veth(router, "wan", server, "eth0");
  await tenant.ip("addr add 10.1.0.3/24 dev eth0", "route add default via 10.1.0.2");
  await server.ip("addr add 10.3.0.99/24 dev eth0");
  await Promise.all([tenant, server].map((each) => each.must("sh", ["-c", SMALL_WINDOWS])));
  const echo = server.spawn(process.execPath, ["-e", SERVER]);
  await echo.line("stdout", /^ready/);
  const folder = mkdtempSync(join(tmpdir(), "crosszone-restart-"));
  return { lab, router, tenant, server, folder, echo, tests: 0 };
}

function stateOf(site: Site): string {
  return join(site.folder, `state${site.tests}`);
}

async function run(site: Site, config: object, snapshot = 0): Promise<Child> {
  const path = join(site.folder, "config.json");
  writeFileSync(path, JSON.stringify(config));
  // The revision that was confirmed last would be asked for instead.
  rmSync(join(stateOf(site), "revisions"), { recursive: true, force: true });
  const options = ["--state", stateOf(site), "--snapshot", `${snapshot}`];
  options.push("--socket", "none", "--listen", "none");
  const child = site.router.spawn(process.execPath, [MAIN, "run", path, ...options]);
  await child.line("stderr", /^crosszone: running/, 60_000);
  return child;
}

/** Waits until a snapshot was begun and finished from now on. */
async function nextSnapshot(site: Site): Promise<void> {
  const path = join(stateOf(site), "conns");
  const before = Date.now();
  for (let i = 0; i < 1000; i++) {
    const found = statSync(path, { throwIfNoEntry: false });
    if (found !== undefined && found.birthtimeMs > before) return;
    await sleep(10);
  }
  throw new Error(`no snapshot: ${readdirSync(stateOf(site))}`);
}

function linesOf(child: Child): number {
  return child.stdout.toString().split("\n").length - 1;
}

/** A conversation that goes on: how far it is now. */
async function progress(client: Child, beyond: number): Promise<number> {
  const line = await client.line("stdout", /^back \d+$/, 60_000, linesOf(client));
  const count = Number(line.slice(5));
  return count >= beyond ? count : progress(client, beyond);
}

async function converse(site: Site, bytes: number): Promise<Child> {
  const client = site.tenant.spawn(process.execPath, ["-e", CLIENT, `${bytes}`]);
  await client.line("stdout", /^connected/, 60_000);
  await progress(client, 20);
  return client;
}

t.setTimeout(240_000);

t.test("a restart with --state", { skip }, async (t) => {
  const site = await build();
  t.teardown(async () => {
    await site.lab.close();
    rmSync(site.folder, { recursive: true });
  });
  t.beforeEach(() => {
    site.tests++;
  });
  const isWhole = (client: Child) => !/wrong|closed|error/.test(client.stdout.toString());

  await t.test("SIGTERM: TCP goes on, UDP keeps its external port", async (t) => {
    const first = await run(site, configuration());
    const client = await converse(site, 20_000);
    const datagrams = site.tenant.spawn(process.execPath, ["-e", DATAGRAMS]);
    await datagrams.line("stdout", /^back 5$/, 60_000);
    const before = await progress(client, 0);
    t.equal(await first.stop(), 0);
    t.match(first.stderr, /crosszone: stopped/);
    await sleep(1000);
    const second = await run(site, configuration());
    t.match(second.stderr, /restored 2 conns, 0 grants, 0 resting ports, \d+\.\d s after/);
    t.ok((await progress(client, before + 100)) > before, "its bytes come back");
    t.ok(isWhole(client), "in order, and without a reset");
    await datagrams.line("stdout", /^back/, 60_000, linesOf(datagrams));
    const ports = site.echo.stdout.toString().matchAll(/^datagram (\d+) /gm);
    t.equal(new Set(Array.from(ports, ([, port]) => port)).size, 1, "one external port");
    await Promise.all([client.stop("SIGKILL"), datagrams.stop("SIGKILL")]);
    t.equal(await second.stop(), 0);
  });

  await t.test("SIGKILL: TCP goes on from the last snapshot, far behind as it is", async (t) => {
    const first = await run(site, configuration(), 2);
    const client = await converse(site, 40_000);
    await nextSnapshot(site);
    const before = await progress(client, 0);
    // At 40 kB each, more than ten times what a window has.
    await progress(client, before + 60);
    await first.stop("SIGKILL");
    const second = await run(site, configuration(), 2);
    t.match(second.stderr, /restored 1 conns/);
    const after = await progress(client, 0);
    t.ok((await progress(client, after + 100)) > after, "its bytes come back");
    t.ok(isWhole(client), "in order, and without a reset");
    await second.stop("SIGKILL");
    const third = await run(site, configuration(), 2);
    t.match(third.stderr, /restored 1 conns/, "the same snapshot once more, or a newer one");
    const later = await progress(client, 0);
    t.ok((await progress(client, later + 100)) > later);
    t.ok(isWhole(client));
    await client.stop("SIGKILL");
    t.equal(await third.stop(), 0);
  });

  await t.test("one worker, then two, then one: TCP goes on", async (t) => {
    const alone = configuration();
    const shared = configuration({ workers: 2 });
    let child = await run(site, alone);
    // Ports of both workers, most likely.
    const clients = await Promise.all([1, 2, 3].map(() => converse(site, 5000)));
    for (const next of [shared, alone]) {
      const before = await Promise.all(clients.map((client) => progress(client, 0)));
      t.equal(await child.stop(), 0);
      child = await run(site, next);
      t.match(child.stderr, /restored 3 conns, /);
      for (const [i, client] of clients.entries()) {
        const beyond = (before[i] ?? 0) + 100;
        t.ok((await progress(client, beyond)) >= beyond);
        t.ok(isWhole(client));
      }
    }
    await Promise.all(clients.map((client) => client.stop("SIGKILL")));
    t.equal(await child.stop(), 0);
  });

  await t.test("a configuration that no longer allows it: the conn does not go on", async (t) => {
    const first = await run(site, configuration());
    const client = await converse(site, 20_000);
    t.equal(await first.stop(), 0);
    const zones = [
      { id: 10, name: "another" },
      { id: 20, name: "public" },
    ];
    const devices = configuration().devices.map((each) =>
      each.zone === "tenant" ? { ...each, zone: "another" } : each,
    );
    const nat = [{ from: ["another"], to: "public", pool: "p" }];
    const second = await run(site, configuration({ zones, devices, nat }));
    t.match(second.stderr, /restored 0 conns \(zone gone 1\)/);
    const from = client.stdout.length;
    await sleep(2000);
    t.notMatch(client.stdout.toString().slice(from), /back/, "nothing reaches the other tenant's");
    await client.stop("SIGKILL");
    t.equal(await second.stop(), 0);
  });

  await t.test("a damaged snapshot is named, put aside, and the router starts empty", async (t) => {
    const first = await run(site, configuration());
    const client = await converse(site, 20_000);
    t.equal(await first.stop(), 0);
    const path = join(stateOf(site), "conns");
    const { size } = statSync(path);
    writeFileSync(path, Buffer.from([1]), { flag: "r+" });
    const second = await run(site, configuration());
    t.match(second.stderr, new RegExp(`crosszone: ${path}: foreign: .*; nothing is restored`));
    t.equal(statSync(`${path}.damaged`).size, size);
    t.notOk(existsSync(path));
    await client.stop("SIGKILL");
    const again = await converse(site, 20_000);
    t.ok(isWhole(again), "and it forwards");
    await again.stop("SIGKILL");
    t.equal(await second.stop(), 0);
  });
});
