/**
 * The one rule: a packet leaves as the mirror of the other tuple of its conn. This is the only place where
 * an address or a port of a forwarded packet is rewritten; ICMP errors have theirs (nat/icmperror.ts). Checksums follow incrementally (RFC 1624), so
 * one that was wrong stays wrong and is the receiver's to find.
 */

import { Packet, PacketKind } from "../packet";
import { apply, applyUdp, delta16, delta32 } from "../wire/checksum";
import { Icmp, isRequest } from "../wire/icmp";
import { IpProtocol, Ipv4 } from "../wire/ipv4";
import { Tcp } from "../wire/tcp";
import { Udp } from "../wire/udp";
import { nextIdentification } from "./identification";
import { Tuple } from "./tuple";

/** `other` is the tuple that the packet did NOT hit: what its answer will look like. */
export function translate(packet: Packet, other: Tuple): void {
  const addresses = translateHeader(packet, other);
  switch (<u32>packet.protocol) {
    case IpProtocol.Tcp:
      translateTcp(Tcp.view(packet.transport), addresses + ports(packet, other), other);
      break;
    case IpProtocol.Udp:
      translateUdp(Udp.view(packet.transport), addresses + ports(packet, other), other);
      break;
    case IpProtocol.Icmp:
      translateQuery(packet, other);
      break;
  }
}

/** The same for a fragment that is not its datagram's first: it has no transport header. */
export function translateFragment(packet: Packet, other: Tuple): void {
  translateHeader(packet, other);
}

/** Addresses, TTL and identification; returns what the change of the addresses adds to a checksum. */
function translateHeader(packet: Packet, other: Tuple): u32 {
  const ip = packet.ip;
  let addresses: u32 = 0;
  let header = delta16((<u32>ip.ttl) << 8, (<u32>ip.ttl - 1) << 8);
  if (packet.source != other.destination) {
    addresses += delta32(packet.source, other.destination);
    ip.source = other.destination;
    if (!ip.isAtomic) header += renumber(packet, ip, other);
  }
  if (packet.destination != other.source) {
    addresses += delta32(packet.destination, other.source);
    ip.destination = other.source;
  }
  ip.ttl = ip.ttl - 1;
  ip.checksum = apply(ip.checksum, addresses + header);
  return addresses;
}

/** A source that many hosts share numbers its datagrams itself (RFC 7857 section 9); all pieces of one alike. */
function renumber(packet: Packet, ip: Ipv4, other: Tuple): u32 {
  const from = ip.identification;
  const to: u32 =
    packet.kind == PacketKind.Fragment
      ? packet.identification
      : nextIdentification(other.destination, other.source, other.protocol);
  ip.identification = to;
  return delta16(from, to);
}

/** What the change of both ports adds to a checksum; nothing where they stay. */
function ports(packet: Packet, other: Tuple): u32 {
  let delta: u32 = 0;
  if (packet.sourcePort != other.destinationPort) {
    delta += delta16(packet.sourcePort, other.destinationPort);
  }
  if (packet.destinationPort != other.sourcePort) {
    delta += delta16(packet.destinationPort, other.sourcePort);
  }
  return delta;
}

function translateTcp(tcp: Tcp, delta: u32, other: Tuple): void {
  tcp.sourcePort = other.destinationPort;
  tcp.destinationPort = other.sourcePort;
  tcp.checksum = apply(tcp.checksum, delta);
}

function translateUdp(udp: Udp, delta: u32, other: Tuple): void {
  udp.sourcePort = other.destinationPort;
  udp.destinationPort = other.sourcePort;
  udp.checksum = applyUdp(udp.checksum, delta);
}

/** The identifier is the port of whoever asks (nat/query.ts). ICMP has no pseudo-header. */
function translateQuery(packet: Packet, other: Tuple): void {
  const asks = isRequest(packet.flags);
  const from: u32 = asks ? packet.sourcePort : packet.destinationPort;
  const to: u32 = asks ? other.destinationPort : other.sourcePort;
  if (from == to) return;
  const icmp = Icmp.view(packet.transport);
  icmp.identifier = to;
  icmp.changeChecksum(delta16(from, to), packet.messageBytes);
}
