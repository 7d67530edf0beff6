/**
 * Announcements: ARP requests from our own addresses for themselves (RFC 5227 section 2.3), which correct
 * the caches of neighbors that knew another MAC for them. The host asks for them when devices begin or
 * links return; they leave with the following calls of `expire`, a bounded number each.
 *
 * Announced are the addresses of devices, then those of pools on every device of their zone.
 */

import { Limit } from "../abi";
import { active, pairKey } from "../config/configuration";
import { arena, scratch } from "../memory";
import { NONE } from "../table/none";
import { Arp, ArpOperation } from "../wire/arp";
import { EtherType } from "../wire/ethernet";
import { writeBroadcastMac } from "./link";
import { NETWORK_OFFSET, outputOwn, takeOwnFrame } from "./output";

/** Pairs of address and device that one call looks at: half of the own frames that it could make. */
const PER_CALL: u32 = Limit.OwnFrames / 2;

/** Begins anew. */
export function announceAll(): void {
  arena.announceNext = 0;
  arena.announceDevice = 0;
}

export function hasAnnouncements(): bool {
  return arena.announceNext != NONE;
}

/** Sends the next of them. */
export function sendAnnouncements(): void {
  for (let n: u32 = 0; n < PER_CALL && arena.announceNext != NONE; n++) {
    if (arena.announceNext < active.addressCount) announceOwn(arena.announceNext);
    else announcePooled(arena.announceNext - active.addressCount);
  }
}

function announceOwn(index: u32): void {
  const own = active.address(index);
  announce(own.device, own.address);
  arena.announceNext++;
}

/** One device for the n-th address of all pools; ends the announcements behind the last. */
function announcePooled(n: u32): void {
  let left = n;
  let p: u32 = 0;
  while (p < active.poolCount && left >= active.pool(p).addressCount) {
    left -= active.pool(p).addressCount;
    p++;
  }
  if (p == active.poolCount) {
    arena.announceNext = NONE;
    return;
  }
  const pool = active.pool(p);
  const address = active.poolAddress(pool, left);
  const device = arena.announceDevice++;
  const isDevices = active.deviceByAddress.get(pairKey(pool.zone, address)) != NONE;
  if (isDevices || device >= active.deviceCount) {
    arena.announceNext++;
    arena.announceDevice = 0;
  } else if (active.device(device).zone == pool.zone) {
    announce(device, address);
  }
}

function announce(index: u32, address: u32): void {
  const frame = takeOwnFrame();
  if (frame == 0) return;
  const device = active.device(index);
  const network = frame + NETWORK_OFFSET;
  Arp.write(network, ArpOperation.Request, device.mac, address, 0, address);
  outputOwn(frame, index, writeBroadcastMac(scratch), EtherType.Arp, Arp.BYTES);
}
