import fc from "fast-check";
import t from "tap";
import { AT, internals } from "../harness/internals.js";
import { holds } from "../harness/property.js";

const wasm = await internals();

/** Few keys, so that many are equal, and the ends of 64 bits. */
const keys = fc.oneof(
  fc.nat(20).map(BigInt),
  fc.constantFrom(0n, 2n ** 63n, 2n ** 64n - 1n),
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
);

holds(
  t,
  "it keeps the lowest ranks of all that came, in order, whatever the order they came in",
  fc.property(fc.nat(40), fc.array(keys, { maxLength: 400 }), fc.nat(), (room, all, seed) => {
    wasm.bestCreate(AT, room);
    // Each index once, in any order.
    const entries = all.map((key, i) => ({ key, index: (i * 7919 + seed) % 4001, stamp: i }));
    for (const { key, index, stamp } of entries) wasm.bestAdd(AT, key, index, stamp);
    wasm.bestSort(AT);
    const expected = [...entries]
      .sort((a, b) => (a.key === b.key ? a.index - b.index : a.key < b.key ? -1 : 1))
      .slice(0, room);
    if (wasm.bestCount(AT) !== expected.length) throw new Error(`${wasm.bestCount(AT)} kept`);
    expected.forEach(({ key, index, stamp }, i) => {
      const found = [wasm.bestKey(AT, i), wasm.bestIndex(AT, i), wasm.bestStamp(AT, i)];
      if (found.join() !== [key, index, stamp].join()) throw new Error(`${i}: ${found}`);
    });
  }),
);

t.test("nothing is written behind the last entry", async (t) => {
  const room = 5;
  const end = AT + wasm.bestBytes(room);
  wasm.bytes.fill(0xa5, end, end + 64);
  wasm.bestCreate(AT, room);
  for (let i = 0; i < 100; i++) wasm.bestAdd(AT, BigInt(100 - i), i, i);
  wasm.bestSort(AT);
  t.ok(wasm.bytes.subarray(end, end + 64).every((byte) => byte === 0xa5));
});
