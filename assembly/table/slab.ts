/**
 * Slab: hands out the indices 0 to n - 1, each to one holder at a time.
 *
 * Fresh indices ascending first, so that a table of which little is used touches little memory; then the
 * one given back last, which is the likeliest to be in the cache. Every operation costs the same.
 *
 *     at      header   64 bytes
 *     at+64   links    n × u32: TAKEN, or the next free index (NONE at the end); nothing beyond `fresh`
 */

import { NONE } from "./none";

const HEADER_BYTES: usize = 64;
const TAKEN: u32 = 0xfffffffe;

@final
@unmanaged
export class Slab {
  /** Indices taken now. */
  count: u32;
  capacity: u32;
  /** Indices from here on were never taken. */
  fresh: u32;
  /** The free index to hand out next, NONE when only fresh ones are left. */
  private head: u32;

  /** Bytes of a slab of `n` indices: a multiple of 64. */
  static bytes(n: u32): usize {
    return (HEADER_BYTES + ((<usize>n) << 2) + 63) & ~63;
  }

  /** A slab with all `n` indices (at most 2^32 - 2) free. */
  static create(at: usize, n: u32): Slab {
    const slab = changetype<Slab>(at);
    slab.count = 0;
    slab.capacity = n;
    slab.fresh = 0;
    slab.head = NONE;
    return slab;
  }

  static view(at: usize): Slab {
    return changetype<Slab>(at);
  }

  /** An index that nobody holds, NONE when all are taken. */
  take(): u32 {
    let taken = this.head;
    if (taken != NONE) {
      this.head = load<u32>(this.link(taken));
    } else {
      if (this.fresh == this.capacity) return NONE;
      taken = this.fresh++;
    }
    store<u32>(this.link(taken), TAKEN);
    this.count++;
    return taken;
  }

  /** Gives a taken index back; one that is not taken is left alone. */
  give(i: u32): void {
    if (!this.holds(i)) return;
    store<u32>(this.link(i), this.head);
    this.head = i;
    this.count--;
  }

  /** True while `i` is taken. */
  holds(i: u32): bool {
    return i < this.fresh && load<u32>(this.link(i)) == TAKEN;
  }

  private link(i: u32): usize {
    return changetype<usize>(this) + HEADER_BYTES + ((<usize>i) << 2);
  }
}

if (offsetof<Slab>() > 64) ERROR("the header of a Slab is one cache line");
