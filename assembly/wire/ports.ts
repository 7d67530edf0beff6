/** Where TCP, UDP and SCTP agree: source and destination port are the first two words of the header. */

import { Be } from "./bytes";

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
}
