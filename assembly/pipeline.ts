/**
 * The way of a packet: parse → lookup → decide → route → translate → emit. A batch goes through in passes,
 * so that the cache misses of one packet overlap the work of the others. Each frame ends with exactly one
 * Reason, counted in one place.
 */

import { ConnState, DescriptorFlag, DeviceCounterAt, Limit, None, Reason, Step } from "./abi";
import { active, pairKey } from "./config/configuration";
import { answerQuestion, claim, claimFragment, handOff, handOn, shareArp, turn } from "./handoff";
import { arena, connIndex, count } from "./memory";
import { Conn, ConnFlag, findConn, guessConn, isOf, opposite, touchConn } from "./nat/conn";
import { decide, decideError, isForged, stayBy } from "./nat/decide";
import {
  beginDatagram,
  joinDatagram,
  mayBegin,
  settleDatagram,
  takeFragment,
} from "./nat/fragment";
import { GROWTH_MAX } from "./nat/ftp";
import { prepareGateway, serveGateway } from "./nat/gateway";
import { isWaiting } from "./nat/hairpin";
import { translateError } from "./nat/icmperror";
import { dropConn, refresh } from "./nat/lifetime";
import { fitsQuery } from "./nat/query";
import { beginsTcp } from "./nat/tcp";
import { translate, translateFragment } from "./nat/translate";
import { Tuple } from "./nat/tuple";
import { giveWaiting } from "./nat/waiting";
import { sendPieces } from "./net/fragmenter";
import { LINK_HEADER_BYTES } from "./net/link";
import { holdFor, Neighbor, resolveNeighbor, sendTo, wayRound } from "./net/neighbor";
import { produced } from "./net/output";
import { answerArp, answerLocal, learnArp, reportDrop, reportTooBig } from "./net/responder";
import { findRoute, isDirectedBroadcast } from "./net/route";
import { holdSyn } from "./net/unsolicited";
import { CONTINUE, HEARD, LOCAL, NO_CONN, NO_WORKER, Packet, PacketKind } from "./packet";
import { beginParse, parse } from "./parse";
import { answerPcp, isForPcp } from "./pcp";
import { NONE } from "./table/none";
import { beginCall } from "./timers";
import { note } from "./trace";
import { Ethernet } from "./wire/ethernet";
import { IpProtocol } from "./wire/ipv4";

if (Reason.OutputFull + 1 != Reason.Count) ERROR("OutputFull is the last Reason");

// A gateway's text grows into the headroom, in front of which a longer link header may have to go.
if (<u32>Limit.Headroom + Ethernet.BYTES < LINK_HEADER_BYTES + GROWTH_MAX) {
  ERROR("text outgrows the headroom");
}

/** Takes in `received` frames (at most Limit.Batch); returns how many frames leave. */
export function processBatch(received: u32, now: u32): u32 {
  beginCall(now);
  if (arena.configured == 0) return 0;
  beginParse();
  for (let i: u32 = 0; i < received; i++) {
    const packet = Packet.at(i);
    packet.reason = <u8>parse(packet, i);
    if (isDefined(TRACING)) note(Step.Parse, packet, packet.reason);
  }
  touchBuckets(received);
  guessConns(received);
  const before = arena.connChanges;
  for (let i: u32 = 0; i < received; i++) {
    const packet = Packet.at(i);
    let verdict: u32 = packet.reason;
    if (verdict == CONTINUE) verdict = proceed(packet, before, now);
    if (isDefined(TRACING)) note(Step.Finish, packet, verdict);
    finish(packet, verdict);
  }
  return produced;
}

/** Reads from the bucket of each packet; so few steps between two reads let many be on their way at once. */
function touchBuckets(received: u32): void {
  for (let i: u32 = 0; i < received; i++) connIndex.touch(Packet.at(i).hashed);
}

/** Finds what each packet's conn most likely is, and reads from it; whether it has one, `proceed` asks. */
function guessConns(received: u32): void {
  for (let i: u32 = 0; i < received; i++) {
    const packet = Packet.at(i);
    const handle = guessConn(packet.hashed);
    packet.handle = handle;
    if (handle != NO_CONN) touchConn(handle);
  }
}

/** Where a packet goes that was parsed; conns that were made or ended since `before` may be its own. */
function proceed(packet: Packet, before: u32, now: u32): u32 {
  if (!packet.isWhole) {
    if (packet.kind == PacketKind.Arp) return hearArp(packet, now);
    if (packet.kind == PacketKind.Question) return answerQuestion(packet);
    return proceedFragment(packet, now);
  }
  const handle = packet.handle;
  if (arena.connChanges != before || (handle != NO_CONN && !isOf(handle, packet))) {
    packet.handle = findConn(packet, packet.hashed);
  }
  if (isDefined(TRACING)) note(Step.Lookup, packet, CONTINUE);
  if (packet.handle == NO_CONN && arena.workers > 1) {
    const verdict = claim(packet);
    if (isDefined(TRACING)) note(Step.Claim, packet, verdict);
    if (verdict != CONTINUE) return verdict;
  }
  return forward(packet, now);
}

/** All workers hear what one of them receives. That one answers, and for it alone it is a frame. */
function hearArp(packet: Packet, now: u32): u32 {
  if (arena.workers == 1) return answerArp(packet, now);
  if ((packet.passage & DescriptorFlag.Handed) == 0) {
    shareArp(packet);
    return answerArp(packet, now);
  }
  learnArp(packet, now);
  packet.device = <u16>None.Short;
  return HEARD;
}

function proceedFragment(packet: Packet, now: u32): u32 {
  if (arena.workers > 1) {
    const verdict = claimFragment(packet);
    if (isDefined(TRACING)) note(Step.Claim, packet, verdict);
    if (verdict != CONTINUE) return verdict;
  }
  return packet.kind == PacketKind.First ? forwardFirst(packet, now) : forwardFragment(packet, now);
}

/** A first fragment goes the way of any packet, if its datagram may begin. */
function forwardFirst(packet: Packet, now: u32): u32 {
  packet.handle = findConn(packet, packet.hashed);
  packet.worker = NO_WORKER;
  if (isDefined(TRACING)) note(Step.Lookup, packet, CONTINUE);
  let verdict = mayBegin(packet);
  if (isDefined(TRACING)) note(Step.Datagram, packet, verdict);
  if (verdict == CONTINUE && packet.handle == NO_CONN && arena.workers > 1) verdict = claim(packet);
  if (verdict == CONTINUE) verdict = forward(packet, now);
  // One that comes back has begun nothing yet.
  if (verdict <= <u32>Reason.Held && packet.worker != arena.worker) tellOthers(packet, now);
  return verdict;
}

/** One sound IPv4 packet, from its conn to the list of frames that leave. */
function forward(packet: Packet, now: u32): u32 {
  if (packet.kind == PacketKind.IcmpError) return forwardError(packet, now);
  let verdict = admit(packet, now);
  if (verdict == CONTINUE) verdict = fit(packet, now);
  if (verdict != CONTINUE) return refuse(packet, verdict, now);
  const conn = Conn.of(packet.handle);
  const direction = packet.direction;
  const isServed = conn.gateway != None.Short;
  if (isServed) prepareGateway(conn, packet);
  verdict = refresh(conn, direction, packet, now);
  if (isDefined(TRACING)) note(Step.Follow, packet, verdict);
  if (verdict != CONTINUE) return refuse(packet, verdict, now);
  conn.countPacket(direction, packet.totalBytes);
  if (isDefined(TRACING)) note(Step.Translate, packet, CONTINUE);
  if (isServed) serveGateway(conn, packet, Neighbor.at(packet.adjacency).mtu);
  translate(packet, conn.tuple(opposite(direction)));
  if (isDefined(TRACING)) note(Step.Translated, packet, CONTINUE);
  return emit(packet, now);
}

/** An ICMP error about a packet of a conn; the conn takes no note of it. */
function forwardError(packet: Packet, now: u32): u32 {
  let verdict = admitError(packet, now);
  if (verdict == CONTINUE) verdict = fit(packet, now);
  if (verdict != CONTINUE) return refuse(packet, verdict, now);
  if (isDefined(TRACING)) note(Step.Translate, packet, CONTINUE);
  translateError(packet, Conn.of(packet.handle).tuple(opposite(packet.direction)));
  if (isDefined(TRACING)) note(Step.Translated, packet, CONTINUE);
  return emit(packet, now);
}

/** What does not go on: it is for the router itself, waits for its receiver, or ends here. */
function refuse(packet: Packet, verdict: u32, now: u32): u32 {
  if (isUnsolicited(packet, verdict)) {
    holdSyn(packet, now);
    return Reason.TcpUnsolicited;
  }
  if (verdict == Reason.HandedOff) return handOn(packet);
  if (verdict == LOCAL) {
    if (isDefined(TRACING)) note(Step.Serve, packet, LOCAL);
    return serve(packet);
  }
  reportDrop(packet, verdict, now);
  return verdict;
}

/** A packet for the router itself. Nothing of it is an external port that another worker would turn to. */
function serve(packet: Packet): u32 {
  if (packet.isTurned) return Reason.Hairpin;
  return isForPcp(packet) ? answerPcp(packet) : answerLocal(packet);
}

/** A first fragment went the way of any packet; what it found out, those that follow it need to know. */
function tellOthers(packet: Packet, now: u32): void {
  const datagram = beginDatagram(packet, packet.ip.identification, now);
  if (datagram != NONE) sendWaiting(datagram, now);
}

/** Any other fragment: with its datagram's conn, or kept until that is known. */
function forwardFragment(packet: Packet, now: u32): u32 {
  const verdict = joinDatagram(packet, now);
  if (isDefined(TRACING)) note(Step.Datagram, packet, verdict);
  return verdict == CONTINUE ? passFragment(packet, now) : verdict;
}

/** A fragment that knows its conn or worker, or is for the router itself. Its sender is told of no drop. */
function passFragment(packet: Packet, now: u32): u32 {
  if (packet.worker != NO_WORKER) return handOff(packet, packet.worker, DescriptorFlag.Owned);
  if (packet.handle == NO_CONN) return packet.isTurned ? Reason.Hairpin : answerLocal(packet);
  let verdict = admit(packet, now);
  if (verdict == CONTINUE) verdict = fit(packet, now);
  if (verdict != CONTINUE) return verdict;
  const conn = Conn.of(packet.handle);
  const direction = packet.direction;
  conn.countPacket(direction, packet.totalBytes);
  if (isDefined(TRACING)) note(Step.Translate, packet, CONTINUE);
  translateFragment(packet, conn.tuple(opposite(direction)));
  if (isDefined(TRACING)) note(Step.Translated, packet, CONTINUE);
  return emit(packet, now);
}

/** Sends what waited for the first fragment behind it, in the order it came. */
function sendWaiting(datagram: u32, now: u32): void {
  const packet = Packet.at(Limit.Batch);
  for (
    let held = takeFragment(datagram, packet);
    held != NONE;
    held = takeFragment(datagram, packet)
  ) {
    const verdict = passFragment(packet, now);
    if (isDefined(TRACING)) note(Step.Finish, packet, verdict);
    if (verdict <= <u32>Reason.Answered) count(Reason.HeldSent);
    // Where it waits once more, for its neighbor, that one's answer counts it.
    else if (verdict != Reason.Held) finish(packet, verdict);
    giveWaiting(held);
  }
  settleDatagram(datagram);
}

/** The cached verdict of the packet's conn, or a new decision. */
function admit(packet: Packet, now: u32): u32 {
  const known = packet.handle != NO_CONN;
  if (known) {
    const conn = Conn.of(packet.handle);
    if (packet.protocol == IpProtocol.Icmp && !fitsQuery(packet)) return Reason.EchoNotRequest;
    if (conn.decided(packet.direction, packet.port)) return recall(packet, conn);
  }
  // RFC 1812 section 5.3.7: a broadcast address is no source.
  if (!known && comesFromAll(packet, packet.source)) return Reason.IpBadSource;
  const changes = arena.connChanges;
  let verdict = decide(packet, now);
  if (isDefined(TRACING)) note(Step.Decide, packet, verdict);
  const isNew = arena.connChanges != changes;
  if (verdict == CONTINUE) {
    verdict = packet.ip.ttl > 1 ? route(packet, now) : <u32>Reason.TtlExceeded;
    if (isDefined(TRACING)) note(Step.Route, packet, verdict);
  }
  if (verdict == CONTINUE) verdict = fit(packet, now);
  // A packet that goes nowhere leaves no conn behind, nor a port taken.
  if (verdict != CONTINUE && isNew && packet.handle != NO_CONN) dropConn(packet.handle >> 1);
  return verdict;
}

/** An ICMP error about nothing that is known to this worker: another one may have the conn. */
function findElsewhere(packet: Packet): u32 {
  const verdict = arena.workers > 1 ? stayBy(packet, ConnState.New) : CONTINUE;
  return verdict == CONTINUE ? Reason.IcmpUnrelated : verdict;
}

/** Whether a source means every host of the link that the packet came in by. */
function comesFromAll(packet: Packet, source: u32): bool {
  return !packet.isTurned && isDirectedBroadcast(active.device(packet.device), source);
}

/** What the conn remembers of the packet's direction. */
function recall(packet: Packet, conn: Conn): u32 {
  const direction = packet.direction;
  active.countFlow(conn.flow(direction), packet.totalBytes);
  if (active.flowsTracked != NONE && conn.tracked(direction) != None.Short) {
    active.countFlow(conn.tracked(direction), packet.totalBytes);
  }
  if (isDefined(TRACING))
    note(Step.Recall, packet, conn.drops(direction) ? <u32>Reason.FlowDrop : CONTINUE);
  if (conn.drops(direction)) return Reason.FlowDrop;
  packet.adjacency = conn.adjacency(direction);
  return packet.ip.ttl > 1 ? CONTINUE : <u32>Reason.TtlExceeded;
}

/**
 * An ICMP error goes the way of an answer to the packet that it quotes. It begins no conn, and leaves the
 * one that it is about as it is: timer, phase and remembered verdicts (RFC 5508 REQ-6).
 */
function admitError(packet: Packet, now: u32): u32 {
  if (packet.handle == NO_CONN) return findElsewhere(packet);
  if (packet.protocol == IpProtocol.Icmp && !fitsQuery(packet)) return Reason.IcmpUnrelated;
  // Any hop may send it (RFC 4787 REQ-12a), but nobody sends from an address that is no host's, or ours.
  const source = packet.ip.source;
  if (comesFromAll(packet, source)) return Reason.IpBadSource;
  if (active.deviceByAddress.get(pairKey(packet.zoneIndex, source)) != NONE && !packet.isTurned) {
    return Reason.IpBadSource;
  }
  const conn = Conn.of(packet.handle);
  if (isWaiting(conn) || isForged(packet)) return Reason.IcmpUnrelated;
  if (!active.hasRelatedFlows && conn.decided(packet.direction, packet.port)) {
    return recall(packet, conn);
  }
  const verdict = decideError(packet);
  if (isDefined(TRACING)) note(Step.Decide, packet, verdict);
  if (verdict != CONTINUE) return verdict;
  return packet.ip.ttl > 1 ? route(packet, now) : <u32>Reason.TtlExceeded;
}

/** Finds the way out in the zone that the packet goes to, and lets the conn remember it. */
function route(packet: Packet, now: u32): u32 {
  const conn = Conn.of(packet.handle);
  const direction = packet.direction;
  const other = conn.tuple(opposite(direction));
  const zone = active.zoneIndex(other.zone);
  if (zone == NONE) return Reason.NoRoute;
  if (arena.workers > 1 && goesRound(conn, other, zone)) {
    packet.adjacency = wayRound();
    if (packet.kind != PacketKind.IcmpError) {
      conn.decide(direction, packet.port, packet.flow, packet.adjacency, false);
    }
    return CONTINUE;
  }
  const found = findRoute(zone, other.source);
  let hop = other.source;
  // A flow's output() is in the zone where a hairpinned packet only turns round.
  let device: u32 = conn.has(ConnFlag.Hairpin) ? <u32>None.Short : packet.output;
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
  if (neighbor.isUsable && packet.kind != PacketKind.IcmpError) {
    neighbor.remembered = 1;
    conn.decide(direction, packet.port, packet.flow, packet.adjacency, false);
  }
  return CONTINUE;
}

/** Whether another worker goes on with what the conn sends to an external address of ours (nat/hairpin.ts). */
function goesRound(conn: Conn, other: Tuple, zone: u32): bool {
  return !conn.has(ConnFlag.Hairpin) && active.isOurs(zone, other.source);
}

/** Whether it is a SYN for an external address that found neither a conn nor a flow, nor serves the router. */
function isUnsolicited(packet: Packet, verdict: u32): bool {
  const findsNothing =
    verdict == Reason.NoFlow ||
    verdict == Reason.NoConn ||
    verdict == Reason.Filtered ||
    verdict == LOCAL;
  return (
    findsNothing &&
    packet.protocol == IpProtocol.Tcp &&
    packet.handle == NO_CONN &&
    beginsTcp(packet.flags) &&
    active.externalByAddress.get(pairKey(packet.zoneIndex, packet.destination)) != NONE
  );
}

/** Whether the packet fits the link that it leaves by, or may be cut for it (RFC 4787 REQ-13). */
function fit(packet: Packet, now: u32): u32 {
  const mtu = Neighbor.at(packet.adjacency).mtu;
  if (packet.totalBytes <= mtu || !packet.ip.dontFragment) return CONTINUE;
  reportTooBig(packet, mtu, now);
  return Reason.TooBig;
}

/** Sends the translated packet, or keeps it until the next hop's MAC is known. */
function emit(packet: Packet, now: u32): Reason {
  const index = packet.adjacency;
  const neighbor = Neighbor.at(index);
  if (packet.totalBytes > neighbor.mtu) {
    return sendPieces(index, packet.network, packet.input, now);
  }
  if (!neighbor.isUsable) {
    if (index == wayRound()) return turn(packet);
    return holdFor(index, packet.network, packet.totalBytes);
  }
  const sent = sendTo(index, packet.network, packet.totalBytes, packet.input, now);
  return sent ? Reason.Forwarded : Reason.OutputFull;
}

/** Counts how a frame ended. */
function finish(packet: Packet, verdict: u32): void {
  packet.reason = <u8>verdict;
  // A list that is full counts itself, for frames of our own too.
  if (verdict < <u32>Reason.OutputFull) count(verdict);
  if (verdict <= <u32>Reason.Held || packet.device == None.Short) return;
  const at = active.deviceCounters + <usize>packet.device * DeviceCounterAt.Bytes;
  store<u64>(at, load<u64>(at, DeviceCounterAt.RxDropped) + 1, DeviceCounterAt.RxDropped);
}
