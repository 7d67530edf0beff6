/**
 * Conns as they were before a restart (nat/restore.ts): each goes through what a new conn goes through, from the limit of its
 * zone to the last table, and then has phase, windows, age, traffic and what was left of its time.
 */

import { ConnPhase, Fate, Reason, SavedAt, SavedConnAt, SavedMappingAt, SavedPart } from "../abi";
import { active } from "../config/configuration";
import { arena, connWheel, RecordBytes } from "../memory";
import { CONTINUE, Direction, Packet } from "../packet";
import { NONE } from "../table/none";
import { IpProtocol } from "../wire/ipv4";
import { poolOf, stillAllowed } from "./allowed";
import { Conn, ConnFlag, isFree } from "./conn";
import { bitmapOf, External } from "./external";
import { ASKS, ELSEWHERE, fateOf, nobodys, sameZone } from "./fate";
import { Gateway } from "./gateway";
import { dropConn } from "./lifetime";
import { findExact, Mapping } from "./mapping";
import { begin, finish, isAtLimit, refusal } from "./open";
import { ownerOf, ownerOfHost } from "./owner";
import { externalOf, keyOf, remap, remapped } from "./remap";
import { connBytes } from "./save";
import { Shift } from "./shift";
import { idleTimeout } from "./timeout";
import { Tuple } from "./tuple";
import { Windows } from "./window";

/** What a record of a conn may say of it; the rest follows from how it begins again. */
const FLAGS: u8 = <u8>(
  (ConnFlag.Snat | ConnFlag.Dnat | ConnFlag.Inward | ConnFlag.Hairpin | ConnFlag.KeepsExpiry)
);

/** Index of the zone for which the last call has said ASKS. */
export let askedFor: u32 = NONE;

/** Where the parts of a conn's record stand, 0 for those that it does not have. */
let windowsAt: usize = 0;
export let mappingAt: usize = 0;
let targetAt: usize = 0;
let shiftAt: usize = 0;

function findParts(at: usize, parts: u32): void {
  let next = at + SavedConnAt.Bytes;
  windowsAt = (parts & SavedPart.Windows) != 0 ? next : 0;
  if (windowsAt != 0) next += RecordBytes.Window;
  mappingAt = (parts & SavedPart.Mapping) != 0 ? next : 0;
  if (mappingAt != 0) next += SavedMappingAt.Bytes;
  targetAt = (parts & SavedPart.Target) != 0 ? next : 0;
  if (targetAt != 0) next += SavedMappingAt.Bytes;
  shiftAt = (parts & SavedPart.Shift) != 0 ? next : 0;
}

/** Lets the conn begin again that the record at `at` says, or says why not. */
export function restoreConn(at: usize, length: u32, elapsed: u32, old: bool, mayAsk: bool): u32 {
  const parts: u32 = load<u8>(at, SavedAt.Parts);
  mappingAt = 0;
  if (length < <u32>SavedConnAt.Bytes || length != connBytes(parts)) return nobodys(Fate.Unsound);
  findParts(at, parts);
  const original = Tuple.view(at + SavedConnAt.Original);
  const reply = Tuple.view(at + SavedConnAt.Reply);
  const zone = sameZone(original.zone);
  const target = sameZone(reply.zone);
  if (zone == NONE || target == NONE) return nobodys(Fate.ZoneGone);
  if (!isSound(original, reply)) return nobodys(Fate.Unsound);
  const owner = ownerOfConn(original, reply, target);
  if (owner != arena.worker) return ELSEWHERE;
  const left = load<u32>(at, SavedConnAt.ExpiresIn);
  if (left <= elapsed) return Fate.Expired;
  if (isAtLimit(zone)) return arena.workers > 1 && mayAsk ? askFor(zone) : <u32>Fate.OverLimit;
  const index = begin(zone, original, Packet.at(0));
  if (index == NONE) return fateOf(refusal);
  const conn = Conn.at(index);
  conn.original.copy(original);
  conn.reply.copy(reply);
  conn.flags = reply.tag & FLAGS;
  if ((parts & SavedPart.Granted) != 0) conn.markGranted();
  conn.arrive(Direction.Original, load<u16>(at, SavedConnAt.Ingress));
  let fate = hasFreeTuples(conn) ? connect(conn, zone, target, elapsed) : <u32>Fate.Contradicted;
  if (fate == Fate.Restored && !stillAllowed(conn)) fate = Fate.Refused;
  const verdict: u32 = fate == Fate.Restored ? CONTINUE : <u32>Reason.Filtered;
  const end = finish(index, zone, verdict, conn.original.hash, conn.reply.hash, arena.now);
  if (fate != Fate.Restored) return fate;
  return end == CONTINUE ? resume(index, conn, at, zone, elapsed, old) : fateOf(end);
}

function askFor(zone: u32): u32 {
  askedFor = zone;
  return ASKS;
}

function hasFreeTuples(conn: Conn): bool {
  if (conn.has(ConnFlag.Hairpin) && conn.original.equals(conn.reply)) return false;
  return isFree(conn.original) && isFree(conn.reply);
}

/**
 * Whether the tuples are those of one conn that changes what its flags say and nothing else. What becomes of an end that is
 * changed is asked when its mapping, or the flow, has been found.
 */
function isSound(original: Tuple, reply: Tuple): bool {
  const isTcp = original.protocol == IpProtocol.Tcp;
  const highest: u32 = isTcp ? ConnPhase.Reset : ConnPhase.Established;
  if (original.protocol != reply.protocol || <u32>original.tag > highest) return false;
  if (isTcp != (windowsAt != 0)) return false;
  const flags = reply.tag;
  const isSnat = (flags & ConnFlag.Snat) != 0;
  const isDnat = (flags & ConnFlag.Dnat) != 0;
  const isHairpin = (flags & ConnFlag.Hairpin) != 0;
  const isInward = (flags & ConnFlag.Inward) != 0;
  if (mappingAt != 0 && !isSnat) return false;
  if (isInward && (mappingAt == 0 || isHairpin)) return false;
  // Who turns round comes in by a forward or by a mapping; nobody else has both ends changed.
  if (isHairpin ? !isSnat || isDnat == (targetAt != 0) : targetAt != 0 || (isSnat && isDnat)) {
    return false;
  }
  const keepsPort = original.sourcePort == reply.destinationPort;
  const keepsSource = keepsPort && original.source == reply.destination;
  if (isSnat ? mappingAt == 0 && !keepsPort : !keepsSource) return false;
  const keepsDestination =
    original.destination == reply.source && original.destinationPort == reply.sourcePort;
  return isDnat || isHairpin || keepsDestination;
}

/** The worker with which the conn would begin (nat/owner.ts). */
function ownerOfConn(original: Tuple, reply: Tuple, target: u32): u32 {
  if (arena.workers == 1) return 0;
  if (mappingAt != 0 && bitmapOf(original.protocol) != NONE) {
    return ownerOfHost(original.zone, original.source);
  }
  return ownerOf(reply, target);
}

/** Gives a conn its mappings, as they were, where the pools allow that. */
function connect(conn: Conn, zone: u32, target: u32, elapsed: u32): u32 {
  if (mappingAt != 0) {
    const fate = connectOwn(conn, zone, elapsed);
    if (fate != Fate.Restored) return fate;
  } else if (!conn.has(ConnFlag.Snat)) {
    // As when it begins (nat/open.ts): nothing is sent on to an address of ours, nor comes from one.
    const to = conn.reply;
    if (active.isOurs(target, to.source) || active.isOurs(target, to.destination)) {
      return Fate.Refused;
    }
  }
  return targetAt == 0 ? <u32>Fate.Restored : connectTarget(conn);
}

function connectOwn(conn: Conn, zone: u32, elapsed: u32): u32 {
  const pool = poolOf(conn);
  if (pool == NONE) return Fate.Refused;
  const to = conn.reply;
  if (
    load<u32>(mappingAt, SavedMappingAt.External) != to.destination ||
    load<u16>(mappingAt, SavedMappingAt.ExternalPort) != to.destinationPort
  ) {
    return Fate.Unsound;
  }
  const fate = remap(active.pool(pool), conn.original, mappingAt, zone, elapsed);
  if (fate == Fate.Restored) {
    conn.mapping = remapped;
    Mapping.at(remapped).conns++;
  }
  return fate;
}

/** The mapping that it turns round to must be there already, by conns or a grant of its own. */
function connectTarget(conn: Conn): u32 {
  const external = externalOf(targetAt);
  if (external == NONE) return Fate.Refused;
  const to = conn.original;
  const port: u32 = load<u16>(targetAt, SavedMappingAt.ExternalPort);
  if (External.at(external).address != to.destination || port != <u32>to.destinationPort) {
    return Fate.Unsound;
  }
  const key = keyOf(conn.reply, targetAt);
  const behaviour: u32 = load<u8>(targetAt, SavedMappingAt.Mapping);
  const index = findExact(key, behaviour, external, port);
  if (index == NONE) return Fate.Refused;
  conn.target = index;
  Mapping.at(index).conns++;
  return Fate.Restored;
}

/** Whatever of a conn does not follow from how it begins. */
function resume(index: u32, conn: Conn, at: usize, zone: u32, elapsed: u32, old: bool): u32 {
  conn.phase = Tuple.view(at + SavedConnAt.Original).tag;
  conn.created = arena.now - load<u32>(at, SavedConnAt.Age) - elapsed;
  conn.restoreTraffic(at + SavedConnAt.Traffic);
  if (windowsAt != 0) Windows.at(index).restore(windowsAt, old);
  const left = load<u32>(at, SavedConnAt.ExpiresIn) - elapsed;
  conn.expiry = arena.now + min(left, idleTimeout(conn));
  connWheel.add(index, conn.expiry);
  // It began when another process counted it.
  active.zoneState(zone).connsCreated--;
  return resumeGateway(index, conn, at);
}

function resumeGateway(index: u32, conn: Conn, at: usize): u32 {
  if (shiftAt == 0) {
    const saved = load<u16>(at, SavedConnAt.Gateway);
    const isLines = (saved & ~3) == <u16>Gateway.Ftp && (conn.gateway & ~3) == <u16>Gateway.Ftp;
    if (isLines) conn.gateway = saved;
    return Fate.Restored;
  }
  const shift = windowsAt == 0 ? NONE : Shift.take(conn.original.zone);
  if (shift == NONE) {
    dropConn(index);
    return Fate.TableFull;
  }
  Shift.at(shift).restore(shiftAt);
  conn.gateway = <u16>shift;
  return Fate.Restored;
}
