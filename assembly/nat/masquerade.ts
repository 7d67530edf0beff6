/**
 * Source translation behind a pool: the mapping that a new conn uses. An inside endpoint that has one keeps
 * it (RFC 4787 REQ-1); else it is given a port of its own, or, where the pool shares ports, one that is not
 * yet used towards the conn's destination.
 */

import { Reason } from "../abi";
import { PoolRecord } from "../config/records";
import { CONTINUE, Packet } from "../packet";
import { NONE } from "../table/none";
import { Conn } from "./conn";
import { notePoolExhausted, noteQuota } from "./event";
import { bitmapOf, External } from "./external";
import { Host, releaseHost, takeHost } from "./host";
import { mayTakePort } from "./limit";
import { findOwn, Mapping, makeOwn, makePortless, sharesPorts } from "./mapping";
import { takeAddress, taken, takePort } from "./pool";
import { free } from "./rest";
import { shared, takeShared } from "./shared";

/** Finds or makes the mapping of a new conn, whose external endpoint its reply tuple then has. */
export function takeMapping(conn: Conn, packet: Packet, pool: PoolRecord): u32 {
  const which = bitmapOf(packet.protocol);
  let verdict: u32;
  if (which == NONE) verdict = takePortless(conn, packet, pool);
  else if (sharesPorts(pool, which)) verdict = takeSharedPort(conn, packet, pool, which);
  else verdict = takeOwn(conn, packet, pool, which);
  if (verdict == CONTINUE) Mapping.at(conn.mapping).conns++;
  else if (verdict == Reason.PoolExhausted || verdict == Reason.ProtocolAmbiguous) {
    notePoolExhausted(pool, packet, which != NONE);
  }
  return verdict;
}

function takeOwn(conn: Conn, packet: Packet, pool: PoolRecord, which: u32): u32 {
  const known = findOwn(pool, which, packet.zoneIndex, packet);
  if (known != NONE) {
    const mapping = Mapping.at(known);
    conn.mapping = known;
    conn.reply.leadTo(mapping.externalAddress.address, mapping.port);
    return CONTINUE;
  }
  const host = takeHost(packet.zoneIndex, packet.source);
  if (host == NONE) return Reason.HostTableFull;
  const verdict = mapHost(conn, packet, pool, which, host);
  if (verdict != CONTINUE) releaseHost(host);
  return verdict;
}

function mapHost(conn: Conn, packet: Packet, pool: PoolRecord, which: u32, host: u32): u32 {
  if (!mayTakePort(packet.zoneIndex, Host.at(host), which, packet)) return Reason.HostPortLimit;
  const verdict = takePort(pool, which, host, packet, conn.reply);
  if (verdict == Reason.HostPortLimit) noteQuota(packet.zoneIndex, packet, Reason.HostPortLimit);
  if (verdict != CONTINUE) return verdict;
  const port: u32 = conn.reply.destinationPort;
  conn.mapping = makeOwn(pool, which, host, packet, taken, port);
  if (conn.mapping != NONE) return CONTINUE;
  free(taken, which, port);
  return Reason.MappingTableFull;
}

function takeSharedPort(conn: Conn, packet: Packet, pool: PoolRecord, which: u32): u32 {
  const verdict = takeShared(pool, which, packet, conn.reply);
  if (verdict == CONTINUE) conn.mapping = shared;
  return verdict;
}

function takePortless(conn: Conn, packet: Packet, pool: PoolRecord): u32 {
  const verdict = takeAddress(pool, packet, conn.reply);
  if (verdict != CONTINUE) return verdict;
  conn.mapping = makePortless(packet, taken);
  if (conn.mapping != NONE) return CONTINUE;
  External.at(taken).countUse(-1);
  return Reason.MappingTableFull;
}
