/**
 * What a TCP segment does to its conn: the states of RFC 6146 section 3.5.2 with the timers that RFC 7857
 * section 2.1 keeps apart, and windows (nat/window.ts) that say which segments count at all.
 *
 *               SYN of both, the opener's acknowledged
 *     New ──────────────────────────▶ Established ──FIN──▶ FinOriginal, FinReply ──FIN──▶ Closing
 *      ▲ │ RST                          │       ▲                │ RST                      │
 *      │ └──────────────▶ Reset ◀───────┴───────┼────────────────┘                          │
 *      │                   │ └── any other segment inside of the windows                    │
 *      └───── SYN ─────────┴────────────────── SYN ─────────────────────────────────────────┘
 *
 * Either side may open, also both at once (RFC 5382 REQ-2), and after the end either may open anew. A segment
 * that its receiver would not take is dropped and changes nothing; with Policy.TcpLiberal none is.
 */

import { ConnPhase, Policy, Reason, Timeout } from "../abi";
import { active } from "../config/configuration";
import { CONTINUE, Direction, Packet, PacketKind } from "../packet";
import { Tcp, TcpFlag } from "../wire/tcp";
import { Conn } from "./conn";
import { Windows } from "./window";

/** The segment is sent on, but neither state nor timer of its conn takes note of it. */
export const ASIDE: u32 = 0xfd;

/** Whether a segment may begin a conn: SYN without ACK, RST or FIN (RFC 9293 section 3.5). */
export function beginsTcp(flags: u8): bool {
  return (flags & (TcpFlag.Syn | TcpFlag.Ack | TcpFlag.Rst | TcpFlag.Fin)) == TcpFlag.Syn;
}

/** RFC 5382 REQ-5: what is neither established nor forgotten is transitory; half-closed is established. */
export function tcpTimeout(phase: ConnPhase): Timeout {
  if (phase == ConnPhase.New) return Timeout.TcpOpening;
  return phase < ConnPhase.Closing ? Timeout.TcpEstablished : Timeout.TcpClosing;
}

/** Judges a segment and moves its conn on by it: CONTINUE, ASIDE, or the Reason that it ends with. */
export function followTcp(conn: Conn, packet: Packet): u32 {
  const windows = Windows.at(packet.handle >> 1);
  const flags = packet.flags;
  if (beginsTcp(flags)) return followSyn(conn, windows, packet);
  const direction = packet.direction;
  const isSyn = (flags & TcpFlag.Syn) != 0;
  const bothHeard = windows.bothHeard;
  const agrees = isSyn && conn.phase == ConnPhase.New && direction != windows.opener;
  if (agrees || !(bothHeard || isLiberal())) return followOpening(conn, windows, packet);
  if ((flags & TcpFlag.Rst) != 0) return followRst(conn, windows, packet);
  const tcp = Tcp.view(packet.transport);
  const sequence = tcp.sequence;
  // How much more of a segment in fragments follows is not known: as much as its receiver takes.
  const isFirst = packet.kind == PacketKind.First;
  const known = sequence + sequenceBytes(packet, tcp);
  const end = isFirst ? windows.furthest(direction, known) : known;
  // RFC 9293 section 3.10.7.4: once both are synchronized, what has no ACK is not taken.
  const isInside =
    bothHeard &&
    (flags & TcpFlag.Ack) != 0 &&
    windows.reaches(direction, sequence, end) &&
    windows.acknowledges(direction, tcp.acknowledgment);
  if (!isInside && !isLiberal() && !catchesUp(windows, packet, tcp, end)) {
    return Reason.TcpOutOfWindow;
  }
  // A SYN of an open connection is for the other end to challenge (RFC 5961 section 4.2).
  if (isSyn && conn.phase != ConnPhase.New) return ASIDE;
  if (isInside) windows.note(direction, tcp, end, isSyn);
  advance(conn, windows, direction, tcp);
  return CONTINUE;
}

/** Whether a segment outside of windows that a restart has left behind says where they are now. */
function catchesUp(windows: Windows, packet: Packet, tcp: Tcp, end: u32): bool {
  const flags = packet.flags & (TcpFlag.Syn | TcpFlag.Ack);
  return flags == TcpFlag.Ack && windows.bothHeard && windows.follow(packet.direction, tcp, end);
}

/** The phase after a segment that is neither RST nor a SYN alone. */
function advance(conn: Conn, windows: Windows, direction: Direction, tcp: Tcp): void {
  if (conn.phase == ConnPhase.New) {
    if (direction == windows.opener) return;
    if (!windows.acknowledgesSyn(tcp.acknowledgment) && !isLiberal()) return;
    conn.phase = ConnPhase.Established;
  } else if (conn.phase == ConnPhase.Reset) {
    // RFC 6146 section 3.5.2.2, TRANS: whoever goes on to speak did not take the RST.
    conn.phase = ConnPhase.Established;
  }
  if ((tcp.flags & TcpFlag.Fin) == 0 || conn.phase == ConnPhase.Closing) return;
  const own = direction == Direction.Original ? ConnPhase.FinOriginal : ConnPhase.FinReply;
  conn.phase = conn.phase == ConnPhase.Established || conn.phase == own ? own : ConnPhase.Closing;
}

/** A SYN alone: it opens, once more or from the other side, or opens anew what has ended. */
function followSyn(conn: Conn, windows: Windows, packet: Packet): u32 {
  const phase = conn.phase;
  // Half-open (RFC 9293 section 3.5.1): whatever its number, the other end answers and learns by the RST
  // that follows. Nothing here changes before that.
  if (phase > ConnPhase.New && phase < ConnPhase.Closing) return ASIDE;
  if (phase != ConnPhase.New) {
    // RFC 9293 section 3.6.1: the same endpoints may open anew while the old connection lingers.
    windows.clear();
    conn.phase = ConnPhase.New;
  }
  const tcp = Tcp.view(packet.transport);
  windows.begin(packet.direction, tcp, sequenceBytes(packet, tcp));
  return CONTINUE;
}

/**
 * The other side's answer to the opener's SYN: it agrees, refuses or is confused. An answer that acknowledges
 * the SYN counts more than a SYN alone that was seen of that side before, which anybody may have sent.
 */
function followOpening(conn: Conn, windows: Windows, packet: Packet): u32 {
  const tcp = Tcp.view(packet.transport);
  const flags = packet.flags;
  if (packet.direction == windows.opener) return followOpener(conn, windows, packet);
  const acknowledges = (flags & TcpFlag.Ack) != 0 && windows.acknowledgesSyn(tcp.acknowledgment);
  if ((flags & TcpFlag.Rst) != 0) {
    // RFC 5961 section 3.2, SYN-SENT: a RST that acknowledges the SYN.
    return acknowledges || isLiberal() ? reset(conn) : <u32>Reason.TcpOutOfWindow;
  }
  const bytes = sequenceBytes(packet, tcp);
  if ((acknowledges || isLiberal()) && (flags & (TcpFlag.Syn | TcpFlag.Fin)) == TcpFlag.Syn) {
    windows.begin(packet.direction, tcp, bytes);
    windows.note(packet.direction, tcp, tcp.sequence + bytes, true);
    conn.phase = ConnPhase.Established;
    return CONTINUE;
  }
  // An end that remembers an older connection says so; the opener answers with a RST (RFC 9293 section 3.5.1).
  const isEmpty = (flags & TcpFlag.Syn) != 0 ? bytes == 1 : bytes == 0;
  const objects = (flags & TcpFlag.Ack) != 0 && !acknowledges && isEmpty;
  return objects ? ASIDE : <u32>Reason.TcpOutOfWindow;
}

/** The opener gives up, or answers an end that remembers an older connection. It has nothing else to say. */
function followOpener(conn: Conn, windows: Windows, packet: Packet): u32 {
  const tcp = Tcp.view(packet.transport);
  if ((packet.flags & TcpFlag.Rst) == 0) return Reason.TcpOutOfWindow;
  return windows.acknowledgesSyn(tcp.sequence) ? reset(conn) : ASIDE;
}

/**
 * RFC 7857 section 2.2 and RFC 5961 section 3.2: a RST ends the conn where its receiver must take it. Another
 * one inside of the window makes the receiver ask, and the answer is exact.
 */
function followRst(conn: Conn, windows: Windows, packet: Packet): u32 {
  const sequence = Tcp.view(packet.transport).sequence;
  if (!isLiberal()) {
    if (!windows.reaches(packet.direction, sequence, sequence)) return Reason.TcpOutOfWindow;
    if (!windows.expects(packet.direction, sequence)) return ASIDE;
  }
  return reset(conn);
}

/** A conn that is closing or reset has its last timer already; no RST prolongs it (RFC 7857 section 2.2). */
function reset(conn: Conn): u32 {
  if (conn.phase >= ConnPhase.Closing) return ASIDE;
  conn.phase = ConnPhase.Reset;
  return CONTINUE;
}

/** Sequence numbers that a segment uses up: its data, and one each for SYN and FIN (RFC 9293 section 3.4). */
function sequenceBytes(packet: Packet, tcp: Tcp): u32 {
  const flags: u32 = packet.flags;
  const headers = packet.transport - packet.network + tcp.headerBytes;
  return packet.totalBytes - headers + ((flags & TcpFlag.Syn) >> 1) + (flags & TcpFlag.Fin);
}

function isLiberal(): bool {
  return (active.policy & Policy.TcpLiberal) != 0;
}
