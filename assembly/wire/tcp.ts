/** The TCP header (RFC 9293 section 3.1). Of its options, window scale (RFC 7323) and SACK (RFC 2018) are read. */

import { Be } from "./bytes";
import { adjust } from "./checksum";
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
  Selective = 5,
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
    const at = this.option(TcpOption.WindowScale);
    return at != 0 && load<u8>(at, 1) == 3 ? <u32>load<u8>(at, 2) : NO_SCALE;
  }

  /** Where the first block of a SACK option begins (RFC 2018 section 3), 0 where there is none. */
  get selective(): usize {
    const at = this.option(TcpOption.Selective);
    return at == 0 ? 0 : at + 2;
  }
  /** Bytes of all blocks, a multiple of 8; `blocks` is what `selective` gave. */
  selectiveBytes(blocks: usize): u32 {
    return (<u32>load<u8>(blocks - 1) - 2) & ~7;
  }

  /** Where the first option of a kind stands, whole inside of the header; 0 where there is none. */
  private option(wanted: TcpOption): usize {
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
      if (kind == wanted) return at;
      at += bytes;
    }
    return 0;
  }

  get checksum(): u32 {
    return Be.load16(changetype<usize>(this) + At.Checksum);
  }

  set checksum(value: u32) {
    Be.store16(changetype<usize>(this) + At.Checksum, value);
  }

  /** Takes in what changes of addresses and ports add to the sum. */
  adjustChecksum(change: u64): void {
    const at = changetype<usize>(this) + At.Checksum;
    store<u16>(at, <u16>adjust(load<u16>(at), change));
  }
}
