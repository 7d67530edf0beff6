/**
 * How long a conn may be idle: which set of timeouts is its own, and which member of it applies. A set is
 * chosen once, by the zone that the conn began in and the well-known port that it goes to (RFC 4787 REQ-5a).
 */

import { Timeout } from "../abi";
import { active } from "../config/configuration";
import { IpProtocol } from "../wire/ipv4";
import { Conn } from "./conn";
import { tcpTimeout } from "./tcp";
import { Tuple } from "./tuple";

/** The set for conns of a zone (by index) with this original tuple. */
export function timeoutSet(zoneIndex: u32, original: Tuple): u32 {
  const first: u32 = active.zone(zoneIndex).timeouts;
  for (let i: u32 = 0; i < active.portTimeoutCount; i++) {
    const each = active.portTimeout(i);
    const port = original.destinationPort;
    if (each.protocol == original.protocol && port >= each.low && port <= each.high) {
      return first + i + 1;
    }
  }
  return first;
}

/** Milliseconds that the conn may be idle in the phase that it is in. */
export function idleTimeout(conn: Conn): u32 {
  const protocol: u32 = conn.original.protocol;
  const which = protocol == IpProtocol.Tcp ? tcpTimeout(conn.phase) : timeoutOf(protocol);
  return active.timeout(conn.timeouts, which);
}

function timeoutOf(protocol: u32): Timeout {
  if (protocol == IpProtocol.Udp) return Timeout.Udp;
  return protocol == IpProtocol.Icmp ? Timeout.Icmp : Timeout.Other;
}
