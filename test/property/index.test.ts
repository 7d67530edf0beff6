import fc from "fast-check";
import t from "tap";
import { AT, internals } from "../harness/internals.js";
import { holds } from "../harness/property.js";

const wasm = await internals(16);
const KEY = 512;

/** Hashes of few buckets and fewer tags: everything collides with something. */
const crowdedHash = fc
  .tuple(fc.nat(15), fc.constantFrom(0n, 1n, 2n, 0x7fffn, 0x8000n, 0xffffn))
  .map(([bucket, tag]) => (BigInt(bucket) << 60n) | tag);
const anyHash = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });

const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ insert: fc.oneof(crowdedHash, anyHash) }) },
  { weight: 2, arbitrary: fc.record({ remove: fc.nat() }) },
);

holds(
  t,
  "whatever is inserted and removed, the index finds exactly what is in it",
  fc.property(fc.nat(64), fc.array(step, { maxLength: 300 }), (entriesMax, steps) => {
    wasm.indexCreate(AT, entriesMax);
    const filed = new Map<number, bigint>();
    for (const [handle, step] of steps.entries()) {
      if ("insert" in step) {
        // a refusal is right when one pair of buckets holds all it can; it must not lose anything
        if (wasm.indexInsert(AT, step.insert, handle)) filed.set(handle, step.insert);
      } else {
        const [gone, hash] = [...filed][step.remove % Math.max(filed.size, 1)] ?? [handle, 0n];
        const there = filed.delete(gone) ? 1 : 0;
        if (wasm.indexRemove(AT, hash, gone) !== there) throw new Error(`remove ${gone}`);
        if (wasm.indexFind(AT, hash, gone) !== 0) throw new Error(`${gone} is still there`);
      }
      if (wasm.indexCount(AT) !== filed.size) throw new Error("count");
    }
    for (const [handle, hash] of filed) {
      if (wasm.indexFind(AT, hash, handle) !== 1) throw new Error(`lost ${handle}`);
    }
  }),
);

holds(
  t,
  "up to entriesMax there is always room, whatever the key",
  fc.property(
    fc.oneof(fc.nat(100), fc.nat(20_000)),
    fc.uint8Array({ minLength: 16, maxLength: 16 }),
    (n, seed) => {
      wasm.bytes.set(seed, 0);
      wasm.expandSeed(0, KEY, 64);
      wasm.indexCreate(AT, n);
      return wasm.indexFill(AT, KEY, n) === n && wasm.indexFilled(AT, KEY, n) === n;
    },
  ),
);
