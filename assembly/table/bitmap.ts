/**
 * Bitmap: which of 65,536 numbers (ports, identifiers) are taken.
 *
 * A second bitmap says which words are full, so the search for a free number reads at most two words of the
 * first and sixteen of the second, twice when it wraps: the same whether one number is left or all.
 *
 *     at       header   64 bytes
 *     at+64    full     16 × u64, a bit for each word below that has no clear bit
 *     at+192   words    1024 × u64
 */

import { NONE } from "./none";

/** Bytes of a bitmap: a multiple of 64. */
export const BITMAP_BYTES: usize = 64 + 128 + 8192;

const FULL: usize = 64;
const WORDS: usize = 192;
const GROUPS: u32 = 16;
const LAST: u32 = 65535;
const EVEN: u64 = 0x5555555555555555;

@final
@unmanaged
export class Bitmap {
  static readonly BYTES: usize = BITMAP_BYTES;

  /** Numbers taken now. */
  count: u32;

  static view(at: usize): Bitmap {
    return changetype<Bitmap>(at);
  }

  /** Nothing is taken; needed once before first use. */
  clear(): void {
    memory.fill(changetype<usize>(this), 0, BITMAP_BYTES);
  }

  has(i: u32): bool {
    if (i > LAST) return false;
    return <bool>((load<u64>(this.word(i >> 6)) >> <u64>(i & 63)) & 1);
  }

  /** Whether none of `count` numbers from `first` on is taken; both are multiples of 64. */
  isClear(first: u32, count: u32): bool {
    let bits: u64 = 0;
    for (let word = first >> 6; word < (first + count) >> 6; word++)
      bits |= load<u64>(this.word(word));
    return bits == 0;
  }

  /** How many of the numbers from `first` to `last`, both included, are taken. */
  countWithin(first: u32, last: u32): u32 {
    let count: u32 = 0;
    for (let word = first >> 6; word <= min(last, LAST) >> 6; word++) {
      let bits = load<u64>(this.word(word));
      if (word == first >> 6) bits &= ~(<u64>0) << (<u64>(first & 63));
      if (word == last >> 6) bits &= ~(<u64>0) >> <u64>(63 - (last & 63));
      count += <u32>popcnt(bits);
    }
    return count;
  }

  /** Takes number `i`; false when it was taken already, or is none. */
  set(i: u32): bool {
    if (i > LAST || this.has(i)) return false;
    const at = this.word(i >> 6);
    const bits = load<u64>(at) | ((<u64>1) << (<u64>(i & 63)));
    store<u64>(at, bits);
    if (bits == ~(<u64>0)) this.close(i >> 6);
    this.count++;
    return true;
  }

  /** Takes the numbers from `first` to `last`, both included and none taken yet, for good: they do not count. */
  exclude(first: u32, last: u32): void {
    for (let i = first; i <= last; ) {
      if ((i & 63) == 0 && i + 63 <= last) {
        store<u64>(this.word(i >> 6), ~(<u64>0));
        this.close(i >> 6);
        i += 64;
      } else {
        this.set(i++);
        this.count--;
      }
    }
  }

  /** Number `i`, which was excluded, can be taken. */
  include(i: u32): void {
    if (!this.has(i)) return;
    this.give(i);
    this.count++;
  }

  /** Gives number `i` back; one that is not taken is left alone. */
  give(i: u32): void {
    if (!this.has(i)) return;
    const at = this.word(i >> 6);
    store<u64>(at, load<u64>(at) & ~((<u64>1) << (<u64>(i & 63))));
    const group = this.group(i >> 12);
    store<u64>(group, load<u64>(group) & ~((<u64>1) << (<u64>((i >> 6) & 63))));
    this.count--;
  }

  /**
   * Takes the first free number from `start` on within `low` to `high` (both included), continuing once at
   * `low`. A start outside the range means `low`. NONE when the range has none.
   */
  take(start: u32, low: u32, high: u32): u32 {
    const last = min<u32>(high, LAST);
    if (low > last) return NONE;
    const from = start >= low && start <= last ? start : low;
    let found = this.free(from, last);
    if (found == NONE && from > low) found = this.free(low, from - 1);
    if (found != NONE) this.set(found);
    return found;
  }

  /**
   * Like `take`, but only numbers that are even, or odd, as `parity` is. Words are asked one by one, since
   * the second bitmap does not tell: 1024 of them at worst.
   */
  takeParity(start: u32, low: u32, high: u32, parity: u32): u32 {
    const last = min<u32>(high, LAST);
    if (low > last) return NONE;
    const from = start >= low && start <= last ? start : low;
    let found = this.freeParity(from, last, parity);
    if (found == NONE && from > low) found = this.freeParity(low, from - 1, parity);
    if (found != NONE) this.set(found);
    return found;
  }

  private freeParity(from: u32, last: u32, parity: u32): u32 {
    const wanted = EVEN << (<u64>(parity & 1));
    let mask = wanted & (~(<u64>0) << (<u64>(from & 63)));
    for (let word = from >> 6; word <= last >> 6; word++) {
      const clear = ~load<u64>(this.word(word)) & mask;
      if (clear) return within((word << 6) | <u32>ctz(clear), last);
      mask = wanted;
    }
    return NONE;
  }

  /** The first free number from `from` to `last`, both included. */
  private free(from: u32, last: u32): u32 {
    const word = from >> 6;
    const clear = ~load<u64>(this.word(word)) & (~(<u64>0) << (<u64>(from & 63)));
    if (clear) return within((word << 6) | <u32>ctz(clear), last);
    const next = word + 1;
    let group = next >> 6;
    if (group == GROUPS) return NONE;
    let open = ~load<u64>(this.group(group)) & (~(<u64>0) << (<u64>(next & 63)));
    while (!open) {
      if (++group == GROUPS) return NONE;
      open = ~load<u64>(this.group(group));
    }
    const found = (group << 6) | <u32>ctz(open);
    return within((found << 6) | <u32>ctz(~load<u64>(this.word(found))), last);
  }

  /** Notes that a word has no clear bit. */
  private close(word: u32): void {
    const group = this.group(word >> 6);
    store<u64>(group, load<u64>(group) | ((<u64>1) << (<u64>(word & 63))));
  }

  private word(i: u32): usize {
    return changetype<usize>(this) + WORDS + ((<usize>i) << 3);
  }

  private group(i: u32): usize {
    return changetype<usize>(this) + FULL + ((<usize>i) << 3);
  }
}

function within(found: u32, last: u32): u32 {
  return found <= last ? found : NONE;
}

if (offsetof<Bitmap>() > 64) ERROR("the header of a Bitmap is one cache line");
