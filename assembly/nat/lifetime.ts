/**
 * How a conn begins, how long it lives, and its end. A packet only writes its conn's expiry; the wheel looks at the conn
 * when its slot comes round and files it again if it was written meanwhile.
 */

import { ConnPhase, EventKind, None } from "../abi";
import { active } from "../config/configuration";
import { arena, connIndex, connSlab, connWheel } from "../memory";
import { CONTINUE, Direction, Packet } from "../packet";
import { NONE } from "../table/none";
import { IpProtocol } from "../wire/ipv4";
import { Conn, ConnFlag } from "./conn";
import { noteSession, watchConns } from "./event";
import { closeFilter } from "./filter";
import { leaveGateway } from "./gateway";
import { uncountConn } from "./limit";
import { abandonMapping, leaveMapping } from "./mapping";
import { ASIDE, followTcp } from "./tcp";
import { idleTimeout, timeoutSet } from "./timeout";
import { Windows } from "./window";

/**
 * Makes a conn, with both tuples filled in by the caller, reachable from now on: by these hashes of theirs. False,
 * and nothing changed, when the index cannot take both tuples. `index` is one that `connSlab.take` gave, `zoneIndex`
 * the original tuple's.
 */
export function openConn(
  index: u32,
  zoneIndex: u32,
  originalHash: u64,
  replyHash: u64,
  now: u32,
): bool {
  const conn = Conn.at(index);
  assert(originalHash == conn.original.hash, "not the original tuple's hash");
  assert(replyHash == conn.reply.hash, "not the reply tuple's hash");
  if (!connIndex.insert(originalHash, index << 1)) return false;
  if (!connIndex.insert(replyHash, (index << 1) | Direction.Reply)) {
    connIndex.remove(originalHash, index << 1);
    return false;
  }
  conn.phase = ConnPhase.New;
  if (conn.original.protocol == IpProtocol.Tcp) Windows.at(index).clear();
  arena.connChanges++;
  conn.born = arena.generation;
  conn.validated = arena.configured;
  conn.created = now;
  conn.expiry = now + idleTimeout(conn);
  connWheel.add(index, conn.expiry);
  const state = active.zoneState(zoneIndex);
  state.conns++;
  state.connsCreated++;
  return true;
}

/** Notes that the conn was used by a packet of this direction. CONTINUE, or the Reason that it ends with. */
export function refresh(conn: Conn, direction: Direction, packet: Packet, now: u32): u32 {
  if (packet.protocol == IpProtocol.Tcp) {
    const wasNew = conn.phase == ConnPhase.New;
    const verdict = followTcp(conn, packet);
    if (verdict != CONTINUE) return verdict == ASIDE ? CONTINUE : verdict;
    if (wasNew != (conn.phase == ConnPhase.New)) forgetNewness(conn);
  } else if (conn.phase == ConnPhase.New && direction != conn.opener) {
    conn.phase = ConnPhase.Established;
    forgetNewness(conn);
  }
  const expiry = now + idleTimeout(conn);
  const prolongs = direction == Direction.Original || !conn.has(ConnFlag.KeepsExpiry);
  // The only place where a packet prolongs its conn; an end that it announces shortens it, whoever sent it.
  if (prolongs || <i32>(expiry - conn.expiry) < 0) setExpiry(packet.handle >> 1, conn, expiry);
  return CONTINUE;
}

/** Flows may tell +new from +established: what was decided for the one does not hold for the other. */
function forgetNewness(conn: Conn): void {
  conn.undecide(conn.opener);
}

/** The wheel finds a deadline that has moved later by itself; one that moves earlier must be filed again. */
function setExpiry(index: u32, conn: Conn, expiry: u32): void {
  const earlier = <i32>(expiry - conn.expiry) < 0;
  conn.expiry = expiry;
  if (earlier) connWheel.add(index, expiry);
}

/** Lets a conn live no longer than the timeouts in force allow from now on. */
export function shorten(index: u32, conn: Conn, now: u32): void {
  conn.timeouts = <u16>timeoutSet(active.zoneIndex(conn.original.zone), conn.original);
  const expiry = now + idleTimeout(conn);
  if (<i32>(expiry - conn.expiry) < 0) setExpiry(index, conn, expiry);
}

/** Ends a conn: both tuples and its timer are free afterwards, and its port rests. */
export function endConn(index: u32): void {
  connWheel.remove(index);
  release(index);
}

/** Ends a conn that no packet has gone through: nobody outside has seen its port, which is free at once. */
export function dropConn(index: u32): void {
  const conn = Conn.at(index);
  const mapping = conn.mapping;
  const target = conn.target;
  connWheel.remove(index);
  forget(index, conn);
  if (mapping != NONE) abandonMapping(mapping);
  if (target != NONE) abandonMapping(target);
}

function release(index: u32): void {
  const conn = Conn.at(index);
  const mapping = conn.mapping;
  const target = conn.target;
  forget(index, conn);
  if (mapping != NONE) leaveMapping(mapping);
  if (target != NONE) leaveMapping(target);
}

function forget(index: u32, conn: Conn): void {
  noteSession(EventKind.SessionDeleted, conn.original, conn.reply);
  closeFilter(index);
  if (conn.gateway != None.Short) leaveGateway(index, conn);
  uncountConn(conn);
  const zone = active.zoneIndex(conn.original.zone);
  removeConn(index);
  watchConns(zone);
}

/** Ends at most `limit` conns whose time has come. */
export function expireConns(now: u32, limit: u32): void {
  for (let n: u32 = 0; n < limit; n++) {
    const index = connWheel.due(now);
    if (index == NONE) return;
    const conn = Conn.at(index);
    if (<i32>(conn.expiry - now) > 0) connWheel.add(index, conn.expiry);
    else release(index);
  }
}

/** Forgets a conn. Its timer and what it holds are the caller's to give back. */
function removeConn(index: u32): void {
  const conn = Conn.at(index);
  arena.connChanges++;
  connIndex.remove(conn.original.hash, index << 1);
  connIndex.remove(conn.reply.hash, (index << 1) | Direction.Reply);
  const zone = active.zoneIndex(conn.original.zone);
  if (zone != NONE) {
    const state = active.zoneState(zone);
    if (state.born <= conn.born) state.conns--;
  }
  connSlab.give(index);
}
