import fc from "fast-check";
import t from "tap";
import { AT, internals, NONE } from "../harness/internals.js";
import { holds } from "../harness/property.js";

const wasm = await internals();

holds(
  t,
  "an index has one holder; take fails only when all are taken",
  fc.property(
    fc.nat(40),
    fc.array(fc.oneof(fc.constant(undefined), fc.nat(45)), { maxLength: 300 }),
    (n, steps) => {
      wasm.slabCreate(AT, n);
      const taken = new Set<number>();
      for (const given of steps) {
        if (given === undefined) {
          const i = wasm.slabTake(AT);
          if ((i === NONE) !== (taken.size === n)) throw new Error(`take gave ${i}`);
          if (i !== NONE && (i >= n || taken.has(i))) throw new Error(`take gave ${i}`);
          if (i !== NONE) taken.add(i);
        } else {
          wasm.slabGive(AT, given);
          taken.delete(given);
        }
        if (wasm.slabCount(AT) !== taken.size) throw new Error("count");
      }
      for (let i = 0; i < 45; i++) {
        if (wasm.slabHolds(AT, i) !== (taken.has(i) ? 1 : 0)) throw new Error(`holds ${i}`);
      }
    },
  ),
);
