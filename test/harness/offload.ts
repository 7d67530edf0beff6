/** Super-frames for the tests of segmentation, and their own, slow, reading of what comes out. */

import type { Internals } from "./internals.js";

/** Where a test puts the frame, and its pieces. */
export const FRAME = 1024;
export const INTO = 131_072;
const HEADROOM = 32;

export interface Datagram {
  protocol: 6 | 17;
  /** Bytes of data. */
  data: number;
  /** VLAN tags, outermost a service tag when there are two. */
  tags: number;
  /** Words of IP and of TCP options. */
  ipOptions: number;
  tcpOptions: number;
  flags: number;
  sequence: number;
  identification: number;
  /** Leave the transport checksum as a sender does who wants it completed. */
  partial: boolean;
}

const PLAIN: Datagram = {
  protocol: 17,
  data: 0,
  tags: 0,
  ipOptions: 0,
  tcpOptions: 0,
  flags: 0x10,
  sequence: 1,
  identification: 1,
  partial: false,
};

/** RFC 1071, word by word: the folded sum. */
export function plainSum(bytes: Uint8Array, initial = 0): number {
  let sum = initial;
  bytes.forEach((byte, i) => {
    sum += i % 2 === 0 ? byte << 8 : byte;
  });
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return sum;
}

function pseudoSum(ip: Buffer, bytes: number): number {
  return plainSum(ip.subarray(12, 20), (ip[9] ?? 0) + bytes);
}

/** A frame with right checksums; its data counts up. */
export function frameOf(partial: Partial<Datagram>): Buffer {
  const datagram = { ...PLAIN, ...partial };
  const tcp = datagram.protocol === 6;
  const link = Buffer.alloc(14 + 4 * datagram.tags, 0x02);
  for (let tag = 0; tag < datagram.tags; tag++) {
    link.writeUInt16BE(datagram.tags === 2 && tag === 0 ? 0x88a8 : 0x8100, 12 + 4 * tag);
    link.writeUInt16BE(10 + tag, 14 + 4 * tag);
  }
  link.writeUInt16BE(0x0800, link.length - 2);

  const header = Buffer.alloc(tcp ? 20 + 4 * datagram.tcpOptions : 8, 0x01);
  const data = Buffer.from(Array.from({ length: datagram.data }, (_, i) => i * 7));
  const transport = Buffer.concat([header, data]);
  transport.writeUInt16BE(4562, 0);
  transport.writeUInt16BE(53, 2);
  if (tcp) {
    transport.writeUInt32BE(datagram.sequence, 4);
    transport.writeUInt8((header.length / 4) << 4, 12);
    transport.writeUInt8(datagram.flags, 13);
  } else {
    transport.writeUInt16BE(transport.length, 4);
  }

  const ip = Buffer.alloc(20 + 4 * datagram.ipOptions, 0x01);
  ip.writeUInt8(0x40 | (ip.length / 4), 0);
  ip.writeUInt16BE(ip.length + transport.length, 2);
  ip.writeUInt16BE(datagram.identification, 4);
  ip.writeUInt16BE(0x4000, 6);
  ip.writeUInt8(datagram.protocol, 9);
  ip.writeUInt16BE(0, 10);
  ip.writeUInt32BE(0xc0a8000a, 12);
  ip.writeUInt32BE(0x08080808, 16);
  ip.writeUInt16BE(plainSum(ip) ^ 0xffff, 10);

  const field = tcp ? 16 : 6;
  transport.writeUInt16BE(pseudoSum(ip, transport.length), field);
  if (!datagram.partial) {
    const checksum = plainSum(transport) ^ 0xffff;
    transport.writeUInt16BE(checksum === 0 && !tcp ? 0xffff : checksum, field);
  }
  return Buffer.concat([link, ip, transport]);
}

/** Where the IP header of a frame of ours begins. */
export function ipOffset(frame: Uint8Array): number {
  const buffer = Buffer.from(frame);
  let at = 14;
  while (buffer.readUInt16BE(at - 2) !== 0x0800) at += 4;
  return at;
}

/** True when the checksums of IP and of TCP or UDP hold, and UDP's is there. */
export function sumIsRight(frame: Uint8Array): boolean {
  const ip = Buffer.from(frame.subarray(ipOffset(frame)));
  const headerBytes = ((ip[0] ?? 0) & 0xf) * 4;
  const transport = ip.subarray(headerBytes, ip.readUInt16BE(2));
  if (ip[9] === 17 && transport.readUInt16BE(6) === 0) return false;
  return (
    plainSum(ip.subarray(0, headerBytes)) === 0xffff &&
    plainSum(transport, pseudoSum(ip, transport.length)) === 0xffff
  );
}

/** The frames that `segment` wrote. */
export function piecesOf(wasm: Internals, count: number, stride: number): Buffer[] {
  return Array.from({ length: count }, (_, i) => {
    const record = INTO + i * stride;
    const size = Buffer.from(wasm.bytes.buffer, record, 4).readUInt32LE();
    return Buffer.from(wasm.bytes.slice(record + HEADROOM, record + HEADROOM + size));
  });
}
