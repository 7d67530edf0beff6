/** Opens interfaces by their driver: the one place that knows them all. */

import { Driver } from "../../assembly/abi.js";
import { afpacketWindowBytes, openAfpacket } from "./afpacket.js";
import type { Interface, Offload, Window } from "./device.js";
import { Link } from "./link.js";

/** An interface that a configuration asks for. Travels between threads. */
export interface InterfaceOrder {
  readonly name: string;
  readonly driver: Driver;
  /** The MACs of its devices. */
  readonly macs: readonly Uint8Array[];
  /** Slots of its rings each way, a power of two. */
  readonly slots: number;
}

/** Slots of all interfaces together, each way, and of one. A slot of an ordinary MTU is 2 KiB. */
const SLOTS_TOTAL = 16384;
const SLOTS_MAX = 1024;
const SLOTS_MIN = 128;

/** Slots for each of so many interfaces: kernel memory stays bounded when they are many. */
export function slotsFor(interfaces: number): number {
  const share = 2 ** Math.floor(Math.log2(SLOTS_TOTAL / Math.max(1, interfaces)));
  return Math.min(SLOTS_MAX, Math.max(SLOTS_MIN, share));
}

/** Bytes of the window that the interface needs. */
export function windowBytesOf(order: InterfaceOrder): number {
  refuseOthers(order);
  return afpacketWindowBytes(sizeOf(order));
}

export function openInterface(
  order: InterfaceOrder,
  window: Window,
  offload: Offload,
  onWarning: (text: string) => void,
): Interface {
  refuseOthers(order);
  return openAfpacket({ ...sizeOf(order), macs: order.macs, window, offload, onWarning });
}

function sizeOf({ name, slots }: InterfaceOrder) {
  return { name, receiveSlots: slots, transmitSlots: slots };
}

/** The kernel's MAC of an interface, undefined where there is none of this name. */
export function kernelMac(name: string): Uint8Array | undefined {
  const link = new Link("interface", name);
  try {
    return link.mac();
  } finally {
    link.close();
  }
}

function refuseOthers(order: InterfaceOrder): void {
  if (order.driver === Driver.Afpacket) return;
  const driver = Driver[order.driver]?.toLowerCase();
  throw new Error(
    `${driver} ${order.name}: only afpacket interfaces can run live; see replay, demo`,
  );
}
