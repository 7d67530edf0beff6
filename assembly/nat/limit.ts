/**
 * Limits per host (RFC 6888 REQ-4 and REQ-5): conns of one address of a zone, and its external ports of each
 * protocol. What is reached refuses the new and deletes nothing (REQ-11).
 */

import { Reason } from "../abi";
import { active } from "../config/configuration";
import { ZoneRecord } from "../config/records";
import { CONTINUE } from "../packet";
import { NONE } from "../table/none";
import { Conn, ConnFlag } from "./conn";
import { noteQuota } from "./event";
import { findHost, Host, releaseHost, takeHost } from "./host";
import { Mapping, MappingFlag } from "./mapping";
import { Tuple } from "./tuple";

/** External ports that a host of the zone may have of the protocol with this bitmap; 0 for no limit. */
function portsPerHost(zone: ZoneRecord, which: u32): u32 {
  if (which == 0) return zone.tcpPortsPerHost;
  return which == 1 ? zone.udpPortsPerHost : zone.icmpPortsPerHost;
}

/** Whether the host may have one more port. */
export function mayTakePort(zoneIndex: u32, host: Host, which: u32, original: Tuple): bool {
  const most = portsPerHost(active.zone(zoneIndex), which);
  if (most == 0 || host.ports(which) < most) return true;
  noteQuota(zoneIndex, original, Reason.HostPortLimit);
  return false;
}

/** Counts a new conn with its host, where those are counted. CONTINUE, or the limit that forbids it. */
export function countConn(conn: Conn, zoneIndex: u32): u32 {
  const zone = active.zone(zoneIndex);
  const most = zone.connsPerHost;
  if (conn.mapping == NONE && most == 0) return CONTINUE;
  const index = hostOf(conn, zoneIndex);
  if (index == NONE) return Reason.HostTableFull;
  const host = Host.at(index);
  const verdict = judge(conn, zoneIndex, host, most);
  if (verdict != CONTINUE) {
    releaseHost(index);
    return verdict;
  }
  host.conns++;
  conn.flags |= <u8>ConnFlag.Counted;
  if (sharesPort(conn)) host.countPort(Mapping.at(conn.mapping).which, 1);
  return CONTINUE;
}

function judge(conn: Conn, zoneIndex: u32, host: Host, most: u32): u32 {
  if (most != 0 && host.conns >= most) {
    noteQuota(zoneIndex, conn.original, Reason.HostConnLimit);
    return Reason.HostConnLimit;
  }
  if (!sharesPort(conn)) return CONTINUE;
  const which = Mapping.at(conn.mapping).which;
  return mayTakePort(zoneIndex, host, which, conn.original) ? CONTINUE : <u32>Reason.HostPortLimit;
}

/** A conn on a port that many share counts as a port of its host. */
function sharesPort(conn: Conn): bool {
  return conn.mapping != NONE && Mapping.at(conn.mapping).has(MappingFlag.Shared);
}

function hostOf(conn: Conn, zoneIndex: u32): u32 {
  if (conn.mapping != NONE && Mapping.at(conn.mapping).host != NONE) {
    return Mapping.at(conn.mapping).host;
  }
  return takeHost(zoneIndex, conn.original.source);
}

/** The host that a conn counts for; NONE where it counts for none. Its mapping still stands. */
export function hostOfConn(conn: Conn): u32 {
  if (!conn.has(ConnFlag.Counted)) return NONE;
  const index = conn.mapping == NONE ? NONE : Mapping.at(conn.mapping).host;
  if (index != NONE) return index;
  return findHost(conn.original.zone, conn.original.source, conn.born);
}

/** Takes a conn that ends off its host's count. Its mapping still stands. */
export function uncountConn(conn: Conn): void {
  const index = hostOfConn(conn);
  conn.flags &= ~(<u8>ConnFlag.Counted);
  if (index == NONE) return;
  const host = Host.at(index);
  host.conns--;
  if (sharesPort(conn)) host.countPort(Mapping.at(conn.mapping).which, -1);
  releaseHost(index);
}
