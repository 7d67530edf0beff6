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

import { TupleAt } from "../abi";
import { arena } from "../memory";
import { tupleHash } from "../table/hash";

const TAG_FREE: u64 = 0x00ff_ffff_ffff_ffff;
const PORTS: u64 = 0xffff_ffff;
const DESTINATION_PORT: u64 = 0xffff_0000;

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
    this.write(from.addresses, from.rest);
  }

  /** Becomes what an answer to `from` looks like in the same zone. */
  mirror(from: Tuple): void {
    const rest = from.rest;
    const ports = <u64>rotl<u32>(<u32>rest, 16);
    this.write(rotl<u64>(from.addresses, 32), (rest & ~PORTS) | ports);
  }

  /** Becomes the same as `from` without its destination, or as much of that as is kept, and with no tag. */
  copySource(from: Tuple, keepsAddress: bool, keepsPort: bool): void {
    const addresses = keepsAddress ? from.addresses : <u64>from.source;
    const rest = keepsPort ? from.rest : from.rest & ~DESTINATION_PORT;
    store<u64>(changetype<usize>(this), addresses);
    store<u64>(changetype<usize>(this), rest, 8);
  }

  /** Goes to another endpoint. */
  leadTo(destination: u32, port: u32): void {
    const addresses = <u64>this.source | ((<u64>destination) << 32);
    store<u64>(changetype<usize>(this), addresses);
    const rest = load<u64>(changetype<usize>(this), 8) & ~DESTINATION_PORT;
    store<u64>(changetype<usize>(this), rest | ((<u64>port) << 16), 8);
  }

  /** All but the tag, in whole words as in `fill`. */
  private write(addresses: u64, rest: u64): void {
    store<u64>(changetype<usize>(this), addresses);
    store<u64>(changetype<usize>(this), rest | ((<u64>this.tag) << 56), 8);
  }
}
if (offsetof<Tuple>() != TupleAt.Bytes) ERROR("a Tuple is 16 bytes");
if (offsetof<Tuple>("source") != TupleAt.Source) ERROR("a Tuple's source is where abi has it");
if (offsetof<Tuple>("zone") != TupleAt.Zone) ERROR("a Tuple's zone is where abi has it");
if (offsetof<Tuple>("protocol") != TupleAt.Protocol)
  ERROR("a Tuple's protocol is where abi has it");
if (offsetof<Tuple>("tag") != 15) ERROR("a Tuple's tag is its last byte");
