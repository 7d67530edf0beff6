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
 * A VLAN tag that travels beside its frame must not be lost: the frame would be another tenant's. So only drivers will
 * do that tell the program of it; of others nothing is believed.
 *
 * Of several workers each has some of the queues' sockets, with frames in its own memory; one of them, who has the first
 * queue, puts the program there, which finds all of them in one map. Who has none sends by its packet socket, and all
 * share what the program passes on.
 *
 * Other MACs mean another program, which takes the place of the first without a gap; until it does, frames for new ones
 * come by the packet socket.
 *
 * States are those of `afpacket`; while an interface is switched off or lost it has no AF_XDP sockets.
 *
 * Not supported: zero-copy, generic XDP, frames in several buffers, more than 64 MACs. Where AF_XDP does not work the
 * interface works as `afpacket`, with a notice.
 */
import { messageOf } from "../errortext.js";
import { afpacketWindowBytes, openAfpacket } from "./afpacket.js";
import { kernelFunction } from "./bpf/btf.js";
import {
  AttachType,
  createLink,
  createMap,
  loadProgram,
  MapType,
  ProgramType,
  updateLink,
  updateMap,
  XdpMode,
} from "./bpf/system.js";
import type { InputBatch, Interface, LinkCounters, LinkEvent, Offload, Window } from "./device.js";
import type { Member, Sharing } from "./fanout.js";
import { libc } from "./libc.js";
import { Link } from "./link.js";
import { chunksOf, type Umem } from "./umem.js";
import { buildXdpProgram, XDP_MACS_MAX } from "./xdp.js";
import { XskSocket, xskWindowBytes } from "./xsksocket.js";

export interface AfxdpSize {
  /** The interface's name. */
  readonly name: string;
  /** Its place among other workers, where they share what comes in. */
  readonly member?: Member | undefined;
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

/** Drivers that tell XDP programs of a tag beside the frame: those with an xmo_rx_vlan_tag (Linux 6.8 to 6.18). */
const TAG_DRIVERS: readonly string[] = ["veth", "ice", "mlx5_core"];

/** Milliseconds until AF_XDP is tried again, at first and at most: twice as many after each failure. */
const RETRY_MS = 1000;
const RETRY_MS_MAX = 64_000;

/** Why an interface will never be had by AF_XDP. */
class Unfit extends Error {}

/** Bytes of a window for this interface, which must exist. */
export function afxdpWindowBytes(size: AfxdpSize): number {
  const { name, slots } = size;
  return slowBytes(name, slots) + ownQueues(size).length * xskWindowBytes(slots);
}

/** The receive queues that get a socket of ours: all, or some of them where there are other workers. */
export function ownQueues({ name, member }: AfxdpSize): number[] {
  const link = new Link("afxdp", name);
  try {
    return queuesOf(link, member);
  } finally {
    link.close();
  }
}

function queuesOf(link: Link, member: Member | undefined): number[] {
  const queues = Array.from({ length: Math.min(link.receiveQueues(), QUEUES_MAX) }, (_, i) => i);
  return member === undefined ? queues : queues.filter((queue) => member.hasQueue(queue));
}

/** Of the map that has all sockets of an interface. */
export function createSocketMap(who: string): number {
  return createMap(who, MapType.XskMap, 4, 4, QUEUES_MAX);
}

function slowBytes(name: string, slots: number): number {
  return afpacketWindowBytes({ name, receiveSlots: slots, transmitSlots: slots });
}

/** Opens the interface: as `afpacket` alone, with a notice that says why, where AF_XDP does not work. */
export function openAfxdp(options: AfxdpOptions): Interface {
  return new Afxdp(options);
}

class Afxdp implements Interface {
  readonly name: string;
  fds: readonly number[] = [];

  private readonly who: string;
  private readonly slow: Interface;
  private readonly link: Link;
  /** Where the sockets' rings are mapped. */
  private readonly ringsAt: number;
  /** Sockets whose rings have a place there. */
  private readonly socketsMax: number;
  private sockets: readonly XskSocket[] = [];
  private attachedLink = -1;
  /** The sockets by their queues, where that is not a map of all workers; for programs to come. */
  private map = -1;
  private hasClaim = false;
  /** Which of the packet socket and the others is asked first: another one each time, so that none starves. */
  private first = 0;
  /** Of sockets that are closed, and of frames that found no place. */
  private missedBefore = 0;
  private dropped = 0;
  private missedNow = 0;
  /** When AF_XDP is tried again, on the clock of performance.now(), and how long after the next failure. */
  private retryAt = 0;
  private retryMs = RETRY_MS;
  private lastNotice = "";
  /** The MACs whose frames its program takes. */
  private macs: readonly Uint8Array[];

  constructor(private readonly options: AfxdpOptions) {
    const { name, slots, window, macs, offload, member } = options;
    this.name = name;
    this.macs = macs;
    this.who = `afxdp ${name}`;
    const needed = afxdpWindowBytes(options);
    if (window.bytes < needed) {
      throw new RangeError(`${this.who}: window of ${window.bytes}, needs ${needed}`);
    }
    const bytes = slowBytes(name, slots);
    this.ringsAt = window.at + bytes;
    // Before any other worker asks.
    if (member?.hasQueue(0)) member.frameBytes = options.umem.frameBytesMax;
    this.socketsMax = Math.floor((window.bytes - bytes) / xskWindowBytes(slots));
    this.link = new Link("afxdp", name);
    try {
      this.slow = openAfpacket({
        name,
        receiveSlots: slots,
        transmitSlots: slots,
        macs,
        window: { ...window, bytes },
        offload,
        member,
        onNotice: (text) => this.options.onNotice?.(text),
      });
    } catch (error) {
      this.link.close();
      throw error;
    }
    try {
      this.start();
    } catch (error) {
      this.slow.close();
      this.link.close();
      throw error;
    }
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
    const { sockets } = this;
    const sources = sockets.length + 1;
    this.first = (this.first + 1) % sources;
    for (let n = 0; n < sources; n++) {
      const source = (this.first + n) % sources;
      (sockets[source] ?? this.slow).receive(batch);
    }
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

  get hasUnsent(): boolean {
    for (const socket of this.sockets) if (socket.hasUnsent) return true;
    return this.slow.hasUnsent === true;
  }

  flush(): void {
    for (const socket of this.sockets) this.dropped += socket.flush();
    // What was refused must not be sent later, and what comes next may go by the packet socket.
    if (this.sockets[0]?.isDown) this.stop();
    this.slow.flush();
  }

  release(): void {
    this.options.umem.release();
    for (const socket of this.sockets) socket.refill();
    this.slow.release();
  }

  check(): LinkEvent | undefined {
    const nowMs = performance.now();
    const event = this.slow.check();
    const isThere = this.slow.fds.length > 0 && this.link.isUp();
    if (!isThere) this.stop();
    if (event === "returned") this.retryAt = 0;
    this.options.umem.freeRested(nowMs);
    if (isThere && this.sockets.length === 0 && nowMs >= this.retryAt) this.start();
    this.flush();
    for (const socket of this.sockets) socket.refill();
    this.missedNow = this.sockets.reduce((sum, { missed }) => sum + missed, 0);
    this.fds = this.allFds();
    return event;
  }

  get isAwaitingTurn(): boolean {
    return this.slow.isAwaitingTurn === true;
  }

  steer(sharing: Sharing): void {
    this.slow.steer?.(sharing);
  }

  widen(macs: readonly Uint8Array[]): void {
    this.slow.widen?.(macs);
  }

  narrow(macs: readonly Uint8Array[]): void {
    this.macs = macs;
    this.slow.narrow?.(macs);
    // They may have been too many.
    if (this.sockets.length === 0) this.retryAt = 0;
    else this.attempt(() => this.replaceProgram());
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
    this.attempt(() => this.open());
    this.fds = this.allFds();
  }

  private attempt(act: () => void): void {
    try {
      act();
      this.retryMs = RETRY_MS;
    } catch (error) {
      this.stop();
      const isFinal = error instanceof Unfit;
      this.retryAt = isFinal ? Number.POSITIVE_INFINITY : performance.now() + this.retryMs;
      this.retryMs = Math.min(2 * this.retryMs, RETRY_MS_MAX);
      const why = messageOf(error);
      this.notice(`${why}; works as afpacket`);
    }
  }

  private open(): void {
    const interfaceIndex = this.link.index();
    if (interfaceIndex === 0 || !this.link.isUp()) return;
    const queues = queuesOf(this.link, this.options.member).slice(0, this.socketsMax);
    if (queues.length === 0) return;
    const tagFunction = this.tagFunction();
    this.refuseMany();
    this.claim();
    const map = this.sharedMap();
    if (queues.includes(0)) this.attach(interfaceIndex, tagFunction);
    else this.refuseLong();
    this.openSockets(queues, interfaceIndex);
    for (const [n, queue] of queues.entries()) {
      const { fd } = this.sockets[n] as XskSocket;
      updateMap(this.who, map, new Uint32Array([queue]), new Uint32Array([fd]));
    }
    if (this.attachedLink >= 0) this.notice("by the driver's own XDP, in copy mode");
  }

  /** The map of all workers' sockets, or its own. */
  private sharedMap(): number {
    const shared = this.options.member?.sockets ?? -1;
    if (shared >= 0) return shared;
    if (this.map < 0) this.map = createSocketMap(this.who);
    return this.map;
  }

  private attach(interfaceIndex: number, tagFunction: number): void {
    this.attachedLink = this.withProgram(interfaceIndex, tagFunction, (program) =>
      createLink(this.who, program, interfaceIndex, AttachType.Xdp, XdpMode.Native),
    );
  }

  /** The program is another worker's, and that one's chunks may be longer. */
  private refuseLong(): void {
    const { member, umem } = this.options;
    if (umem.frameBytesMax >= (member?.frameBytes ?? 0)) return;
    throw new Unfit(`${this.who}: its frames were set aside for a shorter MTU`);
  }

  private replaceProgram(): void {
    this.refuseMany();
    if (this.attachedLink < 0) return;
    this.withProgram(this.link.index(), this.tagFunction(), (program) =>
      updateLink(this.who, this.attachedLink, program),
    );
  }

  private refuseMany(): void {
    if (this.macs.length <= XDP_MACS_MAX) return;
    throw new Unfit(`${this.who}: more than ${XDP_MACS_MAX} MACs`);
  }

  private openSockets(queues: readonly number[], interfaceIndex: number): void {
    const { umem, slots } = this.options;
    const { who } = this;
    const sockets: XskSocket[] = [];
    this.sockets = sockets;
    const filled = Math.floor(slots / queues.length);
    for (const [n, queue] of queues.entries()) {
      const at = this.ringsAt + n * xskWindowBytes(slots);
      sockets.push(new XskSocket({ who, interfaceIndex, queue, umem, at, slots, filled }));
    }
  }

  /** The kernel's number of the function that tells of a tag beside a frame. */
  private tagFunction(): number {
    const driver = this.link.driver();
    if (!TAG_DRIVERS.includes(driver)) {
      const whose = driver === "" ? "its driver" : `driver ${driver}`;
      throw new Unfit(`${this.who}: ${whose} does not tell XDP of VLAN tags beside frames`);
    }
    const id = kernelFunction("bpf_xdp_metadata_rx_vlan_tag");
    if (id === 0) {
      throw new Unfit(`${this.who}: the kernel does not tell XDP of VLAN tags (before Linux 6.8)`);
    }
    return id;
  }

  private claim(): void {
    const { umem, slots } = this.options;
    this.hasClaim = umem.claim(chunksOf(slots));
    if (!this.hasClaim) {
      throw new Error(
        `${this.who}: no frames are left of those set aside at the start; a restart sets aside what is needed`,
      );
    }
  }

  /** Loads the program for what are its MACs now; a link keeps it. */
  private withProgram<T>(index: number, tagFunction: number, act: (program: number) => T): T {
    const { macs } = this;
    const sockets = this.sharedMap();
    const { frameBytesMax } = this.options.umem;
    const code = buildXdpProgram({ macs, frameBytesMax, sockets, tagFunction });
    const program = loadProgram(this.who, ProgramType.Xdp, code, {
      name: "crosszone",
      attachType: AttachType.Xdp,
      boundTo: index,
    });
    try {
      return act(program);
    } finally {
      libc().close(program);
    }
  }

  /** Gives program and sockets back; what is in their rings is lost, and counted. */
  private stop(): void {
    for (const fd of [this.attachedLink, this.map]) if (fd >= 0) libc().close(fd);
    this.attachedLink = -1;
    this.map = -1;
    const { sockets } = this;
    this.sockets = [];
    this.missedNow = 0;
    if (this.hasClaim) this.options.umem.disclaim(chunksOf(this.options.slots));
    this.hasClaim = false;
    this.fds = this.allFds();
    const failures: unknown[] = [];
    for (const socket of sockets) {
      this.missedBefore += socket.missed + socket.unread;
      this.dropped += socket.unsent;
      try {
        socket.close();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
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
