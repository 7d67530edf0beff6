import t from "tap";
import { AT, internals } from "../../harness/internals.js";

const wasm = await internals(16);
const KEY = 512;
const SIZES = [0, 1, 2, 6, 7, 13, 14, 27, 28, 64, 100, 1000, 8192, 60_000];

function setKey(seed: number): void {
  wasm.bytes.fill(seed, 0, 16);
  wasm.expandSeed(0, KEY, 64);
}

t.test("an empty index has nothing and costs about 9.4 bytes an entry", async (t) => {
  for (const n of SIZES) {
    wasm.indexCreate(AT, n);
    t.equal(wasm.indexCount(AT), 0);
    t.equal(wasm.indexEntriesMax(AT), n);
    t.equal(wasm.indexBytes(n) % 64, 0);
    t.equal(wasm.indexFind(AT, 0n, 0), 0);
    t.equal(wasm.indexRemove(AT, 0n, 0), 0);
  }
  t.ok(wasm.indexBytes(60_000) / 60_000 < 9.5);
});

t.test("create clears what was there and nothing behind it", async (t) => {
  const bytes = wasm.indexBytes(100);
  setKey(1);
  wasm.bytes.fill(0xff, AT, AT + bytes + 64);
  wasm.indexCreate(AT, 100);
  t.equal(wasm.indexFind(AT, 0xffffn, 0xffffffff), 0);
  t.equal(wasm.indexFill(AT, KEY, 100), 100);
  t.ok(wasm.bytes.subarray(AT + bytes, AT + bytes + 64).every((byte) => byte === 0xff));
});

t.test("an entry is found in one of its two buckets, which are never the same", async (t) => {
  for (const n of SIZES) {
    wasm.indexCreate(AT, n);
    const end = AT + wasm.indexBytes(n);
    for (let i = 0; i < 500; i++) {
      const hash = wasm.mix64(BigInt(i + 1));
      const [first, other] = [wasm.indexBucket(AT, hash, 0), wasm.indexBucket(AT, hash, 1)];
      t.not(first, other);
      for (const bucket of [first, other]) {
        if (bucket % 64 !== 0 || bucket < AT + 64 || bucket >= end) t.fail(`${hash} at ${bucket}`);
      }
    }
  }
});

t.test("every promised entry goes in and is found again, whatever the key", async (t) => {
  for (const n of SIZES) {
    for (let key = 0; key < 20; key++) {
      setKey(key);
      wasm.indexCreate(AT, n);
      if (wasm.indexFill(AT, KEY, n) !== n) t.fail(`${n} entries, key ${key}`);
      if (wasm.indexFilled(AT, KEY, n) !== n) t.fail(`${n} entries, key ${key}`);
      t.equal(wasm.indexCount(AT), n);
    }
  }
});

t.test("two steps of moving fill nearly every slot", async (t) => {
  setKey(5);
  wasm.indexCreate(AT, 8192);
  const slots = (wasm.indexBytes(8192) - 64) / 8;
  const load = wasm.indexFill(AT, KEY, slots) / slots;
  t.ok(load > 0.97, `${load} before the first refusal`);
});

t.test("a refused insert changes nothing; every entry is still found", async (t) => {
  setKey(9);
  wasm.indexCreate(AT, 1000);
  const filed = wasm.indexFill(AT, KEY, 100_000);
  t.ok(filed >= 1000 && filed < 100_000, `${filed} before the first refusal`);
  t.equal(wasm.indexCount(AT), filed);
  const bytes = wasm.indexBytes(1000);
  const before = wasm.bytes.slice(AT, AT + bytes);
  t.equal(wasm.indexInsert(AT, wasm.tupleHash(KEY, BigInt(filed), 0n), filed), 0);
  t.same(wasm.bytes.slice(AT, AT + bytes), before);
  t.equal(wasm.indexFilled(AT, KEY, filed), filed);
});

t.test("the same hash: sixteen places and no more, told apart by handle", async (t) => {
  wasm.indexCreate(AT, 1000);
  const hash = 0x123456789abcdef0n;
  for (let handle = 0; handle < 16; handle++) t.equal(wasm.indexInsert(AT, hash, handle), 1);
  t.equal(wasm.indexInsert(AT, hash, 16), 0, "all residents have the same two buckets");
  for (let handle = 0; handle < 16; handle++) t.equal(wasm.indexFind(AT, hash, handle), 1);
  t.equal(wasm.indexRemove(AT, hash, 7), 1);
  t.equal(wasm.indexRemove(AT, hash, 7), 0);
  t.equal(wasm.indexInsert(AT, hash, 16), 1);
  t.equal(wasm.indexFind(AT, hash, 16), 1);
  t.equal(wasm.indexCount(AT), 16);
});

t.test("replace puts one handle in the place of another, and of nothing else", async (t) => {
  wasm.indexCreate(AT, 1000);
  const hash = 0x123456789abcdef0n;
  // more than one bucket of them: both are looked through
  for (let handle = 0; handle < 16; handle++) wasm.indexInsert(AT, hash, handle);
  for (let handle = 0; handle < 16; handle++) {
    t.equal(wasm.indexReplace(AT, hash, handle, 100 + handle), 1);
    t.equal(wasm.indexFind(AT, hash, handle), 0);
    t.equal(wasm.indexFind(AT, hash, 100 + handle), 1);
  }
  t.equal(wasm.indexReplace(AT, hash, 7, 8), 0, "it is not there");
  t.equal(wasm.indexReplace(AT, hash ^ (1n << 63n), 100, 8), 0, "it is elsewhere");
  t.equal(wasm.indexFind(AT, hash, 8), 0);
  t.equal(wasm.indexCount(AT), 16);
  t.equal(wasm.indexRemove(AT, hash, 107), 1, "it is removed like any other");
});

t.test("a tag of zero is a tag like any other", async (t) => {
  wasm.indexCreate(AT, 10);
  const hash = 0xabcd_0000_0000_0000n;
  t.equal(wasm.indexInsert(AT, hash, 0), 1);
  t.equal(wasm.indexFind(AT, hash, 0), 1);
  t.equal(wasm.indexRemove(AT, hash, 0), 1);
  t.equal(wasm.indexFind(AT, hash, 0), 0);
});

t.test("matches is exact for tags that differ in one bit", async (t) => {
  const bucket = AT;
  const view = new DataView(wasm.bytes.buffer);
  for (let bit = 0; bit < 16; bit++) {
    for (const tag of [0x0001, 0x7fff, 0x8000, 0xffff, 0x5aa5]) {
      if ((tag ^ (1 << bit)) === 0) continue;
      for (let mask = 0; mask < 256; mask++) {
        for (let slot = 0; slot < 8; slot++) {
          view.setUint16(bucket + slot * 2, mask & (1 << slot) ? tag : tag ^ (1 << bit), true);
        }
        const found = wasm.indexMatches(bucket, BigInt(tag) | 0xffff_ffff_ffff_0000n);
        if (found !== mask) t.fail(`tag ${tag}, bit ${bit}: ${found} instead of ${mask}`);
      }
    }
  }
});

t.test("touch reads the first bucket", async (t) => {
  wasm.indexCreate(AT, 100);
  const hash = 0x8000_0000_0000_1234n;
  new DataView(wasm.bytes.buffer).setUint32(wasm.indexBucket(AT, hash, 0), 0xfeedbeef, true);
  t.equal(wasm.indexTouch(AT, hash), 0xfeedbeef);
});

t.test("nothing is left behind: a full table can be emptied and filled for ever", async (t) => {
  const n = 1000;
  setKey(3);
  wasm.indexCreate(AT, n);
  wasm.indexFill(AT, KEY, n);
  // each round takes the oldest out and puts a new one in: full all the time
  for (let i = 0; i < 100 * n; i++) {
    const gone = wasm.indexRemove(AT, wasm.tupleHash(KEY, BigInt(i), 0n), i);
    const came = wasm.indexInsert(AT, wasm.tupleHash(KEY, BigInt(i + n), 0n), i + n);
    if (!gone || !came) t.fail(`round ${i}: ${gone} ${came}`);
  }
  t.equal(wasm.indexCount(AT), n);
  for (let i = 100 * n; i < 101 * n; i++) {
    if (!wasm.indexRemove(AT, wasm.tupleHash(KEY, BigInt(i), 0n), i)) t.fail(`lost ${i}`);
  }
  t.equal(wasm.indexCount(AT), 0);
});
