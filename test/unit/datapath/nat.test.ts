/** The one rule, protocol by protocol: a packet leaves as the mirror of its conn's other tuple. */

import t from "tap";
import {
  checksum,
  echoReply,
  icmp,
  Protocol,
  raw,
  TcpFlags,
  tcp,
  udp,
} from "../../harness/frame.js";
import { around, EXTERNAL, edge, Host, SERVER, TENANT } from "../../harness/host.js";
import { Router } from "../../harness/router.js";

t.test("UDP: out with an external endpoint, back to the tenant", async (t) => {
  const router = new Router(edge());
  const { a, server } = around(router);
  const [out] = a.udp(SERVER, 4562, 53, "question");
  t.equal(out?.device, "wan");
  t.equal(out?.to, server.mac);
  t.same([out?.ip?.source, out?.ip?.destination], [EXTERNAL, SERVER]);
  t.equal(out?.ip?.destinationPort, 53);
  t.ok((out?.ip?.sourcePort ?? 0) >= 1024);
  t.equal(out?.ip?.data.toString(), "question");
  const [back] = server.answer(out);
  t.equal(back?.device, "lan-a");
  t.equal(back?.to, a.mac);
  t.same([back?.ip?.source, back?.ip?.destination], [SERVER, TENANT]);
  t.same([back?.ip?.sourcePort, back?.ip?.destinationPort], [53, 4562]);
  const [conn] = router.conns();
  t.same(conn?.original, {
    zone: 10,
    source: TENANT,
    sourcePort: 4562,
    destination: SERVER,
    destinationPort: 53,
  });
  t.same(conn?.reply, {
    zone: 20,
    source: SERVER,
    sourcePort: 53,
    destination: EXTERNAL,
    destinationPort: out?.ip?.sourcePort,
  });
  t.same([conn?.originalPackets, conn?.replyPackets], [1, 1]);
  t.same([conn?.originalBytes, conn?.replyBytes], [36, 34]);
});

t.test("a conn keeps its endpoint, another conn gets another", async (t) => {
  const router = new Router(edge());
  const { a } = around(router);
  const port = (source: number, destination: number) =>
    a.udp(SERVER, source, destination)[0]?.ip?.sourcePort;
  const first = port(1, 53);
  t.equal(port(1, 53), first);
  t.not(port(2, 53), first);
  t.not(port(1, 54), first);
  t.equal(router.conns().length, 3);
});

t.test("RFC 1624 S2: a UDP checksum of 0 stays 0, both ways", async (t) => {
  const router = new Router(edge());
  const { a, server } = around(router);
  const none = { data: "data", checksum: 0 } as const;
  const [out] = a.send(SERVER, udp({ sourcePort: 1, destinationPort: 53, ...none }));
  t.equal(out?.ip?.payload.readUInt16BE(6), 0);
  const destinationPort = out?.ip?.sourcePort ?? 0;
  const [back] = server.send(EXTERNAL, udp({ sourcePort: 53, destinationPort, ...none }));
  t.equal(back?.ip?.payload.readUInt16BE(6), 0);
});

t.test("RFC 1624 S3: a computed UDP checksum of 0 leaves as FFFF", async (t) => {
  const router = new Router(edge());
  const { a } = around(router);
  const frames = Array.from({ length: 65536 }, (_, i) => {
    const data = Buffer.alloc(2);
    data.writeUInt16BE(i);
    return a.frame(SERVER, udp({ sourcePort: 1, destinationPort: 53, data }));
  });
  const sent = router.send("lan-a", ...frames);
  t.equal(sent.length, 65536);
  const sums = sent.map(({ ip }) => ip?.payload.readUInt16BE(6));
  t.ok(sums.includes(0xffff));
  t.notOk(sums.includes(0));
});

t.test("RFC 1624 S1: every TCP checksum that there can be", async (t) => {
  const router = new Router(edge());
  const { a, server } = around(router);
  server.answer(a.tcp(SERVER, 1, 80, TcpFlags.Syn)[0]);
  const frames = Array.from({ length: 65536 }, (_, i) => {
    const data = Buffer.alloc(2);
    data.writeUInt16BE(i);
    const numbers = { sequence: 1001, acknowledgment: 1001 };
    const ports = { sourcePort: 1, destinationPort: 80 };
    return a.frame(SERVER, tcp({ ...ports, ...numbers, flags: 16, data }));
  });
  t.equal(router.send("lan-a", ...frames).length, 65536, "the router checked them all");
});

t.test("TCP: ports and addresses change, nothing else does", async (t) => {
  const router = new Router(edge());
  const { a, server } = around(router);
  const options = Buffer.from("020405b401030307", "hex");
  const fields = { flags: TcpFlags.Syn, sequence: 0xfffffff0, options, data: "" };
  const [out] = a.send(SERVER, tcp({ sourcePort: 10000, destinationPort: 80, ...fields }));
  t.equal(out?.ip?.payload.readUInt32BE(4), 0xfffffff0);
  t.same(out?.ip?.payload.subarray(20), options);
  const [back] = server.answer(out);
  t.equal(back?.ip?.destinationPort, 10000);
  t.equal(back?.ip?.payload[13], TcpFlags.Syn | TcpFlags.Ack);
});

t.test("RFC 5508 R1: ICMP echo by identifier", async (t) => {
  const router = new Router(edge());
  const { a, b, server } = around(router);
  const [first] = a.ping(SERVER, 500);
  const [second] = b.ping(SERVER, 500);
  t.same([first?.ip?.source, first?.ip?.icmpType], [EXTERNAL, 8]);
  t.not(first?.ip?.identifier, second?.ip?.identifier);
  const [backB] = server.answer(second);
  t.same([backB?.device, backB?.ip?.identifier], ["lan-b", 500]);
  const [backA] = server.answer(first);
  t.same([backA?.device, backA?.ip?.identifier, backA?.ip?.icmpType], ["lan-a", 500, 0]);
  t.equal(backA?.ip?.data.toString(), "ping");
});

t.test("ICMP echo with identifier 0 is one like any other", async (t) => {
  const router = new Router(edge());
  const { a, server } = around(router);
  const [out] = a.ping(SERVER, 0);
  t.ok((out?.ip?.identifier ?? 0) >= 1024);
  const [back] = server.answer(out);
  t.same([back?.device, back?.ip?.identifier], ["lan-a", 0]);
  const again = a.send(SERVER, echoReply(0));
  t.same(again, [], "an echo reply of the asker's is no request");
});

t.test("RFC 1624 S1: every ICMP checksum, that of an all-zero message included", async (t) => {
  const router = new Router(edge());
  const { a, server } = around(router);
  const frames = Array.from({ length: 65536 }, (_, sequence) =>
    a.frame(SERVER, icmp({ type: 8, identifier: 9, sequence, data: "" })),
  );
  const sent = router.send("lan-a", ...frames);
  t.equal(sent.length, 65536);
  const identifier = sent[0]?.ip?.identifier ?? 0;
  const replies = Array.from({ length: 65536 }, (_, sequence) =>
    server.frame(EXTERNAL, icmp({ type: 0, identifier, sequence, data: "" })),
  );
  t.equal(router.send("wan", ...replies).length, 65536);
  const [out] = a.ping(SERVER, 0, "\0\0");
  const zero = icmp({ type: 0, identifier: out?.ip?.identifier ?? 0, sequence: 0, data: 2 });
  const reply = server.frame(EXTERNAL, zero);
  reply.fill(0, 14 + 20 + 8);
  reply.writeUInt16BE(0, 14 + 22);
  reply.writeUInt16BE(checksum(reply.subarray(34)), 14 + 22);
  const [back] = router.send("wan", reply);
  t.same(back?.ip?.payload, Buffer.from("0000ffff000000000000", "hex"));
});

t.test("a wrong checksum stays wrong, for the receiver to find", async (t) => {
  const router = new Router(edge(), { hostile: true });
  const { a, server } = around(router);
  server.answer(a.tcp(SERVER, 1, 80, TcpFlags.Syn)[0]);
  const cases = [
    { name: "TCP", at: 16, payload: a.segment(SERVER, 1, 80, TcpFlags.Ack) },
    { name: "UDP", at: 6, payload: udp({ sourcePort: 1, destinationPort: 53, data: "data" }) },
    { name: "ICMP", at: 2, payload: icmp({ type: 8, identifier: 9, data: "data" }) },
  ];
  for (const { name, at, payload } of cases) {
    const good = a.frame(SERVER, payload);
    const place = 18 + 20 + at;
    const right = good.readUInt16BE(place);
    const frames = [];
    for (let sum = name === "UDP" ? 1 : 0; sum < 65536; sum++) {
      // 0 and FFFF are the same number in the sum's arithmetic
      if (sum === right || (sum % 0xffff === 0 && right % 0xffff === 0)) continue;
      const bytes = Buffer.from(good);
      bytes.writeUInt16BE(sum, place);
      frames.push(bytes);
    }
    const sent = router.send("lan-a", ...frames);
    t.equal(sent.length, frames.length, name);
    t.equal(sent.filter(({ ip }) => ip?.sound).length, 0, name);
  }
});

t.test("other protocols by address alone, where that is unambiguous", async (t) => {
  const router = new Router(edge());
  const { a, b, server } = around(router);
  for (const protocol of [Protocol.Gre, 50, 0, 255]) {
    const [out] = a.send(SERVER, raw(protocol, "some bytes"));
    t.same(router.ended, { Forwarded: 1 }, `protocol ${protocol}`);
    t.same([out?.ip?.source, out?.ip?.payload.toString()], [EXTERNAL, "some bytes"]);
    const [back] = server.answer(out);
    t.same([back?.device, back?.ip?.destination], ["lan-a", TENANT]);
    t.same(b.send(SERVER, raw(protocol, "")), []);
    t.same(router.ended, { ProtocolAmbiguous: 1 }, "the server could not tell the two apart");
  }
  const elsewhere = b.send("203.0.113.98", raw(Protocol.Gre, "to another server"));
  t.equal(elsewhere.filter(({ arp }) => arp === undefined).length, 0);
  t.same(router.ended, { Held: 1 }, "another server can");
  const { reasons } = router.counters();
  t.equal(reasons.ProtocolAmbiguous, 4);
  for (const protocol of [33, 136]) {
    a.send(SERVER, raw(protocol, 40));
    t.same(router.ended, { ProtocolUnsupported: 1 }, "its checksum covers the addresses");
  }
});

t.test("SCTP by address, told apart by ports that stay", async (t) => {
  const router = new Router(edge());
  const { a, b, server } = around(router);
  const sctp = (source: number, destination: number) => {
    const bytes = Buffer.alloc(16);
    bytes.writeUInt16BE(source, 0);
    bytes.writeUInt16BE(destination, 2);
    return raw(Protocol.Sctp, bytes);
  };
  const [out] = a.send(SERVER, sctp(7, 9));
  t.same([out?.ip?.source, out?.ip?.payload.readUInt16BE(0)], [EXTERNAL, 7]);
  t.equal(server.send(EXTERNAL, sctp(9, 7))[0]?.device, "lan-a");
  b.send(SERVER, sctp(7, 9));
  t.same(router.ended, { ProtocolAmbiguous: 1 });
  t.equal(b.send(SERVER, sctp(8, 9)).length, 1);
  t.equal(server.send(EXTERNAL, sctp(9, 8))[0]?.device, "lan-b");
  for (let bytes = 0; bytes < 12; bytes++) {
    a.send(SERVER, raw(Protocol.Sctp, bytes));
    t.same(router.ended, { SctpBadHeader: 1 }, `${bytes} bytes`);
  }
});

t.test("an ambiguous protocol takes another address of the pool", async (t) => {
  const pools = [{ name: "p1", zone: "public", addresses: ["203.0.113.40-203.0.113.43"] }];
  const router = new Router(edge({ pools }));
  const { a } = around(router);
  const sources = [10, 11, 12, 13].map((host) => {
    const [out] = a.send(SERVER, raw(Protocol.Gre, ""), { source: `192.168.0.${host}` });
    return out?.ip?.source;
  });
  t.equal(new Set(sources).size, 4);
  a.send(SERVER, raw(Protocol.Gre, ""), { source: "192.168.0.14" });
  t.same(router.ended, { ProtocolAmbiguous: 1 });
});

t.test("what begins no conn", async (t) => {
  const router = new Router(edge());
  const { a, server } = around(router);
  const { Syn, Ack, Rst, Fin, Psh } = TcpFlags;
  for (const flags of [0, Ack, Syn | Ack, Rst, Rst | Ack, Fin, Syn | Fin, Syn | Rst, Psh]) {
    a.tcp(SERVER, 1, 80, flags);
    t.same(router.ended, { TcpNotSyn: 1 }, `flags ${flags}`);
  }
  a.send(SERVER, echoReply(1));
  t.same(router.ended, { EchoNotRequest: 1 });
  a.send(SERVER, icmp({ type: 14, data: 12 }));
  t.same(router.ended, { EchoNotRequest: 1 });
  for (let type = 0; type < 256; type++) {
    if ([0, 3, 8, 11, 12, 13, 14].includes(type)) continue;
    a.send(SERVER, icmp({ type, data: 28 }));
    t.same(router.ended, { IcmpUnsupported: 1 }, `ICMP type ${type}`);
  }
  t.same(server.udp(EXTERNAL, 53, 40000), []);
  t.same(router.ended, { NoFlow: 1 }, "nobody asked for this");
  t.same(server.send(TENANT, udp({ sourcePort: 1, destinationPort: 2 })), []);
  t.same(router.conns(), []);
});

t.test("RFC 4787 R8: only the endpoint that was sent to may answer", async (t) => {
  const router = new Router(edge());
  const { a, server } = around(router);
  const [out] = a.udp(SERVER, 4562, 53);
  const port = out?.ip?.sourcePort ?? 0;
  t.same(server.udp(EXTERNAL, 54, port), [], "another port");
  t.same(new Host(router, "wan", "203.0.113.98").udp(EXTERNAL, 53, port), [], "another host");
  t.same(server.tcp(EXTERNAL, 53, port, TcpFlags.Syn), [], "another protocol");
  t.same(a.udp(EXTERNAL, 53, port), [], "from the tenant's side");
  t.equal(server.udp(EXTERNAL, 53, port).length, 1);
});

t.test("transport headers that contradict themselves", async (t) => {
  const router = new Router(edge());
  const { a } = around(router);
  for (let dataOffset = 0; dataOffset < 5; dataOffset++) {
    a.send(SERVER, tcp({ sourcePort: 1, destinationPort: 80, flags: 2, dataOffset }));
    t.same(router.ended, { TcpBadHeader: 1 });
  }
  a.send(SERVER, tcp({ sourcePort: 1, destinationPort: 80, flags: 2, dataOffset: 6 }));
  t.same(router.ended, { TcpBadHeader: 1 }, "options that are not there");
  for (const length of [0, 7, 13, 65535]) {
    a.send(SERVER, udp({ sourcePort: 1, destinationPort: 53, data: "data", length }));
    t.same(router.ended, { UdpBadHeader: 1 }, `length ${length}`);
  }
  for (const [protocol, bytes, reason] of [
    [Protocol.Tcp, 19, "TcpBadHeader"],
    [Protocol.Udp, 7, "UdpBadHeader"],
    [Protocol.Icmp, 7, "IcmpBadHeader"],
    [Protocol.Tcp, 0, "TcpBadHeader"],
    [Protocol.Udp, 0, "UdpBadHeader"],
    [Protocol.Icmp, 0, "IcmpBadHeader"],
  ] as const) {
    a.send(SERVER, raw(protocol, bytes));
    t.same(router.ended, { [reason]: 1 });
  }
});

t.test("ports at their extremes", async (t) => {
  const router = new Router(edge());
  const { a, server } = around(router);
  for (const [source, destination] of [
    [0, 0],
    [0, 65535],
    [65535, 0],
    [65535, 65535],
  ] as const) {
    const [out] = a.udp(SERVER, source, destination);
    const [back] = server.answer(out);
    t.same([back?.ip?.sourcePort, back?.ip?.destinationPort], [destination, source]);
  }
});

t.test("a packet to itself comes to no harm", async (t) => {
  const router = new Router(edge({ nat: [], flows: ["zone=a actions=route(zone=a)"] }));
  const { a } = around(router);
  const land = udp({ sourcePort: 7, destinationPort: 7, data: "land" });
  const sent = a.send(TENANT, land);
  t.equal(sent[0]?.ip?.source, TENANT);
  t.equal(sent[0]?.device, "lan-a");
  a.send(TENANT, land);
  router.wait(400_000);
  t.same(router.conns(), []);
});
