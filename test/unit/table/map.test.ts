import t from "tap";
import { AT, internals, NONE } from "../../harness/internals.js";

const wasm = await internals();
const SECRET = 0x0123456789abcdefn;

t.test("what was put is got, also for the keys and values at the ends", async (t) => {
  wasm.mapCreate(AT, 10, SECRET);
  const keys = [0n, 1n, 2n ** 63n, 2n ** 64n - 1n, SECRET];
  for (const [value, key] of keys.entries()) t.equal(wasm.mapPut(AT, key, value), 1);
  for (const [value, key] of keys.entries()) t.equal(wasm.mapGet(AT, key), value);
  t.equal(wasm.mapGet(AT, 2n), NONE);
  t.equal(wasm.mapCount(AT), 5);
});

t.test("a key is put once", async (t) => {
  wasm.mapCreate(AT, 10, SECRET);
  t.equal(wasm.mapPut(AT, 5n, 1), 1);
  t.equal(wasm.mapPut(AT, 5n, 2), 0);
  t.equal(wasm.mapGet(AT, 5n), 1);
  t.equal(wasm.mapCount(AT), 1);
});

t.test("it takes as many as it was made for and stays within its bytes", async (t) => {
  for (const n of [0, 1, 2, 3, 4, 5, 100, 1024, 1025]) {
    const bytes = wasm.mapBytes(n);
    t.equal(bytes % 64, 0);
    t.ok((bytes - 64) / 16 >= 2 * n, "at most half full");
    wasm.bytes.fill(0xaa, AT, AT + bytes + 64);
    wasm.mapCreate(AT, n, SECRET);
    for (let i = 0; i < n; i++) t.equal(wasm.mapPut(AT, BigInt(i) << 20n, i), 1);
    t.equal(wasm.mapPut(AT, 3n, 0), 0);
    t.equal(wasm.mapGet(AT, 3n), NONE);
    for (let i = 0; i < n; i++) t.equal(wasm.mapGet(AT, BigInt(i) << 20n), i);
    t.ok(wasm.bytes.subarray(AT + bytes, AT + bytes + 64).every((byte) => byte === 0xaa));
  }
});
