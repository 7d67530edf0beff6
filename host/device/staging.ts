/**
 * Frames whose sender left work to a network card, or that no slot holds: made whole in plain memory.
 *
 * A sender on this machine (another namespace, a container) hands its TCP segments over uncut and without
 * checksums: 64 KiB frames with partial checksums, described by a virtio_net_hdr (linux/virtio_net.h).
 * They are cut and completed here, because a router forwards what a cable would have carried.
 *
 * What comes out stands here until it has been lent and `clear`ed. A frame whose pieces do not all fit into
 * one turn is lent over several; meanwhile its slot stays with us, so that poll(2) goes on calling.
 */
import { Limit } from "../../assembly/abi.js";
import type { InputBatch, Offload } from "./device.js";
import { addressOf, libc } from "./libc.js";
import { Socket, VnetAt, VnetFlag, VnetGso } from "./packet.js";
import { type Layout, WHOLE_FRAME_BYTES } from "./ring.js";

export enum Outcome {
  /** All of it is lent. */
  Lent,
  /** The turn has no room for it, or for the rest of it: `resume`, or `lend` again, in the next one. */
  Wait,
  /** Truncated, or with an offload that cannot be undone. */
  Refused,
}

/** Where the fetched frame begins in its place: on a word, with the headroom in front. */
const WHOLE_OFFSET = 64;

export class Staging {
  private readonly view: DataView;
  private readonly address: number;
  /** Pieces that stand here, and how many of them are lent already. */
  private made = 0;
  private lent = 0;
  /** Of the frame that they are cut from. */
  private vlanTci = 0;
  private vlanFlags = 0;
  private wholeLent = false;

  constructor(
    memory: WebAssembly.Memory,
    private readonly layout: Layout,
    private readonly offload: Offload,
  ) {
    this.view = new DataView(memory.buffer);
    this.address = addressOf(memory);
  }

  /** A frame's pieces are not all lent: it must be finished before any other. */
  get unfinished(): boolean {
    return this.lent < this.made;
  }

  /** What was lent may be overwritten. */
  clear(): void {
    this.wholeLent = false;
    if (!this.unfinished) this.discard();
  }

  /** Forgets the unfinished frame, too. */
  discard(): void {
    this.made = 0;
    this.lent = 0;
  }

  /**
   * @param fd  the socket in whose receive queue the whole frame waits, -1 when the slot holds all of it
   * @param frame  the frame in its slot, the virtio_net_hdr in front of it
   */
  lend(
    fd: number,
    frame: number,
    size: number,
    vlanTci: number,
    vlanFlags: number,
    batch: InputBatch,
  ): Outcome {
    const header = frame - VnetAt.Bytes;
    const gso = this.view.getUint8(header + VnetAt.Gso) & ~VnetGso.Ecn;
    if (this.made > 0 && this.piecesOf(header, gso, size) > Limit.Batch - this.made) {
      return Outcome.Wait;
    }
    if (fd >= 0) {
      if (this.wholeLent) return Outcome.Wait;
      if (!this.fetch(fd, size)) return Outcome.Refused;
      frame = this.layout.wholeAt + WHOLE_OFFSET;
    }
    if (gso !== VnetGso.None) {
      if (!this.cut(frame, size, gso)) return Outcome.Refused;
      this.vlanTci = vlanTci;
      this.vlanFlags = vlanFlags;
      return this.resume(batch);
    }
    if (!this.complete(frame, size)) return Outcome.Refused;
    this.wholeLent ||= fd >= 0;
    batch.push(frame, size, vlanTci, vlanFlags);
    return Outcome.Lent;
  }

  /** Lends as many of the pieces as the turn has room for. */
  resume(batch: InputBatch): Outcome {
    for (; this.unfinished && batch.room > 0; this.lent++) {
      const at = this.place(this.lent);
      const size = this.view.getUint32(at, true);
      batch.push(at + Limit.Headroom, size, this.vlanTci, this.vlanFlags);
    }
    return this.unfinished ? Outcome.Wait : Outcome.Lent;
  }

  private place(piece: number): number {
    return this.layout.segmentsAt + piece * this.layout.slotBytes;
  }

  /** An upper bound that is little too high: the payload begins behind the start of the checksum. */
  private piecesOf(header: number, gso: number, size: number): number {
    const segmentBytes = this.view.getUint16(header + VnetAt.SegmentBytes, true);
    if (gso === VnetGso.None || segmentBytes === 0) return 0;
    const start = this.view.getUint16(header + VnetAt.ChecksumStart, true);
    return Math.ceil((size - start) / segmentBytes);
  }

  /** Takes the whole frame, its virtio_net_hdr in front, out of the receive queue. */
  private fetch(fd: number, size: number): boolean {
    const at = this.address + this.layout.wholeAt + WHOLE_OFFSET - VnetAt.Bytes;
    const bytes = VnetAt.Bytes + WHOLE_FRAME_BYTES;
    const flags = Socket.DontWait | Socket.Truncated;
    let received = libc().recv(fd, at, bytes, flags);
    // The first call may deliver an error that the socket has kept (the interface went down) instead.
    if (received < 0) received = libc().recv(fd, at, bytes, flags);
    return received === VnetAt.Bytes + size && received <= bytes;
  }

  private complete(frame: number, size: number): boolean {
    const header = frame - VnetAt.Bytes;
    if ((this.view.getUint8(header + VnetAt.Flags) & VnetFlag.NeedsChecksum) === 0) return true;
    const start = this.view.getUint16(header + VnetAt.ChecksumStart, true);
    const offset = this.view.getUint16(header + VnetAt.ChecksumOffset, true);
    return this.offload.completeChecksum(frame, size, start, offset);
  }

  private cut(frame: number, size: number, gso: number): boolean {
    const segmentBytes = this.view.getUint16(frame - VnetAt.Bytes + VnetAt.SegmentBytes, true);
    if ((gso !== VnetGso.Tcp4 && gso !== VnetGso.Udp) || segmentBytes === 0) return false;
    const { slotBytes } = this.layout;
    const into = this.place(this.made);
    const room = Limit.Batch - this.made;
    const made = this.offload.segment(frame, size, segmentBytes, into, slotBytes, room);
    this.made += made;
    return made > 0;
  }
}
