/**
 * ICMP errors in transit (RFC 5508 section 4, RFC 4787 REQ-12, RFC 5382 REQ-9).
 *
 * An error that arrives in a zone quotes a packet as it looked there. So the conn that it is about has, in
 * that zone, the mirror of the quoted packet for a tuple: that of an answer, and the error goes the way that
 * an answer would. It leaves as an error about the other tuple:
 *
 *                arrives in the zone of the hit tuple       leaves in the zone of the other tuple
 *     quotes     hit.destination → hit.source               other.source → other.destination
 *     is sent    by any hop → hit.destination               by that hop → other.source
 *
 * Where the conn hides hit.source behind other.destination, every hop on that side is hidden as well.
 *
 * What leaves therefore quotes the packet byte for byte as its sender sent it, but for the TTL that the hops
 * since have counted down and the identification. Only types that still mean something pass: source quench (RFC 6633) and redirects,
 * which concern one link, do not.
 */

import { Reason } from "../abi";
import { active } from "../config/configuration";
import { CONTINUE, Packet, PacketKind } from "../packet";
import { apply, applyUdp, checksumOf, delta16, delta32 } from "../wire/checksum";
import { Icmp, IcmpType, isError, isReply, isRequest } from "../wire/icmp";
import { IpProtocol, Ipv4 } from "../wire/ipv4";
import { Ports } from "../wire/ports";
import { Tcp } from "../wire/tcp";
import { Udp } from "../wire/udp";
import { answererPort, counterpart } from "./query";
import { Tuple } from "./tuple";

/** An error quotes at least so much of what follows the IPv4 header (RFC 792): ports, or an identifier. */
const QUOTED_BYTES_MIN: u32 = 8;
/** The end of a TCP header's checksum, which an error need not quote. */
const TCP_CHECKSUM_END: u32 = 18;

/**
 * Checks an ICMP error and fills in the tuple, and its hash, that an answer to the quoted packet would have.
 * CONTINUE, or the Reason it ends with. The quoted packet's transport checksum is not looked at (RFC 5508
 * REQ-3c): all of the packet is seldom there.
 */
export function parseError(packet: Packet): u32 {
  const icmp = Icmp.view(packet.transport);
  const type = icmp.type;
  if (type == IcmpType.SourceQuench || type == IcmpType.Redirect) return Reason.IcmpUnsupported;
  const bytes = packet.ip.payloadBytes;
  if (checksumOf(packet.transport, bytes) != 0) return Reason.IcmpBadChecksum;
  const quoted = Ipv4.view(icmp.quoted);
  if (!isSound(quoted, icmp.quotedBytes(bytes))) return Reason.IcmpBadEmbedded;
  // Errors go to the sender of what they are about; one that does not is a trick to reach somebody else.
  if (quoted.source != packet.ip.destination) return Reason.IcmpUnrelated;
  if (quoted.fragmentOffset != 0) return Reason.IcmpUnrelated;
  packet.kind = <u8>PacketKind.IcmpError;
  packet.flags = 0;
  packet.code = 0;
  switch (quoted.protocol) {
    case IpProtocol.Tcp:
    case IpProtocol.Udp:
    case IpProtocol.Sctp: {
      const ports = changetype<Ports>(quoted.payload);
      return answerTo(packet, quoted, ports.sourcePort, ports.destinationPort);
    }
    case IpProtocol.Icmp:
      return answerToMessage(packet, quoted);
    default:
      return answerTo(packet, quoted, 0, 0);
  }
}

/** Whether an error's first `available` quoted bytes are a header, and as much behind it as there must be. */
function isSound(quoted: Ipv4, available: u32): bool {
  if (available < Ipv4.BYTES || quoted.version != 4) return false;
  const header = quoted.headerBytes;
  if (header < Ipv4.BYTES || header > available || header > quoted.totalBytes) return false;
  if (!quoted.headerSumIsRight()) return false;
  // Only of a protocol that has no ports can a whole packet be shorter.
  const behind = quotesPorts(quoted.protocol)
    ? QUOTED_BYTES_MIN
    : min(QUOTED_BYTES_MIN, quoted.payloadBytes);
  return header + behind <= min(available, quoted.totalBytes);
}

function quotesPorts(protocol: u32): bool {
  return (
    protocol == IpProtocol.Tcp ||
    protocol == IpProtocol.Udp ||
    protocol == IpProtocol.Icmp ||
    protocol == IpProtocol.Sctp
  );
}

/** The tuple of an answer to a packet with these ports. */
function answerTo(packet: Packet, quoted: Ipv4, sourcePort: u32, destinationPort: u32): u32 {
  packet.hashed = packet.fill(
    quoted.destination,
    quoted.source,
    destinationPort,
    sourcePort,
    active.zone(packet.zoneIndex).number,
    quoted.protocol,
  );
  return CONTINUE;
}

/** The tuple of an answer to a query, or of the query that a reply answers. */
function answerToMessage(packet: Packet, quoted: Ipv4): u32 {
  const message = Icmp.view(quoted.payload);
  const type = message.type;
  packet.flags = <u8>counterpart(type);
  if (isRequest(type)) return answerTo(packet, quoted, message.identifier, answererPort(type));
  if (isReply(type)) return answerTo(packet, quoted, answererPort(type), message.identifier);
  // There are no errors about errors (RFC 1122 section 3.2.2).
  return isError(type) ? <u32>Reason.IcmpBadEmbedded : <u32>Reason.IcmpUnrelated;
}

/** `other` is the tuple that was NOT hit: the quoted packet becomes what was sent by it (RFC 5508 REQ-4, 5). */
export function translateError(packet: Packet, other: Tuple): void {
  const ip = packet.ip;
  const icmp = Icmp.view(packet.transport);
  translateQuoted(packet, icmp, other);
  // Whatever was wrong before has been found: all of the message was summed.
  icmp.refreshChecksum(ip.payloadBytes);

  const hop = delta16((<u32>ip.ttl) << 8, (<u32>ip.ttl - 1) << 8);
  let delta = hop + delta32(ip.destination, other.source);
  ip.destination = other.source;
  ip.ttl = ip.ttl - 1;
  if (packet.source != other.destination) {
    // REQ-5c: whoever is behind the translation, that host or a hop on the way to it, is not shown.
    delta += delta32(ip.source, other.destination);
    ip.source = other.destination;
  }
  ip.checksum = apply(ip.checksum, delta);
}

/** Puts the quoted packet back; its checksums follow as they did when it was translated. */
function translateQuoted(packet: Packet, icmp: Icmp, other: Tuple): void {
  const quoted = Ipv4.view(icmp.quoted);
  const available = min(icmp.quotedBytes(packet.ip.payloadBytes), quoted.totalBytes);
  const behind = available - quoted.headerBytes;
  const addresses =
    delta32(packet.destination, other.source) + delta32(packet.source, other.destination);
  quoted.source = other.source;
  quoted.destination = other.destination;
  quoted.checksum = apply(quoted.checksum, addresses);

  const ports =
    delta16(packet.destinationPort, other.sourcePort) +
    delta16(packet.sourcePort, other.destinationPort);
  switch (<u32>packet.protocol) {
    case IpProtocol.Tcp: {
      const tcp = Tcp.view(quoted.payload);
      tcp.sourcePort = other.sourcePort;
      tcp.destinationPort = other.destinationPort;
      if (behind >= TCP_CHECKSUM_END) tcp.checksum = apply(tcp.checksum, addresses + ports);
      break;
    }
    case IpProtocol.Udp: {
      const udp = Udp.view(quoted.payload);
      udp.sourcePort = other.sourcePort;
      udp.destinationPort = other.destinationPort;
      udp.checksum = applyUdp(udp.checksum, addresses + ports);
      break;
    }
    case IpProtocol.Icmp:
      translateMessage(packet, Icmp.view(quoted.payload), behind, other);
      break;
  }
}

/** Of a quoted query or reply, of which `bytes` bytes are there. The packet stands for its answer. */
function translateMessage(packet: Packet, message: Icmp, bytes: u32, other: Tuple): void {
  const asks = isRequest(message.type);
  const from: u32 = asks ? packet.destinationPort : packet.sourcePort;
  const to: u32 = asks ? other.sourcePort : other.destinationPort;
  if (from == to) return;
  message.identifier = to;
  message.changeChecksum(delta16(from, to), bytes);
}
