import t from "tap";
import { AT, internals, NONE } from "../../harness/internals.js";

const wasm = await internals();
const N = 100;
const TICK = 128;
const HORIZON = 4096 * TICK;
const DAY = 86_400_000;

function create(now: number): void {
  wasm.wheelCreate(AT, N, TICK, now);
}

function allDue(now: number): number[] {
  const due: number[] = [];
  for (let i = wasm.wheelDue(AT, now); i !== NONE; i = wasm.wheelDue(AT, now)) due.push(i);
  return due;
}

t.test("an empty wheel has nothing due, ever", async (t) => {
  create(1000);
  for (const now of [1000, 1001, 5000, 1000 + DAY, 999 + 2 ** 31]) {
    t.equal(wasm.wheelDue(AT, now), NONE);
    t.equal(wasm.wheelWait(AT, now), NONE);
  }
  t.equal(wasm.wheelCount(AT), 0);
});

t.test("never before the deadline, at most one tick behind it", async (t) => {
  for (const after of [1, 127, 128, 129, 1000, 300_000, HORIZON - 1, HORIZON]) {
    for (const start of [0, 12_345, 2 ** 32 - 500]) {
      create(start);
      wasm.wheelAdd(AT, 7, (start + after) >>> 0);
      t.equal(wasm.wheelDue(AT, (start + after - 1) >>> 0), NONE, `not before ${after} ms`);
      t.same(allDue((start + after + TICK) >>> 0), [7], `${after} ms from ${start}`);
      t.equal(wasm.wheelCount(AT), 0);
    }
  }
});

t.test("deadlines of one slot come up in the order of filing", async (t) => {
  create(0);
  for (const i of [5, 99, 0]) wasm.wheelAdd(AT, i, 1000);
  t.equal(wasm.wheelCount(AT), 3);
  t.same(allDue(1200), [5, 99, 0]);
});

t.test("a past deadline comes up at the next tick, not in the same call", async (t) => {
  create(10_000);
  for (const deadline of [10_000, 9999, 0]) {
    wasm.wheelAdd(AT, 1, deadline);
    t.equal(wasm.wheelDue(AT, 10_000), NONE);
    t.equal(wasm.wheelWait(AT, 10_000), TICK);
    wasm.wheelRemove(AT, 1);
  }
  wasm.wheelAdd(AT, 1, 0);
  t.same(allDue(10_000 + TICK), [1]);
});

t.test("a deadline behind the horizon comes up early, again and again", async (t) => {
  create(0);
  const deadline = 7_440_000;
  wasm.wheelAdd(AT, 3, deadline);
  let times = 0;
  for (let now = 0; ; now += 1000) {
    if (wasm.wheelDue(AT, now) === NONE) continue;
    times++;
    if (now >= deadline) {
      t.ok(now - deadline <= 2 * TICK + 1000);
      break;
    }
    wasm.wheelAdd(AT, 3, deadline);
  }
  t.equal(times, Math.ceil(deadline / HORIZON));
});

t.test("a removed entry does not come up; remove and add are safe to repeat", async (t) => {
  create(0);
  for (const i of [1, 2, 3]) wasm.wheelAdd(AT, i, 500);
  wasm.wheelRemove(AT, 2);
  wasm.wheelRemove(AT, 2);
  t.same(
    [1, 2, 3].map((i) => wasm.wheelHolds(AT, i)),
    [1, 0, 1],
  );
  wasm.wheelAdd(AT, 3, 5000);
  t.equal(wasm.wheelCount(AT), 2);
  t.same(allDue(1000), [1]);
  t.same(allDue(6000), [3]);
  wasm.wheelRemove(AT, 3);
  t.equal(wasm.wheelCount(AT), 0);
  t.equal(wasm.wheelWait(AT, 6000), NONE);
});

t.test("wait says when to ask again, also across the clock's wrap", async (t) => {
  for (const start of [0, 2 ** 32 - 300]) {
    create(start);
    wasm.wheelAdd(AT, 1, (start + 1000) >>> 0);
    t.equal(wasm.wheelWait(AT, start), 1024);
    t.equal(wasm.wheelWait(AT, (start + 1000) >>> 0), 24);
    t.equal(wasm.wheelWait(AT, (start + 1024) >>> 0), 0);
    t.equal(wasm.wheelWait(AT, (start + DAY) >>> 0), 0);
    t.same(allDue((start + 1024) >>> 0), [1]);
  }
});

t.test(
  "a clock that leaps by days finds everything due, once; what is filed then is neither early nor late",
  async (t) => {
    for (const leap of [DAY, 20 * DAY, 45 * DAY]) {
      create(5000);
      for (let i = 0; i < N; i++) wasm.wheelAdd(AT, i, 5000 + i * 5000);
      const now = (5000 + leap) >>> 0;
      const seen: number[] = [];
      for (let i = wasm.wheelDue(AT, now); i !== NONE; i = wasm.wheelDue(AT, now)) {
        seen.push(i);
        wasm.wheelAdd(AT, i, (now + 60_000) >>> 0);
      }
      t.equal(seen.length, N);
      t.equal(new Set(seen).size, N);
      t.equal(wasm.wheelDue(AT, (now + 59_999) >>> 0), NONE);
      t.equal(allDue((now + 60_000 + 2 * TICK) >>> 0).length, N);
    }
  },
);

t.test("a clock that steps back a little finds nothing due until it has caught up", async (t) => {
  create(100_000);
  wasm.wheelAdd(AT, 1, 101_000);
  t.same(allDue(102_000), [1]);
  wasm.wheelAdd(AT, 1, 103_000);
  t.equal(wasm.wheelDue(AT, 50_000), NONE);
  t.ok(wasm.wheelWait(AT, 50_000) >= 53_000);
  t.equal(wasm.wheelDue(AT, 102_999), NONE);
  t.same(allDue(103_000 + TICK), [1]);
});

t.test("every slot of the wheel works, whichever the hand is in", async (t) => {
  create(0);
  let now = 0;
  for (let turn = 0; turn < 5000; turn++) {
    const after = 1 + ((turn * 7919) % HORIZON);
    wasm.wheelAdd(AT, turn % N, now + after);
    const wait = wasm.wheelWait(AT, now);
    if (wait < after || wait > after + TICK) t.fail(`turn ${turn}: ${wait} for ${after}`);
    now += wait;
    if (wasm.wheelDue(AT, now) !== turn % N) t.fail(`turn ${turn}`);
  }
  t.equal(wasm.wheelCount(AT), 0);
});

t.test("other ticks, and a wheel of nothing; nothing is written behind it", async (t) => {
  for (const [n, tick] of [
    [0, 128],
    [1, 1],
    [3, 10],
    [N, 1000],
    [N, 2 ** 18],
  ] as const) {
    const bytes = wasm.wheelBytes(n);
    t.equal(bytes % 64, 0);
    wasm.bytes.fill(0xaa, AT, AT + bytes + 64);
    wasm.wheelCreate(AT, n, tick, 77);
    for (let i = 0; i < n; i++) wasm.wheelAdd(AT, i, 77 + tick * (i + 1));
    t.equal(wasm.wheelDue(AT, 76 + tick), NONE);
    t.equal(allDue(77 + tick * (n + 1)).length, n);
    t.ok(wasm.bytes.subarray(AT + bytes, AT + bytes + 64).every((byte) => byte === 0xaa));
  }
});
