/**
 * A ring in shared memory in which frames cross from one thread to another: one puts in, one takes out, none waits for
 * the other. Lossy where it is full, like every queue of a router.
 *
 *     words   0   taken up to      16   put up to      32 …   records
 *     record  0   words of the record; 0: go on at the beginning
 *             1   bytes of the frame | bytes in front of it << 16
 *             2   number of the configuration under which it was sent
 *             3   place | flags << 16 (abi.ts: a hand-off's VlanTci and Flags)
 *             4   the frame, in whole words of the memory that it stood in
 *
 * Positions count words and never turn back (modulo 2^32). What was put in shows when `publish` says so.
 */

/** Words of records: a power of two. */
const WORDS = 1 << 18;
const MASK = WORDS - 1;
const TAKEN = 0;
const PUT = 16;
const RECORDS = 32;
const HEAD_WORDS = 4;

export function ringBytes(): number {
  return (RECORDS + WORDS) * 4;
}

/** A frame that crosses, as both sides see it. */
export interface Crossing {
  frame: number;
  size: number;
  configuration: number;
  place: number;
  flags: number;
}

export class CrossingRing {
  private readonly words: Int32Array;
  /** Our own position, and the other side's when we last looked. */
  private mine = 0;
  private theirs = 0;

  constructor(buffer: SharedArrayBuffer) {
    this.words = new Int32Array(buffer);
  }

  /**
   * Puts in a frame that stands in `memory`, words of the sender's memory. False when it finds no place.
   * @param frame  byte address
   */
  put(
    memory: Int32Array,
    frame: number,
    size: number,
    configuration: number,
    place: number,
    flags: number,
  ): boolean {
    const { words } = this;
    const first = frame >>> 2;
    const frameWords = ((frame + size + 3) >>> 2) - first;
    const needed = HEAD_WORDS + frameWords;
    const at = this.mine & MASK;
    const skipped = at + needed > WORDS ? WORDS - at : 0;
    if (!this.hasRoom(skipped + needed)) return false;
    if (skipped > 0) {
      words[RECORDS + at] = 0;
      this.mine = (this.mine + skipped) >>> 0;
    }
    const record = RECORDS + (this.mine & MASK);
    words[record] = needed;
    words[record + 1] = size | ((frame & 3) << 16);
    words[record + 2] = configuration;
    words[record + 3] = place | (flags << 16);
    const to = record + HEAD_WORDS;
    for (let i = 0; i < frameWords; i++) words[to + i] = memory[first + i] as number;
    this.mine = (this.mine + needed) >>> 0;
    return true;
  }

  private hasRoom(words: number): boolean {
    if (((this.mine - this.theirs) >>> 0) + words <= WORDS) return true;
    this.theirs = Atomics.load(this.words, TAKEN) >>> 0;
    return ((this.mine - this.theirs) >>> 0) + words <= WORDS;
  }

  /** Shows the other side what was put in. */
  publish(): void {
    Atomics.store(this.words, PUT, this.mine | 0);
  }

  /** Whether a frame waits; asked by the side that takes out. */
  get waiting(): boolean {
    if (this.theirs !== this.mine) return true;
    this.theirs = Atomics.load(this.words, PUT) >>> 0;
    return this.theirs !== this.mine;
  }

  /** Number of the configuration of the frame that waits. */
  get configuration(): number {
    return this.words[this.record() + 2] as number;
  }
  get place(): number {
    return (this.words[this.record() + 3] as number) & 0xffff;
  }
  get flags(): number {
    return (this.words[this.record() + 3] as number) >>> 16;
  }
  get size(): number {
    return (this.words[this.record() + 1] as number) & 0xffff;
  }

  /**
   * Copies the frame that waits to `to`, a byte address and multiple of 4 in the taker's memory. Returns where it
   * begins there: as far from a multiple of 4 as where it came from.
   */
  copy(memory: Int32Array, to: number): number {
    const { words } = this;
    const record = this.record();
    const frameWords = (words[record] as number) - HEAD_WORDS;
    const from = record + HEAD_WORDS;
    const first = to >>> 2;
    for (let i = 0; i < frameWords; i++) memory[first + i] = words[from + i] as number;
    return to + ((words[record + 1] as number) >>> 16);
  }

  /** Passes over the frame that waits. */
  take(): void {
    const record = this.record();
    this.mine = (this.mine + (this.words[record] as number)) >>> 0;
  }

  /** Gives the places back of all that was taken. */
  release(): void {
    Atomics.store(this.words, TAKEN, this.mine | 0);
  }

  /** Where the record stands that waits. */
  private record(): number {
    if (this.words[RECORDS + (this.mine & MASK)] === 0) {
      this.mine = (this.mine + WORDS - (this.mine & MASK)) >>> 0;
    }
    return RECORDS + (this.mine & MASK);
  }
}
