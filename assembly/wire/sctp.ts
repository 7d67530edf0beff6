/**
 * The common header of SCTP (RFC 9260 section 3.1). Its checksum (CRC32c) covers no address, so only a
 * change of a port would make it wrong.
 */

import { Be } from "./bytes";

enum At {
  SourcePort = 0,
  DestinationPort = 2,
}

@final
@unmanaged
export class Sctp {
  static readonly BYTES: u32 = 12;

  static view(at: usize): Sctp {
    return changetype<Sctp>(at);
  }

  /** True when every accessor stays inside `available` bytes. */
  fits(available: u32): bool {
    return available >= Sctp.BYTES;
  }

  get sourcePort(): u32 {
    return Be.load16(changetype<usize>(this) + At.SourcePort);
  }

  get destinationPort(): u32 {
    return Be.load16(changetype<usize>(this) + At.DestinationPort);
  }
}
