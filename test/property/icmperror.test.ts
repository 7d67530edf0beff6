/**
 * ICMP errors whose quoted packet is cut anywhere and spoiled in any way: the datapath never reads beyond the
 * frame, every error ends with one Reason (the Router sees to both), and one that passes reaches the tenant
 * whose conn the quoted packet belongs to, as that tenant knows it.
 */

import fc from "fast-check";
import t from "tap";
import { formatAddress } from "../../host/config/address.js";
import type { ConnView } from "../../host/telemetry/conn.js";
import {
  echoRequest,
  icmpError,
  mended,
  Protocol,
  packetOf,
  raw,
  TcpFlags,
  tcp,
  udp,
} from "../harness/frame.js";
import { around, EXTERNAL, edge, SERVER } from "../harness/host.js";
import { holds } from "../harness/property.js";
import { Router } from "../harness/router.js";

/** A router with a conn of each protocol of each tenant: the packets as they left, and answers as they came. */
function busy() {
  const router = new Router(edge(), { hostile: true });
  const { a, b, server } = around(router);
  const payloads = [
    udp({ sourcePort: 4562, destinationPort: 53, data: "question" }),
    tcp({ sourcePort: 4562, destinationPort: 80, flags: TcpFlags.Syn, data: "x" }),
    echoRequest(500),
    raw(Protocol.Gre, "some other protocol"),
  ];
  const quotes = [a, b].flatMap((host) =>
    payloads.flatMap((payload) => {
      const [out] = host.send(SERVER, payload);
      // one external address serves one GRE conn
      if (out === undefined) return [];
      const [back] = server.answer(out);
      return [
        { from: server, to: EXTERNAL, packet: packetOf(out) },
        ...(back === undefined ? [] : [{ from: host, to: SERVER, packet: packetOf(back) }]),
      ];
    }),
  );
  return { router, quotes, conns: router.conns() };
}

const { router, quotes, conns } = busy();

const Spoiled = fc.record({
  which: fc.nat(quotes.length - 1),
  cut: fc.nat(70),
  flips: fc.array(fc.record({ at: fc.nat(39), bits: fc.integer({ min: 1, max: 255 }) }), {
    maxLength: 3,
  }),
  mend: fc.boolean(),
  type: fc.constantFrom(3, 4, 5, 11, 12),
  words: fc.option(fc.nat(255), { nil: undefined, freq: 2 }),
});

function endpoint(packet: Buffer, at: number, port: number): string {
  const address = formatAddress(packet.readUInt32BE(at));
  return `${packet[9]} ${address}:${port}`;
}

/** Both ends of a quoted packet, as long as it is one that has a conn here. */
function endsOf(packet: Buffer): [string, string] {
  const header = ((packet[0] ?? 0) & 15) * 4;
  const first = packet.length >= header + 8 ? packet.readUInt16BE(header) : 0;
  const second = packet.length >= header + 8 ? packet.readUInt16BE(header + 2) : 0;
  const identifier = packet.length >= header + 8 ? packet.readUInt16BE(header + 4) : 0;
  const asks = packet[header] === 8;
  const [source, destination] =
    packet[9] === Protocol.Icmp
      ? [asks ? identifier : 0, asks ? 0 : identifier]
      : packet[9] === Protocol.Gre
        ? [0, 0]
        : [first, second];
  return [endpoint(packet, 12, source ?? 0), endpoint(packet, 16, destination ?? 0)];
}

const NUMBERS: Record<string, number> = { icmp: 1, tcp: 6, udp: 17, gre: 47 };

/** Both ends of the packets that hit one tuple of a conn. */
function endsIn(conn: ConnView, tuple: ConnView["original"]): [string, string] {
  const number = NUMBERS[conn.protocol] ?? Number(conn.protocol);
  return [
    `${number} ${tuple.source}:${tuple.sourcePort}`,
    `${number} ${tuple.destination}:${tuple.destinationPort}`,
  ];
}

t.test("conns of every protocol are there", async (t) => {
  t.equal(conns.length, 7);
  t.equal(quotes.length, 14);
});

holds(
  t,
  "an error that quotes anything harms nobody, and reaches only the sender of what it quotes",
  fc.property(Spoiled, ({ which, cut, flips, mend, type, words }) => {
    const quote = quotes[which];
    if (quote === undefined) return;
    const { from, to, packet } = quote;
    const spoiled = Buffer.from(packet);
    for (const { at, bits } of flips) {
      if (at < spoiled.length) spoiled[at] = (spoiled[at] as number) ^ bits;
    }
    const quoted = (mend ? mended(spoiled) : spoiled).subarray(0, cut);
    const rest = words === undefined ? 0 : words << 16;
    const sent = router.sendAtEnd(from.device, from.frame(to, icmpError({ type, quoted, rest })));
    for (const each of sent) {
      const [zone, here] = [router.device(each.device).zone.id, router.device(from.device).zone.id];
      const left = endsOf(Buffer.from(each.ip?.payload.subarray(8) ?? "")).join();
      const came = endsOf(quoted).join();
      const known = conns.some((conn) => {
        const sides = [
          [conn.original, conn.reply],
          [conn.reply, conn.original],
        ] as const;
        return sides.some(
          ([hit, other]) =>
            hit.zone === here &&
            other.zone === zone &&
            endsIn(conn, hit).reverse().join() === came &&
            endsIn(conn, other).join() === left,
        );
      });
      if (!known) throw new Error(`nobody's: ${each.device} ${each.bytes.toString("hex")}`);
      const { destination } = each.ip ?? {};
      if (!left.includes(` ${destination}:`))
        throw new Error("not to the sender of what it quotes");
    }
  }),
  4000,
);

t.test("whole, every one of them passes; cut at any length, none does harm", async (t) => {
  for (const { from, to, packet } of quotes) {
    for (let bytes = 0; bytes <= packet.length; bytes++) {
      const error = icmpError({ type: 11, quoted: packet.subarray(0, bytes) });
      const sent = router.sendAtEnd(from.device, from.frame(to, error));
      t.equal(sent.length, bytes < 28 ? 0 : 1, `${bytes} bytes`);
      t.same(router.ended, { [bytes < 28 ? "IcmpBadEmbedded" : "Forwarded"]: 1 });
    }
  }
  t.same(
    router.conns().map(({ original }) => original),
    conns.map(({ original }) => original),
  );
});
