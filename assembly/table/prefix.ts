/**
 * Prefix: longest prefix match on IPv4 addresses for many zones, filled once and then only read.
 *
 * One Map64 over (zone, length, prefix) and, per zone, the set of lengths that occur: a lookup asks once for
 * each of them, longest first. Zones have few lengths (a /24 or two, a default route), so that is two or
 * three probes; 33 at worst.
 *
 *     at       header    64 bytes
 *     at+64    lengths   zones × u64, bit l for a prefix of l bits
 *     then     map       Map64, at the next multiple of 64
 *
 * Limits: zones are indices below 65,536. NONE is no value.
 */

import { Map64 } from "./map";
import { NONE } from "./none";

const HEADER_BYTES: usize = 64;

/** Where the map stands behind the lengths of `zones` zones. */
function mapOffset(zones: u32): usize {
  return (HEADER_BYTES + ((<usize>zones) << 3) + 63) & ~63;
}

/** The bits that a prefix of `length` bits (0 to 32) keeps. */
export function prefixMask(length: u32): u32 {
  return <u32>(<u64>0xffffffff00000000 >> <u64>length);
}

function keyOf(zone: u32, length: u32, prefix: u32): u64 {
  return ((<u64>zone) << 38) | ((<u64>length) << 32) | <u64>prefix;
}

@final
@unmanaged
export class Prefix {
  private zones: u32;

  /** Bytes for `n` prefixes in `zones` zones: a multiple of 64. */
  static bytes(zones: u32, n: u32): usize {
    return mapOffset(zones) + Map64.bytes(n);
  }

  /** An empty table; `key` is secret. */
  static create(at: usize, zones: u32, n: u32, key: u64): Prefix {
    memory.fill(at, 0, mapOffset(zones));
    const table = changetype<Prefix>(at);
    table.zones = zones;
    Map64.create(at + mapOffset(zones), n, key);
    return table;
  }

  static view(at: usize): Prefix {
    return changetype<Prefix>(at);
  }

  /** Prefixes now. */
  get count(): u32 {
    return this.map().count;
  }

  /**
   * Bits of `prefix` behind its `length` (0 to 32) are ignored. False, and nothing changed, when the prefix
   * is there already, the zone or length is out of range, or `n` prefixes are in.
   */
  put(zone: u32, prefix: u32, length: u32, value: u32): bool {
    if (zone >= this.zones || length > 32) return false;
    if (!this.map().put(keyOf(zone, length, prefix & prefixMask(length)), value)) return false;
    const lengths = this.lengths(zone);
    store<u64>(lengths, load<u64>(lengths) | ((<u64>1) << (<u64>length)));
    return true;
  }

  /** The value of the longest prefix in `zone` that `address` begins with, NONE where there is none. */
  find(zone: u32, address: u32): u32 {
    if (zone >= this.zones) return NONE;
    const map = this.map();
    let lengths = load<u64>(this.lengths(zone));
    while (lengths) {
      const length = 63 - <u32>clz<u64>(lengths);
      const value = map.get(keyOf(zone, length, address & prefixMask(length)));
      if (value != NONE) return value;
      lengths ^= (<u64>1) << (<u64>length);
    }
    return NONE;
  }

  private map(): Map64 {
    return Map64.view(changetype<usize>(this) + mapOffset(this.zones));
  }

  private lengths(zone: u32): usize {
    return changetype<usize>(this) + HEADER_BYTES + ((<usize>zone) << 3);
  }
}

if (offsetof<Prefix>() > 64) ERROR("the header of a Prefix is one cache line");
