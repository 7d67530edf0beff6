/**
 * The common header of SCTP (RFC 9260 section 3.1). Its checksum (CRC32c) covers no address, so only a
 * change of a port would make it wrong.
 */

import { Ports } from "./ports";

@final
@unmanaged
export class Sctp extends Ports {
  static readonly BYTES: u32 = 12;

  static view(at: usize): Sctp {
    return changetype<Sctp>(at);
  }

  /** True when every accessor stays inside `available` bytes. */
  fits(available: u32): bool {
    return available >= Sctp.BYTES;
  }
}
