/**
 * The PCP server (RFC 6887, version 2): inside hosts of zones that have it switched on ask for external ports of
 * their own (RFC 6888 REQ-9). It listens on the router's own addresses in such a zone; an answer goes back over
 * the link and to the MAC that the request came from, and is hardly ever longer.
 *
 * Opcodes: ANNOUNCE and MAP. Options: PREFER_FAILURE. A host asks for itself only, for one port of TCP or UDP.
 * What grants are, and how they end: nat/grant.ts.
 */

import { Reason, ZoneFlag } from "./abi";
import { active } from "./config/configuration";
import { arena } from "./memory";
import { Grant, grant, granted, revoke } from "./nat/grant";
import { Mapping } from "./nat/mapping";
import { NETWORK_OFFSET, outputOwn, takeOwnFrame } from "./net/output";
import { isFromOne, TTL } from "./net/responder";
import { Packet } from "./packet";
import { fold, pseudoHeader, sum } from "./wire/checksum";
import { Ethernet, EtherType } from "./wire/ethernet";
import { IpProtocol, Ipv4 } from "./wire/ipv4";
import { NatPmp, Pcp, PcpMap, PcpOpcode, PcpOption, PcpOptionCode, PcpResult } from "./wire/pcp";
import { Udp } from "./wire/udp";

/** Seconds that a mapping lives at least and at most (section 15: at least two minutes, a day). */
const LIFETIME_MIN: u32 = 120;
const LIFETIME_MAX: u32 = 86_400;
/** Seconds before what was refused may be asked again: what may change soon, and what will not (section 7.4). */
const ERROR_SHORT: u32 = 30;
const ERROR_LONG: u32 = 1800;
/** The shortest message that says which version it is and what it wants (section 8.2). */
const REQUEST_MIN: u32 = 2;

const HEADERS: usize = Ipv4.BYTES + Udp.BYTES;

/** Whether a packet for the router itself is for its PCP server. */
export function isForPcp(packet: Packet): bool {
  return (
    packet.protocol == <u8>IpProtocol.Udp &&
    packet.destinationPort == <u16>Pcp.PORT &&
    (active.zone(packet.zoneIndex).flags & <u16>ZoneFlag.Pcp) != 0
  );
}

/** Answers a request; what is none, or cannot be answered, ends without. */
export function answerPcp(packet: Packet): Reason {
  const udp = Udp.view(packet.transport);
  const bytes = udp.length - Udp.BYTES;
  const request = packet.transport + Udp.BYTES;
  if (bytes < REQUEST_MIN || Pcp.view(request).isResponse) return Reason.LocalUnserved;
  const isShort = bytes < Pcp.BYTES && Pcp.view(request).version == Pcp.VERSION;
  if (isShort || packet.ip.isFragment || !isFromOne(packet)) return Reason.LocalUnserved;
  if (!isSound(packet, udp)) return Reason.UdpBadHeader;
  const frame = takeOwnFrame();
  if (frame == 0) return Reason.NoBuffer;
  const message = frame + NETWORK_OFFSET + HEADERS;
  const copied = min(bytes, Pcp.BYTES_MAX) & ~3;
  memory.fill(message, 0, Pcp.BYTES);
  memory.copy(message, request, max(copied, REQUEST_MIN));
  const answered = serve(message, bytes, max(copied, Pcp.BYTES), packet);
  const device = packet.device;
  const total = writeHeaders(frame + NETWORK_OFFSET, answered, packet);
  const to = Ethernet.view(packet.frame).source;
  return outputOwn(frame, device, to, EtherType.Ipv4, total) ? Reason.Answered : Reason.OutputFull;
}

/** RFC 1122 section 4.1.3.4: whoever takes a datagram in looks at its checksum. */
function isSound(packet: Packet, udp: Udp): bool {
  if (udp.checksum == 0) return true;
  const start = pseudoHeader(packet.source, packet.destination, IpProtocol.Udp, udp.length);
  return fold(sum(packet.transport, udp.length, start)) == 0xffff;
}

function writeHeaders(network: usize, bytes: u32, packet: Packet): u32 {
  const length = Udp.BYTES + bytes;
  const total = Ipv4.BYTES + length;
  const from = packet.destination;
  Ipv4.write(network, total, 0, TTL, IpProtocol.Udp, from, packet.source);
  const udp = Udp.view(network + Ipv4.BYTES);
  udp.sourcePort = Pcp.PORT;
  udp.destinationPort = packet.sourcePort;
  udp.length = length;
  udp.checksum = 0;
  const start = pseudoHeader(from, packet.source, IpProtocol.Udp, length);
  const checksum = fold(sum(network + Ipv4.BYTES, length, start)) ^ 0xffff;
  udp.checksum = checksum == 0 ? 0xffff : checksum;
  return total;
}

/** Turns the copy of a request of `bytes` bytes, `copied` of which are there, into its answer; its length. */
function serve(at: usize, bytes: u32, copied: u32, packet: Packet): u32 {
  const pcp = Pcp.view(at);
  if (pcp.version == 0) {
    NatPmp.refuse(at, arena.epochSeconds);
    return NatPmp.BYTES;
  }
  let result = check(pcp, bytes, packet.source);
  if (result == PcpResult.Success) result = checkOptions(at + bodyEnd(pcp), at + copied);
  if (result == PcpResult.Success) {
    if (pcp.opcode != PcpOpcode.Map) return finish(pcp, 0, Pcp.BYTES);
    result = serveMap(pcp, packet);
    if (result == PcpResult.Success) return finishMap(pcp);
  }
  pcp.answer(result, isShortLived(result) ? ERROR_SHORT : ERROR_LONG, arena.epochSeconds);
  return copied;
}

/** Section 8.2, in the order in which a request stops being understood. */
function check(pcp: Pcp, bytes: u32, source: u32): PcpResult {
  if (pcp.version != Pcp.VERSION) return PcpResult.UnsupportedVersion;
  if (bytes > Pcp.BYTES_MAX || (bytes & 3) != 0) return PcpResult.MalformedRequest;
  if (!pcp.isFrom(source)) return PcpResult.AddressMismatch;
  if (pcp.opcode != PcpOpcode.Announce && pcp.opcode != PcpOpcode.Map) {
    return PcpResult.UnsupportedOpcode;
  }
  return bytes < bodyEnd(pcp) ? PcpResult.MalformedRequest : PcpResult.Success;
}

/** Where the options of a message begin. */
function bodyEnd(pcp: Pcp): u32 {
  return pcp.opcode == PcpOpcode.Map ? Pcp.BYTES + PcpMap.BYTES : Pcp.BYTES;
}

/** Whether the request's host would rather have nothing than another external endpoint (section 13.2). */
let prefersFailure: bool = false;

/** Section 7.3: options that need not be understood are passed over. */
function checkOptions(from: usize, end: usize): PcpResult {
  prefersFailure = false;
  for (let at = from; at < end; at += PcpOption.view(at).bytes) {
    const option = PcpOption.view(at);
    if (!option.fits(<u32>(end - at))) return PcpResult.MalformedOption;
    if (option.code >= <u32>PcpOptionCode.Optional) continue;
    if (option.code != PcpOptionCode.PreferFailure) return PcpResult.UnsupportedOption;
    if (prefersFailure || option.dataBytes != 0) return PcpResult.MalformedOption;
    prefersFailure = true;
  }
  return PcpResult.Success;
}

function serveMap(pcp: Pcp, packet: Packet): PcpResult {
  const map = mapOf(pcp);
  const protocol = map.protocol;
  const isPorted = protocol == IpProtocol.Tcp || protocol == IpProtocol.Udp;
  if (!isPorted || map.internalPort == 0) return PcpResult.UnsupportedProtocol;
  if (pcp.lifetime == 0) return revoke(packet.zoneIndex, packet.device, packet.source, map);
  const seconds = lifetimeOf(pcp);
  const exact = prefersFailure;
  return grant(packet.zoneIndex, packet.device, packet.source, map, exact, seconds);
}

function mapOf(pcp: Pcp): PcpMap {
  return PcpMap.view(changetype<usize>(pcp) + Pcp.BYTES);
}

function lifetimeOf(pcp: Pcp): u32 {
  return min(max(pcp.lifetime, LIFETIME_MIN), LIFETIME_MAX);
}

/** What was granted, with the options that were heeded; what was given up, as it was asked. */
function finishMap(pcp: Pcp): u32 {
  const end = bodyEnd(pcp);
  if (pcp.lifetime == 0) return finish(pcp, 0, end);
  const mapping = Mapping.at(Grant.at(granted).mapping);
  mapOf(pcp).assign(mapping.externalAddress.address, mapping.port);
  if (!prefersFailure) return finish(pcp, lifetimeOf(pcp), end);
  PcpOption.write(changetype<usize>(pcp) + end, PcpOptionCode.PreferFailure);
  return finish(pcp, lifetimeOf(pcp), end + PcpOption.BYTES);
}

function finish(pcp: Pcp, lifetime: u32, bytes: u32): u32 {
  pcp.answer(PcpResult.Success, lifetime, arena.epochSeconds);
  return bytes;
}

function isShortLived(result: PcpResult): bool {
  return (
    result == PcpResult.NoResources ||
    result == PcpResult.UserExceedsQuota ||
    result == PcpResult.CannotProvideExternal
  );
}
