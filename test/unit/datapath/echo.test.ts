/** Packets for the router itself: it answers pings, in every zone, and serves nothing else. */

import t from "tap";
import { checksum, echoReply, icmp, TcpFlags } from "../../harness/frame.js";
import { around, EXTERNAL, edge } from "../../harness/host.js";
import { Router } from "../../harness/router.js";

t.test("RFC 1122 3.2.2.6: answers echo requests to its own address in every zone", async (t) => {
  const router = new Router(edge());
  const { a, b, server } = around(router);
  for (const [host, address] of [
    [a, "192.168.0.1"],
    [b, "192.168.0.1"],
    [server, "203.0.113.2"],
  ] as const) {
    const sent = host.ping(address, 77, "some data");
    t.same(router.ended, { Answered: 1 }, host.device);
    const [reply] = sent;
    t.equal(reply?.device, host.device);
    t.equal(reply?.to, host.mac);
    t.same([reply?.ip?.source, reply?.ip?.destination], [address, host.address]);
    t.same([reply?.ip?.icmpType, reply?.ip?.identifier], [0, 77]);
    t.equal(reply?.ip?.data.toString(), "some data");
  }
  t.same(router.conns(), [], "without a conn");
});

t.test("an echo request with options is answered with them", async (t) => {
  const router = new Router(edge());
  const { a } = around(router);
  const [reply] = a.send("192.168.0.1", icmp({ type: 8, identifier: 1 }), {
    options: Buffer.alloc(40, 1),
  });
  t.equal(reply?.ip?.icmpType, 0);
  t.equal(reply?.bytes[18], 0x4f);
});

t.test("RFC 1624: the reply's checksum is right whatever the request's was", async (t) => {
  const router = new Router(edge());
  const { a } = around(router);
  const frames = Array.from({ length: 65536 }, (_, i) =>
    a.frame("192.168.0.1", icmp({ type: 8, identifier: i, sequence: 0xf7ff, data: "" })),
  );
  const sent = router.send("lan-a", ...frames);
  t.equal(sent.length, 65536, "the router checked them all");
  const zero = icmp({ type: 8, identifier: 0, sequence: 0, data: 0 });
  const [reply] = a.send("192.168.0.1", zero);
  t.equal(reply?.ip?.payload.readUInt16BE(2), 0xffff, "an all-zero reply");
});

t.test("a wrong checksum stays wrong", async (t) => {
  const router = new Router(edge(), { hostile: true });
  const { a } = around(router);
  const request = a.frame("192.168.0.1", icmp({ type: 8, identifier: 3, data: "x" }));
  const right = request.readUInt16BE(18 + 22);
  const frames = [];
  for (let wrong = 0; wrong < 65536; wrong++) {
    if (wrong === right) continue;
    const bytes = Buffer.from(request);
    bytes.writeUInt16BE(wrong, 18 + 22);
    frames.push(bytes);
  }
  const sent = router.send("lan-a", ...frames);
  const laundered = sent.filter(({ ip }) => checksum(ip?.payload ?? Buffer.alloc(0)) === 0);
  t.equal(laundered.length, 0);
});

t.test("nothing else is served", async (t) => {
  const router = new Router(edge());
  const { a } = around(router);
  const unserved = () => t.same(router.ended, { LocalUnserved: 1 });
  t.same(a.udp("192.168.0.1", 1, 53), []);
  unserved();
  t.same(a.tcp("192.168.0.1", 1, 22, TcpFlags.Syn), []);
  unserved();
  t.same(a.send("192.168.0.1", echoReply(1)), []);
  unserved();
});

t.test("a zone's address is not another zone's, nor is a pool's a host", async (t) => {
  const router = new Router(edge());
  const { a, server } = around(router);
  t.same(server.ping(EXTERNAL, 1), [], "the pool's address does not answer");
  t.same(a.ping("203.0.113.2", 1), [], "the wan's address is reached from the wan only");
  t.same(router.ended, { Hairpin: 1 });
  t.same(a.ping(EXTERNAL, 1), []);
  t.same(router.ended, { Hairpin: 1 });
  t.same(router.conns(), []);
});

t.test("a flow can refuse what is for the router", async (t) => {
  const router = new Router(edge({ flows: ["zone=a,icmp,nw_dst=192.168.0.1 actions=drop"] }));
  const { a, b } = around(router);
  t.same(a.ping("192.168.0.1", 1), []);
  t.same(router.ended, { FlowDrop: 1 });
  t.equal(b.ping("192.168.0.1", 1).length, 1);
});
