/** The frames of the live benchmark: UDP over IPv4 over Ethernet, and which of their bytes are whose. */

import { addressNumber, DISCARD_PORT, GENERATOR_MAC, LAN_MAC, macBytes, SERVER } from "./plan.js";

/** Offsets in a frame without VLAN tag and IPv4 options. */
export enum ByteAt {
  EtherType = 12,
  Ip = 14,
  IpLength = 16,
  Flags = 20,
  TimeToLive = 22,
  Protocol = 23,
  IpChecksum = 24,
  Source = 26,
  Destination = 30,
  Udp = 34,
  SourcePort = 34,
  DestinationPort = 36,
  UdpLength = 38,
  UdpChecksum = 40,
  Payload = 42,
}

export const ETHERTYPE_IPV4 = 0x0800;
export const ETHERTYPE_ARP = 0x0806;
export const PROTOCOL_UDP = 17;

/** What a frame has in front of its payload, in whole words: two bytes of payload are written as well. */
export const HEADER_BYTES = 44;

const VERSION_AND_LENGTH = 0x45;
const DO_NOT_FRAGMENT = 0x40;
const TIME_TO_LIVE = 64;

/** A frame of so many bytes whose source, lengths and checksums are still 0. */
export function template(bytes: number): Uint8Array {
  const frame = Buffer.alloc(bytes);
  macBytes(LAN_MAC).copy(frame, 0);
  macBytes(GENERATOR_MAC).copy(frame, 6);
  frame.writeUInt16BE(ETHERTYPE_IPV4, ByteAt.EtherType);
  frame[ByteAt.Ip] = VERSION_AND_LENGTH;
  frame[ByteAt.Flags] = DO_NOT_FRAGMENT;
  frame[ByteAt.TimeToLive] = TIME_TO_LIVE;
  frame[ByteAt.Protocol] = PROTOCOL_UDP;
  frame.writeUInt32BE(addressNumber(SERVER), ByteAt.Destination);
  frame.writeUInt16BE(DISCARD_PORT, ByteAt.DestinationPort);
  return frame;
}

/** The template's headers as words that a little-endian machine stores. */
export function headerWords(): number[] {
  const view = new DataView(template(HEADER_BYTES).buffer);
  return Array.from({ length: HEADER_BYTES / 4 }, (_, place) => view.getInt32(place * 4, true));
}

/** What the template adds to the one's complement sums of IPv4 and UDP, read little-endian (RFC 1071). */
export function onesSum(): { ip: number; udp: number } {
  const view = new DataView(template(HEADER_BYTES).buffer);
  const halves = (from: number, to: number) => {
    let sum = 0;
    for (let at = from; at < to; at += 2) sum += view.getUint16(at, true);
    return sum;
  };
  const ip = halves(ByteAt.Ip, ByteAt.Udp);
  // UDP's sum covers the addresses and the protocol as well; the length comes with each frame.
  const udp = halves(ByteAt.Destination, ByteAt.Payload) + (PROTOCOL_UDP << 8);
  return { ip, udp };
}
