/**
 * IP identifications where many hosts share one source (RFC 6864 section 4.3, RFC 7857 section 9).
 *
 * Two hosts behind one address may choose the same identification, and a receiver would put pieces of their
 * datagrams together. So where a translation gives a packet a new source, it gets a new identification as
 * well, unless it is atomic: never a piece, nor ever to be cut into pieces.
 *
 * A table of 16-bit counters, one for all (source, destination, protocol) whose keyed hash leads to it. So
 * a value comes again after 65,536 datagrams of the counter, not sooner. Where each begins, and which is
 * whose, nobody without the seed can tell. The hash is multiply-shift (M. Dietzfelbinger et al., 1997), one
 * multiplication by a secret: it is in the way of every packet out, and whom it puts together harms nobody.
 */

import { arena, IDENTIFICATIONS, identifications } from "../memory";
import { sipHash } from "../table/hash";

/** Bytes into the key of tuples where that of this table begins: the hash of tuples reads those before. */
const KEY_AT: usize = 24;
/** Sets the draws that fill the table apart from those that choose ports. */
const DRAW: u64 = 1 << 63;
/** Leaves the highest bits, as many as a counter's number has. */
const HASH_SHIFT: u64 = 53;
/** A number of 16 bits, times this, stands in each of the four of a word. */
const IN_EACH: u64 = 0x0001000100010001;
if (IDENTIFICATIONS != 1 << 11) ERROR("the hash has eleven bits");

/**
 * Each counter begins at random. Needed once, when the arena is laid out. Workers that share the sources (nat/owner.ts)
 * count in steps, each between the others.
 */
export function startIdentifications(): void {
  arena.identificationStep = 1;
  while (arena.identificationStep < arena.workers) arena.identificationStep <<= 1;
  const random = ~(<u64>(arena.identificationStep - 1) * IN_EACH);
  for (let i: u32 = 0; i < IDENTIFICATIONS; i += 4) {
    const at = identifications + ((<usize>i) << 1);
    const first = sipHash(arena.portKey, DRAW | i) & random;
    store<u64>(at, first | (<u64>arena.worker * IN_EACH));
  }
}

/** The identification of the next datagram from `source` to `destination`. */
export function nextIdentification(source: u32, destination: u32, protocol: u32): u32 {
  const addresses = <u64>source | ((<u64>destination) << 32);
  const multiplier = load<u64>(arena.tupleKey + KEY_AT) | 1;
  const hash = ((addresses ^ ((<u64>protocol) << 28)) * multiplier) >> HASH_SHIFT;
  const at = identifications + ((<usize>hash) << 1);
  const next = load<u16>(at);
  store<u16>(at, <u16>(next + arena.identificationStep));
  return next;
}
