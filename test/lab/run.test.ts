/**
 * `crosszone run` as an operator meets it: ready, reload by signal, a refused reload, read-outs, an
 * interface that is lost and comes back, and how it ends.
 */

import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import t from "tap";
import type { Child } from "../../host/demo/child.js";
import { Lab, type Namespace } from "../../host/demo/lab.js";
import { skipReason } from "./tools.js";

const MAIN = fileURLToPath(new URL("../../host/main.js", import.meta.url));
const skip = skipReason("ping", "tcpdump");

/** SIGHUP and SIGUSR2 of asm-generic/signal.h, as bits of SigCgt in /proc/PID/status (proc(5)). */
const SIGNAL_BITS = (1n << 0n) | (1n << 11n);

/** A child's streams are sockets; those beyond them are what `run` asks the kernel for interfaces with. */
const STREAM_SOCKETS = 3;

interface Site {
  readonly lab: Lab;
  readonly router: Namespace;
  readonly tenant: Namespace;
  readonly server: Namespace;
  readonly config: string;
}

function configuration(pool: string, tenantName = "tenant") {
  return {
    version: 1,
    zones: [
      { id: 10, name: tenantName },
      { id: 20, name: "public" },
    ],
    devices: [
      { name: "lan", port: 1, zone: tenantName, interface: "lan", addresses: ["10.1.0.2/24"] },
      { name: "wan", port: 2, zone: "public", interface: "wan", addresses: ["10.3.0.1/24"] },
    ],
    pools: [{ name: "p", zone: "public", addresses: [pool] }],
    nat: [{ from: [tenantName], to: "public", pool: "p" }],
    capacity: { conns: 1024 },
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
  const folder = mkdtempSync(join(tmpdir(), "crosszone-run-"));
  return { lab, router, tenant, server, config: join(folder, "config.json") };
}

/** The default socket is another's, perhaps. */
const NOWHERE = ["--socket", "none"];

function write(site: Site, config: object | string): void {
  writeFileSync(site.config, typeof config === "string" ? config : JSON.stringify(config));
}

async function run(site: Site, ...options: string[]): Promise<Child> {
  const child = site.router.spawn(process.execPath, [
    MAIN,
    "run",
    site.config,
    ...NOWHERE,
    ...options,
  ]);
  await child.line("stderr", /^crosszone: running/);
  return child;
}

/** Started, and so far as `is` says; whether it forwards already is not known. */
async function starting(site: Site, is: (pid: number) => boolean): Promise<Child> {
  const child = site.router.spawn(process.execPath, [MAIN, "run", site.config, ...NOWHERE]);
  for (let i = 0; i < 5000; i++) {
    if (is(child.pid)) return child;
    await sleep(1);
  }
  throw new Error(`${is.name}: not within its start: ${child.stderr}`);
}

function takesSignals(pid: number): boolean {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const caught = BigInt(`0x${/^SigCgt:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? "0"}`);
  return (caught & SIGNAL_BITS) === SIGNAL_BITS;
}

function opensInterfaces(pid: number): boolean {
  const sockets = readdirSync(`/proc/${pid}/fd`).filter((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`).startsWith("socket:");
    } catch {
      return false; // It was closed meanwhile.
    }
  });
  return sockets.length > STREAM_SOCKETS;
}

/** A device of its own on a VLAN of the tenant's interface. */
function vlanDevice(vlan: number, mac?: string) {
  return {
    name: `vlan${vlan}`,
    port: 100 + vlan,
    zone: "tenant",
    interface: "lan",
    vlan,
    addresses: [`10.200.${vlan}.1/24`],
    ...(mac === undefined ? {} : { mac }),
  };
}

function withDevices(pool: string, devices: object[]) {
  const config = configuration(pool);
  return { ...config, devices: [...config.devices, ...devices] };
}

/** ARP that arrives in the namespace, a line for each frame. */
async function watchArp(at: Namespace): Promise<Child> {
  const child = at.spawn("tcpdump", "-i eth0 -n -e -l --immediate-mode arp or vlan".split(" "));
  await child.line("stderr", /listening on/);
  return child;
}

async function pings(site: Site): Promise<boolean> {
  const { status } = await site.tenant.run("ping", ["-c1", "-W2", "10.3.0.99"]);
  return status === 0;
}

async function conns(child: Child, after: number) {
  child.signal("SIGUSR2");
  const line = await child.line("stdout", /^\{"conns"/, 60_000, after);
  return (JSON.parse(line) as { conns: { reply: { destination: string } }[] }).conns;
}

t.setTimeout(120_000);

t.test("crosszone run", { skip }, async (t) => {
  const site = await build();
  t.teardown(async () => {
    await site.lab.close();
    rmSync(join(site.config, ".."), { recursive: true });
  });

  await t.test("forwards, lists its conns, and stops cleanly on SIGTERM", async (t) => {
    write(site, configuration("10.3.0.1"));
    const child = await run(site);
    t.ok(await pings(site), "the tenant reaches the server");
    t.equal((await conns(child, 0)).length, 1, "one conn is listed");
    t.equal(await child.stop(), 0);
    t.match(child.stderr, /crosszone: stopped/);
  });

  await t.test("SIGHUP: another pool is in force, the old pool's conns end", async (t) => {
    write(site, configuration("10.3.0.1"));
    const child = await run(site);
    t.ok(await pings(site));
    write(site, configuration("10.3.0.7"));
    child.signal("SIGHUP");
    await child.line("stderr", /configuration reloaded/);
    t.ok(await pings(site), "still forwarding");
    const listed = await conns(child, 0);
    t.strictSame(new Set(listed.map(({ reply }) => reply.destination)), new Set(["10.3.0.7"]));
    t.equal(await child.stop("SIGINT"), 0);
  });

  await t.test("SIGHUP with a wrong configuration changes nothing and says why", async (t) => {
    write(site, configuration("10.3.0.1"));
    const child = await run(site);
    t.ok(await pings(site));
    write(site, { ...configuration("10.3.0.1"), surplus: true });
    child.signal("SIGHUP");
    await child.line("stderr", /configuration refused/);
    await child.line("stderr", /surplus/);
    const missing = configuration("10.3.0.1");
    missing.devices.push({
      ...missing.devices[0],
      name: "no",
      port: 9,
      interface: "no",
      addresses: [],
    } as never);
    write(site, missing);
    child.signal("SIGHUP");
    await child.line("stderr", /afpacket no: no such interface/);
    t.ok(await pings(site), "still forwarding");
    t.equal((await conns(child, 0)).length, 2, "the conns are untouched");
    t.equal(await child.stop(), 0);
  });

  await t.test("SIGHUP with more than there is room for says what is too small", async (t) => {
    write(site, configuration("10.3.0.1"));
    const child = await run(site);
    write(site, { ...configuration("10.3.0.1"), capacity: { conns: 2048 } });
    child.signal("SIGHUP");
    await child.line("stderr", /configuration refused/);
    await child.line(
      "stderr",
      /capacity.conns: 2048 wanted, 1024 set aside at the start; a restart/,
    );
    write(site, configuration("10.4.0.0/25"));
    child.signal("SIGHUP");
    await child.line("stderr", /capacity.poolAddresses: 129 wanted, 64 set aside at the start/);
    t.ok(await pings(site), "still forwarding");
    t.equal(await child.stop(), 0);
  });

  await t.test("SIGHUP announces what it adds to an open interface", async (t) => {
    write(site, configuration("10.3.0.1"));
    const child = await run(site);
    const [tenant, server] = [await watchArp(site.tenant), await watchArp(site.server)];
    write(site, withDevices("10.3.0.7", [vlanDevice(5)]));
    child.signal("SIGHUP");
    await child.line("stderr", /configuration reloaded/);
    await tenant.line("stdout", /vlan 5, .*10\.200\.5\.1/);
    await server.line("stdout", /10\.3\.0\.7/);
    t.equal(await child.stop(), 0);
    await Promise.all([tenant.stop("SIGINT"), server.stop("SIGINT")]);
  });

  await t.test("more MACs than the filter takes: it starts, warns and forwards", async (t) => {
    const macs = Array.from({ length: 65 }, (_, i) => (i + 1).toString(16).padStart(2, "0"));
    const devices = macs.map((last, i) => vlanDevice(i + 1, `02:00:5e:00:01:${last}`));
    write(site, withDevices("10.3.0.1", devices));
    const child = await run(site);
    await child.line("stderr", /afpacket lan: more than 64 MACs/);
    t.ok(await pings(site), "forwarding");
    t.equal(await child.stop(), 0);
  });

  await t.test("signals while it starts are answered when it has started", async (t) => {
    write(site, configuration("10.3.0.1"));
    const child = await starting(site, takesSignals);
    child.signal("SIGHUP");
    child.signal("SIGUSR2");
    await child.line("stderr", /configuration reloaded/);
    await child.line("stdout", /^\{"conns"/);
    // Whoever else runs on the machine may have the default socket.
    const started = /^(crosszone: control: .*\n)*crosszone: running\n/;
    t.match(child.stderr, started, "after it has started");
    t.ok(await pings(site), "forwarding");
    t.equal(await child.stop(), 0);
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      const stopped = await starting(site, opensInterfaces);
      t.equal(await stopped.stop(signal), 0, `${signal} while it starts`);
      t.match(stopped.stderr, /crosszone: stopped/);
    }
  });

  await t.test("who reads no statistics any more does not end the forwarding", async (t) => {
    write(site, configuration("10.3.0.1"));
    const script = `{ sh -c 'echo $PPID >&2'; exec "$0" "$1" run "$2" --socket none --stats; } | head -1`;
    const child = site.router.spawn("sh", ["-c", script, process.execPath, MAIN, site.config]);
    const pid = Number(await child.line("stderr", /^\d+$/));
    await child.line("stdout", / conns 0/);
    await sleep(2500);
    t.ok(await pings(site), "still forwarding");
    process.kill(pid, "SIGTERM");
    await child.exited;
    t.match(
      child.stderr,
      /^\d+\n(crosszone: (running|control: .*)\n)+crosszone: stopped\n$/,
      "quietly",
    );
  });

  await t.test("an interface that is deleted and made again is used again", async (t) => {
    write(site, configuration("10.3.0.1"));
    const child = await run(site);
    t.ok(await pings(site));
    await site.router.ip("link del lan");
    await child.line("stderr", /interface lan: lost/);
    await site.lab.veth(site.router, "lan", site.tenant, "eth0");
    await site.tenant.ip("addr add 10.1.0.3/24 dev eth0", "route add default via 10.1.0.2");
    await child.line("stderr", /interface lan: returned/);
    t.ok(await pings(site), "forwarding again");
    t.equal(await child.stop(), 0);
  });

  await t.test("--stats prints a line a second, and only results go to stdout", async (t) => {
    write(site, configuration("10.3.0.1"));
    const child = await run(site, "--stats");
    t.ok(await pings(site));
    await child.line("stdout", /received \d+\/s sent \d+\/s dropped \d+\/s conns \d+/);
    t.equal(await child.stop(), 0);
    for (const line of child.stdout.toString().trim().split("\n")) t.match(line, / conns \d/);
  });

  await t.test("a missing interface: exit 1; a wrong configuration: exit 2", async (t) => {
    const missing = configuration("10.3.0.1");
    (missing.devices[0] as { interface: string }).interface = "gone";
    write(site, missing);
    const failed = await site.router.run(process.execPath, [MAIN, "run", site.config, ...NOWHERE]);
    t.equal(failed.status, 1);
    t.match(failed.stderr, /afpacket gone: no such interface/);
    write(site, "{");
    const refused = await site.router.run(process.execPath, [MAIN, "run", site.config, ...NOWHERE]);
    t.equal(refused.status, 2);
    t.equal(refused.stdout, "", "nothing on stdout");
  });
});
