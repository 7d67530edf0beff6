/**
 * The frames that AF_XDP sockets of several interfaces share (UMEM): a stretch of the linear memory in chunks of one
 * size, registered with the kernel by the first socket and joined by the others. So a frame that came in by one
 * interface leaves by another from where it stands.
 *
 *     chunk    | XDP_HEADROOM bytes, ours to write while the frame is lent | frame …
 *
 * A chunk is free, lent to the datapath for one turn, or a queue's: waiting in one of its rings for a frame to
 * come, or to have been sent.
 */
import { LINK_BYTES_MAX, type Window } from "./device.js";
import { addressOf, check, libc } from "./libc.js";
import { LEVEL_XDP, UmemAt, XDP_HEADROOM, XskOption } from "./xsk.js";

/** The kernel takes chunks of a power of two from 2048 bytes up to a page, and no page is smaller than 4096. */
const CHUNK_BYTES_MIN = 2048;
const CHUNK_BYTES_MAX = 4096;

/** Owners of chunks that no queue has; queues are numbered from QUEUE_FIRST on. */
const FREE = 0;
const LENT = 1;
const RESTING = 2;
const QUEUE_FIRST = 3;

/** Milliseconds after which the kernel has let go of a closed socket's chunks: it does so behind our back. */
const REST_MS = 2000;

/** Bytes of a chunk for packets of this length; those of jumbo frames are too long for any. */
export function chunkBytesFor(mtu: number): number {
  const needed = XDP_HEADROOM + LINK_BYTES_MAX + mtu;
  return needed <= CHUNK_BYTES_MIN ? CHUNK_BYTES_MIN : CHUNK_BYTES_MAX;
}

/** Chunks that an interface with such rings has at most: those that wait for frames to come, and those that leave. */
export function chunksOf(slots: number): number {
  return 2 * slots;
}

export class Umem {
  /** Of a frame that a chunk holds. */
  readonly frameBytesMax: number;
  private readonly bytes: Uint8Array;
  private readonly chunks: number;
  private readonly owners: Uint16Array;
  /** A stack of free chunks' numbers. */
  private readonly free: Uint32Array;
  private freeCount: number;
  /** Chunks that are or were lent in this turn. */
  private readonly lent: Uint32Array;
  private lentCount = 0;
  /** Chunks that no interface has a claim on. */
  private unclaimed: number;
  /** Chunks of queues that have left, with the time from which on they are free. */
  private resting: { readonly until: number; readonly chunks: readonly number[] }[] = [];
  /** File descriptors of the bound sockets, by the numbers of their queues. */
  private readonly sockets = new Map<number, number>();
  private readonly shift: number;

  /** @param lentMax  chunks that may be lent at once */
  constructor(
    private readonly window: Window,
    private readonly chunkBytes: number,
    lentMax: number,
  ) {
    this.frameBytesMax = chunkBytes - XDP_HEADROOM;
    this.shift = Math.log2(chunkBytes);
    this.bytes = new Uint8Array(window.memory.buffer);
    this.chunks = window.bytes >>> this.shift;
    this.owners = new Uint16Array(this.chunks);
    this.free = Uint32Array.from({ length: this.chunks }, (_, i) => i);
    this.freeCount = this.chunks;
    this.lent = new Uint32Array(lentMax);
    this.unclaimed = this.chunks - lentMax;
  }

  /** An interface comes that may have so many chunks at once; false when they were not set aside. */
  claim(chunks: number): boolean {
    if (chunks > this.unclaimed) return false;
    this.unclaimed -= chunks;
    return true;
  }

  /** It is gone. */
  disclaim(chunks: number): void {
    this.unclaimed += chunks;
  }

  get memory(): WebAssembly.Memory {
    return this.window.memory;
  }

  /** A socket that is bound to it, undefined while there is none. */
  get member(): number | undefined {
    return this.sockets.values().next().value;
  }

  /** Registers the memory with a socket that is to be the first. */
  register(fd: number, who: string): void {
    const request = new DataView(new ArrayBuffer(UmemAt.Bytes));
    const address = addressOf(this.window.memory) + this.window.at;
    request.setBigUint64(UmemAt.Address, BigInt(address), true);
    request.setBigUint64(UmemAt.Length, BigInt(this.chunks * this.chunkBytes), true);
    request.setUint32(UmemAt.ChunkBytes, this.chunkBytes, true);
    const option = XskOption.Umem;
    const result = libc().setsockopt(fd, LEVEL_XDP, option, request, UmemAt.Bytes);
    check(result, who, "setsockopt(XDP_UMEM_REG)");
  }

  /** A bound socket takes part; returns the number of its queue. */
  join(fd: number): number {
    let queue = QUEUE_FIRST;
    while (this.sockets.has(queue)) queue++;
    this.sockets.set(queue, fd);
    return queue;
  }

  /** The socket is closed: what its queue had will be free after a rest. */
  leave(queue: number, nowMs: number): void {
    this.sockets.delete(queue);
    const chunks: number[] = [];
    for (let chunk = 0; chunk < this.chunks; chunk++) {
      if (this.owners[chunk] !== queue) continue;
      this.owners[chunk] = RESTING;
      chunks.push(chunk);
    }
    this.resting.push({ until: nowMs + REST_MS, chunks });
  }

  /** Frees what has rested; called now and then. */
  freeRested(nowMs: number): void {
    for (const { until, chunks } of this.resting) {
      if (until <= nowMs) for (const chunk of chunks) this.giveChunk(chunk);
    }
    this.resting = this.resting.filter(({ until }) => until > nowMs);
  }

  /** Address in the UMEM of a free chunk for the queue, undefined when there is none. */
  take(queue: number): number | undefined {
    if (this.freeCount === 0) return undefined;
    const chunk = this.free[--this.freeCount] as number;
    this.owners[chunk] = queue;
    return chunk * this.chunkBytes;
  }

  /** A chunk comes back, named by any address within it. */
  give(address: number): void {
    this.giveChunk(address >>> this.shift);
  }

  /** A received frame, by its address in the UMEM, is lent. Returns its address in the linear memory. */
  lend(address: number): number {
    const chunk = address >>> this.shift;
    this.owners[chunk] = LENT;
    this.lent[this.lentCount++] = chunk;
    return this.window.at + address;
  }

  /**
   * A lent frame becomes the queue's, from where it stands; else a copy of it, in a chunk of its own. Returns its
   * address in the UMEM, undefined when no chunk is free.
   */
  adopt(frame: number, size: number, queue: number): number | undefined {
    const offset = frame - this.window.at;
    if (offset >= 0 && offset < this.window.bytes) {
      const chunk = offset >>> this.shift;
      const isWhole = (offset & (this.chunkBytes - 1)) + size <= this.chunkBytes;
      if (isWhole && this.owners[chunk] === LENT) {
        this.owners[chunk] = queue;
        return offset;
      }
    }
    const chunk = this.take(queue);
    if (chunk === undefined) return undefined;
    this.bytes.copyWithin(this.window.at + chunk + XDP_HEADROOM, frame, frame + size);
    return chunk + XDP_HEADROOM;
  }

  /** Lent frames that nobody adopted are free. */
  release(): void {
    for (let i = 0; i < this.lentCount; i++) {
      const chunk = this.lent[i] as number;
      if (this.owners[chunk] === LENT) this.giveChunk(chunk);
    }
    this.lentCount = 0;
  }

  private giveChunk(chunk: number): void {
    this.owners[chunk] = FREE;
    this.free[this.freeCount++] = chunk;
  }
}
