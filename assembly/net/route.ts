/** Routes per zone, longest prefix first, and which of our addresses speaks for us on a device. */

import { active } from "../config/configuration";
import { DeviceRecord } from "../config/records";
import { prefixMask } from "../table/prefix";

/** Index of the zone's best route to an address, NONE when there is none. */
export function findRoute(zoneIndex: u32, address: u32): u32 {
  return active.prefixes.find(zoneIndex, address);
}

/** Whether an address is on one of the device's own networks. */
export function isOnLink(device: DeviceRecord, address: u32): bool {
  for (let i: u32 = 0; i < device.addressCount; i++) {
    const own = active.address(device.addresses + i);
    if (((own.address ^ address) & prefixMask(own.prefixLength)) == 0) return true;
  }
  return false;
}

/** Whether an address means every host of one of the device's networks (RFC 2644: not forwarded). */
export function isDirectedBroadcast(device: DeviceRecord, address: u32): bool {
  for (let i: u32 = 0; i < device.addressCount; i++) {
    const own = active.address(device.addresses + i);
    const host = ~prefixMask(own.prefixLength);
    if (host > 1 && address == (own.address | host)) return true;
  }
  return false;
}

/** The device's address that a peer knows it by: on the peer's network, else the first; 0 if it has none. */
export function sourceTowards(device: DeviceRecord, peer: u32): u32 {
  if (device.addressCount == 0) return 0;
  for (let i: u32 = 0; i < device.addressCount; i++) {
    const own = active.address(device.addresses + i);
    if (((own.address ^ peer) & prefixMask(own.prefixLength)) == 0) return own.address;
  }
  return active.address(device.addresses).address;
}
