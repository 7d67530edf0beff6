/**
 * What operators' systems make of the events of a running router: Debian's nfcapd and nfdump, rsyslog, and tshark. The
 * router's own conn table says what the truth is.
 *
 *     tenant a  192.168.0.10 ── lan-a ┐ router with all collectors
 *     tenant b  192.168.0.10 ── lan-b ┘ 203.0.113.7 ── wan ── server 203.0.113.1
 */

import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import t, { type Test } from "tap";
import type { Child } from "../../host/demo/child.js";
import { Lab, type Namespace } from "../../host/demo/lab.js";
import type { ConnView } from "../../host/telemetry/conn.js";
import { skipReason } from "./tools.js";

const MAIN = fileURLToPath(new URL("../../host/main.js", import.meta.url));
const HOST = "192.168.0.10";
const SERVER = "203.0.113.1";
const EXTERNAL = "203.0.113.7";
const SYSLOG_PORT = 5514;
const DOMAIN = 4711;

interface Site {
  readonly lab: Lab;
  readonly router: Namespace;
  readonly a: Namespace;
  readonly b: Namespace;
  readonly server: Namespace;
  readonly folder: string;
}

async function build(t: Test): Promise<Site> {
  const lab = await Lab.create();
  const folder = mkdtempSync(join(tmpdir(), "crosszone-telemetry-"));
  t.teardown(async () => {
    await lab.close();
    rmSync(folder, { recursive: true });
  });
  const names = ["router", "a", "b", "server"];
  const [router, a, b, server] = await Promise.all(names.map((name) => lab.namespace(name)));
  if (!router || !a || !b || !server) throw new Error("the lab has no namespaces");
  await lab.veth(router, "lan-a", a, "eth0");
  await lab.veth(router, "lan-b", b, "eth0");
  await lab.veth(router, "wan", server, "eth0");
  for (const tenant of [a, b]) {
    await tenant.ip(`addr add ${HOST}/24 dev eth0`, "route add default via 192.168.0.1");
  }
  await server.ip(`addr add ${SERVER}/24 dev eth0`);
  return { lab, router, a, b, server, folder };
}

function configuration(telemetry: object) {
  return {
    version: 1,
    zones: [
      { id: 0, name: "a", limits: { connsPerHost: 4 } },
      { id: 11, name: "b" },
      { id: 20, name: "public" },
    ],
    devices: [
      { name: "lan-a", zone: "a", interface: "lan-a", addresses: ["192.168.0.1/24"] },
      { name: "lan-b", zone: "b", interface: "lan-b", addresses: ["192.168.0.1/24"] },
      { name: "wan", zone: "public", interface: "wan", addresses: ["203.0.113.2/24"] },
    ],
    pools: [
      {
        name: "p1",
        zone: "public",
        addresses: [EXTERNAL],
        allocation: "block",
        block: { ports: 64, perHost: 2 },
      },
    ],
    nat: [{ from: ["a", "b"], to: "public", pool: "p1" }],
    timeouts: { icmp: 1 },
    capacity: { conns: 1024 },
    telemetry,
  };
}

async function run(site: Site, telemetry: object): Promise<Child> {
  const path = join(site.folder, "config.json");
  writeFileSync(path, JSON.stringify(configuration(telemetry)));
  const child = site.router.spawn(process.execPath, [MAIN, "run", path, "--socket", "none"]);
  await child.line("stderr", /^crosszone: running/);
  return child;
}

async function reload(site: Site, child: Child, telemetry: object): Promise<void> {
  const lines = child.stderr.split("\n").length - 1;
  writeFileSync(join(site.folder, "config.json"), JSON.stringify(configuration(telemetry)));
  child.signal("SIGHUP");
  await child.line("stderr", /configuration reloaded/, 60_000, lines);
}

async function conns(child: Child): Promise<ConnView[]> {
  const lines = child.stdout.toString().split("\n").length - 1;
  child.signal("SIGUSR2");
  const line = await child.line("stdout", /^\{"conns"/, 60_000, lines);
  return (JSON.parse(line) as { conns: ConnView[] }).conns;
}

async function until(is: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (let n = 0; n < 200; n++) {
    if (await is()) return;
    await sleep(50);
  }
  throw new Error(`not within ten seconds: ${what}`);
}

/** The whole lines of a file that is being written, or is not there yet. */
function linesOf(path: string): string[] {
  return existsSync(path) ? readFileSync(path, "utf8").split("\n").slice(0, -1) : [];
}

function jsonEvents(path: string): Record<string, unknown>[] {
  return linesOf(path).map((line) => JSON.parse(line));
}

async function udp(from: Namespace, ...ports: number[]): Promise<void> {
  for (const port of ports) {
    await from.must("bash", ["-c", `echo x > /dev/udp/${SERVER}/${port}`]);
  }
}

/** `10 udp 192.168.0.10:4562 20 203.0.113.7:9553 203.0.113.1:53` */
function sessionOf(conn: ConnView): string {
  const { original, reply } = conn;
  return (
    `${original.zone} ${conn.protocol} ${original.source}:${original.sourcePort} ` +
    `${reply.zone} ${reply.destination}:${reply.destinationPort} ` +
    `${original.destination}:${original.destinationPort}`
  );
}

const PROTOCOLS: Readonly<Record<string, string>> = { 1: "icmp", 6: "tcp", 17: "udp" };

/** What nfdump prints as JSON. */
type Flow = Readonly<Record<string, string | number>>;

async function nfdump(site: Site, flows: string): Promise<Flow[]> {
  const text = await site.router.must("nfdump", ["-R", flows, "-o", "json"]);
  return JSON.parse(text) as Flow[];
}

function eventsOf(flows: readonly Flow[], event: string): Flow[] {
  return flows.filter((flow) => flow.nat_event === event);
}

/** The same words, of a record; nfdump shows no source port with ICMP. */
function flowSession(flow: Flow): string {
  return (
    `${flow.ingress_vrf} ${PROTOCOLS[String(flow.proto)]} ${flow.src4_addr}:${flow.src_port} ` +
    `${flow.egress_vrf} ${flow.src4_xlt_ip}:${flow.src_xlt_port} ${flow.dst4_addr}:${flow.dst_port}`
  );
}

async function capture(site: Site, path: string): Promise<Child> {
  const options = ["-i", "lo", "-w", path, "-U", "--immediate-mode", "port", "4739"];
  const child = site.router.spawn("tcpdump", options);
  await child.line("stderr", /listening on/);
  return child;
}

/** Fields of all records of a template, as tshark reads them: a line for each message, "," between records. */
async function tshark(site: Site, file: string, filter: string, ...fields: string[]) {
  const columns = fields.flatMap((field) => ["-e", field]);
  const options = ["-r", file, "-Y", filter, "-T", "fields", "-E", "separator=;", ...columns];
  return (await site.router.must("tshark", options)).trim().split("\n");
}

t.setTimeout(240_000);

t.test(
  "RFC 8158 S7: nfcapd stores and nfdump prints sessions, mappings and blocks of both tenants",
  { skip: skipReason("nfcapd", "nfdump", "bash", "ping") },
  async (t) => {
    const site = await build(t);
    const flows = join(site.folder, "flows");
    mkdirSync(flows);
    const collector = site.router.spawn("nfcapd", ["-w", flows, "-p", "4739", "-t", "3600"]);
    await collector.line("stderr", /Startup/);
    const log = [{ to: "ipfix", server: "127.0.0.1", domain: DOMAIN }];
    const router = await run(site, { events: ["sessions", "mappings", "blocks", "alarms"], log });
    await udp(site.a, 5000, 5001, 5002);
    await udp(site.b, 5000);
    await until(async () => (await conns(router)).length === 4, "four conns");
    const truth = await conns(router);
    await udp(site.a, 5003, 5004, 5005);
    for (const tenant of [site.a, site.b]) await tenant.run("ping", ["-c1", "-W1", SERVER]);
    await sleep(3000);
    t.equal(await router.stop(), 0);
    await collector.stop();
    t.match(collector.stderr, /Sequence Errors: 0, Bad Packets: 0/);
    const found = await nfdump(site, flows);
    const created = eventsOf(found, "NAT44 session create").map(flowSession);
    for (const conn of truth) {
      t.ok(created.includes(sessionOf(conn)), sessionOf(conn));
    }
    const mappings = eventsOf(found, "NAT44 BIB create");
    for (const { protocol, original, reply } of truth) {
      const mapping = mappings.find(
        ({ src_xlt_port }) => Number(src_xlt_port) === reply.destinationPort,
      );
      t.match(mapping, {
        ingress_vrf: String(original.zone),
        egress_vrf: "20",
        src4_addr: original.source,
        src_port: original.sourcePort,
        src4_xlt_ip: EXTERNAL,
      });
      t.equal(PROTOCOLS[String(mapping?.proto)], protocol);
    }
    t.equal(eventsOf(found, "NAT44 session delete").length, 1, "b's ping has ended, a had none");
    t.same(
      eventsOf(found, "Port block allocation")
        .map(
          (flow) => `${flow.ingress_vrf} ${flow.src4_addr} ${flow.egress_vrf} ${flow.src4_xlt_ip}`,
        )
        .sort(),
      [`0 ${HOST} 20 ${EXTERNAL}`, `11 ${HOST} 20 ${EXTERNAL}`],
    );
    t.match(eventsOf(found, "Quota Exceeded"), [{ ingress_vrf: "0", src4_addr: HOST }]);
  },
);

t.test(
  "RFC 8158 S7: nfcapd that is started after the router has all of it",
  { skip: skipReason("nfcapd", "nfdump", "bash") },
  async (t) => {
    const site = await build(t);
    const flows = join(site.folder, "flows");
    mkdirSync(flows);
    const log = [{ to: "ipfix", server: "127.0.0.1", events: ["sessions"] }];
    const router = await run(site, { log });
    await udp(site.a, 5000);
    await router.line("stderr", /log ipfix 127\.0\.0\.1:4739\/udp: .*ECONNREFUSED; events wait/);
    await udp(site.b, 5000);
    const collector = site.router.spawn("nfcapd", ["-w", flows, "-p", "4739", "-t", "3600"]);
    await collector.line("stderr", /Startup/);
    await router.line("stderr", /log ipfix .*: works again/);
    t.equal(await router.stop(), 0);
    await collector.stop();
    const created = eventsOf(await nfdump(site, flows), "NAT44 session create");
    const lost = /(\d+) events were lost/.exec(router.stderr)?.[1] ?? "0";
    t.equal(created.length + Number(lost), 2, "what went to nobody is counted");
    t.match(created.at(-1), { ingress_vrf: "11", src4_addr: HOST, src4_xlt_ip: EXTERNAL });
  },
);

t.test(
  "RFC 8158 S7: over UDP and TCP tshark finds nothing malformed, and the ports of blocks",
  { skip: skipReason("tshark", "tcpdump", "nc", "bash") },
  async (t) => {
    const site = await build(t);
    const file = join(site.folder, "lo.pcap");
    const capturing = await capture(site, file);
    const collectors = [
      site.router.spawn("sh", ["-c", "exec nc -kl 127.0.0.1 4739 > /dev/null"]),
      site.router.spawn("sh", ["-c", "exec nc -klu 127.0.0.1 4739 > /dev/null"]),
    ];
    await until(async () => {
      const { stdout } = await site.router.run("ss", ["-Hlntu", "sport = :4739"]);
      return stdout.trim().split("\n").length === 2;
    }, "both collectors listen");
    const jsonl = join(site.folder, "events.jsonl");
    const log = [
      { to: "file", path: jsonl },
      { to: "ipfix", server: "127.0.0.1", domain: DOMAIN },
      { to: "ipfix", server: "127.0.0.1", transport: "tcp" },
    ];
    const router = await run(site, { events: ["sessions", "mappings", "blocks", "alarms"], log });
    await udp(site.b, 5000);
    await udp(site.a, 5000, 5001, 5002, 5003, 5004);
    await until(
      () => linesOf(jsonl).some((line) => line.includes('"quota-exceeded"')),
      "the last event",
    );
    await sleep(500);
    t.equal(await router.stop(), 0);
    // What was captured is written when nothing more comes.
    for (let before = -1; before !== statSync(file).size; await sleep(1000)) {
      before = statSync(file).size;
    }
    await capturing.stop("SIGINT");
    for (const each of collectors) await each.stop();
    const written = jsonEvents(jsonl);
    const wrong =
      'cflow && (_ws.malformed || _ws.expert.severity == "error" || _ws.expert.severity == "warning")';
    t.same(await tshark(site, file, wrong, "frame.number", "_ws.expert.message"), [""]);
    for (const transport of ["udp", "tcp"]) {
      const filter = `${transport} && cflow.port_range_start`;
      const fields = ["cflow.port_range_start", "cflow.port_range_end"];
      const ranges = (await tshark(site, file, filter, ...fields)).flatMap((line) => {
        const [first = "", last = ""] = line.split(";");
        const ends = last.split(",");
        return first.split(",").map((start, i) => `${start}-${ends[i]}`);
      });
      const expected = written
        .filter(({ event }) => event === "block-allocated")
        .map(({ firstPort, lastPort }) => `${firstPort}-${lastPort}`);
      t.equal(expected.length, 2);
      t.same(ranges, expected, transport);
      const names = await tshark(site, file, `${transport} && cflow.vrfname`, "cflow.vrfname");
      t.same(names, ["a,b,public"], "zones by name");
      const [quota] = await tshark(
        site,
        file,
        `${transport} && cflow.nat_quota_exceeded_event`,
        "cflow.nat_quota_exceeded_event",
        "cflow.max_entries_per_user",
      );
      t.equal(quota, "3;4", "entries per user, four of them");
    }
  },
);

const TEMPLATE = [
  ...["%pri%", "%timestamp:::date-rfc3339%", "%hostname%", "%app-name%", "%procid%", "%msgid%"],
  ...["%structured-data%", "%msg%"],
].join("|");

function rsyslogConfig(folder: string, socket: string): string {
  return `
module(load="imudp")
module(load="imtcp")
module(load="imuxsock" SysSock.Use="off")
template(name="parsed" type="string" string="%inputname%|${TEMPLATE}\\n")
ruleset(name="write") { action(type="omfile" file="${folder}/parsed.log" template="parsed") }
input(type="imudp" address="127.0.0.1" port="${SYSLOG_PORT}" ruleset="write")
input(type="imtcp" address="127.0.0.1" port="${SYSLOG_PORT}" ruleset="write")
input(type="imuxsock" socket="${socket}" useSpecialParser="off" parseHostname="on" ignoreTimestamp="off" ruleset="write")
`;
}

async function startRsyslog(site: Site, socket: string): Promise<Child> {
  const config = join(site.folder, "rsyslog.conf");
  writeFileSync(config, rsyslogConfig(site.folder, socket));
  const pid = join(site.folder, "rsyslog.pid");
  const child = site.router.spawn("rsyslogd", ["-n", "-f", config, "-i", pid]);
  await until(async () => {
    const { stdout } = await site.router.run("ss", ["-Hlntu", `sport = :${SYSLOG_PORT}`]);
    return stdout.trim().split("\n").length === 2;
  }, "rsyslogd listens");
  return child;
}

t.test(
  "syslog: rsyslog parses what comes by UDP, by TCP and by the local socket",
  { skip: skipReason("rsyslogd", "bash") },
  async (t) => {
    const site = await build(t);
    const socket = join(site.folder, "log");
    let daemon = await startRsyslog(site, socket);
    const to = { to: "syslog", facility: "local3", hostname: "edge" };
    const server = { server: "127.0.0.1", port: SYSLOG_PORT };
    const log = [
      { ...to, ...server },
      { ...to, ...server, transport: "tcp" },
      { ...to, path: socket },
      { to: "file", path: join(site.folder, "events.jsonl") },
    ];
    const router = await run(site, { events: ["sessions", "alarms"], log });
    await udp(site.a, 5000);
    await udp(site.b, 5001);
    const parsed = () => linesOf(join(site.folder, "parsed.log")).map((line) => line.split("|"));
    await until(() => parsed().length >= 6, "all messages");
    const truth = jsonEvents(join(site.folder, "events.jsonl"));
    t.equal(truth.length, 2);
    for (const input of ["imudp", "imtcp", "imuxsock"]) {
      const lines = parsed().filter(([by]) => by === input);
      t.equal(lines.length, 2, input);
      for (const [index, event] of truth.entries()) {
        const [, priority, time, host, app, process, id, data, text] = lines[index] ?? [];
        t.same([priority, host, app, id], ["158", "edge", "crosszone", "session-created"]);
        t.match(process, /^\d+$/, "its process, as it says");
        t.equal(Date.parse(time ?? ""), Date.parse(String(event.time)));
        for (const key of [
          "zone",
          "protocol",
          "address",
          "port",
          "external",
          "externalPort",
          "remote",
        ]) {
          t.match(data, `${key}="${event[key]}"`);
        }
        t.match(
          text?.trim(),
          /^session-created udp .* of zone [ab] by .* to 203\.0\.113\.1:500[01]$/,
        );
      }
    }
    // Gone for a while: TCP and the local socket keep what comes, and send it when it is back.
    await daemon.stop();
    await udp(site.b, 5002);
    await router.line("stderr", /log syslog .*tcp: .*events wait, and are tried again/);
    await udp(site.b, 5003);
    daemon = await startRsyslog(site, socket);
    const has = (input: string, port: number) =>
      parsed().some(
        ([by, ...rest]) => by === input && rest.join("|").includes(`remotePort="${port}"`),
      );
    for (const input of ["imtcp", "imuxsock"]) {
      await until(() => has(input, 5003), `${input}: what came while it was gone`);
    }
    t.ok(has("imuxsock", 5002));
    await router.line("stderr", /log syslog .*tcp: works again/);
    t.equal(await router.stop(), 0);
    await daemon.stop();
  },
);

t.test(
  "a reload changes what is noted and where it goes, and opens files anew",
  { skip: skipReason("bash") },
  async (t) => {
    const site = await build(t);
    const path = join(site.folder, "events.jsonl");
    const other = join(site.folder, "other.jsonl");
    const kinds = (file: string) => jsonEvents(file).map(({ event }) => event);
    const router = await run(site, { log: [{ to: "file", path }] });
    await udp(site.a, 5000);
    await until(() => kinds(path).length > 0, "the block is written");
    t.same(kinds(path), ["block-allocated"], "no session is noted, RFC 6888 R12");
    renameSync(path, `${path}.1`);
    await reload(site, router, {
      log: [
        { to: "file", path },
        { to: "file", path: other, events: ["sessions"] },
      ],
    });
    await udp(site.a, 5001);
    await udp(site.b, 5001);
    await until(() => kinds(other).length === 2, "two sessions");
    await until(() => kinds(path).length > 0, "and the block of b's");
    t.same(new Set(kinds(other)), new Set(["session-created"]));
    t.same(kinds(path), ["block-allocated"], "b's, in the new file");
    t.same(kinds(`${path}.1`), ["block-allocated"], "a's, in the old one");
    await reload(site, router, { log: [{ to: "file", path }] });
    await udp(site.b, 5002);
    await sleep(300);
    t.equal(kinds(other).length, 2, "nothing more");
    t.equal(await router.stop(), 0);
    t.notMatch(router.stderr, /has 203|session-created/, "standard error has alarms alone");
  },
);
