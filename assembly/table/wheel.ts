/**
 * Wheel: tells which of the entries 0 to n - 1 have reached their deadline.
 *
 * One level of 4096 slots, one tick each (G. Varghese and T. Lauck, 1987, scheme 4), with lazy re-filing:
 * whoever moves a deadline ahead only notes it; when the entry comes up, its owner looks at the real deadline
 * and files it again. A deadline beyond the horizon (4096 ticks from the hand) is filed at the horizon and
 * comes up early in the same way.
 *
 * An entry filed within the horizon is never early and at most one tick late, plus however long nobody
 * asked. Asking moves the hand to the present: the rings of the slots it passes are hung, whole and in order,
 * onto the ring of what is due. A bitmap finds the occupied ones, so a clock that leaps by days costs the
 * slots that are occupied (4096 at most), not the time that has passed.
 *
 * Times are u32 milliseconds that wrap; a deadline is at most 2^31 - 1 ahead of the hand. A clock that steps
 * back by up to the horizon finds nothing new until it has caught up; any other time counts as later.
 *
 *     at       header      64 bytes
 *     at+64    occupied    64 × u64, a bit for each slot
 *     at+576   links       (n + 4097) × { next u32, previous u32 }: entries, ring heads of the slots and
 *                          of what is due
 *
 * Slot s is a ring through its head, the node n + s. An entry that is not filed has next = NONE.
 */

import { NONE } from "./none";

/** Milliseconds of a slot where nothing asks for others. */
export const TICK_MS: u32 = 128;

const SLOTS: u32 = 4096;
const SLOT_MASK: u32 = SLOTS - 1;
/** The farthest from the hand that an entry is filed, in ticks: in the slot that the hand has just emptied. */
const HORIZON: u32 = SLOTS;
/** Heads of rings: the slots', and that of what is due. */
const HEADS: u32 = SLOTS + 1;
const OCCUPIED: usize = 64;
const LINKS: usize = OCCUPIED + SLOTS / 8;
const LINK_BYTES: usize = 8;

@final
@unmanaged
export class Wheel {
  /** Entries filed now. */
  count: u32;
  capacity: u32;
  /** Milliseconds of a slot, 1 to 2^18. */
  tickMs: u32;
  /** The slot emptied last, and its time: within a tick of the `now` that was asked for last. */
  private hand: u32;
  private handTime: u32;
  /** A bit for each word of the bitmap that is not zero. */
  private summary: u64;

  /** Bytes of a wheel for `n` entries: a multiple of 64. */
  static bytes(n: u32): usize {
    return (LINKS + (<usize>n + HEADS) * LINK_BYTES + 63) & ~63;
  }

  /** An empty wheel whose hand stands at `now`; at most 2^28 entries. */
  static create(at: usize, n: u32, tickMs: u32, now: u32): Wheel {
    const wheel = changetype<Wheel>(at);
    memory.fill(at, 0, LINKS);
    wheel.capacity = n;
    wheel.tickMs = tickMs;
    wheel.handTime = now;
    memory.fill(at + LINKS, 0xff, <usize>n * LINK_BYTES);
    for (let head = n; head < n + HEADS; head++) {
      wheel.setNext(head, head);
      wheel.setPrevious(head, head);
    }
    return wheel;
  }

  static view(at: usize): Wheel {
    return changetype<Wheel>(at);
  }

  /** True while `i` is filed. */
  holds(i: u32): bool {
    return this.next(i) != NONE;
  }

  /** Files entry `i` (again, if it is filed). A deadline in the past comes up at the next tick. */
  add(i: u32, deadline: u32): void {
    if (this.holds(i)) this.remove(i);
    const ahead = <i32>(deadline - this.handTime);
    let ticks: u32 = 1;
    if (ahead > 0) ticks = min<u32>((<u32>ahead - 1) / this.tickMs + 1, HORIZON);
    const slot = (this.hand + ticks) & SLOT_MASK;
    const head = this.capacity + slot;
    const last = this.previous(head);
    this.setNext(last, i);
    this.setPrevious(i, last);
    this.setNext(i, head);
    this.setPrevious(head, i);
    this.mark(slot);
    this.count++;
  }

  /** Takes entry `i` off; one that is not filed is left alone. */
  remove(i: u32): void {
    const next = this.next(i);
    if (next == NONE) return;
    const previous = this.previous(i);
    this.setNext(previous, next);
    this.setPrevious(next, previous);
    this.setNext(i, NONE);
    this.count--;
    const slot = next - this.capacity;
    if (next == previous && slot < SLOTS) this.unmark(slot);
  }

  /**
   * Takes one entry off whose slot's time has come and returns it; NONE when none is left at `now`. An
   * entry whose real deadline is later must be added again.
   */
  due(now: u32): u32 {
    const passed = this.sinceHand(now);
    if (passed >= <i64>this.tickMs) this.turn(<u32>passed / this.tickMs);
    const first = this.next(this.dueHead());
    if (first == this.dueHead()) return NONE;
    this.remove(first);
    return first;
  }

  /** Milliseconds until an entry is due: 0 when one is, NONE when nothing is filed. */
  wait(now: u32): u32 {
    if (!this.count) return NONE;
    if (this.next(this.dueHead()) != this.dueHead()) return 0;
    const left = <i64>(this.toOccupied() * this.tickMs) - this.sinceHand(now);
    return left > 0 ? <u32>left : 0;
  }

  /** Milliseconds from the hand to `now`; below zero when the clock stepped back. */
  private sinceHand(now: u32): i64 {
    const back = this.handTime - now;
    return back <= SLOTS * this.tickMs ? -(<i64>back) : <i64>(now - this.handTime);
  }

  /** Moves the hand on; what was filed in the slots that it passes is due. */
  private turn(ticks: u32): void {
    let left = ticks;
    for (let next = this.toOccupied(); next <= left; next = this.toOccupied()) {
      this.advance(next);
      left -= next;
      this.hang(this.hand);
    }
    this.advance(left);
  }

  private advance(ticks: u32): void {
    this.hand = (this.hand + ticks) & SLOT_MASK;
    this.handTime += ticks * this.tickMs;
  }

  /** Hangs the ring of an occupied slot behind what is due already. */
  private hang(slot: u32): void {
    const from = this.capacity + slot;
    const to = this.dueHead();
    const first = this.next(from);
    const last = this.previous(from);
    const before = this.previous(to);
    this.setNext(before, first);
    this.setPrevious(first, before);
    this.setNext(last, to);
    this.setPrevious(to, last);
    this.setNext(from, from);
    this.setPrevious(from, from);
    this.unmark(slot);
  }

  private dueHead(): u32 {
    return this.capacity + SLOTS;
  }

  /** Ticks from the hand to the first occupied slot, 1 to HORIZON; NONE when none is. */
  private toOccupied(): u32 {
    if (!this.summary) return NONE;
    const from = (this.hand + 1) & SLOT_MASK;
    let word = from >> 6;
    let bits = load<u64>(this.word(word)) & (~(<u64>0) << (<u64>(from & 63)));
    if (!bits) {
      // words behind this one, else from the start (this word again, for the bits before `from`)
      const behind = this.summary & ((~(<u64>0) << (<u64>word)) << 1);
      word = <u32>ctz(behind ? behind : this.summary);
      bits = load<u64>(this.word(word));
    }
    const slot = (word << 6) | <u32>ctz(bits);
    return ((slot - from) & SLOT_MASK) + 1;
  }

  private mark(slot: u32): void {
    const word = this.word(slot >> 6);
    store<u64>(word, load<u64>(word) | ((<u64>1) << (<u64>(slot & 63))));
    this.summary |= (<u64>1) << (<u64>(slot >> 6));
  }

  private unmark(slot: u32): void {
    const word = this.word(slot >> 6);
    const bits = load<u64>(word) & ~((<u64>1) << (<u64>(slot & 63)));
    store<u64>(word, bits);
    if (!bits) this.summary &= ~((<u64>1) << (<u64>(slot >> 6)));
  }

  private word(i: u32): usize {
    return changetype<usize>(this) + OCCUPIED + ((<usize>i) << 3);
  }

  private link(node: u32): usize {
    return changetype<usize>(this) + LINKS + <usize>node * LINK_BYTES;
  }

  private next(node: u32): u32 {
    return load<u32>(this.link(node));
  }

  private previous(node: u32): u32 {
    return load<u32>(this.link(node), 4);
  }

  private setNext(node: u32, next: u32): void {
    store<u32>(this.link(node), next);
  }

  private setPrevious(node: u32, previous: u32): void {
    store<u32>(this.link(node), previous, 4);
  }
}

if (offsetof<Wheel>() > 64) ERROR("the header of a Wheel is one cache line");
