/** Datagrams cut into pieces and put together again (RFC 791 section 3.2), apart from the datapath. */

import { checksum, readFrame, type SeenIp } from "./frame.js";

const MORE = 0x2000;

function headerBytesOf(packet: Buffer): number {
  return ((packet[0] as number) & 15) * 4;
}

/** Gives a packet other flags and payload, and the lengths and sum that follow. */
export function piece(packet: Buffer, from: number, payload: Uint8Array, more: boolean): Buffer {
  const header = Buffer.from(packet.subarray(0, headerBytesOf(packet)));
  const word = header.readUInt16BE(6);
  const offset = (word & 0x1fff) + from / 8;
  header.writeUInt16BE(header.length + payload.length, 2);
  header.writeUInt16BE((word & 0xe000) | offset | (more ? MORE : 0), 6);
  header.writeUInt16BE(0, 10);
  header.writeUInt16BE(checksum(header), 10);
  return Buffer.concat([header, payload]);
}

/** The pieces of a packet, in order, cut before these bytes of its payload: multiples of eight. */
export function cut(packet: Buffer, at: readonly number[]): Buffer[] {
  const payload = packet.subarray(headerBytesOf(packet));
  const starts = [0, ...at];
  return starts.map((from, i) => {
    const to = starts[i + 1] ?? payload.length;
    return piece(packet, from, payload.subarray(from, to), to < payload.length);
  });
}

/** The pieces of a packet, in order, each but the last with that many bytes of payload. */
export function cutEvery(packet: Buffer, bytes: number): Buffer[] {
  const payloadBytes = packet.length - headerBytesOf(packet);
  const pieces = Math.ceil(payloadBytes / bytes);
  return cut(
    packet,
    Array.from({ length: pieces - 1 }, (_, i) => (i + 1) * bytes),
  );
}

/**
 * What a receiver makes of packets: whole ones pass, pieces are put together. Strict: pieces of one datagram
 * never overlap, nor do they contradict each other about its end.
 */
export class Reassembler {
  private readonly pieces = new Map<string, SeenIp[]>();
  /** Datagrams that are not whole yet. */
  get unfinished(): number {
    return this.pieces.size;
  }

  /** The datagram that a packet completes, with all its checksums judged; undefined for none. */
  take(ip: SeenIp): SeenIp | undefined {
    if (!ip.moreFragments && ip.fragmentOffset === 0) return ip;
    const key = [ip.source, ip.destination, ip.protocol, ip.identification].join();
    const all = [...(this.pieces.get(key) ?? []), ip];
    all.sort((a, b) => a.fragmentOffset - b.fragmentOffset);
    for (const [i, each] of all.entries()) {
      const next = all[i + 1];
      const end = each.fragmentOffset + each.payload.length;
      if (next !== undefined && next.fragmentOffset < end) throw new Error(`overlap at ${end}`);
      if (next !== undefined && !each.moreFragments) throw new Error(`bytes behind ${end}`);
    }
    this.pieces.set(key, all);
    const whole = all.every((each, i) => {
      const next = all[i + 1];
      const end = each.fragmentOffset + each.payload.length;
      return next === undefined ? !each.moreFragments : next.fragmentOffset === end;
    });
    if (!whole || all[0]?.fragmentOffset !== 0) return undefined;
    this.pieces.delete(key);
    return join(all[0], all);
  }
}

/** Builds the whole packet with the first piece's header, and reads it as a receiver would. */
function join(first: SeenIp, pieces: readonly SeenIp[]): SeenIp | undefined {
  const payload = Buffer.concat(pieces.map((each) => each.payload));
  const header = Buffer.concat([Buffer.alloc(20), first.options]);
  header[0] = 0x40 | (header.length / 4);
  header.writeUInt16BE(header.length + payload.length, 2);
  header.writeUInt16BE(first.identification, 4);
  header[8] = first.ttl;
  header[9] = first.protocol;
  for (const [i, text] of [first.source, first.destination].entries()) {
    Buffer.from(text.split(".").map(Number)).copy(header, 12 + 4 * i);
  }
  header.writeUInt16BE(checksum(header), 10);
  const link = Buffer.alloc(14);
  link.writeUInt16BE(0x0800, 12);
  return readFrame(Buffer.concat([link, header, payload])).ip;
}

/** All datagrams that packets make, in the order in which they become whole. */
export function reassemble(packets: readonly { ip?: SeenIp }[]): SeenIp[] {
  const receiver = new Reassembler();
  const datagrams = packets.flatMap(({ ip }) => (ip === undefined ? [] : [receiver.take(ip)]));
  return datagrams.filter((each) => each !== undefined);
}
