/**
 * The first pass over a batch: which device a frame belongs to, whether its headers are sound, and what
 * tuple it carries. One checked pass; a frame that fails names its Reason. RFC 1812 section 5.2.2 lists
 * the checks of an IPv4 header, section 5.3.7 the addresses that are never forwarded.
 */

import {
  DescriptorAt,
  DescriptorFlag,
  DeviceCounterAt,
  Exchange,
  HANDED_TO_SHIFT,
  Limit,
  None,
  RESERVATION_BYTES,
  Reason,
} from "./abi";
import { active, tagKey } from "./config/configuration";
import { arena } from "./memory";
import { checkFragment } from "./nat/fragment";
import { parseError } from "./nat/icmperror";
import { answererPort } from "./nat/query";
import { readQuestion } from "./nat/reservation";
import { CONTINUE, Packet, PacketKind, placeOf } from "./packet";
import { NONE } from "./table/none";
import { Arp } from "./wire/arp";
import { macWord } from "./wire/bytes";
import { Ethernet, EtherType } from "./wire/ethernet";
import { Icmp, isError, isReply, isRequest } from "./wire/icmp";
import { IpProtocol, Ipv4 } from "./wire/ipv4";
import { completeUnsure } from "./wire/offload";
import { Sctp } from "./wire/sctp";
import { Tcp } from "./wire/tcp";
import { Udp } from "./wire/udp";
import { Vlan } from "./wire/vlan";

/** Fills in the packet from its descriptor. CONTINUE, or the Reason it ends with. */
export function parse(packet: Packet, input: u32): u32 {
  const descriptor = <usize>Exchange.Inputs + input * DescriptorAt.Bytes;
  packet.begin(input, descriptor);
  const flags: u32 = load<u16>(descriptor, DescriptorAt.Flags);
  const isHanded = (flags & DescriptorFlag.Handed) != 0;
  const reserves = (flags & DescriptorFlag.Reserves) != 0;
  if (reserves) packet.enterBehind(RESERVATION_BYTES);
  const bytes = packet.frameBytes;
  if (bytes < Ethernet.BYTES) return Reason.FrameTruncated;
  if (bytes > <u32>Limit.FrameBytes) return Reason.FrameTooLong;
  const frame = packet.frame;
  const found = isHanded
    ? enterHanded(packet, descriptor, frame)
    : enter(packet, descriptor, frame, bytes);
  const end = frame + bytes;
  if (found == EtherType.Arp) return parseArp(packet, end);
  if (found != EtherType.Ipv4) return found;
  if (reserves && flags >> HANDED_TO_SHIFT == arena.worker) {
    readQuestion(packet);
    return CONTINUE;
  }
  const verdict = parseIpv4(packet, packet.network, end);
  const isUnsure = (flags & DescriptorFlag.ChecksumUnsure) != 0;
  // A fragment's checksum is its sender's own work: no card knows the other fragments.
  if (isUnsure && verdict == CONTINUE && packet.kind == PacketKind.Ipv4) completeUnsure(packet.ip);
  return verdict;
}

if (<u32>Reason.Count > <u32>EtherType.Ipv4) ERROR("a Reason is no EtherType");

/** Tags, device and destination MAC. The EtherType of what the frame carries, Ipv4 or Arp, or the Reason it ends with. */
function enter(packet: Packet, descriptor: usize, frame: usize, bytes: u32): u32 {
  const end = <u32>frame + bytes;
  const ethernet = Ethernet.view(frame);
  const flags = load<u16>(descriptor, DescriptorAt.Flags);
  let outer: u32 = None.Short;
  let inner: u32 = None.Short;
  let tags = 0;
  let serviceTag = false;
  if ((flags & DescriptorFlag.VlanBeside) != 0) {
    outer = tagId(load<u16>(descriptor, DescriptorAt.VlanTci));
    serviceTag = (flags & DescriptorFlag.ServiceTag) != 0;
    tags = 1;
  }
  let type = ethernet.type;
  let network = frame + Ethernet.BYTES;
  while (type != EtherType.Ipv4 && isTag(type) && tags < 2) {
    const tag = Vlan.view(network);
    if (!tag.fits(end - <u32>network)) return Reason.FrameTruncated;
    if (outer == None.Short) {
      outer = tagId(tag.tci);
      serviceTag = type == EtherType.ServiceVlan;
    } else inner = tagId(tag.tci);
    type = tag.innerType;
    network += Vlan.BYTES;
    tags++;
  }
  if (!findDevice(tagKey(load<u16>(descriptor, DescriptorAt.Interface), outer, inner))) {
    return Reason.VlanUnknown;
  }
  if (outer != None.Short && serviceTag != lastServiceTag) return Reason.VlanUnknown;
  packet.place(lastPlace);
  packet.network = <u32>network;
  countReceived(bytes);
  const ours = ethernet.isTo(lastMac);
  if (type == EtherType.Ipv4) return ours ? type : <u32>Reason.NotOurMac;
  if (type != EtherType.Arp) return Reason.EtherTypeUnknown;
  return ours || ethernet.isBroadcast ? type : <u32>Reason.NotOurMac;
}

/** The same of a frame that another worker has received, or turned round: without tags, and counted there already. */
function enterHanded(packet: Packet, descriptor: usize, frame: usize): u32 {
  const number = load<u16>(descriptor, DescriptorAt.VlanTci);
  const isTurned = (load<u16>(descriptor, DescriptorAt.Flags) & DescriptorFlag.Turned) != 0;
  if (!(isTurned ? findZone(number) : findNumbered(number))) return Reason.Astray;
  packet.place(lastPlace);
  packet.network = <u32>frame + Ethernet.BYTES;
  return Ethernet.view(frame).type;
}

function isTag(type: u32): bool {
  return type == EtherType.Vlan || type == EtherType.ServiceVlan;
}

/** The tags of no device. */
const NO_TAGS: u64 = ~0;
/** Beside the number of a device, where no tags are known: tags have fewer bits. */
const DEVICE_NUMBER: u64 = 1 << 62;

/** The device that was found last, and what its frames have in common: a batch comes in runs of one device. */
let lastTags: u64 = NO_TAGS;
let lastServiceTag: bool = false;
let lastPlace: u64 = 0;
let lastMac: u64 = 0;
let lastCounters: usize = 0;
let lastZone: u32 = 0;

/** Forgets what a former configuration said. */
export function beginParse(): void {
  lastTags = NO_TAGS;
}

function findDevice(tags: u64): bool {
  return tags == lastTags || takeDevice(tags, active.deviceByTags.get(tags));
}

function findNumbered(number: u32): bool {
  const key = DEVICE_NUMBER | number;
  return key == lastTags || takeDevice(key, active.deviceByPort.get(number));
}

/** Makes the device with this index the last one; false where there is none. */
function takeDevice(tags: u64, found: u32): bool {
  lastTags = found == NONE ? NO_TAGS : tags;
  if (found == NONE) return false;
  const device = active.device(found);
  lastServiceTag = device.serviceTag != 0;
  lastPlace = placeOf(found, device.port, device.zone);
  lastMac = macWord(device.mac);
  lastCounters = active.deviceCounters + <usize>found * DeviceCounterAt.Bytes;
  lastZone = active.zone(device.zone).number;
  return true;
}

/** A frame that is in a zone without a device. */
function findZone(number: u32): bool {
  const found = active.zoneIndex(number);
  lastTags = NO_TAGS;
  if (found == NONE) return false;
  lastPlace = placeOf(None.Short, 0, found);
  lastZone = number;
  return true;
}

/** A tag of VLAN 0 carries a priority only (IEEE 802.1Q section 6.9): it counts as no tag. */
function tagId(tci: u32): u32 {
  const id = tci & 0xfff;
  return id == 0 ? <u32>None.Short : id;
}

function countReceived(bytes: u32): void {
  const at = lastCounters;
  store<u64>(at, load<u64>(at, DeviceCounterAt.RxPackets) + 1, DeviceCounterAt.RxPackets);
  store<u64>(at, load<u64>(at, DeviceCounterAt.RxBytes) + bytes, DeviceCounterAt.RxBytes);
}

function parseArp(packet: Packet, end: u32): u32 {
  const arp = Arp.view(packet.network);
  if (!arp.fits(end - packet.network)) return Reason.FrameTruncated;
  if (!arp.wellFormed) return Reason.ArpBad;
  packet.kind = <u8>PacketKind.Arp;
  return CONTINUE;
}

function parseIpv4(packet: Packet, network: usize, end: u32): u32 {
  const ip = Ipv4.view(network);
  if (!ip.fits(end - <u32>network)) return Reason.IpBadHeader;
  if (!ip.headerSumIsRight()) return Reason.IpBadChecksum;
  if (((DOUBTFUL >> ip.sourceBlock) | (DOUBTFUL >> ip.destinationBlock)) & 1) {
    if (!isForwardable(ip.source)) return Reason.IpBadSource;
    if (!isForwardable(ip.destination)) return Reason.IpBadDestination;
  }
  const transport = ip.payload;
  packet.kind = <u8>PacketKind.Ipv4;
  packet.totalBytes = <u16>ip.totalBytes;
  packet.transport = <u32>transport;
  packet.flags = 0;
  packet.code = 0;
  if (ip.isFragment) {
    const verdict = checkFragment(packet, ip);
    if (verdict != CONTINUE || packet.kind == PacketKind.Fragment) return verdict;
  }
  switch (ip.protocol) {
    case IpProtocol.Tcp:
      return parseTcp(packet, ip, transport);
    case IpProtocol.Udp:
      return parseUdp(packet, ip, transport);
    case IpProtocol.Icmp:
      return parseIcmp(packet, ip);
    case IpProtocol.Sctp:
      return parseSctp(packet, ip, transport);
    case IpProtocol.Dccp:
    case IpProtocol.UdpLite:
      return Reason.ProtocolUnsupported;
    default:
      return carry(packet, ip, 0, 0);
  }
}

/** A bit for each 64th of the address space that has addresses which are not forwarded: 0, 124, 168, 224 and on. */
const DOUBTFUL: u64 = (0xff << 56) | (1 << 42) | (1 << 31) | 1;

/**
 * Whether a packet from, or to, this address may be forwarded: not multicast, reserved or limited
 * broadcast, not 0/8 or 127/8 (RFC 1122 section 3.2.1.3), not link-local 169.254/16 (RFC 3927).
 */
function isForwardable(address: u32): bool {
  const top = address >> 24;
  return top - 1 < 223 && top != 127 && address >> 16 != 0xa9fe;
}

/** A sound packet: its tuple, and the hash to find its conn by. */
function carry(packet: Packet, ip: Ipv4, sourcePort: u32, destinationPort: u32): u32 {
  packet.hashed = packet.fill(
    ip.source,
    ip.destination,
    sourcePort,
    destinationPort,
    lastZone,
    ip.protocol,
  );
  return CONTINUE;
}

/** The same where the transport header begins with the ports. */
function carryPorts(packet: Packet, ip: Ipv4, transport: usize): u32 {
  const rest = lastZone | (ip.protocol << 16);
  packet.hashed = packet.fillWhole(ip.endpoints(transport, rest));
  return CONTINUE;
}

function parseTcp(packet: Packet, ip: Ipv4, transport: usize): u32 {
  const tcp = Tcp.view(transport);
  if (!tcp.fits(ip.payloadBytes)) return Reason.TcpBadHeader;
  packet.flags = <u8>tcp.flags;
  return carryPorts(packet, ip, transport);
}

function parseUdp(packet: Packet, ip: Ipv4, transport: usize): u32 {
  const udp = Udp.view(transport);
  // A first fragment has the header (checkFragment), and a length that is the whole datagram's.
  if (!udp.fits(ip.payloadBytes) && !ip.isFragment) return Reason.UdpBadHeader;
  return carryPorts(packet, ip, transport);
}

/** Translated by address only: the ports tell conns apart, and stay as they are. */
function parseSctp(packet: Packet, ip: Ipv4, transport: usize): u32 {
  const sctp = Sctp.view(transport);
  if (!sctp.fits(ip.payloadBytes)) return Reason.SctpBadHeader;
  return carryPorts(packet, ip, transport);
}

/** Queries by their identifier, errors by the packet that they quote (RFC 5508 sections 3 and 4). */
function parseIcmp(packet: Packet, ip: Ipv4): u32 {
  const icmp = Icmp.view(packet.transport);
  if (!icmp.fits(ip.payloadBytes)) return Reason.IcmpBadHeader;
  const type = icmp.type;
  packet.flags = <u8>type;
  packet.code = <u8>icmp.code;
  if (isRequest(type)) return carry(packet, ip, icmp.identifier, answererPort(type));
  if (isReply(type)) return carry(packet, ip, answererPort(type), icmp.identifier);
  return isError(type) ? parseError(packet) : <u32>Reason.IcmpUnsupported;
}
