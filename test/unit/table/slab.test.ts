import t from "tap";
import { AT, internals, NONE } from "../../harness/internals.js";

const wasm = await internals();

t.test("fresh indices ascend, then the slab is full", async (t) => {
  wasm.slabCreate(AT, 100);
  t.equal(wasm.slabCapacity(AT), 100);
  for (let i = 0; i < 100; i++) {
    t.equal(wasm.slabFresh(AT), i);
    t.equal(wasm.slabTake(AT), i);
  }
  t.equal(wasm.slabTake(AT), NONE);
  t.equal(wasm.slabCount(AT), 100);
  t.equal(wasm.slabFresh(AT), 100);
});

t.test("the index given last comes first, before fresh ones", async (t) => {
  wasm.slabCreate(AT, 10);
  for (let i = 0; i < 5; i++) wasm.slabTake(AT);
  for (const i of [1, 3, 0]) wasm.slabGive(AT, i);
  t.same(
    [0, 1, 2, 3].map(() => wasm.slabTake(AT)),
    [0, 3, 1, 5],
  );
  t.equal(wasm.slabCount(AT), 6);
  t.equal(wasm.slabFresh(AT), 6);
});

t.test("holds tells taken from given and never taken", async (t) => {
  wasm.bytes.fill(0xfe, AT, AT + wasm.slabBytes(10));
  wasm.slabCreate(AT, 10);
  t.equal(wasm.slabHolds(AT, 0), 0);
  wasm.slabTake(AT);
  t.equal(wasm.slabHolds(AT, 0), 1);
  t.equal(wasm.slabHolds(AT, 1), 0);
  wasm.slabGive(AT, 0);
  t.equal(wasm.slabHolds(AT, 0), 0);
  for (const i of [10, 11, 0xfffffffe, NONE]) t.equal(wasm.slabHolds(AT, i), 0);
});

t.test("giving what is not taken does nothing", async (t) => {
  wasm.slabCreate(AT, 3);
  wasm.slabTake(AT);
  wasm.slabGive(AT, 0);
  for (const i of [0, 0, 2, 3, NONE]) wasm.slabGive(AT, i);
  t.equal(wasm.slabCount(AT), 0);
  t.same(
    [0, 1, 2, 3].map(() => wasm.slabTake(AT)),
    [0, 1, 2, NONE],
  );
});

t.test(
  "a slab of nothing is full; sizes are whole lines that nothing is written behind",
  async (t) => {
    wasm.slabCreate(AT, 0);
    t.equal(wasm.slabTake(AT), NONE);
    for (const n of [0, 1, 15, 16, 17, 1000]) {
      const bytes = wasm.slabBytes(n);
      t.equal(bytes % 64, 0);
      wasm.bytes.fill(0xaa, AT, AT + bytes + 64);
      wasm.slabCreate(AT, n);
      while (wasm.slabTake(AT) !== NONE);
      for (let i = 0; i < n; i++) wasm.slabGive(AT, i);
      t.ok(wasm.bytes.subarray(AT + bytes, AT + bytes + 64).every((byte) => byte === 0xaa));
    }
  },
);
