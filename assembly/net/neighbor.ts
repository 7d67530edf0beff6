/**
 * Neighbors: hosts on our links, by device and address, and how to reach them. ARP (RFC 826) fills the
 * table; the states are those of RFC 4861 section 7.3.2, as Linux runs ARP through them.
 *
 *     Incomplete ──answer──▶ Reachable ──30 s──▶ Stale ──used──▶ Probe ──answer──▶ Reachable
 *         │ 3 requests           ▲ any ARP of its own             │ 3 requests
 *         ▼                      │                                ▼
 *        gone                 Permanent (configuration)          gone
 *
 * A neighbor holds the ready link header and its device: together the adjacency that a conn remembers by
 * the neighbor's index. Removing one that a conn may remember raises `arena.generation`, so that no conn
 * follows an index to another neighbor, perhaps in another zone.
 */

import { Limit, NeighborState, None, Reason } from "../abi";
import { active, pairKey } from "../config/configuration";
import {
  arena,
  count,
  neighborIndex,
  neighborSlab,
  neighbors,
  neighborWheel,
  RecordBytes,
  scratch,
} from "../memory";
import { tupleHash } from "../table/hash";
import { Index } from "../table/index";
import { NONE } from "../table/none";
import { Arp, ArpOperation } from "../wire/arp";
import { EtherType } from "../wire/ethernet";
import {
  giveHeld,
  hasHeldBuffers,
  heldAt,
  heldBytes,
  hold,
  isHeldEnd,
  nextHeld,
  setNextHeld,
} from "./held";
import { LINK_HEADER_BYTES, prependHeader, writeBroadcastMac, writeLinkHeader } from "./link";
import { NETWORK_OFFSET, output, outputOwn, takeOwnFrame } from "./output";
import { sourceTowards } from "./route";

/** RFC 4861 section 10: RETRANS_TIMER, REACHABLE_TIME, MAX_MULTICAST_SOLICIT and MAX_UNICAST_SOLICIT. */
const RETRY_MS: u32 = 1000;
const REACHABLE_MS: u32 = 30000;
const PROBES: u8 = 3;
/** A neighbor that nothing was sent to for this long is forgotten. */
const UNUSED_MS: u32 = 600000;

@final
@unmanaged
export class Neighbor {
  address: u32;
  device: u16;
  state: u8;
  /** Requests sent since it was last confirmed. */
  probes: u8;
  headerBytes: u8;
  /** 1 where a conn may remember it. */
  remembered: u8;
  /** Frames that wait for it. */
  held: u16;
  mtu: u16;
  zoneIndex: u16;
  private header0: u64;
  private header8: u64;
  private header16: u64;
  /** Milliseconds of the clock: last confirmed, last sent to. */
  confirmed: u32;
  used: u32;
  /** The frames that wait for it, in order. */
  firstHeld: u32;
  lastHeld: u32;
  /** A route leads over it. */
  isHop: bool;

  static at(index: u32): Neighbor {
    return changetype<Neighbor>(neighbors + <usize>index * RecordBytes.Neighbor);
  }

  /** Its link header, which begins with its MAC. */
  get header(): usize {
    return changetype<usize>(this) + offsetof<Neighbor>("header0");
  }
  /** It was asked as often as that is done, and does not answer. */
  get isSilent(): bool {
    const isAsked =
      this.state == <u8>NeighborState.Incomplete || this.state == <u8>NeighborState.Probe;
    return isAsked && this.probes >= PROBES;
  }
  /** Whether frames can be sent to it now. */
  get isUsable(): bool {
    return this.state >= <u32>NeighborState.Reachable;
  }
  get hash(): u64 {
    return tupleHash(arena.tupleKey, pairKey(this.device, this.address), 0);
  }
}
if (offsetof<Neighbor>() > <usize>RecordBytes.Neighbor) ERROR("a Neighbor outgrew its 64 bytes");
if (LINK_HEADER_BYTES > 24) ERROR("a Neighbor has room for 24 bytes of header");

/**
 * Index of what stands in for a neighbor where a packet turns round at an external address of ours and another worker
 * goes on with it: no link, never usable, and any packet fits.
 */
export function wayRound(): u32 {
  return arena.neighborCapacity;
}

/** Needed once, when the arena is laid out. */
export function startWayRound(): void {
  const neighbor = Neighbor.at(wayRound());
  neighbor.state = <u8>NeighborState.Free;
  neighbor.device = <u16>None.Short;
  neighbor.mtu = 0xffff;
}

/** Index of the neighbor with this address on this device, or NONE. */
export function findNeighbor(device: u32, address: u32): u32 {
  const hash = tupleHash(arena.tupleKey, pairKey(device, address), 0);
  for (let which: u32 = 0; which < 2; which++) {
    const bucket = neighborIndex.bucket(hash, which);
    for (let fits = Index.matches(bucket, hash); fits != 0; fits &= fits - 1) {
      const index = Index.handle(bucket, ctz(fits));
      const neighbor = Neighbor.at(index);
      if (neighbor.address == address && neighbor.device == device) return index;
    }
    if (Index.isWhole(bucket)) break;
  }
  return NONE;
}

/**
 * The neighbor, asked for if it is new. NONE when the table has no room for it, or its device too many that
 * do not answer; a route's next hop (`isHop`) is let in as long as anything in the table can make room.
 */
export function resolveNeighbor(device: u32, address: u32, isHop: bool, now: u32): u32 {
  const known = findNeighbor(device, address);
  if (known != NONE) {
    if (isHop) Neighbor.at(known).isHop = true;
    return known;
  }
  const state = active.deviceState(device);
  if (!isHop && state.incomplete >= <u32>Limit.IncompletePerDevice) return NONE;
  if (!hasRoom(device) && !makeRoom(device, isHop)) return NONE;
  const index = addNeighbor(device, address, now);
  if (index == NONE) return NONE;
  const neighbor = Neighbor.at(index);
  neighbor.isHop = isHop;
  neighbor.state = <u8>NeighborState.Incomplete;
  state.incomplete++;
  ask(neighbor);
  neighborWheel.add(index, now + RETRY_MS);
  return index;
}

function addNeighbor(device: u32, address: u32, now: u32): u32 {
  const index = neighborSlab.take();
  if (index == NONE) return NONE;
  const neighbor = Neighbor.at(index);
  memory.fill(changetype<usize>(neighbor), 0, RecordBytes.Neighbor);
  neighbor.address = address;
  neighbor.used = now;
  neighbor.firstHeld = NONE;
  neighbor.lastHeld = NONE;
  attachNeighbor(neighbor, device);
  if (!neighborIndex.insert(neighbor.hash, index)) {
    neighborSlab.give(index);
    return NONE;
  }
  active.deviceState(device).neighbors++;
  return index;
}

/** Whether a device may have one more neighbor that is not in the configuration. */
function hasRoom(device: u32): bool {
  if (neighborSlab.count == neighborSlab.capacity) return false;
  const even = neighborSlab.capacity / active.deviceCount;
  const share = min<u32>(max<u32>(even, Limit.NeighborsPerDeviceMin), Limit.NeighborsPerDevice);
  return active.deviceState(device).neighbors < share;
}

/** Neighbors that one search for room looks at. */
const ROOM_SEARCH: u32 = 64;

/**
 * Forgets a neighbor that is not in use: a stale one of the device's own or, for a next hop, a stale or
 * unanswered one of any device.
 */
function makeRoom(device: u32, forHop: bool): bool {
  for (let n: u32 = 0; n < min(ROOM_SEARCH, neighborSlab.fresh); n++) {
    const index = arena.neighborHand < neighborSlab.fresh ? arena.neighborHand : 0;
    arena.neighborHand = index + 1;
    if (!neighborSlab.holds(index)) continue;
    const neighbor = Neighbor.at(index);
    const isStale = neighbor.state == NeighborState.Stale;
    const yields = forHop
      ? isStale || neighbor.state == NeighborState.Incomplete
      : isStale && neighbor.device == device;
    if (!yields) continue;
    removeNeighbor(index);
    return true;
  }
  return false;
}

/** Copies what a neighbor keeps of its device, the header's MAC excepted. */
function attachNeighbor(neighbor: Neighbor, device: u32): void {
  const record = active.device(device);
  neighbor.device = <u16>device;
  neighbor.zoneIndex = record.zone;
  neighbor.mtu = record.mtu;
}

function writeHeader(neighbor: Neighbor, mac: usize): void {
  const device = active.device(neighbor.device);
  neighbor.headerBytes = <u8>writeLinkHeader(neighbor.header, device, mac, EtherType.Ipv4);
}

/** A static neighbor of the configuration; where the table is full, a learned one makes room for it. */
export function addPermanent(device: u32, address: u32, mac: usize, now: u32): void {
  if (neighborSlab.count == neighborSlab.capacity) removeLearned();
  const index = addNeighbor(device, address, now);
  if (index == NONE) return;
  const neighbor = Neighbor.at(index);
  neighbor.state = <u8>NeighborState.Permanent;
  active.deviceState(device).neighbors--;
  writeHeader(neighbor, mac);
}

function removeLearned(): void {
  for (let i: u32 = 0; i < neighborSlab.fresh; i++) {
    if (neighborSlab.holds(i) && Neighbor.at(i).state != NeighborState.Permanent) {
      removeNeighbor(i);
      return;
    }
  }
}

/** Forgets a neighbor and drops what waits for it. */
export function removeNeighbor(index: u32): void {
  const neighbor = Neighbor.at(index);
  const state = active.deviceState(neighbor.device);
  state.held -= neighbor.held;
  if (neighbor.state != NeighborState.Permanent) state.neighbors--;
  if (neighbor.state == NeighborState.Incomplete) state.incomplete--;
  neighborIndex.remove(neighbor.hash, index);
  release(index, neighbor);
}

/** Forgets what was learned on an interface: its link was down, and other hosts may be there now. */
export function forgetNeighbors(interfaceIndex: u32): void {
  for (let i: u32 = 0; i < neighborSlab.fresh; i++) {
    if (!neighborSlab.holds(i)) continue;
    const neighbor = Neighbor.at(i);
    if (neighbor.state == NeighborState.Permanent) continue;
    if (active.device(neighbor.device).interfaceIndex == interfaceIndex) removeNeighbor(i);
  }
}

/** The end of a neighbor that is out of the index already. */
function release(index: u32, neighbor: Neighbor): void {
  for (let held = neighbor.firstHeld; held != NONE; ) {
    const next = nextHeld(held);
    if (isHeldEnd(held)) count(Reason.NeighborFailed);
    giveHeld(held);
    held = next;
  }
  neighborWheel.remove(index);
  neighborSlab.give(index);
  neighbor.state = <u8>NeighborState.Free;
  if (neighbor.remembered) arena.generation++;
}

/** Sends an ARP request: to everybody, or to the neighbor alone while its MAC is known. */
function ask(neighbor: Neighbor): void {
  neighbor.probes++;
  const frame = takeOwnFrame();
  if (frame == 0) return;
  const device = active.device(neighbor.device);
  const to = neighbor.isUsable ? neighbor.header : writeBroadcastMac(scratch);
  const network = frame + NETWORK_OFFSET;
  const source = sourceTowards(device, neighbor.address);
  Arp.write(network, ArpOperation.Request, device.mac, source, 0, neighbor.address);
  outputOwn(frame, neighbor.device, to, EtherType.Arp, Arp.BYTES);
}

/** Takes in that a MAC speaks for a neighbor, and sends what waited for it. */
export function confirmNeighbor(index: u32, mac: usize, now: u32): void {
  const neighbor = Neighbor.at(index);
  if (neighbor.state == NeighborState.Permanent) return;
  if (neighbor.state == NeighborState.Incomplete) {
    active.deviceState(neighbor.device).incomplete--;
  }
  neighbor.state = <u8>NeighborState.Reachable;
  neighbor.probes = 0;
  neighbor.confirmed = now;
  writeHeader(neighbor, mac);
  neighborWheel.add(index, now + REACHABLE_MS);
  sendHeld(neighbor);
}

/** Like `confirmNeighbor`, for one that may be new: somebody on the link asked for us (RFC 826). */
export function learnNeighbor(device: u32, address: u32, mac: usize, now: u32): void {
  let index = findNeighbor(device, address);
  if (index == NONE && (hasRoom(device) || makeRoom(device, false))) {
    index = addNeighbor(device, address, now);
  }
  if (index != NONE) confirmNeighbor(index, mac, now);
}

function sendHeld(neighbor: Neighbor): void {
  for (let held = neighbor.firstHeld; held != NONE; ) {
    const next = nextHeld(held);
    const frame = prependHeader(
      heldAt(held) + NETWORK_OFFSET,
      neighbor.header,
      neighbor.headerBytes,
    );
    const bytes = neighbor.headerBytes + heldBytes(held);
    if (output(frame, bytes, neighbor.device, None.Short) && isHeldEnd(held)) {
      count(Reason.HeldSent);
    }
    giveHeld(held);
    held = next;
  }
  active.deviceState(neighbor.device).held -= neighbor.held;
  neighbor.firstHeld = NONE;
  neighbor.lastHeld = NONE;
  neighbor.held = 0;
}

/** Whether so many frames more may wait for the neighbor. */
export function hasHoldRoom(index: u32, frames: u32): bool {
  const neighbor = Neighbor.at(index);
  return (
    neighbor.held + frames <= <u32>Limit.HeldPerNeighbor &&
    active.deviceState(neighbor.device).held + frames <= <u32>Limit.HeldPerDevice &&
    hasHeldBuffers(frames)
  );
}

/**
 * Keeps a translated packet until the neighbor answers. Returns Held, or why it is dropped. `isEnd` as in
 * `hold`.
 */
export function holdFor(index: u32, network: usize, bytes: u32, isEnd: bool = true): Reason {
  const neighbor = Neighbor.at(index);
  const state = active.deviceState(neighbor.device);
  if (bytes > <u32>Limit.HeldFrameBytes || !hasHoldRoom(index, 1)) return Reason.HoldQueueFull;
  const held = hold(network, bytes, isEnd);
  if (held == NONE) return Reason.HoldQueueFull;
  if (neighbor.lastHeld == NONE) neighbor.firstHeld = held;
  else setNextHeld(neighbor.lastHeld, held);
  neighbor.lastHeld = held;
  neighbor.held++;
  state.held++;
  return Reason.Held;
}

/** Sends an IP packet to a neighbor whose MAC is known. `input` as in `output`. */
export function sendTo(index: u32, network: usize, bytes: u32, input: u32, now: u32): bool {
  const neighbor = Neighbor.at(index);
  neighbor.used = now;
  if (neighbor.state == NeighborState.Stale) probe(index, neighbor, now);
  const frame = prependHeader(network, neighbor.header, neighbor.headerBytes);
  return output(frame, neighbor.headerBytes + bytes, neighbor.device, input);
}

function probe(index: u32, neighbor: Neighbor, now: u32): void {
  neighbor.state = <u8>NeighborState.Probe;
  neighbor.probes = 0;
  ask(neighbor);
  neighborWheel.add(index, now + RETRY_MS);
}

/** Looks after at most `limit` neighbors whose timer has run out. */
/** What its time asks for. */
export function tend(index: u32, neighbor: Neighbor, now: u32): void {
  switch (<u32>neighbor.state) {
    case NeighborState.Incomplete:
    case NeighborState.Probe:
      if (neighbor.probes < PROBES) {
        ask(neighbor);
        neighborWheel.add(index, now + RETRY_MS);
      } else {
        removeNeighbor(index);
      }
      break;
    case NeighborState.Reachable:
      neighbor.state = <u8>NeighborState.Stale;
      neighborWheel.add(index, neighbor.used + UNUSED_MS);
      break;
    case NeighborState.Stale:
      if (now - neighbor.used >= UNUSED_MS) removeNeighbor(index);
      else neighborWheel.add(index, neighbor.used + UNUSED_MS);
      break;
  }
}

/** Moves a neighbor to the index that its device has in the configuration that is now in force. */
export function moveNeighbor(index: u32, device: u32): void {
  const neighbor = Neighbor.at(index);
  neighborIndex.remove(neighbor.hash, index);
  attachNeighbor(neighbor, device);
  if (!neighborIndex.insert(neighbor.hash, index)) {
    release(index, neighbor);
    return;
  }
  if (neighbor.isUsable) writeHeader(neighbor, neighbor.header);
  const state = active.deviceState(device);
  state.neighbors++;
  state.held += neighbor.held;
  if (neighbor.state == NeighborState.Incomplete) state.incomplete++;
  neighbor.remembered = 0;
}
