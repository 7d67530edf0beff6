/** RFC 5382: TCP behind a pool. Mapping, filtering and hairpin. */

import t from "tap";
import { TcpFlags } from "../harness/frame.js";
import { EXTERNAL, SERVER, TENANT } from "../harness/host.js";
import { BEHAVIOURS, checkBehaviour, isProhibited, nat, portOf, SECOND } from "../harness/nat.js";

t.test("RFC 5382 R1; RFC 5382 R3: each mapping with each filtering, for TCP", async (t) => {
  for (const mapping of BEHAVIOURS) {
    for (const filtering of BEHAVIOURS) checkBehaviour(t, "tcp", mapping, filtering);
  }
});

t.test("RFC 5382 R3a; RFC 5382 R3b; RFC 7857 S4: each protocol has its own policy", async (t) => {
  const filtering = { udp: "endpoint-independent", tcp: "address-and-port-dependent" };
  const mapping = { udp: "address-dependent", tcp: "endpoint-independent" };
  const { router, a, third } = nat({ filtering, mapping });
  const udp = portOf(a.udp(SERVER, 1, 53));
  const tcp = portOf(a.tcp(SERVER, 1, 80, TcpFlags.Syn));
  t.not(portOf(a.udp(SECOND, 1, 53)), udp);
  t.equal(portOf(a.tcp(SECOND, 1, 80, TcpFlags.Syn)), tcp);
  t.equal(third.udp(EXTERNAL, 9, udp)[0]?.device, "lan-a");
  t.same(third.tcp(EXTERNAL, 9, tcp, TcpFlags.Syn), []);
  t.equal(router.ended.Forwarded, undefined);
});

t.test("RFC 5382 R7: no two inside endpoints have one external endpoint", async (t) => {
  const { a, b } = nat({ ports: "5000-5003" });
  const given = [1, 2].flatMap((port) => [
    portOf(a.tcp(SERVER, port, 80, TcpFlags.Syn)),
    portOf(b.tcp(SECOND, port, 81, TcpFlags.Syn)),
  ]);
  t.same(given.sort(), [5000, 5001, 5002, 5003]);
  t.ok(isProhibited(a.tcp("8.8.8.8", 3, 80, TcpFlags.Syn)));
});

t.test("RFC 5382 R8; RFC 5382 R8a: two hosts connect by their external endpoints", async (t) => {
  const { a, b } = nat({ filtering: "endpoint-independent" });
  const port = portOf(b.tcp(SERVER, 80, 80, TcpFlags.Syn));
  const own = portOf(a.tcp(SERVER, 7, 80, TcpFlags.Syn));
  const [syn] = a.tcp(EXTERNAL, 7, port, TcpFlags.Syn);
  t.equal(
    `${syn?.device} ${syn?.ip?.destination}:${syn?.ip?.destinationPort}`,
    `lan-b ${TENANT}:80`,
  );
  t.equal(`${syn?.ip?.source}:${syn?.ip?.sourcePort}`, `${EXTERNAL}:${own}`);
  const [answer] = b.answer(syn);
  t.equal(answer?.device, "lan-a");
  t.equal(`${answer?.ip?.source}:${answer?.ip?.sourcePort}`, `${EXTERNAL}:${port}`);
  t.equal(a.tcp(EXTERNAL, 7, port, TcpFlags.Ack)[0]?.device, "lan-b");
});
