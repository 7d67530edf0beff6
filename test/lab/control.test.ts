/**
 * An operator who changes the configuration from afar, through the router that he configures, by clients that are not ours,
 * while a tenant's packets are counted at both ends.
 *
 *     tenant a (operator) 192.168.0.10 ── lan-a ┐
 *                                               crosszone ── wan ── provider ── server 198.51.100.10
 *     tenant b            192.168.0.10 ── lan-b ┘                      │
 *                                                 mgmt 198.51.101.2 ───┘  the kernel's own address of the router
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import t, { type Test } from "tap";
import type { Child } from "../../host/demo/child.js";
import { Lab, labSupport, type Namespace } from "../../host/demo/lab.js";
import { pythonWith } from "../harness/python.js";

const MAIN = fileURLToPath(new URL("../../host/main.js", import.meta.url));
const program = (name: string) =>
  fileURLToPath(new URL(`../../../test/lab/${name}`, import.meta.url));
const OPERATOR = program("rpcclient.py");
const COUNTED = program("counted.py");

const SERVER = "198.51.100.10";
const ROUTER = "198.51.101.2";
const PORT = 8090;
/** Datagrams a second. */
const RATE = 1000;
/** Long enough to find out that nothing comes back. */
const CUT_SECONDS = 8;
/** For what may find nobody. */
const SOON = { seconds: 2 };
const CUT = `priority=900,ip,zone=a,nw_dst=${ROUTER} actions=drop`;

function configuration(changes: object = {}) {
  return {
    version: 1,
    zones: [
      { id: 10, name: "a" },
      { id: 11, name: "b" },
      { id: 20, name: "public" },
    ],
    devices: [
      { name: "lan-a", zone: "a", interface: "lan-a", addresses: ["192.168.0.1/24"] },
      { name: "lan-b", zone: "b", interface: "lan-b", addresses: ["192.168.0.1/24"] },
      { name: "wan", zone: "public", interface: "wan", addresses: ["203.0.113.2/24"] },
    ],
    routes: [{ zone: "public", to: "0.0.0.0/0", via: "203.0.113.1" }],
    pools: [{ name: "p1", zone: "public", addresses: ["203.0.113.7"] }],
    nat: [{ from: ["a", "b"], to: "public", pool: "p1" }],
    capacity: { conns: 4096 },
    ...changes,
  };
}

interface Site {
  readonly lab: Lab;
  readonly router: Namespace;
  readonly a: Namespace;
  readonly b: Namespace;
  readonly provider: Namespace;
  readonly server: Namespace;
  readonly folder: string;
  readonly token: string;
  readonly child: Child;
}

async function build(t: Test): Promise<Site> {
  const lab = await Lab.create();
  t.teardown(() => lab.close());
  const names = ["router", "a", "b", "provider", "server"];
  const [router, a, b, provider, server] = await Promise.all(
    names.map((name) => lab.namespace(name)),
  );
  if (!router || !a || !b || !provider || !server) throw new Error("the lab has no namespaces");
  await lab.veth(router, "lan-a", a, "eth0");
  await lab.veth(router, "lan-b", b, "eth0");
  await lab.veth(router, "wan", provider, "eth0");
  await lab.veth(provider, "eth1", server, "eth0");
  await lab.veth(provider, "eth2", router, "mgmt");
  const tenant = ["addr add 192.168.0.10/24 dev eth0", "route add default via 192.168.0.1"];
  await a.ip(...tenant);
  await b.ip(...tenant);
  await provider.ip(
    "addr add 203.0.113.1/24 dev eth0",
    "addr add 198.51.100.1/24 dev eth1",
    "addr add 198.51.101.1/24 dev eth2",
  );
  await provider.must("sh", ["-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]);
  await server.ip(`addr add ${SERVER}/24 dev eth0`, "route add default via 198.51.100.1");
  await router.ip(`addr add ${ROUTER}/24 dev mgmt`, "route add default via 198.51.101.1");
  const folder = mkdtempSync(join(tmpdir(), "crosszone-control-"));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const config = join(folder, "config.json");
  writeFileSync(config, JSON.stringify(configuration()));
  const state = join(folder, "state");
  const listen = ["--state", state, "--listen", `${ROUTER}:${PORT}`, "--socket", "none"];
  const command = [MAIN, "run", config, ...listen];
  const refused = await router.run(process.execPath, command);
  t.same(refused.status, 1, "no token: it does not start");
  t.match(refused.stderr, /198\.51\.101\.2:8090: other machines could connect, and no token/);
  const add = ["token", "add", "--state", state, "--role", "operator", "--name", "laptop"];
  const token = execFileSync(process.execPath, [MAIN, ...add], { encoding: "utf8" }).trim();
  const child = router.spawn(process.execPath, command);
  await child.line("stderr", /^crosszone: running/);
  return { lab, router, a, b, provider, server, folder, token, child };
}

/** A client that is not ours, in tenant a. */
class Operator {
  private heard = 0;

  private constructor(private readonly child: Child) {}

  static start({ a, token }: Site, isRaw: boolean): Operator {
    const url = `ws://${ROUTER}:${PORT}/rpc`;
    const args = [OPERATOR, ...(isRaw ? ["--raw"] : []), url, token];
    return new Operator(a.spawn(python ?? "python3", args));
  }

  /** What came back: a result, an error, or that the connection is lost. */
  // biome-ignore lint/suspicious/noExplicitAny: the test looks into it
  async ask(method: string, params: object = {}, more: { seconds?: number } = {}): Promise<any> {
    this.child.write(`${JSON.stringify({ method, params, ...more })}\n`);
    const line = await this.child.line("stdout", /./, 60_000, this.heard);
    this.heard++;
    return JSON.parse(line);
  }

  /** Tries again and again, within the time. */
  async connect(withinMs: number): Promise<boolean> {
    const deadline = Date.now() + withinMs;
    do {
      if ((await this.ask("connect", {}, SOON)).connected === true) return true;
      await sleep(100);
    } while (Date.now() < deadline);
    return false;
  }
}

const python = pythonWith("websockets");
const reason =
  labSupport() ?? (python === undefined ? "python3-websockets is not installed" : undefined);

t.test("an operator behind the router", { skip: reason ?? false }, async (t) => {
  const site = await build(t);
  const { server, b } = site;
  const taker = server.spawn("python3", [COUNTED, "take", "7000"]);
  await taker.line("stdout", /ready/);
  const sender = b.spawn("python3", [COUNTED, "send", SERVER, "7000", String(RATE)]);
  await sender.line("stdout", /ready/);

  for (const isRaw of [false, true]) {
    const by = isRaw ? "a socket and nothing else" : "python3-websockets";
    await t.test(`by ${by}`, (t) => operate(t, site, isRaw));
  }

  sender.end();
  const sent = Number(await sender.line("stdout", /^\d+$/));
  await sleep(2000);
  taker.end();
  const [came, numbers] = (await taker.line("stdout", /^\d+ \d+$/)).split(" ").map(Number);
  t.comment(`${sent} datagrams sent by tenant b meanwhile, ${came} came`);
  t.ok(sent > RATE * 10, "traffic ran");
  t.same([came, numbers], [sent, sent], "not one was lost, none came twice");
  t.equal(await site.child.stop(), 0);
  t.notOk(site.child.stderr.includes(site.token.slice(12)), "the token is in no log");
});

async function operate(t: Test, site: Site, isRaw: boolean): Promise<void> {
  const operator = Operator.start(site, isRaw);
  t.ok(await operator.connect(10_000), "through the NAT that it configures");
  const { result: hello } = await operator.ask("hello");
  t.match(hello, { role: "operator", who: /^laptop \(cz_/ });
  const before = (await operator.ask("config.get")).result;
  const base: number = before.revision.number;

  // Applied, and confirmed by a new connection.
  const note = isRaw ? "by a socket" : "by a library";
  const limits = [{ id: 10, name: "a", limits: { conns: isRaw ? 500 : 600 } }];
  const config = configuration({
    zones: [...limits, { id: 11, name: "b" }, { id: 20, name: "public" }],
  });
  const check = (await operator.ask("config.check", { config })).result;
  t.match(check, { isGood: true, isUnchanged: false, ends: { ending: 0 } });
  t.ok(check.ends.conns >= 2, "its own conn and tenant b's were looked at");
  const applied = await operator.ask("config.apply", { config, base, confirmWithinSec: 20, note });
  const revision: number = applied.result?.revision.number;
  t.match(applied, { result: { revision: { base, state: "pending", note } } });
  t.match(await operator.ask("config.confirm", { revision }), {
    error: { code: 3, data: { refusal: "same-connection" } },
  });
  const stale = await operator.ask("config.apply", { config, base });
  t.match(stale, { error: { code: 3, data: { refusal: "stale-base" } } });
  await operator.ask("leave");
  t.ok(await operator.connect(5000));
  const confirmed = await operator.ask("config.confirm", { revision });
  t.match(confirmed, { result: { revision: { number: revision, state: "confirmed" } } });

  // Applied, and gone.
  const gone = await operator.ask("config.apply", {
    config: configuration(),
    base: revision,
    confirmWithinSec: 2,
  });
  t.match(gone, { result: { revision: { base: revision, state: "pending" } } });
  await site.a.ip("link set eth0 down");
  await sleep(3500);
  await site.a.ip("link set eth0 up", "route add default via 192.168.0.1");
  await operator.ask("leave");
  t.ok(await operator.connect(10_000));
  const after = (await operator.ask("config.get")).result;
  t.match(after, { revision: { number: revision, state: "confirmed" }, config });

  // One that cuts its own way.
  const cutting = { ...config, flows: [CUT] };
  const warned = (await operator.ask("config.check", { config: cutting })).result;
  t.match(warned, { ends: { reasons: [{ reason: "FlowDrop" }] } });
  t.ok(warned.ends.ending >= 1, "it is told that its own conn ends");
  const began = Date.now();
  const asked = { config: cutting, base: revision, confirmWithinSec: CUT_SECONDS };
  const cut = await operator.ask("config.apply", asked, SOON);
  t.ok(cut.lost !== undefined || cut.result !== undefined, JSON.stringify(cut));
  t.ok((await operator.ask("hello", {}, SOON)).lost, "nothing comes back");
  t.notOk(await operator.connect(0), "and no new connection gets through");
  t.ok(await operator.connect(CUT_SECONDS * 1000 + 10_000), "until it is taken back");
  t.ok(Date.now() - began >= CUT_SECONDS * 1000, `${Date.now() - began} ms`);
  const restored = (await operator.ask("config.get")).result;
  t.match(restored, { revision: { number: revision }, config });
  const { revisions } = (await operator.ask("config.history")).result;
  t.match(revisions.at(-1), {
    state: "rolled-back",
    outcome: { why: "not confirmed in time" },
  });
  await operator.ask("leave");
}
