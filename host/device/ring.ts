/**
 * The two TPACKET_V2 rings of a packet socket, mapped over a window of the linear memory.
 *
 *     window.at                                                                     window.at + bytes
 *     | receive slots | transmit slots | one whole frame | Limit.Batch segments       |
 *       mapped from the kernel           plain memory: staging.ts
 *
 *     receive slot    | tpacket2_hdr | sockaddr_ll |  ≥ 32 free  | virtio_net_hdr | frame …
 *                     0              32            52                             ^ SlotAt.Frame
 *     transmit slot   | tpacket2_hdr | virtio_net_hdr | frame …
 *                     0              32               42
 *
 * Who owns a slot stands in its first word (SlotAt.Status), read and published through Atomics. A receive
 * slot goes kernel → user (arrived) → lent (taken, until `giveBack`) → kernel. A transmit slot goes
 * available → send request (published) → sending (the kernel has seen it) → available.
 */

import { Limit } from "../../assembly/abi.js";
import { messageOf } from "../errortext.js";
import { LINK_BYTES_MAX, PAGE_BYTES, StillMapped } from "./device.js";
import { addressOf, check, libc, MapFlag, Protection } from "./libc.js";
import { ReceiveStatus, SlotAt, TransmitStatus, VnetAt } from "./packet.js";

/** Of the kernel's ring memory: a block of slots. */
const BLOCK_BYTES = PAGE_BYTES;

/** A slot holds the usual Ethernet frame, and two of them share a page. */
const SLOT_BYTES_MIN = 2048;

/**
 * Where a received frame begins in its slot: TPACKET2_HDRLEN with 16 bytes for the link header, aligned to
 * 16, the reserve, the virtio_net_hdr, minus the link header (net/packet/af_packet.c, tpacket_rcv).
 */
const RECEIVE_OFFSET = 80 + Limit.Headroom + VnetAt.Bytes - 14;

/** Where a frame to be sent begins in its slot; two bytes off a word, so its IP header is on one. */
const TRANSMIT_OFFSET = SlotAt.Transmit + VnetAt.Bytes;

/** The longest frame that a segmentation offload makes: an IP packet of 65,535 bytes. */
export const WHOLE_FRAME_BYTES = 65535 + LINK_BYTES_MAX;

/** Room for the whole frame, its virtio_net_hdr and the headroom. */
const WHOLE_BYTES = 66 * 1024;

/** No slot: address 0 is never inside a window. */
export const NO_SLOT = 0;

/** How a window is divided; `At` are byte addresses in the linear memory. */
export interface Layout {
  readonly slotBytes: number;
  readonly receiveSlots: number;
  readonly transmitSlots: number;
  readonly receiveAt: number;
  readonly transmitAt: number;
  readonly wholeAt: number;
  readonly segmentsAt: number;
  /** Of both rings, the part that is mapped. */
  readonly ringBytes: number;
  readonly bytes: number;
}

/** @param slots  of each ring, powers of two */
export function layOut(
  at: number,
  mtu: number,
  receiveSlots: number,
  transmitSlots: number,
): Layout {
  for (const slots of [receiveSlots, transmitSlots]) {
    if (!Number.isInteger(slots) || slots < 64 || slots > 65536 || (slots & (slots - 1)) !== 0) {
      throw new RangeError(`a ring has a power of two from 64 to 65536 slots, not ${slots}`);
    }
  }
  const slotBytes = slotBytesFor(mtu);
  const transmitAt = at + receiveSlots * slotBytes;
  const wholeAt = transmitAt + transmitSlots * slotBytes;
  const segmentsAt = wholeAt + WHOLE_BYTES;
  const end = segmentsAt + Limit.Batch * slotBytes;
  return {
    slotBytes,
    receiveSlots,
    transmitSlots,
    receiveAt: at,
    transmitAt,
    wholeAt,
    segmentsAt,
    ringBytes: wholeAt - at,
    bytes: Math.ceil((end - at) / BLOCK_BYTES) * BLOCK_BYTES,
  };
}

/** Frames beyond what the datapath accepts need no slot: they come the long way round (staging.ts). */
function slotBytesFor(mtu: number): number {
  const needed = RECEIVE_OFFSET + Math.min(mtu + LINK_BYTES_MAX, Limit.FrameBytes);
  let bytes = SLOT_BYTES_MIN;
  while (bytes < needed) bytes *= 2;
  return bytes;
}

/** struct tpacket_req */
export function ringRequest(slotBytes: number, slots: number): Uint32Array {
  return new Uint32Array([BLOCK_BYTES, (slots * slotBytes) / BLOCK_BYTES, slotBytes, slots]);
}

/**
 * Maps rings of the socket over the first `bytes` of the range.
 * @param from  where they begin for mmap(2)
 */
export function mapRings(
  who: string,
  memory: WebAssembly.Memory,
  at: number,
  bytes: number,
  fd: number,
  from = 0,
) {
  const flags = MapFlag.Shared | MapFlag.Fixed;
  map(who, "mmap of the rings", memory, at, bytes, flags, fd, from);
}

/**
 * Gives the range back to the linear memory: zeroed and writable, as it was made.
 * @throws StillMapped
 */
export function unmapRings(who: string, memory: WebAssembly.Memory, at: number, bytes: number) {
  const flags = MapFlag.Private | MapFlag.Fixed | MapFlag.Anonymous;
  try {
    map(who, "mmap of plain memory", memory, at, bytes, flags, -1, 0);
  } catch (error) {
    throw new StillMapped(messageOf(error));
  }
}

function map(
  who: string,
  call: string,
  memory: WebAssembly.Memory,
  at: number,
  bytes: number,
  flags: number,
  fd: number,
  from: number,
): void {
  // MAP_FIXED replaces whatever is there: outside of the linear memory that is somebody else's.
  if (at % BLOCK_BYTES !== 0 || at + bytes > memory.buffer.byteLength) {
    throw new RangeError(
      `${who}: window ${at} + ${bytes} is not a page-aligned part of the memory`,
    );
  }
  const address = addressOf(memory) + at;
  check(
    libc().mmap(address, bytes, Protection.Read | Protection.Write, flags, fd, from),
    who,
    call,
  );
}

/** The slots of one ring, used in order; `next` is the address of the one whose turn it is. */
class Ring {
  protected readonly words: Int32Array;
  private readonly end: number;
  protected next: number;

  constructor(
    buffer: ArrayBufferLike,
    protected readonly at: number,
    protected readonly slots: number,
    protected readonly slotBytes: number,
  ) {
    this.words = new Int32Array(buffer);
    this.end = at + slots * slotBytes;
    this.next = at;
  }

  protected after(slot: number): number {
    const next = slot + this.slotBytes;
    return next === this.end ? this.at : next;
  }

  protected before(slot: number): number {
    return (slot === this.at ? this.end : slot) - this.slotBytes;
  }

  protected status(slot: number): number {
    return Atomics.load(this.words, slot >>> 2);
  }

  protected publish(slot: number, status: number): void {
    Atomics.store(this.words, slot >>> 2, status);
  }
}

export class ReceiveRing extends Ring {
  private lent = 0;

  /** The oldest slot that has arrived and is not lent, NO_SLOT for none. */
  peek(): number {
    if (this.lent === this.slots) return NO_SLOT;
    return (this.status(this.next) & ReceiveStatus.User) !== 0 ? this.next : NO_SLOT;
  }

  /** The slot of the last `peek` is lent, or done with. */
  take(): void {
    this.lent++;
    this.next = this.after(this.next);
  }

  /** Everything lent goes back to the kernel, oldest first. */
  giveBack(): void {
    let slot = this.next;
    for (let i = 0; i < this.lent; i++) slot = this.before(slot);
    for (; this.lent > 0; this.lent--) {
      this.publish(slot, ReceiveStatus.Kernel);
      slot = this.after(slot);
    }
  }
}

export class TransmitRing extends Ring {
  private readonly bytes: Uint8Array;
  private readonly halves: Uint16Array;
  /** Of a frame that fits into a slot. */
  readonly frameBytesMax: number;

  constructor(buffer: ArrayBufferLike, at: number, slots: number, slotBytes: number) {
    super(buffer, at, slots, slotBytes);
    this.bytes = new Uint8Array(buffer);
    this.halves = new Uint16Array(buffer);
    this.frameBytesMax = slotBytes - TRANSMIT_OFFSET;
  }

  /** False when the ring is full. */
  put(frame: number, size: number): boolean {
    const slot = this.next;
    if (this.status(slot) !== TransmitStatus.Available) return false;
    this.words[(slot + SlotAt.Size) >>> 2] = VnetAt.Bytes + size;
    // "All of it is header": the kernel copies the frame at once instead of pinning the ring's pages, which
    // costs it less up to a page, and a second copy wherever the frame stays in this machine (veth).
    this.halves[(slot + SlotAt.Transmit + VnetAt.HeaderBytes) >>> 1] = size;
    this.bytes.copyWithin(slot + TRANSMIT_OFFSET, frame, frame + size);
    this.publish(slot, TransmitStatus.SendRequest);
    this.next = this.after(slot);
    return true;
  }

  /** Whether the kernel has not yet seen all that was put. */
  waiting(): boolean {
    return this.status(this.before(this.next)) === TransmitStatus.SendRequest;
  }

  /**
   * Makes the kernel pass over the frame that it looks at next: one longer than a slot, with PACKET_LOSS set.
   * Only while `waiting`.
   * @param before  what the last call of the same flush returned, else NO_SLOT: the search goes on there
   */
  spoilHead(before: number): number {
    const head = before === NO_SLOT ? this.head() : this.headFrom(before);
    this.words[(head + SlotAt.Size) >>> 2] = this.slotBytes;
    return head;
  }

  private head(): number {
    let slot = this.before(this.next);
    for (let i = 1; i < this.slots; i++) {
      const before = this.before(slot);
      if (this.status(before) !== TransmitStatus.SendRequest) break;
      slot = before;
    }
    return slot;
  }

  private headFrom(slot: number): number {
    while (this.status(slot) !== TransmitStatus.SendRequest) slot = this.after(slot);
    return slot;
  }

  /** Gives up what the kernel has not seen; returns how many frames. */
  takeBack(): number {
    let frames = 0;
    while (frames < this.slots && this.waiting()) {
      this.next = this.before(this.next);
      this.publish(this.next, TransmitStatus.Available);
      frames++;
    }
    return frames;
  }
}
