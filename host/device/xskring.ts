/**
 * The rings of an AF_XDP socket, seen from user space: one side writes descriptors and publishes how far, the
 * other reads them and publishes how far. Both counts are 32 bits that wrap; Atomics order them against the
 * descriptors. Each side keeps a copy of the other's count and reads it again only when that says stop.
 */

/** Byte addresses in the linear memory. */
export interface RingPlace {
  readonly producer: number;
  readonly consumer: number;
  readonly descriptors: number;
  /** A power of two. */
  readonly size: number;
  readonly descriptorBytes: number;
}

abstract class Ring {
  protected readonly words: Int32Array;
  protected readonly producer: number;
  protected readonly consumer: number;
  private readonly descriptors: number;
  private readonly mask: number;
  private readonly stride: number;
  protected readonly size: number;

  constructor(buffer: ArrayBufferLike, place: RingPlace) {
    this.words = new Int32Array(buffer);
    this.producer = place.producer >>> 2;
    this.consumer = place.consumer >>> 2;
    this.descriptors = place.descriptors >>> 2;
    this.mask = place.size - 1;
    this.stride = place.descriptorBytes >>> 2;
    this.size = place.size;
  }

  /** Index in `words` of the descriptor with this count. */
  protected at(count: number): number {
    return this.descriptors + (count & this.mask) * this.stride;
  }
}

/** The rings that we fill: fill and transmit. */
export class ProducerRing extends Ring {
  private next = 0;
  private taken = 0;

  /** Descriptors that can be put now, at least `wanted` if there are so many. */
  room(wanted: number): number {
    const known = this.size - ((this.next - this.taken) | 0);
    if (known >= wanted) return known;
    this.taken = Atomics.load(this.words, this.consumer);
    return this.size - ((this.next - this.taken) | 0);
  }

  /** Those that were published and that the kernel has not taken yet. */
  waiting(): number {
    this.taken = Atomics.load(this.words, this.consumer);
    return (this.next - this.taken) | 0;
  }

  /** Only where there is room. `length` where the descriptor has one. */
  put(address: number, length?: number): void {
    const at = this.at(this.next);
    this.words[at] = address;
    this.words[at + 1] = 0;
    if (length !== undefined) {
      this.words[at + 2] = length;
      this.words[at + 3] = 0;
    }
    this.next = (this.next + 1) | 0;
  }

  /** The kernel may take what was put. */
  publish(): void {
    Atomics.store(this.words, this.producer, this.next);
  }
}

/** The rings that the kernel fills: receive and completion. */
export class ConsumerRing extends Ring {
  private next = 0;
  private published = 0;

  /** Descriptors that have arrived and were not taken. */
  available(): number {
    const known = (this.published - this.next) | 0;
    if (known > 0) return known;
    this.published = Atomics.load(this.words, this.producer);
    return (this.published - this.next) | 0;
  }

  /** Of the oldest descriptor; only where there is one. */
  get address(): number {
    return (this.words[this.at(this.next)] ?? 0) >>> 0;
  }
  get length(): number {
    return this.words[this.at(this.next) + 2] ?? 0;
  }

  take(): void {
    this.next = (this.next + 1) | 0;
  }

  /** The kernel may use the places of what was taken. */
  release(): void {
    Atomics.store(this.words, this.consumer, this.next);
  }
}
