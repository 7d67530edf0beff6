/**
 * Driver `afpacket`: one packet socket per interface, shared by its VLANs; packet(7), and
 * Documentation/networking/packet_mmap.rst of the kernel.
 *
 * Theory of operation. Both rings of the socket are mapped over a window of the linear memory (ring.ts), so
 * the datapath rewrites a frame where the kernel put it; one copy brings it into a transmit slot, and one
 * call hands over all of them. The kernel filters by destination MAC (filter.ts) and learns our MACs as
 * memberships of the socket: what it does for them (promiscuity of a card included) ends with the socket,
 * also when the process is killed. Offloads of the sender are undone (staging.ts).
 *
 * An interface may be in three states:
 *     open, up      everything
 *     open, down    nothing arrives; what is sent is dropped and counted. The kernel resumes by itself.
 *     lost          there is none of this name: no socket, no file descriptor, plain memory in the window;
 *                   `check` opens everything again, over the same window, when one appears.
 *
 * Where several workers have the interface, each has a socket of its own, and all are one fanout group (fanout.ts),
 * which they join in turn, also when an interface returns.
 *
 * An interface that is open is claimed (claim.ts), by the first of the workers for all of them.
 *
 * Other MACs than before need no other socket: `widen` lets in what is for either, `narrow` what is for the new ones.
 *
 * Not supported: interfaces other than Ethernet; receive timestamps.
 */

import { DescriptorFlag } from "../../assembly/abi.js";
import { messageOf } from "../errortext.js";
import { Claim } from "./claim.js";
import type { InputBatch, Interface, LinkCounters, LinkEvent, Offload, Window } from "./device.js";
import type { Member, Sharing } from "./fanout.js";
import { buildFilter, FILTER_MACS_MAX } from "./filter.js";
import { Errno, errno, libc } from "./libc.js";
import { Link } from "./link.js";
import { EtherType, ReceiveStatus, SlotAt, Socket, VnetAt, VnetFlag } from "./packet.js";
import {
  type Layout,
  layOut,
  mapRings,
  NO_SLOT,
  ReceiveRing,
  TransmitRing,
  unmapRings,
} from "./ring.js";
import {
  attachFilter,
  boundTo,
  consumeError,
  joinMacs,
  leaveMacs,
  openSocket,
  readDrops,
  startReceiving,
} from "./socket.js";
import { Outcome, Staging } from "./staging.js";

export interface AfpacketSize {
  /** The interface's name. */
  readonly name: string;
  /** Powers of two from 64 to 65536; 1024 by default. */
  readonly receiveSlots?: number;
  readonly transmitSlots?: number;
}

export interface AfpacketOptions extends AfpacketSize {
  /** The MACs whose frames are wanted; broadcast ARP comes always. */
  readonly macs: readonly Uint8Array[];
  /** At least afpacketWindowBytes long. */
  readonly window: Window;
  readonly offload: Offload;
  /** Its place among the packet sockets of other workers, where what comes in is shared with them. */
  readonly member?: Member | undefined;
  readonly onNotice?: (text: string) => void;
}

const SLOTS_DEFAULT = 1024;

/** The kernel may have kept an error for the socket, which ends every poll at once, when this many turns
 *  in a row have found nothing. */
const EMPTY_TURNS_MAX = 16;

/** Bytes of a window for this interface, which must exist: its MTU sets the size of the slots. */
export function afpacketWindowBytes(size: AfpacketSize): number {
  const link = new Link("afpacket", size.name);
  try {
    return layOutFor(link, size, 0).bytes;
  } finally {
    link.close();
  }
}

export function openAfpacket(options: AfpacketOptions): Interface {
  return new Afpacket(options);
}

function layOutFor(link: Link, size: AfpacketSize, at: number): Layout {
  const mtu = link.mtu();
  if (mtu === 0) throw new Error(`afpacket ${size.name}: no such interface`);
  const { receiveSlots = SLOTS_DEFAULT, transmitSlots = SLOTS_DEFAULT } = size;
  return layOut(at, mtu, receiveSlots, transmitSlots);
}

class Afpacket implements Interface {
  readonly name: string;
  readonly counters: LinkCounters = { rxMissed: 0, rxRefused: 0, txDropped: 0 };
  fds: readonly number[] = [];
  isAwaitingTurn = false;

  private readonly who: string;
  private readonly link: Link;
  /** Undefined where another worker has it. */
  private readonly claim: Claim | undefined;
  private readonly layout: Layout;
  private readonly words: Int32Array;
  private readonly halves: Uint16Array;
  private readonly staging: Staging;
  private received: ReceiveRing;
  private transmit: TransmitRing;
  private fd = -1;
  private index = 0;
  private up = true;
  private emptyTurns = 0;
  private queued = false;
  /** Frames are lent. */
  private holding = false;
  private lastWarning = "";
  /** The MACs whose frames are let in. */
  private macs: readonly Uint8Array[];

  constructor(private readonly options: AfpacketOptions) {
    const { name, window } = options;
    this.name = name;
    this.who = `afpacket ${name}`;
    this.link = new Link("afpacket", name);
    this.claim = options.member?.isFirst === false ? undefined : new Claim(this.who);
    this.macs = options.macs;
    try {
      this.layout = layOutFor(this.link, options, window.at);
      if (this.layout.bytes > window.bytes) {
        throw new RangeError(`${this.who}: window of ${window.bytes}, needs ${this.layout.bytes}`);
      }
      this.words = new Int32Array(window.memory.buffer);
      this.halves = new Uint16Array(window.memory.buffer);
      this.staging = new Staging(window.memory, this.layout, options.offload);
      [this.received, this.transmit] = this.makeRings();
      this.open(this.link.index());
    } catch (error) {
      this.link.close();
      throw error;
    }
    this.warnOfMany();
    if (this.link.mergesReceived()) {
      this.warn(`LRO merges what must be forwarded as it came: ethtool -K ${name} lro off`);
    }
  }

  receive(batch: InputBatch): void {
    const { room } = batch;
    let found = false;
    while (batch.room > 0 && this.fd >= 0) {
      const slot = this.received.peek();
      if (slot === NO_SLOT) break;
      found = true;
      if (!this.lend(slot, batch)) break;
      this.received.take();
    }
    if (batch.room < room) this.holding = true;
    // Nobody releases what was only refused, and its slots would end every poll at once.
    else if (found && !this.holding) this.received.giveBack();
    if (found) this.emptyTurns = 0;
    else if (this.fd >= 0 && ++this.emptyTurns === EMPTY_TURNS_MAX) this.calm();
  }

  send(frame: number, size: number): void {
    if (this.fd < 0 || size > this.transmit.frameBytesMax) {
      this.counters.txDropped++;
      return;
    }
    if (!this.transmit.put(frame, size)) {
      this.flush();
      if (this.fd < 0 || !this.transmit.put(frame, size)) {
        this.counters.txDropped++;
        return;
      }
    }
    this.queued = true;
  }

  get hasUnsent(): boolean {
    return this.queued;
  }

  /** One call for all queued frames, and one more for each that the interface refuses. */
  flush(): void {
    if (!this.queued) return;
    let spoiled = NO_SLOT;
    while (libc().sendto(this.fd, null, 0, Socket.DontWait, null, 0) < 0) {
      const error = errno();
      if (error === Errno.Again) break; // The socket's send buffer is full: the rest leaves with the next flush.
      if (error === Errno.Intr) continue;
      if (error !== Errno.Nobufs || !this.transmit.waiting()) {
        // Down or gone: whatever waits is stale when the interface comes back.
        this.counters.txDropped += this.transmit.takeBack();
        break;
      }
      // Dropped by the interface or its queue. The kernel would try it again and hold up all others.
      spoiled = this.transmit.spoilHead(spoiled);
      this.counters.txDropped++;
    }
    this.queued = this.transmit.waiting();
  }

  release(): void {
    if (this.fd >= 0) this.received.giveBack();
    this.holding = false;
    this.staging.clear();
  }

  check(): LinkEvent | undefined {
    const index = this.link.index();
    if (this.fd < 0) {
      const isTurn = this.options.member?.isNext(index) ?? true;
      this.isAwaitingTurn = index !== 0 && !isTurn;
      return index !== 0 && isTurn && this.reopen(index) ? "returned" : undefined;
    }
    if (index !== this.index || boundTo(this.fd) !== index) {
      this.shut();
      return "lost";
    }
    this.counters.rxMissed += readDrops(this.fd, this.who);
    this.flush();
    const up = this.link.operational();
    if (up === this.up) return undefined;
    this.up = up;
    if (!up) consumeError(this.fd);
    return up ? "up" : "down";
  }

  steer({ program }: Sharing): void {
    this.options.member?.steer(this.fd, this.who, program);
  }

  widen(macs: readonly Uint8Array[]): void {
    const before = this.macs;
    const added = without(macs, before);
    this.macs = [...before, ...added];
    if (this.fd < 0) return;
    try {
      attachFilter(this.fd, this.who, buildFilter(this.macs));
      this.join(added);
    } catch (error) {
      this.narrow(before);
      throw error;
    }
  }

  narrow(macs: readonly Uint8Array[]): void {
    const gone = without(this.macs, macs);
    this.macs = macs;
    if (this.fd < 0) return;
    try {
      attachFilter(this.fd, this.who, buildFilter(macs));
      leaveMacs(this.fd, this.index, gone);
    } catch (error) {
      this.warn(`receives for MACs that are no longer its own: ${messageOf(error)}`);
    }
    this.warnOfMany();
  }

  close(): void {
    try {
      this.shut();
    } finally {
      this.link.close();
    }
  }

  /** False when the frame must wait for the next turn. */
  private lend(slot: number, batch: InputBatch): boolean {
    if (this.staging.unfinished) return this.staging.resume(batch) === Outcome.Lent;
    const status = this.words[slot >>> 2] ?? 0;
    const size = this.words[(slot + SlotAt.Size) >>> 2] ?? 0;
    const frame = slot + (this.halves[(slot + SlotAt.Frame) >>> 1] ?? 0);
    let vlanTci = 0;
    let flags = 0;
    if ((status & ReceiveStatus.VlanValid) !== 0) {
      vlanTci = this.halves[(slot + SlotAt.VlanTci) >>> 1] ?? 0;
      flags = DescriptorFlag.VlanBeside;
      const protocol = this.halves[(slot + SlotAt.VlanProtocol) >>> 1];
      if ((status & ReceiveStatus.VlanProtocolValid) !== 0 && protocol === EtherType.ServiceVlan) {
        flags |= DescriptorFlag.ServiceTag;
      }
    }
    const captured = this.words[(slot + SlotAt.Captured) >>> 2];
    // Flags and GSO type in one: nothing left to do, or the sender's checksum was already found right.
    const offloads = this.halves[(frame - VnetAt.Bytes) >>> 1] ?? 0;
    if (captured === size && (offloads & ~VnetFlag.DataValid) === 0) {
      batch.push(frame, size, vlanTci, flags);
      return true;
    }
    const queue = (status & ReceiveStatus.Copy) !== 0 ? this.fd : -1;
    if (queue < 0 && captured !== size) {
      this.counters.rxRefused++;
      return true;
    }
    const outcome = this.staging.lend(queue, frame, size, vlanTci, flags, batch);
    if (outcome === Outcome.Refused) this.counters.rxRefused++;
    return outcome !== Outcome.Wait;
  }

  /** @throws SystemError when there is no such interface, or no permission; then nothing stays open */
  private open(index: number): void {
    const { memory } = this.options.window;
    const { receiveAt, ringBytes } = this.layout;
    const { member } = this.options;
    if (member?.isNext(index) === false)
      throw new Error(`${this.who}: changed while it was opened`);
    const options = { macs: this.macs, member };
    this.claim?.take(index);
    this.index = index;
    try {
      this.fd = openSocket(this.who, this.layout, options);
      mapRings(this.who, memory, receiveAt, ringBytes, this.fd);
      [this.received, this.transmit] = this.makeRings();
      startReceiving(this.fd, this.who, index, options);
      this.join(this.macs);
    } catch (error) {
      this.shut();
      // Also where there was no socket to shut yet.
      this.claim?.give();
      throw error;
    }
    member?.settle(index);
    this.up = true;
    this.fds = [this.fd];
  }

  private join(macs: readonly Uint8Array[]): void {
    if (joinMacs(this.fd, this.who, this.index, macs)) return;
    this.warn("does not take further MACs: receives promiscuously");
  }

  private reopen(index: number): boolean {
    try {
      this.open(index);
    } catch (error) {
      this.warn(`cannot be opened again: ${messageOf(error)}`);
      return false;
    }
    this.lastWarning = "";
    return true;
  }

  /** Gives socket and window back; every lent frame is gone. */
  private shut(): void {
    if (this.fd < 0) return;
    this.options.member?.leave();
    this.counters.txDropped += this.transmit.takeBack();
    this.queued = false;
    this.holding = false;
    this.staging.discard();
    const { receiveAt, ringBytes } = this.layout;
    try {
      unmapRings(this.who, this.options.window.memory, receiveAt, ringBytes);
    } finally {
      libc().close(this.fd);
      this.fd = -1;
      this.fds = [];
      this.claim?.give();
    }
  }

  private makeRings(): [ReceiveRing, TransmitRing] {
    const { receiveAt, receiveSlots, transmitAt, transmitSlots, slotBytes } = this.layout;
    const { buffer } = this.options.window.memory;
    return [
      new ReceiveRing(buffer, receiveAt, receiveSlots, slotBytes),
      new TransmitRing(buffer, transmitAt, transmitSlots, slotBytes),
    ];
  }

  private calm(): void {
    this.emptyTurns = 0;
    consumeError(this.fd);
  }

  private warnOfMany(): void {
    if (this.macs.length <= FILTER_MACS_MAX) return;
    this.warn(`more than ${FILTER_MACS_MAX} MACs: the kernel's filter lets all unicast frames in`);
  }

  /** The same text once, however often `check` finds it. */
  private warn(text: string): void {
    if (text === this.lastWarning) return;
    this.lastWarning = text;
    this.options.onNotice?.(`${this.who}: ${text}`);
  }
}

/** Those MACs that are not among the others. */
function without(macs: readonly Uint8Array[], others: readonly Uint8Array[]): Uint8Array[] {
  return macs.filter((mac) => !others.some((other) => Buffer.compare(mac, other) === 0));
}
