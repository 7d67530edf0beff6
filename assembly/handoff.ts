/**
 * Hand-offs: a frame that belongs to another worker (nat/owner.ts) leaves for it as it came in, or turned round at an
 * external address of ours. What it is to know beside the frame, bits of DescriptorFlag say. Each is asked once whose a
 * packet is and once whose its conn would be, and each other worker at most once about its answers, so none goes round for
 * ever.
 */

import { DescriptorFlag, None, RESERVATION_BYTES, Reason } from "./abi";
import { active } from "./config/configuration";
import { arena } from "./memory";
import { Conn, opposite } from "./nat/conn";
import { handAbout, handAs, handTo, ownerOf, ownerOfAnswers, ownerOfHost } from "./nat/owner";
import { askerOf, cancelReservations, isFreeHere, writeReservation } from "./nat/reservation";
import { NETWORK_OFFSET, outputHandOff, takeOwnFrame } from "./net/output";
import { CONTINUE, Packet } from "./packet";
import { Arp } from "./wire/arp";
import { Ethernet, EtherType } from "./wire/ethernet";

/** Two MACs, with which a link header begins. */
const MACS_BYTES: u32 = 12;

/** CONTINUE where a packet without a conn is this worker's, else it is handed off. */
export function claim(packet: Packet): u32 {
  cancelReservations(packet);
  if ((packet.passage & DescriptorFlag.Owned) != 0) return CONTINUE;
  const owner = ownerOf(packet, packet.zoneIndex);
  return owner == arena.worker ? CONTINUE : handOff(packet, owner, DescriptorFlag.Owned);
}

/**
 * The same for a fragment, first or not: those that have no ports cannot say whose they are, so all of a datagram meet
 * at the worker of the host that sends them, which knows where the first one went.
 */
export function claimFragment(packet: Packet): u32 {
  if ((packet.passage & DescriptorFlag.Owned) != 0) return CONTINUE;
  const owner = ownerOfHost(active.zone(packet.zoneIndex).number, packet.ip.source);
  return owner == arena.worker ? CONTINUE : handOff(packet, owner, 0);
}

/** A packet that asks this worker about the answers to it: it goes back, as it came, where nothing here is in their way. */
export function answerQuestion(packet: Packet): u32 {
  if (!isFreeHere(packet)) return Reason.TupleInUse;
  const frame = <usize>packet.frame - RESERVATION_BYTES;
  const bytes = packet.frameBytes + RESERVATION_BYTES;
  const place = packet.isTurned ? active.zone(packet.zoneIndex).number : <u32>packet.port;
  const asker = askerOf(packet);
  const goes = outputHandOff(frame, bytes, asker, place, packet.passage, packet.input);
  return goes ? Reason.HandedOff : Reason.OutputFull;
}

/** Hands a packet on as the step that ended it with HandedOff has noted. */
export function handOn(packet: Packet): u32 {
  return handOff(packet, handTo, handAs);
}

/** Hands a packet, as it came, to another worker. Returns HandedOff, or OutputFull. */
export function handOff(packet: Packet, worker: u32, flags: u32): u32 {
  const passed: u32 = DescriptorFlag.Owned | DescriptorFlag.Placed | DescriptorFlag.Asked;
  const bits = (packet.passage & passed) | flags;
  // One that asks another worker comes back, and has begun nothing yet.
  packet.worker = <u8>((flags & DescriptorFlag.Reserves) != 0 ? arena.worker : worker);
  if (packet.isTurned) {
    return handTurned(packet, worker, active.zone(packet.zoneIndex).number, bits);
  }
  const frame = Ethernet.view(packet.network - Ethernet.BYTES);
  // Both MACs as they were: what is answered goes back to the one, to whom it came says the other.
  memory.copy(frame.destination, packet.frame, MACS_BYTES);
  return list(packet, worker, packet.port, bits);
}

/**
 * A translated packet for an external address of ours, where another worker goes on: in the zone between, as one that
 * came in there. That hop is none on its way.
 */
export function turn(packet: Packet): u32 {
  const other = Conn.of(packet.handle).tuple(opposite(packet.direction));
  packet.ip.rejuvenate();
  if (!packet.isWhole) {
    return handTurned(packet, ownerOfHost(other.zone, other.destination), other.zone, 0);
  }
  const owner = ownerOfAnswers(other, active.zoneIndex(other.zone));
  return handTurned(packet, owner, other.zone, DescriptorFlag.Owned);
}

/** In the zone with this number. It came over no link, and its header says nothing. */
function handTurned(packet: Packet, worker: u32, zone: u32, flags: u32): u32 {
  memory.fill(packet.network - Ethernet.BYTES, 0, MACS_BYTES);
  return list(packet, worker, zone, flags | DescriptorFlag.Turned);
}

/** Completes the link header, in front of which both MACs stand, and lists the frame. */
function list(packet: Packet, worker: u32, place: u32, flags: u32): u32 {
  let frame = packet.network - Ethernet.BYTES;
  let bytes = Ethernet.BYTES + packet.totalBytes;
  Ethernet.view(frame).type = EtherType.Ipv4;
  if ((flags & DescriptorFlag.Reserves) != 0) {
    writeReservation(frame);
    frame -= RESERVATION_BYTES;
    bytes += RESERVATION_BYTES;
  }
  const asks = (flags & DescriptorFlag.Asked) != 0 && worker == arena.worker;
  const input: u32 = asks ? handAbout : packet.input;
  const listed = outputHandOff(frame, bytes, worker, place, flags, input);
  return listed ? Reason.HandedOff : Reason.OutputFull;
}

/** Lets all others hear what ARP says. */
export function shareArp(packet: Packet): void {
  const frame = takeOwnFrame();
  if (frame == 0) return;
  const start = frame + NETWORK_OFFSET - Ethernet.BYTES;
  memory.copy(start, packet.frame, MACS_BYTES);
  Ethernet.view(start).type = EtherType.Arp;
  memory.copy(frame + NETWORK_OFFSET, packet.network, Arp.BYTES);
  const bytes = Ethernet.BYTES + Arp.BYTES;
  for (let worker: u32 = 0; worker < arena.workers; worker++) {
    if (worker == arena.worker) continue;
    outputHandOff(start, bytes, worker, packet.port, 0, None.Short);
  }
}
