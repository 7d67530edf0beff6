/** RFC 5508: ICMP by external addresses of ours, and what is said when there is nothing left. */

import t from "tap";
import { icmp, icmpError, packetOf } from "../harness/frame.js";
import { EXTERNAL, SERVER, TENANT } from "../harness/host.js";
import { BEHAVIOURS, checkBehaviour, isProhibited, nat, portOf } from "../harness/nat.js";

const WHOLE = "203.0.113.20";
const FORWARDS = [
  { protocol: "any", zone: "public", address: WHOLE, to: { zone: "b", address: TENANT } },
];

t.test("RFC 5508 R1a: each mapping with each filtering, for identifiers", async (t) => {
  for (const mapping of BEHAVIOURS) {
    for (const filtering of BEHAVIOURS) checkBehaviour(t, "icmp", mapping, filtering);
  }
});

t.test("RFC 5508 R7: a query turns round at an address that is forwarded whole", async (t) => {
  const { a, b, server } = nat({}, { forwards: FORWARDS });
  const [asked] = a.ping(WHOLE, 77);
  t.equal(`${asked?.device} ${asked?.ip?.source}`, `lan-b ${EXTERNAL}`);
  t.equal(asked?.ip?.destination, TENANT);
  const [answer] = b.answer(asked);
  t.equal(`${answer?.device} ${answer?.ip?.source} ${answer?.ip?.identifier}`, `lan-a ${WHOLE} 77`);
  t.equal(server.ping(WHOLE, 5)[0]?.device, "lan-b", "from outside as well");
  t.equal(b.ping(SERVER, 6)[0]?.ip?.source, WHOLE, "and its own leave from there");
});

t.test("RFC 5508 R7a; RFC 7857 S10: so does an error about a hairpinned packet", async (t) => {
  const { router, a, b } = nat({ filtering: "endpoint-independent" });
  const port = portOf(b.udp(SERVER, 9, 53));
  const [sent] = a.udp(EXTERNAL, 4562, port);
  if (sent === undefined) throw new Error("nothing turned round");
  const [error] = b.send(
    sent.ip?.source ?? 0,
    icmpError({ type: 3, code: 3, quoted: packetOf(sent) }),
  );
  t.equal(error?.device, "lan-a");
  t.equal(`${error?.ip?.source} ${error?.ip?.destination}`, `${EXTERNAL} ${TENANT}`);
  const quoted = error?.ip?.payload.subarray(8);
  t.equal(quoted?.readUInt16BE(20), 4562);
  t.equal(quoted?.readUInt16BE(22), port);
  t.equal(router.conns().length, 2, "and ends nothing");
});

t.test("RFC 5508 R7: a query to an address that only a pool has reaches nobody", async (t) => {
  for (const filtering of BEHAVIOURS) {
    const { router, a, b, server } = nat({ filtering, ports: "13-15" });
    b.ping(SERVER, 1);
    b.ping(SERVER, 2);
    const before = router.conns().length;
    t.same(a.ping(EXTERNAL, 13), []);
    t.same(a.send(EXTERNAL, icmp({ type: 13, identifier: 9, data: 12 })), [], "13 is no port here");
    t.same(server.send(EXTERNAL, icmp({ type: 13, identifier: 9, data: 12 })), []);
    t.equal(router.conns().length, before);
  }
});

t.test("RFC 5508 R8: who gets no mapping because of a limit is told", async (t) => {
  const { router, a, b } = nat({ ports: "5000-5000" });
  t.equal(portOf(a.ping(SERVER, 1)), 5000);
  const told = b.ping(SERVER, 1);
  t.ok(isProhibited(told));
  t.equal(told[0]?.device, "lan-b");
  t.same(router.ended, { PoolExhausted: 1 });
});

t.test("RFC 5508 R9: or not, by policy", async (t) => {
  const { router, a, b } = nat({ ports: "5000-5000" }, { icmp: { exhaustion: false } });
  a.ping(SERVER, 1);
  t.same(b.ping(SERVER, 1), []);
  t.same(router.ended, { PoolExhausted: 1 });
});
