import fc from "fast-check";
import t from "tap";
import { AT, internals, NONE } from "../harness/internals.js";
import { holds } from "../harness/property.js";

const wasm = await internals();
const N = 32;
const SLOTS = 4096;

/** Milliseconds ahead: within a tick, within the horizon, behind it. Below zero for a past deadline. */
const ahead = fc.oneof(fc.integer({ min: -5000, max: 500 }), fc.nat(600_000), fc.nat(40_000_000));
const pass = fc.oneof(fc.nat(300), fc.nat(600_000), fc.nat(2 ** 31));

const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ add: fc.nat(N - 1), ahead }) },
  { weight: 1, arbitrary: fc.record({ remove: fc.nat(N - 1) }) },
  { weight: 2, arbitrary: fc.record({ pass }) },
  { weight: 2, arbitrary: fc.constant({ wait: true }) },
);

/** The wheel beside what it should know; times here do not wrap. */
class Model {
  private readonly deadlines = new Map<number, { deadline: number; mayBeEarly: boolean }>();

  constructor(
    private now: number,
    private readonly tickMs: number,
  ) {
    wasm.wheelCreate(AT, N, tickMs, now >>> 0);
  }

  add(i: number, ahead: number): void {
    this.file(i, this.now + ahead);
  }

  remove(i: number): void {
    wasm.wheelRemove(AT, i);
    this.deadlines.delete(i);
  }

  pass(ms: number): void {
    this.now += ms;
    for (let i = this.due(); i !== NONE; i = this.due()) {
      const entry = this.deadlines.get(i);
      if (!entry) throw new Error(`${i} is not filed`);
      this.deadlines.delete(i);
      if (entry.deadline <= this.now) continue;
      if (!entry.mayBeEarly) throw new Error(`${i} is ${entry.deadline - this.now} ms early`);
      this.file(i, entry.deadline);
    }
    for (const [i, { deadline }] of this.deadlines) {
      const late = this.now - deadline;
      if (late >= 2 * this.tickMs) throw new Error(`${i} is ${late} ms late`);
    }
  }

  /** Asks when the wheel says so: something must be due then and nothing a millisecond before. */
  wait(): void {
    const wait = wasm.wheelWait(AT, this.now >>> 0);
    if ((wait === NONE) !== (this.deadlines.size === 0)) throw new Error(`wait ${wait}`);
    if (wait === NONE) return;
    if (wait === 0) throw new Error("something is due, but was not handed out");
    this.now += wait - 1;
    if (this.due() !== NONE) throw new Error("due before wait said so");
    this.now += 1;
    if (wasm.wheelWait(AT, this.now >>> 0) !== 0) throw new Error("wait was too short");
    const before = this.deadlines.size;
    this.pass(0);
    if (before === 0) throw new Error("nothing was due");
  }

  check(): void {
    if (wasm.wheelCount(AT) !== this.deadlines.size) throw new Error("count");
    for (let i = 0; i < N; i++) {
      if (wasm.wheelHolds(AT, i) !== (this.deadlines.has(i) ? 1 : 0)) throw new Error(`holds ${i}`);
    }
  }

  private file(i: number, deadline: number): void {
    wasm.wheelAdd(AT, i, deadline >>> 0);
    // the hand is up to a tick behind, so the horizon may be that much nearer
    const mayBeEarly = deadline - this.now > (SLOTS - 1) * this.tickMs;
    // a past deadline counts from now: it comes up at the next tick
    this.deadlines.set(i, { deadline: Math.max(deadline, this.now), mayBeEarly });
  }

  private due(): number {
    return wasm.wheelDue(AT, this.now >>> 0);
  }
}

holds(
  t,
  "never early, at most two ticks late, wherever the clock begins, wraps and leaps",
  fc.property(
    fc.oneof(fc.nat(2 ** 32 - 1), fc.constantFrom(0, 2 ** 32 - 1, 2 ** 31 - 1, 2 ** 32 - 100_000)),
    fc.constantFrom(128, 128, 1, 10, 1000),
    fc.array(step, { maxLength: 150 }),
    (now, tickMs, steps) => {
      const model = new Model(now, tickMs);
      for (const step of steps) {
        if ("add" in step) model.add(step.add, step.ahead);
        else if ("remove" in step) model.remove(step.remove);
        else if ("pass" in step) model.pass(step.pass);
        else {
          model.pass(0);
          model.wait();
        }
        model.check();
      }
    },
  ),
  500,
);
