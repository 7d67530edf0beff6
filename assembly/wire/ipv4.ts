/** The IPv4 header (RFC 791), checked as RFC 1812 section 5.2.2 asks. Options are carried, not read. */

import { Be } from "./bytes";
import { checksumOf } from "./checksum";

/** Protocol numbers (IANA). */
export enum IpProtocol {
  Icmp = 1,
  Tcp = 6,
  Udp = 17,
  Dccp = 33,
  Sctp = 132,
  UdpLite = 136,
}

enum At {
  VersionAndLength = 0,
  Tos = 1,
  TotalBytes = 2,
  Identification = 4,
  Fragment = 6,
  Ttl = 8,
  Protocol = 9,
  Checksum = 10,
  Source = 12,
  Destination = 16,
}

/** Of the word `fragment`. */
export enum FragmentBit {
  DontFragment = 0x4000,
  MoreFragments = 0x2000,
  Offset = 0x1fff,
}

@final
@unmanaged
export class Ipv4 {
  /** Of a header without options. */
  static readonly BYTES: u32 = 20;

  static view(at: usize): Ipv4 {
    return changetype<Ipv4>(at);
  }

  /** True when every accessor, and header and payload as they say they are, stay inside `available` bytes. */
  fits(available: u32): bool {
    if (available < Ipv4.BYTES || this.version != 4) return false;
    const header = this.headerBytes;
    const total = this.totalBytes;
    return header >= Ipv4.BYTES && header <= total && total <= available;
  }

  get version(): u32 {
    return <u32>load<u8>(changetype<usize>(this) + At.VersionAndLength) >> 4;
  }

  /** 20 to 60 in a header that fits. */
  get headerBytes(): u32 {
    return (<u32>load<u8>(changetype<usize>(this) + At.VersionAndLength) & 0xf) << 2;
  }

  set headerBytes(value: u32) {
    store<u8>(changetype<usize>(this) + At.VersionAndLength, <u8>(0x40 | (value >> 2)));
  }

  /** Type of service, now DSCP (6 bits) and ECN (2 bits). */
  get tos(): u32 {
    return load<u8>(changetype<usize>(this) + At.Tos);
  }

  /** Header and payload. */
  get totalBytes(): u32 {
    return Be.load16(changetype<usize>(this) + At.TotalBytes);
  }

  set totalBytes(value: u32) {
    Be.store16(changetype<usize>(this) + At.TotalBytes, value);
  }

  get identification(): u32 {
    return Be.load16(changetype<usize>(this) + At.Identification);
  }

  set identification(value: u32) {
    Be.store16(changetype<usize>(this) + At.Identification, value);
  }

  /** The word of flags (3 bits) and offset (13 bits). */
  get fragment(): u32 {
    return Be.load16(changetype<usize>(this) + At.Fragment);
  }

  set fragment(value: u32) {
    Be.store16(changetype<usize>(this) + At.Fragment, value);
  }

  get dontFragment(): bool {
    return (this.fragment & FragmentBit.DontFragment) != 0;
  }

  get moreFragments(): bool {
    return (this.fragment & FragmentBit.MoreFragments) != 0;
  }

  /** Bytes: eight times the field. */
  get fragmentOffset(): u32 {
    return (this.fragment & FragmentBit.Offset) << 3;
  }

  /** A piece of a datagram: the first, the last or one between. */
  get isFragment(): bool {
    return (this.fragment & (FragmentBit.MoreFragments | FragmentBit.Offset)) != 0;
  }

  /** Neither a piece nor to be cut into pieces: its identification means nothing (RFC 6864 section 4). */
  get isAtomic(): bool {
    const bits = FragmentBit.DontFragment | FragmentBit.MoreFragments | FragmentBit.Offset;
    return (this.fragment & bits) == FragmentBit.DontFragment;
  }

  get ttl(): u32 {
    return load<u8>(changetype<usize>(this) + At.Ttl);
  }

  set ttl(value: u32) {
    store<u8>(changetype<usize>(this) + At.Ttl, <u8>value);
  }

  get protocol(): u32 {
    return load<u8>(changetype<usize>(this) + At.Protocol);
  }

  get checksum(): u32 {
    return Be.load16(changetype<usize>(this) + At.Checksum);
  }

  set checksum(value: u32) {
    Be.store16(changetype<usize>(this) + At.Checksum, value);
  }

  get source(): u32 {
    return Be.load32(changetype<usize>(this) + At.Source);
  }

  set source(value: u32) {
    Be.store32(changetype<usize>(this) + At.Source, value);
  }

  get destination(): u32 {
    return Be.load32(changetype<usize>(this) + At.Destination);
  }

  set destination(value: u32) {
    Be.store32(changetype<usize>(this) + At.Destination, value);
  }

  headerSumIsRight(): bool {
    const at = changetype<usize>(this);
    if (this.headerBytes != Ipv4.BYTES) return checksumOf(at, this.headerBytes) == 0;
    // Without options: all ones is all ones in either order of bytes (RFC 1071 section 2B), so no swaps.
    const words =
      <u64>load<u32>(at) +
      load<u32>(at, 4) +
      load<u32>(at, 8) +
      load<u32>(at, 12) +
      load<u32>(at, 16);
    const halves = (<u32>words & 0xffff) + (<u32>(words >> 16) & 0xffff) + <u32>(words >> 32);
    return (halves & 0xffff) + (halves >> 16) == 0xffff;
  }

  /** Computes the header's checksum anew. */
  refreshChecksum(): void {
    this.checksum = 0;
    this.checksum = checksumOf(changetype<usize>(this), this.headerBytes);
  }

  /** Where the payload begins. */
  get payload(): usize {
    return changetype<usize>(this) + this.headerBytes;
  }

  get payloadBytes(): u32 {
    return this.totalBytes - this.headerBytes;
  }

  /** Writes a header without options, with its checksum; type of service and fragment word are 0. */
  static write(
    at: usize,
    totalBytes: u32,
    identification: u32,
    ttl: u32,
    protocol: u32,
    source: u32,
    destination: u32,
  ): void {
    const ip = changetype<Ipv4>(at);
    store<u8>(at + At.VersionAndLength, 0x45);
    store<u8>(at + At.Tos, 0);
    ip.totalBytes = totalBytes;
    ip.identification = identification;
    ip.fragment = 0;
    ip.ttl = ttl;
    store<u8>(at + At.Protocol, <u8>protocol);
    ip.source = source;
    ip.destination = destination;
    ip.refreshChecksum();
  }
}
