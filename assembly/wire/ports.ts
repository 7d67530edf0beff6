/** Where TCP, UDP and SCTP agree: source and destination port are the first two words of the header. */

import { Be } from "./bytes";
import { change32 } from "./checksum";

enum At {
  Source = 0,
  Destination = 2,
}

@unmanaged
export class Ports {
  get sourcePort(): u32 {
    return Be.load16(changetype<usize>(this) + At.Source);
  }

  set sourcePort(value: u32) {
    Be.store16(changetype<usize>(this) + At.Source, value);
  }

  get destinationPort(): u32 {
    return Be.load16(changetype<usize>(this) + At.Destination);
  }

  set destinationPort(value: u32) {
    Be.store16(changetype<usize>(this) + At.Destination, value);
  }

  /** Puts the ports of `mirrorOf` in; returns what that adds to a sum in the order of the wire. */
  renumberPorts(mirror: v128): u64 {
    const at = changetype<usize>(this);
    const from = load<u32>(at);
    const to = i32x4.extract_lane(mirror, 2);
    store<u32>(at, to);
    return change32(from, to);
  }
}
