/** The link header of a device: Ethernet II with the tags of its VLANs (IEEE 802.3, 802.1Q, 802.1ad). */

import { None } from "../abi";
import { DeviceRecord } from "../config/records";
import { Be, copyMac } from "../wire/bytes";
import { EtherType } from "../wire/ethernet";

/** The longest header: two tags. */
export const LINK_HEADER_BYTES: u32 = 22;

/** Writes the header of a frame that leaves the device towards a MAC; returns its length. */
export function writeLinkHeader(
  at: usize,
  device: DeviceRecord,
  destination: usize,
  type: EtherType,
): u32 {
  copyMac(at, destination);
  copyMac(at + 6, device.mac);
  let next = at + 12;
  if (device.vlanOuter != None.Short) {
    const outer = device.serviceTag ? EtherType.ServiceVlan : EtherType.Vlan;
    next = writeTag(next, outer, device.vlanOuter);
    if (device.vlanInner != None.Short) next = writeTag(next, EtherType.Vlan, device.vlanInner);
  }
  Be.store16(next, type);
  return <u32>(next + 2 - at);
}

function writeTag(at: usize, type: EtherType, id: u32): usize {
  Be.store16(at, type);
  Be.store16(at + 2, id);
  return at + 4;
}

/** Writes the MAC that means everybody on the link; returns where it stands. */
export function writeBroadcastMac(at: usize): usize {
  store<u32>(at, 0xffffffff);
  store<u16>(at, 0xffff, 4);
  return at;
}

/** Puts a header of 14, 18 or 22 bytes in front of `network`; returns where the frame begins. */
export function prependHeader(network: usize, header: usize, bytes: u32): usize {
  const frame = network - bytes;
  store<u64>(frame, load<u64>(header));
  if (bytes > 16) store<u64>(frame, load<u64>(header, 8), 8);
  store<u64>(network - 8, load<u64>(header + bytes - 8));
  return frame;
}
