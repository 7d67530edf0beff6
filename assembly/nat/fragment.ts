/**
 * Fragments (RFC 791 section 3.2), translated one by one, never put together (RFC 4787 REQ-14).
 *
 * The first one has the transport header and goes the way of any packet. The others have addresses only;
 * which conn they belong to, the record of their datagram says (nat/datagram.ts). Those that overtake the
 * first wait for it.
 *
 * No byte of a datagram passes twice: a fragment that covers one that came before is dropped (RFC 1858
 * section 4, RFC 3128; RFC 5722 in spirit). That is enough. What was judged, the first fragment's ports and
 * flags, is what passed first; whichever copy a receiver prefers, it sees one. The datagram itself is not
 * given up, as RFC 5722 wants of a receiver: what has left cannot be called back, and whoever guesses an
 * identification could end a stranger's datagram.
 *
 * Limits: enum Limit. What is full drops what is new; a zone has no more than its share (nat/share.ts).
 */

import { Limit, None, Reason } from "../abi";
import { active } from "../config/configuration";
import { scratch } from "../memory";
import { CONTINUE, NO_CONN, Packet, PacketKind } from "../packet";
import { NONE } from "../table/none";
import { Icmp, isError } from "../wire/icmp";
import { IpProtocol, Ipv4 } from "../wire/ipv4";
import { Sctp } from "../wire/sctp";
import { Tcp } from "../wire/tcp";
import { Udp } from "../wire/udp";
import { Conn } from "./conn";
import {
  addDatagram,
  Datagram,
  DatagramState,
  endDatagram,
  findDatagram,
  hasDatagramRoom,
  hasWaitingRoom,
} from "./datagram";
import { Tuple } from "./tuple";
import { keepWaiting, readWaiting, waitingDevice } from "./waiting";

/** The longest IP packet: what a datagram's pieces must not exceed together. */
const PACKET_BYTES_MAX: u32 = 65535;
/** The offset at which a fragment would overwrite the flags of a TCP header (RFC 3128). */
const INSIDE_TCP: u32 = 8;

/** Whether a fragment is sound, and which kind it is: CONTINUE, or the Reason it ends with. */
export function checkFragment(packet: Packet, ip: Ipv4): u32 {
  const from = ip.fragmentOffset;
  const bytes = ip.payloadBytes;
  packet.identification = <u16>ip.identification;
  if (from + ip.totalBytes > PACKET_BYTES_MAX || bytes == 0) return Reason.IpBadHeader;
  if (ip.moreFragments && (bytes & 7) != 0) return Reason.IpBadHeader;
  if (from == 0) {
    packet.kind = <u8>PacketKind.First;
    return hasTransport(packet.transport, ip.protocol, bytes) ? CONTINUE : Reason.FragmentTooShort;
  }
  const protocol = ip.protocol;
  if (protocol == IpProtocol.Tcp && from == INSIDE_TCP) return Reason.FragmentTooShort;
  if (protocol == IpProtocol.Dccp || protocol == IpProtocol.UdpLite) {
    return Reason.ProtocolUnsupported;
  }
  packet.kind = <u8>PacketKind.Fragment;
  const zone = active.zone(packet.zoneIndex).number;
  packet.hashed = packet.fill(ip.source, ip.destination, ip.identification, 0, zone, protocol);
  return CONTINUE;
}

/**
 * Whether the transport header is all there. An ICMP error is not translated in pieces: nobody sends one so
 * long (RFC 1812 section 4.3.2.3: 576 bytes), and its checksum covers what its pieces quote.
 */
function hasTransport(at: usize, protocol: u32, bytes: u32): bool {
  switch (protocol) {
    case IpProtocol.Tcp:
      return Tcp.view(at).fits(bytes);
    case IpProtocol.Udp:
      return bytes >= Udp.BYTES;
    case IpProtocol.Icmp:
      return Icmp.view(at).fits(bytes) && !isError(Icmp.view(at).type);
    case IpProtocol.Sctp:
      return Sctp.view(at).fits(bytes);
    default:
      return true;
  }
}

function payloadBytes(packet: Packet): u32 {
  return packet.totalBytes - (packet.transport - packet.network);
}

/** What the datagram of a first fragment is found by. Good until the next use of `scratch`. */
function keyOf(packet: Packet): Tuple {
  const key = Tuple.view(scratch);
  key.fill(
    packet.source,
    packet.destination,
    packet.identification,
    0,
    packet.zone,
    packet.protocol,
  );
  return key;
}

/** The datagram with this key, NONE for none. One whose conn has ended is over. */
function liveDatagram(key: Tuple, hash: u64): u32 {
  const index = findDatagram(key, hash);
  if (index == NONE) return NONE;
  const datagram = Datagram.at(index);
  if (datagram.handle == NO_CONN || datagram.hasConn()) return index;
  endDatagram(index);
  return NONE;
}

/** Whether a first fragment may begin its datagram, or give its bytes to one that waits. Changes nothing. */
export function mayBegin(packet: Packet): u32 {
  const key = keyOf(packet);
  const index = liveDatagram(key, key.hash);
  if (index != NONE) return Datagram.at(index).judge(0, payloadBytes(packet), false);
  return hasDatagramRoom(packet.zoneIndex) ? CONTINUE : Reason.FragmentTableFull;
}

/**
 * A first fragment that `mayBegin` let in is on its way: those that follow go the same, with the
 * `identification` that it has now. Returns the datagram's index.
 */
export function beginDatagram(packet: Packet, identification: u32, now: u32): u32 {
  const key = keyOf(packet);
  const hash = key.hash;
  let index = findDatagram(key, hash);
  if (index == NONE) index = addDatagram(key, hash, packet.zoneIndex, now);
  if (index == NONE) return NONE;
  const datagram = Datagram.at(index);
  datagram.note(0, payloadBytes(packet), false);
  datagram.learn(packet, identification);
  return index;
}

/**
 * Finds the datagram of a fragment that is not the first. CONTINUE, with the packet's conn and tuple filled
 * in, or no conn for one to the router itself; FragmentHeld where it has to wait; or why it is dropped.
 */
export function joinDatagram(packet: Packet, now: u32): u32 {
  const ip = packet.ip;
  const from = ip.fragmentOffset;
  const to = from + ip.payloadBytes;
  const isLast = !ip.moreFragments;
  let index = liveDatagram(packet, packet.hashed);
  if (index != NONE) {
    const verdict = Datagram.at(index).judge(from, to, isLast);
    if (verdict != CONTINUE) return verdict;
  }
  if (index != NONE && Datagram.at(index).state == DatagramState.Known) {
    const datagram = Datagram.at(index);
    datagram.note(from, to, isLast);
    follow(packet, datagram);
    settleDatagram(index);
    return CONTINUE;
  }
  if (!mayWait(packet)) return Reason.FragmentTableFull;
  if (index == NONE) index = addDatagram(packet, packet.hashed, packet.zoneIndex, now);
  if (index == NONE) return Reason.FragmentTableFull;
  Datagram.at(index).note(from, to, isLast);
  Datagram.at(index).append(keepWaiting(packet));
  return Reason.FragmentHeld;
}

/** Whether a fragment may wait. */
function mayWait(packet: Packet): bool {
  return <u32>packet.totalBytes <= <u32>Limit.HeldFrameBytes && hasWaitingRoom(packet.zoneIndex);
}

/** The packet becomes one of the datagram's conn, or of the worker that has it. */
function follow(packet: Packet, datagram: Datagram): void {
  packet.handle = datagram.handle;
  packet.worker = datagram.worker;
  packet.flags = datagram.flags;
  packet.code = datagram.code;
  packet.identification = datagram.identification;
  if (packet.handle != NO_CONN) packet.copy(Conn.of(packet.handle).tuple(packet.direction));
}

/**
 * Makes a packet of the fragment of a Known datagram that has waited longest; returns its buffer, for the
 * caller to give back, NONE when none waits.
 */
export function takeFragment(index: u32, packet: Packet): u32 {
  const datagram = Datagram.at(index);
  const held = datagram.takeWaiting();
  if (held == NONE) return NONE;
  readWaiting(held, packet);
  packet.kind = <u8>PacketKind.Fragment;
  packet.device = <u16>waitingDevice(held);
  packet.port = packet.isTurned ? 0 : active.device(packet.device).port;
  packet.zoneIndex = datagram.zoneIndex;
  packet.input = <u16>None.Short;
  packet.flow = <u16>None.Short;
  packet.output = <u16>None.Short;
  packet.copy(datagram);
  follow(packet, datagram);
  return held;
}

/** Forgets a datagram of which all has come. */
export function settleDatagram(index: u32): void {
  if (Datagram.at(index).isWhole) endDatagram(index);
}
