/**
 * TCP numbers of conns whose text a gateway has made longer or shorter. Each direction has its own numbers,
 * those of its sender; the receiver sees them shifted from a position on, and its acknowledgments (RFC 9293
 * section 3.4) and SACK blocks (RFC 2018) come back shifted.
 *
 *     sender ──▶ judged (nat/window.ts) ──▶ sequence number + offset ──▶ receiver
 *     sender ◀── judged ◀── acknowledgment, SACK − offset ◀─────────────── receiver
 *
 * So the windows know the numbers of the senders alone, and a text that has grown is no segment outside of
 * them. A change moves the position; what was sent up to it keeps the offset before. FTP waits for an answer
 * to each command, so that no more than these two are on their way.
 *
 * A record also knows what a direction announced last, so that the same text sent again is rewritten the same.
 */

import { Limit } from "../abi";
import { RecordBytes, shiftSlab, shifts } from "../memory";
import { Direction, Packet } from "../packet";
import { NONE } from "../table/none";
import { Be } from "../wire/bytes";
import { apply, delta32, fold } from "../wire/checksum";
import { Tcp, TcpFlag } from "../wire/tcp";
import { Conn, opposite } from "./conn";

/** Those that one zone may have. */
const PER_ZONE: u32 = Limit.ShiftedConns / 4;

@final
@unmanaged
export class Shift {
  private position0: u32;
  private position1: u32;
  private before0: u32;
  private before1: u32;
  private after0: u32;
  private after1: u32;
  /** What a direction announced last: its sequence number, the endpoint that is shown, the inside port. */
  private sequence0: u32;
  private sequence1: u32;
  private address0: u32;
  private address1: u32;
  private external0: u32;
  private external1: u32;
  private port0: u32;
  private port1: u32;
  /** Number of the zone that it counts for. */
  private zone: u16;
  /** Which directions are at the beginning of a line (nat/ftp.ts). */
  lines: u8;

  static at(index: u32): Shift {
    return changetype<Shift>(shifts + <usize>index * RecordBytes.Shift);
  }

  /** A record without any shift, for a conn of the zone with this number; NONE when there is no room. */
  static take(zone: u16): u32 {
    let count: u32 = 0;
    for (let i: u32 = 0; i < shiftSlab.fresh; i++) {
      if (shiftSlab.holds(i) && Shift.at(i).zone == zone) count++;
    }
    if (count >= PER_ZONE) return NONE;
    const index = shiftSlab.take();
    if (index == NONE) return NONE;
    const shift = Shift.at(index);
    memory.fill(changetype<usize>(shift), 0, RecordBytes.Shift);
    shift.zone = zone;
    return index;
  }

  /** As it was saved at `from`, but for whose it is. */
  restore(from: usize): void {
    memory.copy(changetype<usize>(this), from, offsetof<Shift>("zone"));
    this.lines = load<u8>(from, offsetof<Shift>("lines"));
  }

  /** Both directions begin anew (RFC 9293 section 3.6.1). */
  clear(): void {
    memory.fill(changetype<usize>(this), 0, offsetof<Shift>("zone"));
  }

  /** What the receiver is to see as this sequence number of the direction. */
  shown(direction: Direction, sequence: u32): u32 {
    const base = this.field(direction);
    const position = load<u32>(base, offsetof<Shift>("position0"));
    return isAfter(sequence, position)
      ? sequence + load<u32>(base, offsetof<Shift>("after0"))
      : sequence + load<u32>(base, offsetof<Shift>("before0"));
  }

  /** The direction's own number where the receiver names this one. */
  meant(direction: Direction, shown: u32): u32 {
    const base = this.field(direction);
    const position = load<u32>(base, offsetof<Shift>("position0"));
    const earlier = shown - load<u32>(base, offsetof<Shift>("before0"));
    if (!isAfter(earlier, position)) return earlier;
    const later = shown - load<u32>(base, offsetof<Shift>("after0"));
    // A part of the text that has grown: nothing of the sender's can be told to have arrived.
    return isAfter(later, position) ? later : position;
  }

  /** The text of the direction at `sequence` has grown by `growth` bytes. */
  grow(direction: Direction, sequence: u32, growth: i32): void {
    if (growth == 0) return;
    const base = this.field(direction);
    const after = load<u32>(base, offsetof<Shift>("after0"));
    store<u32>(base, sequence, offsetof<Shift>("position0"));
    store<u32>(base, after, offsetof<Shift>("before0"));
    store<u32>(base, after + growth, offsetof<Shift>("after0"));
  }

  /** Whether the direction has announced this port at this place. */
  hasSaid(direction: Direction, sequence: u32, port: u32): bool {
    const base = this.field(direction);
    return (
      load<u32>(base, offsetof<Shift>("port0")) == port &&
      load<u32>(base, offsetof<Shift>("sequence0")) == sequence
    );
  }
  /** Remembers what is shown for the inside port that was announced at `sequence`. */
  say(direction: Direction, sequence: u32, port: u32, address: u32, external: u32): void {
    const base = this.field(direction);
    store<u32>(base, sequence, offsetof<Shift>("sequence0"));
    store<u32>(base, port, offsetof<Shift>("port0"));
    store<u32>(base, address, offsetof<Shift>("address0"));
    store<u32>(base, external, offsetof<Shift>("external0"));
  }
  saidAddress(direction: Direction): u32 {
    return load<u32>(this.field(direction), offsetof<Shift>("address0"));
  }
  saidPort(direction: Direction): u32 {
    return load<u32>(this.field(direction), offsetof<Shift>("external0"));
  }

  /** Base for a word that stands twice. */
  private field(direction: Direction): usize {
    return changetype<usize>(this) + ((<usize>direction) << 2);
  }
}
if (offsetof<Shift>() > <usize>RecordBytes.Shift) ERROR("a Shift outgrew its place");

function isAfter(a: u32, b: u32): bool {
  return <i32>(a - b) > 0;
}

/** Gives a segment that is on its way out the sequence number that its receiver is to see. */
export function shiftSequence(shift: Shift, packet: Packet): void {
  const tcp = Tcp.view(packet.transport);
  const sequence = tcp.sequence;
  const shown = shift.shown(packet.direction, sequence);
  if (shown == sequence) return;
  tcp.checksum = apply(tcp.checksum, delta32(sequence, shown));
  tcp.sequence = shown;
}

/** Gives a segment that has come the acknowledgment and SACK blocks that its sender's peer will understand. */
export function unshiftAcknowledgment(shift: Shift, packet: Packet): void {
  if ((packet.flags & TcpFlag.Ack) == 0) return;
  const tcp = Tcp.view(packet.transport);
  const sender = opposite(packet.direction);
  const shown = tcp.acknowledgment;
  const meant = shift.meant(sender, shown);
  if (meant != shown) {
    tcp.checksum = apply(tcp.checksum, delta32(shown, meant));
    tcp.acknowledgment = meant;
  }
  const blocks = tcp.selective;
  if (blocks == 0) return;
  const end = blocks + tcp.selectiveBytes(blocks);
  for (let at = blocks; at < end; at += 4) unshiftEdge(shift, sender, tcp, at);
}

/** An edge of a SACK block, which may stand across the words that the checksum is made of. */
function unshiftEdge(shift: Shift, sender: Direction, tcp: Tcp, at: usize): void {
  const shown = Be.load32(at);
  const meant = shift.meant(sender, shown);
  if (meant == shown) return;
  const delta = fold(delta32(shown, meant));
  const isOdd = ((at - changetype<usize>(tcp)) & 1) != 0;
  tcp.checksum = apply(tcp.checksum, isOdd ? <u32>bswap<u16>(<u16>delta) : delta);
  Be.store32(at, meant);
}

/** Whether the conn's numbers may be shifted. */
export function hasShift(conn: Conn): bool {
  return conn.gateway < <u16>Limit.ShiftedConns;
}
