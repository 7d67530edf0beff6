/** The protocol of a running router, over either transport: every method, and everything that may be wrong with a request. */

import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import t, { type Test } from "tap";
import { LIMITS } from "../../host/control/admission.js";
import { METHOD_NAMES } from "../../host/control/protocol/methods.js";
import type { ImplementationName } from "../../host/control/server.js";
import { SubscriptionLimit } from "../../host/control/subscriptions.js";
import { labSupport } from "../../host/demo/lab.js";
import { burst } from "../harness/burst.js";
import { misfitsOfNotification, misfitsOfResult } from "../harness/exactly.js";
import { type Any, type Client, Plane, planeDocument, temporary } from "../harness/plane.js";
import { eventually } from "../harness/transport.js";

const HOSTS = 300;
const DROP = "priority=900,ip,zone=a,nw_dst=198.51.100.0/24 actions=drop";

export function protocolSuite(implementation: ImplementationName): void {
  // Longer than the limit of a file, for a machine that does other things as well.
  t.setTimeout(300_000);
  const skip = labSupport() ?? false;
  t.test(`the protocol over ${implementation}`, { skip }, async (t) => {
    t.test("every method answers what its schema says", (t) => everyMethod(t, implementation));
    t.test("requests that are wrong", (t) => wrongRequests(t, implementation));
    t.test("tokens", (t) => tokens(t, implementation));
    t.test("roles", (t) => roles(t, implementation));
    t.test("revisions", (t) => revisions(t, implementation));
    t.test("what is told", (t) => subscriptions(t, implementation));
    t.test("who does not read", (t) => slowReader(t, implementation));
    t.test("HTTP", (t) => http(t, implementation));
  });
}

async function traffic(plane: Plane, client: Client): Promise<void> {
  const count = async () => (await client.call("conns.count", {})).conns;
  // A busy machine may have no place for some frames.
  for (let turn = 0; turn < 10 && (await count()) < HOSTS; turn++) {
    await burst(plane.far, HOSTS);
    await sleep(200);
  }
}

async function everyMethod(t: Test, implementation: ImplementationName): Promise<void> {
  const plane = await Plane.start(t, { implementation });
  const client = await plane.connect();
  const asked = new Set<string>();
  const call = async (method: string, params?: unknown): Promise<Any> => {
    const result = await client.call(method, params);
    t.same(misfitsOfResult(method, result), [], method);
    asked.add(method);
    return result;
  };
  const hello = await call("hello", { client: "suite" });
  t.same(
    [hello.protocol, hello.role, hello.who, hello.revision, hello.isKept],
    ["crosszone.v1", "operator", "127.0.0.1, suite", 1, false],
  );
  t.same(hello.methods, METHOD_NAMES);
  await traffic(plane, client);

  t.equal((await call("conns.count", { filter: { zone: "a" } })).conns, HOSTS);
  const page = await call("conns.query", { sort: "source", limit: 100 });
  t.same([page.rows.length, page.matched, typeof page.cursor], [100, HOSTS, "string"]);
  const next = await call("conns.query", { sort: "source", limit: 500, cursor: page.cursor });
  t.same([next.rows.length, next.cursor], [HOSTS - 100, undefined]);
  const ids = [...page.rows, ...next.rows].map(({ id }: Any) => id);
  t.equal(new Set(ids).size, HOSTS);
  const [first] = page.rows;
  t.match(first, {
    protocol: "udp",
    phase: "new",
    original: { zone: 10, destination: "8.8.8.8", destinationPort: 53 },
    reply: { zone: 20, source: "8.8.8.8", destination: "203.0.113.64" },
  });
  const mappings = await call("mappings.list", { filter: { address: first.original.source } });
  t.match(mappings.rows, [{ zone: 10, external: "203.0.113.64" }]);
  const { hosts } = await call("hosts.top", { sort: "conns", limit: 3 });
  t.match(hosts, [{ zone: 10, conns: 1 }, {}, {}]);
  const { zones } = await call("zones.list");
  t.match(zones, [
    { id: 10, name: "a", conns: HOSTS, connsMax: 4000 },
    { id: 20, name: "public", conns: 0 },
  ]);
  const { pools } = await call("pools.list");
  t.match(pools, [{ name: "p1", zone: 20, addresses: 1, ports: { udp: { used: HOSTS } } }]);
  t.match(pools[0].zones, [{ zone: 10, udp: HOSTS }]);
  const addresses = await call("pools.addresses", { pool: "p1" });
  t.match(addresses.rows, [{ address: "203.0.113.64", ports: { udp: { used: HOSTS } } }]);
  const { devices, interfaces } = await call("devices.list");
  t.match(devices, [
    { name: "lan", zone: 10, driver: "afpacket", vlan: [], addresses: ["10.0.255.254/16"] },
    { name: "wan", zone: 20, mac: "02:00:00:00:00:03" },
  ]);
  t.match(interfaces, [
    { name: "eth0", isUp: true },
    { name: "eth1", isUp: true },
  ]);
  const neighbors = await call("neighbors.list");
  t.match(neighbors.rows, [{ address: "203.0.113.1", device: "wan", state: "permanent" }]);
  const flows = await call("flows.list");
  t.match(flows.rows, [{ origin: "nat[0]" }, { origin: "nat[0]" }]);
  // The burst may have been sent again.
  t.ok(flows.rows[1].packets >= HOSTS, `${flows.rows[1].packets} packets`);

  const packet = { protocol: "udp", source: "10.0.9.9", destination: "8.8.8.8", sourcePort: 4000 };
  const trace = await call("trace.run", { device: "lan", ...packet, destinationPort: 53 });
  t.match(trace, { verdict: "Forwarded", frames: [{ device: "wan" }] });
  t.ok(trace.steps.some(({ details }: Any) => details.pool === "p1"));
  t.equal((await call("conns.count")).conns, HOSTS, "nothing was begun");

  const status = await call("status.get");
  t.match(status, {
    revision: { number: 1, state: "confirmed", who: "crosszone" },
    conns: HOSTS,
    process: { id: process.pid, host: hostname(), network: /^net:\[\d+\]$/ },
    tables: { conns: { used: HOSTS } },
    control: { transport: implementation, channels: 1 },
  });
  t.ok(status.reasons.Forwarded >= HOSTS);

  const dry = await call("conns.delete", { filter: { source: "10.0.1.0/28" }, dryRun: true });
  t.same(dry, { conns: 16, dryRun: true });
  t.equal((await call("conns.delete", { filter: { source: "10.0.1.0/28" } })).conns, 16);
  t.equal((await call("conns.count")).conns, HOSTS - 16);
  t.equal((await call("conns.flush", { zone: "a", host: "10.0.1.16" })).conns, 1);
  t.equal((await call("conns.flush", { zone: "a" })).conns, HOSTS - 17);

  const { config } = await call("config.get");
  t.same(config, JSON.parse(JSON.stringify(planeDocument())));
  await configMethods(t, call, config);
  t.match(await call("log.level", {}), { level: "debug" });
  t.match(await call("log.level", { level: "notice" }), { level: "notice", before: "debug" });

  const events = await call("events.subscribe", {});
  const metrics = await call("metrics.subscribe", { intervalMs: 250 });
  t.not(events.subscription, metrics.subscription);
  await call("events.unsubscribe", events);
  await call("metrics.unsubscribe", metrics);
  t.match(await client.fail("metrics.unsubscribe", metrics), { code: 5 });
  const other = await plane.connect();
  const confirmed = await other.call("config.confirm", { revision: 6 });
  t.same(misfitsOfResult("config.confirm", confirmed), []);
  asked.add("config.confirm");
  const left = METHOD_NAMES.filter((name) => !asked.has(name));
  t.same(left, [], "all were asked");
}

async function configMethods(
  t: Test,
  call: (method: string, params?: unknown) => Promise<Any>,
  config: Any,
): Promise<void> {
  const wider = { ...config, busyPoll: 100 };
  const faulty = { ...config, zones: [{ id: 10, name: "a" }, { id: "x" }] };
  const verdict = await call("config.check", { config: faulty });
  t.equal(verdict.isGood, false);
  t.ok(verdict.problems.some(({ path }: Any) => path === "zones[1].id"));
  const good = await call("config.check", { config });
  t.match(good, { isGood: true, isUnchanged: true, base: 1, ends: { ending: 0 } });
  const missing = { ...config, devices: [{ ...config.devices[0], interface: "nowhere" }] };
  const refused = await call("config.check", {
    config: { ...missing, routes: [], neighbors: [], pools: [], nat: [] },
  });
  const problem = {
    path: "devices[0].interface",
    expected: "an interface of this machine",
    found: '"nowhere"',
  };
  t.match(refused, { isGood: false, problems: [problem] });

  const added = await call("flows.add", { flow: DROP });
  t.match(added.revision, { number: 2, state: "confirmed", base: 1, note: `flow added: ${DROP}` });
  const [listed] = (await call("flows.list")).rows;
  t.match(listed, { flow: /nw_dst=198\.51\.100\.0\/24/, origin: "flows[0]", priority: 900 });
  const diff = await call("config.diff", { from: 1 });
  t.match(diff, { paths: [{ path: "flows[0]", kind: "added" }], morePaths: 0 });
  t.match(diff.text, /^\+.*nw_dst=198\.51\.100\.0\/24/m);
  t.match(await call("flows.remove", { flow: ` ${listed.flow} ` }), { revision: { number: 3 } });
  const text = JSON.stringify(wider);
  const applied = await call("config.apply", { config: text, base: 3, confirmWithinSec: 60 });
  t.match(applied.revision, { number: 4, state: "pending", confirmWithinSec: 60 });
  t.equal((await call("config.get")).text, text, "as it was written");
  const back = await call("config.rollback", {});
  t.match(back.revision, { number: 3, isInForce: true });
  const older = await call("config.rollback", { to: 2, note: "the drop again" });
  t.match(older.revision, { number: 5, restores: 2, note: "the drop again" });
  const { revisions } = await call("config.history");
  t.same(
    revisions.map(({ number, state }: Any) => [number, state]),
    [
      [1, "confirmed"],
      [2, "confirmed"],
      [3, "confirmed"],
      [4, "rolled-back"],
      [5, "confirmed"],
    ],
  );
  await call("config.apply", { config, base: 5, confirmWithinSec: 60 });
  t.equal((await call("config.get", { revision: 6 })).revision.state, "pending");
}

async function wrongRequests(t: Test, implementation: ImplementationName): Promise<void> {
  const plane = await Plane.start(t, { implementation });
  const client = await plane.connect();
  const answerTo = async (text: string) => {
    const before = client.came.length;
    client.send(text);
    t.ok(await eventually(() => client.came.length > before), text.slice(0, 60));
    return client.came.slice(before);
  };
  const frames: [string, number][] = [
    ["{", -32700],
    ["", -32700],
    ["nothing", -32700],
    ["[]", -32600],
    ["1", -32600],
    ["null", -32600],
    ['{"id":1,"method":"hello"}', -32600],
    ['{"jsonrpc":"2.0","id":{},"method":"hello"}', -32600],
    ['{"jsonrpc":"2.0","id":1}', -32600],
    ['{"jsonrpc":"2.0","id":1,"method":7}', -32600],
    ['{"jsonrpc":"2.0","id":1,"method":"hello","params":1}', -32600],
    ['{"jsonrpc":"2.0","id":1,"method":"hello","params":[]}', -32602],
    ['{"jsonrpc":"2.0","id":1,"method":"toString"}', -32601],
    ['{"jsonrpc":"2.0","id":1,"method":"__proto__"}', -32601],
    ['{"jsonrpc":"2.0","id":1,"method":"hello","params":{"__proto__":1}}', -32602],
    [`${"[".repeat(100_000)}`, -32600],
    [
      `{"jsonrpc":"2.0","id":1,"method":"hello","params":${'{"a":'.repeat(64)}1${"}".repeat(65)}`,
      -32600,
    ],
    [JSON.stringify(Array.from({ length: 33 }, () => 1)), -32600],
  ];
  for (const [text, code] of frames) {
    const [reply] = await answerTo(text);
    t.match(reply, { error: { code } }, text.slice(0, 60));
  }
  const batch = [
    { jsonrpc: "2.0", id: "one", method: "conns.count" },
    7,
    { jsonrpc: "2.0", method: "conns.count" },
    { jsonrpc: "2.0", id: 2, method: "no.such" },
  ];
  const replies = await answerTo(JSON.stringify(batch));
  t.match(replies, [
    { id: "one", result: { conns: 0 } },
    { id: null, error: { code: -32600 } },
    { id: 2, error: { code: -32601 } },
  ]);

  const wrong: [string, unknown, RegExp][] = [
    ["conns.query", { filter: { zone: "nowhere", port: "x" } }, /filter\.zone.*and 1 more/],
    ["conns.query", { filtre: {} }, /filtre: expected a known key \(did you mean "filter"\?\)/],
    ["conns.query", { limit: 1e9 }, /limit: expected a number of rows from 1 to 500/],
    ["conns.query", { cursor: "AAAA" }, /cursor/],
    ["conns.delete", { filter: {} }, /filter: expected at least one condition/],
    ["conns.delete", { filter: [] }, /filter: expected an object/],
    ["conns.flush", { host: "10.0.0.1" }, /zone: expected the zone of the host/],
    ["pools.addresses", { pool: "p9" }, /pool: expected the name of a pool/],
    ["config.apply", { config: 7, base: 1 }, /config: expected a configuration, or its text/],
    ["config.apply", { config: {}, base: -1 }, /base: expected/],
    ["config.apply", { config: {}, base: 1, confirmWithinSec: 0 }, /confirmWithinSec/],
    ["config.apply", { config: {}, base: 1, note: "\u001b[2J" }, /note: expected one line of text/],
    ["events.subscribe", { classes: ["all"] }, /classes/],
    ["events.subscribe", { zone: 11 }, /zone: expected the name or number of a zone/],
    ["metrics.subscribe", { intervalMs: 1 }, /intervalMs: expected milliseconds from 250 to 60000/],
    ["log.level", { level: "loud" }, /level/],
    ["config.diff", { to: 1, config: {} }, /not beside config/],
    ["flows.add", { flow: DROP, index: 5 }, /index: expected a place from 0 to 0/],
  ];
  for (const [method, params, message] of wrong) {
    const error = await client.fail(method, params);
    t.same([error.code, message.test(error.message)], [-32602, true], `${method} ${error.message}`);
  }
  const refused = await client.fail("config.apply", { config: '{\n "zones": ,}', base: 1 });
  t.match(refused, { code: 4, data: { problems: [{ path: /line 2 column 11/ }] } });
  const flow = await client.fail("flows.add", { flow: "priority=1 actions=fly" });
  t.match(flow, { code: 4, data: { problems: [{ path: /^flows\[0\]/ }] } });
  t.match(await client.fail("flows.remove", { flow: "x" }), { code: 5 });
  t.match(await client.fail("config.get", { revision: 99 }), { code: 5 });
  t.match(await client.fail("config.confirm", { revision: 1 }), {
    code: 3,
    data: { refusal: "nothing-pending" },
  });
  t.match(await client.fail("config.rollback", {}), { code: 3 });

  const many = Array.from({ length: 60 }, () => client.ask("conns.count"));
  const codes = (await Promise.all(many)).map(({ error }) => error?.code);
  t.ok(codes.includes(undefined), "some are answered");
  t.same([...new Set(codes.filter((code) => code !== undefined))], [6], "the others are too many");
  t.same(await client.call("conns.count"), { conns: 0 }, "and it goes on");

  const other = await plane.connect();
  other.socket.send(Buffer.from([1, 2, 3]));
  t.ok(await eventually(() => other.closed?.code === 1003), "a binary message");
  const long = await plane.connect();
  long.send("x".repeat(1024 * 1024 + 1));
  t.ok(await eventually(() => long.closed?.code === 1009), "one that is too long");
  t.same(await client.call("conns.count"), { conns: 0 }, "the others do not notice");
}

async function tokens(t: Test, implementation: ImplementationName): Promise<void> {
  const directory = temporary(t);
  const plane = await Plane.start(t, { implementation, directory, hasTokens: true });
  const open = await plane.connect();
  t.match(await open.call("hello"), { role: "operator", isKept: true }, "no token: loopback may");
  const now = { wallMs: Date.now(), monotonicMs: 0 };
  const add = async (role: "viewer" | "operator", name: string, byte: number) => {
    const random = new Uint8Array(64).fill(byte).slice(0, 48);
    const made = plane.tokens?.add({ role, name, expires: null }, random, now);
    return (await made)?.token ?? "";
  };
  const viewer = await add("viewer", "screen", 1);
  const operator = await add("operator", "laptop", 2);
  t.ok(await eventually(() => open.closed?.code === 1008), "who had shown none is sent away");

  const stranger = await plane.connect();
  t.match(await stranger.fail("status.get"), { code: 1 });
  t.match(await stranger.fail("hello"), { code: 1 });
  t.match(await stranger.call("hello", { token: viewer }), { role: "viewer", who: /^screen/ });
  t.match(await stranger.call("status.get"), { conns: 0 });
  t.match(await stranger.fail("conns.flush", {}), { code: 2, message: /for operators/ });
  const hello = await stranger.call("hello", {});
  t.notOk(hello.methods.includes("config.apply"));

  const headers = { authorization: `Bearer ${operator}` };
  const known = await plane.connect({ headers });
  t.match(await known.call("conns.flush", {}), { conns: 0 });
  const guesser = await plane.connect();
  for (let i = 0; i < 3; i++) {
    const error = await guesser.fail("hello", { token: `${operator.slice(0, -3)}AAA` });
    t.equal(error.code, 1);
    t.notMatch(error.message, operator);
  }
  t.ok(await eventually(() => guesser.closed?.code === 1008), "three wrong ones");

  const id = plane.tokens?.list().find(({ name }) => name === "laptop")?.id ?? "";
  await plane.tokens?.remove(id);
  t.ok(await eventually(() => known.closed?.code === 1008), "a token that was removed");
  t.match(await stranger.call("conns.count"), { conns: 0 });
  const said = plane.said.join("\n");
  for (const secret of [viewer, operator]) t.notOk(said.includes(secret.slice(12)), "no secrets");

  // Those before may take longer to say who they are.
  await plane.stop();
  await plane.begin({ implementation, serve: { limits: { authenticationMs: 500 } } });
  const silent = await plane.connect();
  t.ok(await eventually(() => silent.closed?.code === 1008), "who says nothing");
}

/** What only an operator may, each so that it would change something. */
function changes(config: Any): Readonly<Record<string, unknown>> {
  return {
    "config.apply": { config: { ...config, busyPoll: 200 }, base: 2 },
    "config.check": { config },
    "config.confirm": { revision: 2 },
    "config.rollback": {},
    "conns.delete": { filter: { zone: "a" } },
    "conns.flush": {},
    "flows.add": { flow: DROP },
    "flows.remove": { flow: DROP },
    "log.level": { level: "error" },
  };
}

/** What a viewer may. */
function looks(): Readonly<Record<string, unknown>> {
  const packet = { protocol: "udp", source: "10.0.9.9", destination: "8.8.8.8" };
  return {
    hello: {},
    "status.get": {},
    "config.get": {},
    "config.history": {},
    "config.diff": { from: 1 },
    "conns.query": {},
    "conns.count": {},
    "mappings.list": {},
    "hosts.top": { sort: "conns" },
    "zones.list": {},
    "pools.list": {},
    "pools.addresses": { pool: "p1" },
    "flows.list": {},
    "devices.list": {},
    "neighbors.list": {},
    "trace.run": { device: "lan", ...packet, sourcePort: 4000, destinationPort: 53 },
    "events.subscribe": {},
    "events.unsubscribe": { subscription: 1 },
    "metrics.subscribe": {},
    "metrics.unsubscribe": { subscription: 2 },
  };
}

async function roles(t: Test, implementation: ImplementationName): Promise<void> {
  const directory = temporary(t);
  const plane = await Plane.start(t, { implementation, directory, hasTokens: true });
  const enter = async (role: "viewer" | "operator", byte: number) => {
    const now = { wallMs: Date.now(), monotonicMs: 0 };
    const random = new Uint8Array(48).fill(byte);
    const made = await plane.tokens?.add({ role, name: role, expires: null }, random, now);
    return plane.connect({ headers: { authorization: `Bearer ${made?.token}` } });
  };
  const viewer = await enter("viewer", 1);
  const operator = await enter("operator", 2);
  await traffic(plane, operator);
  const { config } = await operator.call("config.get");
  // Pending, so that there is something to confirm and to roll back.
  const flows = [...config.flows, DROP];
  await operator.call("config.apply", {
    config: { ...config, flows },
    base: 1,
    confirmWithinSec: 60,
  });
  const picture = async () => ({
    history: await operator.call("config.history"),
    flows: (await operator.call("flows.list")).rows.map(({ flow }: Any) => flow),
    conns: await operator.call("conns.count"),
    log: await operator.call("log.level", {}),
  });
  const before = await picture();
  const changing = changes(config);
  const looking = looks();
  t.same(
    new Set([...Object.keys(changing), ...Object.keys(looking)]),
    new Set(METHOD_NAMES),
    "every method is here",
  );
  for (const [method, params] of Object.entries(changing)) {
    const { code, message } = await viewer.fail(method, params);
    t.match({ code, message }, { code: 2, message: /for operators/ }, `${method}: refused`);
  }
  t.same(await picture(), before, "nothing has changed");
  t.match(before.conns, { conns: HOSTS });
  for (const [method, params] of Object.entries(looking)) {
    const { result, error } = await viewer.ask(method, params);
    t.same(error, undefined, `${method}: allowed`);
    t.same(misfitsOfResult(method, result), [], method);
  }
  t.same((await viewer.call("hello")).methods.sort(), Object.keys(looking).sort());
  // The same by an operator is no question of roles.
  for (const [method, params] of Object.entries(changing)) {
    t.not((await operator.ask(method, params)).error?.code, 2, `${method}: not refused`);
  }
}

async function revisions(t: Test, implementation: ImplementationName): Promise<void> {
  const directory = temporary(t);
  const plane = await Plane.start(t, { implementation, directory });
  const client = await plane.connect();
  const { config } = await client.call("config.get");
  const closer = (zone: string) => ({
    ...config,
    flows: [`priority=900,ip,zone=${zone},nw_dst=198.51.100.0/24 actions=drop`],
  });
  const confirmWithinSec = 60;
  const applied = await client.call("config.apply", {
    config: closer("a"),
    base: 1,
    confirmWithinSec,
  });
  t.equal(applied.revision.state, "pending");
  const cases: [string, object, string][] = [
    ["config.apply", { config, base: 1 }, "stale-base"],
    ["config.apply", { config, base: 2 }, "pending-open"],
    ["config.confirm", { revision: 2 }, "same-connection"],
    ["config.confirm", { revision: 1 }, "nothing-pending"],
    ["flows.add", { flow: DROP }, "pending-open"],
  ];
  for (const [method, params, refusal] of cases) {
    t.match(await client.fail(method, params), { code: 3, data: { refusal } }, refusal);
  }
  const witness = await plane.connect();
  const confirmed = await witness.call("config.confirm", { revision: 2 });
  t.match(confirmed.revision, { number: 2, state: "confirmed", isInForce: true });
  t.match(await witness.fail("config.apply", { config: closer("a"), base: 2 }), {
    code: 3,
    data: { refusal: "unchanged" },
  });

  await client.call("events.subscribe", { classes: ["router"] });
  const once = { config, base: 2, confirmWithinSec: 1, note: "left alone" };
  t.match(await client.call("config.apply", once), { revision: { number: 3, state: "pending" } });
  client.end();
  t.ok(await eventually(() => plane.router.revision.number === 2), "taken back by itself");
  const { revisions: kept } = await witness.call("config.history");
  t.match(kept.at(-1), {
    number: 3,
    state: "rolled-back",
    note: "left alone",
    outcome: { who: "crosszone", why: "not confirmed in time" },
  });
  t.same((await witness.call("config.get")).config, closer("a"));

  // An interface that is not there: nothing changes.
  const [lan, wan] = config.devices;
  const nowhere = { ...closer("a"), devices: [lan, { ...wan, interface: "nowhere" }] };
  const error = await witness.fail("config.apply", { config: nowhere, base: 2 });
  t.match(error, { code: 4, data: { problems: [{ path: "devices[1].interface" }] } });
  t.match(await witness.call("config.get"), { revision: { number: 2, isInForce: true } });

  // Pending when the process ends: not run by the next.
  await witness.call("config.apply", { config, base: 2, confirmWithinSec });
  await plane.stop();
  await plane.begin({ implementation });
  const later = await plane.connect();
  t.match(await later.call("config.get"), { revision: { number: 2, state: "confirmed" } });
  const { notices } = await later.call("status.get");
  t.ok(notices.some(({ text }: Any) => /rolled back: the process ended/.test(text)));
}

async function subscriptions(t: Test, implementation: ImplementationName): Promise<void> {
  const plane = await Plane.start(t, { implementation });
  const client = await plane.connect();
  const { subscription } = await client.call("events.subscribe", {});
  await client.call("events.subscribe", { classes: ["sessions"], zone: "public" });
  await client.call("metrics.subscribe", { intervalMs: 250 });
  await traffic(plane, client);
  const events = (of = subscription) =>
    client.told
      .filter(({ method, params }) => method === "events.told" && params?.subscription === of)
      .flatMap(({ params }) => params?.events as Any[]);
  const created = () => events().filter(({ event }) => event === "session-created");
  t.ok(await eventually(() => created().length >= HOSTS));
  t.match(created()[0], {
    class: "sessions",
    fields: { zone: "a", zoneId: 10, external: "203.0.113.64", remote: "8.8.8.8", remotePort: 53 },
  });
  t.ok(await eventually(() => events(subscription + 1).length >= HOSTS), "by the other zone, too");
  await client.call("conns.flush", {});
  t.ok(
    await eventually(
      () => events().filter(({ event }) => event === "session-deleted").length >= HOSTS,
    ),
  );
  const flushed = ({ event, text }: Any) => event === "notice" && /: conns flushed by /.test(text);
  t.ok(await eventually(() => events().some(flushed)));
  await client.call("flows.add", { flow: DROP });
  t.ok(await eventually(() => events().some(({ event }) => event === "revision")));
  const samples = () => client.told.filter(({ method }) => method === "metrics.sample");
  t.ok(await eventually(() => samples().length >= 3));
  t.match(samples().at(-1)?.params, { devices: { lan: {} }, zones: { a: {} } });
  for (const { method = "", params } of client.told) {
    t.same(misfitsOfNotification(method, params), []);
  }
  for (let more = 0; more < 5; more++) await client.call("metrics.subscribe", {});
  t.match(await client.fail("metrics.subscribe", {}), { code: 6 });
  client.end();
  t.ok(await eventually(() => plane.control.server()?.counters.channels === 0));
}

/** The most that the kernel keeps of a TCP connection between the two, in bytes. */
function kernelBytes(): number {
  const most = (which: string) =>
    Number(readFileSync(`/proc/sys/net/ipv4/tcp_${which}mem`, "utf8").trim().split(/\s+/)[2]);
  return most("r") + most("w");
}

/** Of a burst: fewer than the zone may have conns. */
const MANY_HOSTS = 1000;

/** It misses some, is told how many, and holds nobody up. */
async function slowReader(t: Test, implementation: ImplementationName): Promise<void> {
  // Who does not read answers no ping either.
  const limits = { idleMs: 600_000 };
  const plane = await Plane.start(t, { implementation, serve: { limits } });
  const slow = await plane.connect();
  const reader = await plane.connect();
  const other = await plane.connect();
  const classes = ["sessions"];
  const own: number[] = [];
  while (own.length < SubscriptionLimit.Count) {
    own.push((await slow.call("events.subscribe", { classes })).subscription);
  }
  const { subscription } = await reader.call("events.subscribe", { classes });
  const tally = (client: Client, of: number) => {
    const told = client.told.map(({ params }) => params as Any);
    const mine = told.filter((params) => params.subscription === of);
    return {
      heard: mine.reduce((sum, { events }) => sum + events.length, 0),
      missed: mine.reduce((sum, { lost }) => sum + lost, 0),
    };
  };
  const all = ({ heard, missed }: ReturnType<typeof tally>) => heard + missed;
  slow.socket.pause();
  // Each of its subscriptions is sent as much as the reader's: far more than may wait.
  const enough = kernelBytes() + 16 * LIMITS.softBytes;
  const sent = () => own.length * JSON.stringify(reader.told).length;
  let turns = 0;
  for (; turns < 60 && sent() < enough; turns++) {
    await burst(plane.far, MANY_HOSTS);
    await sleep(100);
    await other.call("conns.flush", {});
  }
  t.ok(sent() >= enough, `${sent()} bytes in ${turns} turns`);
  slow.socket.resume();
  const sums = () => own.map((of) => tally(slow, of));
  const happened = () => all(tally(reader, subscription));
  t.ok(
    await eventually(() => sums().every((each) => all(each) === happened())),
    "it has heard of each, or was told that it missed it",
  );
  t.ok(
    sums().every((each) => each.heard > 0),
    "what waited has come",
  );
  const lost = sums().reduce((sum, { missed }) => sum + missed, 0);
  const { missed } = tally(reader, subscription);
  t.ok(lost > own.length * missed, `${lost} were missed, of ${own.length} times ${happened()}`);
  t.equal(slow.closed, undefined, "it is still there");
}

async function http(t: Test, implementation: ImplementationName): Promise<void> {
  const directory = temporary(t);
  const plane = await Plane.start(t, { implementation, directory, hasTokens: true });
  const get = async (path: string, headers: Record<string, string> = {}) => {
    const answer = await fetch(`${plane.httpUrl}${path}`, { headers });
    return { status: answer.status, text: await answer.text(), headers: answer.headers };
  };
  t.match(await get("/healthz"), { status: 200, text: "ok\n" });
  const metrics = await get("/metrics");
  t.equal(metrics.status, 200);
  t.match(metrics.headers.get("content-type"), /version=0\.0\.4/);
  t.match(metrics.text, /^crosszone_zone_conns\{zone="a"\} 0$/m);
  t.match(metrics.text, /^crosszone_conns\{state="established"\} 0$/m);
  t.match(metrics.text, /^crosszone_pool_ports\{pool="p1",protocol="udp"\} 64512$/m);
  t.equal((await get("/nothing")).status, 404);
  const random = new Uint8Array(48).fill(7);
  const request = { role: "viewer" as const, name: "prometheus", expires: null };
  const now = { wallMs: Date.now(), monotonicMs: 0 };
  const token = (await plane.tokens?.add(request, random, now))?.token ?? "";
  t.equal((await get("/metrics")).status, 401);
  t.equal((await get("/metrics")).headers.get("www-authenticate"), 'Bearer realm="crosszone"');
  t.equal((await get("/metrics", { authorization: "Bearer cz_wrong" })).status, 401);
  t.equal((await get("/metrics", { authorization: `Bearer ${token}` })).status, 200);
  t.equal((await get("/healthz")).status, 200, "asks nobody");
}
