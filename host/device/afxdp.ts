/**
 * Driver `afxdp`: AF_XDP sockets for what is addressed to us, a packet socket for everything else; Documentation/
 * networking/af_xdp.rst of the kernel.
 *
 * Theory of operation. An XDP program (xdp.ts) sorts frames where they enter the interface: those for our MACs go to
 * a socket per receive queue (xsksocket.ts), whose frames stand in a part of the linear memory that all
 * interfaces of this driver share (umem.ts). The datapath rewrites them there, and they leave by another
 * interface's socket without having been copied. What the program passes on (broadcast ARP, frames longer than a
 * chunk, merged ones, queues without a socket) comes by driver `afpacket`, which this one has inside: nothing is
 * lost by being unusual, it is only slower. A bpf link holds the program: it goes when the process goes.
 *
 * Which way in: the driver's own XDP where it has one, else the kernel's generic one. Where a VLAN tag may travel
 * beside a frame (a virtual cable), the program must be able to ask for it; a card has its tag offload switched
 * off instead, and on again when the interface is closed.
 *
 * States are those of `afpacket`; while an interface is switched off or lost it has no AF_XDP sockets.
 *
 * Not supported: frames in several buffers, more than 64 MACs. Such an interface works as `afpacket`, with a notice.
 */
import { afpacketWindowBytes, openAfpacket } from "./afpacket.js";
import { kernelFunction } from "./bpf/btf.js";
import {
  AttachType,
  createLink,
  createMap,
  loadProgram,
  MapType,
  ProgramType,
  updateMap,
  XdpMode,
} from "./bpf/system.js";
import type { InputBatch, Interface, LinkCounters, LinkEvent, Offload, Window } from "./device.js";
import { libc } from "./libc.js";
import { Link } from "./link.js";
import { chunksOf, type Umem } from "./umem.js";
import { buildXdpProgram, XDP_MACS_MAX } from "./xdp.js";
import { XskSocket, xskWindowBytes } from "./xsksocket.js";

export interface AfxdpSize {
  /** The interface's name. */
  readonly name: string;
  /** Of each ring of a socket: a power of two. */
  readonly slots: number;
}

export interface AfxdpOptions extends AfxdpSize {
  readonly macs: readonly Uint8Array[];
  /** At least afxdpWindowBytes long. */
  readonly window: Window;
  readonly umem: Umem;
  readonly offload: Offload;
  readonly onNotice?: (text: string) => void;
}

/** Receive queues that get a socket each; frames of further ones come by the packet socket. */
const QUEUES_MAX = 4;

/** Slots of the packet socket's rings. */
const SLOW_SLOTS_MAX = 256;

/** What a driver of a tunnel device calls itself: its frames come from a process, tags inside. */
const TUN_DRIVER = "tun";

/** Why an interface cannot be had by AF_XDP. */
class Unfit extends Error {}

/** Bytes of a window for this interface, which must exist. */
export function afxdpWindowBytes({ name, slots }: AfxdpSize): number {
  return slowBytes(name, slots) + QUEUES_MAX * xskWindowBytes(slots);
}

function slowBytes(name: string, slots: number): number {
  return afpacketWindowBytes(slowSize(name, slots));
}

/** Of the packet socket, which has little to carry. */
function slowSize(name: string, slots: number) {
  const fewer = Math.min(slots, SLOW_SLOTS_MAX);
  return { name, receiveSlots: fewer, transmitSlots: fewer };
}

/** Opens the interface: as `afpacket` alone, with a notice that says why, where AF_XDP does not work. */
export function openAfxdp(options: AfxdpOptions): Interface {
  return new Afxdp(options);
}

/** How the interface's frames come to the sockets. */
interface Attached {
  readonly link: number;
  readonly mode: XdpMode;
  readonly hasTags: boolean;
}

class Afxdp implements Interface {
  readonly name: string;
  fds: readonly number[] = [];

  private readonly who: string;
  private readonly slow: Interface;
  private readonly link: Link;
  /** Where the sockets' rings are mapped. */
  private readonly ringsAt: number;
  private sockets: readonly XskSocket[] = [];
  private attachedLink = -1;
  private hasSwitchedTagsOff = false;
  private hasClaim = false;
  /** Whether the packet socket is asked first: in turns, so that neither starves. */
  private slowFirst = false;
  /** Of sockets that are closed, and of frames that found no place. */
  private missedBefore = 0;
  private dropped = 0;
  private missedNow = 0;
  /** AF_XDP was found not to work on this interface, until another one comes under its name. */
  private isUnfit = false;
  private lastNotice = "";

  constructor(private readonly options: AfxdpOptions) {
    const { name, slots, window, macs, offload } = options;
    this.name = name;
    this.who = `afxdp ${name}`;
    const needed = afxdpWindowBytes(options);
    if (window.bytes < needed) {
      throw new RangeError(`${this.who}: window of ${window.bytes}, needs ${needed}`);
    }
    const bytes = slowBytes(name, slots);
    this.ringsAt = window.at + bytes;
    this.link = new Link("afxdp", name);
    try {
      this.slow = openAfpacket({
        ...slowSize(name, slots),
        macs,
        window: { ...window, bytes },
        offload,
        onNotice: (text) => this.options.onNotice?.(text),
      });
    } catch (error) {
      this.link.close();
      throw error;
    }
    this.start();
  }

  get counters(): Readonly<LinkCounters> {
    const { rxMissed, rxRefused, txDropped } = this.slow.counters;
    return {
      rxMissed: rxMissed + this.missedBefore + this.missedNow,
      rxRefused,
      txDropped: txDropped + this.dropped,
    };
  }

  receive(batch: InputBatch): void {
    this.slowFirst = !this.slowFirst;
    if (this.slowFirst) this.slow.receive(batch);
    for (const socket of this.sockets) socket.receive(batch);
    if (!this.slowFirst) this.slow.receive(batch);
  }

  send(frame: number, size: number): void {
    const socket = this.sockets[0];
    if (socket === undefined || size > this.options.umem.frameBytesMax) {
      this.slow.send(frame, size);
      return;
    }
    if (socket.send(frame, size)) return;
    this.dropped += socket.flush();
    if (!socket.send(frame, size)) this.dropped++;
  }

  flush(): void {
    for (const socket of this.sockets) this.dropped += socket.flush();
    this.slow.flush();
  }

  release(): void {
    this.options.umem.release();
    for (const socket of this.sockets) socket.refill();
    this.slow.release();
  }

  check(): LinkEvent | undefined {
    const event = this.slow.check();
    const isUp = this.link.isUp();
    if (event === "lost" || !isUp || this.sockets.some(({ isDown }) => isDown)) this.stop();
    if (event === "returned") this.isUnfit = false;
    if (isUp && this.sockets.length === 0 && !this.isUnfit) this.start();
    this.flush();
    for (const socket of this.sockets) socket.refill();
    this.missedNow = this.sockets.reduce((sum, { missed }) => sum + missed, 0);
    this.fds = this.allFds();
    return event;
  }

  close(): void {
    try {
      this.stop();
    } finally {
      try {
        this.slow.close();
      } finally {
        this.link.close();
      }
    }
  }

  /** Opens the sockets and sends frames to them, or says why it cannot; not while it is switched off. */
  private start(): void {
    try {
      this.open();
    } catch (error) {
      this.stop();
      this.isUnfit = true;
      const why = error instanceof Error ? error.message : String(error);
      this.notice(`${why}; works as afpacket`);
    }
    this.fds = this.allFds();
  }

  private open(): void {
    const { macs, umem, slots } = this.options;
    if (macs.length > XDP_MACS_MAX) {
      throw new Unfit(`${this.who}: more than ${XDP_MACS_MAX} MACs`);
    }
    const interfaceIndex = this.link.index();
    if (interfaceIndex === 0 || !this.link.isUp()) return;
    this.claim();
    const queues = Math.min(this.link.receiveQueues(), QUEUES_MAX);
    const map = createMap(this.who, MapType.XskMap, 4, 4, queues);
    try {
      const { link, mode, hasTags } = this.attach(map, interfaceIndex);
      this.attachedLink = link;
      const sockets: XskSocket[] = [];
      this.sockets = sockets;
      for (let queue = 0; queue < queues; queue++) {
        const at = this.ringsAt + queue * xskWindowBytes(slots);
        const filled = Math.floor(slots / queues);
        const { who } = this;
        sockets.push(
          new XskSocket({ who, interfaceIndex, queue, umem, at, slots, filled, hasTags }),
        );
      }
      for (const [queue, { fd }] of sockets.entries()) {
        updateMap(this.who, map, new Uint32Array([queue]), new Uint32Array([fd]));
      }
      const copies = sockets[0]?.isZeroCopy === true ? "without a copy" : "in copy mode";
      const by = mode === XdpMode.Native ? "the driver's own XDP" : "generic XDP";
      this.notice(`by ${by}, ${copies}`);
    } finally {
      libc().close(map);
    }
  }

  private claim(): void {
    const { umem, slots } = this.options;
    this.hasClaim = umem.claim(chunksOf(slots));
    if (!this.hasClaim) {
      throw new Unfit(
        `${this.who}: no frames are left of those set aside at the start; a restart sets aside what is needed`,
      );
    }
  }

  /** Finds a way in on which no tag is lost. */
  private attach(map: number, index: number): Attached {
    if (this.link.busInfo() !== "") {
      if (!this.switchTagsOff()) {
        throw new Unfit(`${this.who}: its VLAN receive offload cannot be switched off`);
      }
      return this.attachPlain(map, index);
    }
    if (this.link.driver() === TUN_DRIVER) return this.attachPlain(map, index);
    const tagFunction = kernelFunction("bpf_xdp_metadata_rx_vlan_tag");
    if (tagFunction === 0) {
      throw new Unfit(`${this.who}: VLAN tags beside its frames cannot be seen before Linux 6.8`);
    }
    const mode = XdpMode.Native;
    const link = this.attachProgram(map, index, mode, tagFunction);
    return { link, mode, hasTags: true };
  }

  /** Tags stand inside the frames. */
  private attachPlain(map: number, index: number): Attached {
    try {
      const mode = XdpMode.Native;
      return { link: this.attachProgram(map, index, mode, 0), mode, hasTags: false };
    } catch {
      const mode = XdpMode.Generic;
      return { link: this.attachProgram(map, index, mode, 0), mode, hasTags: false };
    }
  }

  private attachProgram(map: number, index: number, mode: XdpMode, tagFunction: number): number {
    const { macs, umem } = this.options;
    const code = buildXdpProgram({
      macs,
      frameBytesMax: umem.frameBytesMax,
      sockets: map,
      tagFunction,
    });
    const program = loadProgram(this.who, ProgramType.Xdp, code, {
      name: "crosszone",
      attachType: AttachType.Xdp,
      boundTo: tagFunction === 0 ? 0 : index,
    });
    try {
      return createLink(this.who, program, index, AttachType.Xdp, mode);
    } finally {
      libc().close(program);
    }
  }

  /** False when the card goes on taking tags off. */
  private switchTagsOff(): boolean {
    if (!this.link.takesTagsOff()) return true;
    if (!this.link.setTakesTagsOff(false)) return false;
    this.hasSwitchedTagsOff = true;
    return true;
  }

  /** Gives program, sockets and offload back. */
  private stop(): void {
    if (this.attachedLink >= 0) libc().close(this.attachedLink);
    this.attachedLink = -1;
    const { sockets } = this;
    this.sockets = [];
    this.missedBefore += this.missedNow;
    this.missedNow = 0;
    for (const socket of sockets) socket.close();
    if (this.hasClaim) this.options.umem.disclaim(chunksOf(this.options.slots));
    this.hasClaim = false;
    if (this.hasSwitchedTagsOff) this.link.setTakesTagsOff(true);
    this.hasSwitchedTagsOff = false;
  }

  private allFds(): readonly number[] {
    return [...this.slow.fds, ...this.sockets.map(({ fd }) => fd)];
  }

  /** The same text once, however often it is found. */
  private notice(text: string): void {
    if (text === this.lastNotice) return;
    this.lastNotice = text;
    this.options.onNotice?.(text.startsWith(this.who) ? text : `${this.who}: ${text}`);
  }
}
