/** Commands against a router that answers by a script: what they ask, and what they do when it goes wrong. */

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { RpcCode, RpcError } from "../../../host/control/protocol/rpc.js";
import { type Script, Scripted, SILENCE } from "../../harness/scripted.js";
import { MAIN } from "../../harness/terminal.js";

const folder = mkdtempSync(join(tmpdir(), "crosszone-scripted-"));
t.teardown(() => rmSync(folder, { recursive: true }));
t.setTimeout(60_000);

let count = 0;

async function start(t: Test, script: Script) {
  const socket = join(folder, `${++count}.sock`);
  const router = await Scripted.start(socket, script);
  t.teardown(() => router.stop());
  const begin = (...args: string[]) => command(t, [...args, "--socket", socket]);
  return { router, begin, run: (...args: string[]) => begin(...args).ended };
}

function command(t: Test, args: readonly string[]) {
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { ...process.env, NODE_OPTIONS: "" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  t.teardown(() => child.kill("SIGKILL"));
  const said = { stdout: "", stderr: "" };
  child.stdout.on("data", (part: Buffer) => {
    said.stdout += part.toString();
  });
  child.stderr.on("data", (part: Buffer) => {
    said.stderr += part.toString();
  });
  const ended = new Promise<{ status: number | null; stdout: string; stderr: string }>((resolve) =>
    child.once("close", (status) => resolve({ status, ...said })),
  );
  return { child, ended };
}

const TUPLE = { zone: 1, source: "a", sourcePort: 1, destination: "b", destinationPort: 2 };

function conn(i: number) {
  const counted = { originalPackets: 1, originalBytes: 1, replyPackets: 1, replyBytes: 1 };
  const times = { expiresInMs: 1000, ageMs: 1 };
  const tuples = { original: TUPLE, reply: TUPLE };
  return { id: `${i}`, protocol: "udp", phase: "established", ...tuples, ...counted, ...times };
}

/** Pages without an end. */
function pages(rows: number): Script {
  return ({ method, params }) => {
    if (method !== "conns.query") return undefined;
    const at = Number(params.cursor ?? 0);
    const page = Array.from({ length: Math.min(rows, Number(params.limit)) }, (_, i) =>
      conn(at + i),
    );
    return { rows: page, cursor: String(at + page.length) };
  };
}

t.test("list asks for page after page, and for no more than is wanted", async (t) => {
  const { router, run } = await start(t, pages(500));
  const { status, stdout } = await run(
    "list",
    "--limit",
    "1200",
    "-w",
    "a",
    "--sort",
    "bytes",
    "-o",
    "json",
  );
  t.equal(status, 0);
  const rows = JSON.parse(stdout) as { id: string }[];
  t.same(
    rows.map(({ id }) => Number(id)),
    rows.map((_, i) => i),
  );
  t.equal(rows.length, 1200);
  const asked = router.asked.filter(({ method }) => method === "conns.query");
  const query = { filter: { zone: "a" }, sort: "bytes", order: "asc" };
  t.same(
    asked.map(({ params }) => params),
    [
      { ...query, limit: 500 },
      { ...query, limit: 500, cursor: "500" },
      { ...query, limit: 200, cursor: "1000" },
    ],
  );
});

t.test("a list that breaks off: exit 1, and an array that is not closed", async (t) => {
  const { run } = await start(t, (asked, router) => {
    if (asked.params.cursor !== undefined) {
      return new RpcError(RpcCode.Failed, "the configuration is another one now");
    }
    return pages(500)(asked, router);
  });
  const { status, stdout, stderr } = await run("list", "--json");
  t.equal(status, 1);
  t.equal(stderr, "crosszone: list: the configuration is another one now\n");
  t.throws(() => JSON.parse(stdout));
  t.equal(stdout.split("\n").length, 501);
});

t.test("nothing is asked where the arguments are wrong", async (t) => {
  const { router, run } = await start(t, () => undefined);
  const table: readonly (readonly [readonly string[], RegExp])[] = [
    [["list", "--json", "--csv"], /--json and --csv are two forms; say one/],
    [["list", "--json", "-o", "ovs"], /--json and --output ovs are two forms; say one/],
    [["list", "-o", "extended", "--csv"], /--csv and --output extended are two forms/],
    [["events", "--json", "-o", "plain"], /--json and --output plain are two forms/],
    [["list", "--csv", "-o", "json"], /--csv and --output json are two forms/],
    [["events", "-p", "nosuch"], /--proto: tcp, udp, .* or a number expected, found 'nosuch'/],
    [["events", "-s", "10.0.0.1/8"], /--src: an address or a prefix expected, found '10/],
    [["events", "--dport", "x"], /--dport: a port or a range of ports expected, found 'x'/],
    [
      ["events", "-d", "1.1.1.1", "--class", "alarms"],
      /conditions on sessions: --class alarms has none/,
    ],
    [["delete", "-w", "a", "-w", "b"], /--zone stands twice: say it once/],
    [["list", "-o", "xml"], /--output: one of extended.* expected, found 'xml'/],
    [["list", "-x"], /^crosszone: list: -x: unknown option; see /],
    [["list", "--limit", "0"], /--limit: a number from 1 /],
    [["list", "--state", "OPEN"], /--state: one of new, /],
    [["delete"], /a condition is missing; crosszone flush ends everything/],
    [["flush"], /say --yes where nobody can be asked/],
    [["flush", "--host", "1.2.3.4", "--yes"], /--host goes with --zone/],
    [
      ["events", "--class", "all,nosuch,alarms", "-e", "UPDATE"],
      /--event-mask: NEW, DESTROY or ALL/,
    ],
    [["events", "--class", "nosuch"], /--class: one of sessions, .*, all expected, found 'nosuch'/],
    [["stats", "--times", "3"], /--times goes with --interval/],
    [["hosts", "--limit", "501"], /--limit: a number from 1 to 500/],
    [["top", "--once", "--interval", "0"], /--interval: a number from 1 to 60/],
    [["trace", "-p", "udp"], /--device or --zone is missing/],
    [["trace", "-w", "a", "--ttl", "256"], /--ttl: a number from 0 to 255/],
    [["config", "diff", "x"], /A: a number from 1 /],
    [["config", "diff", "1", "2", "--file", "f"], /--file stands in the place of B/],
    [["config", "rollback", "-1"], /^crosszone: config rollback: -1: unknown option/],
    [["config", "apply", "f", "--confirm", "0"], /--confirm: a number from 1 to 86400/],
    [["config", "apply", "f"], /it changes what is in force: say --yes .*, or --confirm SECONDS/],
    [["config", "rollback", "3"], /it changes what is in force: say --yes /],
    [["config", "apply"], /CONFIG is missing/],
    [["flow", "add"], /FLOW is missing/],
    [["flow", "add", "f", "--index", "70000"], /--index: a number from 0 to 65535/],
    [["config", "nosuch"], /unknown command 'config nosuch'/],
  ];
  const results = await Promise.all(
    table.map(async ([args, message]) => ({ args, message, ...(await run(...args)) })),
  );
  for (const { args, message, status, stdout, stderr } of results) {
    t.same([status, stdout], [2, ""], args.join(" "));
    t.match(stderr, message);
    const isVerb = /^(config|flow)$/.test(args[0] ?? "") && args[1] !== "nosuch";
    const words = args.slice(0, isVerb ? 2 : 1).join(" ");
    t.ok(stderr.startsWith(`crosszone: ${words}: `), stderr);
    t.ok(stderr.endsWith(`; see crosszone ${words} --help\n`), stderr);
  }
  t.same(router.asked, [], "not even hello");
});

t.test("what the router does not take is named as it was written", async (t) => {
  const problems = [
    { path: "filter.originalZone", expected: "the name of a zone", found: '"x"' },
    { path: "filter.sourcePort", expected: "a port", found: '"y"' },
  ];
  const { run } = await start(t, ({ method }) => {
    if (method === "hello") return undefined;
    return new RpcError(RpcCode.InvalidParams, "the parameters are wrong", { problems });
  });
  const { status, stderr } = await run("count", "--orig-zone", "x", "--sport", "y");
  t.equal(status, 2);
  t.equal(
    stderr,
    'crosszone: count: --orig-zone: expected the name of a zone, found "x"; ' +
      '--sport: expected a port, found "y"; see crosszone count --help\n',
  );
});

t.test("what is missing is named as an option, and nothing by the protocol's word", async (t) => {
  const missing = (path: string) => ({ path, expected: `the key ${path}`, found: "nothing" });
  const problems = [missing("sourcePort"), missing("destinationPort")];
  const refused = (refusal: string, path: string, text: string) =>
    new RpcError(RpcCode.Conflict, `${path}: ${text}`, { refusal, path });
  const answers: Readonly<Record<string, RpcError>> = {
    "trace.run": new RpcError(RpcCode.InvalidParams, "the parameters are wrong", { problems }),
    "config.get": refused("unknown-revision", "revision", "there is no revision 99"),
    "config.rollback": refused("nothing-pending", "to", "nothing waits"),
    "config.confirm": refused("unchanged", "to", "is the configuration of revision 3"),
    "flows.remove": new RpcError(RpcCode.NotFound, "flow: no written flow is 'x'"),
    "flows.add": new RpcError(RpcCode.InvalidParams, "note: expected less, found more", {
      refusal: "invalid",
      path: "note",
    }),
    "zones.list": new RpcError(RpcCode.Failed, "worker: gone"),
  };
  const { router, run } = await start(t, ({ method }) => answers[method]);
  const table: readonly (readonly [string, number, string])[] = [
    [
      "trace -w a -p udp -s 1.1.1.1 -d 2.2.2.2",
      2,
      "trace: --sport is missing; --dport is missing; see crosszone trace --help",
    ],
    ["config rollback 99 --yes", 1, "config rollback: there is no revision 99"],
    ["config rollback", 1, "config rollback: nothing waits"],
    ["config confirm 3", 1, "config confirm: it is the configuration of revision 3"],
    ["flow del x", 1, "flow del: FLOW: no written flow is 'x'"],
    [
      "flow add x --note n",
      2,
      "flow add: --note: expected less, found more; see crosszone flow add --help",
    ],
    ["zones", 1, "zones: worker: gone"],
  ];
  for (const [line, exit, text] of table) {
    const { status, stderr } = await run(...line.split(" "));
    t.same([status, stderr], [exit, `crosszone: ${text}\n`], line);
  }
  const names = router.asked.filter(({ method }) => method === "hello");
  t.match(names[1]?.params, { client: "crosszone config rollback" }, "also in the history");
});

t.test("stats: tables in words, those that matter also where they are empty", async (t) => {
  const use = (used: number) => ({ used, capacity: 100 });
  const { run } = await start(t, ({ method }) => {
    if (method !== "status.get") return undefined;
    const tables = { conns: use(7), neighbors: use(0), datagrams: use(0), restingPorts: use(3) };
    const times = { now: 60_000, startedAt: 0 };
    const revision = { number: 1, state: "confirmed" };
    const counted = { conns: 7, eventsLost: 0, reasons: {}, workers: [{}], logs: [] };
    return { version: "1.0.0", ...times, revision, tables, ...counted };
  });
  const { status, stdout } = await run("stats");
  t.equal(status, 0);
  t.equal(stdout.split("\n")[1], "conns 7 of 100, neighbors 0 of 100, resting ports 3 of 100");
});

t.test("problems of a configuration: one on a line, behind the name of the file", async (t) => {
  const file = join(folder, "edge.json");
  writeFileSync(file, "{}");
  const problems = [
    { path: "zones", expected: "an array", found: "nothing" },
    { path: "devices[0].mtu", expected: "a number", found: '"\u001b[2J"' },
  ];
  const { router, run } = await start(t, ({ method }) => {
    return method === "config.check"
      ? { isGood: false, problems, base: 1, isUnchanged: false }
      : undefined;
  });
  const { status, stderr } = await run("config", "apply", file, "--yes");
  t.equal(status, 2);
  const [first, second] = stderr.split("\n");
  t.equal(first, `${file}: zones: expected an array, found nothing`);
  t.notMatch(second, "\u001b", "and nothing that a terminal would obey");
  t.same(router.calls, ["config.check"]);
});

t.test("events: those that are lost, a signal, the router's end", async (t) => {
  const event = {
    event: "table-full",
    class: "alarms",
    time: 1_795_714_000_000,
    text: "full",
    fields: { reason: "ConnTableFull" },
  };
  const { router, begin } = await start(t, ({ method }, router) => {
    if (method !== "events.subscribe") return undefined;
    setTimeout(() => {
      router.tell("events.told", { subscription: 1, events: [event], lost: 7 });
    }, 20);
    return { subscription: 1 };
  });
  const interrupted = begin("events", "--class", "alarms,router", "-w", "a", "-o", "timestamp");
  await new Promise((resolve) => interrupted.child.stdout.once("data", resolve));
  interrupted.child.kill("SIGINT");
  t.same(await interrupted.ended, {
    status: 0,
    stdout: "[1795714000.000000]\t [ALARMS] full\n",
    stderr: "crosszone: events: 7 events are lost: they came faster than they were read\n",
  });
  t.same(router.paramsOf("events.subscribe"), { classes: ["alarms", "router"], zone: "a" });

  const left = begin("events", "--json");
  await new Promise((resolve) => left.child.stdout.once("data", resolve));
  router.hangUp();
  const { status, stdout, stderr } = await left.ended;
  t.equal(status, 1);
  t.same(JSON.parse(stdout), event);
  t.match(stderr, /the router ended the connection \(1001: the router stops\)/);
});

t.test("events: conditions on conns", async (t) => {
  const session = (protocol: string, address: string, remotePort: number) => ({
    event: "session-created",
    class: "sessions",
    time: 1_795_714_000_000,
    text: "begins",
    fields: { protocol, zoneId: 1, address, port: 9, remote: "8.8.8.8", remotePort },
  });
  const sessions = [
    session("udp", "10.0.0.1", 53),
    session("udp", "10.0.1.1", 53),
    session("tcp", "10.0.0.1", 53),
    session("udp", "10.0.0.1", 54),
  ];
  const { router, begin } = await start(t, ({ method }, router) => {
    if (method !== "events.subscribe") return undefined;
    setTimeout(
      () => router.tell("events.told", { subscription: 1, events: sessions, lost: 0 }),
      20,
    );
    return { subscription: 1 };
  });
  const conditions = "-p UDP --orig-src 10.0.0.0/24 -d 8.8.8.8 --dport 50-53 -f ipv4 -o json";
  const listening = begin("events", ...conditions.split(" "));
  await new Promise((resolve) => listening.child.stdout.once("data", resolve));
  listening.child.kill("SIGINT");
  const { status, stdout } = await listening.ended;
  t.equal(status, 0);
  t.same(
    stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line)),
    [sessions[0]],
  );
  t.same(router.paramsOf("events.subscribe"), { classes: ["sessions"] });
});

t.test("count and flush: how many, and nothing is ended", async (t) => {
  const { router, run } = await start(t, ({ method, params }) => {
    if (method !== "conns.count") return undefined;
    const keys = Object.keys((params.filter as object | undefined) ?? {}).length;
    return { conns: [100, 50, 7, 0, 2][keys] };
  });
  t.equal((await run("count", "--json", "-w", "a")).stdout, '{"conns":50}\n');
  t.equal((await run("flush", "--dry-run")).stdout, "100 conns would end\n");
  t.equal((await run("flush", "--dry-run", "--zone", "a")).stdout, "50 conns would end\n");
  const host = await run("flush", "--dry-run", "--zone", "a", "--host", "10.0.0.1");
  t.same([host.status, host.stdout], [0, "12 conns would end\n"], "what is in both is one");
  t.same([...new Set(router.calls)], ["conns.count"]);
  const own = { originalZone: "a", source: "10.0.0.1" };
  t.same(router.asked.at(-1)?.params, {
    filter: { ...own, replyZone: "a", replySource: "10.0.0.1" },
  });
});

t.test("an answer that does not come", async (t) => {
  const { run } = await start(t, () => undefined);
  const { status, stderr } = await run("zones", "--timeout", "1");
  t.equal(status, 1);
  t.match(stderr, /no answer to zones\.list within 1 s/);
});

t.test("a router that stands still lets nobody in: --timeout is for that, too", async (t) => {
  const silent = await start(t, ({ method }) => (method === "hello" ? SILENCE : undefined));
  const unanswered = await silent.run("zones", "--timeout", "1");
  t.equal(unanswered.status, 1);
  t.match(unanswered.stderr, /no answer to hello within 1 s/);

  const socket = join(folder, "still.sock");
  const still = createServer();
  t.teardown(() => still.close());
  await new Promise<void>((resolve) => still.listen(socket, resolve));
  const { status, stderr } = await command(t, ["zones", "--timeout=1", "--socket", socket]).ended;
  t.equal(status, 1);
  t.match(stderr, /still\.sock: no answer within 1 s/);
});
