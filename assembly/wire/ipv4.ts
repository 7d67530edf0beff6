/** The IPv4 header (RFC 791), checked as RFC 1812 section 5.2.2 asks. Options are carried, not read. */

import { Be } from "./bytes";
import { adjust, change16, change64, checksumOf } from "./checksum";

/** Protocol numbers (IANA). */
export enum IpProtocol {
  Icmp = 1,
  Tcp = 6,
  Udp = 17,
  Dccp = 33,
  Sctp = 132,
  UdpLite = 136,
}

/** Version 4 and a header without options. */
const PLAIN: u32 = 0x45;
/** The inverse of 65,535 modulo 2^64, and the largest product of a multiple with it: 2^64 / 65,535. */
const INVERSE: u64 = 0xfffefffefffeffff;
const MULTIPLES: u64 = 0x0001000100010001;

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
    if (available < Ipv4.BYTES) return false;
    const total = this.totalBytes;
    if (total > available) return false;
    if (this.isPlain) return total >= Ipv4.BYTES;
    const header = this.headerBytes;
    return this.version == 4 && header >= Ipv4.BYTES && header <= total;
  }

  /** Whether its header has no options, and is one of version 4. */
  get isPlain(): bool {
    return <u32>load<u8>(changetype<usize>(this) + At.VersionAndLength) == PLAIN;
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
    return this.hasBits(FragmentBit.DontFragment);
  }

  get moreFragments(): bool {
    return (this.fragment & FragmentBit.MoreFragments) != 0;
  }

  /** Whether any of these bits of the word `fragment` is set; asked in the order of the wire. */
  private hasBits(bits: u32): bool {
    return (load<u16>(changetype<usize>(this) + At.Fragment) & bswap<u16>(<u16>bits)) != 0;
  }

  /** Bytes: eight times the field. */
  get fragmentOffset(): u32 {
    return (this.fragment & FragmentBit.Offset) << 3;
  }

  /** A piece of a datagram: the first, the last or one between. */
  get isFragment(): bool {
    return this.hasBits(FragmentBit.MoreFragments | FragmentBit.Offset);
  }

  /** Neither a piece nor to be cut into pieces: its identification means nothing (RFC 6864 section 4). */
  get isAtomic(): bool {
    return this.hasBits(FragmentBit.DontFragment) && !this.isFragment;
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

  /** Which 64th of the address space an address is in: 0 to 63. */
  get sourceBlock(): u32 {
    return <u32>load<u8>(changetype<usize>(this) + At.Source) >> 2;
  }
  get destinationBlock(): u32 {
    return <u32>load<u8>(changetype<usize>(this) + At.Destination) >> 2;
  }

  get destination(): u32 {
    return Be.load32(changetype<usize>(this) + At.Destination);
  }

  set destination(value: u32) {
    Be.store32(changetype<usize>(this) + At.Destination, value);
  }

  headerSumIsRight(): bool {
    const at = changetype<usize>(this);
    if (!this.isPlain) return checksumOf(at, this.headerBytes) == 0;
    // In either order of bytes (RFC 1071 section 2B) it is right when it is a multiple of 65,535, which no
    // header makes 0. A multiple is what its inverse makes small (T. Granlund and P. Montgomery, 1994).
    const words =
      <u64>load<u32>(at) +
      load<u32>(at, 4) +
      load<u32>(at, 8) +
      load<u32>(at, 12) +
      load<u32>(at, 16);
    return words * INVERSE <= MULTIPLES;
  }

  /**
   * Source, destination and two ports in host order, and the four bytes of `rest` behind them. The ports are
   * the first two words of whatever stands at `transport`.
   */
  endpoints(transport: usize, rest: u32): v128 {
    const addresses = v128.load_zero<u64>(changetype<usize>(this), At.Source);
    const ports = v128.load_lane<u32>(transport, addresses, 2);
    const all = i32x4.replace_lane(ports, 3, rest);
    return v128.shuffle<u8>(all, all, 3, 2, 1, 0, 7, 6, 5, 4, 9, 8, 11, 10, 12, 13, 14, 15);
  }

  /**
   * What a packet has on the wire that is the mirror of a tuple (source, destination, both ports in host order):
   * two addresses, and the two ports behind them.
   */
  static mirrorOf(tuple: v128): v128 {
    return v128.shuffle<u8>(tuple, tuple, 7, 6, 5, 4, 3, 2, 1, 0, 11, 10, 9, 8, 12, 13, 14, 15);
  }

  /**
   * Puts the addresses of `mirrorOf` in. Like all that changes a header step by step, it returns what that adds
   * to a sum in the order of the wire (wire/checksum.ts), for `adjustChecksum` to take in.
   */
  readdress(mirror: v128): u64 {
    const at = changetype<usize>(this) + At.Source;
    const from = load<u64>(at);
    const to = i64x2.extract_lane(mirror, 0);
    store<u64>(at, to);
    return change64(from, to);
  }

  /** Puts another identification in. */
  renumber(identification: u32): u64 {
    const at = changetype<usize>(this) + At.Identification;
    const from = load<u16>(at);
    this.identification = identification;
    return change16(from, load<u16>(at));
  }

  /** One hop more; the time to live is not 0. */
  age(): u64 {
    const at = changetype<usize>(this) + At.Ttl;
    const from = load<u16>(at);
    store<u8>(at, <u8>(from - 1));
    return change16(from, from - 1);
  }

  /** Takes a hop back, checksum and all. */
  rejuvenate(): void {
    const at = changetype<usize>(this) + At.Ttl;
    const from = load<u16>(at);
    store<u8>(at, <u8>(from + 1));
    this.adjustChecksum(change16(from, from + 1));
  }

  adjustChecksum(change: u64): void {
    const at = changetype<usize>(this) + At.Checksum;
    store<u16>(at, <u16>adjust(load<u16>(at), change));
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
