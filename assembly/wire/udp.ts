/** The UDP header (RFC 768). */

import { Be } from "./bytes";
import { adjustUdp } from "./checksum";
import { Ports } from "./ports";

enum At {
  Length = 4,
  Checksum = 6,
}

@final
@unmanaged
export class Udp extends Ports {
  static readonly BYTES: u32 = 8;

  static view(at: usize): Udp {
    return changetype<Udp>(at);
  }

  /** True when every accessor, and header and data as they say they are, stay inside `available` bytes. */
  fits(available: u32): bool {
    if (available < Udp.BYTES) return false;
    return this.length - Udp.BYTES <= available - Udp.BYTES;
  }

  /** Bytes of header and data. */
  get length(): u32 {
    return Be.load16(changetype<usize>(this) + At.Length);
  }

  set length(value: u32) {
    Be.store16(changetype<usize>(this) + At.Length, value);
  }

  /** 0: the sender computed none. */
  get checksum(): u32 {
    return Be.load16(changetype<usize>(this) + At.Checksum);
  }

  set checksum(value: u32) {
    Be.store16(changetype<usize>(this) + At.Checksum, value);
  }

  /** Takes in what changes of addresses and ports add to the sum. */
  adjustChecksum(change: u64): void {
    const at = changetype<usize>(this) + At.Checksum;
    store<u16>(at, <u16>adjustUdp(load<u16>(at), change));
  }
}
