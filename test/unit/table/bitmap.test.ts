import t from "tap";
import { AT, internals, NONE } from "../../harness/internals.js";

const wasm = await internals();
const LAST = 65_535;

t.test("clear takes everything out and writes nothing behind", async (t) => {
  const bytes = wasm.bitmapBytes();
  t.equal(bytes % 64, 0);
  wasm.bytes.fill(0xff, AT, AT + bytes + 64);
  wasm.bitmapClear(AT);
  t.equal(wasm.bitmapCount(AT), 0);
  for (let i = 0; i <= LAST; i++) if (wasm.bitmapHas(AT, i)) t.fail(`${i}`);
  t.ok(wasm.bytes.subarray(AT + bytes, AT + bytes + 64).every((byte) => byte === 0xff));
});

t.test("set and give are counted once", async (t) => {
  wasm.bitmapClear(AT);
  for (const i of [0, 63, 64, 4095, 4096, LAST]) {
    t.equal(wasm.bitmapSet(AT, i), 1);
    t.equal(wasm.bitmapSet(AT, i), 0);
    t.equal(wasm.bitmapHas(AT, i), 1);
    t.equal(wasm.bitmapCount(AT), 1);
    wasm.bitmapGive(AT, i);
    wasm.bitmapGive(AT, i);
    t.equal(wasm.bitmapHas(AT, i), 0);
    t.equal(wasm.bitmapCount(AT), 0);
  }
});

t.test("numbers behind the last are none of ours", async (t) => {
  wasm.bitmapClear(AT);
  for (const i of [LAST + 1, 2 ** 31, NONE]) {
    t.equal(wasm.bitmapSet(AT, i), 0);
    t.equal(wasm.bitmapHas(AT, i), 0);
    wasm.bitmapGive(AT, i);
  }
  t.equal(wasm.bitmapCount(AT), 0);
});

t.test("all 65,536 are handed out, each once, then none", async (t) => {
  wasm.bitmapClear(AT);
  const seen = new Uint8Array(LAST + 1);
  for (let n = 0; n <= LAST; n++) {
    const i = wasm.bitmapTake(AT, (n * 40_503) & LAST, 0, LAST);
    if (i === NONE || seen[i]) t.fail(`${i} at ${n}`);
    seen[i] = 1;
  }
  t.equal(wasm.bitmapCount(AT), LAST + 1);
  t.equal(wasm.bitmapTake(AT, 1234, 0, LAST), NONE);
});

t.test("the last free number is found from anywhere", async (t) => {
  wasm.bitmapClear(AT);
  for (let i = 0; i <= LAST; i++) wasm.bitmapSet(AT, i);
  for (const free of [0, 1, 63, 64, 4095, 4096, 40_000, LAST - 1, LAST]) {
    for (const start of [0, free, Math.max(free - 1, 0), Math.min(free + 1, LAST), LAST]) {
      wasm.bitmapGive(AT, free);
      t.equal(wasm.bitmapTake(AT, start, 0, LAST), free);
    }
  }
});

t.test("take starts at start, wraps once and stays in its range", async (t) => {
  wasm.bitmapClear(AT);
  t.same(
    [1020, 1020, 1023, 1023, 1020].map((start) => wasm.bitmapTake(AT, start, 1019, 1023)),
    [1020, 1021, 1023, 1019, 1022],
  );
  t.equal(wasm.bitmapTake(AT, 1020, 1019, 1023), NONE);
  t.equal(wasm.bitmapCount(AT), 5);
});

t.test("a start outside the range means its beginning; an empty range has nothing", async (t) => {
  wasm.bitmapClear(AT);
  t.equal(wasm.bitmapTake(AT, 5, 1024, 2000), 1024);
  t.equal(wasm.bitmapTake(AT, NONE, 1024, 2000), 1025);
  t.equal(wasm.bitmapTake(AT, 10, 11, 10), NONE);
  t.equal(wasm.bitmapTake(AT, 70_000, 70_000, 80_000), NONE);
  t.equal(wasm.bitmapTake(AT, LAST, LAST, NONE), LAST, "a range that ends behind the last");
  t.equal(wasm.bitmapTake(AT, LAST, LAST, NONE), NONE);
  t.equal(wasm.bitmapTake(AT, 0, 0, 0), 0);
  t.equal(wasm.bitmapTake(AT, 0, 0, 0), NONE);
});

t.test("takeParity hands out each even, or each odd, number of a range, once", async (t) => {
  for (const parity of [0, 1]) {
    wasm.bitmapClear(AT);
    const given = new Set<number>();
    for (;;) {
      const i = wasm.bitmapTakeParity(AT, 130, 61, 199, parity);
      if (i === NONE) break;
      if (i % 2 !== parity || i < 61 || i > 199 || given.has(i)) t.fail(`${i}`);
      given.add(i);
    }
    t.equal(given.size, parity === 0 ? 69 : 70);
    t.equal(wasm.bitmapCount(AT), given.size, "and takes no other");
  }
});

t.test("takeParity begins at its start, goes round once, and passes what is taken", async (t) => {
  wasm.bitmapClear(AT);
  wasm.bitmapSet(AT, 64);
  t.same(
    [63, 63, 63].map((start) => wasm.bitmapTakeParity(AT, start, 62, 67, 0)),
    [66, 62, NONE],
  );
  t.equal(wasm.bitmapTakeParity(AT, 0, LAST, NONE, 1), LAST, "a range that ends behind the last");
  t.equal(wasm.bitmapTakeParity(AT, 5, 5, 5, 0), NONE, "a range of the other parity");
  t.equal(wasm.bitmapTakeParity(AT, 5, 6, 5, 0), NONE, "an empty range");
  for (let i = 0; i <= LAST; i++) wasm.bitmapSet(AT, i);
  wasm.bitmapGive(AT, 40_001);
  t.equal(wasm.bitmapTakeParity(AT, 50_000, 0, LAST, 0), NONE);
  t.equal(wasm.bitmapTakeParity(AT, 50_000, 0, LAST, 1), 40_001);
});

t.test("isClear sees every number of its range and none beside", async (t) => {
  wasm.bitmapClear(AT);
  wasm.bitmapSet(AT, 1023);
  wasm.bitmapSet(AT, 1536);
  t.equal(wasm.bitmapIsClear(AT, 1024, 512), 1);
  t.equal(wasm.bitmapIsClear(AT, 960, 64), 0);
  t.equal(wasm.bitmapIsClear(AT, 1536, 64), 0);
  t.equal(wasm.bitmapIsClear(AT, 0, LAST + 1), 0);
  for (const i of [1024, 1087, 1088, 1535]) {
    wasm.bitmapSet(AT, i);
    t.equal(wasm.bitmapIsClear(AT, 1024, 512), 0, `${i}`);
    wasm.bitmapGive(AT, i);
  }
  t.equal(wasm.bitmapIsClear(AT, 1024, 512), 1);
});
