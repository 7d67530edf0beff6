/** Flows: what they match, in which order, and what they do. */

import t from "tap";
import { echoRequest, icmp, Protocol, raw, TcpFlags, tcp, udp } from "../../harness/frame.js";
import { around, bareEdge, EXTERNAL, edge, Host, SERVER, TENANT } from "../../harness/host.js";
import { type Document, Router, type Sent } from "../../harness/router.js";

const { Syn, Ack } = TcpFlags;

/** What becomes of a packet of tenant a where these flows are in force. */
function meets(flows: readonly string[], send: (a: Host) => Sent[]): string {
  const router = new Router(bareEdge(flows));
  send(around(router).a);
  return Object.keys(router.ended).join();
}

const TO_PUBLIC = "nat(src_zone=a,dst_zone=public,masq=p1)";
const tcpTo =
  (port: number, from = 1000) =>
  (a: Host) =>
    a.tcp(SERVER, from, port, Syn);
const udpTo =
  (port: number, from = 1000) =>
  (a: Host) =>
    a.udp(SERVER, from, port);

t.test("the two flows of the project's beginning, as they are written", async (t) => {
  const flows = [
    `in_port(1),tcp,conn_state=-tracked        actions=nat(src_zone=10,dst_zone=20,masq=${EXTERNAL})`,
    "in_port(2),tcp,conn_state=+established    actions=nat(reverse,zone=20)",
  ];
  const document = bareEdge(flows, { pools: [] });
  const devices = document.devices as Document[];
  const ports: Record<string, number> = { "lan-a": 1, wan: 2, "lan-b": 3 };
  const numbered = devices.map((each) => ({ ...each, port: ports[String(each.name)] }));
  const router = new Router({ ...document, devices: numbered });
  const { a, b, server } = around(router);
  const [out] = a.tcp(SERVER, 10000, 5201, Syn);
  t.same([out?.device, out?.ip?.source], ["wan", EXTERNAL]);
  const [back] = server.answer(out);
  t.same(
    [back?.device, back?.ip?.destination, back?.ip?.destinationPort],
    ["lan-a", TENANT, 10000],
  );
  t.equal(a.tcp(SERVER, 10000, 5201, Ack).length, 1);
  a.udp(SERVER, 1, 53);
  t.same(router.ended, { NoFlow: 1 }, "UDP has no flow");
  b.tcp(SERVER, 10000, 5201, Syn);
  t.same(router.ended, { NoFlow: 1 }, "nor has the other tenant");
  server.tcp(EXTERNAL, 5201, 4000, Syn);
  t.same(router.ended, { TcpUnsolicited: 1 }, "nor has who was not asked");
});

t.test("matches on protocol", async (t) => {
  const sends: Record<string, (a: Host) => Sent[]> = {
    tcp: tcpTo(80),
    udp: udpTo(53),
    icmp: (a) => a.ping(SERVER, 1),
    sctp: (a) => a.send(SERVER, raw(Protocol.Sctp, Buffer.alloc(16))),
    "nw_proto=47": (a) => a.send(SERVER, raw(47, "gre")),
  };
  for (const match of Object.keys(sends)) {
    for (const [name, send] of Object.entries(sends)) {
      const expected = match === name ? "FlowDrop" : "NoFlow";
      t.equal(meets([`${match} actions=drop`], send), expected, `${match}: ${name}`);
    }
    t.equal(meets(["ip actions=drop"], sends[match] ?? tcpTo(1)), "FlowDrop", `ip: ${match}`);
  }
});

t.test("matches on addresses and ports, at both ends of a range", async (t) => {
  const cases: readonly [flow: string, send: (a: Host) => Sent[], matches: boolean][] = [
    ["nw_src=192.168.0.0/24", tcpTo(80), true],
    ["nw_src=192.168.0.10", tcpTo(80), true],
    ["nw_src=192.168.0.11", tcpTo(80), false],
    ["nw_src=192.168.1.0/24", tcpTo(80), false],
    ["nw_src=0.0.0.0/0", tcpTo(80), true],
    ["nw_dst=203.0.113.96/29", tcpTo(80), true],
    ["nw_dst=203.0.113.104/29", tcpTo(80), false],
    ["tcp,tp_dst=80", tcpTo(80), true],
    ["tcp,tp_dst=80", tcpTo(81), false],
    ["tcp,tp_dst=80", udpTo(80), false],
    ["tcp,tp_dst=80-90", tcpTo(79), false],
    ["tcp,tp_dst=80-90", tcpTo(80), true],
    ["tcp,tp_dst=80-90", tcpTo(90), true],
    ["tcp,tp_dst=80-90", tcpTo(91), false],
    ["udp,tp_dst=0", udpTo(0), true],
    ["udp,tp_dst=65535", udpTo(65535), true],
    ["udp,tp_src=1000", udpTo(53), true],
    ["udp,tp_src=1001", udpTo(53), false],
    ["icmp,tp_src=8", (a) => a.ping(SERVER, 1), true],
    ["icmp,tp_src=0", (a) => a.ping(SERVER, 1), false],
    ["icmp,tp_src=8,tp_dst=0", (a) => a.ping(SERVER, 1), true],
    ["icmp,tp_dst=1", (a) => a.send(SERVER, icmp({ type: 8, code: 1 })), true],
  ];
  for (const [flow, send, matches] of cases) {
    t.equal(meets([`${flow} actions=drop`], send), matches ? "FlowDrop" : "NoFlow", flow);
  }
});

t.test("matches on where a packet came in", async (t) => {
  for (const [flow, a, b] of [
    ["in_port(lan-a)", true, false],
    ["in_port=lan-b", false, true],
    ["zone=a", true, false],
    ["zone=11", false, true],
    ["in_port(lan-a),zone=a", true, false],
    ["ip", true, true],
  ] as const) {
    const router = new Router(bareEdge([`${flow} actions=drop`]));
    const hosts = around(router);
    for (const [host, matches] of [
      [hosts.a, a],
      [hosts.b, b],
    ] as const) {
      host.udp(SERVER, 1, 53);
      t.same(router.ended, matches ? { FlowDrop: 1 } : { NoFlow: 1 }, `${flow}: ${host.device}`);
    }
  }
});

t.test("the highest priority wins, then the order of writing, whatever the list", async (t) => {
  const cases: readonly [flows: readonly string[], ended: string][] = [
    [["priority=1,ip actions=drop", "priority=2,udp actions=reject"], "FlowReject"],
    [["priority=2,ip actions=drop", "priority=1,udp actions=reject"], "FlowDrop"],
    [["ip actions=drop", "udp actions=reject"], "FlowDrop"],
    [["udp actions=reject", "ip actions=drop"], "FlowReject"],
    [["in_port(lan-a) actions=drop", "zone=a actions=reject"], "FlowDrop"],
    [["zone=a actions=reject", "in_port(lan-a) actions=drop"], "FlowReject"],
    [["priority=1,in_port(lan-a) actions=drop", "priority=2,zone=a actions=reject"], "FlowReject"],
    [["priority=2,in_port(lan-a) actions=drop", "priority=1,zone=a actions=reject"], "FlowDrop"],
    [["priority=9,in_port(lan-b) actions=drop", "priority=1,zone=a actions=reject"], "FlowReject"],
    [["priority=0,ip actions=drop", "priority=65535,udp actions=reject"], "FlowReject"],
    [["zone=a actions=reject", "udp actions=drop"], "FlowReject"],
    [["udp actions=drop", "zone=a actions=reject"], "FlowDrop"],
    [["priority=1,udp actions=drop", "priority=2,zone=a actions=reject"], "FlowReject"],
    [["priority=9,zone=b actions=drop", "priority=1,udp actions=reject"], "FlowReject"],
    [
      ["in_port(lan-a),tcp actions=drop", "zone=a,tcp actions=drop", "udp actions=reject"],
      "FlowReject",
    ],
    [["udp actions=reject", "zone=a actions=drop", "in_port(lan-a) actions=drop"], "FlowReject"],
  ];
  for (const [flows, ended] of cases) t.equal(meets(flows, udpTo(53)), ended, flows.join(" | "));
});

t.test("conn_state follows a conn", async (t) => {
  const states = ["new", "established", "reply", "snat", "dnat", "tracked", "invalid", "related"];
  const of = (flags: readonly string[]) =>
    `conn_state=${states.map((each) => (flags.includes(each) ? "+" : "-") + each).join("")}`;
  const flow = (zone: string, ...flags: string[]) => {
    const action = zone === "a" ? TO_PUBLIC : "nat(reverse,zone=public)";
    return `zone=${zone},${of(flags)} actions=${action}`;
  };
  const flows = [
    flow("a", "new"),
    flow("a", "new", "snat"),
    flow("public", "established", "reply", "snat"),
    flow("a", "established", "snat"),
  ];
  const router = new Router(bareEdge(flows));
  const { a, server } = around(router);
  const packets = () => router.counters().flows.map((each) => each.packets);
  const [out] = a.tcp(SERVER, 1, 80, Syn);
  t.same(packets(), [1, 0, 0, 0], "+new");
  router.reconfigure(bareEdge(flows));
  a.tcp(SERVER, 1, 80, Syn);
  t.same(packets(), [1, 1, 0, 0], "the same packet again is of a conn that no answer was seen of");
  server.answer(out);
  t.same(packets(), [1, 1, 1, 0], "+established+reply");
  router.reconfigure(bareEdge(flows));
  a.tcp(SERVER, 1, 80, Ack);
  t.same(packets(), [1, 1, 1, 1], "+established");
  a.tcp(SERVER, 2, 80, Ack);
  t.same(router.ended, { NoFlow: 1 }, "+invalid");
  t.equal(
    meets([`zone=a,${of(["invalid"])} actions=drop`], (host) => host.tcp(SERVER, 1, 80, Ack)),
    "FlowDrop",
  );
});

t.test("what was decided for +new does not hold for +established", async (t) => {
  const flows = [
    `zone=a,conn_state=+new actions=${TO_PUBLIC}`,
    "zone=a,conn_state=+established actions=reject",
    "zone=public,conn_state=+reply actions=nat(reverse,zone=public)",
  ];
  const router = new Router(bareEdge(flows));
  const { a, server } = around(router);
  const [out] = a.tcp(SERVER, 1, 80, Syn);
  a.tcp(SERVER, 1, 80, Syn);
  t.same(router.ended, { Forwarded: 1 });
  server.answer(out);
  a.tcp(SERVER, 1, 80, Ack);
  t.same(router.ended, { FlowReject: 1 });
});

t.test("a conn's verdict is remembered, and each packet counted with its flow", async (t) => {
  const router = new Router(edge());
  const { a, server } = around(router);
  const [out] = a.udp(SERVER, 1, 53);
  for (let i = 0; i < 9; i++) a.udp(SERVER, 1, 53);
  server.answer(out);
  server.answer(out);
  const counted = router.counters().flows.filter((each) => each.packets > 0);
  t.same(
    counted.map(({ packets, bytes }) => [packets, bytes]),
    [
      [2, 68],
      [10, 320],
    ],
  );
});

t.test("drop: silently, also for a conn that is there", async (t) => {
  const nat = `zone=a actions=${TO_PUBLIC}`;
  const reply = "zone=public,conn_state=+reply actions=nat(reverse,zone=public)";
  const router = new Router(bareEdge([nat, reply]));
  const { a, server } = around(router);
  const [out] = a.udp(SERVER, 1, 53);
  router.reconfigure(bareEdge([nat, reply, "priority=40000,zone=public actions=drop"]));
  for (let i = 0; i < 3; i++) {
    t.same(server.answer(out), []);
    t.same(router.ended, { FlowDrop: 1 });
  }
  t.equal(a.udp(SERVER, 1, 53).length, 1, "the other direction goes on");
  t.equal(router.counters().flows[0]?.packets, 3);
});

t.test("reject: RFC 1812 5.2.7.1, communication administratively prohibited", async (t) => {
  const router = new Router(bareEdge(["zone=a actions=reject"]));
  const { a } = around(router);
  const [error] = a.udp(SERVER, 1, 53, "refused");
  t.same(router.ended, { FlowReject: 1 });
  t.equal(error?.device, "lan-a");
  t.equal(error?.to, a.mac);
  t.same([error?.ip?.source, error?.ip?.destination], ["192.168.0.1", TENANT]);
  t.same([error?.ip?.icmpType, error?.ip?.icmpCode], [3, 13]);
  t.equal(error?.ip?.data.subarray(28).toString(), "refused");
});

t.test("nat(dst=): inwards to a tenant, and back", async (t) => {
  const flows = [
    `zone=public,tcp,nw_dst=${EXTERNAL},tp_dst=8080 actions=nat(dst=${TENANT}:80,dst_zone=b)`,
    `zone=public,udp,nw_dst=${EXTERNAL} actions=nat(src_zone=public,dst=${TENANT},dst_zone=a)`,
    "conn_state=+reply,zone=b actions=nat(reverse,zone=b)",
    "conn_state=+reply,zone=a actions=nat(reverse,zone=a)",
  ];
  const router = new Router(bareEdge(flows));
  const { server } = around(router);
  const tenant = { a: new Host(router, "lan-a", TENANT), b: new Host(router, "lan-b", TENANT) };
  const [syn] = server.tcp(EXTERNAL, 700, 8080, Syn);
  t.same([syn?.device, syn?.ip?.source, syn?.ip?.destination], ["lan-b", SERVER, TENANT]);
  t.same([syn?.ip?.sourcePort, syn?.ip?.destinationPort], [700, 80]);
  const [back] = tenant.b.answer(syn);
  t.same([back?.device, back?.ip?.source, back?.ip?.sourcePort], ["wan", EXTERNAL, 8080]);
  const [datagram] = server.udp(EXTERNAL, 700, 4000);
  t.same([datagram?.device, datagram?.ip?.destinationPort], ["lan-a", 4000], "the port stays");
  t.same(tenant.b.udp(SERVER, 4000, 700), [], "the other tenant's answer is nobody's");
  t.equal(tenant.a.answer(datagram)[0]?.ip?.source, EXTERNAL);
});

t.test("nat(dst=ADDRESS:PORT) leaves protocols without ports alone", async (t) => {
  const flows = [
    `zone=public,nw_dst=${EXTERNAL} actions=nat(dst=${TENANT}:80,dst_zone=a)`,
    "conn_state=+reply,zone=a actions=nat(reverse,zone=a)",
  ];
  const router = new Router(bareEdge(flows));
  const { a, server } = around(router);
  const [ping] = server.ping(EXTERNAL, 5);
  t.same([ping?.device, ping?.ip?.identifier], ["lan-a", 5]);
  t.same([a.answer(ping)[0]?.ip?.source, a.answer(ping)[0]?.ip?.identifier], [EXTERNAL, 5]);
  const [gre] = server.send(EXTERNAL, raw(47, "gre"));
  t.equal(gre?.device, "lan-a");
  t.equal(a.answer(gre)[0]?.ip?.source, EXTERNAL);
});

t.test("route(zone=): another zone, the same addresses", async (t) => {
  const flows = [
    "zone=a actions=route(zone=public)",
    "zone=public,conn_state=+reply actions=route(zone=a)",
  ];
  const router = new Router(bareEdge(flows));
  const { a, server } = around(router);
  const [out] = a.udp(SERVER, 1, 53);
  t.same([out?.device, out?.ip?.source, out?.ip?.sourcePort], ["wan", TENANT, 1]);
  t.equal(server.answer(out)[0]?.device, "lan-a");
  server.udp(TENANT, 54, 1);
  t.same(router.ended, { NoFlow: 1 }, "only answers come back");
});

t.test(
  "RFC 1812 5.3.7: nobody sends from what is the router's where the packet goes",
  async (t) => {
    const router = new Router(bareEdge(["zone=a actions=route(zone=public)"]));
    const { a } = around(router);
    for (const source of ["203.0.113.2", EXTERNAL]) {
      a.send(SERVER, udp({ sourcePort: 1, destinationPort: 53 }), { source });
      t.same(router.ended, { IpBadSource: 1 }, source);
    }
    t.same(router.conns(), []);
  },
);

t.test("output(): out of a device, not where the route leads", async (t) => {
  const document = bareEdge([
    `zone=a actions=${TO_PUBLIC},output(wan2)`,
    "zone=b actions=route(zone=public),output(wan2)",
  ]);
  const wan2 = { name: "wan2", zone: "public", interface: "eth2", addresses: ["198.51.100.2/24"] };
  const router = new Router({ ...document, devices: [...(document.devices as []), wan2] });
  const { a, b } = around(router);
  const [asked] = a.udp("8.8.8.8", 1, 53);
  t.equal(asked?.device, "wan2");
  t.equal(asked?.arp?.target, "8.8.8.8", "the destination itself is the neighbor there");
  const [other] = b.udp("9.9.9.9", 1, 53);
  t.equal(other?.arp?.target, "9.9.9.9");
});

t.test("output() of a zone's device alone stays in the zone", async (t) => {
  const document = bareEdge(["zone=a actions=output(lan-a2)"]);
  const lan = { name: "lan-a2", zone: "a", interface: "eth3", addresses: ["10.9.0.1/24"] };
  const router = new Router({ ...document, devices: [...(document.devices as []), lan] });
  const { a } = around(router);
  t.equal(a.udp("10.9.0.5", 1, 53)[0]?.arp?.target, "10.9.0.5");
  t.equal(router.conns()[0]?.reply.zone, 10);
});

t.test("+tracked: a second pass, in the zone where the packet has gone to", async (t) => {
  const nat = `zone=a actions=${TO_PUBLIC}`;
  const pass = (second: string, send = udpTo(53)) => meets([nat, second], send);
  t.equal(pass("conn_state=+tracked,udp,tp_dst=53 actions=drop"), "FlowDrop");
  t.equal(pass("conn_state=+tracked,udp,tp_dst=54 actions=drop"), "Forwarded");
  t.equal(pass("conn_state=+tracked,zone=public actions=drop"), "FlowDrop");
  t.equal(pass("conn_state=+tracked,zone=a actions=drop"), "Forwarded");
  t.equal(pass(`conn_state=+tracked,nw_src=${EXTERNAL} actions=drop`), "FlowDrop");
  t.equal(pass(`conn_state=+tracked,nw_src=${TENANT} actions=drop`), "Forwarded");
  t.equal(pass("conn_state=+tracked+new+snat,in_port(lan-a) actions=drop"), "FlowDrop");
  t.equal(pass("conn_state=+tracked+established actions=drop"), "Forwarded");
  t.equal(pass("conn_state=+tracked,zone=public actions=reject"), "FlowReject");
  t.equal(pass("priority=1,conn_state=+tracked actions=reject"), "FlowReject");
});

t.test("+tracked: what the second pass refuses leaves no conn and takes no port", async (t) => {
  for (const action of ["drop", "reject"]) {
    const flows = [`zone=a actions=${TO_PUBLIC}`, `conn_state=+tracked actions=${action}`];
    const router = new Router(bareEdge(flows));
    const { a } = around(router);
    a.udp(SERVER, 1, 53);
    t.same(router.conns(), [], action);
  }
});

t.test("+tracked: output() of the second pass", async (t) => {
  const document = bareEdge([
    `zone=a actions=${TO_PUBLIC}`,
    "conn_state=+tracked,zone=public,nw_dst=8.8.8.8 actions=output(wan2)",
  ]);
  const wan2 = { name: "wan2", zone: "public", interface: "eth2", addresses: ["198.51.100.2/24"] };
  const router = new Router({ ...document, devices: [...(document.devices as []), wan2] });
  const { a } = around(router);
  t.equal(a.udp("8.8.8.8", 1, 53)[0]?.device, "wan2");
  t.equal(a.udp("9.9.9.9", 1, 53)[0]?.device, "wan");
});

t.test("+tracked: each packet is counted with the flow that spoke for it", async (t) => {
  const router = new Router(
    bareEdge([
      `zone=a actions=${TO_PUBLIC}`,
      "conn_state=+tracked,zone=public,udp actions=output(wan)",
    ]),
  );
  const { a } = around(router);
  for (let i = 0; i < 5; i++) a.udp(SERVER, 1, 53);
  t.same(
    router.counters().flows.map(({ packets }) => packets),
    [5, 5],
  );
});

t.test("a flow that names another zone than the conn's does not serve it", async (t) => {
  const start = [
    `zone=a actions=${TO_PUBLIC}`,
    "zone=public,conn_state=+reply actions=route(zone=b)",
  ];
  const router = new Router(bareEdge(start));
  const { a, server } = around(router);
  const [out] = a.udp(SERVER, 1, 53);
  t.same(server.answer(out), []);
  t.same(router.ended, { ZoneMismatch: 1 });
});

t.test("src_zone= alone says whom a flow serves", async (t) => {
  const router = new Router(bareEdge([`ip actions=${TO_PUBLIC}`]));
  const { a, b } = around(router);
  a.udp(SERVER, 1, 53);
  t.same(router.ended, { Forwarded: 1 });
  t.same(b.udp(SERVER, 1, 53), []);
  t.same(router.ended, { ZoneMismatch: 1 });
});

t.test("what was decided for one device does not hold for another of its zone", async (t) => {
  const document = bareEdge([
    `zone=a actions=${TO_PUBLIC}`,
    "priority=40000,in_port(lan-a2) actions=drop",
  ]);
  const lan = { name: "lan-a2", zone: "a", interface: "eth3", addresses: ["10.9.0.1/24"] };
  const router = new Router({ ...document, devices: [...(document.devices as []), lan] });
  const { a } = around(router);
  const there = new Host(router, "lan-a2", TENANT);
  for (let i = 0; i < 2; i++) {
    a.udp(SERVER, 1, 53);
    t.same(router.ended, { Forwarded: 1 });
    there.udp(SERVER, 1, 53);
    t.same(router.ended, { FlowDrop: 1 });
  }
});

t.test("no flow: dropped and counted, whatever it is", async (t) => {
  const router = new Router(bareEdge([]));
  const { a, server } = around(router);
  for (const payload of [
    udp({ sourcePort: 1, destinationPort: 2 }),
    tcp({ sourcePort: 1, destinationPort: 2, flags: Syn }),
    echoRequest(1),
    raw(47, "gre"),
  ]) {
    t.same(a.send(SERVER, payload), []);
    t.same(router.ended, { NoFlow: 1 });
    t.same(server.send(TENANT, payload), []);
    t.same(router.ended, { NoFlow: 1 });
  }
});
