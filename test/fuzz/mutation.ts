/** One round of frames that nobody sends: sound ones with a few bytes, a length or a field spoiled. */

import {
  echoReply,
  echoRequest,
  frame,
  icmpError,
  ipv4Packet,
  type Payload,
  packetOf,
  raw,
  tcp,
  udp,
} from "../harness/frame.js";
import { around, EXTERNAL, edge, SERVER, TENANT } from "../harness/host.js";
import { Router } from "../harness/router.js";
import type { Tally } from "./isolation.js";
import { Random } from "./random.js";

const FRAMES = 400;
/** What fields are set to. */
const EXTREMES = [0, 1, 0x7f, 0x80, 0xff, 0x45, 0x4f, 0x08, 0x06];

/** A router with conns of every protocol, and the frames that are sound there, by device. */
export function soundFrames(router: Router): { device: string; bytes: Buffer }[] {
  const { a, b, server } = around(router);
  const payloads: Payload[] = [
    udp({ sourcePort: 4562, destinationPort: 53, data: "question" }),
    udp({ sourcePort: 4562, destinationPort: 53, data: "question", checksum: 0 }),
    tcp({ sourcePort: 4562, destinationPort: 80, flags: 2, options: Buffer.alloc(8, 1) }),
    tcp({ sourcePort: 4562, destinationPort: 80, flags: 16, data: "more" }),
    echoRequest(77),
    echoReply(77),
    raw(47, "some other protocol"),
  ];
  const options = { options: Buffer.alloc(8, 1) };
  const inward = payloads.flatMap((payload) => {
    const sent = a.send(SERVER, payload);
    const { ip } = sent[0] ?? {};
    const port = ip?.sourcePort || ip?.identifier || 5000;
    const quoted = sent.slice(0, 1).map(packetOf);
    return [
      ...quoted.map((packet) => server.frame(EXTERNAL, icmpError({ type: 3, quoted: packet }))),
      server.frame(EXTERNAL, udp({ sourcePort: 53, destinationPort: port, data: "answer" })),
      server.frame(EXTERNAL, tcp({ sourcePort: 80, destinationPort: port, flags: 18 })),
      server.frame(EXTERNAL, echoReply(port)),
    ];
  });
  const tagged = { to: router.macOf("lan-a"), from: a.mac, vlans: [10, 11] };
  const packet = ipv4Packet({ source: TENANT, destination: SERVER, payload: echoRequest(1) });
  return [
    ...payloads.flatMap((payload) => [
      { device: "lan-a", bytes: a.frame(SERVER, payload) },
      { device: "lan-b", bytes: b.frame(SERVER, payload, options) },
      { device: "lan-a", bytes: a.frame("192.168.0.1", payload) },
      { device: "lan-a", bytes: a.frame(SERVER, payload, { ttl: 1 }) },
    ]),
    ...inward.map((bytes) => ({ device: "wan", bytes })),
    { device: "lan-a", bytes: frame(tagged, packet) },
    { device: "lan-a", bytes: a.arp({ target: "192.168.0.1" }) },
    { device: "lan-a", bytes: a.arp({ operation: 2, target: "192.168.0.1" }) },
    { device: "wan", bytes: server.arp({ target: EXTERNAL, sender: "0.0.0.0" }) },
  ];
}

/** Throws where the datapath traps or breaks one of the Router's invariants. */
export function mutationRound(seed: number): Tally {
  const random = new Random(seed);
  const router = new Router(edge({ neighbors: random.chance(0.5) ? [] : edge().neighbors }), {
    seed,
    hostile: true,
  });
  const frames = soundFrames(router);
  for (let i = 0; i < FRAMES; i++) {
    const { device, bytes } = random.pick(frames);
    const spoiled = spoil(random, bytes);
    if (random.chance(0.5)) router.sendAtEnd(device, spoiled);
    else if (random.chance(0.2)) {
      const tci = random.pick([0, 10, 11, 100, 0xffff]);
      router.sendBeside(device, { tci, service: random.chance(0.2) }, spoiled);
    } else router.send(device, spoiled);
    if (random.chance(0.02)) router.wait(random.pick([10, 1000, 100_000]));
  }
  return router.reasons();
}

function spoil(random: Random, bytes: Buffer): Buffer {
  const spoiled = random.chance(0.3)
    ? Buffer.from(bytes.subarray(0, random.below(bytes.length + 1)))
    : Buffer.concat([bytes, random.chance(0.2) ? random.bytes(random.below(40)) : Buffer.alloc(0)]);
  for (let i = random.below(4); i > 0 && spoiled.length > 0; i--) {
    const at = random.below(spoiled.length);
    spoiled[at] = random.chance(0.5) ? random.pick(EXTREMES) : random.below(256);
  }
  if (random.chance(0.7)) mendHeader(spoiled);
  return spoiled;
}

/** Makes the IPv4 checksum right again, where there is a header, so that the frame gets further. */
export function mendHeader(bytes: Buffer): void {
  let at = 12;
  while (at + 2 <= bytes.length && [0x8100, 0x88a8].includes(bytes.readUInt16BE(at))) at += 4;
  const header = at + 2;
  const size = ((bytes[header] ?? 0) & 15) * 4;
  if (size < 20 || header + size > bytes.length || bytes.readUInt16BE(at) !== 0x0800) return;
  bytes.writeUInt16BE(0, header + 10);
  let sum = 0;
  for (let i = 0; i < size; i += 2) sum += bytes.readUInt16BE(header + i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  bytes.writeUInt16BE(~sum & 0xffff, header + 10);
}
