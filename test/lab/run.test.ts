/**
 * `crosszone run` as an operator meets it: ready, reload by signal, a refused reload, read-outs, an
 * interface that is lost and comes back, and how it ends.
 */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import type { Child } from "../../host/demo/child.js";
import { Lab, labSupport, type Namespace } from "../../host/demo/lab.js";

const MAIN = fileURLToPath(new URL("../../host/main.js", import.meta.url));
const reason = labSupport();
const skip = reason === undefined ? false : `no lab here: ${reason}`;

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

function write(site: Site, config: object | string): void {
  writeFileSync(site.config, typeof config === "string" ? config : JSON.stringify(config));
}

async function run(site: Site, ...options: string[]): Promise<Child> {
  const child = site.router.spawn(process.execPath, [MAIN, "run", site.config, ...options]);
  await child.line("stderr", /^crosszone: running/);
  return child;
}

async function pings(site: Site): Promise<boolean> {
  const { status } = await site.tenant.run("ping", ["-c1", "-W2", "10.3.0.99"]);
  return status === 0;
}

async function conns(child: Child, after: number) {
  child.signal("SIGUSR2");
  const line = await child.line("stdout", /^\{"conns"/, 5000, after);
  return (JSON.parse(line) as { conns: { reply: { destination: string } }[] }).conns;
}

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
    t.equal(await child.stop("SIGTERM"), 0);
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
    const failed = await site.router.run(process.execPath, [MAIN, "run", site.config]);
    t.equal(failed.status, 1);
    t.match(failed.stderr, /afpacket gone: no such interface/);
    write(site, "{");
    const refused = await site.router.run(process.execPath, [MAIN, "run", site.config]);
    t.equal(refused.status, 2);
    t.equal(refused.stdout, "", "nothing on stdout");
  });
});
