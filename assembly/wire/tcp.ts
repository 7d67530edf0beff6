/** The TCP header (RFC 9293 section 3.1). Options are carried, not read. */

import { Be } from "./bytes";
import { Ports } from "./ports";

export enum TcpFlag {
  Fin = 0x01,
  Syn = 0x02,
  Rst = 0x04,
  Psh = 0x08,
  Ack = 0x10,
  Urg = 0x20,
  /** RFC 3168 */
  Ece = 0x40,
  Cwr = 0x80,
}

enum At {
  Sequence = 4,
  Acknowledgment = 8,
  DataOffset = 12,
  Flags = 13,
  Window = 14,
  Checksum = 16,
}

@final
@unmanaged
export class Tcp extends Ports {
  /** Of a header without options. */
  static readonly BYTES: u32 = 20;

  static view(at: usize): Tcp {
    return changetype<Tcp>(at);
  }

  /** True when every accessor, and the header as it says it is, stay inside `available` bytes. */
  fits(available: u32): bool {
    if (available < Tcp.BYTES) return false;
    const header = this.headerBytes;
    return header >= Tcp.BYTES && header <= available;
  }

  get sequence(): u32 {
    return Be.load32(changetype<usize>(this) + At.Sequence);
  }

  set sequence(value: u32) {
    Be.store32(changetype<usize>(this) + At.Sequence, value);
  }

  get acknowledgment(): u32 {
    return Be.load32(changetype<usize>(this) + At.Acknowledgment);
  }

  set acknowledgment(value: u32) {
    Be.store32(changetype<usize>(this) + At.Acknowledgment, value);
  }

  /** 20 to 60 in a header that fits. */
  get headerBytes(): u32 {
    return (<u32>load<u8>(changetype<usize>(this) + At.DataOffset) >> 4) << 2;
  }

  /** Bits of TcpFlag. */
  get flags(): u32 {
    return load<u8>(changetype<usize>(this) + At.Flags);
  }

  set flags(value: u32) {
    store<u8>(changetype<usize>(this) + At.Flags, <u8>value);
  }

  /** As it stands in the header, unscaled. */
  get window(): u32 {
    return Be.load16(changetype<usize>(this) + At.Window);
  }

  get checksum(): u32 {
    return Be.load16(changetype<usize>(this) + At.Checksum);
  }

  set checksum(value: u32) {
    Be.store16(changetype<usize>(this) + At.Checksum, value);
  }
}
