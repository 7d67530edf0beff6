/**
 * The conn table: connections with a tuple, and so a zone, per direction.
 *
 * The one rule of the system: a packet that hits one tuple of a conn leaves as the mirror of the conn's
 * OTHER tuple, in that tuple's zone.
 *
 *     hot line   0  original tuple    16  reply tuple    (their tags: phase, and ConnFlag bits)
 *               32  expiry            36  adjacency ×2   44  generation ×2   52  ingress ×2   56  flow ×2
 *               60  flow of the second pass ×2
 *     cold line 64  packets ×2 and bytes ×2             96  born   100  created   104  validated
 *              108  mapping  112  target   116  ring ×2    124  timeouts   126  gateway
 *
 * States: New until an answer is seen, then Established; TCP has more of them (nat/tcp.ts).
 * A conn is reachable from the index by both tuples from `open` to `close`, never by one alone.
 * Verdict and adjacency of a direction are cached and good while its generation is `arena.generation`.
 */

import { ConnPhase } from "../abi";
import { arena, connIndex, conns, RecordBytes } from "../memory";
import { Direction, NO_CONN } from "../packet";
import { Index } from "../table/index";
import { Tuple } from "./tuple";

export enum ConnFlag {
  /** The flow of the original, of the reply direction says drop. */
  DropOriginal = 1,
  DropReply = 2,
  /** The original direction changes the source, the destination. */
  Snat = 4,
  Dnat = 8,
  /** Its first packet came from outside, in the reply direction. */
  Inward = 16,
  /** It has turned round at an external address of ours (nat/hairpin.ts). */
  Hairpin = 32,
  /** It counts for its host (nat/limit.ts). */
  Counted = 64,
  /** Packets of the reply direction do not prolong it (RFC 4787 REQ-6). */
  KeepsExpiry = 128,
}

/** Beside the phase in the tag of the original tuple. */
const GRANTED: u8 = 0x80;

export function opposite(direction: Direction): Direction {
  return direction ^ 1;
}

@final
@unmanaged
export class Conn {
  private originalAddresses: u64;
  private originalRest: u64;
  private replyAddresses: u64;
  private replyRest: u64;
  expiry: u32;
  private adjacency0: u32;
  private adjacency1: u32;
  private generation0: u32;
  private generation1: u32;
  /** Number of the device the direction was decided for. */
  private ingress0: u16;
  private ingress1: u16;
  private flow0: u16;
  private flow1: u16;
  private tracked0: u16;
  private tracked1: u16;

  private packets0: u64;
  private packets1: u64;
  private bytes0: u64;
  private bytes1: u64;
  /** arena.generation when it was made. */
  born: u32;
  /** Milliseconds of the clock when it was made. */
  created: u32;
  /** The configuration that was last found to allow it. */
  validated: u32;
  /** Index of the mapping that it uses, NONE for none. */
  mapping: u32;
  /** Index of the mapping that a hairpinned conn leads to, NONE for none. */
  target: u32;
  /** The conns before and behind it that share its filter key (nat/filter.ts). */
  ringNext: u32;
  ringPrevious: u32;
  /** Its set of timeouts (nat/timeout.ts). */
  timeouts: u16;
  /** Index of its application gateway's record, None.Short for none. */
  gateway: u16;

  static at(index: u32): Conn {
    return changetype<Conn>(conns + <usize>index * RecordBytes.Conn);
  }
  static of(handle: u32): Conn {
    return Conn.at(handle >> 1);
  }

  tuple(direction: Direction): Tuple {
    return Tuple.view(changetype<usize>(this) + ((<usize>direction) << 4));
  }
  get original(): Tuple {
    return this.tuple(Direction.Original);
  }
  get reply(): Tuple {
    return this.tuple(Direction.Reply);
  }

  get phase(): ConnPhase {
    return this.original.tag & ~GRANTED;
  }
  set phase(phase: ConnPhase) {
    this.original.tag = (this.original.tag & GRANTED) | <u8>phase;
  }
  /** Whether it came in by a grant (nat/grant.ts), not by a filter. */
  get isGranted(): bool {
    return (this.original.tag & GRANTED) != 0;
  }
  markGranted(): void {
    this.original.tag |= GRANTED;
  }
  get flags(): u8 {
    return this.reply.tag;
  }
  set flags(flags: u8) {
    this.reply.tag = flags;
  }
  has(flag: ConnFlag): bool {
    return (this.flags & <u8>flag) != 0;
  }
  /** The direction of its first packet. */
  get opener(): Direction {
    return this.has(ConnFlag.Inward) ? Direction.Reply : Direction.Original;
  }
  /** Whether packets of this direction are dropped by a flow. */
  drops(direction: Direction): bool {
    return (this.flags & ((<u8>ConnFlag.DropOriginal) << (<u8>direction))) != 0;
  }

  adjacency(direction: Direction): u32 {
    return load<u32>(this.field(direction, 2), offsetof<Conn>("adjacency0"));
  }
  flow(direction: Direction): u32 {
    return load<u16>(this.field(direction, 1), offsetof<Conn>("flow0"));
  }
  /** Index of the flow that matched +tracked, None.Short for none; good while there are such flows. */
  tracked(direction: Direction): u32 {
    return load<u16>(this.field(direction, 1), offsetof<Conn>("tracked0"));
  }
  track(direction: Direction, flow: u32): void {
    store<u16>(this.field(direction, 1), <u16>flow, offsetof<Conn>("tracked0"));
  }
  ingress(direction: Direction): u32 {
    return load<u16>(this.field(direction, 1), offsetof<Conn>("ingress0"));
  }
  /** Whether the cached decision for this direction is good for a packet from this device. */
  decided(direction: Direction, port: u16): bool {
    return (
      load<u32>(this.field(direction, 2), offsetof<Conn>("generation0")) == arena.generation &&
      this.ingress(direction) == port
    );
  }
  /** Remembers the decision for a direction: which flow allowed it, and where it goes. */
  decide(direction: Direction, port: u16, flow: u32, adjacency: u32, drop: bool): void {
    store<u32>(this.field(direction, 2), adjacency, offsetof<Conn>("adjacency0"));
    store<u32>(this.field(direction, 2), arena.generation, offsetof<Conn>("generation0"));
    store<u16>(this.field(direction, 1), port, offsetof<Conn>("ingress0"));
    store<u16>(this.field(direction, 1), <u16>flow, offsetof<Conn>("flow0"));
    const bit = (<u8>ConnFlag.DropOriginal) << (<u8>direction);
    this.flags = drop ? this.flags | bit : this.flags & ~bit;
  }
  /** The next packet of this direction asks the flows again. */
  undecide(direction: Direction): void {
    store<u32>(this.field(direction, 2), 0, offsetof<Conn>("generation0"));
  }
  /** Remembers where a direction came in, without a decision. */
  arrive(direction: Direction, port: u16): void {
    store<u16>(this.field(direction, 1), port, offsetof<Conn>("ingress0"));
  }

  packets(direction: Direction): u64 {
    return load<u64>(this.field(direction, 3), offsetof<Conn>("packets0"));
  }
  bytes(direction: Direction): u64 {
    return load<u64>(this.field(direction, 3), offsetof<Conn>("bytes0"));
  }
  /** Packets and bytes of both directions together: u64 each. */
  get traffic(): v128 {
    const packets = v128.load(changetype<usize>(this), offsetof<Conn>("packets0"));
    const bytes = v128.load(changetype<usize>(this), offsetof<Conn>("bytes0"));
    return i64x2.add(
      v128.shuffle<u64>(packets, bytes, 0, 2),
      v128.shuffle<u64>(packets, bytes, 1, 3),
    );
  }
  countPacket(direction: Direction, bytes: u32): void {
    const at = this.field(direction, 3);
    store<u64>(at, load<u64>(at, offsetof<Conn>("packets0")) + 1, offsetof<Conn>("packets0"));
    store<u64>(at, load<u64>(at, offsetof<Conn>("bytes0")) + bytes, offsetof<Conn>("bytes0"));
  }

  /** Packets and bytes of both directions, 32 bytes: to another place, or from it. */
  copyTraffic(to: usize): void {
    memory.copy(to, changetype<usize>(this) + offsetof<Conn>("packets0"), 32);
  }
  restoreTraffic(from: usize): void {
    memory.copy(changetype<usize>(this) + offsetof<Conn>("packets0"), from, 32);
  }

  /** Base for a field that stands twice, `1 << shift` bytes apart. */
  private field(direction: Direction, shift: u32): usize {
    return changetype<usize>(this) + ((<usize>direction) << shift);
  }
}
if (offsetof<Conn>() != RecordBytes.Conn) ERROR("a Conn is 128 bytes");
if (offsetof<Conn>("packets0") != 64) ERROR("the hot part of a Conn is one 64-byte cache line");

/** A handle that may be that of the tuple with this hash, which the conn itself has to say; NO_CONN for none. */
export function guessConn(hash: u64): u32 {
  let bucket = connIndex.bucket(hash, 0);
  let fits = Index.matches(bucket, hash);
  if (fits == 0) {
    if (Index.isWhole(bucket)) return NO_CONN;
    bucket = connIndex.bucket(hash, 1);
    fits = Index.matches(bucket, hash);
    if (fits == 0) return NO_CONN;
  }
  return Index.handle(bucket, ctz(fits));
}

/** Reads from both lines of a conn, so that they are on their way. */
export function touchConn(handle: u32): void {
  const at = changetype<usize>(Conn.of(handle));
  load<u8>(at);
  load<u8>(at, offsetof<Conn>("packets0"));
}

/** Whether it is this tuple that a handle of the index leads to. */
export function isOf(handle: u32, tuple: Tuple): bool {
  return Conn.of(handle)
    .tuple(handle & 1)
    .equals(tuple);
}

/** The handle of the conn that has this tuple in one of its directions, or NO_CONN. */
export function findConn(tuple: Tuple, hash: u64): u32 {
  for (let which: u32 = 0; which < 2; which++) {
    const bucket = connIndex.bucket(hash, which);
    for (let fits = Index.matches(bucket, hash); fits != 0; fits &= fits - 1) {
      const handle = Index.handle(bucket, ctz(fits));
      if (isOf(handle, tuple)) return handle;
    }
    if (Index.isWhole(bucket)) break;
  }
  return NO_CONN;
}

/** Hash of the tuple that `isFree` was asked about last: of a new conn's, that to enter it by. */
export let asked: u64 = 0;

/** Whether a tuple is free to be a direction of a new conn. */
export function isFree(tuple: Tuple): bool {
  asked = tuple.hash;
  return findConn(tuple, asked) == NO_CONN;
}
