/** The Ethernet II header (RFC 894). 802.3 length fields show up as a `type` below 0x0600. */

import { Be, macWord } from "./bytes";

export enum EtherType {
  Ipv4 = 0x0800,
  Arp = 0x0806,
  /** Customer tag, 802.1Q. */
  Vlan = 0x8100,
  Ipv6 = 0x86dd,
  /** Service tag, 802.1ad. */
  ServiceVlan = 0x88a8,
}

enum At {
  Destination = 0,
  Source = 6,
  Type = 12,
}

@final
@unmanaged
export class Ethernet {
  static readonly BYTES: u32 = 14;

  static view(at: usize): Ethernet {
    return changetype<Ethernet>(at);
  }

  /** True when every accessor stays inside `available` bytes. */
  fits(available: u32): bool {
    return available >= Ethernet.BYTES;
  }

  /** Address of the destination's 6 bytes. */
  get destination(): usize {
    return changetype<usize>(this) + At.Destination;
  }

  /** Address of the source's 6 bytes. */
  get source(): usize {
    return changetype<usize>(this) + At.Source;
  }

  /** EtherType, or that of the first tag. */
  get type(): u32 {
    return Be.load16(changetype<usize>(this) + At.Type);
  }

  set type(value: u32) {
    Be.store16(changetype<usize>(this) + At.Type, value);
  }

  /** Whether it is for this MAC, as `macWord` gives it. */
  isTo(mac: u64): bool {
    return macWord(this.destination) == mac;
  }

  /** To a group, everybody included. */
  get isMulticast(): bool {
    return <bool>(load<u8>(this.destination) & 1);
  }

  /** To everybody. */
  get isBroadcast(): bool {
    return load<u32>(this.destination) == 0xffffffff && load<u16>(this.destination, 4) == 0xffff;
  }

  /** What comes behind the header: a tag, or the payload. */
  get payload(): usize {
    return changetype<usize>(this) + Ethernet.BYTES;
  }
}
