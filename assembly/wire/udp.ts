/** The UDP header (RFC 768). */

import { Be } from "./bytes";
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
    const length = this.length;
    return length >= Udp.BYTES && length <= available;
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
}
