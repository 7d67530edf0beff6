/**
 * The Internet checksum: whole (RFC 1071) and incremental (RFC 1624).
 *
 * A sum is a u32 over 16-bit words in host order, not yet folded; sums and deltas are added with + as long
 * as they stay below 2^32 (65,000 of them do). A checksum is the complement of a folded sum, 16 bits, as
 * it stands in a header.
 */

/** Sum of `bytes` bytes at `at`, on top of `initial`. Only the last piece of several may be odd. */
export function sum(at: usize, bytes: u32, initial: u32 = 0): u32 {
  // RFC 1071 section 2 (B) and (C): words may be added in the machine's own order, several at a time
  let total: u64 = 0;
  let place = at;
  let left = bytes;
  while (left >= 16) {
    const first = load<u64>(place);
    const second = load<u64>(place, 8);
    total += (first & 0xffffffff) + (first >> 32) + (second & 0xffffffff) + (second >> 32);
    place += 16;
    left -= 16;
  }
  while (left >= 4) {
    total += <u64>load<u32>(place);
    place += 4;
    left -= 4;
  }
  if (left & 2) {
    total += <u64>load<u16>(place);
    place += 2;
  }
  if (left & 1) total += <u64>load<u8>(place);
  total = (total & 0xffffffff) + (total >> 32);
  total = (total & 0xffffffff) + (total >> 32);
  const halves = (<u32>total & 0xffff) + (<u32>total >> 16);
  return initial + <u32>bswap<u16>(<u16>fold(halves));
}

/** The sum in 16 bits, with every carry added back in. */
export function fold(sum: u32): u32 {
  const once = (sum & 0xffff) + (sum >> 16);
  return (once & 0xffff) + (once >> 16);
}

/** The checksum of `bytes` bytes, whose checksum field must be zero; 0 when it is right in place. */
export function checksumOf(at: usize, bytes: u32): u32 {
  return fold(sum(at, bytes)) ^ 0xffff;
}

/** Sum of the pseudo-header of TCP (RFC 9293 section 3.1) and UDP (RFC 768); `bytes` of header and data. */
export function pseudoHeader(source: u32, destination: u32, protocol: u32, bytes: u32): u32 {
  const addresses =
    (source >> 16) + (source & 0xffff) + (destination >> 16) + (destination & 0xffff);
  return addresses + protocol + (bytes & 0xffff) + (bytes >> 16);
}

/** What a 16-bit word that changes adds to the sum. */
export function delta16(from: u32, to: u32): u32 {
  return (~from & 0xffff) + (to & 0xffff);
}

/** What a 32-bit word that changes adds to the sum. */
export function delta32(from: u32, to: u32): u32 {
  return delta16(from >> 16, to >> 16) + delta16(from, to);
}

/**
 * The checksum after a change that adds `delta`, itself a delta or the sum of several: RFC 1624 section 3,
 * equation 3, HC' = ~(~HC + ~m + m').
 *
 * Never 0xffff, which says that everything summed is zero: that cannot be in an IPv4 header nor behind a
 * pseudo-header, and receivers that compute anew take it for an error (RFC 1624 sections 3 and 5). ICMP
 * has no pseudo-header: where this gives 0 for an ICMP message, which may be all zeros (an echo reply),
 * the checksum must be computed whole. For UDP use `applyUdp`.
 */
export function apply(checksum: u32, delta: u32): u32 {
  const folded = fold((~checksum & 0xffff) + fold(delta));
  return folded ? folded ^ 0xffff : 0;
}

/** `apply` for UDP: 0 means that the sender computed none and stays, a computed 0 becomes 0xffff (RFC 768). */
export function applyUdp(checksum: u32, delta: u32): u32 {
  if (!checksum) return 0;
  const applied = apply(checksum, delta);
  return applied ? applied : 0xffff;
}

/**
 * The same without swapping bytes: a sum of words as they stand in memory has the checksum as it stands in memory
 * (RFC 1071 section 2B). Such sums are 64 bits wide and not folded; `change64` and its like say what a word that
 * changes adds to one.
 */
export function adjust(checksum: u32, change: u64): u32 {
  const folded = foldWide((~checksum & 0xffff) + change);
  return folded ? folded ^ 0xffff : 0;
}

/** `adjust` for UDP, as `applyUdp`. */
export function adjustUdp(checksum: u32, change: u64): u32 {
  if (!checksum) return 0;
  const adjusted = adjust(checksum, change);
  return adjusted ? adjusted : 0xffff;
}

export function change16(from: u32, to: u32): u64 {
  return (~from & 0xffff) + to;
}

export function change32(from: u32, to: u32): u64 {
  return <u64>~from + <u64>to;
}

export function change64(from: u64, to: u64): u64 {
  return change32(<u32>from, <u32>to) + change32(<u32>(from >> 32), <u32>(to >> 32));
}

/** The sum in 16 bits: halves that are added with the carry between them, twice. */
function foldWide(sum: u64): u32 {
  const once = <u32>((sum + rotl<u64>(sum, 32)) >> 32);
  return (once + rotl<u32>(once, 16)) >> 16;
}

/** The checksum after a 16-bit word has changed. */
export function update16(checksum: u32, from: u32, to: u32): u32 {
  return apply(checksum, delta16(from, to));
}

/** The checksum after a 32-bit word has changed. */
export function update32(checksum: u32, from: u32, to: u32): u32 {
  return apply(checksum, delta32(from, to));
}
