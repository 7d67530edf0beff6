/**
 * Views believe no length. Bytes behind `available` belong to somebody else: what a view says must not change
 * with them, and a payload must end before them.
 */

import fc from "fast-check";
import t from "tap";
import { AT, internals } from "../harness/internals.js";
import { holds } from "../harness/property.js";

const wasm = await internals();

type View = readonly [
  name: string,
  fits: (at: number, available: number) => number,
  getters: readonly ((at: number) => number)[],
  end: (at: number) => number,
];

const VIEWS: readonly View[] = [
  [
    "Ethernet",
    wasm.ethernetFits,
    [wasm.ethernetType, wasm.ethernetIsBroadcast, wasm.ethernetIsMulticast],
    wasm.ethernetPayload,
  ],
  ["Vlan", wasm.vlanFits, [wasm.vlanTci, wasm.vlanId, wasm.vlanInnerType], wasm.vlanPayload],
  [
    "Arp",
    wasm.arpFits,
    [wasm.arpWellFormed, wasm.arpOperation, wasm.arpSenderAddress, wasm.arpTargetAddress],
    (at) => at + 28,
  ],
  [
    "Ipv4",
    wasm.ipv4Fits,
    [
      wasm.ipv4HeaderSumIsRight,
      wasm.ipv4TotalBytes,
      wasm.ipv4Tos,
      wasm.ipv4Identification,
      wasm.ipv4Fragment,
      wasm.ipv4Ttl,
      wasm.ipv4Protocol,
      wasm.ipv4Source,
      wasm.ipv4Destination,
    ],
    (at) => wasm.ipv4Payload(at) + wasm.ipv4PayloadBytes(at),
  ],
  [
    "Tcp",
    wasm.tcpFits,
    [
      wasm.tcpSourcePort,
      wasm.tcpDestinationPort,
      wasm.tcpSequence,
      wasm.tcpAcknowledgment,
      wasm.tcpFlags,
      wasm.tcpWindow,
      wasm.tcpChecksum,
    ],
    (at) => at + wasm.tcpHeaderBytes(at),
  ],
  [
    "Udp",
    wasm.udpFits,
    [wasm.udpSourcePort, wasm.udpDestinationPort, wasm.udpChecksum],
    (at) => at + wasm.udpLength(at),
  ],
  [
    "Icmp",
    wasm.icmpFits,
    [wasm.icmpType, wasm.icmpCode, wasm.icmpChecksum, wasm.icmpIdentifier, wasm.icmpSequence],
    (at) => at + 8,
  ],
];

/** Bytes that are often nearly a header: a likely first byte, likely lengths. */
const bytes = fc
  .tuple(
    fc.uint8Array({ maxLength: 100 }),
    fc.constantFrom(undefined, 0x45, 0x46, 0x4f, 0x44),
    fc.option(fc.nat(110), { nil: undefined }),
    fc.constantFrom(undefined, 0x50, 0x60, 0xf0, 0x40),
  )
  .map(([bytes, first, length, offset]) => {
    if (first !== undefined && bytes.length > 0) bytes[0] = first;
    if (length !== undefined && bytes.length > 5) bytes.set([0, length, 0, length], 2);
    if (offset !== undefined && bytes.length > 12) bytes[12] = offset;
    return bytes;
  });

for (const [name, fits, getters, end] of VIEWS) {
  let fitting = 0;
  holds(
    t,
    `${name}: a view that fits stays inside`,
    fc.property(bytes, (bytes) => {
      const readings = [0x00, 0xff, 0x45].map((poison) => {
        wasm.bytes.fill(poison, AT, AT + 256);
        wasm.bytes.set(bytes, AT);
        if (!fits(AT, bytes.length)) return "does not fit";
        fitting++;
        if (end(AT) > AT + bytes.length) throw new Error("ends behind what is there");
        return getters.map((get) => get(AT)).join();
      });
      return new Set(readings).size === 1;
    }),
    1000,
  );
  t.test(`${name}: enough of them fitted to mean something`, async (t) => {
    t.ok(process.env.PROPERTY !== undefined || fitting > 60, `${fitting}`);
  });
}
