/**
 * The one rule: a packet leaves as the mirror of the other tuple of its conn. This is the only place where
 * an address or a port of a forwarded packet is rewritten; ICMP errors have theirs (nat/icmperror.ts). Checksums follow incrementally (RFC 1624), so
 * one that was wrong stays wrong and is the receiver's to find.
 */

import { Packet, PacketKind } from "../packet";
import { delta16 } from "../wire/checksum";
import { Icmp, isRequest } from "../wire/icmp";
import { IpProtocol, Ipv4 } from "../wire/ipv4";
import { Tcp } from "../wire/tcp";
import { Udp } from "../wire/udp";
import { nextIdentification } from "./identification";
import { Tuple } from "./tuple";

/** `other` is the tuple that the packet did NOT hit: what its answer will look like. */
export function translate(packet: Packet, other: Tuple): void {
  const mirror = Ipv4.mirrorOf(other.whole);
  const addresses = translateHeader(packet, other, mirror);
  switch (<u32>packet.protocol) {
    case IpProtocol.Tcp:
      translateTcp(Tcp.view(packet.transport), addresses, mirror);
      break;
    case IpProtocol.Udp:
      translateUdp(Udp.view(packet.transport), addresses, mirror);
      break;
    case IpProtocol.Icmp:
      translateQuery(packet, other);
      break;
  }
}

/** The same for a fragment that is not its datagram's first: it has no transport header. */
export function translateFragment(packet: Packet, other: Tuple): void {
  translateHeader(packet, other, Ipv4.mirrorOf(other.whole));
}

/** Addresses, TTL and identification; returns what the change of the addresses adds to a checksum. */
function translateHeader(packet: Packet, other: Tuple, mirror: v128): u64 {
  const ip = packet.ip;
  const addresses = ip.readdress(mirror);
  let header = addresses + ip.age();
  if (packet.source != other.destination && !ip.isAtomic) {
    header += ip.renumber(identificationOf(packet, other));
  }
  ip.adjustChecksum(header);
  return addresses;
}

/** A source that many hosts share numbers its datagrams itself (RFC 7857 section 9); all pieces of one alike. */
function identificationOf(packet: Packet, other: Tuple): u32 {
  return packet.kind == PacketKind.Fragment
    ? packet.identification
    : nextIdentification(other.destination, other.source, other.protocol);
}

function translateTcp(tcp: Tcp, addresses: u64, mirror: v128): void {
  tcp.adjustChecksum(addresses + tcp.renumberPorts(mirror));
}

function translateUdp(udp: Udp, addresses: u64, mirror: v128): void {
  udp.adjustChecksum(addresses + udp.renumberPorts(mirror));
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
