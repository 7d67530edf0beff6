/**
 * The Port Control Protocol (RFC 6887): header, MAP and options; and as much of NAT-PMP (RFC 6886) as it takes
 * to turn it away. A request is read and turned into its answer in one place, since both have one layout.
 *
 *     header  0 version   1 R and opcode   3 result   4 lifetime   8 client's address, or epoch   24
 *     MAP     0 nonce    12 protocol   16 internal port   18 external port   20 external address   36
 *     option  0 code   2 bytes of data   4 data, filled up to a multiple of 4
 *
 * An address has 16 bytes; those of IPv4 are mapped, ::ffff:a.b.c.d (section 5).
 */

import { Be } from "./bytes";

export enum PcpOpcode {
  Announce = 0,
  Map = 1,
}

/** Section 7.4. */
export enum PcpResult {
  Success = 0,
  UnsupportedVersion = 1,
  NotAuthorized = 2,
  MalformedRequest = 3,
  UnsupportedOpcode = 4,
  UnsupportedOption = 5,
  MalformedOption = 6,
  NoResources = 8,
  UnsupportedProtocol = 9,
  UserExceedsQuota = 10,
  CannotProvideExternal = 11,
  AddressMismatch = 12,
}

/** Codes below Optional must be understood, or the request is refused (section 7.3). */
export enum PcpOptionCode {
  PreferFailure = 2,
  Optional = 128,
}

enum At {
  Version = 0,
  Opcode = 1,
  Reserved = 2,
  Result = 3,
  Lifetime = 4,
  Client = 8,
  Epoch = 8,
}

const RESPONSE: u32 = 0x80;
const MAPPED: u32 = 0xffff;

/** Whether 16 bytes are an IPv4 address. */
function isMapped(at: usize): bool {
  return load<u64>(at) == 0 && Be.load32(at + 8) == MAPPED;
}

@final
@unmanaged
export class Pcp {
  static readonly PORT: u32 = 5351;
  static readonly VERSION: u32 = 2;
  static readonly BYTES: u32 = 24;
  /** Of a whole message (section 7). */
  static readonly BYTES_MAX: u32 = 1100;

  static view(at: usize): Pcp {
    return changetype<Pcp>(at);
  }

  get version(): u32 {
    return load<u8>(changetype<usize>(this) + At.Version);
  }

  get isResponse(): bool {
    return (load<u8>(changetype<usize>(this) + At.Opcode) & RESPONSE) != 0;
  }

  get opcode(): u32 {
    return load<u8>(changetype<usize>(this) + At.Opcode) & ~RESPONSE;
  }

  /** Seconds. */
  get lifetime(): u32 {
    return Be.load32(changetype<usize>(this) + At.Lifetime);
  }

  /** Whether the header of a request says that it comes from this address. */
  isFrom(address: u32): bool {
    const at = changetype<usize>(this) + At.Client;
    return isMapped(at) && Be.load32(at + 12) == address;
  }

  /** Turns the header into an answer's. What was not understood keeps the end of the client's address. */
  answer(result: u32, lifetime: u32, epoch: u32): void {
    const at = changetype<usize>(this);
    store<u8>(at + At.Version, <u8>Pcp.VERSION);
    store<u8>(at + At.Opcode, <u8>(this.opcode | RESPONSE));
    store<u8>(at + At.Reserved, 0);
    store<u8>(at + At.Result, <u8>result);
    Be.store32(at + At.Lifetime, lifetime);
    Be.store32(at + At.Epoch, epoch);
    const understood =
      result != PcpResult.UnsupportedVersion && result != PcpResult.MalformedRequest;
    if (understood) memory.fill(at + At.Epoch + 4, 0, 12);
  }
}

enum MapAt {
  Protocol = 12,
  InternalPort = 16,
  ExternalPort = 18,
  External = 20,
}

@final
@unmanaged
export class PcpMap {
  static readonly BYTES: u32 = 36;

  static view(at: usize): PcpMap {
    return changetype<PcpMap>(at);
  }

  /** 96 bits that whoever asks has drawn; nobody else may change the mapping. */
  get nonceLow(): u64 {
    return load<u64>(changetype<usize>(this));
  }

  get nonceHigh(): u32 {
    return load<u32>(changetype<usize>(this), 8);
  }

  get protocol(): u32 {
    return load<u8>(changetype<usize>(this) + MapAt.Protocol);
  }

  get internalPort(): u32 {
    return Be.load16(changetype<usize>(this) + MapAt.InternalPort);
  }

  /** Suggested, 0 for any; in an answer: assigned. */
  get externalPort(): u32 {
    return Be.load16(changetype<usize>(this) + MapAt.ExternalPort);
  }

  /** 0 for any, and where it is none of IPv4. */
  get external(): u32 {
    const at = changetype<usize>(this) + MapAt.External;
    return isMapped(at) ? Be.load32(at + 12) : 0;
  }

  /** Whether an address of IPv6 is suggested. */
  get wantsIpv6(): bool {
    const at = changetype<usize>(this) + MapAt.External;
    return !isMapped(at) && (load<u64>(at) | load<u64>(at, 8)) != 0;
  }

  /** Writes the external endpoint. */
  assign(address: u32, port: u32): void {
    const at = changetype<usize>(this) + MapAt.External;
    Be.store16(changetype<usize>(this) + MapAt.ExternalPort, port);
    store<u64>(at, 0);
    Be.store32(at + 8, MAPPED);
    Be.store32(at + 12, address);
  }
}

@final
@unmanaged
export class PcpOption {
  static readonly BYTES: u32 = 4;

  static view(at: usize): PcpOption {
    return changetype<PcpOption>(at);
  }

  /** True when the accessors, and header and data as they say they are, stay inside `available` bytes. */
  fits(available: u32): bool {
    return available >= PcpOption.BYTES && this.bytes <= available;
  }

  get code(): u32 {
    return load<u8>(changetype<usize>(this));
  }

  get dataBytes(): u32 {
    return Be.load16(changetype<usize>(this) + 2);
  }

  /** Of the whole option. */
  get bytes(): u32 {
    return PcpOption.BYTES + ((this.dataBytes + 3) & ~3);
  }

  static write(at: usize, code: u32): void {
    store<u32>(at, code);
  }
}

/** NAT-PMP, which is version 0 of the protocol at this port (RFC 6886 section 3.5). */
export namespace NatPmp {
  /** Of the answer that refuses a version. */
  export const BYTES: u32 = 8;
  const RESPONSE_BASE: u32 = 128;
  const UNSUPPORTED_VERSION: u32 = 1;

  /** Turns a request into that answer. */
  export function refuse(at: usize, epoch: u32): void {
    const opcode = load<u8>(at + At.Opcode);
    store<u8>(at + At.Opcode, <u8>(RESPONSE_BASE + opcode));
    Be.store16(at + At.Reserved, UNSUPPORTED_VERSION);
    Be.store32(at + At.Lifetime, epoch);
  }
}
