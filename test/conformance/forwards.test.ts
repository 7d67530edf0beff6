/** Ports and addresses that lead inside. */

import t from "tap";
import { TcpFlags } from "../harness/frame.js";
import { EXTERNAL, SERVER, TENANT } from "../harness/host.js";
import { nat, portOf, SECOND } from "../harness/nat.js";

const WHOLE = "203.0.113.20";
const to = { zone: "b", address: TENANT };
const at = (protocol: string, port: number | string, target: object) => ({
  forwards: [{ protocol, zone: "public", address: EXTERNAL, port, to: target }],
});

t.test("peers P38: a single port leads inside, and its answers out", async (t) => {
  const { router, b, server } = nat({}, at("tcp", 8080, { ...to, port: 80 }));
  const [syn] = server.tcp(EXTERNAL, 4562, 8080, TcpFlags.Syn);
  t.equal(
    `${syn?.device} ${syn?.ip?.destination}:${syn?.ip?.destinationPort}`,
    `lan-b ${TENANT}:80`,
  );
  const [answer] = b.answer(syn);
  t.equal(
    `${answer?.device} ${answer?.ip?.source}:${answer?.ip?.sourcePort}`,
    `wan ${EXTERNAL}:8080`,
  );
  t.same(server.udp(EXTERNAL, 4562, 8080), [], "that protocol alone");
  t.same(router.mappings(), []);
});

t.test("peers P38: a range keeps its order; neither port beside it", async (t) => {
  const { server } = nat({}, at("udp", "8000-8010", { ...to, port: 9000 }));
  for (const port of [8000, 8005, 8010]) {
    const [sent] = server.udp(EXTERNAL, 1, port);
    t.equal(sent?.ip?.destinationPort, port + 1000);
  }
  t.same(server.udp(EXTERNAL, 1, 7999), []);
  t.same(server.udp(EXTERNAL, 1, 8011), []);
});

t.test("peers P38: a whole address, both ways, ICMP included", async (t) => {
  const forwards = [{ protocol: "any", zone: "public", address: WHOLE, to }];
  const { router, a, b, server } = nat({}, { forwards });
  const [udp] = server.udp(WHOLE, 1, 53);
  t.equal(
    `${udp?.device} ${udp?.ip?.destination}:${udp?.ip?.destinationPort}`,
    `lan-b ${TENANT}:53`,
  );
  t.equal(b.answer(udp)[0]?.ip?.source, WHOLE);
  const [ping] = server.ping(WHOLE, 77);
  t.equal(`${ping?.device} ${ping?.ip?.identifier}`, "lan-b 77");
  t.equal(b.answer(ping)[0]?.device, "wan");
  const [out] = b.udp(SECOND, 4562, 53);
  t.equal(`${out?.ip?.source}:${out?.ip?.sourcePort}`, `${WHOLE}:4562`, "its own leave from there");
  t.equal(b.ping(SECOND, 5)[0]?.ip?.identifier, 5);
  t.equal(a.udp(SECOND, 4562, 53)[0]?.ip?.source, EXTERNAL, "others do not");
  t.ok(router.ended.Forwarded);
});

t.test(
  "peers P39: a tenant reaches a forward by its external address, and is seen by its own",
  async (t) => {
    const { a, b } = nat({}, at("tcp", 8080, { ...to, port: 80 }));
    const own = portOf(a.tcp(SERVER, 7, 80, TcpFlags.Syn));
    for (const [host, seen] of [
      [a, own],
      [b, undefined],
    ] as const) {
      const [syn] = host.tcp(EXTERNAL, 7, 8080, TcpFlags.Syn);
      t.equal(`${syn?.device} ${syn?.ip?.source}`, `lan-b ${EXTERNAL}`);
      if (seen !== undefined) t.equal(syn?.ip?.sourcePort, seen);
      const [answer] = b.answer(syn);
      t.equal(`${answer?.device} ${answer?.ip?.sourcePort}`, `${host.device} 8080`);
    }
  },
);

t.test(
  "peers P39: a flow that rejects speaks before a forward, also to who turns round",
  async (t) => {
    const flows = ["priority=100,zone=public,tcp,tp_dst=8080,conn_state=-reply actions=reject"];
    const { router, a, server } = nat({}, { ...at("tcp", 8080, to), flows });
    t.equal(server.tcp(EXTERNAL, 1, 8080, TcpFlags.Syn)[0]?.ip?.icmpCode, 13);
    t.same(router.ended, { FlowReject: 1 });
    a.tcp(EXTERNAL, 1, 8080, TcpFlags.Syn);
    t.same(router.ended, { FlowReject: 1 });
    t.same(router.conns(), []);
  },
);
