/**
 * The command line against a router that runs, with real traffic: every verb over its unix socket, and over TCP with a token;
 * and conntrack of the server's own kernel beside it.
 */

import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import t, { type Test } from "tap";
import type { Child } from "../../host/demo/child.js";
import { Lab, type Namespace, type Result } from "../../host/demo/lab.js";
import { readTracked, type TrackedLine } from "../harness/trackedline.js";
import { skipReason } from "./tools.js";

const MAIN = fileURLToPath(new URL("../../host/main.js", import.meta.url));
const skip = skipReason("ping", "python3", "conntrack", "nft");

const TENANT = "10.1.0.3";
const SERVER = "10.3.0.99";
const EXTERNAL = "10.3.0.7";
/** More than a page. */
const MANY = 1300;

const SERVE = `
import socket, threading
s = socket.socket(); s.bind(('${SERVER}', 7)); s.listen(5)
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(('${SERVER}', 9))
print('ready', flush=True)
def echo():
    while True:
        data, peer = u.recvfrom(2000)
        u.sendto(data, peer)
threading.Thread(target=echo, daemon=True).start()
open_ = []
while True:
    c, _ = s.accept()
    open_.append(c)
`;

/** An open TCP connection, UDP that is answered, UDP that is not. */
const TALK = `
import socket, sys
c = socket.create_connection(('${SERVER}', 7)); c.sendall(b'hello')
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(('', 4562))
u.sendto(b'x', ('${SERVER}', 9)); u.recv(10)
u.sendto(b'x', ('${SERVER}', 10))
print('ready', flush=True)
sys.stdin.read()
`;

const FLOOD = `
import socket, time
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(('', 5000))
for port in range(20000, ${20000 + MANY}):
    u.sendto(b'x', ('${SERVER}', port))
    if port % 50 == 0: time.sleep(0.02)
`;

/** Has the server's kernel track what it receives, in a zone of its own. */
const TRACK = `
table ip watch {
  chain before { type filter hook prerouting priority -300; ct original zone set 7; }
  chain in { type filter hook input priority 0; ct state new,established counter; }
}`;

interface Site {
  readonly router: Namespace;
  readonly tenant: Namespace;
  readonly server: Namespace;
  readonly child: Child;
  readonly folder: string;
  readonly socket: string;
  crosszone(...args: string[]): Promise<Result>;
}

function configuration(pool: string) {
  return {
    version: 1,
    zones: [
      { id: 10, name: "tenant" },
      { id: 20, name: "public" },
    ],
    devices: [
      { name: "lan", port: 1, zone: "tenant", interface: "lan", addresses: ["10.1.0.2/24"] },
      { name: "wan", port: 2, zone: "public", interface: "wan", addresses: ["10.3.0.1/24"] },
    ],
    pools: [{ name: "p", zone: "public", addresses: [pool] }],
    nat: [{ from: ["tenant"], to: "public", pool: "p" }],
    capacity: { conns: 4096 },
  };
}

async function build(t: Test): Promise<Site> {
  const lab = await Lab.create();
  t.teardown(() => lab.close());
  const names = ["router", "tenant", "server"];
  const [router, tenant, server] = await Promise.all(names.map((name) => lab.namespace(name)));
  if (!router || !tenant || !server) throw new Error("the lab has no namespaces");
  await lab.veth(router, "lan", tenant, "eth0");
  await lab.veth(router, "wan", server, "eth0");
  await tenant.ip(`addr add ${TENANT}/24 dev eth0`, "route add default via 10.1.0.2");
  await server.ip(`addr add ${SERVER}/24 dev eth0`);
  await server.must("nft", ["-f", "-"], { input: TRACK });
  await server.must("sh", ["-c", "echo 1 > /proc/sys/net/netfilter/nf_conntrack_acct"]);
  const folder = mkdtempSync(join(tmpdir(), "crosszone-commands-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const crosszone = (...args: string[]) => router.run(process.execPath, [MAIN, ...args]);
  for (const role of ["operator", "viewer"]) {
    const args = ["token", "add", "--state", join(folder, "state"), "--role", role, "--name", role];
    const path = join(folder, role);
    writeFileSync(path, (await crosszone(...args)).stdout);
    chmodSync(path, 0o600);
  }
  writeFileSync(join(folder, "config.json"), JSON.stringify(configuration(EXTERNAL), null, 2));
  writeFileSync(join(folder, "other.json"), JSON.stringify(configuration("10.3.0.8"), null, 2));
  const socket = join(folder, "control.sock");
  const run = ["run", join(folder, "config.json"), "--state", join(folder, "state")];
  const child = router.spawn(process.execPath, [MAIN, ...run, "--socket", socket]);
  await child.line("stderr", /listening on .*127\.0\.0\.1:8090/);
  const serving = server.spawn("python3", ["-c", SERVE]);
  await serving.line("stdout", /^ready$/);
  return { router, tenant, server, child, folder, socket, crosszone };
}

/** Resolves when there is one conn of each kind, and ends what an earlier call began. */
async function talk({ tenant }: Site): Promise<Child> {
  const talking = tenant.spawn("python3", ["-c", TALK]);
  await talking.line("stdout", /^ready$/);
  await tenant.must("ping", ["-c1", "-W2", SERVER]);
  return talking;
}

t.setTimeout(300_000);

t.test("the command line of a running router", { skip }, async (t) => {
  const site = await build(t);
  const ways = {
    "the unix socket": ["--socket", site.socket],
    "TCP with a token": [
      ...["--url", "ws://127.0.0.1:8090", "--token-file", join(site.folder, "operator")],
    ],
  };
  for (const [name, way] of Object.entries(ways)) {
    await t.test(`every verb, over ${name}`, async (t) => {
      await lookAndChange(t, site, way);
    });
  }
  await t.test("who may look may not change, and a stranger may do neither", async (t) => {
    const url = ["--url", "ws://127.0.0.1:8090"];
    const viewer = [...url, "--token-file", join(site.folder, "viewer")];
    t.equal((await site.crosszone("count", ...viewer)).status, 0);
    const refused = await site.crosszone("flush", "--yes", ...viewer);
    t.equal(refused.status, 1);
    t.match(refused.stderr, /conns\.flush is for operators.*a token of an operator is needed/);
    const stranger = await site.crosszone("count", ...url);
    t.equal(stranger.status, 1);
    t.match(stranger.stderr, /the router wants a token: say --token-file, or set CROSSZONE_TOKEN/);
    const path = join(site.folder, "unknown");
    writeFileSync(path, `cz_${"u".repeat(43)}`, { mode: 0o600 });
    const unknown = await site.crosszone("count", ...url, "--token-file", path);
    t.match(unknown.stderr, /does not take the token: the token is not known/);
    t.notMatch(site.child.stderr, "uuuuuuuuuuuu", "nor does the log have it");
  });
  await t.test("conntrack of the server's kernel tracks the other side of the same", async (t) => {
    await besideConntrack(t, site);
  });
  await t.test("more than a page", async (t) => {
    await manyConns(t, site);
  });
  t.equal(await site.child.stop(), 0);
});

async function lookAndChange(t: Test, site: Site, way: readonly string[]): Promise<void> {
  const { crosszone, folder } = site;
  /** What it prints; it must succeed and say nothing else. */
  const said = async (...args: string[]) => {
    const { status, stdout, stderr } = await crosszone(...args, ...way);
    t.same([status, stderr], [0, ""], args.join(" "));
    return stdout;
  };
  const events = site.router.spawn(process.execPath, [MAIN, "events", "--class=all", ...way]);
  const json = site.router.spawn(process.execPath, [MAIN, "events", "--json", ...way]);
  // They are there when they hear of each other's first event.
  const probe = async () => {
    await site.tenant.run("ping", ["-c1", "-W1", SERVER]);
    await sleep(300);
    return events.stdout.length > 0 && json.stdout.length > 0;
  };
  for (let i = 0; i < 60 && !(await probe()); i++);
  await said("flush", "--yes");
  await hangUp(await talk(site), () => looking(t, { said, crosszone, way }));
  await configuring(t, { said, crosszone, way, folder });
  await said("flush", "--yes");
  await hangUp(await talk(site), () => ending(t, { said, crosszone, way }));

  await events.line("stdout", /^\[DESTROY\] udp +17 src=10\.1\.0\.3 .* dport=10 zone-orig=10 src=/);
  const told = events.stdout.toString();
  t.match(told, /^ {4}\[NEW\] tcp +6 src=10\.1\.0\.3 .*\[UNREPLIED\] .*zone-reply=20$/m);
  t.match(told, /^ \[ROUTER\] control: conns ended by .*: 1, /m);
  t.match(told, /^\[MAPPINGS\] mapping-created udp /m);
  for (const child of [events, json]) {
    t.equal(await child.stop("SIGINT"), 0, "an end as asked for");
  }
  const [first = ""] = json.stdout.toString().split("\n");
  t.match(JSON.parse(first), { class: "sessions", fields: { zone: "tenant" } });
}

/** Ends what talks behind what is done meanwhile. */
async function hangUp(talking: Child, meanwhile: () => Promise<void>): Promise<void> {
  await meanwhile();
  talking.end();
  await talking.exited;
}

interface Way {
  /** What it prints; it must succeed and say nothing else. */
  said(...args: string[]): Promise<string>;
  crosszone(...args: string[]): Promise<Result>;
  readonly way: readonly string[];
}

async function looking(t: Test, { said, crosszone, way }: Way): Promise<void> {
  const lines = (await said("list")).trim().split("\n").map(readTracked);
  t.equal(lines.length, 4);
  t.match(
    lines.find((line) => line?.protocol === "tcp"),
    { state: "ESTABLISHED", original: { src: TENANT, dport: "7" }, flags: ["[ASSURED]"] },
  );
  t.match(
    lines.find((line) => line?.original.dport === "10"),
    { original: { sport: "4562", "zone-orig": "10" }, flags: ["[UNREPLIED]"] },
  );
  t.match(
    lines.find((line) => line?.protocol === "icmp"),
    { original: { type: "8" }, reply: { type: "0", dst: EXTERNAL, "zone-reply": "20" } },
  );
  t.match(await said("list", "-o", "ovs"), /^tcp,orig=\(src=.*zone=10,zone-reply=20,protoinfo=/m);
  t.match(
    await said("list", "-o", "crosszone"),
    /^udp .* 10:10\.1\.0\.3:4562→10\.3\.0\.99:9 ↔ 20:/m,
  );
  t.equal(JSON.parse(await said("list", "--json")).length, 4);
  t.match(await said("list", "--csv", "--limit", "2"), /^id,.*\r\n(.*\r\n){2}$/);
  t.equal((await said("list", "--state", "SYN_SENT")).trim(), "");
  t.equal((await said("list", "-p", "tcp", "--state", "ESTABLISHED")).split("\n").length, 2);
  const wrong = await crosszone("list", "-w", "nosuch", ...way);
  t.equal(wrong.status, 2);
  t.match(wrong.stderr, /--zone: expected the name or number of a zone, found "nosuch"/);
  t.equal(await said("count"), "4\n");
  t.equal(await said("count", "-p", "udp", "--sport", "4562"), "2\n");

  t.match(
    await said("stats"),
    /^crosszone .*, up .*\nprocess \d+ on .*, state .*\nconns 4 of 4096.*\n\nREASON +FRAMES\nForwarded +\d+/,
  );
  t.match(await said("stats", "--explain"), /Forwarded .*\n {2}Sent on: .*\n {2}To do: Nothing/);
  t.match(await said("stats", "--interval", "1", "--times", "1"), / 1 s, conns 4/);
  t.match(
    await said("top", "--once"),
    /conns 4 of 4096[\s\S]*\ntenant +4 [\s\S]*\n10\.1\.0\.3 +tenant +4/,
  );
  t.match(await said("zones"), /^10 +tenant +4 /m);
  t.match(await said("pools"), /^p +udp +1 [\s\S]*\np +tenant +1 +1 +1/m);
  t.match(await said("pools", "p"), /^10\.3\.0\.7 +tcp +1 /m);
  t.match(await said("hosts", "-w", "tenant"), /^tenant +10\.1\.0\.3 +4 +1 +1 +1 /m);
  t.match(await said("mappings"), /^udp +tenant +10\.1\.0\.3:4562 +public +10\.3\.0\.7:\d+ +2 /m);
  t.match(await said("devices"), /^ +1 +lan +tenant [\s\S]*\nwan +up /m);
  t.match(await said("neighbors"), /^public +wan +10\.3\.0\.99 +[0-9a-f:]{17} +\w+ /m);
  const packet = ["-p", "udp", "-s", TENANT, "-d", SERVER, "--sport", "4562", "--dport", "9"];
  const traced = await said("trace", "-w", "tenant", ...packet);
  t.match(
    traced,
    /^lookup +continue +.*[\s\S]*\nleaves by wan: [0-9a-f]{80,}\nverdict: Forwarded\n$/m,
  );
  t.match(JSON.parse(await said("trace", "--json", "--device", "lan", ...packet)), {
    verdict: "Forwarded",
  });
  const astray = ["-p", "tcp", "-s", TENANT, "-d", SERVER, "--sport", "1", "--dport", "2"];
  const dropped = await said("trace", "-w", "tenant", ...astray, "--flags", "ack", "--explain");
  t.match(dropped, /nothing leaves\nverdict: TcpNotSyn\n {2}TCP without a conn .*[\s\S]*To do: /);
  const flags = await crosszone("trace", "-w", "tenant", ...astray, "--flags=x", ...way);
  t.same([flags.status, /trace: --flags: expected one of/.test(flags.stderr)], [2, true]);
  for (const listing of ["zones", "pools", "hosts", "mappings", "neighbors"]) {
    t.ok(JSON.parse(await said(listing, "--json")).length > 0, `${listing} --json`);
  }
  t.match(JSON.parse(await said("devices", "--json")), { devices: [{ name: "lan" }, {}] });
  t.match(await said("flow", "list"), /nat\[0\]\.from\[0\] +priority=10,/);
}

async function ending(t: Test, { said, crosszone, way }: Way): Promise<void> {
  t.equal(await said("delete", "-p", "udp", "--dry-run"), "2 conns would end\n");
  t.equal(await said("delete", "-p", "udp", "--dport", "10"), "1 conn ended\n");
  const none = await crosszone("delete", "-p", "udp", "--dport", "10", ...way);
  t.same([none.status, none.stdout], [1, "0 conns ended\n"], "as conntrack -D");
  t.equal(await said("count", "--json"), '{"conns":3}\n');
  const host = ["--zone", "tenant", "--host", TENANT];
  t.equal(await said("flush", ...host, "--dry-run"), "3 conns would end\n");
  t.equal(await said("flush", ...host, "--yes"), "3 conns ended\n");
  t.equal(await said("count"), "0\n");
}

async function configuring(
  t: Test,
  { said, crosszone, way, folder }: Way & { readonly folder: string },
): Promise<void> {
  const other = join(folder, "other.json");
  const text = await said("config", "get");
  const { flows: _flows, ...rest } = JSON.parse(text);
  t.same(rest, configuration(EXTERNAL));
  t.match(await said("config", "check", other), /^ok: 2 zones/);
  const live = await said("config", "check", other, "--live");
  t.match(
    live,
    /^\d changes?:\n(.*\n)*.*"10\.3\.0\.7" → "10\.3\.0\.8"\n4 of 4 conns end \(tenant 4\):/,
  );
  const [, before = ""] = /it can be applied to revision (\d+)/.exec(live) ?? [];
  t.match(
    await said("config", "diff", "--file", other),
    /^--- revision.*\n\+\+\+ .*\n@@[\s\S]*\n\+ +"10\.3\.0\.8"/,
  );

  const applied = await said("config", "apply", other, "--confirm", "60", "--note", "try");
  const [, number = ""] =
    /revision (\d+) is in force, and is rolled back in 60 s/.exec(applied) ?? [];
  t.match(
    await said("config", "history"),
    new RegExp(`^${number} +pending.*in force .* try$`, "m"),
  );
  t.equal(await said("config", "confirm", number), `revision ${number} is confirmed\n`);
  t.match(await said("config", "diff"), /\n\+ +"10\.3\.0\.8"/);
  const back = await said("config", "rollback", before, "--confirm", "60", "--yes");
  t.match(
    back,
    /revision \d+ is in force, and is rolled back in 60 s.*\nrevision \d+ is confirmed\n$/,
  );

  const flow = "priority=50,in_port(1),udp,tp_dst=25 actions=drop";
  t.match(await said("flow", "add", flow), /revision \d+ is in force\n$/);
  t.match(await said("flow", "list"), new RegExp(`flows\\[0\\] +${flow.replace(/[()]/g, "\\$&")}`));
  t.match(await said("flow", "del", flow), /revision \d+ is in force\n$/);
  const pending = await said("flow", "add", flow, "--confirm", "60");
  t.match(pending, /to keep it: crosszone config confirm/);
  t.match(await said("config", "rollback"), /revision \d+ is in force\n$/);
  const unknown = await crosszone("flow", "del", flow, ...way);
  t.same([unknown.status, /no written flow is/.test(unknown.stderr)], [1, true], unknown.stderr);

  const bad = join(folder, "bad.json");
  writeFileSync(bad, JSON.stringify({ ...configuration(EXTERNAL), zones: [] }));
  for (const verb of [
    ["apply", bad, "--yes"],
    ["check", bad, "--live"],
    ["check", bad],
  ]) {
    const { status, stdout, stderr } = await crosszone("config", ...verb, ...way);
    t.same([status, stdout], [2, ""], verb.join(" "));
    for (const line of stderr.trim().split("\n")) t.match(line, /bad\.json: .*: expected /);
  }
  const stale = await crosszone("config", "apply", other, "--base", "1", "--yes", ...way);
  t.equal(stale.status, 1);
  t.match(stale.stderr, /revision 1 is not in force any more/);
}

async function besideConntrack(t: Test, site: Site): Promise<void> {
  const way = ["--socket", site.socket];
  await site.crosszone("flush", "--yes", ...way);
  await site.server.run("conntrack", ["-F"]);
  const talking = await talk(site);
  const theirs = await tracked(site.server, "conntrack", ["-L", "-o", "extended"]);
  const ours = await tracked(site.router, process.execPath, [MAIN, "list", ...way]);
  t.equal(ours.length, 4);
  for (const { protocol, state, reply } of ours) {
    const { src, dst, sport, dport, id } = reply;
    const same = theirs.find(
      (each) =>
        each.protocol === protocol &&
        each.original.src === dst &&
        each.original.dst === src &&
        each.original.sport === dport &&
        each.original.dport === sport &&
        each.original.id === id,
    );
    t.ok(same, `${protocol} ${src}:${sport} → ${dst}:${dport}`);
    t.equal(same?.state, state);
    t.equal(same?.reply.packets, reply.packets, "as many answers");
  }
  // Of what nothing is left, both say the same to a script.
  const gone = ["-p", "udp", "--dport", "4"];
  const theirEnd = await site.server.run("conntrack", ["-D", ...gone]);
  t.equal((await site.crosszone("delete", ...gone, ...way)).status, theirEnd.status);
  talking.end();
  await talking.exited;
}

async function tracked(at: Namespace, command: string, args: string[]): Promise<TrackedLine[]> {
  const lines = (await at.must(command, args)).trim().split("\n");
  return lines.map((line) => {
    const read = readTracked(line);
    if (read === undefined) throw new Error(`not of conntrack's form: ${line}`);
    return read;
  });
}

async function manyConns(t: Test, site: Site): Promise<void> {
  const way = ["--socket", site.socket];
  await site.tenant.must("python3", ["-c", FLOOD]);
  const count = Number((await site.crosszone("count", "--dport", "20000-30000", ...way)).stdout);
  t.ok(count > 1000, `${count} conns`);
  for (const sort of ["table", "bytes"]) {
    const args = ["list", "--json", "--dport", "20000-30000", "--sort", sort, ...way];
    const rows = JSON.parse((await site.crosszone(...args)).stdout) as { id: string }[];
    t.equal(new Set(rows.map(({ id }) => id)).size, count, `${sort}: each once`);
    t.equal(rows.length, count);
  }
  const { stdout } = await site.crosszone("list", "--limit", "700", ...way);
  t.equal(stdout.split("\n").length, 701);
  const script = `{ "$@"; echo "exit $?" >&2; } | head -1`;
  const args = ["-c", script, "sh", process.execPath, MAIN, "list", ...way];
  const headed = await site.router.run("sh", args);
  t.match(headed.stdout, /^ipv4 .*\n$/);
  t.equal(headed.stderr, "exit 0\n", "who has read enough is no failure");
}
