/** Opens and closes interfaces by their driver: the one place that knows them all, and what they share. */

import { Driver, Limit } from "../../assembly/abi.js";
import { messageOf } from "../errortext.js";
import { afpacketWindowBytes, openAfpacket } from "./afpacket.js";
import { afxdpWindowBytes, openAfxdp, ownQueues } from "./afxdp.js";
import { type Interface, type Offload, PAGE_BYTES, StillMapped, type Window } from "./device.js";
import { Member, type Sharing } from "./fanout.js";
import { Link } from "./link.js";
import { chunkBytesFor, chunksOf, Umem } from "./umem.js";

/** An interface that a configuration asks for. Travels between threads. */
export interface InterfaceOrder {
  readonly name: string;
  readonly driver: Driver;
  /** The MACs of its devices. */
  readonly macs: readonly Uint8Array[];
  /** Slots of its rings each way, a power of two. */
  readonly slots: number;
  /** Where several workers have it. */
  readonly sharing?: Sharing | undefined;
}

/**
 * Slots of all interfaces together, each way, and of one. A slot of an ordinary MTU is 2 KiB. The most hold what comes
 * in while the thread is not on its core for some milliseconds.
 */
const SLOTS_TOTAL = 16384;
const SLOTS_MAX = 4096;
const SLOTS_MIN = 128;

/** Room for interfaces that later configurations add: as many as at the start, and so many more. */
const SPARE_INTERFACES = 4;
/** Of those, AF_XDP ones: what is set aside for them is taken from the machine at the start. */
const SPARE_AFXDP = 1;

/** Slots for each of so many interfaces: kernel memory stays bounded when they are many. */
export function slotsFor(interfaces: number): number {
  const share = 2 ** Math.floor(Math.log2(SLOTS_TOTAL / Math.max(1, interfaces)));
  return Math.min(SLOTS_MAX, Math.max(SLOTS_MIN, share));
}

/** The kernel's MAC of an interface, undefined where there is none of this name. */
export function kernelMac(name: string): Uint8Array | undefined {
  return asking(name, (link) => link.mac());
}

function asking<Answer>(name: string, ask: (link: Link) => Answer): Answer {
  const link = new Link("interface", name);
  try {
    return ask(link);
  } finally {
    link.close();
  }
}

/** Bytes of linear memory that a worker sets aside for these interfaces, and for those that may be added. */
export function windowBytes(orders: readonly InterfaceOrder[], worker: number): number {
  const sizes = orders.map((order) => wholePages(windowBytesOf(order, worker)));
  const spare = (orders.length + SPARE_INTERFACES) * Math.max(0, ...sizes);
  return sizes.reduce((sum, size) => sum + size, 0) + spare + umemPlan(orders, worker).bytes;
}

/** Whether a worker has AF_XDP sockets of an interface. */
function hasXdp(order: InterfaceOrder, worker: number): boolean {
  const { driver, name, slots } = order;
  if (driver !== Driver.Afxdp) return false;
  return ownQueues({ name, slots, member: memberOf(order, worker) }).length > 0;
}

function memberOf({ sharing }: InterfaceOrder, worker: number): Member | undefined {
  return sharing && new Member(sharing, worker);
}

function wholePages(bytes: number): number {
  return Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES;
}

function windowBytesOf(order: InterfaceOrder, worker: number): number {
  refuseOthers(order);
  const { name, slots } = order;
  if (hasXdp(order, worker)) {
    return afxdpWindowBytes({ name, slots, member: memberOf(order, worker) });
  }
  return afpacketWindowBytes({ name, receiveSlots: slots, transmitSlots: slots });
}

function refuseOthers({ driver, name }: InterfaceOrder): void {
  if (driver === Driver.Afpacket || driver === Driver.Afxdp) return;
  throw new Error(
    `${Driver[driver]?.toLowerCase()} ${name}: only afpacket and afxdp interfaces can run live; ` +
      "see replay, demo",
  );
}

/**
 * The frames that AF_XDP interfaces share: for each as many as its rings hold both ways, and those that one turn lends.
 * A chunk holds the longest packet of the interfaces at the start; longer ones come by their packet sockets.
 */
function umemPlan(
  orders: readonly InterfaceOrder[],
  worker: number,
): { bytes: number; chunkBytes: number } {
  const ours = orders.filter((order) => hasXdp(order, worker));
  if (ours.length === 0) return { bytes: 0, chunkBytes: 0 };
  // The same for all workers.
  const all = orders.filter(({ driver }) => driver === Driver.Afxdp);
  const mtu = Math.max(...all.map(({ name }) => asking(name, (link) => link.mtu())));
  const chunkBytes = chunkBytesFor(mtu);
  const slots = Math.max(...ours.map((order) => order.slots));
  const chunks = chunksOf(slots) * (ours.length + SPARE_AFXDP) + Limit.Batch;
  return { bytes: wholePages(chunks * chunkBytes), chunkBytes };
}

/** What lends windows of the linear memory and the helpers that work in it: the datapath. */
export interface Memory extends Offload {
  window(bytes: number, name?: string): Window;
}

export interface Opened {
  readonly order: InterfaceOrder;
  readonly window: Window;
  readonly device: Interface;
}

export class Opener {
  /** Windows of interfaces that are closed, none of them mapped by the kernel. */
  private readonly spare: Window[] = [];
  private umem: Umem | undefined;

  /** @param first  the interfaces that `windowBytes` was asked for */
  constructor(
    private readonly memory: Memory,
    private readonly first: readonly InterfaceOrder[],
    private readonly worker: number,
    private readonly onNotice: (text: string) => void,
  ) {}

  /** @throws SystemError, RangeError when there is no such interface, no permission, or no memory left */
  open(order: InterfaceOrder): Opened {
    const bytes = windowBytesOf(order, this.worker);
    const window = this.windowOf(bytes, order.name);
    try {
      return { order, window, device: this.openIn(window, order) };
    } catch (error) {
      if (!(error instanceof StillMapped)) this.spare.push(window);
      throw error;
    }
  }

  /** A window whose interface does not close is never used again. */
  close({ order, window, device }: Opened): void {
    try {
      device.close();
    } catch (error) {
      const why = messageOf(error);
      this.onNotice(`interface ${order.name} does not close: ${why}`);
      return;
    }
    this.spare.push(window);
  }

  private windowOf(bytes: number, name: string): Window {
    const fits = this.spare.findIndex((window) => window.bytes >= bytes);
    if (fits < 0) return this.memory.window(bytes, name);
    return this.spare.splice(fits, 1)[0] as Window;
  }

  private openIn(window: Window, order: InterfaceOrder): Interface {
    const { name, macs, slots } = order;
    const { memory: offload, onNotice } = this;
    const member = memberOf(order, this.worker);
    const options = { name, macs, window, offload, member, onNotice };
    if (hasXdp(order, this.worker)) {
      this.umem ??= this.makeUmem(order);
      return openAfxdp({ ...options, slots, umem: this.umem });
    }
    return openAfpacket({ ...options, receiveSlots: slots, transmitSlots: slots });
  }

  private makeUmem(order: InterfaceOrder): Umem {
    const planned = umemPlan(this.first, this.worker);
    const { bytes, chunkBytes } = planned.bytes > 0 ? planned : umemPlan([order], this.worker);
    return new Umem(this.memory.window(bytes, `afxdp ${order.name}`), chunkBytes, Limit.Batch);
  }
}
