/** The property that must never break, over random configurations and traffic (test/fuzz). */

import t from "tap";
import { isolationRound } from "../../fuzz/isolation.js";
import { Oracle, Violation } from "../../fuzz/oracle.js";
import { fuzz } from "../../fuzz/run.js";
import { icmpError, numberOf, packetOf, udp } from "../../harness/frame.js";
import { around, EXTERNAL, edge, SERVER, TENANT } from "../../harness/host.js";
import { Router } from "../../harness/router.js";

const SEED = 20_000;

t.test("no packet reaches another zone but through what names both", async (t) => {
  const { failures, tallies } = fuzz(SEED, 150, ["isolation"]);
  for (const { error, command } of failures) t.fail(command, { error });
  const reasons = ["Forwarded", "HeldSent", "ConnRevoked", "PoolExhausted", "NoFlow"];
  const ways = ["straight", "turned", "inward", "errorsPassed"];
  for (const reason of [...reasons, ...ways, "IcmpUnrelated", "Filtered", "Hairpin"]) {
    t.ok((tallies.isolation?.[reason] ?? 0) > 0, `${reason} happened`);
  }
});

t.test("a round can be repeated", async (t) => {
  t.same(isolationRound(SEED), isolationRound(SEED));
});

/** A tenant's first packet on its way out, marked for the oracle. */
function sentOut() {
  const router = new Router(edge());
  const oracle = new Oracle(router.config, 1000);
  const { a, server } = around(router);
  const wire = {
    protocol: 17,
    source: numberOf(TENANT),
    destination: numberOf(SERVER),
    sourcePort: 4562,
    destinationPort: 53,
  };
  const data = oracle.mark(router.device("lan-a"), wire, 0);
  const [out] = a.send(SERVER, udp({ sourcePort: 4562, destinationPort: 53, data }));
  if (out === undefined) throw new Error("nothing left");
  return { router, oracle, server, wire, out };
}

t.test("the oracle notices a packet that leaves in the wrong zone", async (t) => {
  const { router, oracle, server, wire, out } = sentOut();
  t.throws(() => oracle.check({ ...out, device: "lan-b" }), Violation, "not the public zone");
  t.doesNotThrow(() => oracle.check(out));
  const back = {
    protocol: 17,
    source: wire.destination,
    destination: numberOf(EXTERNAL),
    sourcePort: 53,
    destinationPort: out.ip?.sourcePort ?? 0,
  };
  const answer = oracle.mark(router.device("wan"), back, 0);
  const ports = { sourcePort: 53, destinationPort: back.destinationPort };
  const [reply] = server.send(EXTERNAL, udp({ ...ports, data: answer }));
  if (reply === undefined) throw new Error("no answer");
  t.throws(() => oracle.check({ ...reply, device: "lan-b" }), Violation, "the other tenant");
  t.doesNotThrow(() => oracle.check(reply));
});

t.test("the oracle notices one endpoint given to two tenants", async (t) => {
  const router = new Router(edge());
  const oracle = new Oracle(router.config, 1000);
  const { a, b } = around(router);
  const wire = {
    protocol: 17,
    source: numberOf(TENANT),
    destination: numberOf(SERVER),
    sourcePort: 4562,
    destinationPort: 53,
  };
  const ports = { sourcePort: 4562, destinationPort: 53 };
  const [first] = a.send(
    SERVER,
    udp({ ...ports, data: oracle.mark(router.device("lan-a"), wire, 0) }),
  );
  const markB = oracle.mark(router.device("lan-b"), wire, 0);
  const [second] = b.send(SERVER, udp({ ...ports, data: markB }));
  if (first?.ip === undefined || second?.ip === undefined) throw new Error("nothing left");
  oracle.check(first);
  const twice = { ...second, ip: { ...second.ip, sourcePort: first.ip.sourcePort } };
  t.doesNotThrow(() => oracle.check(second));
  t.throws(() => oracle.check(twice), Violation);
});

t.test(
  "the oracle notices an error that leaves in the wrong zone, or un-translated wrongly",
  async (t) => {
    const { router, oracle, server, out } = sentOut();
    oracle.check(out);
    const quoted = packetOf(out);
    const extension = oracle.markError(router.device("wan"), quoted, 0);
    const [error] = server.send(EXTERNAL, icmpError({ type: 11, quoted, extension }));
    if (error?.ip === undefined) throw new Error("the error did not pass");
    const { ip } = error;
    t.throws(() => oracle.check({ ...error, device: "lan-b" }), Violation, "the other tenant");
    t.throws(() => oracle.check({ ...error, device: "wan" }), Violation, "its own zone");
    const elsewhere = { ...ip, destination: "192.168.0.11" };
    t.throws(() => oracle.check({ ...error, ip: elsewhere }), Violation, "another host");
    const payload = Buffer.from(ip.payload);
    payload.writeUInt16BE(4563, 28);
    t.throws(() => oracle.check({ ...error, ip: { ...ip, payload } }), Violation, "another port");
    t.doesNotThrow(() => oracle.check(error));
  },
);

t.test("the router notices a host of another zone behind a device", async (t) => {
  const neighbors = [{ zone: "public", address: SERVER, mac: "06:00:0b:00:00:01" }];
  const { a } = around(new Router(edge({ neighbors })));
  t.throws(() => a.udp(SERVER, 1, 53), /sent in zone 20 to a host of zone 11/);
});
