import t from "tap";
import { AT, internals } from "../../harness/internals.js";

const wasm = await internals();
const KEY = AT;
const INTO = 4096;

const u32 = (value: bigint) => BigInt.asUintN(32, value);
const u64 = (value: bigint) => BigInt.asUintN(64, value);
const rotl = (value: bigint, by: bigint) => u64((value << by) | (value >> (64n - by)));
const wordAt = (at: number) => new DataView(wasm.bytes.buffer).getBigUint64(at, true);

/** SipHash-2-4 of one 8-byte message, as in the paper's appendix. */
function sipModel(key0: bigint, key1: bigint, message: bigint): bigint {
  let [v0, v1, v2, v3] = [
    key0 ^ 0x736f6d6570736575n,
    key1 ^ 0x646f72616e646f6dn,
    key0 ^ 0x6c7967656e657261n,
    key1 ^ 0x7465646279746573n,
  ];
  const rounds = (n: number) => {
    for (let i = 0; i < n; i++) {
      v0 = u64(v0 + v1);
      v1 = rotl(v1, 13n) ^ v0;
      v0 = rotl(v0, 32n);
      v2 = u64(v2 + v3);
      v3 = rotl(v3, 16n) ^ v2;
      v0 = u64(v0 + v3);
      v3 = rotl(v3, 21n) ^ v0;
      v2 = u64(v2 + v1);
      v1 = rotl(v1, 17n) ^ v2;
      v2 = rotl(v2, 32n);
    }
  };
  for (const block of [message, 8n << 56n]) {
    v3 ^= block;
    rounds(2);
    v0 ^= block;
  }
  v2 ^= 0xffn;
  rounds(4);
  return v0 ^ v1 ^ v2 ^ v3;
}

function mixModel(value: bigint): bigint {
  let mixed = value ^ (value >> 33n);
  mixed = u64(mixed * 0xff51afd7ed558ccdn);
  mixed ^= mixed >> 33n;
  mixed = u64(mixed * 0xc4ceb9fe1a85ec53n);
  return mixed ^ (mixed >> 33n);
}

/** RFC 4418 section 5.2.2 with one pair of words per half, then the finaliser. */
function tupleModel(word0: bigint, word1: bigint): bigint {
  const [k01, k23] = [wordAt(KEY), wordAt(KEY + 8)];
  const first = u32(u32(word0) + u32(k01)) * u32((word0 >> 32n) + (k01 >> 32n));
  const second = u32(u32(word1) + u32(k23)) * u32((word1 >> 32n) + (k23 >> 32n));
  return mixModel(u64(first + second) ^ wordAt(KEY + 16));
}

/** Some u64 that look like nothing. */
const samples = Array.from({ length: 64 }, (_, i) => mixModel(BigInt(i + 1)));

function setKey(from = 0): void {
  for (let i = 0; i < 64; i++) wasm.bytes[KEY + i] = from + i;
}

t.test("SipHash-2-4: the reference vector of 8 bytes 00..07 under key 00..0f", async (t) => {
  setKey();
  t.equal(wasm.sipHash(KEY, 0x0706050403020100n), 0x93f5f5799a932462n);
});

t.test("SipHash-2-4: any message and key", async (t) => {
  setKey(100);
  for (const sample of [0n, u64(-1n), ...samples]) {
    t.equal(wasm.sipHash(KEY, sample), sipModel(wordAt(KEY), wordAt(KEY + 8), sample));
  }
});

t.test("expandSeed is SipHash in counter mode and writes no byte more than asked", async (t) => {
  setKey();
  for (const bytes of [0, 1, 7, 8, 9, 64, 127, 128]) {
    wasm.bytes.fill(0xaa, INTO, INTO + 256);
    wasm.expandSeed(KEY, INTO, bytes);
    const expected = Buffer.alloc(136);
    for (let i = 0; i < 17; i++) {
      expected.writeBigUInt64LE(sipModel(wordAt(KEY), wordAt(KEY + 8), BigInt(i)), i * 8);
    }
    t.same(Buffer.from(wasm.bytes.subarray(INTO, INTO + bytes)), expected.subarray(0, bytes));
    t.ok(wasm.bytes.subarray(INTO + bytes, INTO + 256).every((byte) => byte === 0xaa));
  }
});

t.test("mix64: MurmurHash3's finaliser", async (t) => {
  t.equal(wasm.mix64(0n), 0n);
  t.equal(wasm.mix64(1n), 0xb456bcfc34c2cb2cn);
  for (const sample of samples) t.equal(wasm.mix64(sample), mixModel(sample));
});

t.test("tupleHash: NH of RFC 4418 and a keyed finaliser", async (t) => {
  for (const from of [0, 77, 200]) {
    setKey(from);
    samples.forEach((sample, i) => {
      const other = samples[samples.length - 1 - i] ?? 0n;
      t.equal(wasm.tupleHash(KEY, sample, other), tupleModel(sample, other));
    });
  }
});

t.test("tupleHash: each byte of the key counts", async (t) => {
  setKey();
  const [word0 = 0n, word1 = 0n] = samples;
  const before = wasm.tupleHash(KEY, word0, word1);
  for (let i = 0; i < 24; i++) {
    setKey();
    wasm.bytes[KEY + i] = 0xee;
    t.not(wasm.tupleHash(KEY, word0, word1), before, `byte ${i}`);
  }
});

t.test("tupleHash: neighboring tuples spread evenly over both halves", async (t) => {
  setKey(33);
  const low = new Array<number>(64).fill(0);
  const high = new Array<number>(64).fill(0);
  const count = (bins: number[], bin: bigint) => {
    bins[Number(bin)] = (bins[Number(bin)] ?? 0) + 1;
  };
  const n = 64 * 512;
  for (let i = 0; i < n; i++) {
    const hash = wasm.tupleHash(KEY, 0xc0a8000a_08080808n, BigInt(i) << 16n);
    count(low, hash & 63n);
    count(high, hash >> 58n);
  }
  // 512 expected, a standard deviation of 22.4: six of them
  for (const count of [...low, ...high]) t.ok(Math.abs(count - 512) < 135, `${count}`);
});
