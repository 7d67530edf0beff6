/**
 * Keyed hashes.
 *
 * A tenant chooses addresses and ports, so whoever can find tuples that fall together can fill one bucket
 * and slow down, or shut out, everybody else. `tupleHash` is for the packet path: NH of UMAC (RFC 4418
 * section 5.2.2), whose collision probability of 2^-32 is proven for whoever does not know the key, at the
 * price of two multiplications. `sipHash` is for what must not be foreseen (port choices, keys): SipHash-2-4
 * (Aumasson and Bernstein, 2012), a pseudo-random function, five times dearer.
 */

/** Bytes of secret that `tupleHash` is handed; it reads the first 24. */
export const TUPLE_KEY_BYTES: u32 = 64;

/** The multipliers of MurmurHash3's 64-bit finaliser (A. Appleby). */
const MIX_FIRST: u64 = 0xff51afd7ed558ccd;
const MIX_SECOND: u64 = 0xc4ceb9fe1a85ec53;

/** A bijection of 64 bits in which every input bit reaches every output bit. */
export function mix64(value: u64): u64 {
  let mixed = value ^ (value >> 33);
  mixed *= MIX_FIRST;
  mixed ^= mixed >> 33;
  mixed *= MIX_SECOND;
  return mixed ^ (mixed >> 33);
}

/**
 * Hash of a 16-byte tuple. `key` points at 64 bytes of secret.
 *
 * NH alone leaves its low bits weak (a product is even three times out of four), while the index takes
 * its bucket from the high and its tag from the low half. The finaliser is a bijection, so it adds no
 * collision to the proven ones; its key keeps the NH sum, and with it the key of NH, from being read back.
 */
export function tupleHash(key: usize, word0: u64, word1: u64): u64 {
  const first = <u64>(<u32>word0 + load<u32>(key)) * <u64>(<u32>(word0 >> 32) + load<u32>(key, 4));
  const second =
    <u64>(<u32>word1 + load<u32>(key, 8)) * <u64>(<u32>(word1 >> 32) + load<u32>(key, 12));
  return mix64((first + second) ^ load<u64>(key, 16));
}

/** SipHash-2-4 of one 8-byte message (little-endian), with the 16-byte key at `key`. */
export function sipHash(key: usize, message: u64): u64 {
  const key0 = load<u64>(key);
  const key1 = load<u64>(key, 8);
  // the last block: no bytes are left, the length goes into its highest byte
  const last: u64 = 8 << 56;
  let v0: u64 = key0 ^ 0x736f6d6570736575;
  let v1: u64 = key1 ^ 0x646f72616e646f6d;
  let v2: u64 = key0 ^ 0x6c7967656e657261;
  let v3: u64 = key1 ^ 0x7465646279746573 ^ message;
  // two rounds for the message, two for the last block, four to finish
  for (let round: u32 = 0; round < 8; round++) {
    if (round == 2) {
      v0 ^= message;
      v3 ^= last;
    } else if (round == 4) {
      v0 ^= last;
      v2 ^= 0xff;
    }
    v0 += v1;
    v1 = rotl<u64>(v1, 13) ^ v0;
    v0 = rotl<u64>(v0, 32);
    v2 += v3;
    v3 = rotl<u64>(v3, 16) ^ v2;
    v0 += v3;
    v3 = rotl<u64>(v3, 21) ^ v0;
    v2 += v1;
    v1 = rotl<u64>(v1, 17) ^ v2;
    v2 = rotl<u64>(v2, 32);
  }
  return v0 ^ v1 ^ v2 ^ v3;
}

/** Fills `bytes` bytes at `into` from the 16-byte `seed`: SipHash of 0, 1, 2 …, each little-endian. */
export function expandSeed(seed: usize, into: usize, bytes: u32): void {
  const whole = bytes & ~7;
  for (let done: u32 = 0; done < whole; done += 8) {
    store<u64>(into + done, sipHash(seed, <u64>(done >> 3)));
  }
  let rest = sipHash(seed, <u64>(whole >> 3));
  for (let done = whole; done < bytes; done++) {
    store<u8>(into + done, <u8>rest);
    rest >>= 8;
  }
}
