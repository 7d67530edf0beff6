/**
 * Fragments in and out: RFC 4787 REQ-13 and REQ-14, RFC 1858, RFC 3128, and the cases that peers test.
 */

import fc from "fast-check";
import t from "tap";
import { Limit } from "../../assembly/abi.js";
import { cut, cutEvery, piece, Reassembler, reassemble } from "../harness/fragments.js";
import {
  echoRequest,
  icmp,
  ipv4Packet,
  type Payload,
  raw,
  TcpFlags,
  tcp,
  udp,
} from "../harness/frame.js";
import { around, EXTERNAL, edge, Host, SERVER, TENANT } from "../harness/host.js";
import { holds } from "../harness/property.js";
import { type Document, Router, type Sent } from "../harness/router.js";

/** The datapath's FragmentTimeout. */
const TIMEOUT_MS = 30_000;

function bytes(length: number): Buffer {
  return Buffer.from(Array.from({ length }, (_, i) => (i * 7 + (i >> 8)) & 255));
}

function udpOf(length: number, sourcePort = 4562): Payload {
  return udp({ sourcePort, destinationPort: 53, data: bytes(length) });
}

/** A packet of a tenant to the server. */
function packetOf(payload: Payload, fields: object = {}): Buffer {
  return ipv4Packet({
    source: TENANT,
    destination: SERVER,
    payload,
    identification: 77,
    ...fields,
  });
}

/** What each packet does, one by one. */
function sendAll(host: Host, packets: readonly Buffer[]): Sent[] {
  return packets.flatMap((packet) => host.sendPacket(packet));
}

function orders<Item>(items: readonly Item[]): Item[][] {
  if (items.length <= 1) return [[...items]];
  return items.flatMap((item, i) =>
    orders([...items.slice(0, i), ...items.slice(i + 1)]).map((rest) => [item, ...rest]),
  );
}

/** An edge whose devices have other MTUs. */
function withMtu(mtus: Record<string, number>, changes: Document = {}): Document {
  const devices = (edge().devices as Document[]).map((each) => {
    const mtu = mtus[String(each.name)];
    return mtu === undefined ? each : { ...each, mtu };
  });
  return edge({ devices, ...changes });
}

/** The packet that answers a datagram, from the server. */
function answerTo(
  datagram: { sourcePort: number; source: string },
  length: number,
  id = 5,
): Buffer {
  const payload = udp({
    sourcePort: 53,
    destinationPort: datagram.sourcePort,
    data: bytes(length),
  });
  return ipv4Packet({
    source: SERVER,
    destination: datagram.source,
    payload,
    identification: id,
  });
}

t.test("RFC 4787 R14; peers P9; peers P32: fragments in order, out and in again", async (t) => {
  const router = new Router(edge());
  const { a, server } = around(router);
  const sent = sendAll(a, cutEvery(packetOf(udpOf(4000)), 1480));
  t.equal(sent.length, 3);
  t.same(new Set(sent.map(({ ip }) => ip?.source)), new Set([EXTERNAL]));
  t.same(
    sent.map(({ ip }) => ip?.ttl),
    [63, 63, 63],
    "RFC 1812 5.3.1: each has its TTL decremented",
  );
  const [datagram] = reassemble(sent);
  t.ok(datagram?.sound);
  t.same(datagram?.data, bytes(4000));
  if (datagram === undefined) return;
  const back = sendAll(server, cutEvery(answerTo(datagram, 3000), 1480));
  t.same(
    back.map(({ device, ip }) => [device, ip?.destination, ip?.identification]),
    [1, 2, 3].map(() => ["lan-a", TENANT, 5]),
    "what comes from outside keeps its identification",
  );
  const [answer] = reassemble(back);
  t.ok(answer?.sound);
  t.equal(answer?.destinationPort, 4562);
  t.same(answer?.data, bytes(3000));
  t.same(router.reasons(), { Forwarded: 6 });
  const [conn] = router.conns();
  t.same([conn?.originalPackets, conn?.replyPackets], [3, 3]);
});

t.test("RFC 4787 R14; peers P10: every order of four fragments", async (t) => {
  const outwards = cutEvery(packetOf(udpOf(4000)), 1024);
  t.equal(outwards.length, 4);
  for (const order of orders([0, 1, 2, 3])) {
    for (const together of [false, true]) {
      const router = new Router(edge());
      const { a, server } = around(router);
      const name = `${order}${together ? " in one batch" : ""}`;
      const inOrder = (packets: readonly Buffer[]) => order.map((i) => packets[i] as Buffer);
      const send = (host: Host, packets: readonly Buffer[]) =>
        together
          ? router.send(host.device, ...packets.map((packet) => host.frameOf(packet)))
          : sendAll(host, packets);
      const sent = send(a, inOrder(outwards));
      const before = order.indexOf(0);
      const expected = [0, ...order.filter((i) => i !== 0)].map((i) => i * 1024);
      t.same(
        sent.map(({ ip }) => ip?.fragmentOffset),
        expected,
        `${name}: the first one, what waited, the others`,
      );
      const [datagram] = reassemble(sent);
      t.ok(datagram?.sound, name);
      t.same(datagram?.data, bytes(4000));
      const waited = before > 0 ? { FragmentHeld: before, HeldSent: before } : {};
      t.same(router.reasons(), { Forwarded: 4 - before, ...waited }, name);
      if (datagram === undefined) continue;
      const back = send(server, inOrder(cutEvery(answerTo(datagram, 4000), 1024)));
      const [answer] = reassemble(back);
      t.ok(answer?.sound, name);
      t.same(answer?.data, bytes(4000));
      t.equal(router.wait(0).length, 0);
      t.equal(router.untilDue() > TIMEOUT_MS, true, "nothing is left behind");
    }
  }
});

t.test("RFC 4787 R14: TCP, SCTP and protocols without ports in fragments", async (t) => {
  const ports = { sourcePort: 4562, destinationPort: 80 };
  const payloads: Record<string, Payload> = {
    tcp: tcp({ ...ports, flags: TcpFlags.Syn, options: Buffer.alloc(20, 1), data: bytes(400) }),
    sctp: raw(132, bytes(400)),
    gre: raw(47, bytes(400)),
    "udp without a checksum": udp({ ...ports, data: bytes(400), checksum: 0 }),
  };
  for (const [name, payload] of Object.entries(payloads)) {
    const router = new Router(edge());
    const { a } = around(router);
    for (const order of orders([0, 1, 2])) {
      const pieces = cutEvery(packetOf(payload), 160);
      const sent = sendAll(
        a,
        order.map((i) => pieces[i] as Buffer),
      );
      const [datagram] = reassemble(sent);
      t.equal(datagram?.source, EXTERNAL, name);
      t.ok(datagram?.sound, name);
      const data =
        payload.protocol === 6 || payload.protocol === 17 ? datagram?.data : datagram?.payload;
      t.same(data, bytes(400), name);
      if (name.startsWith("udp")) t.equal(datagram?.payload.readUInt16BE(6), 0, "0 stays 0");
    }
  }
});

t.test("peers P14: a 4,500-byte ping through NAT", async (t) => {
  const router = new Router(edge());
  const { a, b, server } = around(router);
  for (const [host, name] of [
    [a, "lan-a"],
    [b, "lan-b"],
  ] as const) {
    const sent = sendAll(
      host,
      cutEvery(packetOf(icmp({ type: 8, identifier: 500, data: bytes(4500) })), 1480),
    );
    const [request] = reassemble(sent);
    t.ok(request?.sound);
    t.same(request?.data, bytes(4500));
    const identifier = request?.identifier ?? 0;
    const reply = icmp({ type: 0, identifier, data: bytes(4500) });
    const packet = ipv4Packet({ source: SERVER, destination: EXTERNAL, payload: reply });
    const pieces = cutEvery(packet, 1480);
    const back = sendAll(server, [...pieces.slice(1), ...pieces.slice(0, 1)]);
    const [answer] = reassemble(back);
    t.ok(answer?.sound);
    t.equal(answer?.identifier, 500);
    t.same(new Set(back.map(({ device }) => device)), new Set([name]));
  }
});

t.test(
  "RFC 1624 S1: an echo of zeros in fragments: its checksum is right for whoever adds it up",
  async (t) => {
    const router = new Router(edge());
    const { a } = around(router);
    const payload = icmp({ type: 8, identifier: 0, sequence: 0, data: new Uint8Array(2000) });
    const packet = ipv4Packet({ source: TENANT, destination: "192.168.0.1", payload });
    const [reply] = reassemble(sendAll(a, cutEvery(packet, 1480)));
    t.equal(reply?.icmpType, 0);
    t.ok(reply?.sound);
  },
);

t.test("RFC 4787 R14: a 4,500-byte ping to the router itself, in every order", async (t) => {
  const router = new Router(edge());
  const { a } = around(router);
  for (const order of orders([0, 1, 2, 3])) {
    const payload = icmp({ type: 8, identifier: 7, data: bytes(4500) });
    const packet = ipv4Packet({ source: TENANT, destination: "192.168.0.1", payload, ttl: 1 });
    const pieces = cutEvery(packet, 1480);
    const sent = sendAll(
      a,
      order.map((i) => pieces[i] as Buffer),
    );
    t.same(new Set(sent.map(({ to, ip }) => `${to} ${ip?.ttl}`)), new Set([`${a.mac} 64`]));
    const [reply] = reassemble(sent);
    t.ok(reply?.sound);
    t.same([reply?.source, reply?.destination], ["192.168.0.1", TENANT]);
    t.same([reply?.icmpType, reply?.identifier], [0, 7]);
    t.same(router.conns(), []);
  }
});

t.test("RFC 4787 R14: what else the router itself gets in fragments is not served", async (t) => {
  const router = new Router(edge());
  const { a } = around(router);
  const packet = ipv4Packet({ source: TENANT, destination: "192.168.0.1", payload: udpOf(2000) });
  t.same(sendAll(a, cutEvery(packet, 1480)), []);
  t.same(router.reasons(), { LocalUnserved: 1, FragmentHeld: 1 });
});

t.test(
  "peers P13; peers P31: fragments in VLAN: equal datagrams of two tenants at once",
  async (t) => {
    const router = new Router(edge());
    const { a, b, server } = around(router);
    const pieces = cutEvery(packetOf(udpOf(3000)), 1024);
    const sent = [2, 0, 1].flatMap((i) => [
      ...a.sendPacket(pieces[i] as Buffer),
      ...b.sendPacket(pieces[i] as Buffer),
    ]);
    const datagrams = reassemble(sent);
    t.equal(datagrams.length, 2);
    const ports = datagrams.map(({ sourcePort }) => sourcePort);
    t.equal(new Set(ports).size, 2);
    t.ok(datagrams.every(({ sound, data }) => sound && data.equals(bytes(3000))));
    const answers = datagrams.map((each, i) => cutEvery(answerTo(each, 3000, 10 + i), 1024));
    const back = [1, 2, 0].flatMap((n) =>
      answers.flatMap((pieces) => server.sendPacket(pieces[n] as Buffer)),
    );
    for (const [name, vlan] of [
      ["lan-a", 10],
      ["lan-b", 11],
    ] as const) {
      const own = back.filter(({ device }) => device === name);
      t.same(new Set(own.flatMap(({ vlans }) => vlans)), new Set([vlan]));
      t.ok(reassemble(own)[0]?.sound, name);
    }
  },
);

t.test(
  "peers P11; RFC 1858 S1: overlapping by one byte, or eight: dropped, the earlier bytes stay",
  async (t) => {
    const packet = packetOf(udpOf(4000));
    const payload = packet.subarray(20);
    const evil = (from: number, to: number) =>
      piece(packet, from, Buffer.alloc(to - from, 0xee), to < payload.length);
    const router = new Router(edge());
    const { a } = around(router);
    const [first, second, third] = cut(packet, [1600, 3200]);
    const sent = [...a.sendPacket(first as Buffer), ...a.sendPacket(third as Buffer)];
    for (const [from, to] of [
      [1592, 3200],
      [1600, 3208],
      [8 * 190, 1600],
      [3200, 3208],
      [16, 4008],
      [4000, 4008],
    ] as const) {
      t.same(a.sendPacket(evil(from, to)), []);
      t.same(Object.keys(router.ended), ["FragmentOverlap"], `${from} to ${to}`);
    }
    const last = piece(packet, 3200, Buffer.alloc(1), false);
    t.same(a.sendPacket(last), []);
    t.same(Object.keys(router.ended), ["FragmentOverlap"], "another end");
    const again = piece(packet, 0, payload.subarray(0, 1600), true);
    t.same(a.sendPacket(again), []);
    t.same(Object.keys(router.ended), ["FragmentOverlap"], "another first");
    const [datagram] = reassemble([...sent, ...a.sendPacket(second as Buffer)]);
    t.same(datagram?.data, bytes(4000));
  },
);

t.test("RFC 1858 S1: an overlap by one byte at the end, where lengths are odd", async (t) => {
  const packet = packetOf(udpOf(1001));
  const router = new Router(edge());
  const { a } = around(router);
  const payload = packet.subarray(20);
  const whole = piece(packet, 800, payload.subarray(800), false);
  a.sendPacket(cut(packet, [800])[0] as Buffer);
  a.sendPacket(piece(packet, 1008, Buffer.alloc(8, 1), true));
  t.same(Object.keys(router.ended), ["Forwarded"]);
  t.same(a.sendPacket(whole), [], "it would end before what came");
  t.same(Object.keys(router.ended), ["FragmentOverlap"]);
});

t.test("RFC 1858 S1: what waits is judged like what has left", async (t) => {
  const packet = packetOf(udpOf(2000));
  const router = new Router(edge());
  const { a } = around(router);
  const [first, second] = cut(packet, [1024]);
  a.sendPacket(second as Buffer);
  t.same(Object.keys(router.ended), ["FragmentHeld"]);
  a.sendPacket(second as Buffer);
  t.same(Object.keys(router.ended), ["FragmentOverlap"], "a duplicate");
  a.sendPacket(piece(packet, 0, packet.subarray(20, 20 + 1032), true));
  t.same(Object.keys(router.ended), ["FragmentOverlap"], "a first that overlaps");
  t.same(router.conns(), [], "and makes no conn");
  t.equal(reassemble(a.sendPacket(first as Buffer)).length, 1);
});

t.test("RFC 1858 S2: a first fragment has its whole transport header (RFC 3128)", async (t) => {
  const ports = { sourcePort: 4562, destinationPort: 80 };
  const syn = tcp({ ...ports, flags: TcpFlags.Syn, options: Buffer.alloc(12, 1), data: bytes(64) });
  const first = (payload: Payload, length: number) => cut(packetOf(payload), [length])[0] as Buffer;
  for (const [name, packet, reason] of [
    ["8 bytes of TCP", first(syn, 8), "FragmentTooShort"],
    ["16 bytes of TCP", first(syn, 16), "FragmentTooShort"],
    ["24 of 32 bytes of TCP", first(syn, 24), "FragmentTooShort"],
    ["32 bytes of TCP", first(syn, 32), "Forwarded"],
    ["8 bytes of UDP", first(udpOf(64), 8), "Forwarded"],
    ["8 bytes of an echo", first(echoRequest(1), 8), "Forwarded"],
    ["8 bytes of SCTP", first(raw(132, bytes(64)), 8), "FragmentTooShort"],
    ["8 bytes of GRE", first(raw(47, bytes(64)), 8), "Forwarded"],
    ["an ICMP error", first(icmp({ type: 3, code: 3, data: bytes(64) }), 40), "FragmentTooShort"],
  ] as const) {
    const router = new Router(edge());
    around(router).a.sendPacket(packet);
    t.same(Object.keys(router.ended), [reason], name);
  }
  const router = new Router(edge());
  const { a } = around(router);
  a.sendPacket(cut(packetOf(syn), [8])[1] as Buffer);
  t.same(Object.keys(router.ended), ["FragmentTooShort"], "one that would overwrite TCP's flags");
});

t.test("RFC 1858 S1: fragments that no datagram has", async (t) => {
  const packet = packetOf(udpOf(2000));
  for (const [name, fragment] of [
    ["not a multiple of eight", piece(packet, 0, bytes(1001), true)],
    ["not a multiple of eight, later", piece(packet, 8, bytes(1001), true)],
    ["beyond 65,535", piece(packet, 65528, bytes(8), false)],
    ["beyond 65,535 with the header", piece(packet, 65512, bytes(8), false)],
    ["nothing", piece(packet, 8, bytes(0), false)],
    ["nothing, and more", piece(packet, 8, bytes(0), true)],
  ] as const) {
    const router = new Router(edge());
    around(router).a.sendPacket(fragment);
    t.same(Object.keys(router.ended), ["IpBadHeader"], name);
  }
  const router = new Router(edge());
  around(router).a.sendPacket(piece(packet, 65504, bytes(11), false));
  t.same(Object.keys(router.ended), ["FragmentHeld"], "the last there can be");
  around(router).a.sendPacket(piece(packetOf(raw(136, bytes(64))), 8, bytes(8), false));
  t.same(Object.keys(router.ended), ["ProtocolUnsupported"], "UDP-Lite, not known by its first");
});

t.test("RFC 4787 R14a: nothing behind a fragment is read, however short it is", async (t) => {
  const ends = new Set<string>();
  for (const protocol of [1, 6, 17, 47, 132]) {
    const router = new Router(edge(), { hostile: true });
    const { a } = around(router);
    for (let length = 1; length <= 64; length++) {
      for (const [from, more] of [
        [0, true],
        [8, true],
        [4096, false],
      ] as const) {
        const packet = packetOf(raw(protocol, bytes(8)), { identification: length });
        router.sendAtEnd(a.device, a.frameOf(piece(packet, from, bytes(length), more)));
        for (const end of Object.keys(router.ended)) ends.add(end);
      }
    }
  }
  t.ok(
    ["Forwarded", "FragmentHeld", "FragmentTooShort", "IpBadHeader"].every((end) => ends.has(end)),
  );
});

t.test("peers P12: the first only, then the time is up", async (t) => {
  const router = new Router(edge({ timeouts: { udp: 120 } }));
  const { a } = around(router);
  const [first, second] = cut(packetOf(udpOf(2000)), [1024]);
  t.equal(a.sendPacket(first as Buffer).length, 1);
  router.wait(0);
  t.equal(router.untilDue(), TIMEOUT_MS, "the loop sleeps until then");
  router.wait(TIMEOUT_MS - 1);
  t.equal(a.sendPacket(second as Buffer).length, 1, "in time");
  const other = cut(packetOf(udpOf(2000), { identification: 78 }), [1024]);
  a.sendPacket(other[0] as Buffer);
  router.wait(TIMEOUT_MS);
  t.same(a.sendPacket(other[1] as Buffer), [], "too late");
  t.same(Object.keys(router.ended), ["FragmentHeld"]);
  t.same(router.wait(TIMEOUT_MS - 1), []);
  t.same(router.ended, {});
  router.wait(1);
  t.same(router.ended, { FragmentTimeout: 1 }, "the first one did not come again");
  t.equal(a.sendPacket(other[0] as Buffer).length, 1, "a new datagram");
});

t.test("RFC 4787 R14a: a zone's flood has its share, and no more", async (t) => {
  const router = new Router(edge());
  const { a, b } = around(router);
  const orphan = (identification: number) =>
    a.frameOf(cut(packetOf(udpOf(2000), { identification }), [1024])[1] as Buffer);
  router.send(a.device, ...Array.from({ length: 1000 }, (_, i) => orphan(i)));
  t.same(router.ended, {
    FragmentHeld: Limit.HeldFragmentsPerZone,
    FragmentTableFull: 1000 - Limit.HeldFragmentsPerZone,
  });
  const pieces = cutEvery(packetOf(udpOf(4000)), 1024).reverse();
  t.ok(reassemble(sendAll(b, pieces))[0]?.sound, "another tenant's passes, out of order");
  const first = (identification: number) =>
    a.frameOf(cut(packetOf(udpOf(2000), { identification }), [1024])[0] as Buffer);
  router.send(a.device, ...Array.from({ length: 1000 }, (_, i) => first(2000 + i)));
  const known = Limit.DatagramsPerZone - Limit.HeldFragmentsPerZone;
  t.same(router.ended, { Forwarded: known, FragmentTableFull: 1000 - known });
  t.ok(reassemble(sendAll(b, pieces))[0]?.sound);
  t.equal(a.send(SERVER, udpOf(100)).length, 1, "what is whole passes");
  router.wait(TIMEOUT_MS);
  t.same(router.ended, { FragmentTimeout: Limit.HeldFragmentsPerZone });
  t.ok(reassemble(sendAll(a, pieces))[0]?.sound, "then all is free again");
});

t.test("RFC 4787 R14a: however many zones flood, one that does not has room", async (t) => {
  const names = Array.from({ length: 40 }, (_, i) => `t${i}`);
  const zones = names.map((name, i) => ({ id: 100 + i, name }));
  const devices = zones.map(({ id, name }) => ({
    name,
    zone: name,
    interface: "eth1",
    vlan: id,
    addresses: ["192.168.0.1/24"],
  }));
  const both = (key: string, more: readonly Document[]) => [
    ...(edge()[key] as Document[]),
    ...more,
  ];
  const router = new Router(
    edge({
      zones: both("zones", zones),
      devices: both("devices", devices),
      nat: [{ from: ["a", "b", ...names], to: "public", pool: "p1" }],
      capacity: { conns: 4096, neighbors: 256, poolAddresses: 16, imageBytes: 65536 },
    }),
  );
  for (const which of [1, 0]) {
    for (const name of names) {
      const host = new Host(router, name, TENANT);
      const frames = Array.from({ length: Limit.Batch }, (_, i) => {
        const identification = which * 1000 + i;
        return host.frameOf(cut(packetOf(udpOf(200), { identification }), [96])[which] as Buffer);
      });
      router.send(name, ...frames);
    }
    t.ok((router.reasons().FragmentTableFull ?? 0) > 0);
    const pieces = cutEvery(packetOf(udpOf(200)), 96).reverse();
    t.ok(reassemble(sendAll(around(router).b, pieces))[0]?.sound);
  }
});

t.test("RFC 4787 R14a: a datagram in too many pieces that do not join", async (t) => {
  const router = new Router(edge());
  const { a } = around(router);
  const packet = packetOf(udpOf(4000));
  const payload = packet.subarray(20);
  const at = (from: number) => piece(packet, from, payload.subarray(from, from + 8), true);
  for (let i = 0; i < Limit.FragmentRanges; i++) a.sendPacket(at(i * 16));
  t.same(Object.keys(router.ended), ["Forwarded"]);
  a.sendPacket(at(Limit.FragmentRanges * 16));
  t.same(Object.keys(router.ended), ["FragmentTableFull"]);
  a.sendPacket(at(8));
  t.same(Object.keys(router.ended), ["Forwarded"], "one that joins two");
  a.sendPacket(at(Limit.FragmentRanges * 16));
  t.same(Object.keys(router.ended), ["Forwarded"], "makes room");
});

t.test("RFC 4787 R14a: a fragment that is too long to wait", async (t) => {
  const router = new Router(edge());
  const { a } = around(router);
  const [, second] = cut(packetOf(udpOf(4000)), [1024]);
  a.sendPacket(second as Buffer);
  t.same(Object.keys(router.ended), ["FragmentTableFull"]);
});

t.test("RFC 4787 R14: a first fragment that goes nowhere takes none with it", async (t) => {
  const router = new Router({ ...edge(), routes: [] });
  const { a } = around(router);
  const packet = ipv4Packet({ source: TENANT, destination: "8.8.8.8", payload: udpOf(2000) });
  const [first, second] = cut(packet, [1024]) as [Buffer, Buffer];
  a.sendPacket(second);
  const [error] = a.sendPacket(first);
  t.same(Object.keys(router.ended), ["NoRoute"]);
  t.equal(error?.ip?.icmpType, 3);
  t.same(error?.ip?.data.subarray(0, 20), first.subarray(0, 20), "its sender is told");
  router.wait(TIMEOUT_MS);
  t.same(router.ended, { FragmentTimeout: 1 });
});

t.test("RFC 1812 S8: no error about a fragment that is not the first", async (t) => {
  for (const order of [
    [0, 1],
    [1, 0],
  ]) {
    const router = new Router(edge());
    const { a } = around(router);
    const [first] = cut(packetOf(udpOf(2000)), [1024]);
    const [, second] = cut(packetOf(udpOf(2000), { ttl: 1 }), [1024]);
    const sent = sendAll(
      a,
      order.map((i) => [first, second][i] as Buffer),
    );
    t.equal(sent.length, 1);
    t.equal(router.reasons().TtlExceeded, 1, "counted all the same");
  }
});

t.test(
  "RFC 4787 R14; peers P31: fragments whose conn has ended do not follow another's",
  async (t) => {
    const router = new Router(edge({ timeouts: { udp: 4 } }));
    const { a, b, server } = around(router);
    const [sent] = a.udp(SERVER, 4562, 53);
    const external = { sourcePort: sent?.ip?.sourcePort ?? 0, source: EXTERNAL };
    const [first, second] = cut(answerTo(external, 2000), [1024]) as [Buffer, Buffer];
    t.equal(server.sendPacket(first).length, 1);
    router.wait(5000);
    t.same(router.conns(), []);
    b.udp(SERVER, 4562, 53);
    t.same(server.sendPacket(second), []);
    t.same(Object.keys(router.ended), ["FragmentHeld"]);
  },
);

t.test("RFC 4787 R14a: a switch of the configuration forgets fragments, and says so", async (t) => {
  const router = new Router(edge());
  const { a, b } = around(router);
  const pieces = cutEvery(packetOf(udpOf(3000)), 1024);
  a.sendPacket(pieces[2] as Buffer);
  b.sendPacket(pieces[0] as Buffer);
  const zones = (edge().zones as Document[]).filter(({ name }) => name !== "a");
  const devices = (edge().devices as Document[]).filter(({ zone }) => zone !== "a");
  const neighbors = (edge().neighbors as Document[]).filter(({ zone }) => zone !== "a");
  const nat = [{ from: ["b"], to: "public", pool: "p1" }];
  router.reconfigure(edge({ zones, devices, neighbors, nat }));
  t.same(router.ended, { FragmentTimeout: 1 });
  t.same(b.sendPacket(pieces[1] as Buffer), []);
  t.same(Object.keys(router.ended), ["FragmentHeld"]);
  router.reconfigure(edge());
  t.same(router.ended, { FragmentTimeout: 1 });
  t.ok(reassemble(sendAll(b, [...pieces].reverse()))[0]?.sound);
  router.wait(TIMEOUT_MS);
  t.same(router.ended, {});
});

t.test("RFC 4787 R13a: fragments wait for the neighbor as packets do, in order", async (t) => {
  const neighbors = (edge().neighbors as Document[]).filter(({ zone }) => zone !== "public");
  const router = new Router(edge({ neighbors }));
  const { a, server } = around(router);
  const pieces = cutEvery(packetOf(udpOf(4000)), 1024);
  const asked = sendAll(
    a,
    [3, 0, 2, 1].map((i) => pieces[i] as Buffer),
  );
  t.ok(asked.every(({ arp }) => arp !== undefined));
  const sent = server.answerArp("203.0.113.2");
  t.same(
    sent.map(({ ip }) => (ip?.fragmentOffset ?? 0) / 1024),
    [0, 3, 2, 1],
  );
  t.ok(reassemble(sent)[0]?.sound);
  t.same(router.reasons(), { FragmentHeld: 1, Held: 3, HeldSent: 4, Learned: 1 });
});

t.test("RFC 4787 R13a: DF clear and too long for the next link: fragments, in order", async (t) => {
  for (const mtu of [68, 69, 75, 576, 1000, 1007, 1499]) {
    const router = new Router(withMtu({ wan: mtu }));
    const { a } = around(router);
    for (const length of [mtu - 28, mtu - 27, mtu, 1472].filter((n) => n <= 1472)) {
      const sent = a.send(SERVER, udpOf(length));
      t.same(router.ended, { Forwarded: 1 }, "counted once");
      t.ok(sent.every(({ ip }) => (ip?.totalBytes ?? 0) <= mtu));
      t.equal(sent.length > 1, length + 28 > mtu);
      const offsets = sent.map(({ ip }) => ip?.fragmentOffset ?? 0);
      t.same(
        [...offsets].sort((x, y) => x - y),
        offsets,
      );
      const [datagram] = reassemble(sent);
      t.ok(datagram?.sound, `${length} through ${mtu}`);
      t.same(datagram?.data, bytes(length));
      t.same(new Set(sent.map(({ ip }) => ip?.ttl)), new Set([63]));
    }
  }
});

t.test("RFC 4787 R13: DF set and too long: fragmentation needed, with the MTU", async (t) => {
  const router = new Router(withMtu({ wan: 1000 }));
  const { a } = around(router);
  const [error, ...more] = a.send(SERVER, udpOf(1400), { fragment: 0x4000 });
  t.same(more, []);
  t.same([error?.ip?.icmpType, error?.ip?.icmpCode], [3, 4]);
  t.equal(error?.ip?.payload.readUInt16BE(6), 1000);
  t.same(router.reasons(), { TooBig: 1 });
  t.equal(a.send(SERVER, udpOf(1400), { fragment: 0 }).length, 2);
});

t.test("RFC 4787 R13a: inwards, and a jumbo frame in pieces that our buffers hold", async (t) => {
  const router = new Router(withMtu({ wan: 9000, "lan-a": 4000, "lan-b": 576 }));
  const { a, b, server } = around(router);
  for (const host of [a, b]) {
    const [sent] = host.udp(SERVER, 4562, 53);
    const external = { sourcePort: sent?.ip?.sourcePort ?? 0, source: EXTERNAL };
    const back = server.sendPacket(answerTo(external, 8900));
    t.same(new Set(back.map(({ device }) => device)), new Set([host.device]));
    const [datagram] = reassemble(back);
    t.ok(datagram?.sound);
    t.same(datagram?.data, bytes(8900));
  }
});

t.test("RFC 791 S1: a fragment is cut again, before and behind its first", async (t) => {
  for (const order of orders([0, 1, 2])) {
    const router = new Router(withMtu({ wan: 576 }));
    const { a } = around(router);
    const pieces = cutEvery(packetOf(udpOf(4000)), 1480);
    const sent = sendAll(
      a,
      order.map((i) => pieces[i] as Buffer),
    );
    t.ok(sent.every(({ ip }) => (ip?.totalBytes ?? 0) <= 576));
    t.equal(new Set(sent.map(({ ip }) => ip?.identification)).size, 1);
    const [datagram] = reassemble(sent);
    t.ok(datagram?.sound);
    t.same(datagram?.data, bytes(4000));
  }
});

t.test("RFC 791 S2: options are in the first piece, copied ones in all", async (t) => {
  const copied = Buffer.from([0x88, 4, 1, 2]);
  const record = Buffer.from([7, 7, 4, 0, 0, 0, 0]);
  const security = Buffer.from([0x82, 3, 9]);
  for (const [options, kept] of [
    [Buffer.concat([Buffer.from([1]), record, copied]), copied],
    [Buffer.concat([security, Buffer.from([0])]), Buffer.from([0x82, 3, 9, 0])],
    [Buffer.concat([record, Buffer.from([1])]), Buffer.alloc(0)],
    [Buffer.concat([copied, Buffer.from([7, 40, 0, 0])]), copied],
    [Buffer.from([0x88, 1, 0, 0]), Buffer.alloc(0)],
    [Buffer.from([1, 1, 1, 0x88]), Buffer.alloc(0)],
    [Buffer.alloc(40, 1), Buffer.alloc(0)],
    [
      Buffer.concat(Array.from({ length: 10 }, () => copied)),
      Buffer.concat(Array.from({ length: 10 }, () => copied)),
    ],
  ] as const) {
    const router = new Router(withMtu({ wan: 300 }));
    const { a } = around(router);
    const sent = a.sendPacket(packetOf(udpOf(1000), { options }));
    t.ok(sent.length > 3);
    t.same(sent[0]?.ip?.options, options);
    for (const { ip } of sent.slice(1)) t.same(ip?.options, kept);
    t.same(reassemble(sent)[0]?.data, bytes(1000));
    t.ok(reassemble(sent)[0]?.sound);
  }
});

t.test("RFC 1812 S6: options of fragments that come are carried as they are", async (t) => {
  const options = Buffer.from([0x88, 4, 1, 2]);
  const router = new Router(edge());
  const { a } = around(router);
  const pieces = cutEvery(packetOf(udpOf(2000), { options }), 1024).reverse();
  const sent = sendAll(a, pieces);
  for (const { ip } of sent) t.same(ip?.options, options);
  t.ok(reassemble(sent)[0]?.sound);
});

t.test("RFC 4787 R13a: pieces wait for the neighbor together", async (t) => {
  const neighbors = (edge().neighbors as Document[]).filter(({ zone }) => zone !== "public");
  const router = new Router(withMtu({ wan: 576, "lan-a": 4000 }, { neighbors }));
  const { a, server } = around(router);
  a.send(SERVER, udpOf(3900));
  t.same(router.ended, { Held: 1 });
  const sent = server.answerArp("203.0.113.2");
  t.same(router.ended, { HeldSent: 1, Learned: 1 });
  t.equal(sent.length, 8);
  t.same(reassemble(sent)[0]?.data, bytes(3900));
  const other = ipv4Packet({ source: TENANT, destination: "203.0.113.98", payload: udpOf(3900) });
  a.sendPacket(other);
  t.same(router.ended, { Held: 1 });
  router.wait(4000);
  t.same(router.ended, { NeighborFailed: 1 });
});

t.test("RFC 4787 R13a: all pieces of a packet leave, or none", async (t) => {
  const router = new Router(withMtu({ wan: 68 }));
  const { a } = around(router);
  const frames = Array.from({ length: 20 }, (_, i) => a.frame(SERVER, udpOf(1400, 1000 + i)));
  const sent = router.send(a.device, ...frames);
  const { Forwarded = 0, NoBuffer = 0 } = router.ended;
  t.equal(Forwarded + NoBuffer, 20);
  t.ok(NoBuffer > 0);
  const receiver = new Reassembler();
  const whole = sent.filter(({ ip }) => ip !== undefined && receiver.take(ip)?.sound);
  t.equal(whole.length, Forwarded);
  t.equal(receiver.unfinished, 0);

  const neighbors = (edge().neighbors as Document[]).filter(({ zone }) => zone !== "public");
  const unresolved = new Router(withMtu({ wan: 68 }, { neighbors }));
  const host = around(unresolved).a;
  for (let i = 0; i < 5; i++) host.send(SERVER, udpOf(1400, 1000 + i));
  t.same(unresolved.reasons(), { Held: 4, HoldQueueFull: 1 });
});

const CUTS = fc.uniqueArray(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 12 });

t.test(
  "peers P15: a fragmented datagram turns round to another tenant, in any order",
  async (t) => {
    const pools = [
      { name: "p1", zone: "public", addresses: [EXTERNAL], filtering: "endpoint-independent" },
    ];
    const { a, b } = around(new Router(edge({ pools })));
    const [opened] = b.udp(SERVER, 5000, 53);
    const destinationPort = opened?.ip?.sourcePort ?? 0;
    const payload = udp({ sourcePort: 4562, destinationPort, data: bytes(4000) });
    const packet = packetOf(payload, { destination: EXTERNAL });
    for (const pieces of orders(cutEvery(packet, 1480))) {
      const sent = sendAll(a, pieces);
      t.ok(
        sent.every(({ device, ip }) => device === "lan-b" && ip?.source === EXTERNAL),
        "to the owner of the port, from the sender's external address",
      );
      const [datagram] = reassemble(sent);
      t.ok(datagram?.sound && datagram.data.equals(bytes(4000)), "whole");
    }
  },
);

holds(
  t,
  "RFC 4787 R14: cut at random, in any order, with duplicates: what arrives is what was sent",
  fc.property(
    fc.record({
      length: fc.integer({ min: 3200, max: 3500 }),
      cuts: CUTS,
      order: fc.infiniteStream(fc.nat()),
      mtu: fc.constantFrom(576, 1000, 1500, 4000),
      protocol: fc.constantFrom("udp", "icmp", "gre"),
    }),
    ({ length, cuts, order, mtu, protocol }) => {
      const router = new Router(withMtu({ wan: mtu }));
      const { a } = around(router);
      const data = bytes(length);
      const payloads: Record<string, Payload> = {
        udp: udpOf(length),
        icmp: icmp({ type: 8, identifier: 3, data }),
        gre: raw(47, data),
      };
      const at = [...cuts].sort((x, y) => x - y).map((each) => each * 8);
      const pieces = cut(packetOf(payloads[protocol] as Payload), at);
      // What is longer than a buffer cannot wait.
      if (pieces.some((each) => each.length > Limit.HeldFrameBytes)) return true;
      const left = [...pieces];
      const sent: Sent[] = [];
      const used: Buffer[] = [];
      for (const draw of order) {
        const again = draw % 4 === 0 && used.length > 0 && left.length > 0;
        const next = again
          ? used[draw % used.length]
          : left.splice(draw % Math.max(left.length, 1), 1)[0];
        if (next === undefined) break;
        sent.push(...a.sendPacket(next));
        used.push(next);
      }
      const [datagram, ...more] = reassemble(sent);
      const arrived = protocol === "gre" ? datagram?.payload : datagram?.data;
      return more.length === 0 && datagram?.sound === true && data.equals(arrived ?? bytes(0));
    },
  ),
  100,
);
