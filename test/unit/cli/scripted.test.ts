/** Commands against a router that answers by a script: what they ask, and what they do when it goes wrong. */

import { createServer } from "node:net";
import { join } from "node:path";
import t from "tap";
import { RpcCode, RpcError } from "../../../host/control/protocol/rpc.js";
import { tellSample, tellSamples } from "../../harness/samples.js";
import { type Script, SILENCE } from "../../harness/scripted.js";
import { command, folderOf, start } from "../../harness/scriptedcommand.js";

t.setTimeout(180_000);

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

t.test("stats: tables in words, those that matter also where they are empty", async (t) => {
  const use = (used: number) => ({ used, capacity: 100 });
  const { run } = await start(t, ({ method }) => {
    if (method !== "status.get") return undefined;
    const tables = { conns: use(7), neighbors: use(0), datagrams: use(0), restingPorts: use(3) };
    const times = { now: 60_000, startedAt: 0 };
    const revision = { number: 1, state: "confirmed" };
    const counted = { conns: 7, eventsLost: 0, reasons: {}, workers: [{}], logs: [] };
    const process = { id: 7, host: "edge", network: "net:[4026531840]", config: "edge.json" };
    return { version: "1.0.0", process, ...times, revision, tables, ...counted };
  });
  const { status, stdout } = await run("stats");
  t.equal(status, 0);
  const lines = stdout.split("\n");
  t.match(lines[1], /^process 7 on edge, .*edge\.json/);
  t.equal(lines[2], "conns 7 of 100, neighbors 0 of 100, resting ports 3 of 100");
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
    if (method === "conns.count") return { conns: 50 };
    return method === "conns.flush" ? { conns: 12, dryRun: params.dryRun } : undefined;
  });
  t.equal((await run("count", "--json", "-w", "a")).stdout, '{"conns":50}\n');
  const all = await run("flush", "--dry-run");
  t.same([all.status, all.stdout], [0, "12 conns would end\n"]);
  t.equal((await run("flush", "--dry-run", "--zone", "a", "--host", "10.0.0.1")).status, 0);
  const flushes = router.asked.filter(({ method }) => method === "conns.flush");
  t.same(
    flushes.map(({ params }) => params),
    [{ dryRun: true }, { zone: "a", host: "10.0.0.1", dryRun: true }],
  );
});

t.test("top: a sample that comes before the names of zones is looked at", async (t) => {
  let name = () => {};
  const named = new Promise((resolve) => {
    name = () => resolve({ zones: [{ id: 1, name: "tenant-a" }] });
  });
  const { run } = await start(t, ({ method }, router) => {
    switch (method) {
      case "zones.list":
        return named;
      case "metrics.subscribe":
        tellSample(router);
        return { subscription: 1 };
      case "hosts.top":
        // Only by this sample it can be asked for.
        if (router.calls.filter((each) => each === method).length === 1) {
          name();
          tellSamples(router);
        }
        return { hosts: [] };
      default:
        return undefined;
    }
  });
  const { status, stdout, stderr } = await run("top", "--once", "--timeout", "20");
  t.same([status, stderr], [0, ""]);
  t.match(stdout, /ZONE +CONNS[\s\S]*tenant-a +77/);
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
  t.match(unanswered.stderr, /no answer to hello within (1|0\.\d) s/);

  const socket = join(folderOf(t), "still.sock");
  const still = createServer();
  t.teardown(() => still.close());
  await new Promise<void>((resolve) => still.listen(socket, resolve));
  const { status, stderr } = await command(t, ["zones", "--timeout=1", "--socket", socket]).ended;
  t.equal(status, 1);
  t.match(stderr, /still\.sock: no answer within 1 s/);
});
