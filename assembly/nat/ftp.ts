/**
 * FTP's control conn (RFC 959): who listens for the data says where, in a line of text. Where that is an
 * inside endpoint, the line is made to say the external one, and the conn that will come to it is foreseen.
 *
 *     client   PORT h1,h2,h3,h4,p1,p2      EPRT |1|address|port|                    (RFC 2428 section 2)
 *     server   227 … h1,h2,h3,h4,p1,p2     229 … (|||port|)                         (RFC 2428 section 3)
 *
 * A line counts where it begins at the beginning of a line of the conversation and is whole in one segment;
 * any text further inside, which others may have put there, does not. It names the address that its sender
 * has itself, and a port from 1024 on: no third host can be made the target (RFC 2577 section 3). Whatever
 * does not fit these rules, a table or the MTU passes as it is.
 */

import { ConnPhase, Policy } from "../abi";
import { active } from "../config/configuration";
import { scratch } from "../memory";
import { Direction, Packet } from "../packet";
import { NONE } from "../table/none";
import { apply, delta16, fold, sum, update16 } from "../wire/checksum";
import { Tcp, TcpFlag } from "../wire/tcp";
import { Conn, opposite } from "./conn";
import { expose, exposedAddress, exposedPort } from "./expose";
import {
  Form,
  field,
  fieldAddress,
  fieldEnd,
  fieldForm,
  fieldPort,
  findField,
  writeField,
} from "./ftpline";
import { hasShift, Shift } from "./shift";
import { Windows } from "./window";

export const FTP_PORT: u16 = 21;
/** Both directions are at the beginning of a line; the bit of one is 1 << direction. */
export const BOTH_LINES: u32 = 3;

/** The lowest port that may be announced. */
const PORT_MIN: u32 = 1024;
/** "1,1,1,1,4,0" may become "255,255,255,255,255,255". The headers then move into the headroom. */
export const GROWTH_MAX: u32 = 12;

/** Whether the segment at hand continues what its direction has sent so far. */
let isNext: bool = false;

/** Looks at a segment that has not been judged yet. */
export function noteFtp(packet: Packet): void {
  const windows = Windows.at(packet.handle >> 1);
  const direction = packet.direction;
  isNext = windows.bothHeard && windows.end(direction) == Tcp.view(packet.transport).sequence;
}

/**
 * Reads a segment that has been judged, and rewrites it where it announces an inside endpoint; `mtu` is that of
 * the link that it leaves by.
 */
export function followFtp(conn: Conn, packet: Packet, mtu: u32): void {
  const flags: u32 = packet.flags;
  if ((flags & TcpFlag.Syn) != 0) {
    if (conn.phase == ConnPhase.New) begin(conn);
    return;
  }
  const tcp = Tcp.view(packet.transport);
  const text = packet.transport + tcp.headerBytes;
  const end = packet.network + packet.totalBytes;
  if (text >= end || packet.ip.isFragment || (flags & TcpFlag.Urg) != 0) return;
  const direction = packet.direction;
  const isLine = atLine(conn, direction);
  // What is rewritten moves its beginning only.
  const last = load<u8>(end - 1);
  const fits = <u32>packet.totalBytes + GROWTH_MAX <= mtu;
  if (fits && (active.policy & Policy.FtpGateway) != 0) rewrite(conn, packet, text, isLine);
  if (isNext) setLine(conn, direction, last == 0x0a);
}

/** The conn opens, perhaps anew: nothing is shifted, and both begin a line. */
function begin(conn: Conn): void {
  if (hasShift(conn)) Shift.at(conn.gateway).clear();
  setLine(conn, Direction.Original, true);
  setLine(conn, Direction.Reply, true);
}

function atLine(conn: Conn, direction: Direction): bool {
  const lines: u32 = hasShift(conn) ? Shift.at(conn.gateway).lines : conn.gateway;
  return (lines & (1 << direction)) != 0;
}

function setLine(conn: Conn, direction: Direction, isLine: bool): void {
  const bit: u32 = 1 << direction;
  if (hasShift(conn)) {
    const shift = Shift.at(conn.gateway);
    shift.lines = <u8>(isLine ? shift.lines | bit : shift.lines & ~bit);
  } else {
    conn.gateway = <u16>(isLine ? conn.gateway | bit : conn.gateway & ~bit);
  }
}

/** Does nothing unless all that is needed can be had. */
function rewrite(conn: Conn, packet: Packet, text: usize, isLine: bool): void {
  const direction = packet.direction;
  const there = conn.tuple(opposite(direction));
  if (packet.source == there.destination) return;
  const isClient = direction == Direction.Original;
  const end = packet.network + packet.totalBytes;
  // What was rewritten once was at the beginning of a line then.
  const again = hasShift(conn) && !isNext;
  if (!findField(text, end, isClient, isLine || again)) return;
  if (fieldPort < PORT_MIN) return;
  if (fieldForm != Form.PassiveExtended && fieldAddress != packet.source) return;
  // Segments may be cut anew when they are sent again: the place in the stream is what counts.
  const sequence = Tcp.view(packet.transport).sequence + <u32>(field - text);
  if (hasShift(conn) && Shift.at(conn.gateway).hasSaid(direction, sequence, fieldPort)) {
    const shift = Shift.at(conn.gateway);
    write(packet, text, shift.saidAddress(direction), shift.saidPort(direction));
    return;
  }
  // What was let pass once was let pass: its receiver has it as it was.
  if (!isNext || !ensureShift(conn)) return;
  const port = fieldPort;
  // Servers take commands for the address that they see alone, and clients of 229 know no other. Only 227 names
  // one that may differ.
  const sameAddress = fieldForm != Form.Passive;
  if (!expose(packet.handle >> 1, direction, port, sameAddress)) return;
  const growth = write(packet, text, exposedAddress, exposedPort);
  const shift = Shift.at(conn.gateway);
  shift.say(direction, sequence, port, exposedAddress, exposedPort);
  shift.grow(direction, sequence, growth);
}

/** Gives the conn a record for what is shifted, if there is room. */
function ensureShift(conn: Conn): bool {
  if (hasShift(conn)) return true;
  const index = Shift.take(conn.original.zone);
  if (index == NONE) return false;
  Shift.at(index).lines = <u8>(<u32>conn.gateway & BOTH_LINES);
  conn.gateway = <u16>index;
  return true;
}

/**
 * Puts an endpoint in the place of the one that `findField` has found. What stands in front of it moves, the
 * headers too. Returns by how many bytes the packet has grown.
 */
function write(packet: Packet, text: usize, address: u32, port: u32): i32 {
  const bytes = writeField(scratch, address, port);
  const growth = <i32>bytes - <i32>(fieldEnd - field);
  const end = packet.network + packet.totalBytes;
  const before = fold(sum(text, <u32>end - <u32>text));
  memory.copy(packet.network - growth, packet.network, field - packet.network);
  memory.copy(fieldEnd - bytes, scratch, bytes);
  packet.network -= growth;
  packet.transport -= growth;
  packet.totalBytes += <u16>growth;
  const ip = packet.ip;
  const total = ip.totalBytes;
  ip.totalBytes = total + growth;
  ip.checksum = update16(ip.checksum, total, total + growth);
  const tcp = Tcp.view(packet.transport);
  const now = packet.transport + tcp.headerBytes;
  const after = fold(sum(now, <u32>(end - now)));
  const length = delta16(total, total + growth);
  tcp.checksum = apply(tcp.checksum, (before ^ 0xffff) + after + length);
  return growth;
}
