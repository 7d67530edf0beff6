/** RFC 5508: ICMP through the translation, queries and errors. */

import t from "tap";
import {
  checksum,
  hopped,
  icmp,
  icmpError,
  ipv4Packet,
  mended,
  type Payload,
  Protocol,
  packetOf,
  raw,
  TcpFlags,
  tcp,
  udp,
} from "../harness/frame.js";
import {
  around,
  bareEdge,
  EXTERNAL,
  edge,
  Host,
  SERVER,
  staticNeighbor,
  TENANT,
} from "../harness/host.js";
import { Router, type Sent } from "../harness/router.js";

const HOP = "198.51.100.77";

function timestamp(type: 13 | 14, identifier: number): Payload {
  return icmp({
    type,
    identifier,
    sequence: 7,
    data: Buffer.from("0102030405060708090a0b0c", "hex"),
  });
}

/** What a tenant sends, and how it looks in the public zone. */
function sentBy(host: Host, payload: Payload, extras = {}) {
  const packet = ipv4Packet({ source: host.address, destination: SERVER, payload, ...extras });
  const [out] = host.sendPacket(packet);
  if (out === undefined) throw new Error(JSON.stringify(host.router.ended));
  return { packet, out, quoted: packetOf(out) };
}

/** What an error quotes, as it left. */
function quotedIn(sent: Sent | undefined): Buffer {
  return Buffer.from(sent?.ip?.payload.subarray(8) ?? "");
}

/** An edge whose tenants' hosts answer as well: a forward leads to tenant a. */
function forwarded() {
  const to = { zone: "a", address: TENANT, port: 80 };
  return edge({
    forwards: [{ protocol: "tcp", zone: "public", address: "203.0.113.2", port: 8080, to }],
  });
}

t.test("RFC 5508 R1: queries pass, echo and timestamp, each reply to its asker", async (t) => {
  const router = new Router(edge());
  const { a, b, server } = around(router);
  for (const host of [a, b]) {
    const [echo] = host.ping(SERVER, 500);
    const [asked] = host.send(SERVER, timestamp(13, 500));
    t.same([echo?.ip?.icmpType, asked?.ip?.icmpType], [8, 13]);
    t.equal(echo?.ip?.identifier, asked?.ip?.identifier, "two conns of one endpoint");
    const [ponged] = server.answer(echo);
    t.same([ponged?.device, ponged?.ip?.icmpType, ponged?.ip?.identifier], [host.device, 0, 500]);
    const [told] = server.send(EXTERNAL, timestamp(14, asked?.ip?.identifier ?? 0));
    t.same([told?.device, told?.ip?.icmpType, told?.ip?.identifier], [host.device, 14, 500]);
    t.same(told?.ip?.data, asked?.ip?.data, "the rest is as it was");
  }
  t.equal(router.conns().length, 4);
});

t.test("RFC 5508 R1: a reply is one to a query of its own kind", async (t) => {
  const router = new Router(edge());
  const { a, server } = around(router);
  const [echo] = a.ping(SERVER, 500);
  t.same(server.send(EXTERNAL, timestamp(14, echo?.ip?.identifier ?? 0)), []);
  const flows = ["icmp,tp_src=13,zone=a actions=drop"];
  const strict = new Router(edge({ flows }));
  const tenant = around(strict).a;
  t.equal(tenant.ping(SERVER, 500).length, 1);
  t.same(tenant.send(SERVER, timestamp(13, 500)), [], "not by the verdict on the echo");
  t.same(strict.ended, { FlowDrop: 1 });
});

t.test(
  "RFC 5508 R1: a conn of timestamps outlives a new configuration that allows it",
  async (t) => {
    const flow = "zone=a,icmp,tp_src=13 actions=nat(src_zone=a,dst_zone=public,masq=p1)";
    const router = new Router(bareEdge([flow]));
    const { a } = around(router);
    const [first] = a.send(SERVER, timestamp(13, 5));
    router.reconfigure(bareEdge([flow, "zone=b actions=drop"]));
    router.wait(10);
    const [second] = a.send(SERVER, timestamp(13, 5));
    t.equal(second?.ip?.identifier, first?.ip?.identifier);
  },
);

t.test("RFC 5508 R2: a query is remembered for 60 seconds, or as configured", async (t) => {
  for (const [timeouts, seconds] of [
    [{}, 60],
    [{ icmp: 90 }, 90],
  ] as const) {
    const router = new Router(edge({ timeouts }));
    const { a, server } = around(router);
    const [out] = a.send(SERVER, timestamp(13, 500));
    router.wait(seconds * 1000 - 1);
    t.equal(server.send(EXTERNAL, timestamp(14, out?.ip?.identifier ?? 0)).length, 1);
    router.wait(seconds * 1000 + 1000);
    t.same(router.conns(), []);
  }
});

t.test("RFC 5508 R3: an error with a wrong ICMP checksum is dropped", async (t) => {
  const router = new Router(edge());
  const { a, server } = around(router);
  const { quoted } = sentBy(a, udp({ sourcePort: 1, destinationPort: 53, data: "question" }));
  const good = icmpError({ type: 3, code: 3, quoted }).bytes(0, 0);
  for (let bit = 0; bit < 8 * good.length; bit++) {
    const spoiled = Buffer.from(good);
    spoiled[bit >> 3] = (spoiled[bit >> 3] as number) ^ (1 << (bit & 7));
    t.same(server.send(EXTERNAL, raw(Protocol.Icmp, spoiled)), []);
    // a type that is no error any more is judged as what it says it is
    if (bit >= 8) t.same(router.ended, { IcmpBadChecksum: 1 }, `bit ${bit}`);
  }
  t.equal(server.send(EXTERNAL, raw(Protocol.Icmp, good)).length, 1);
});

t.test("RFC 5508 R3a: an error with a wrong embedded header is dropped", async (t) => {
  const router = new Router(edge());
  const { a, server } = around(router);
  const { quoted } = sentBy(a, udp({ sourcePort: 1, destinationPort: 53, data: "question" }));
  const error = (spoil: (packet: Buffer) => void, mend = true) => {
    const spoiled = Buffer.from(quoted);
    spoil(spoiled);
    const message = icmpError({ type: 3, code: 3, quoted: mend ? mended(spoiled) : spoiled });
    t.same(server.send(EXTERNAL, message), []);
    t.same(router.ended, { IcmpBadEmbedded: 1 });
  };
  for (let byte = 0; byte < 20; byte++) {
    const spoil = (packet: Buffer) => {
      packet[byte] = (packet[byte] as number) ^ 0x10;
    };
    // 0x10 in the first byte is another version, in the checksum another sum: found out either way
    error(spoil, false);
  }
  error((packet) => packet.writeUInt8(0x65, 0));
  error((packet) => packet.writeUInt8(0x44, 0));
  error((packet) => packet.writeUInt16BE(19, 2));
  error((packet) => packet.writeUInt16BE(27, 2));
  for (const bytes of [0, 1, 19, 20, 27]) {
    t.same(server.send(EXTERNAL, icmpError({ type: 3, quoted: quoted.subarray(0, bytes) })), []);
    t.same(router.ended, { IcmpBadEmbedded: 1 }, `${bytes} bytes`);
  }
});

t.test("RFC 5508 R3b: options of the embedded header are skipped", async (t) => {
  const router = new Router(edge());
  const { a, server } = around(router);
  for (const words of [1, 5, 10]) {
    const options = Buffer.alloc(4 * words, 1);
    const payload = udp({ sourcePort: words, destinationPort: 53, data: "question" });
    const { packet, quoted } = sentBy(a, payload, { options });
    const [error] = server.send(EXTERNAL, icmpError({ type: 3, code: 3, quoted }));
    t.same(quotedIn(error), hopped(packet), `${words} words`);
  }
});

t.test("RFC 5508 R3c: a wrong or missing embedded transport checksum is no matter", async (t) => {
  const router = new Router(edge());
  const { a, server } = around(router);
  const { packet, quoted } = sentBy(a, udp({ sourcePort: 1, destinationPort: 53, data: "some" }));
  const spoiled = (bytes: Buffer) => {
    const copy = Buffer.from(bytes);
    copy.fill("x", 28);
    return copy;
  };
  const [wrong] = server.send(EXTERNAL, icmpError({ type: 3, quoted: spoiled(quoted) }));
  t.same(quotedIn(wrong), spoiled(hopped(packet)), "stays as wrong as it was");
  const ports = { sourcePort: 2, destinationPort: 53 };
  const unsummed = sentBy(a, udp({ ...ports, data: "some", checksum: 0 }));
  const [none] = server.send(EXTERNAL, icmpError({ type: 3, quoted: unsummed.quoted }));
  t.same(quotedIn(none), hopped(unsummed.packet), "0 stays 0");
});

t.test("RFC 5508 R3d: RFC 4884 extensions are kept out of it", async (t) => {
  const router = new Router(edge());
  const { a, server } = around(router);
  // A label stack object as RFC 4950 has it.
  const extension = Buffer.from("2000f2a700080101 00010140".replaceAll(" ", ""), "hex");
  for (const type of [3, 11, 12]) {
    const { packet, quoted } = sentBy(
      a,
      tcp({ sourcePort: type, destinationPort: 80, flags: TcpFlags.Syn, data: 100 }),
    );
    const long = icmpError({ type, quoted: quoted.subarray(0, 128), extension });
    const [error] = server.send(EXTERNAL, long);
    t.same(quotedIn(error).subarray(0, 128), hopped(packet).subarray(0, 128));
    t.same(quotedIn(error).subarray(128), extension);
    t.equal(error?.ip?.payload[5], 32, "the length field stays");
    // Where the quoted datagram is too short to have a checksum, nothing of the extension is taken for it.
    const short = icmpError({ type, quoted: quoted.subarray(0, 28), extension });
    const [brief] = server.send(EXTERNAL, short);
    t.same(quotedIn(brief), Buffer.concat([hopped(packet).subarray(0, 28), extension]));
    const none = icmpError({ type, quoted: quoted.subarray(0, 24), extension });
    t.same(server.send(EXTERNAL, none), []);
    t.same(router.ended, { IcmpBadEmbedded: 1 }, "fewer bytes than an error must quote");
  }
});

t.test("RFC 5508 R4: an error from outside about nothing known is dropped", async (t) => {
  const router = new Router(edge());
  const { a, server } = around(router);
  const { out, quoted } = sentBy(a, udp({ sourcePort: 1, destinationPort: 53, data: "some" }));
  const port = out.ip?.sourcePort ?? 0;
  const others = [
    {
      source: EXTERNAL,
      destination: SERVER,
      payload: udp({ sourcePort: port ^ 1, destinationPort: 53 }),
    },
    {
      source: EXTERNAL,
      destination: SERVER,
      payload: udp({ sourcePort: port, destinationPort: 54 }),
    },
    { source: EXTERNAL, destination: HOP, payload: udp({ sourcePort: port, destinationPort: 53 }) },
    {
      source: EXTERNAL,
      destination: SERVER,
      payload: tcp({ sourcePort: port, destinationPort: 53, flags: 2 }),
    },
    { source: EXTERNAL, destination: SERVER, payload: icmp({ type: 8, identifier: port }) },
    { source: EXTERNAL, destination: SERVER, payload: raw(47, "12345678") },
    { source: EXTERNAL, destination: SERVER, payload: raw(33, "12345678") },
  ];
  for (const each of others) {
    const error = icmpError({ type: 3, code: 3, quoted: ipv4Packet(each) });
    t.same(server.send(EXTERNAL, error), []);
    t.same(router.ended, { IcmpUnrelated: 1 });
  }
  const later = Buffer.from(quoted);
  later.writeUInt16BE(1, 6);
  t.same(server.send(EXTERNAL, icmpError({ type: 11, code: 1, quoted: mended(later) })), []);
  t.same(router.ended, { IcmpUnrelated: 1 }, "a later fragment has no ports");
  t.same(server.send("203.0.113.2", icmpError({ type: 3, quoted })), []);
  t.same(router.ended, { IcmpUnrelated: 1 }, "an error goes to the sender of what it quotes");
  t.equal(router.conns().length, 1);
});

t.test("RFC 5508 R4a, R4b, R4c: an error from outside, un-translated", async (t) => {
  const payloads: [string, Payload][] = [
    ["UDP", udp({ sourcePort: 4562, destinationPort: 53, data: "question" })],
    ["TCP", tcp({ sourcePort: 4562, destinationPort: 80, flags: TcpFlags.Syn, data: "x" })],
    ["echo", icmp({ type: 8, identifier: 500, sequence: 9, data: "ping" })],
    ["timestamp", timestamp(13, 500)],
    ["GRE", raw(Protocol.Gre, "some other protocol")],
    ["SCTP", raw(Protocol.Sctp, Buffer.from("0001000200000003000000040102", "hex"))],
    ["empty", raw(Protocol.Gre, "")],
  ];
  const types = [
    { type: 3, code: 0 },
    { type: 3, code: 4, rest: 1280 },
    { type: 3, code: 13 },
    { type: 11, code: 0 },
    { type: 11, code: 1 },
    { type: 12, code: 0, rest: 0x14000000 },
  ];
  for (const [name, payload] of payloads) {
    const router = new Router(edge());
    const { a, server } = around(router);
    const { packet, quoted } = sentBy(a, payload);
    for (const kind of types) {
      const sent = server.send(EXTERNAL, icmpError({ ...kind, quoted }), { source: HOP, ttl: 9 });
      t.same(router.ended, { Forwarded: 1 }, name);
      const [error] = sent;
      t.same([error?.device, error?.to], ["lan-a", a.mac]);
      t.same([error?.ip?.source, error?.ip?.destination], [HOP, TENANT], "R4c");
      t.same([error?.ip?.icmpType, error?.ip?.icmpCode], [kind.type, kind.code], "R4b");
      t.equal(error?.ip?.payload.readUInt32BE(4), kind.rest ?? 0, "MTU and pointer are kept");
      t.equal(error?.ip?.ttl, 8);
      t.same(quotedIn(error), hopped(packet), "R4a: byte for byte what the tenant sent");
    }
  }
});

t.test("RFC 5508 R4a: eight bytes behind the header are enough", async (t) => {
  const router = new Router(edge());
  const { a, server } = around(router);
  const payload = tcp({ sourcePort: 4562, destinationPort: 80, flags: TcpFlags.Syn });
  const { packet, quoted } = sentBy(a, payload);
  for (let bytes = 28; bytes <= quoted.length; bytes++) {
    // half a checksum stays as it is
    if (bytes === 37) continue;
    const error = icmpError({ type: 11, quoted: quoted.subarray(0, bytes) });
    const [sent] = server.send(EXTERNAL, error, { source: HOP });
    t.same(quotedIn(sent), hopped(packet).subarray(0, bytes), `${bytes} bytes`);
  }
  // What a link below filled up, or a hop put behind the packet, is no part of it.
  const filled = Buffer.concat([quoted, Buffer.from("more")]);
  const [sent] = server.send(EXTERNAL, icmpError({ type: 11, quoted: filled }));
  t.same(quotedIn(sent), Buffer.concat([hopped(packet), Buffer.from("more")]));
});

t.test("RFC 5508 R5: an error from inside about an answer", async (t) => {
  const router = new Router(edge());
  const { a, server } = around(router);
  const out = a.udp(SERVER, 4562, 53)[0];
  const port = out?.ip?.sourcePort ?? 0;
  const answer = ipv4Packet({
    source: SERVER,
    destination: EXTERNAL,
    payload: udp({ sourcePort: 53, destinationPort: port, data: "answer" }),
  });
  const [back] = server.sendPacket(answer);
  if (back === undefined) throw new Error("no answer");
  const inner = new Host(router, "lan-a", "192.168.0.77");
  for (const hop of [a, inner]) {
    const error = icmpError({ type: 3, code: 3, quoted: packetOf(back) });
    const [sent] = hop.send(SERVER, error);
    t.same([sent?.device, sent?.to], ["wan", server.mac]);
    t.equal(sent?.ip?.destination, SERVER, "R4c");
    t.equal(sent?.ip?.source, EXTERNAL, "R5c: whoever sent it is hidden");
    t.same([sent?.ip?.icmpType, sent?.ip?.icmpCode], [3, 3]);
    t.same(quotedIn(sent), hopped(answer));
  }
  const { b } = around(router);
  t.same(b.send(SERVER, icmpError({ type: 3, code: 3, quoted: packetOf(back) })), []);
  t.same(router.ended, { IcmpUnrelated: 1 }, "the other tenant has no such conn");
});

t.test("RFC 5508 R5: errors about what came in by a forward", async (t) => {
  const router = new Router(forwarded());
  const { a, server } = around(router);
  const syn = ipv4Packet({
    source: SERVER,
    destination: "203.0.113.2",
    payload: tcp({ sourcePort: 9, destinationPort: 8080, flags: TcpFlags.Syn }),
  });
  const [inward] = server.sendPacket(syn);
  if (inward === undefined) throw new Error("no forward");
  const [refused] = a.send(SERVER, icmpError({ type: 3, code: 13, quoted: packetOf(inward) }));
  t.same([refused?.device, refused?.ip?.source], ["wan", "203.0.113.2"], "R5c");
  t.same(quotedIn(refused), hopped(syn));
  const answer = ipv4Packet({
    source: TENANT,
    destination: SERVER,
    payload: tcp({ sourcePort: 80, destinationPort: 9, flags: TcpFlags.Syn | TcpFlags.Ack }),
  });
  const [outward] = a.sendPacket(answer);
  if (outward === undefined) throw new Error("no answer");
  const about = icmpError({ type: 11, quoted: packetOf(outward) });
  const [expired] = server.send("203.0.113.2", about, { source: HOP });
  t.same([expired?.device, expired?.ip?.source, expired?.ip?.destination], ["lan-a", HOP, TENANT]);
  t.same(quotedIn(expired), hopped(answer));
});

t.test("RFC 5508 R5: between zones without translation everybody is shown", async (t) => {
  const flows = [
    "zone=a,nw_dst=10.0.0.0/8 actions=route(zone=b)",
    "zone=b actions=nat(reverse,zone=b)",
  ];
  const routes = [{ zone: "b", to: "10.0.0.0/8", via: "192.168.0.9" }];
  const neighbors = [staticNeighbor("a", 10, TENANT), staticNeighbor("b", 11, "192.168.0.9")];
  const router = new Router(bareEdge(flows, { routes, neighbors }));
  const { a, b } = around(router);
  const packet = ipv4Packet({
    source: TENANT,
    destination: "10.1.2.3",
    payload: udp({ sourcePort: 1, destinationPort: 2, data: "x" }),
  });
  const [out] = a.sendPacket(packet);
  if (out === undefined) throw new Error(JSON.stringify(router.ended));
  const [sent] = b.send(TENANT, icmpError({ type: 11, quoted: packetOf(out) }), {
    source: "10.9.9.9",
  });
  t.same([sent?.device, sent?.ip?.source, sent?.ip?.destination], ["lan-a", "10.9.9.9", TENANT]);
  t.same(quotedIn(sent), hopped(packet));
});

t.test("RFC 5508 R6: errors neither refresh, nor end, nor count for a conn", async (t) => {
  const router = new Router(edge());
  const { a, server } = around(router);
  const payload = tcp({ sourcePort: 1, destinationPort: 80, flags: TcpFlags.Syn });
  const { quoted, out } = sentBy(a, payload);
  const [answer] = server.answer(out);
  a.tcp(SERVER, 1, 80, TcpFlags.Ack);
  const inward = packetOf(answer as Sent);
  router.wait(5000);
  const before = router.conns();
  for (const type of [3, 11, 12]) {
    for (let code = 0; code < 16; code++) {
      t.equal(server.send(EXTERNAL, icmpError({ type, code, quoted })).length, 1);
      t.equal(a.send(SERVER, icmpError({ type, code, quoted: inward })).length, 1);
    }
  }
  t.same(router.conns(), before);
  t.equal(a.tcp(SERVER, 1, 80, TcpFlags.Ack).length, 1, "and it goes on");
});

t.test("RFC 5508 R6: an error does not decide for the conn, nor revoke it", async (t) => {
  const router = new Router(edge());
  const { a, server } = around(router);
  const { quoted } = sentBy(a, udp({ sourcePort: 1, destinationPort: 53 }));
  router.reconfigure(edge({ nat: [] }));
  t.same(server.send(EXTERNAL, icmpError({ type: 3, quoted })), []);
  t.same(router.ended, { ConnRevoked: 1 });
  t.equal(router.conns().length, 1, "the sweep, or a packet of its own, ends it");
  router.wait(10);
  t.same(router.conns(), []);
});

t.test("RFC 5508 R8: a policy that refuses is told by 3/13", async (t) => {
  const router = new Router(edge({ flows: ["zone=a,udp,tp_dst=25 actions=reject"] }));
  const { a } = around(router);
  const packet = ipv4Packet({
    source: TENANT,
    destination: SERVER,
    payload: udp({ sourcePort: 1, destinationPort: 25 }),
  });
  const [error] = a.sendPacket(packet);
  t.same([error?.ip?.icmpType, error?.ip?.icmpCode], [3, 13]);
  t.same(quotedIn(error), packet);
});

t.test("RFC 5508 R9: a policy may suppress errors", async (t) => {
  const router = new Router(edge({ flows: ["zone=public,conn_state=+related actions=drop"] }));
  const { a, server } = around(router);
  const { quoted, out } = sentBy(a, udp({ sourcePort: 1, destinationPort: 53 }));
  t.equal(server.answer(out).length, 1, "answers pass");
  t.same(server.send(EXTERNAL, icmpError({ type: 3, quoted })), []);
  t.same(router.ended, { FlowDrop: 1 });
  t.equal(server.answer(out).length, 1, "still");
});

t.test("RFC 5508 R10: unreachable and time exceeded of every code pass", async (t) => {
  const router = new Router(edge());
  const { a, server } = around(router);
  const { packet, quoted } = sentBy(a, udp({ sourcePort: 1, destinationPort: 53 }));
  for (const type of [3, 11]) {
    for (let code = 0; code < 256; code++) {
      const [error] = server.send(EXTERNAL, icmpError({ type, code, quoted }), { source: HOP });
      t.same([error?.ip?.icmpType, error?.ip?.icmpCode], [type, code]);
      t.same(quotedIn(error), hopped(packet));
    }
  }
});

t.test("RFC 5508 R11: other ICMP is dropped, source quench and redirects too", async (t) => {
  const router = new Router(edge());
  const { a, server } = around(router);
  const { quoted } = sentBy(a, udp({ sourcePort: 1, destinationPort: 53 }));
  for (let type = 0; type < 256; type++) {
    if ([0, 3, 8, 11, 12, 13, 14].includes(type)) continue;
    t.same(server.send(EXTERNAL, icmpError({ type, quoted })), []);
    t.same(router.ended, { IcmpUnsupported: 1 }, `type ${type}`);
  }
  for (const type of [3, 4, 5, 11, 12]) {
    const about = ipv4Packet({
      source: EXTERNAL,
      destination: SERVER,
      payload: icmpError({ type, quoted }),
    });
    t.same(server.send(EXTERNAL, icmpError({ type: 3, quoted: about })), []);
    t.same(router.ended, { IcmpBadEmbedded: 1 }, `an error about an error of type ${type}`);
  }
  t.equal(checksum(quoted.subarray(0, 20)), 0);
});
