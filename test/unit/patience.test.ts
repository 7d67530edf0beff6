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

t.test("frames that come rarely are not waited for, until they come soon again", async (t) => {
  const patience = new Patience(0.05);
  let nowMs = 0;
  const waits = [];
  for (let i = 0; i < 12; i++) {
    patience.found(nowMs);
    waits.push(looks(patience, nowMs) > 0);
    nowMs += 10;
  }
  t.same(waits.slice(0, 8), new Array(8).fill(true));
  t.same(waits.slice(8), new Array(4).fill(false));
  // A sleep that was shorter than the while: the frame would have been found awake.
  patience.found(nowMs);
  patience.found(nowMs + 0.03);
  t.equal(looks(patience, nowMs + 0.03), 0.05);
});

t.test("frames that come soon keep it looking for ever", async (t) => {
  const patience = new Patience(0.05);
  for (let i = 0; i < 100; i++) {
    patience.found(i * 0.04);
    t.equal(patience.looksOn(i * 0.04 + 0.03), true);
  }
});
