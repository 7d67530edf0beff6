/**
 * The sequence numbers of a TCP conn: what each side has sent, has acknowledged and is ready to take, as far
 * as the router has seen it ("Real stateful TCP packet filtering in IP Filter", G. van Rooij, 2001).
 *
 *      0  end ×2       the highest sequence number behind what the direction has sent
 *      8  acked ×2     the highest acknowledgment that the direction has sent
 *     16  window ×2    the largest window that the direction has advertised, in bytes
 *     24  scale ×2     its shift count     26  WindowState     28  first: sequence number of the opener's SYN
 *
 * A record begins with a conn's first SYN and stands beside the conn, by the same index. Numbers wrap and are
 * compared by their difference. The largest window stands for all: a receiver may have promised its right
 * edge long ago, and SACK and reordering stay inside of it.
 */

import { SavedWindowsAt } from "../abi";
import { arena, clear, RecordBytes, windows } from "../memory";
import { Direction } from "../packet";
import { NO_SCALE, Tcp } from "../wire/tcp";

/** Bits of a record; those of the reply direction are the next ones. */
enum WindowState {
  /** A SYN of the original, of the reply direction has been seen. */
  HeardOriginal = 1,
  HeardReply = 2,
  /** That SYN offered to scale windows. */
  ScaleOriginal = 4,
  ScaleReply = 8,
  /** The first SYN was one of the reply direction. */
  OpenedByReply = 16,
  /** It was restored, and segments may have passed since it was saved. */
  Old = 32,
}

/** RFC 7323 section 2.3: a larger shift count counts as this one. */
const SCALE_MAX: u32 = 14;
/** How long after a restart windows that are old follow what comes: RFC 5382 REQ-5, the transitory timeout. */
const OLD_MS: u32 = 240_000;
/** An acknowledgment may always be this old: the largest window without scaling. */
const OLD_ACK: u32 = 65535;

@final
@unmanaged
export class Windows {
  private end0: u32;
  private end1: u32;
  private acked0: u32;
  private acked1: u32;
  private window0: u32;
  private window1: u32;
  private scale0: u8;
  private scale1: u8;
  private state: u8;
  private pad: u8;
  private first: u32;

  /** The record of the conn with this index. */
  static at(index: u32): Windows {
    return changetype<Windows>(windows + <usize>index * RecordBytes.Window);
  }

  /** Nothing has been heard of either side. */
  clear(): void {
    clear(changetype<usize>(this), RecordBytes.Window);
  }

  /** The highest sequence number behind what the direction has sent. */
  end(direction: Direction): u32 {
    return load<u32>(this.field(direction), offsetof<Windows>("end0"));
  }
  private acked(direction: Direction): u32 {
    return load<u32>(this.field(direction), offsetof<Windows>("acked0"));
  }
  private window(direction: Direction): u32 {
    return load<u32>(this.field(direction), offsetof<Windows>("window0"));
  }
  /** Base for a word that stands twice. */
  private field(direction: Direction): usize {
    return changetype<usize>(this) + ((<usize>direction) << 2);
  }

  /** Whether a SYN of this direction has been seen: only then do its numbers mean anything. */
  heard(direction: Direction): bool {
    return (this.state & ((<u8>WindowState.HeardOriginal) << (<u8>direction))) != 0;
  }
  get bothHeard(): bool {
    const both = <u8>(WindowState.HeardOriginal | WindowState.HeardReply);
    return (this.state & both) == both;
  }
  /** The direction of the first SYN. */
  get opener(): Direction {
    return (this.state & WindowState.OpenedByReply) != 0 ? Direction.Reply : Direction.Original;
  }

  /** A SYN, with or without ACK: the numbers of its direction begin here. */
  begin(direction: Direction, tcp: Tcp, bytes: u32): void {
    if (this.state == 0 && direction == Direction.Reply) {
      this.state = <u8>WindowState.OpenedByReply;
    }
    const sequence = tcp.sequence;
    if (direction == this.opener) this.first = sequence;
    const base = this.field(direction);
    store<u32>(base, sequence + bytes, offsetof<Windows>("end0"));
    store<u32>(base, max<u32>(tcp.window, 1), offsetof<Windows>("window0"));
    // The other side has acknowledged nothing of it yet.
    store<u32>(this.field(direction ^ 1), sequence, offsetof<Windows>("acked0"));
    this.state |= (<u8>WindowState.HeardOriginal) << (<u8>direction);
    // A SYN that is sent again may leave the option out: what was offered stays so.
    const scale = tcp.windowScale;
    if (scale == NO_SCALE) return;
    this.state |= (<u8>WindowState.ScaleOriginal) << (<u8>direction);
    const at = changetype<usize>(this) + direction;
    store<u8>(at, <u8>min<u32>(scale, SCALE_MAX), offsetof<Windows>("scale0"));
  }

  /** RFC 7323 section 2.2: windows are scaled where both SYNs offered it, those of SYNs never. */
  private shift(direction: Direction): u32 {
    const both = <u8>(WindowState.ScaleOriginal | WindowState.ScaleReply);
    if ((this.state & both) != both) return 0;
    return load<u8>(changetype<usize>(this) + direction, offsetof<Windows>("scale0"));
  }

  /** Whether an acknowledgment is one of the opener's SYN, perhaps with the data that it carried (RFC 7413). */
  acknowledgesSyn(acknowledgment: u32): bool {
    return isAfter(acknowledgment, this.first) && !isAfter(acknowledgment, this.end(this.opener));
  }

  /** The right edge that the receiver of this direction has opened, or `end` where that is beyond it. */
  furthest(direction: Direction, end: u32): u32 {
    const edge = this.acked(direction ^ 1) + this.window(direction ^ 1);
    return isAfter(edge, end) ? edge : end;
  }

  /**
   * Whether bytes from `sequence` to before `end` may be of this direction: they do not begin beyond the
   * right edge that the receiver has opened (a probe begins at it, and what is said after the probe is empty
   * and one further), and do not end further back than a receiver's window, where only retransmissions and
   * keep-alives are (RFC 9293 sections 3.8.6.1 and 3.8.4).
   */
  reaches(direction: Direction, sequence: u32, end: u32): bool {
    const window = this.window(direction ^ 1);
    const edge = this.acked(direction ^ 1) + window;
    return (
      !isAfter(sequence, sequence == end ? edge + 1 : edge) &&
      !isAfter(this.end(direction) - window, end)
    );
  }

  /** RFC 5961 section 5.2: nothing is acknowledged that was not sent, nor older than the receiver takes. */
  acknowledges(direction: Direction, acknowledgment: u32): bool {
    const oldest = this.acked(direction) - max(this.window(direction), OLD_ACK);
    return !isAfter(acknowledgment, this.end(direction ^ 1)) && !isAfter(oldest, acknowledgment);
  }

  /** RFC 5961 section 3.2: what the receiver expects next, or what the sender would send next. */
  expects(direction: Direction, sequence: u32): bool {
    return sequence == this.acked(direction ^ 1) || sequence == this.end(direction);
  }

  /** Takes note of a segment inside of the windows that ends before `end` and has an acknowledgment. */
  note(direction: Direction, tcp: Tcp, end: u32, isSyn: bool): void {
    const base = this.field(direction);
    if (isAfter(end, this.end(direction))) store<u32>(base, end, offsetof<Windows>("end0"));
    const acknowledgment = tcp.acknowledgment;
    if (isAfter(acknowledgment, this.acked(direction))) {
      store<u32>(base, acknowledgment, offsetof<Windows>("acked0"));
    }
    const window = isSyn ? tcp.window : tcp.window << this.shift(direction);
    if (window > this.window(direction)) store<u32>(base, window, offsetof<Windows>("window0"));
  }

  /** As they were saved at `from`; `old` where segments may have passed since. */
  restore(from: usize, old: bool): void {
    memory.copy(changetype<usize>(this), from, RecordBytes.Window);
    this.state &= ~(<u8>WindowState.Old);
    if (old) this.state |= <u8>WindowState.Old;
  }

  /**
   * Moves windows that are old to where a segment is that was found outside of them; false where they are not old, or
   * no longer after a restart.
   */
  follow(direction: Direction, tcp: Tcp, end: u32): bool {
    if ((this.state & WindowState.Old) == 0) return false;
    if (arena.now - arena.restoredAt >= OLD_MS) {
      this.state &= ~(<u8>WindowState.Old);
      return false;
    }
    const base = this.field(direction);
    store<u32>(base, end, offsetof<Windows>("end0"));
    store<u32>(base, tcp.acknowledgment, offsetof<Windows>("acked0"));
    // What it acknowledges has been sent.
    const other = this.field(direction ^ 1);
    if (isAfter(tcp.acknowledgment, this.end(direction ^ 1))) {
      store<u32>(other, tcp.acknowledgment, offsetof<Windows>("end0"));
    }
    return true;
  }
}
if (offsetof<Windows>() != RecordBytes.Window) ERROR("the Windows of a conn are 32 bytes");
if (RecordBytes.Window != SavedWindowsAt.Bytes) ERROR("Windows are saved as they are");

/** Of two sequence numbers, whether `a` is the later one (RFC 9293 section 3.4). */
function isAfter(a: u32, b: u32): bool {
  return <i32>(a - b) > 0;
}
