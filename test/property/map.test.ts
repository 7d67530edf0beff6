import fc from "fast-check";
import t from "tap";
import { AT, internals, NONE } from "../harness/internals.js";
import { holds } from "../harness/property.js";

const wasm = await internals();

const key = fc.oneof(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.bigInt({ min: 0n, max: 20n }));

holds(
  t,
  "Map64 is a map that never forgets and takes no more than it was made for",
  fc.property(
    fc.nat(100),
    fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    fc.array(fc.tuple(key, fc.nat(NONE - 1)), { maxLength: 120 }),
    fc.array(key),
    (n, secret, pairs, strangers) => {
      wasm.mapCreate(AT, n, secret);
      const model = new Map<bigint, number>();
      for (const [key, value] of pairs) {
        const fits = !model.has(key) && model.size < n;
        if (fits) model.set(key, value);
        if (wasm.mapPut(AT, key, value) !== (fits ? 1 : 0)) throw new Error(`put ${key}`);
      }
      if (wasm.mapCount(AT) !== model.size) throw new Error("count");
      for (const key of [...pairs.map(([key]) => key), ...strangers]) {
        if (wasm.mapGet(AT, key) !== (model.get(key) ?? NONE)) throw new Error(`get ${key}`);
      }
    },
  ),
);
