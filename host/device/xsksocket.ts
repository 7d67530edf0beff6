/**
 * One AF_XDP socket: a receive queue of an interface, and a way out of it. Its four rings are mapped over a part of
 * the interface's window, its frames are chunks of the UMEM (umem.ts).
 *
 *     fill        chunks that we give for frames to come    → receive     → lent to the datapath
 *     transmit    chunks with frames that leave             → completion  → free again
 */
import { DescriptorFlag } from "../../assembly/abi.js";
import { type InputBatch, PAGE_BYTES } from "./device.js";
import { check, Errno, errno, libc } from "./libc.js";
import { EtherType, Socket } from "./packet.js";
import { mapRings, unmapRings } from "./ring.js";
import { raiseBuffer, SEND_BUFFER_BYTES } from "./socket.js";
import type { Umem } from "./umem.js";
import {
  AddressAt,
  BindFlag,
  DescriptorBytes,
  FAMILY_XDP,
  LEVEL_XDP,
  OffsetsAt,
  PageOffset,
  RingOffsetAt,
  XskOption,
  XskStatisticsAt,
} from "./xsk.js";
import { ConsumerRing, ProducerRing, type RingPlace } from "./xskring.js";

/** In front of a ring's descriptors: its counts, each on a cache line of its own. */
const RING_HEADER_BYTES = 4096;

/** Frames that one call sends in copy mode, where the kernel lets us say so. */
const TRANSMIT_BUDGET = 256;

/** The word in front of a received frame, where the XDP program writes a tag that travelled beside it. */
const TAG_BYTES = 4;

/** Bytes of a window for one socket's rings. */
export function xskWindowBytes(slots: number): number {
  return 4 * ringBytes(slots);
}

function ringBytes(slots: number): number {
  return Math.ceil((RING_HEADER_BYTES + slots * DescriptorBytes.Frame) / PAGE_BYTES) * PAGE_BYTES;
}

export interface XskOptions {
  readonly who: string;
  readonly interfaceIndex: number;
  readonly queue: number;
  readonly umem: Umem;
  /** Where its rings are mapped: xskWindowBytes(slots). */
  readonly at: number;
  /** Of each ring, a power of two. */
  readonly slots: number;
  /** Chunks that wait for frames to come. */
  readonly filled: number;
}

export class XskSocket {
  readonly fd: number;
  private readonly fill: ProducerRing;
  private readonly completion: ConsumerRing;
  private readonly received: ConsumerRing;
  private readonly transmit: ProducerRing;
  private readonly words: Int32Array;
  /** Its number as an owner of chunks. */
  private readonly owner: number;
  /** Chunks in the fill and receive rings. */
  private awaiting = 0;
  /** Chunks in the transmit and completion rings, and on their way between them. */
  private leaving = 0;
  private queued = false;
  private refuses = false;

  /** @throws SystemError when the kernel, or its driver, has no AF_XDP; then nothing stays open */
  constructor(private readonly options: XskOptions) {
    const { who, umem } = options;
    this.words = new Int32Array(umem.memory.buffer);
    const type = Socket.Raw | Socket.CloseOnExec;
    this.fd = check(libc().socket(FAMILY_XDP, type, 0), who, "socket(AF_XDP)");
    try {
      if (umem.member === undefined) umem.register(this.fd, who);
      this.setRings();
      [this.received, this.transmit, this.fill, this.completion] = this.placeRings();
      this.bind();
    } catch (error) {
      this.unmap();
      throw error;
    }
    this.owner = umem.join(this.fd);
    this.refill();
  }

  /** Whether the interface has refused to send: it is down, or gone. What waited is counted as dropped. */
  get isDown(): boolean {
    return this.refuses;
  }

  /** Lends what has arrived, up to the batch's room. */
  receive(batch: InputBatch): void {
    const { umem } = this.options;
    const { received } = this;
    let frames = 0;
    while (batch.room > 0 && received.available() > 0) {
      const frame = umem.lend(received.address);
      const size = received.length;
      received.take();
      frames++;
      const tag = this.words[(frame - TAG_BYTES) >>> 2] ?? 0;
      if (tag === 0) batch.push(frame, size, 0, DescriptorFlag.ChecksumUnsure);
      else batch.push(frame, size, tag >>> 16, flagsOf(tag));
    }
    if (frames === 0) return;
    received.release();
    this.awaiting -= frames;
  }

  /** Puts a frame into the transmit ring; false when there is no place for it. */
  send(frame: number, size: number): boolean {
    const { umem, slots } = this.options;
    if (this.refuses || this.leaving === slots || this.transmit.room(1) === 0) return false;
    const address = umem.adopt(frame, size, this.owner);
    if (address === undefined) return false;
    this.transmit.put(address, size);
    this.leaving++;
    this.queued = true;
    return true;
  }

  /** Whether the kernel has not taken all that was put. */
  get hasUnsent(): boolean {
    return this.queued;
  }

  /** Makes the kernel send what was put. Returns how many frames it refused. */
  flush(): number {
    if (!this.queued) return 0;
    this.transmit.publish();
    let refused = 0;
    let waiting = this.transmit.waiting();
    // Each call takes a frame at least, or is the last.
    while (waiting > 0) {
      if (libc().sendto(this.fd, null, 0, Socket.DontWait, null, 0) < 0) {
        const error = errno();
        // Dropped by the interface's queue, and done with.
        if (error === Errno.Busy) refused++;
        else if (error === Errno.Nobufs) break;
        else if (error !== Errno.Again && error !== Errno.Intr) {
          this.refuses = true;
          this.queued = false;
          return refused + waiting;
        }
      }
      const left = this.transmit.waiting();
      if (left === waiting) break;
      waiting = left;
    }
    this.queued = waiting > 0;
    this.reap();
    return refused;
  }

  /** Takes back what was sent, and gives chunks for frames to come. */
  refill(): void {
    const { umem, filled } = this.options;
    this.reap();
    const wanted = Math.min(filled - this.awaiting, this.fill.room(filled - this.awaiting));
    let given = 0;
    for (; given < wanted; given++) {
      const address = umem.take(this.owner);
      if (address === undefined) break;
      this.fill.put(address);
    }
    if (given === 0) return;
    this.fill.publish();
    this.awaiting += given;
  }

  /** Frames that the kernel could not put anywhere, since the socket was opened. */
  get missed(): number {
    const statistics = new BigUint64Array(XskStatisticsAt.Bytes / 8);
    const bytes = new Uint32Array([XskStatisticsAt.Bytes]);
    const option = XskOption.Statistics;
    if (libc().getsockopt(this.fd, LEVEL_XDP, option, statistics, bytes) < 0) return 0;
    const of = (at: XskStatisticsAt) => Number(statistics[at / 8] ?? 0n);
    return of(XskStatisticsAt.ReceiveDropped) + of(XskStatisticsAt.ReceiveRingFull);
  }

  /** Frames that have arrived and nobody has taken. */
  get unread(): number {
    return this.received.available();
  }

  /** Frames that were put and that the kernel has not taken; 0 where it refused them, and they were counted. */
  get unsent(): number {
    return this.refuses ? 0 : this.transmit.waiting();
  }

  /** @throws StillMapped when its part of the window could not be freed; everything else is closed */
  close(): void {
    try {
      this.unmap();
    } finally {
      this.options.umem.leave(this.owner, performance.now());
    }
  }

  private reap(): void {
    const { completion } = this;
    const { umem } = this.options;
    let sent = 0;
    for (; completion.available() > 0; sent++) {
      umem.give(completion.address);
      completion.take();
    }
    if (sent === 0) return;
    completion.release();
    this.leaving -= sent;
  }

  private setRings(): void {
    const { who, slots } = this.options;
    const value = new Uint32Array([slots]);
    for (const option of [
      XskOption.FillRing,
      XskOption.CompletionRing,
      XskOption.ReceiveRing,
      XskOption.TransmitRing,
    ]) {
      const result = libc().setsockopt(this.fd, LEVEL_XDP, option, value, 4);
      check(result, who, `setsockopt(${XskOption[option]})`);
    }
    raiseBuffer(this.fd, who, Socket.SendBufferForce, SEND_BUFFER_BYTES, "SO_SNDBUFFORCE");
    // Older kernels take 32 at a time, and know no other number.
    const budget = new Uint32Array([Math.min(TRANSMIT_BUDGET, slots)]);
    libc().setsockopt(this.fd, LEVEL_XDP, XskOption.TransmitBudget, budget, 4);
  }

  private placeRings(): [ConsumerRing, ProducerRing, ProducerRing, ConsumerRing] {
    const { who, umem } = this.options;
    const offsets = new BigUint64Array(OffsetsAt.Bytes / 8);
    const bytes = new Uint32Array([OffsetsAt.Bytes]);
    const result = libc().getsockopt(this.fd, LEVEL_XDP, XskOption.MmapOffsets, offsets, bytes);
    check(result, who, "getsockopt(XDP_MMAP_OFFSETS)");
    const { buffer } = umem.memory;
    const { Frame, Address } = DescriptorBytes;
    const place = (nth: number, from: PageOffset, at: OffsetsAt, each: DescriptorBytes) =>
      this.placeRing(nth, from, offsets.subarray(at / 8), each);
    return [
      new ConsumerRing(buffer, place(0, PageOffset.Receive, OffsetsAt.Receive, Frame)),
      new ProducerRing(buffer, place(1, PageOffset.Transmit, OffsetsAt.Transmit, Frame)),
      new ProducerRing(buffer, place(2, PageOffset.Fill, OffsetsAt.Fill, Address)),
      new ConsumerRing(buffer, place(3, PageOffset.Completion, OffsetsAt.Completion, Address)),
    ];
  }

  private placeRing(
    nth: number,
    from: PageOffset,
    offsets: BigUint64Array,
    descriptorBytes: DescriptorBytes,
  ): RingPlace {
    const { who, umem, slots } = this.options;
    const at = this.options.at + nth * ringBytes(slots);
    const of = (offset: RingOffsetAt) => Number(offsets[offset / 8] ?? 0n);
    const descriptors = of(RingOffsetAt.Descriptors);
    mapRings(who, umem.memory, at, descriptors + slots * descriptorBytes, this.fd, from);
    return {
      producer: at + of(RingOffsetAt.Producer),
      consumer: at + of(RingOffsetAt.Consumer),
      descriptors: at + descriptors,
      size: slots,
      descriptorBytes,
    };
  }

  /** Flags are the first socket's to choose: the others have what it got. */
  private bind(): void {
    const { who, umem, interfaceIndex, queue } = this.options;
    const address = new DataView(new ArrayBuffer(AddressAt.Bytes));
    const member = umem.member;
    const flags = member === undefined ? BindFlag.Copy | BindFlag.NeedWakeup : BindFlag.SharedUmem;
    address.setUint16(AddressAt.Family, FAMILY_XDP, true);
    address.setUint16(AddressAt.Flags, flags, true);
    address.setUint32(AddressAt.Interface, interfaceIndex, true);
    address.setUint32(AddressAt.Queue, queue, true);
    address.setUint32(AddressAt.SharedFd, member ?? 0, true);
    check(libc().bind(this.fd, address, AddressAt.Bytes), who, "bind(AF_XDP)");
  }

  private unmap(): void {
    const { who, umem, at, slots } = this.options;
    try {
      unmapRings(who, umem.memory, at, xskWindowBytes(slots));
    } finally {
      libc().close(this.fd);
    }
  }
}

/** Of the word that the XDP program wrote: the tag's EtherType in network order, its control information above. */
function flagsOf(tag: number): number {
  const type = ((tag & 0xff) << 8) | ((tag >>> 8) & 0xff);
  const service = type === EtherType.ServiceVlan ? DescriptorFlag.ServiceTag : 0;
  return DescriptorFlag.ChecksumUnsure | DescriptorFlag.VlanBeside | service;
}
