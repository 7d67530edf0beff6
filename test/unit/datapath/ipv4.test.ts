/** The IPv4 header (RFC 791, RFC 1812): what is forwarded, what is not, and what the sender is told. */

import t from "tap";
import { checksum, type Ipv4Fields, icmp, ipv4Packet, numberOf, udp } from "../../harness/frame.js";
import { around, bareEdge, EXTERNAL, edge, SERVER, TENANT } from "../../harness/host.js";
import { type Document, Router } from "../../harness/router.js";

const PAYLOAD = udp({ sourcePort: 4562, destinationPort: 53, data: "data" });

/** What becomes of one packet of tenant a. */
function outcome(fields: Partial<Ipv4Fields>, document: Document = edge()) {
  const router = new Router(document);
  const { a } = around(router);
  const sent = a.sendPacket(
    ipv4Packet({ source: TENANT, destination: SERVER, payload: PAYLOAD, ...fields }),
  );
  return { router, sent, ended: Object.keys(router.ended) };
}

t.test("RFC 1812 S7: header length and total length", async (t) => {
  for (let words = 0; words < 16; words++) {
    const { ended } = outcome({ headerWords: words });
    // a longer header takes the payload for options, and its checksum no longer covers the header
    const expected = words < 5 || words * 4 > 32 ? "IpBadHeader" : "IpBadChecksum";
    t.same(ended, [words === 5 ? "Forwarded" : expected], `${words} words`);
  }
  for (const [totalBytes, reason] of [
    [0, "IpBadHeader"],
    [19, "IpBadHeader"],
    [20, "UdpBadHeader"],
    [27, "UdpBadHeader"],
    [28, "UdpBadHeader"],
    [31, "UdpBadHeader"],
    [33, "IpBadHeader"],
    [65535, "IpBadHeader"],
  ] as const) {
    t.same(outcome({ totalBytes }).ended, [reason], `total length ${totalBytes}`);
  }
});

t.test("RFC 1812 5.2.2: version", async (t) => {
  for (let version = 0; version < 16; version++) {
    t.same(outcome({ version }).ended, [version === 4 ? "Forwarded" : "IpBadHeader"]);
  }
});

t.test("RFC 1812 5.2.2: the header's checksum, off by any one bit", async (t) => {
  const packet = ipv4Packet({ source: TENANT, destination: SERVER, payload: PAYLOAD });
  const right = packet.readUInt16BE(10);
  for (let bit = 0; bit < 16; bit++) {
    t.same(outcome({ checksum: right ^ (1 << bit) }).ended, ["IpBadChecksum"]);
  }
});

t.test("RFC 1812 S6: options are carried as they are", async (t) => {
  for (const bytes of [4, 8, 40]) {
    const options = Buffer.alloc(bytes, 1);
    const { sent, ended } = outcome({ options });
    t.same(ended, ["Forwarded"]);
    const packet = sent[0]?.bytes.subarray(14) ?? Buffer.alloc(0);
    t.same(packet.subarray(20, 20 + bytes), options);
    t.equal(packet.length, 20 + bytes + 12);
  }
});

t.test("padding behind the packet is left behind", async (t) => {
  const router = new Router(edge());
  const { a } = around(router);
  const packet = ipv4Packet({ source: TENANT, destination: SERVER, payload: PAYLOAD });
  const [sent] = a.sendPacket(Buffer.concat([packet, Buffer.alloc(14, 0xee)]));
  t.equal(sent?.bytes.length, 14 + packet.length);
});

t.test("what is not ours to change arrives as it left", async (t) => {
  const fields = { tos: 0xff, identification: 0xffff, fragment: 0xc000, ttl: 255 };
  const { sent } = outcome(fields);
  const packet = sent[0]?.bytes.subarray(14) ?? Buffer.alloc(20);
  t.equal(packet[1], 0xff);
  t.equal(packet.readUInt16BE(4), 0xffff);
  t.equal(packet.readUInt16BE(6), 0xc000);
  t.equal(packet[8], 254);
});

t.test("fragments, by their flags and offset", async (t) => {
  for (const [fragment, ended] of [
    [0x2000, "IpBadHeader"],
    [0x0001, "FragmentHeld"],
    [0x1fff, "IpBadHeader"],
    [0x3fff, "IpBadHeader"],
    [0x4000, "Forwarded"],
    [0x8000, "Forwarded"],
  ] as const) {
    t.same(outcome({ fragment }).ended, [ended], fragment.toString(16));
  }
});

t.test("RFC 1812 S3: sources and destinations that nobody has", async (t) => {
  const nobody = [
    "0.0.0.0",
    "0.255.255.255",
    "127.0.0.1",
    "127.255.255.255",
    "169.254.0.1",
    "169.254.255.255",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.254",
    "255.255.255.255",
  ];
  for (const address of nobody) {
    t.same(outcome({ source: address }).ended, ["IpBadSource"], `from ${address}`);
    t.same(outcome({ destination: address }).ended, ["IpBadDestination"], `to ${address}`);
  }
  for (const address of ["1.0.0.0", "126.255.255.255", "128.0.0.0", "169.253.255.255"]) {
    t.same(outcome({ destination: address }).ended, ["Forwarded"], `to ${address}`);
  }
  t.same(outcome({ source: "223.255.255.255" }).ended, ["Forwarded"]);
});

t.test("RFC 1812 S5: the router's own address is nobody else's source", async (t) => {
  t.same(outcome({ source: "192.168.0.1" }).ended, ["IpBadSource"]);
});

t.test("RFC 1812 S4: a network's broadcast address is no source", async (t) => {
  const { ended, router } = outcome({ source: "192.168.0.255" });
  t.same(ended, ["IpBadSource"]);
  t.same(router.conns(), []);
});

t.test("RFC 1812 S4: not forwarded to a network's broadcast address (RFC 2644)", async (t) => {
  const { ended, router } = outcome({ destination: "203.0.113.255" });
  t.same(ended, ["IpBadDestination"]);
  t.same(router.conns(), []);
});

t.test("RFC 1812 S1; RFC 1812 S2: TTL is decremented; at its end the sender is told", async (t) => {
  for (const ttl of [2, 3, 64, 255]) {
    t.equal(outcome({ ttl }).sent[0]?.ip?.ttl, ttl - 1, `${ttl}`);
  }
  for (const ttl of [0, 1]) {
    const packet = ipv4Packet({ source: TENANT, destination: SERVER, payload: PAYLOAD, ttl });
    const { sent, ended, router } = outcome({ ttl });
    t.same(ended, ["TtlExceeded"]);
    const error = sent[0]?.ip;
    t.equal(sent[0]?.device, "lan-a");
    t.equal(error?.source, "192.168.0.1");
    t.equal(error?.destination, TENANT);
    t.same([error?.icmpType, error?.icmpCode], [11, 0]);
    t.same(error?.data, packet, "quotes the packet as it came");
    t.same(router.conns(), [], "and leaves no conn behind");
  }
});

t.test("time exceeded for a packet of a conn, from either side", async (t) => {
  const router = new Router(edge());
  const { a, server } = around(router);
  const [sent] = a.send(SERVER, PAYLOAD);
  const [inside] = a.send(SERVER, PAYLOAD, { ttl: 1 });
  t.equal(inside?.ip?.destination, TENANT);
  const [outside] = server.answer(sent, { ttl: 1 });
  t.equal(outside?.device, "wan");
  t.same([outside?.ip?.source, outside?.ip?.destination], ["203.0.113.2", SERVER]);
  t.same(outside?.ip?.data.readUInt32BE(16), numberOf(EXTERNAL), "the tenant stays hidden");
});

t.test("RFC 1812 4.3.2.3: an error quotes what fits into 576 bytes", async (t) => {
  for (const [data, quoted] of [
    [519, 547],
    [520, 548],
    [521, 548],
    [1400, 548],
  ] as const) {
    const payload = udp({ sourcePort: 1, destinationPort: 53, data });
    const { sent } = outcome({ payload, ttl: 1 });
    t.equal(sent[0]?.ip?.data.length, quoted);
    t.equal(sent[0]?.ip?.totalBytes, quoted + 28);
  }
});

t.test("RFC 1812 4.3.2.8: errors have a budget, per device", async (t) => {
  const router = new Router(edge());
  const { a, b } = around(router);
  const send = (host: typeof a) => host.send(SERVER, PAYLOAD, { ttl: 1 }).length;
  let errors = 0;
  for (let i = 0; i < 100; i++) errors += send(a);
  t.equal(errors, 50, "a burst");
  t.equal(send(b), 1, "another tenant has its own");
  router.wait(10);
  t.equal(send(a) + send(a), 1, "then one in 10 ms");
  router.wait(10_000);
  errors = 0;
  for (let i = 0; i < 100; i++) errors += send(a);
  t.equal(errors, 50, "the budget does not grow beyond a burst");
});

t.test(
  "the budget for errors is there from the first moment on, and survives the clock's wrap",
  async (t) => {
    for (const now of [0, 5, 2 ** 32 - 5]) {
      const router = new Router(edge(), { now });
      const { a } = around(router);
      t.equal(a.send(SERVER, PAYLOAD, { ttl: 1 }).length, 1, `at ${now}`);
      router.wait(20);
      t.equal(a.send(SERVER, PAYLOAD, { ttl: 1 }).length, 1, `at ${now + 20}`);
    }
  },
);

t.test("RFC 1812 5.2.7.1: no route", async (t) => {
  const document = { ...edge(), routes: [] };
  const { sent, ended, router } = outcome({ destination: "8.8.8.8" }, document);
  t.same(ended, ["NoRoute"]);
  t.same([sent[0]?.ip?.icmpType, sent[0]?.ip?.icmpCode], [3, 0]);
  t.same(router.conns(), []);
});

t.test("RFC 1191: too big and not to be fragmented", async (t) => {
  const devices = (edge().devices as Document[]).map((each) =>
    each.name === "wan" ? { ...each, mtu: 1000 } : each,
  );
  const document = edge({ devices });
  const of = (bytes: number) => udp({ sourcePort: 1, destinationPort: 53, data: bytes - 28 });
  t.same(outcome({ payload: of(1000), fragment: 0x4000 }, document).ended, ["Forwarded"]);
  const { sent, ended } = outcome({ payload: of(1001), fragment: 0x4000 }, document);
  t.same(ended, ["TooBig"]);
  t.same([sent[0]?.ip?.icmpType, sent[0]?.ip?.icmpCode], [3, 4]);
  t.equal(sent[0]?.ip?.payload.readUInt16BE(6), 1000, "the next hop's MTU");
  const cut = outcome({ payload: of(1001) }, document);
  t.same(cut.ended, ["Forwarded"]);
  t.equal(cut.sent.length, 2, "without DF it leaves in pieces");
});

t.test("RFC 1812 S8: no error about a packet that a host may not have sent", async (t) => {
  const { sent } = outcome({ source: "127.0.0.1", ttl: 1 });
  t.same(sent, []);
  const reject = bareEdge(["zone=a actions=reject"]);
  t.same(outcome({ source: "192.168.0.255" }, reject).sent, [], "nor to a broadcast address");
});

t.test("a packet for the router itself needs no TTL", async (t) => {
  const router = new Router(edge());
  const { a } = around(router);
  const request = { type: 8, identifier: 1 };
  const [reply] = a.send("192.168.0.1", icmp(request), { ttl: 1 });
  t.equal(reply?.ip?.icmpType, 0);
  t.equal(reply?.ip?.ttl, 64);
});

t.test("the checksum is right whatever the header's bits", async (t) => {
  const router = new Router(edge());
  const { a } = around(router);
  for (let identification = 0; identification < 65536; identification += 97) {
    for (const ttl of [2, 128, 255]) {
      const [sent] = a.send(SERVER, PAYLOAD, { identification, ttl, tos: identification & 255 });
      const header = sent?.bytes.subarray(14, 34) ?? Buffer.alloc(1);
      if (checksum(header) !== 0 || header.readUInt16BE(10) === 0xffff) {
        t.fail(`identification ${identification}, TTL ${ttl}`);
      }
    }
  }
});
