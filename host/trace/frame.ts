/** A frame made of fields, with right lengths and checksums, as a host on a device's link would send it. */

import { macBytes } from "../config/address.js";
import type { Device } from "../config/model.js";

/** What is asked for; addresses and MACs are numbers. */
export interface PacketFields {
  readonly protocol: number;
  readonly source: number;
  readonly destination: number;
  /** Of TCP, UDP and SCTP. */
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** Bits of the header's last byte of flags. */
  readonly tcpFlags: number;
  readonly sequence: number;
  readonly acknowledgement: number;
  readonly icmpType: number;
  readonly icmpCode: number;
  readonly identifier: number;
  readonly ttl: number;
  readonly dontFragment: boolean;
  readonly payloadBytes: number;
  /** The sender's MAC, 48 bits. */
  readonly mac: number;
}

const IPV4 = 0x0800;
const VLAN = 0x8100;
const SERVICE_VLAN = 0x88a8;
const IP_BYTES = 20;
const ICMP = 1;
const TCP = 6;
const UDP = 17;
const SCTP = 132;

/** Bytes of the transport header that is written, by protocol; of others there is none. */
const HEADER_BYTES: ReadonlyMap<number, number> = new Map([
  [ICMP, 8],
  [TCP, 20],
  [UDP, 8],
  [SCTP, 12],
]);

/** @param mac  the device's, 48 bits */
export function buildFrame(fields: PacketFields, device: Device, mac: number): Uint8Array {
  const packet = buildPacket(fields);
  const { vlan } = device;
  const tags: number[] = [];
  if (vlan !== undefined) {
    tags.push(vlan.inner === undefined ? VLAN : SERVICE_VLAN, vlan.outer);
    if (vlan.inner !== undefined) tags.push(VLAN, vlan.inner);
  }
  const link = Buffer.alloc(tags.length * 2 + 2);
  for (const [i, half] of [...tags, IPV4].entries()) link.writeUInt16BE(half, i * 2);
  return Buffer.concat([macBytes(mac), macBytes(fields.mac), link, packet]);
}

function buildPacket(fields: PacketFields): Buffer {
  const { protocol, source, destination, ttl, dontFragment, payloadBytes } = fields;
  const headerBytes = HEADER_BYTES.get(protocol) ?? 0;
  const packet = Buffer.alloc(IP_BYTES + headerBytes + payloadBytes);
  packet[0] = 0x45;
  packet.writeUInt16BE(packet.length, 2);
  packet.writeUInt16BE(dontFragment ? 0x4000 : 0, 6);
  packet[8] = ttl;
  packet[9] = protocol;
  packet.writeUInt32BE(source, 12);
  packet.writeUInt32BE(destination, 16);
  packet.writeUInt16BE(checksum(packet.subarray(0, IP_BYTES)), 10);
  writeTransport(packet.subarray(IP_BYTES), fields);
  return packet;
}

function writeTransport(message: Buffer, fields: PacketFields): void {
  const { protocol, sourcePort, destinationPort } = fields;
  const pseudo = pseudoHeader(fields, message.length);
  if (protocol === TCP || protocol === UDP || protocol === SCTP) {
    message.writeUInt16BE(sourcePort, 0);
    message.writeUInt16BE(destinationPort, 2);
  }
  if (protocol === TCP) {
    message.writeUInt32BE(fields.sequence, 4);
    message.writeUInt32BE(fields.acknowledgement, 8);
    message[12] = 0x50;
    message[13] = fields.tcpFlags;
    message.writeUInt16BE(0xffff, 14);
    message.writeUInt16BE(checksum(message, pseudo), 16);
  } else if (protocol === UDP) {
    message.writeUInt16BE(message.length, 4);
    // RFC 768: a sum of zero is sent as its complement, since zero means none.
    message.writeUInt16BE(checksum(message, pseudo) || 0xffff, 6);
  } else if (protocol === ICMP) {
    message[0] = fields.icmpType;
    message[1] = fields.icmpCode;
    message.writeUInt16BE(fields.identifier, 4);
    message.writeUInt16BE(1, 6);
    message.writeUInt16BE(checksum(message), 2);
  }
}

function pseudoHeader({ source, destination, protocol }: PacketFields, bytes: number): number {
  const halves = (address: number) => (address >>> 16) + (address & 0xffff);
  return halves(source) + halves(destination) + protocol + bytes;
}

/** RFC 1071. */
function checksum(bytes: Buffer, start = 0): number {
  let sum = start;
  for (let i = 0; i < bytes.length; i++) sum += (bytes[i] ?? 0) << (i % 2 === 0 ? 8 : 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 65536);
  return ~sum & 0xffff;
}
