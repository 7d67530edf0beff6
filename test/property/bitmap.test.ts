import fc from "fast-check";
import t from "tap";
import { AT, internals, NONE } from "../harness/internals.js";
import { holds } from "../harness/property.js";

const wasm = await internals();
const LAST = 65_535;

/** Numbers, with those around the ends of words and groups more often. */
const number = fc.oneof(
  fc.nat(LAST),
  fc.tuple(fc.nat(1024), fc.integer({ min: -1, max: 1 })).map(([word, by]) => {
    return Math.min(Math.max(word * 64 + by, 0), LAST);
  }),
);

function takeModel(taken: ReadonlySet<number>, start: number, low: number, high: number): number {
  const from = start >= low && start <= high ? start : low;
  for (let i = from; i <= high; i++) if (!taken.has(i)) return i;
  for (let i = low; i < from; i++) if (!taken.has(i)) return i;
  return NONE;
}

const step = fc.oneof(
  fc.record({ take: number, low: number, span: fc.oneof(fc.nat(200), fc.nat(LAST)) }),
  fc.record({ fill: number, span: fc.oneof(fc.nat(200), fc.nat(20_000)) }),
  fc.record({ give: number }),
  fc.record({ set: number }),
);

holds(
  t,
  "take, set and give are those of a plain set",
  fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    wasm.bitmapClear(AT);
    const taken = new Set<number>();
    for (const step of steps) {
      if ("take" in step) {
        const high = Math.min(step.low + step.span, LAST);
        const expected = takeModel(taken, step.take, step.low, high);
        const found = wasm.bitmapTake(AT, step.take, step.low, high);
        if (found !== expected) throw new Error(`${found} instead of ${expected}`);
        if (found !== NONE) taken.add(found);
      } else if ("fill" in step) {
        for (let i = step.fill; i <= Math.min(step.fill + step.span, LAST); i++) {
          wasm.bitmapSet(AT, i);
          taken.add(i);
        }
      } else if ("give" in step) {
        wasm.bitmapGive(AT, step.give);
        taken.delete(step.give);
      } else {
        const fresh = taken.has(step.set) ? 0 : 1;
        if (wasm.bitmapSet(AT, step.set) !== fresh) throw new Error(`set ${step.set}`);
        taken.add(step.set);
      }
      if (wasm.bitmapCount(AT) !== taken.size) throw new Error("count");
    }
  }),
);

holds(
  t,
  "from any starts, a range hands out each of its numbers once and then none",
  fc.property(number, number, fc.nat(), (a, b, seed) => {
    const [low, high] = [Math.min(a, b), Math.max(a, b)];
    wasm.bitmapClear(AT);
    const seen = new Set<number>();
    let start = seed;
    for (let n = low; n <= high; n++) {
      start = (Math.imul(start, 1_664_525) + 1_013_904_223) >>> 0;
      const i = wasm.bitmapTake(AT, start & LAST, low, high);
      if (i < low || i > high || seen.has(i)) throw new Error(`${i} at ${n}`);
      seen.add(i);
    }
    return wasm.bitmapTake(AT, start & LAST, low, high) === NONE;
  }),
  50,
);

holds(
  t,
  "what is taken within two ends is counted",
  fc.property(fc.uniqueArray(number, { maxLength: 300 }), number, number, (numbers, a, b) => {
    wasm.bitmapClear(AT);
    for (const i of numbers) wasm.bitmapSet(AT, i);
    const [low, high] = [Math.min(a, b), Math.max(a, b)];
    const expected = numbers.filter((i) => i >= low && i <= high).length;
    return wasm.bitmapCountWithin(AT, low, high) === expected;
  }),
);
