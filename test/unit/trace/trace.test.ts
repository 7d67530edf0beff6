/** What a trace tells: its steps, what they found, and the frames that would leave. */

import { pathToFileURL } from "node:url";
import t from "tap";
import { Datapath, loadTraceModule } from "../../../host/datapath.js";
import { inputOf, parseTrace } from "../../../host/trace/input.js";
import { Tracer } from "../../../host/trace/tracer.js";
import type { Trace, TraceStep } from "../../../host/trace/view.js";
import { cut } from "../../harness/fragments.js";
import { icmpError, ipv4Packet, packetOf, TcpFlags, udp } from "../../harness/frame.js";
import { around, bareEdge, EXTERNAL, edge, Host, SERVER, TENANT } from "../../harness/host.js";
import { mapRequest, PCP_PORT } from "../../harness/pcp.js";
import { Router } from "../../harness/router.js";
import { trace } from "../../harness/trace.js";

const FAR = "198.51.100.9";

function traced(router: Router, value: object, worker = 0): Trace {
  const input = inputOf(parseTrace(value, router.config), router.config, () => undefined);
  if (input === undefined) throw new Error("no such device");
  return trace(router, worker, input);
}

function frameOf(router: Router, device: string, bytes: Uint8Array): Trace {
  return traced(router, { device, frame: Buffer.from(bytes).toString("hex") });
}

function udpFrom(source: string, destinationPort = 53, device = "lan-a") {
  return {
    device,
    protocol: "udp",
    source,
    destination: SERVER,
    sourcePort: 4000,
    destinationPort,
  };
}

const names = ({ steps }: Trace) => steps.map(({ step }) => step).join(" ");

function step({ steps }: Trace, name: string): TraceStep {
  const found = steps.find((each) => each.step === name);
  if (found === undefined) throw new Error(`no step ${name}`);
  return found;
}

t.test("a new conn: what it would be, and its frame", async (t) => {
  const router = new Router(edge());
  const told = traced(router, udpFrom(TENANT));
  t.equal(told.verdict, "Forwarded");
  t.equal(names(told), "parse lookup decide route follow translate finish");
  t.match(step(told, "parse"), {
    verdict: "continue",
    text: `lan-a, zone 10 (a): udp ${TENANT}:4000 → ${SERVER}:53`,
    details: {
      device: "lan-a",
      tuple: { zone: 10, source: TENANT, destinationPort: 53 },
      bytes: 28,
    },
  });
  t.match(step(told, "lookup"), { text: "no conn has this tuple", details: {} });
  t.match(step(told, "decide"), {
    text: /^nat\[0\].from\[0\]: priority=10,zone=a.*; a conn begins, answered as .* from pool p1$/,
    details: {
      origin: "nat[0].from[0]",
      pool: "p1",
      direction: "original",
      conn: { reply: { zone: 20, source: SERVER, destination: EXTERNAL } },
    },
  });
  t.match(step(told, "route"), {
    details: { neighbor: { device: "wan", address: SERVER, state: "permanent" } },
  });
  t.match(
    step(told, "translate").details.changes?.find(({ field }) => field === "source"),
    {
      before: TENANT,
      after: EXTERNAL,
    },
  );
  t.same(router.conns(), []);
  t.same(router.reasons(), {}, "nothing is counted");
  const [sent] = around(router).a.udp(SERVER, 4000, 53);
  t.match(told.frames, [{ device: "wan" }]);
  const ports = step(told, "decide").details.conn?.reply.destinationPort;
  t.equal(sent?.ip?.sourcePort, ports, "the port that the next conn gets");
});

t.test("an answer goes by what its conn remembers", async (t) => {
  const router = new Router(edge());
  const { a, server } = around(router);
  const [sent] = a.udp(SERVER, 4000, 53);
  server.answer(sent);
  const back = {
    zone: "public",
    protocol: "udp",
    source: SERVER,
    destination: EXTERNAL,
    sourcePort: 53,
    destinationPort: sent?.ip?.sourcePort,
  };
  const told = traced(router, back);
  t.equal(names(told), "parse lookup recall follow translate finish");
  t.match(step(told, "lookup"), {
    text: "a conn, established, reply direction",
    details: { direction: "reply", conn: { originalPackets: 1, replyPackets: 1 } },
  });
  t.match(step(told, "recall").details, { flow: /reverse/ });
  t.match(told.frames, [{ device: "lan-a" }]);
});

t.test("why not", async (t) => {
  const drop = "priority=90,zone=a,udp,tp_dst=53 actions=drop";
  const dropped = traced(new Router(edge({ flows: [drop] })), udpFrom(TENANT));
  t.equal(dropped.verdict, "FlowDrop");
  t.match(step(dropped, "decide"), {
    verdict: "FlowDrop",
    details: { flow: drop, origin: "flows[0]" },
  });
  t.notOk("conn" in step(dropped, "decide").details);

  const none = traced(new Router(bareEdge([])), udpFrom(TENANT));
  t.match(step(none, "decide"), { text: "no flow: NoFlow", details: {} });

  const reject = "priority=90,zone=a,udp,tp_dst=53 actions=reject";
  const rejected = traced(new Router(edge({ flows: [reject] })), udpFrom(TENANT));
  t.equal(rejected.verdict, "FlowReject");
  t.match(rejected.frames, [{ device: "lan-a" }], "an ICMP error");

  const full = new Router(edge({ capacity: { ...(edge().capacity as object), conns: 1 } }));
  around(full).a.udp(SERVER, 1, 53);
  t.equal(traced(full, udpFrom(TENANT)).verdict, "ConnTableFull");

  const ttl = traced(new Router(edge()), { ...udpFrom(TENANT), ttl: 1 });
  t.match(step(ttl, "route"), { verdict: "TtlExceeded", text: "no way out: TtlExceeded" });

  const syn = { ...udpFrom(TENANT), protocol: "tcp", tcpFlags: ["ack"] };
  t.equal(traced(new Router(edge()), syn).verdict, "TcpNotSyn");

  const wrong = traced(new Router(edge()), { device: "wan", frame: "00".repeat(60) });
  t.match(wrong.steps, [{ step: "parse", verdict: "EtherTypeUnknown" }, { step: "finish" }]);
  t.match(step(wrong, "parse").text, /^the frame is not taken in: EtherTypeUnknown$/);
});

t.test("who waits for ARP, and its question", async (t) => {
  const router = new Router(edge({ neighbors: [] }));
  const told = traced(router, udpFrom(TENANT));
  t.equal(told.verdict, "Held");
  t.match(step(told, "route"), {
    text: /whose MAC is not known \(incomplete\)$/,
    details: { neighbor: { address: SERVER, mac: undefined, state: "incomplete" } },
  });
  t.match(told.frames, [{ device: "wan", hex: /^ffffffffffff.{12}0806/ }]);
  t.same(router.neighbors(), []);
});

t.test("what is for the router itself", async (t) => {
  const zones = [
    { id: 10, name: "a", pcp: true },
    { id: 11, name: "b" },
    { id: 20, name: "public" },
  ];
  const router = new Router(edge({ zones }));
  const { a } = around(router);
  const ping = { device: "lan-a", protocol: "icmp", source: TENANT, destination: "192.168.0.1" };
  const told = traced(router, { ...ping, identifier: 7 });
  t.equal(told.verdict, "Answered");
  t.equal(names(told), "parse lookup decide serve finish");
  t.match(step(told, "decide"), { verdict: "local" });

  const arp = frameOf(router, "lan-a", a.arp({ target: "192.168.0.1" }));
  t.equal(arp.verdict, "Answered");
  t.match(arp.steps, [{ step: "parse", text: "lan-a, zone 10 (a): ARP" }, { step: "finish" }]);

  const request = udp({ sourcePort: 1, destinationPort: PCP_PORT, data: mapRequest(TENANT) });
  const pcp = frameOf(router, "lan-a", a.frame("192.168.0.1", request));
  t.equal(pcp.verdict, "Answered");
  t.same(router.mappings(), []);
});

t.test("an ICMP error shows what changes in the packet that it quotes", async (t) => {
  const router = new Router(edge());
  const { a, server } = around(router);
  const [sent] = a.udp(SERVER, 4000, 53);
  if (sent === undefined) throw new Error("nothing left");
  const error = icmpError({ type: 3, quoted: packetOf(sent) });
  const told = frameOf(router, "wan", server.frame(EXTERNAL, error));
  t.equal(told.verdict, "Forwarded");
  t.match(step(told, "parse").text, /an ICMP error, which goes as udp/);
  const fields = step(told, "translate").details.changes?.map(({ field }) => field) ?? [];
  t.ok(fields.includes("destination"));
  t.ok(fields.includes("quoted source"));
  t.ok(fields.includes("quoted source port"));
});

t.test("fragments that have waited for the traced one are told apart", async (t) => {
  const router = new Router(edge());
  const { a } = around(router);
  const payload = udp({ sourcePort: 1, destinationPort: 2, data: "x".repeat(900) });
  const packet = ipv4Packet({ source: TENANT, destination: SERVER, identification: 7, payload });
  const [first, ...others] = cut(packet, [400, 800]);
  for (const piece of others) router.send("lan-a", a.frameOf(piece));
  const told = frameOf(router, "lan-a", a.frameOf(first as Buffer));
  t.equal(told.verdict, "Forwarded");
  t.equal(told.frames.length, 1 + others.length);
  t.ok(told.steps.some(({ aside, step }) => aside && step === "translate"));
  t.match(step(told, "datagram"), { aside: false, text: "a fragment that goes on" });
});

t.test(
  "of many fragments that have waited some are told, and how the first one ends",
  async (t) => {
    const router = new Router(edge());
    const { a } = around(router);
    const payload = udp({ sourcePort: 1, destinationPort: 2, data: "x".repeat(400) });
    const packet = ipv4Packet({ source: TENANT, destination: SERVER, identification: 8, payload });
    const places = Array.from({ length: 40 }, (_, i) => 8 + i * 8);
    const [first, ...others] = cut(packet, places);
    for (const piece of others) router.send("lan-a", a.frameOf(piece));
    const told = frameOf(router, "lan-a", a.frameOf(first as Buffer));
    t.equal(told.verdict, "Forwarded");
    t.ok(told.moreSteps > 100, `${told.moreSteps}`);
    t.match(told.steps.at(-1), { step: "finish", aside: false });
    t.equal(told.frames.length, 41);
  },
);

t.test("over several workers it is one way", async (t) => {
  const router = new Router(edge({ workers: 3 }));
  const ways = new Set<string>();
  for (let worker = 0; worker < 3; worker++) {
    const told = traced(router, udpFrom(TENANT), worker);
    t.equal(told.verdict, "Forwarded");
    ways.add(told.frames.map(({ hex }) => hex).join());
    t.equal(told.steps.filter(({ step }) => step === "decide").length, 1);
  }
  t.equal(ways.size, 1, "whoever receives it");
  const handed = [0, 1, 2].map((worker) => traced(router, udpFrom(TENANT), worker));
  const texts = handed.flatMap(({ steps }) => steps.map(({ text }) => text));
  t.equal(texts.filter((text) => /^to worker \d; 0 frames leave$/.test(text)).length, 2);
});

t.test("a limit that workers share: one of them may be lent what it lacks", async (t) => {
  const limits = { conns: 2 };
  const zones = [
    { id: 10, name: "a", limits },
    { id: 11, name: "b" },
    { id: 20, name: "public" },
  ];
  const router = new Router(edge({ workers: 2, zones }));
  const { a } = around(router);
  const told = traced(router, udpFrom(TENANT));
  t.equal(told.verdict, "Forwarded");
  t.ok(told.steps.some(({ text }) => /asks for more conns first/.test(text)));
  a.udp(SERVER, 1, 53);
  a.udp(SERVER, 2, 53);
  t.equal(traced(router, udpFrom(TENANT)).verdict, "ZoneConnLimit");
});

t.test("a hairpin and a tracked flow are told with their flows", async (t) => {
  const router = new Router(
    edge({ flows: ["priority=5,conn_state=+tracked,udp,tp_dst=53 actions=drop"] }),
  );
  const told = traced(router, udpFrom(TENANT));
  t.equal(told.verdict, "FlowDrop");
  t.match(step(told, "decide").details.tracked, /conn_state=\+tracked/);
});

t.test("without the trace build there is a clear error", async (t) => {
  const missing = pathToFileURL("/nowhere/datapath-trace.wasm");
  await t.rejects(loadTraceModule(missing), {
    name: "TraceMissing",
    message: /nothing can be traced without the trace build: .*\/nowhere\/datapath-trace.wasm/,
  });
});

t.test("before there is a configuration nothing is processed", async (t) => {
  const capacity = { conns: 64, neighbors: 64, poolAddresses: 1, imageBytes: 4096 };
  const datapath = new Datapath({ capacity, seed: new Uint8Array(16), windowBytes: 0 }, 0);
  const before = Buffer.from(datapath.memory.buffer.slice(0));
  const tracer = new Tracer(datapath, await loadTraceModule());
  const input = { frame: new Uint8Array(60), interface: 0, place: 0, flags: 0 };
  t.same(tracer.run([input], 5), { steps: [], outputs: [], moreSteps: 0, moreOutputs: 0 });
  t.ok(Buffer.from(datapath.memory.buffer).equals(before));
  t.ok(tracer.bytesRestored > 0);
});

t.test("the strangers' way in", async (t) => {
  const filtering = "endpoint-independent";
  const pools = [{ name: "p1", zone: "public", addresses: [EXTERNAL], filtering }];
  const router = new Router(edge({ pools }));
  const [sent] = around(router).a.udp(SERVER, 4000, 53);
  const port = sent?.ip?.sourcePort ?? 0;
  const inward = { device: "wan", protocol: "udp", source: FAR, destination: EXTERNAL };
  const told = traced(router, { ...inward, sourcePort: 9, destinationPort: port });
  t.equal(told.verdict, "Forwarded");
  t.match(step(told, "decide").details, {
    direction: "reply",
    conn: { original: { source: TENANT } },
  });
  const syn = { ...inward, protocol: "tcp", sourcePort: 9, destinationPort: 80, tcpFlags: ["syn"] };
  t.equal(traced(router, syn).verdict, "TcpUnsolicited");
  new Host(router, "wan", FAR).tcp(EXTERNAL, 9, 80, TcpFlags.Syn);
  t.same(router.ended, { TcpUnsolicited: 1 });
});
