/**
 * Best: of many entries the few of the lowest rank, in a bounded heap with the highest of them at its root.
 *
 * A rank is a key and, among equal keys, an index. An entry that finds no place costs one comparison, one that does as
 * many as the heap is deep. `sort` turns the heap into a list; nothing may be added behind that.
 *
 *     at      header    64 bytes
 *     at+64   entries   capacity × { key u64, index u32, stamp u32 (the owner's) }
 */

const HEADER_BYTES: usize = 64;
const ENTRY_SHIFT: usize = 4;

@final
@unmanaged
export class Best {
  count: u32;
  capacity: u32;

  /** Bytes for `n` entries: a multiple of 64. */
  static bytes(n: u32): usize {
    return (HEADER_BYTES + ((<usize>n) << ENTRY_SHIFT) + 63) & ~63;
  }

  /** An empty one for `n` entries, which may be none. */
  static create(at: usize, n: u32): Best {
    const best = changetype<Best>(at);
    best.count = 0;
    best.capacity = n;
    return best;
  }

  static view(at: usize): Best {
    return changetype<Best>(at);
  }

  key(i: u32): u64 {
    return load<u64>(this.entry(i));
  }
  index(i: u32): u32 {
    return load<u32>(this.entry(i), 8);
  }
  stamp(i: u32): u32 {
    return load<u32>(this.entry(i), 12);
  }

  /** Takes an entry in where there is room, or a worse one that makes room. */
  add(key: u64, index: u32, stamp: u32): void {
    if (this.count < this.capacity) {
      this.rise(this.count++, key, index, stamp);
    } else if (this.count > 0 && this.isBelow(key, index, 0)) {
      this.sink(this.count, key, index, stamp);
    }
  }

  /** The lowest rank first. */
  sort(): void {
    for (let last = this.count; last > 1; ) {
      last--;
      const at = this.entry(last);
      const key = load<u64>(at);
      const index = load<u32>(at, 8);
      const stamp = load<u32>(at, 12);
      this.move(last, 0);
      this.sink(last, key, index, stamp);
    }
  }

  /** Whether a rank is below that of entry `i`. */
  private isBelow(key: u64, index: u32, i: u32): bool {
    const other = this.key(i);
    return key < other || (key == other && index < this.index(i));
  }

  /** Puts an entry in from place `at` upwards. */
  private rise(at: u32, key: u64, index: u32, stamp: u32): void {
    let i = at;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      // Upwards they grow: a parent that is higher stays above.
      if (this.isBelow(key, index, parent)) break;
      this.move(i, parent);
      i = parent;
    }
    this.put(i, key, index, stamp);
  }

  /** Puts an entry in from the root downwards, into a heap of `n` whose root goes. */
  private sink(n: u32, key: u64, index: u32, stamp: u32): void {
    let i: u32 = 0;
    for (;;) {
      let child: u32 = 2 * i + 1;
      if (child >= n) break;
      if (child + 1 < n && this.isBelow(this.key(child), this.index(child), child + 1)) child++;
      if (!this.isBelow(key, index, child)) break;
      this.move(i, child);
      i = child;
    }
    this.put(i, key, index, stamp);
  }

  private put(i: u32, key: u64, index: u32, stamp: u32): void {
    const at = this.entry(i);
    store<u64>(at, key);
    store<u32>(at, index, 8);
    store<u32>(at, stamp, 12);
  }

  private move(to: u32, from: u32): void {
    v128.store(this.entry(to), v128.load(this.entry(from)));
  }

  private entry(i: u32): usize {
    return changetype<usize>(this) + HEADER_BYTES + ((<usize>i) << ENTRY_SHIFT);
  }
}

if (offsetof<Best>() > 64) ERROR("the header of a Best is one cache line");
