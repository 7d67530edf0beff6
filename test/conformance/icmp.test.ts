/** What other RFCs, and peers' tests, ask of ICMP in transit. */

import t from "tap";
import { hopped, icmpError, ipv4Packet, packetOf, TcpFlags, tcp, udp } from "../harness/frame.js";
import { around, EXTERNAL, edge, Host, SERVER, staticNeighbor, TENANT } from "../harness/host.js";
import { Router, type Sent } from "../harness/router.js";

const HOP = "198.51.100.77";
const QUESTION = udp({ sourcePort: 4562, destinationPort: 53, data: "question" });

function quotedIn(sent: Sent | undefined): Buffer {
  return Buffer.from(sent?.ip?.payload.subarray(8) ?? "");
}

/** A router, and the packet that tenant a sent, as it stands in both zones. */
function begun(changes = {}) {
  const router = new Router(edge(changes));
  const { a, b, server } = around(router);
  const packet = ipv4Packet({ source: TENANT, destination: SERVER, payload: QUESTION });
  const [out] = a.sendPacket(packet);
  if (out === undefined) throw new Error(JSON.stringify(router.ended));
  return { router, a, b, server, packet, out, quoted: packetOf(out) };
}

t.test("RFC 4787 R12: ICMP never ends a mapping", async (t) => {
  const { router, a, server, out, quoted } = begun();
  for (let code = 0; code < 16; code++) {
    server.send(EXTERNAL, icmpError({ type: 3, code, quoted }));
  }
  t.same(router.conns()[0]?.reply.destinationPort, out.ip?.sourcePort);
  t.equal(a.udp(SERVER, 4562, 53)[0]?.ip?.sourcePort, out.ip?.sourcePort);
  t.equal(server.answer(out).length, 1);
});

t.test("RFC 4787 R12a: ICMP is not filtered by who sent it", async (t) => {
  const { router, server, packet, quoted } = begun();
  for (const source of [HOP, SERVER, "203.0.113.1", "10.0.0.1", "192.168.0.1", TENANT]) {
    const [error] = server.send(EXTERNAL, icmpError({ type: 11, quoted }), { source });
    t.same([error?.ip?.source, error?.ip?.destination], [source, TENANT]);
    t.same(quotedIn(error), hopped(packet));
  }
  for (const source of ["203.0.113.255", "203.0.113.2", "127.0.0.1", "224.0.0.1", "0.0.0.0"]) {
    t.same(server.send(EXTERNAL, icmpError({ type: 11, quoted }), { source }), []);
    t.same(router.ended, { IpBadSource: 1 }, `${source}: RFC 1812 5.3.7`);
  }
});

t.test("RFC 4787 R12b: destination unreachable passes", async (t) => {
  const { server, packet, quoted } = begun();
  const [error] = server.send(EXTERNAL, icmpError({ type: 3, code: 3, quoted }));
  t.same([error?.device, error?.ip?.icmpType, error?.ip?.icmpCode], ["lan-a", 3, 3]);
  t.same(quotedIn(error), hopped(packet));
});

t.test("RFC 5382 R9, R10: ICMP type 3 is translated and ends no connection", async (t) => {
  const router = new Router(edge());
  const { a, server } = around(router);
  const packet = ipv4Packet({
    source: TENANT,
    destination: SERVER,
    payload: tcp({ sourcePort: 10000, destinationPort: 80, flags: TcpFlags.Syn, data: "early" }),
  });
  const [out] = a.sendPacket(packet);
  if (out === undefined) throw new Error("nothing left");
  const quoted = packetOf(out);
  for (const code of [0, 1, 2, 3, 4, 13]) {
    const [error] = server.send(EXTERNAL, icmpError({ type: 3, code, quoted }), { source: HOP });
    t.same(quotedIn(error), hopped(packet), "inner checksums as the tenant wrote them");
  }
  const [answer] = server.answer(out);
  t.equal(answer?.ip?.destinationPort, 10000);
  server.send(EXTERNAL, icmpError({ type: 3, code: 1, quoted }));
  t.equal(router.conns()[0]?.phase, "established");
});

t.test("RFC 7857: outbound ICMP errors do not refresh, nor do inbound ones", async (t) => {
  const { router, a, server, out, quoted } = begun();
  const [answer] = server.answer(out);
  const inward = packetOf(answer as Sent);
  router.wait(299_000);
  t.equal(a.send(SERVER, icmpError({ type: 3, code: 3, quoted: inward })).length, 1);
  t.equal(server.send(EXTERNAL, icmpError({ type: 3, code: 3, quoted })).length, 1);
  t.equal(router.conns()[0]?.expiresInMs, 1000);
  router.wait(1500);
  t.same(router.conns(), []);
  t.same(server.send(EXTERNAL, icmpError({ type: 3, code: 3, quoted })), []);
  t.same(router.ended, { IcmpUnrelated: 1 });
});

t.test("RFC 1122 3.2.2: nothing is said about an ICMP error", async (t) => {
  const narrow = { devices: mtu("lan-a", 576) };
  const { router, a, server, quoted } = begun(narrow);
  t.same(server.send(EXTERNAL, icmpError({ type: 11, quoted }), { ttl: 1 }), []);
  t.same(router.ended, { TtlExceeded: 1 });
  const long = Buffer.concat([quoted, Buffer.alloc(1000)]);
  t.same(server.send(EXTERNAL, icmpError({ type: 11, quoted: long }), { fragment: 0x4000 }), []);
  t.same(router.ended, { TooBig: 1 });
  t.same(a.send(SERVER, icmpError({ type: 11, quoted }), { ttl: 1 }), []);
  t.same(router.ended, { IcmpUnrelated: 1 });
  router.reconfigure(edge({ flows: ["zone=public,conn_state=+related actions=reject"] }));
  t.same(server.send(EXTERNAL, icmpError({ type: 11, quoted })), []);
  t.same(router.ended, { FlowReject: 1 });
  const gone = [staticNeighbor("public", 20, SERVER)];
  const noRoute = { ...edge({ neighbors: gone }), devices: mtu("lan-a", 1500, ["10.0.0.1/24"]) };
  router.reconfigure(noRoute);
  t.same(server.send(EXTERNAL, icmpError({ type: 11, quoted })), []);
  t.same(router.ended, { NoRoute: 1 });
});

/** The edge's devices, one of them with another MTU, or other addresses. */
function mtu(name: string, mtu: number, addresses?: string[]) {
  const devices = edge().devices as { name: string }[];
  return devices.map((each) =>
    each.name === name ? { ...each, mtu, ...(addresses ? { addresses } : {}) } : each,
  );
}

t.test("RFC 1812 5.3.1: traceroute from a tenant shows every hop", async (t) => {
  const router = new Router(edge());
  const { a, server } = around(router);
  const probe = (ttl: number) =>
    a.send(SERVER, udp({ sourcePort: 4562, destinationPort: 33434, data: "probe" }), { ttl });
  const [first] = probe(1);
  t.same([first?.device, first?.ip?.source], ["lan-a", "192.168.0.1"], "ourselves, as a knows us");
  t.same([first?.ip?.icmpType, first?.ip?.destination], [11, TENANT]);
  for (const [ttl, hop] of [
    [2, "203.0.113.1"],
    [3, HOP],
  ] as const) {
    const [out] = probe(ttl);
    const quoted = hopped(packetOf(out as Sent), ttl - 2);
    const [shown] = server.send(EXTERNAL, icmpError({ type: 11, quoted }), { source: hop });
    t.same([shown?.ip?.source, shown?.ip?.icmpType], [hop, 11]);
    t.equal(quotedIn(shown).readUInt16BE(20), 4562, "the tenant knows its probe again");
  }
  const [out] = probe(64);
  const [end] = server.send(
    EXTERNAL,
    icmpError({ type: 3, code: 3, quoted: packetOf(out as Sent) }),
  );
  t.same([end?.ip?.source, end?.ip?.icmpCode], [SERVER, 3]);
});

t.test("RFC 1191: an outside router's MTU reaches the tenant", async (t) => {
  const router = new Router(edge());
  const { a, server } = around(router);
  const payload = tcp({ sourcePort: 1, destinationPort: 80, flags: TcpFlags.Syn, data: 1400 });
  const packet = ipv4Packet({ source: TENANT, destination: SERVER, payload, fragment: 0x4000 });
  const [out] = a.sendPacket(packet);
  const quoted = packetOf(out as Sent).subarray(0, 548);
  const [error] = server.send(EXTERNAL, icmpError({ type: 3, code: 4, rest: 1280, quoted }), {
    source: HOP,
  });
  t.same([error?.ip?.icmpType, error?.ip?.icmpCode], [3, 4]);
  t.equal(error?.ip?.payload.readUInt16BE(6), 1280);
  t.same(quotedIn(error), hopped(packet).subarray(0, 548));
});

t.test("an error may come in by another device of the zone, before or after packets", async (t) => {
  const wan2 = { name: "wan2", zone: "public", interface: "eth2", addresses: ["198.18.0.1/24"] };
  const devices = [...(edge().devices as object[]), wan2];
  const { router, server, packet, out, quoted } = begun({ devices });
  const other = new Host(router, "wan2", "198.18.0.9");
  for (let round = 0; round < 2; round++) {
    const [error] = other.send(EXTERNAL, icmpError({ type: 11, quoted }));
    t.same([error?.device, error?.ip?.source], ["lan-a", "198.18.0.9"]);
    t.same(quotedIn(error), hopped(packet));
    t.equal(server.answer(out).length, 1, "and answers keep their own way");
  }
});

t.test("an error waits for ARP as any packet does", async (t) => {
  const neighbors = [staticNeighbor("public", 20, SERVER)];
  const { router, a, server, packet, quoted } = begun({ neighbors });
  const [asked] = server.send(EXTERNAL, icmpError({ type: 11, quoted }));
  t.equal(asked?.arp?.target, TENANT);
  t.same(router.ended, { Held: 1 });
  const error = a.answerArp("192.168.0.1").find(({ ip }) => ip !== undefined);
  t.same([error?.device, error?.ip?.icmpType], ["lan-a", 11]);
  t.same(quotedIn(error), hopped(packet));
});

t.test("flows: an error is judged as a packet of its conn, related besides", async (t) => {
  const written = (state: string, action: string) => [
    `priority=100,zone=public,udp,conn_state=${state} actions=${action}`,
  ];
  const passes = (flows: readonly string[]) => {
    const { server, quoted } = begun({ flows });
    return server.send(EXTERNAL, icmpError({ type: 11, quoted }), { source: HOP }).length === 1;
  };
  t.ok(passes([]));
  for (const state of ["related", "established", "reply", "snat"]) {
    t.notOk(passes(written(`+${state}`, "drop")), `+${state}`);
    t.ok(passes(written(`-${state}`, "drop")), `-${state}`);
  }
  for (const state of ["new", "invalid", "dnat"]) {
    t.ok(passes(written(`+${state}`, "drop")), `+${state}`);
  }
  t.notOk(passes(["conn_state=+tracked+related,zone=a actions=drop"]), "in the second pass");
  t.notOk(passes(["conn_state=+tracked,zone=a actions=drop"]));
  t.ok(passes(["conn_state=+tracked-related,zone=a actions=drop"]));
  t.ok(passes(written("+related", "nat(reverse,zone=public)")));
});

t.test("flows: an error does not change what is remembered of its conn", async (t) => {
  const flows = ["zone=public,conn_state=+related actions=drop"];
  const { router, server, out, quoted } = begun({ flows });
  for (let round = 0; round < 3; round++) {
    t.same(server.send(EXTERNAL, icmpError({ type: 11, quoted })), []);
    t.same(router.ended, { FlowDrop: 1 });
    t.equal(server.answer(out).length, 1);
  }
  const only = begun({ flows: ["zone=public,udp,conn_state=+reply-related actions=drop"] });
  for (let round = 0; round < 2; round++) {
    const error = icmpError({ type: 11, quoted: only.quoted });
    t.equal(only.server.send(EXTERNAL, error).length, 1, "errors alone pass");
    t.same(only.server.answer(only.out), [], "nor do packets because an error did");
  }
  const dropped = begun({ flows: ["zone=public,udp,conn_state=+reply actions=drop"] });
  for (let round = 0; round < 2; round++) {
    t.same(dropped.server.answer(dropped.out), []);
    const error = icmpError({ type: 11, quoted: dropped.quoted });
    t.same(dropped.server.send(EXTERNAL, error), [], "nor does it pass where packets do not");
    t.same(dropped.router.ended, { FlowDrop: 1 });
  }
});

t.test("peers: one port, an error from elsewhere about the original direction", async (t) => {
  const pools = [{ name: "p1", zone: "public", addresses: [EXTERNAL], ports: "5000-5000" }];
  const { router, a, b, server, packet, out, quoted } = begun({ pools });
  t.equal(out.ip?.sourcePort, 5000);
  const [told] = b.sendPacket(packet);
  t.same([told?.ip?.icmpType, told?.ip?.icmpCode], [3, 13], "the other tenant finds no port");
  const [error] = server.send(EXTERNAL, icmpError({ type: 3, code: 13, quoted }), { source: HOP });
  t.same([error?.device, error?.to, error?.ip?.source], ["lan-a", a.mac, HOP]);
  t.same(quotedIn(error), hopped(packet), "byte for byte, inner checksums included");
  router.wait(301_000 + 121_000);
  const [again] = b.sendPacket(packet);
  t.equal(again?.ip?.sourcePort, 5000);
  const [second] = server.send(EXTERNAL, icmpError({ type: 3, code: 13, quoted }), { source: HOP });
  t.same([second?.device, second?.to], ["lan-b", b.mac], "whose port it is now");
});

t.test("peers: identifier 500 from three hosts to one address", async (t) => {
  const hosts = ["192.168.0.10", "192.168.0.11", "192.168.0.12"];
  const neighbors = [
    ...hosts.map((address) => staticNeighbor("a", 10, address)),
    staticNeighbor("public", 20, SERVER),
  ];
  const router = new Router(edge({ neighbors }));
  const { server } = around(router);
  const outs = hosts.map((address) => new Host(router, "lan-a", address).ping(SERVER, 500)[0]);
  t.equal(new Set(outs.map((out) => out?.ip?.identifier)).size, 3, "never the same");
  for (const [i, out] of outs.entries()) {
    const [back] = server.answer(out);
    t.same([back?.ip?.destination, back?.ip?.identifier], [hosts[i], 500]);
    const error = icmpError({ type: 3, code: 1, quoted: packetOf(out as Sent) });
    const [told] = server.send(EXTERNAL, error, { source: HOP });
    t.equal(told?.ip?.destination, hosts[i]);
    t.equal(quotedIn(told).readUInt16BE(24), 500);
  }
});
