/**
 * What the router says for itself: ARP for its own and its pools' addresses (RFC 826), echo replies from
 * its own (RFC 1122 section 3.2.2.6), and ICMP errors (RFC 1812 sections 4.3 and 5.2.7). An answer goes
 * back over the link and to the MAC it came from; no route is asked.
 */

import { Policy, Reason } from "../abi";
import { active, pairKey } from "../config/configuration";
import { arena, scratch } from "../memory";
import { Packet, PacketKind } from "../packet";
import { NONE } from "../table/none";
import { Arp, ArpOperation } from "../wire/arp";
import { copyMac } from "../wire/bytes";
import { checksumOf, delta16 } from "../wire/checksum";
import { Ethernet, EtherType } from "../wire/ethernet";
import { Icmp, IcmpType, UnreachableCode } from "../wire/icmp";
import { IpProtocol, Ipv4 } from "../wire/ipv4";
import { prependHeader, writeLinkHeader } from "./link";
import { confirmNeighbor, findNeighbor, learnNeighbor } from "./neighbor";
import { NETWORK_OFFSET, output, outputOwn, takeOwnFrame } from "./output";
import { isDirectedBroadcast, isOnLink, sourceTowards } from "./route";

/** TTL of packets of our own (RFC 1700). */
export const TTL: u32 = 64;
/** RFC 1812 section 4.3.2.3: an error is at most this long. */
const ERROR_BYTES_MAX: u32 = 576;
/** Errors that one device may cause, with all workers: as many at once, and one more each so many milliseconds. */
const ERROR_BURST: u32 = 50;
const ERROR_INTERVAL_MS: u32 = 10;

/** Takes in an ARP packet and answers a request for an address of ours. */
export function answerArp(packet: Packet, now: u32): Reason {
  const arp = Arp.view(packet.network);
  const verdict = learnArp(packet, now);
  return asksForUs(packet, arp) && verdict != Reason.ArpBad ? replyTo(packet, arp) : verdict;
}

function asksForUs(packet: Packet, arp: Arp): bool {
  return arp.operation == ArpOperation.Request && speaksFor(packet, arp.targetAddress);
}

/** Takes in what an ARP packet says of its sender: Learned, ArpIgnored where that is nothing, or ArpBad. */
export function learnArp(packet: Packet, now: u32): Reason {
  const arp = Arp.view(packet.network);
  const sender = arp.senderAddress;
  const forUs = speaksFor(packet, arp.targetAddress);
  if (isFromGroup(packet) || (load<u8>(arp.senderMac) & 1) != 0) return Reason.ArpBad;
  if (speaksFor(packet, sender)) return Reason.ArpBad;
  if (!isOnLink(active.device(packet.device), sender)) {
    // A probe (RFC 5227), or a host that asks with an address of another of its links: answered, but no neighbor.
    return asksForUs(packet, arp) ? Reason.ArpIgnored : Reason.ArpBad;
  }
  const known = findNeighbor(packet.device, sender);
  if (forUs) learnNeighbor(packet.device, sender, arp.senderMac, now);
  else if (known != NONE) confirmNeighbor(known, arp.senderMac, now);
  else return Reason.ArpIgnored;
  return Reason.Learned;
}

/** Whether ARP on this device answers for the address: the device's own, or a pool's of its zone. */
function speaksFor(packet: Packet, address: u32): bool {
  const key = pairKey(packet.zoneIndex, address);
  if (active.deviceByAddress.get(key) == packet.device) return true;
  return active.externalByAddress.get(key) != NONE && active.deviceByAddress.get(key) == NONE;
}

function replyTo(packet: Packet, arp: Arp): Reason {
  const device = active.device(packet.device);
  const asked = arp.targetAddress;
  const asker = arp.senderAddress;
  copyMac(scratch, arp.senderMac);
  Arp.write(packet.network, ArpOperation.Reply, device.mac, asked, scratch, asker);
  return sendBack(packet, EtherType.Arp, Arp.BYTES);
}

/** Turns the frame around where it stands: back to the MAC it came from, with a new header. */
function sendBack(packet: Packet, type: EtherType, bytes: u32): Reason {
  const to = scratch + 8;
  const header = scratch + 16;
  copyMac(to, Ethernet.view(packet.frame).source);
  const headerBytes = writeLinkHeader(header, active.device(packet.device), to, type);
  const frame = prependHeader(packet.network, header, headerBytes);
  const sent = output(frame, headerBytes + bytes, packet.device, packet.input);
  return sent ? Reason.Answered : Reason.OutputFull;
}

/** Answers a packet, or a fragment, for the router itself: beside PCP (pcp.ts) it serves echo requests only. */
export function answerLocal(packet: Packet): Reason {
  const isEcho = packet.protocol == IpProtocol.Icmp && packet.flags == IcmpType.EchoRequest;
  if (!isEcho || !isFromOne(packet)) return Reason.LocalUnserved;
  const ip = packet.ip;
  ip.source = packet.destination;
  ip.destination = packet.source;
  ip.ttl = TTL;
  ip.refreshChecksum();
  // A long request is answered piece by piece; only the first has what tells it from its reply.
  if (packet.kind != PacketKind.Fragment) {
    const icmp = Icmp.view(packet.transport);
    icmp.type = IcmpType.EchoReply;
    const delta = delta16(IcmpType.EchoRequest << 8, IcmpType.EchoReply << 8);
    icmp.changeChecksum(delta, packet.messageBytes);
  }
  return sendBack(packet, EtherType.Ipv4, packet.totalBytes);
}

/** Tells the sender what became of its packet, where the Reason is one that it should know of. */
export function reportDrop(packet: Packet, reason: u32, now: u32): void {
  const unreachable = IcmpType.DestinationUnreachable;
  if (reason == Reason.TtlExceeded) {
    sendError(packet, IcmpType.TimeExceeded, 0, 0, now);
  } else if (reason == Reason.FlowReject) {
    sendError(packet, unreachable, UnreachableCode.Prohibited, 0, now);
  } else if (reason == Reason.NoRoute) {
    sendError(packet, unreachable, UnreachableCode.Network, 0, now);
  } else if (reason == Reason.TcpUnsolicited) {
    sendError(packet, unreachable, UnreachableCode.Port, 0, now);
  } else if (isExhaustion(reason) && (active.policy & Policy.SilentExhaustion) == 0) {
    sendError(packet, unreachable, UnreachableCode.Prohibited, 0, now);
  }
}

/** RFC 6888 REQ-11, RFC 5508 REQ-8: something that conns need is used up, or a limit is reached. */
function isExhaustion(reason: u32): bool {
  return reason >= <u32>Reason.ZoneConnLimit && reason <= <u32>Reason.NotSubscriber;
}

/** RFC 1191: the packet may not be fragmented and is longer than the next link takes. */
export function reportTooBig(packet: Packet, mtu: u32, now: u32): void {
  if (!packet.ip.dontFragment) return;
  const code = UnreachableCode.FragmentationNeeded;
  sendError(packet, IcmpType.DestinationUnreachable, code, mtu, now);
}

/**
 * Quotes the packet, which must still be as it came, in an error to its source. Nothing is said about an
 * error (RFC 1122 section 3.2.2).
 */
function sendError(packet: Packet, type: u32, code: u32, rest: u32, now: u32): void {
  if (packet.kind == PacketKind.IcmpError) return;
  // RFC 1812 section 4.3.2.7: nothing is said about a fragment that is not the first.
  if (packet.kind == PacketKind.Fragment) return;
  // Nor about what came round from another worker: no link leads back to its sender.
  if (packet.isTurned) return;
  const device = active.device(packet.device);
  const source = sourceTowards(device, packet.source);
  if (source == 0 || !isFromOne(packet) || !mayReport(packet.device, now)) return;
  const frame = takeOwnFrame();
  if (frame == 0) return;
  const network = frame + NETWORK_OFFSET;
  const transport = network + Ipv4.BYTES;
  const quoted = min<u32>(packet.totalBytes, ERROR_BYTES_MAX - Ipv4.BYTES - Icmp.BYTES);
  const icmp = Icmp.view(transport);
  icmp.type = type;
  icmp.code = code;
  icmp.checksum = 0;
  icmp.identifier = 0;
  icmp.sequence = rest;
  memory.copy(transport + Icmp.BYTES, packet.network, quoted);
  icmp.checksum = checksumOf(transport, Icmp.BYTES + quoted);
  const bytes = Ipv4.BYTES + Icmp.BYTES + quoted;
  Ipv4.write(network, bytes, 0, TTL, IpProtocol.Icmp, source, packet.source);
  const to = Ethernet.view(packet.frame).source;
  outputOwn(frame, packet.device, to, EtherType.Ipv4, bytes);
}

/** A device begins with its whole budget. */
export function fillErrorBudget(device: u32, now: u32): void {
  const state = active.deviceState(device);
  state.icmpTokens = errorBurst();
  state.icmpFilled = now;
}

/** Whether the source is one host's address: nothing is said to any other (RFC 1122 section 3.2.2). */
export function isFromOne(packet: Packet): bool {
  return !isFromGroup(packet) && !isDirectedBroadcast(active.device(packet.device), packet.source);
}

/** Whether the frame says that it comes from a group of stations, to which an answer would go. */
function isFromGroup(packet: Packet): bool {
  return (load<u8>(Ethernet.view(packet.frame).source) & 1) != 0;
}

/** This worker's part of the burst. */
function errorBurst(): u32 {
  return max<u32>(1, ERROR_BURST / arena.workers);
}

/** Takes one error from the device's budget; false when it is used up (RFC 1812 section 4.3.2.8). */
function mayReport(device: u32, now: u32): bool {
  const state = active.deviceState(device);
  const interval = ERROR_INTERVAL_MS * arena.workers;
  const earned = (now - state.icmpFilled) / interval;
  if (earned > 0) {
    state.icmpTokens = min<u32>(errorBurst(), state.icmpTokens + earned);
    state.icmpFilled += earned * interval;
  }
  if (state.icmpTokens == 0) return false;
  state.icmpTokens--;
  return true;
}
