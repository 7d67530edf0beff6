/**
 * The sweep that follows a configuration: conns that it no longer allows end within a bounded number of
 * calls, also those of which no packet comes any more.
 */

import { arena, connSlab } from "../memory";
import { stillAllowed } from "./allowed";
import { Conn } from "./conn";
import { endConn, shorten } from "./lifetime";

/**
 * Looks at no more than `limit` conns for ones that the configuration in force no longer allows, and ends
 * them; the others live no longer than its timeouts say. A packet of a conn that is not allowed does not
 * wait for the sweep: it finds out by itself (nat/decide.ts).
 */
export function sweepConns(limit: u32, now: u32): void {
  if (arena.sweepDone == arena.configured) return;
  const to = <u32>min<u64>(<u64>arena.sweepCursor + limit, connSlab.fresh);
  for (let index = arena.sweepCursor; index < to; index++) {
    if (!connSlab.holds(index)) continue;
    const conn = Conn.at(index);
    if (conn.validated == arena.configured || stillAllowed(conn)) {
      conn.validated = arena.configured;
      shorten(index, conn, now);
    } else endConn(index);
  }
  arena.sweepCursor = to;
  if (to == connSlab.fresh) arena.sweepDone = arena.configured;
}
