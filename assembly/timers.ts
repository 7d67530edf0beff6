/**
 * What time asks for, between packets: the ends of conns, grants, expectations, ports at rest and fragments,
 * questions to neighbors, answers to unsolicited SYNs, sweeps and announcements, each a bounded number a call.
 */

import { Reason } from "./abi";
import { arena, connWheel, expectationWheel, neighborWheel } from "./memory";
import { findConn } from "./nat/conn";
import { datagramWait, expireDatagrams, startDatagrams } from "./nat/datagram";
import { noteUnresolved } from "./nat/event";
import { expireExpectations } from "./nat/expectation";
import { expireGrants, grantWait, sweepGrants } from "./nat/grant";
import { startIdentifications } from "./nat/identification";
import { expireConns } from "./nat/lifetime";
import { freeRested, restWait } from "./nat/rest";
import { beginSearches } from "./nat/shared";
import { sweepConns } from "./nat/sweep";
import { reclaimWaiting, startWaiting } from "./nat/waiting";
import { hasAnnouncements, sendAnnouncements } from "./net/announce";
import { reclaimHeld, startHeld } from "./net/held";
import { Neighbor, startWayRound, tend } from "./net/neighbor";
import { beginOutputs, produced } from "./net/output";
import { reportDrop } from "./net/responder";
import { synWait, takeDueSyn } from "./net/unsolicited";
import { NO_CONN, Packet } from "./packet";
import { NONE } from "./table/none";

/** Nothing waits. Needed once, when the arena is laid out. */
export function startQueues(): void {
  startHeld();
  startDatagrams();
  startWaiting();
  startIdentifications();
  startWayRound();
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
  expireExpectations(now, limit);
  freeRested(limit);
  expireDatagrams(now, limit);
  tendNeighbors(now, limit);
  sweepConns(limit, now);
  sweepGrants(limit);
  answerUnsolicited(now, limit);
  sendAnnouncements();
  return produced;
}

/** What every call begins with: an empty list of frames to send, and buffers that are free again. */
export function beginCall(now: u32): void {
  arena.now = now;
  arena.advanceEpoch();
  beginSearches();
  beginOutputs();
  reclaimHeld();
  reclaimWaiting();
}

/** Milliseconds until `expireTimers` has something to do: 0 for now, NONE for never. */
export function timerWait(now: u32): u32 {
  if (arena.sweepDone != arena.configured || hasAnnouncements()) return 0;
  arena.now = now;
  const tables = min(min(connWheel.wait(now), neighborWheel.wait(now)), grantWait(now));
  const queues = min(synWait(now), datagramWait(now));
  return min(min(tables, queues), min(restWait(), expectationWheel.wait(now)));
}

function tendNeighbors(now: u32, limit: u32): void {
  for (let n: u32 = 0; n < limit; n++) {
    const index = neighborWheel.due(now);
    if (index == NONE) return;
    const neighbor = Neighbor.at(index);
    if (neighbor.isHop && neighbor.isSilent) noteUnresolved(neighbor.device, neighbor.address);
    tend(index, neighbor, now);
  }
}

/** Tells senders of unsolicited SYNs, at most `limit`, unless a conn is there for them by now. */
function answerUnsolicited(now: u32, limit: u32): void {
  // The packets of the last batch are done with: the first record serves for one that comes back.
  const packet = Packet.at(0);
  for (let n: u32 = 0; n < limit && takeDueSyn(packet, now); n++) {
    if (findConn(packet, packet.hashed) == NO_CONN) reportDrop(packet, Reason.TcpUnsolicited, now);
  }
}
