/**
 * Index: from a keyed hash to the u32 handles filed under it.
 *
 * Two-choice buckets of one cache line each. An entry is a 16-bit tag of its hash and its handle; it lives
 * in its first bucket (high half of the hash) or, where that one is full, in the other one, which follows
 * from the tag and the bucket it is in, so an entry can be moved without its key. Whoever looks up compares
 * the key behind each handle whose tag fits. Two full buckets are relieved by moving a resident, at most two
 * steps deep: an insert reads 162 buckets at worst, a lookup and a removal two. Nothing is left behind by a
 * removal.
 *
 *     at      header                     64 bytes
 *     at+64   bucket 0, 1, 2 …           64 bytes each:
 *             0  tags      8 × u16       0 for an empty slot
 *             16 handles   8 × u32
 *             48 strays    u32           entries whose first bucket this is, and that are in their other one
 *             52 guests    u32           a bit for each slot whose entry has another first bucket
 *
 * A bucket without strays ends the search: most lookups, and nearly all that find nothing, read one line.
 *
 * Buckets are numbered 0 to n - 1 where n is even and the sum of an entry's two buckets is odd (mod n):
 * so the two are never the same. 85 % of the slots are promised, with a few spare buckets on top because
 * chance weighs more in small tables. Measured over 23 sizes from 0 to 10^6 with 6.5 million entries:
 * nothing promised was refused; filled on (5 keys a size), the first refusal came at 94 to 100 % of the slots.
 *
 * Limits: 2^28 entries. A handle may be any value.
 */

import { NONE } from "./none";

const HEADER_BYTES: usize = 64;
const BUCKET_BYTES: usize = 64;
const BUCKET_SHIFT: usize = 6;
const SLOTS: u32 = 8;
const HANDLES: usize = 16;
const STRAYS: usize = 48;
const GUESTS: usize = 52;
/** Buckets on top, which a table of a few buckets needs for its promise and a large one does not feel. */
const SPARE_BUCKETS: u32 = 4;

/** Even, and enough for `entriesMax` at 6.8 entries a bucket. */
function bucketsFor(entriesMax: u32): u32 {
  const needed = <u32>((<u64>entriesMax * 5 + 33) / 34) + SPARE_BUCKETS;
  return (needed + 1) & ~1;
}

/** 1 to 65535. */
function tagOf(hash: u64): u32 {
  const tag = <u32>hash & 0xffff;
  return tag ? tag : 1;
}

/** Maps 32 even bits to 0 … n - 1 (D. Lemire, multiply-shift). */
function reduce(bits: u32, n: u32): u32 {
  return <u32>((<u64>bits * <u64>n) >> 32);
}

/** A bit for each of the bucket's eight slots whose tag equals `tag`. */
function match(bucket: usize, tag: u32): u32 {
  return i16x8.bitmask(i16x8.eq(v128.load(bucket), i16x8.splat(<i16>tag)));
}

function tagAt(bucket: usize, slot: u32): u32 {
  return load<u16>(bucket + ((<usize>slot) << 1));
}

/** Puts an entry into a slot that is free, or whose entry has moved; `isGuest` where it is not its first bucket. */
function fill(bucket: usize, slot: u32, tag: u32, handle: u32, isGuest: bool): void {
  store<u16>(bucket + ((<usize>slot) << 1), <u16>tag);
  store<u32>(bucket + ((<usize>slot) << 2), handle, HANDLES);
  const guests = load<u32>(bucket, GUESTS) & ~(1 << slot);
  store<u32>(bucket, guests | ((<u32>isGuest) << slot), GUESTS);
}

function empty(bucket: usize, slot: u32): void {
  store<u16>(bucket + ((<usize>slot) << 1), 0);
}

function isGuest(bucket: usize, slot: u32): bool {
  return ((load<u32>(bucket, GUESTS) >> slot) & 1) != 0;
}

/** Counts the entries of a bucket that are in their other one. */
function countStrays(bucket: usize, change: i32): void {
  store<u32>(bucket, load<u32>(bucket, STRAYS) + change, STRAYS);
}

@final
@unmanaged
export class Index {
  /** Entries now. */
  count: u32;
  /** Entries that it promises room for. */
  entriesMax: u32;
  private buckets: u32;

  /** Bytes of an index for `entriesMax` entries: a multiple of 64. */
  static bytes(entriesMax: u32): usize {
    return HEADER_BYTES + ((<usize>bucketsFor(entriesMax)) << BUCKET_SHIFT);
  }

  /** An empty index at `at`, a multiple of 64. */
  static create(at: usize, entriesMax: u32): Index {
    memory.fill(at, 0, Index.bytes(entriesMax));
    const index = changetype<Index>(at);
    index.entriesMax = entriesMax;
    index.buckets = bucketsFor(entriesMax);
    return index;
  }

  static view(at: usize): Index {
    return changetype<Index>(at);
  }

  /** Reads from the first bucket, so that its line is on its way; returns what it found there. */
  touch(hash: u64): u32 {
    return load<u32>(this.address(this.first(hash)));
  }

  /** Address of the bucket that `hash` may be in: 0 the first, 1 the other. */
  bucket(hash: u64, which: u32): usize {
    const first = this.first(hash);
    return this.address(which ? this.other(first, tagOf(hash)) : first);
  }

  /** Slots of `bucket` whose tag fits `hash`, one bit each (bits 0 to 7). */
  static matches(bucket: usize, hash: u64): u32 {
    return match(bucket, tagOf(hash));
  }

  /** Whether no entry whose first bucket this is can be anywhere else: the other one need not be looked at. */
  static isWhole(bucket: usize): bool {
    return load<u32>(bucket, STRAYS) == 0;
  }

  static handle(bucket: usize, slot: u32): u32 {
    return load<u32>(bucket + ((<usize>slot) << 2), HANDLES);
  }

  /**
   * Files `handle` under `hash`; the same pair twice is two entries. May move other entries, so buckets'
   * contents read before are stale. False, and nothing changed, when no room could be made.
   */
  insert(hash: u64, handle: u32): bool {
    const tag = tagOf(hash);
    const first = this.first(hash);
    const slot = this.freeSlot(first);
    if (slot == NONE) return this.insertBeside(first, tag, handle);
    fill(this.address(first), slot, tag, handle, false);
    this.count++;
    return true;
  }

  /** The same where the first bucket is full. */
  private insertBeside(first: u32, tag: u32, handle: u32): bool {
    const other = this.other(first, tag);
    let bucket = other;
    let slot = this.freeSlot(other);
    for (let depth: u32 = 1; slot == NONE && depth <= 2; depth++) {
      bucket = first;
      slot = this.relieve(first, depth);
      if (slot != NONE) break;
      bucket = other;
      slot = this.relieve(other, depth);
    }
    if (slot == NONE) return false;
    fill(this.address(bucket), slot, tag, handle, bucket == other);
    if (bucket == other) countStrays(this.address(first), 1);
    this.count++;
    return true;
  }

  /** Takes one such entry out; false when there is none. */
  remove(hash: u64, handle: u32): bool {
    for (let which: u32 = 0; which < 2; which++) {
      const bucket = this.bucket(hash, which);
      for (let fits = Index.matches(bucket, hash); fits; fits &= fits - 1) {
        const slot = ctz(fits);
        if (Index.handle(bucket, slot) != handle) continue;
        empty(bucket, slot);
        if (which) countStrays(this.bucket(hash, 0), -1);
        this.count--;
        return true;
      }
      if (Index.isWhole(bucket)) break;
    }
    return false;
  }

  /** Puts another handle in the place of `from`, filed under the same hash; false when there is none. */
  replace(hash: u64, from: u32, to: u32): bool {
    for (let which: u32 = 0; which < 2; which++) {
      const bucket = this.bucket(hash, which);
      for (let fits = Index.matches(bucket, hash); fits; fits &= fits - 1) {
        const slot = ctz(fits);
        if (Index.handle(bucket, slot) != from) continue;
        store<u32>(bucket + ((<usize>slot) << 2), to, HANDLES);
        return true;
      }
      if (Index.isWhole(bucket)) break;
    }
    return false;
  }

  private first(hash: u64): u32 {
    return reduce(<u32>(hash >> 32), this.buckets);
  }

  /** The other bucket of an entry in `bucket`: the two add up to an odd number that its tag gives. */
  private other(bucket: u32, tag: u32): u32 {
    const sum = reduce(tag * 0x9e3779b1, this.buckets) | 1;
    return sum >= bucket ? sum - bucket : sum + this.buckets - bucket;
  }

  private address(bucket: u32): usize {
    return changetype<usize>(this) + HEADER_BYTES + ((<usize>bucket) << BUCKET_SHIFT);
  }

  /** Moves a resident of a full bucket over; its slot, for the caller to overwrite, or NONE. */
  private relieve(bucket: u32, depth: u32): u32 {
    const from = this.address(bucket);
    for (let slot: u32 = 0; slot < SLOTS; slot++) {
      const tag = tagAt(from, slot);
      const to = this.other(bucket, tag);
      const room = depth > 1 ? this.relieve(to, depth - 1) : this.freeSlot(to);
      if (room == NONE) continue;
      const returns = isGuest(from, slot);
      fill(this.address(to), room, tag, Index.handle(from, slot), !returns);
      countStrays(returns ? this.address(to) : from, returns ? -1 : 1);
      return slot;
    }
    return NONE;
  }

  private freeSlot(bucket: u32): u32 {
    const free = match(this.address(bucket), 0);
    return free ? ctz(free) : NONE;
  }
}

if (offsetof<Index>() > 64) ERROR("the header of an Index is one cache line");
if (BUCKET_BYTES != 1 << BUCKET_SHIFT) ERROR("a bucket is one cache line");
