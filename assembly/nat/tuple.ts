/**
 * A tuple: what one direction of a connection looks like on the wire, and the zone it is seen in.
 *
 *      0         4              8            10                 12     14         15
 *      ├─────────┼──────────────┼────────────┼──────────────────┼──────┼──────────┼──────┐
 *      │ source  │ destination  │ sourcePort │ destinationPort  │ zone │ protocol │ tag  │
 *      └─────────┴──────────────┴────────────┴──────────────────┴──────┴──────────┴──────┘
 *
 * Two 64-bit words that compare and hash as such; `tag` is the owner's to use and takes no part.
 * ICMP queries have ports, too: see nat/query.ts.
 */

import { arena } from "../memory";
import { tupleHash } from "../table/hash";

const TAG_FREE: u64 = 0x00ff_ffff_ffff_ffff;

@unmanaged
export class Tuple {
  source: u32;
  destination: u32;
  sourcePort: u16;
  destinationPort: u16;
  /** The zone's number. */
  zone: u16;
  protocol: u8;
  tag: u8;

  static view(at: usize): Tuple {
    return changetype<Tuple>(at);
  }

  get addresses(): u64 {
    return load<u64>(changetype<usize>(this));
  }
  get rest(): u64 {
    return load<u64>(changetype<usize>(this), 8) & TAG_FREE;
  }

  /** Both words in one. */
  get whole(): v128 {
    return v128.load(changetype<usize>(this));
  }

  get hash(): u64 {
    return tupleHash(arena.tupleKey, this.addresses, this.rest);
  }

  /**
   * Fills in all but the tag, which becomes 0, and returns the hash. Whole words, since a load that spans
   * several smaller stores waits for all of them (12 cycles on x86).
   */
  fill(
    source: u32,
    destination: u32,
    sourcePort: u32,
    destinationPort: u32,
    zone: u32,
    protocol: u32,
  ): u64 {
    const addresses = <u64>source | ((<u64>destination) << 32);
    const low = <u64>(sourcePort | (destinationPort << 16));
    const rest = low | ((<u64>(zone | (protocol << 16))) << 32);
    store<u64>(changetype<usize>(this), addresses);
    store<u64>(changetype<usize>(this), rest, 8);
    return tupleHash(arena.tupleKey, addresses, rest);
  }

  /** The same from a whole tuple in one word. */
  fillWhole(tuple: v128): u64 {
    v128.store(changetype<usize>(this), tuple);
    const addresses = i64x2.extract_lane(tuple, 0);
    return tupleHash(arena.tupleKey, addresses, i64x2.extract_lane(tuple, 1));
  }

  equals(other: Tuple): bool {
    const rest = load<u64>(changetype<usize>(this), 8);
    const different = rest ^ load<u64>(changetype<usize>(other), 8);
    return this.addresses == other.addresses && (different & TAG_FREE) == 0;
  }

  /** Becomes the same as `from`, the tag excepted. */
  copy(from: Tuple): void {
    this.source = from.source;
    this.destination = from.destination;
    this.sourcePort = from.sourcePort;
    this.destinationPort = from.destinationPort;
    this.zone = from.zone;
    this.protocol = from.protocol;
  }

  /** Becomes what an answer to `from` looks like in the same zone. */
  mirror(from: Tuple): void {
    this.source = from.destination;
    this.destination = from.source;
    this.sourcePort = from.destinationPort;
    this.destinationPort = from.sourcePort;
    this.zone = from.zone;
    this.protocol = from.protocol;
  }
}
if (offsetof<Tuple>() != 16) ERROR("a Tuple is 16 bytes");
if (offsetof<Tuple>("tag") != 15) ERROR("a Tuple's tag is its last byte");
