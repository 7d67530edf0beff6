/**
 * What a TCP segment does to its conn. RFC 7857 section 2 keeps three kinds of timers apart: opening,
 * established, closing. Window tracking and the checks of RFC 5961 are not done here yet: a conn follows
 * the flags it sees.
 */

import { ConnPhase, Timeout } from "../abi";
import { Direction } from "../packet";
import { TcpFlag } from "../wire/tcp";
import { Conn } from "./conn";

/** Whether a segment may begin a conn: SYN without ACK, RST or FIN (RFC 9293 section 3.5). */
export function beginsTcp(flags: u8): bool {
  return (flags & (TcpFlag.Syn | TcpFlag.Ack | TcpFlag.Rst | TcpFlag.Fin)) == TcpFlag.Syn;
}

/** Moves the conn on by one segment. */
export function advanceTcp(conn: Conn, direction: Direction, flags: u8): void {
  if ((flags & (TcpFlag.Rst | TcpFlag.Fin)) != 0) {
    conn.phase = ConnPhase.Closing;
  } else if (conn.phase == ConnPhase.Closing) {
    // RFC 9293 section 3.6.1: the same endpoints may open anew while the old connection lingers.
    if (direction == Direction.Original && beginsTcp(flags)) conn.phase = ConnPhase.New;
  } else if (direction == Direction.Reply && (flags & TcpFlag.Ack) != 0) {
    conn.phase = ConnPhase.Established;
  }
}

/** RFC 5382 REQ-5: what is neither established nor forgotten is transitory. */
export function tcpTimeout(phase: ConnPhase): Timeout {
  if (phase == ConnPhase.New) return Timeout.TcpOpening;
  return phase == ConnPhase.Established ? Timeout.TcpEstablished : Timeout.TcpClosing;
}
