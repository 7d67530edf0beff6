/** The TCP header (RFC 9293 section 3.1). Of its options only the window scale is read (RFC 7323). */

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

/** Kinds of options (IANA). */
enum TcpOption {
  End = 0,
  NoOperation = 1,
  WindowScale = 3,
}

/** Where there is no option that offers a shift count: none that a byte can hold. */
export const NO_SCALE: u32 = 0x100;

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

  /** The shift count that a SYN offers (RFC 7323 section 2.2), NO_SCALE for none. */
  get windowScale(): u32 {
    let at = changetype<usize>(this) + Tcp.BYTES;
    const end = changetype<usize>(this) + this.headerBytes;
    while (at < end) {
      const kind: u32 = load<u8>(at);
      if (kind == TcpOption.NoOperation) {
        at++;
        continue;
      }
      if (kind == TcpOption.End || at + 2 > end) break;
      const bytes: u32 = load<u8>(at, 1);
      if (bytes < 2 || at + bytes > end) break;
      if (kind == TcpOption.WindowScale) return bytes == 3 ? <u32>load<u8>(at, 2) : NO_SCALE;
      at += bytes;
    }
    return NO_SCALE;
  }

  get checksum(): u32 {
    return Be.load16(changetype<usize>(this) + At.Checksum);
  }

  set checksum(value: u32) {
    Be.store16(changetype<usize>(this) + At.Checksum, value);
  }
}
