/**
 * The way of a packet: parse → lookup → decide → route → translate → emit. A batch goes through in passes,
 * so that the cache misses of one packet overlap the work of the others. Each frame ends with exactly one
 * Reason, counted in one place.
 */

import { DeviceCounterAt, None, Reason } from "./abi";
import { active } from "./config/configuration";
import { arena, connIndex, connWheel, count, neighborWheel } from "./memory";
import { Conn, findConn, opposite } from "./nat/conn";
import { decide } from "./nat/decide";
import { expireGrants, grantWait, sweepGrants } from "./nat/grant";
import { dropConn, expireConns, refresh } from "./nat/lifetime";
import { freeRested, restWait } from "./nat/rest";
import { beginSearches } from "./nat/shared";
import { sweepConns } from "./nat/sweep";
import { translate } from "./nat/translate";
import { hasAnnouncements, sendAnnouncements } from "./net/announce";
import { reclaimHeld } from "./net/held";
import { holdFor, Neighbor, resolveNeighbor, sendTo, tendNeighbors } from "./net/neighbor";
import { beginOutputs, produced } from "./net/output";
import { answerArp, answerLocal, reportDrop, reportTooBig } from "./net/responder";
import { findRoute, isDirectedBroadcast } from "./net/route";
import { CONTINUE, Direction, LOCAL, NO_CONN, Packet, PacketKind } from "./packet";
import { beginParse, parse } from "./parse";
import { answerPcp, isForPcp } from "./pcp";
import { NONE } from "./table/none";
import { IcmpType } from "./wire/icmp";
import { IpProtocol } from "./wire/ipv4";

/** What the touches of the first pass sum up to: keeps them from being optimised away. */
export let touched: u32 = 0;

/** Takes in `received` frames (at most Limit.Batch); returns how many frames leave. */
export function processBatch(received: u32, now: u32): u32 {
  beginCall(now);
  if (arena.configured == 0) return 0;
  beginParse();
  for (let i: u32 = 0; i < received; i++) {
    const packet = Packet.at(i);
    packet.reason = <u8>parse(packet, i);
    if (packet.reason == CONTINUE && packet.kind == PacketKind.Ipv4) {
      touched += connIndex.touch(packet.hashed);
    }
  }
  const before = arena.connChanges;
  for (let i: u32 = 0; i < received; i++) {
    const packet = Packet.at(i);
    if (packet.reason == CONTINUE && packet.kind == PacketKind.Ipv4) {
      packet.handle = findConn(packet, packet.hashed);
    }
  }
  for (let i: u32 = 0; i < received; i++) {
    const packet = Packet.at(i);
    let verdict: u32 = packet.reason;
    if (verdict == CONTINUE) {
      if (packet.kind == PacketKind.Arp) {
        verdict = answerArp(packet, now);
      } else {
        // A conn made or ended since the second pass may be this packet's.
        if (arena.connChanges != before) packet.handle = findConn(packet, packet.hashed);
        verdict = forward(packet, now);
      }
    }
    finish(packet, verdict);
  }
  return produced;
}

/** One sound IPv4 packet, from its conn to the list of frames that leave. */
function forward(packet: Packet, now: u32): u32 {
  let verdict = admit(packet, now);
  if (verdict == LOCAL) return isForPcp(packet) ? answerPcp(packet) : answerLocal(packet);
  if (verdict == CONTINUE) verdict = fit(packet, now);
  if (verdict != CONTINUE) {
    reportDrop(packet, verdict, now);
    return verdict;
  }
  const conn = Conn.of(packet.handle);
  const direction = packet.direction;
  refresh(conn, direction, packet, now);
  conn.countPacket(direction, packet.totalBytes);
  translate(packet, conn.tuple(opposite(direction)));
  return emit(packet, now);
}

/** The cached verdict of the packet's conn, or a new decision. */
function admit(packet: Packet, now: u32): u32 {
  const known = packet.handle != NO_CONN;
  if (known) {
    const conn = Conn.of(packet.handle);
    const direction = packet.direction;
    if (packet.protocol == IpProtocol.Icmp && !fitsEcho(packet)) return Reason.EchoNotRequest;
    if (conn.decided(direction, packet.port)) {
      active.countFlow(conn.flow(direction), packet.totalBytes);
      if (active.flowsTracked != NONE && conn.tracked(direction) != None.Short) {
        active.countFlow(conn.tracked(direction), packet.totalBytes);
      }
      if (conn.drops(direction)) return Reason.FlowDrop;
      packet.adjacency = conn.adjacency(direction);
      return packet.ip.ttl > 1 ? CONTINUE : <u32>Reason.TtlExceeded;
    }
  }
  // RFC 1812 section 5.3.7: a broadcast address is no source.
  if (!known && isDirectedBroadcast(active.device(packet.device), packet.source)) {
    return Reason.IpBadSource;
  }
  let verdict = decide(packet, now);
  if (verdict == CONTINUE) {
    verdict = packet.ip.ttl > 1 ? route(packet, now) : <u32>Reason.TtlExceeded;
  }
  if (verdict == CONTINUE) verdict = fit(packet, now);
  // A packet that goes nowhere leaves no conn behind, nor a port taken.
  if (verdict != CONTINUE && !known && packet.handle != NO_CONN) dropConn(packet.handle >> 1);
  return verdict;
}

/** With identifier 0 an echo's request and reply have one tuple; only the asker sends requests. */
function fitsEcho(packet: Packet): bool {
  return (packet.flags == IcmpType.EchoRequest) == (packet.direction == Direction.Original);
}

/** Finds the way out in the zone that the packet goes to, and lets the conn remember it. */
function route(packet: Packet, now: u32): u32 {
  const conn = Conn.of(packet.handle);
  const direction = packet.direction;
  const other = conn.tuple(opposite(direction));
  const zone = active.zoneIndex(other.zone);
  if (zone == NONE) return Reason.NoRoute;
  const found = findRoute(zone, other.source);
  let hop = other.source;
  let device: u32 = packet.output;
  if (device == None.Short) {
    if (found == NONE) return Reason.NoRoute;
    device = active.route(found).device;
  }
  const egress = active.device(device);
  if (egress.zone != zone) return Reason.ZoneMismatch;
  const via: u32 =
    found == NONE || active.route(found).device != device ? 0 : active.route(found).via;
  if (via != 0) hop = via;
  if (isDirectedBroadcast(egress, hop)) return Reason.IpBadDestination;
  packet.adjacency = resolveNeighbor(device, hop, via != 0, now);
  if (packet.adjacency == NONE) return Reason.NeighborTableFull;
  const neighbor = Neighbor.at(packet.adjacency);
  if (neighbor.isUsable) {
    neighbor.remembered = 1;
    conn.decide(direction, packet.port, packet.flow, packet.adjacency, false);
  }
  return CONTINUE;
}

/** Whether the packet fits the link that it leaves by. */
function fit(packet: Packet, now: u32): u32 {
  const mtu = Neighbor.at(packet.adjacency).mtu;
  if (packet.totalBytes <= mtu) return CONTINUE;
  reportTooBig(packet, mtu, now);
  return Reason.TooBig;
}

/** Sends the translated packet, or keeps it until the next hop's MAC is known. */
function emit(packet: Packet, now: u32): Reason {
  const index = packet.adjacency;
  if (!Neighbor.at(index).isUsable) return holdFor(index, packet.network, packet.totalBytes);
  const sent = sendTo(index, packet.network, packet.totalBytes, packet.input, now);
  return sent ? Reason.Forwarded : Reason.OutputFull;
}

/** Counts how a frame ended. */
function finish(packet: Packet, verdict: u32): void {
  packet.reason = <u8>verdict;
  // A list that is full counts itself, for frames of our own too.
  if (verdict != Reason.OutputFull) count(verdict);
  if (verdict <= <u32>Reason.Held || packet.device == None.Short) return;
  const at = active.deviceCounters + <usize>packet.device * DeviceCounterAt.Bytes;
  store<u64>(at, load<u64>(at, DeviceCounterAt.RxDropped) + 1, DeviceCounterAt.RxDropped);
}

/**
 * Does what time asks for: at most `limit` conns, grants and neighbors each, and as much of a sweep. Returns how
 * many frames leave. `timerWait` says when to call again.
 */
export function expireTimers(now: u32, limit: u32): u32 {
  beginCall(now);
  if (arena.configured == 0) return 0;
  expireConns(now, limit);
  expireGrants(now, limit);
  freeRested(limit);
  tendNeighbors(now, limit);
  sweepConns(limit, now);
  sweepGrants(limit);
  sendAnnouncements();
  return produced;
}

function beginCall(now: u32): void {
  arena.now = now;
  arena.advanceEpoch();
  beginSearches();
  beginOutputs();
  reclaimHeld();
}

/** Milliseconds until `expireTimers` has something to do: 0 for now, NONE for never. */
export function timerWait(now: u32): u32 {
  if (arena.sweepDone != arena.configured || hasAnnouncements()) return 0;
  arena.now = now;
  const wait = min(min(connWheel.wait(now), neighborWheel.wait(now)), restWait());
  return min(wait, grantWait(now));
}
