/** What the benchmarks make of their figures; what they measure, they judge not. */

import t from "tap";
import { compare } from "../bench/against.js";
import { type CoreRow, rowsOf } from "../bench/core.js";
import { median } from "../bench/measure.js";
import { asked, GROUPS, PORTS } from "../bench/pool.js";

t.test("the median of raw values", async (t) => {
  t.equal(median([3, 1, 2]), 2);
  t.equal(median([4, 1, 2, 3]), 2.5);
});

t.test("repetitions become rows", async (t) => {
  const all = [4, 2, 3].map((ns) => ({ out: ns, in: ns * 2, setUp: ns * 3, end: ns, copy: 1 }));
  const rows = rowsOf(1000, 5000, all);
  t.same(
    rows.map(({ name, nsPerPacket }) => [name, nsPerPacket]),
    [
      ["steady-out", 3],
      ["steady-in", 6],
      ["set-up", 9],
      ["expiry", 3],
    ],
  );
  t.same(rows[0]?.raw, [4, 2, 3]);
  t.same(
    rowsOf(1, 5000, all).map(({ name }) => name),
    ["steady-out", "steady-in"],
  );
});

t.test("new by old, where both have a row", async (t) => {
  const row = (name: CoreRow["name"], ns: number): CoreRow => {
    const rest = { packetsPerRepetition: 1, copyNs: 0 };
    return { name, conns: 1, nsPerPacket: ns, raw: [ns], ...rest };
  };
  const old = [row("steady-out", 10), row("steady-out", 30), row("steady-out", 20)];
  const now = [row("steady-out", 30), row("steady-out", 32), row("expiry", 1)];
  t.same(compare(1, old, now), [
    {
      name: "steady-out",
      conns: 1,
      oldNs: 20,
      newNs: 31,
      ratio: 1.55,
      oldRaw: [10, 30, 20],
      newRaw: [30, 32],
    },
  ]);
});

t.test("every port is asked for once, and each measured group is a batch", async (t) => {
  let next = 0;
  const measured: number[] = [];
  for (const [first, frames] of asked()) {
    t.equal(first, next);
    next += frames;
    if (GROUPS.has(first)) measured.push(frames);
    else if (frames > 256) t.fail(`${frames} frames`);
  }
  t.equal(next, PORTS);
  t.same(measured, Array(6).fill(64));
});
