/** IP identification where a source is shared: RFC 6864, RFC 7857 section 9. */

import t from "tap";
import { cutEvery } from "../harness/fragments.js";
import { ipv4Packet, type Payload, udp } from "../harness/frame.js";
import { around, edge, SERVER, TENANT } from "../harness/host.js";
import { Router, type Sent } from "../harness/router.js";

function udpOf(length: number, sourcePort = 4562): Payload {
  return udp({ sourcePort, destinationPort: 53, data: length });
}

t.test(
  "RFC 6864 S1; RFC 7857 S9: IP identification unique where a new source is shared",
  async (t) => {
    const router = new Router(edge());
    const { a, b } = around(router);
    const seen = new Set<number>();
    const count = 65_536;
    for (let i = 0; i < count; i += 256) {
      const frames = Array.from({ length: 256 }, (_, n) => {
        const host = n % 2 === 0 ? a : b;
        const bytes = host.frame(SERVER, udpOf(4, 1000 + (n % 16)), { identification: 77 });
        return { device: host.device, bytes };
      });
      for (const { ip } of router.sendTogether(frames)) seen.add(ip?.identification ?? -1);
    }
    t.equal(seen.size, count, "no identification twice within 65,536 datagrams");
  },
);

t.test(
  "RFC 6864 S2: atomic datagrams keep theirs, and so do answers and routed packets",
  async (t) => {
    const router = new Router(edge());
    const { a, server } = around(router);
    const id = (sent: readonly Sent[]) => sent[0]?.ip?.identification;
    t.equal(id(a.send(SERVER, udpOf(4), { identification: 9, fragment: 0x4000 })), 9);
    const sent = a.send(SERVER, udpOf(4), { identification: 9 });
    t.not(id(sent), 9);
    t.equal(id(server.answer(sent[0], { identification: 1234 })), 1234);
    t.equal(id(server.answer(sent[0], { identification: 1234, fragment: 0x4000 })), 1234);
    const routed = new Router(edge({ nat: [], flows: ["zone=a actions=route(zone=public)"] }));
    t.equal(id(around(routed).a.send(SERVER, udpOf(4), { identification: 9 })), 9);
  },
);

t.test(
  "RFC 6864 S1: DF does not make a fragment atomic; a datagram's pieces keep one",
  async (t) => {
    const router = new Router(edge());
    const { a, b } = around(router);
    const ids = new Set<number>();
    for (const host of [a, b]) {
      for (const flags of [0, 0x4000]) {
        const sent = cutEvery(
          ipv4Packet({
            source: TENANT,
            destination: SERVER,
            payload: udpOf(3000),
            fragment: flags,
          }),
          1024,
        ).flatMap((each) => host.sendPacket(each));
        const own = new Set(sent.map(({ ip }) => ip?.identification ?? -1));
        t.equal(own.size, 1);
        t.ok(sent.every(({ ip }) => ip?.dontFragment === (flags !== 0)));
        ids.add([...own][0] ?? -1);
      }
    }
    t.equal(ids.size, 4);
  },
);

t.test("RFC 7857 S9: where identifications begin depends on the seed", async (t) => {
  const first = (seed: number) =>
    around(new Router(edge(), { seed })).a.send(SERVER, udpOf(4))[0]?.ip?.identification;
  t.equal(first(1), first(1));
  t.not(first(1), first(2));
});
