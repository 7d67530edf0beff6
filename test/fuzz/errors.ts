/** ICMP errors for the fuzzer: about packets that were seen, whole, cut or spoiled; and how to read the quote. */

import { icmpError, mended, type Payload, packetOf } from "../harness/frame.js";
import type { Sent } from "../harness/router.js";
import type { Wire } from "./oracle.js";
import type { Random } from "./random.js";

/** A packet that an error quotes, as it looks on the wire; undefined where that cannot be told. */
export function quotedWire(packet: Buffer): Wire | undefined {
  const header = ((packet[0] ?? 0) & 15) * 4;
  if (header < 20 || packet.length < header) return undefined;
  const addresses = {
    protocol: packet[9] as number,
    source: packet.readUInt32BE(12),
    destination: packet.readUInt32BE(16),
  };
  const { protocol } = addresses;
  if (protocol === 47) return { ...addresses, sourcePort: 0, destinationPort: 0 };
  if (packet.length < header + 8) return undefined;
  return protocol === 1
    ? {
        ...addresses,
        sourcePort: packet[header] as number,
        destinationPort: packet.readUInt16BE(header + 4),
      }
    : {
        ...addresses,
        sourcePort: packet.readUInt16BE(header),
        destinationPort: packet.readUInt16BE(header + 2),
      };
}

/** What an error will quote of a packet that left. */
export function quoteOf(random: Random, sent: Sent): Buffer {
  const packet = packetOf(sent);
  for (let flips = random.chance(0.25) ? 1 + random.below(2) : 0; flips > 0; flips--) {
    const at = random.below(Math.min(packet.length, 28));
    packet[at] = (packet[at] as number) ^ (1 << random.below(8));
  }
  const quoted = random.chance(0.9) ? mended(packet) : packet;
  // in whole words, as an error with something behind it quotes
  return random.chance(0.3) ? quoted.subarray(0, random.below(quoted.length + 1) & ~3) : quoted;
}

/** The error, with the mark behind what it quotes, where no router looks for a part of the packet. */
export function markedError(random: Random, quoted: Buffer, mark: Buffer): Payload {
  const type = random.pick([3, 3, 3, 11, 11, 12, 4, 5]);
  return icmpError({ type, code: random.below(16), quoted, extension: mark });
}
