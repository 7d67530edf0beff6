/**
 * External addresses: addresses of ours in one zone that pools name. Each has a bitmap of the ports that
 * conns hold, per protocol, and stays for as long as a configuration lists it or a conn holds one of them.
 * It is shared by all pools that name it.
 */

import { arena, EXTERNAL_BITMAPS, EXTERNAL_BYTES, externals, RecordBytes } from "../memory";
import { BITMAP_BYTES, Bitmap } from "../table/bitmap";
import { NONE } from "../table/none";
import { IpProtocol } from "../wire/ipv4";

@final
@unmanaged
export class External {
  address: u32;
  /** Ports, and uses by protocols without ports, that conns hold. */
  used: u32;
  /** The last configuration that lists it, 0 for none yet. */
  listed: u32;
  /** Index of the first of its forwards in the configuration in force, NONE for none (nat/forward.ts). */
  forwards: u32;

  static at(index: u32): External {
    return changetype<External>(externals + <usize>index * EXTERNAL_BYTES);
  }

  /** Nothing refers to it any more. */
  get isFree(): bool {
    return this.used == 0 && (this.listed == 0 || this.listed != arena.configured);
  }

  /** Takes the place of whatever was here. */
  begin(address: u32): void {
    this.address = address;
    this.used = 0;
    this.forwards = NONE;
    for (let which: u32 = 0; which < EXTERNAL_BITMAPS; which++) this.bitmap(which).clear();
  }

  bitmap(which: u32): Bitmap {
    return Bitmap.view(
      changetype<usize>(this) + RecordBytes.ExternalHeader + <usize>which * BITMAP_BYTES,
    );
  }
}
if (offsetof<External>() > <usize>RecordBytes.ExternalHeader)
  ERROR("an External outgrew its header");

/** Which bitmap of an external address is the protocol's; NONE for protocols without ports. */
export function bitmapOf(protocol: u32): u32 {
  if (protocol == IpProtocol.Tcp) return 0;
  if (protocol == IpProtocol.Udp) return 1;
  return protocol == IpProtocol.Icmp ? 2 : NONE;
}

/** Whether conns of this protocol are told apart by ports (ICMP: by identifiers). */
export function hasPorts(protocol: u32): bool {
  return bitmapOf(protocol) != NONE;
}

/** Gives back what a conn held. */
export function giveExternal(index: u32, protocol: u32, port: u32): void {
  const external = External.at(index);
  const which = bitmapOf(protocol);
  if (which != NONE) external.bitmap(which).give(port);
  external.used--;
}
