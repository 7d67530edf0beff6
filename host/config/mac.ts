/**
 * The virtual MAC of an interface whose devices are given none: 02:c2 and 32 bits of FNV-1a over the
 * kernel's MAC of the interface, where it is known, and the interface's name. Stable across restarts;
 * locally administered (IEEE 802c: the second lowest bit of the first byte) and never the kernel's own,
 * so the kernel takes frames to it for another host's.
 */

import { macFromBytes } from "./address.js";
import { fnv1a } from "./layout.js";

/** A kernel's MAC by the name of its interface. */
export type MacOf = (interfaceName: string) => Uint8Array | undefined;

export function virtualMac(interfaceName: string, macOf?: MacOf): number {
  const kernel = macOf?.(interfaceName) ?? new Uint8Array();
  const name = new TextEncoder().encode(interfaceName);
  const input = new Uint8Array([...kernel, ...name]);
  const mac = 0x02c200000000 + fnv1a(input);
  // Such a MAC may itself have been given to the interface.
  return mac === macFromBytes(kernel) ? 0x02c200000000 + fnv1a(new Uint8Array([...input, 0])) : mac;
}
