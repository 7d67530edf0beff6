/**
 * The ICMP header (RFC 792): eight bytes, of which the last four depend on the type. Errors quote the packet
 * that they are about behind it.
 */

import { Be } from "./bytes";
import { apply, checksumOf } from "./checksum";

export enum IcmpType {
  EchoReply = 0,
  DestinationUnreachable = 3,
  SourceQuench = 4,
  Redirect = 5,
  EchoRequest = 8,
  TimeExceeded = 11,
  ParameterProblem = 12,
  TimestampRequest = 13,
  TimestampReply = 14,
}

/** Codes of DestinationUnreachable (RFC 792, RFC 1812 section 5.2.7.1). */
export enum UnreachableCode {
  Network = 0,
  Host = 1,
  Protocol = 2,
  Port = 3,
  FragmentationNeeded = 4,
  /** Communication administratively prohibited. */
  Prohibited = 13,
}

/** Whether somebody asks with a message of this type, or answers such a message, by its identifier. */
export function isRequest(type: u32): bool {
  return type == IcmpType.EchoRequest || type == IcmpType.TimestampRequest;
}

export function isReply(type: u32): bool {
  return type == IcmpType.EchoReply || type == IcmpType.TimestampReply;
}

/** Whether a message of this type quotes a packet (RFC 1122 section 3.2.2), those no longer sent included. */
export function isError(type: u32): bool {
  return (
    type == IcmpType.DestinationUnreachable ||
    type == IcmpType.SourceQuench ||
    type == IcmpType.Redirect ||
    type == IcmpType.TimeExceeded ||
    type == IcmpType.ParameterProblem
  );
}

enum At {
  Type = 0,
  Code = 1,
  Checksum = 2,
  Identifier = 4,
  QuotedWords = 5,
  Sequence = 6,
}

@final
@unmanaged
export class Icmp {
  static readonly BYTES: u32 = 8;

  static view(at: usize): Icmp {
    return changetype<Icmp>(at);
  }

  /** True when every accessor stays inside `available` bytes. */
  fits(available: u32): bool {
    return available >= Icmp.BYTES;
  }

  /** IcmpType, or any other number. */
  get type(): u32 {
    return load<u8>(changetype<usize>(this) + At.Type);
  }

  set type(value: u32) {
    store<u8>(changetype<usize>(this) + At.Type, <u8>value);
  }

  get code(): u32 {
    return load<u8>(changetype<usize>(this) + At.Code);
  }

  set code(value: u32) {
    store<u8>(changetype<usize>(this) + At.Code, <u8>value);
  }

  get checksum(): u32 {
    return Be.load16(changetype<usize>(this) + At.Checksum);
  }

  set checksum(value: u32) {
    Be.store16(changetype<usize>(this) + At.Checksum, value);
  }

  /**
   * Brings the checksum up to date after a change that adds `delta` to the sum of the message of `bytes`
   * bytes. Where the increment gives 0, only a look at the message tells that from 0xffff, which a message
   * of zeros has. A checksum that was wrong stays wrong.
   *
   * `bytes` is 0 where the message is not all there. Then 0xffff is written for 0: whoever adds up the
   * message finds it right in both cases (RFC 1071), but 0 in one of them only.
   */
  changeChecksum(delta: u32, bytes: u32): void {
    this.checksum = apply(this.checksum, delta);
    if (this.checksum != 0) return;
    if (bytes == 0 || checksumOf(changetype<usize>(this), bytes) == 0xffff) this.checksum = 0xffff;
  }

  /** Computes the checksum of the message of `bytes` bytes anew. */
  refreshChecksum(bytes: u32): void {
    this.checksum = 0;
    this.checksum = checksumOf(changetype<usize>(this), bytes);
  }

  /** Of a query: echo or timestamp. */
  get identifier(): u32 {
    return Be.load16(changetype<usize>(this) + At.Identifier);
  }

  set identifier(value: u32) {
    Be.store16(changetype<usize>(this) + At.Identifier, value);
  }

  /** Of a query; the next hop's MTU in FragmentationNeeded (RFC 1191 section 4). */
  get sequence(): u32 {
    return Be.load16(changetype<usize>(this) + At.Sequence);
  }

  set sequence(value: u32) {
    Be.store16(changetype<usize>(this) + At.Sequence, value);
  }

  /** Where an error's quoted packet begins. */
  get quoted(): usize {
    return changetype<usize>(this) + Icmp.BYTES;
  }

  /**
   * Bytes that an error of `bytes` bytes quotes, fill included. What follows them are extensions
   * (RFC 4884 section 4): the header then says how many 32-bit words they are, and 0 where there are none.
   */
  quotedBytes(bytes: u32): u32 {
    const all = bytes - Icmp.BYTES;
    const words: u32 = load<u8>(changetype<usize>(this) + At.QuotedWords);
    return words == 0 ? all : min(words << 2, all);
  }
}
