/**
 * Map64: from u64 to u32, filled once at configuration and then only read.
 *
 * Open addressing with linear probing, at most half full, so a lookup reads one or two slots. The hash is
 * keyed: addresses in a configuration may come from somebody else. It is multiply-shift (M. Dietzfelbinger et
 * al., 1997): a new conn asks ten times. Nothing is ever taken out.
 *
 *     at      header   64 bytes
 *     at+64   slots    16 bytes each: key u64, value u32 (NONE while unused), 4 unused
 *
 * Limits: 2^26 pairs. NONE is no value.
 */

import { NONE } from "./none";

const HEADER_BYTES: usize = 64;
const VALUE: usize = 8;

/** In a table of a few slots most keys that are not there would meet one that is: a branch that nothing foresees. */
const SLOTS_MIN: u32 = 64;

/** A power of two, at least twice `n`. */
function slotsFor(n: u32): u32 {
  return n <= SLOTS_MIN / 2 ? SLOTS_MIN : (<u32>1) << (33 - <u32>clz<u32>(n - 1));
}

@final
@unmanaged
export class Map64 {
  /** Pairs now. */
  count: u32;
  /** Pairs that fit. */
  capacity: u32;
  /** The secret multiplier: odd. */
  private key: u64;
  private mask: u32;
  /** Leaves the highest bits of a product, as many as the number of a slot has. */
  private shift: u32;

  /** Bytes of a map of `n` pairs: a multiple of 64. */
  static bytes(n: u32): usize {
    return HEADER_BYTES + ((<usize>slotsFor(n)) << 4);
  }

  /** An empty map for `n` pairs; `key` is secret. */
  static create(at: usize, n: u32, key: u64): Map64 {
    memory.fill(at, 0, HEADER_BYTES);
    memory.fill(at + HEADER_BYTES, 0xff, Map64.bytes(n) - HEADER_BYTES);
    const map = changetype<Map64>(at);
    map.capacity = n;
    map.key = key | 1;
    map.mask = slotsFor(n) - 1;
    map.shift = <u32>clz<u64>(map.mask);
    return map;
  }

  static view(at: usize): Map64 {
    return changetype<Map64>(at);
  }

  /** False, and nothing changed, when `key` is there already or `n` pairs are in. */
  put(key: u64, value: u32): bool {
    const slot = this.find(key);
    if (load<u32>(slot, VALUE) != NONE || this.count == this.capacity) return false;
    store<u64>(slot, key);
    store<u32>(slot, value, VALUE);
    this.count++;
    return true;
  }

  /** The value of `key`, NONE where there is none. */
  get(key: u64): u32 {
    return load<u32>(this.find(key), VALUE);
  }

  /** The slot that `key` is in, else the unused one where it would go. */
  private find(key: u64): usize {
    const slots = changetype<usize>(this) + HEADER_BYTES;
    let i = <u32>((key * this.key) >> <u64>this.shift);
    let slot = slots + ((<usize>i) << 4);
    while (load<u64>(slot) != key && load<u32>(slot, VALUE) != NONE) {
      i = (i + 1) & this.mask;
      slot = slots + ((<usize>i) << 4);
    }
    return slot;
  }
}

if (offsetof<Map64>() > 64) ERROR("the header of a Map64 is one cache line");
