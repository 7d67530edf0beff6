/** Looking on pays while frames come soon, and is given up when they do not. */
import t from "tap";
import { Patience } from "../../host/patience.js";

/** Looks from `nowMs` on, every 10 µs, until it sleeps; returns how long that took. */
function looks(patience: Patience, nowMs: number): number {
  let at = nowMs;
  while (patience.looksOn(at)) at += 0.01;
  return Math.round((at - nowMs) * 100) / 100;
}

t.test("after a frame it looks on for the while that it is given", async (t) => {
  const patience = new Patience(0.05);
  t.equal(looks(patience, 0), 0, "not before the first");
  patience.found(1);
  t.equal(looks(patience, 1), 0.05);
});

t.test("without a while it sleeps at once", async (t) => {
  const patience = new Patience(0);
  patience.found(1);
  t.equal(looks(patience, 1), 0);
});

/** Frames come so far apart; whether it looks on after each. */
function looksAfter(patience: Patience, fromMs: number, gapsMs: readonly number[]): boolean[] {
  let nowMs = fromMs;
  return gapsMs.map((gapMs) => {
    nowMs += gapMs;
    patience.found(nowMs);
    return looks(patience, nowMs) > 0;
  });
}

t.test("frames that come rarely are not waited for, until they come soon again", async (t) => {
  const patience = new Patience(0.05);
  const rare = looksAfter(patience, 0, new Array(12).fill(10));
  t.same(rare, [...new Array(8).fill(true), ...new Array(4).fill(false)]);
  // Sleeps that were shorter than the while: the frames would have been found awake.
  const soon = looksAfter(patience, 120, new Array(12).fill(0.03));
  t.same(soon, [...new Array(8).fill(false), ...new Array(4).fill(true)]);
});

t.test(
  "looking on is given up where it is in vain more often than not, and only there",
  async (t) => {
    const mostly = (often: number, seldom: number) => [often, often, seldom];
    const times = 100;
    const few = new Array(times).fill(mostly(10, 0.03)).flat();
    const many = new Array(times).fill(mostly(0.03, 10)).flat();
    const patience = new Patience(0.05);
    const given = looksAfter(patience, 0, few);
    t.same(new Set(given.slice(30)), new Set([false]), "one in three in time");
    const again = looksAfter(patience, 1e6, many);
    t.same(new Set(again.slice(30)), new Set([true]), "two in three in time");
  },
);

t.test("frames that come soon keep it looking for ever", async (t) => {
  const patience = new Patience(0.05);
  for (let i = 0; i < 100; i++) {
    patience.found(i * 0.04);
    t.equal(patience.looksOn(i * 0.04 + 0.03), true);
  }
});
