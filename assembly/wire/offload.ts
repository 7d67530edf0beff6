/**
 * Work that a sender left to its network card, done here: checksums (virtio 1.2 section 5.1.6.2,
 * VIRTIO_NET_HDR_F_NEEDS_CSUM) and segmentation of TCP and UDP over IPv4 (GSO_TCPV4, GSO_UDP_L4).
 *
 * Frames come from outside, so lengths are believed only as far as the views have checked them. Not for
 * fragments, nor for IPv4 total lengths of 0 (BIG TCP).
 */

import { Be } from "./bytes";
import { fold, pseudoHeader, sum } from "./checksum";
import { Ethernet, EtherType } from "./ethernet";
import { IpProtocol, Ipv4 } from "./ipv4";
import { Tcp, TcpFlag } from "./tcp";
import { Udp } from "./udp";
import { Vlan } from "./vlan";

/** Writable bytes in front of every frame that `segment` makes, as the hosts leave everywhere. */
const HEADROOM: usize = 32;
/** Where the checksum is stored; that of UDP is recognised by it. */
const UDP_CHECKSUM: u32 = 6;
const TCP_CHECKSUM: u32 = 16;

/**
 * Completes the checksum that covers `start` to the frame's end and is stored at `start + offset`, where the
 * sum of the pseudo-header stands now. False, and nothing changed, when that is outside the frame.
 */
export function completeChecksum(frame: usize, size: u32, start: u32, offset: u32): bool {
  if (start > size || size - start < 2 || offset > size - start - 2) return false;
  const checksum = fold(sum(frame + start, size - start)) ^ 0xffff;
  // only UDP has its checksum here; there 0 would say that there is none (RFC 768)
  Be.store16(frame + start + offset, !checksum && offset == UDP_CHECKSUM ? 0xffff : checksum);
  return true;
}

/**
 * Completes a TCP or UDP checksum in whose place the sum of the pseudo-header stands, which is what a sender leaves
 * to its card. A checksum that is complete and looks the same by chance stays as it is.
 */
export function completeUnsure(ip: Ipv4): void {
  if (!transportBytes(ip)) return;
  const offset: u32 = ip.protocol == IpProtocol.Udp ? UDP_CHECKSUM : TCP_CHECKSUM;
  const bytes = ip.payloadBytes;
  const left = fold(pseudoHeader(ip.source, ip.destination, ip.protocol, bytes));
  if (Be.load16(ip.payload + offset) == left) completeChecksum(ip.payload, bytes, 0, offset);
}

/** Bytes of the Ethernet header and up to two tags; 0 when IPv4 does not follow. */
function linkBytes(frame: usize, size: u32): u32 {
  if (size < Ethernet.BYTES) return 0;
  let bytes = Ethernet.BYTES;
  let type = Ethernet.view(frame).type;
  for (let tags = 0; tags < 2; tags++) {
    if (type != EtherType.Vlan && type != EtherType.ServiceVlan) break;
    if (size - bytes < Vlan.BYTES) return 0;
    type = Vlan.view(frame + bytes).innerType;
    bytes += Vlan.BYTES;
  }
  return type == EtherType.Ipv4 ? bytes : 0;
}

/** Bytes of the TCP or UDP header; 0 for other protocols and for headers that contradict the packet. */
function transportBytes(ip: Ipv4): u32 {
  if (ip.protocol == IpProtocol.Tcp) {
    const tcp = Tcp.view(ip.payload);
    return tcp.fits(ip.payloadBytes) ? tcp.headerBytes : 0;
  }
  if (ip.protocol == IpProtocol.Udp) {
    const udp = Udp.view(ip.payload);
    return udp.fits(ip.payloadBytes) && udp.length == ip.payloadBytes ? Udp.BYTES : 0;
  }
  return 0;
}

/** A connection begins and is reset once: such a header must not be repeated. */
function mayRepeat(ip: Ipv4): bool {
  if (ip.protocol != IpProtocol.Tcp) return true;
  return (Tcp.view(ip.payload).flags & (TcpFlag.Syn | TcpFlag.Rst)) == 0;
}

/** The TCP header of a piece that begins `done` bytes into the data. */
function finishTcp(ip: Ipv4, done: u32, first: bool, last: bool): void {
  const tcp = Tcp.view(ip.payload);
  tcp.sequence += done;
  if (!first) tcp.flags &= ~TcpFlag.Cwr;
  if (!last) tcp.flags &= ~(TcpFlag.Fin | TcpFlag.Psh);
  tcp.checksum = 0;
  tcp.checksum = transportSum(ip) ^ 0xffff;
}

function finishUdp(ip: Ipv4): void {
  const udp = Udp.view(ip.payload);
  udp.length = ip.payloadBytes;
  udp.checksum = 0;
  const checksum = transportSum(ip) ^ 0xffff;
  udp.checksum = checksum ? checksum : 0xffff;
}

/** Folded sum of pseudo-header, header and data. */
function transportSum(ip: Ipv4): u32 {
  const bytes = ip.payloadBytes;
  const header = pseudoHeader(ip.source, ip.destination, ip.protocol, bytes);
  return fold(sum(ip.payload, bytes, header));
}

/**
 * Cuts an Ethernet frame with a TCP or UDP packet of up to 64 KiB into frames with `segmentBytes` of data
 * each (the last may have fewer), headers and checksums complete. Frame i's size is written as a u32 at
 * `into + i * stride`, the frame itself 32 bytes behind that. The identification counts up, FIN and PSH stay
 * on the last frame, CWR on the first.
 *
 * @returns how many frames; 0, and nothing written, when the frame is not such a one, contradicts itself,
 *   or needs more than `max` frames or longer ones than a stride holds
 */
export function segment(
  frame: usize,
  size: u32,
  segmentBytes: u32,
  into: usize,
  stride: u32,
  max: u32,
): u32 {
  const link = linkBytes(frame, size);
  if (!link || !segmentBytes) return 0;
  const ip = Ipv4.view(frame + link);
  if (!ip.fits(size - link) || ip.isFragment) return 0;
  const transport = transportBytes(ip);
  if (!transport) return 0;

  const headers = link + ip.headerBytes + transport;
  const data = ip.payloadBytes - transport;
  const each = min<u32>(segmentBytes, data);
  const count = each ? (data + each - 1) / each : 1;
  if (count > max || HEADROOM + headers + each > stride) return 0;
  if (count > 1 && !mayRepeat(ip)) return 0;

  for (let i: u32 = 0; i < count; i++) {
    const done = i * each;
    const part = min<u32>(each, data - done);
    const record = into + <usize>i * stride;
    const to = record + HEADROOM;
    store<u32>(record, headers + part);
    memory.copy(to, frame, headers);
    memory.copy(to + headers, frame + headers + done, part);
    const piece = Ipv4.view(to + link);
    piece.totalBytes = headers - link + part;
    piece.identification = ip.identification + i;
    piece.refreshChecksum();
    if (ip.protocol == IpProtocol.Tcp) finishTcp(piece, done, i == 0, i + 1 == count);
    else finishUdp(piece);
  }
  return count;
}
