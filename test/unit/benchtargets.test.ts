/** What is to be reached: the page has what the code has, and figures become findings. */

import { readFileSync } from "node:fs";
import t from "tap";
import type { Row } from "../bench/live/result.js";
import type { LiveResult } from "../bench/live/table.js";
import { inProcess, type Measure, PARTS, type Parts } from "../bench/targets/parts.js";
import { boundText, COLUMNS, markdownOf, textOf } from "../bench/targets/report.js";
import { TARGETS } from "../bench/targets/target.js";
import {
  findingsOf,
  isReached,
  measureRuns,
  type Run,
  reasonsOf,
} from "../bench/targets/targets.js";

const PAGE = readFileSync(new URL("../../../docs/performance.md", import.meta.url), "utf8");

/** Cells of the first table below a heading of the page. */
function tableBelow(heading: string): string[][] {
  const [, below = ""] = PAGE.split(`\n${heading}\n`);
  const lines = /\n((?:\|.*\n)+)/.exec(below)?.[1]?.trimEnd().split("\n") ?? [];
  return lines.map(cellsOf);
}

function cellsOf(line: string): string[] {
  return line
    .split("|")
    .slice(1, -1)
    .map((cell) => cell.trim());
}

/** Columns that say what a target is, not what was measured. */
function fixed([name = "", bound = "", , , by = ""]: readonly string[]): string[] {
  return [name, bound, by];
}

t.test("the page's table has the targets, in their order", async (t) => {
  const page = tableBelow("### What is to be reached");
  const own = markdownOf(findingsOf([])).split("\n").map(cellsOf);
  t.same(page[0], [...COLUMNS]);
  t.equal(page.length, TARGETS.length + 2);
  t.same(page.map(fixed), own.map(fixed));
});

t.test("a bound is reached or not", async (t) => {
  const target = (comparison: "≥" | "≤" | "=", bound: number) => {
    return {
      name: "n",
      comparison,
      bound,
      unit: "×" as const,
      by: "live" as const,
      figure: () => 0,
    };
  };
  t.equal(isReached(target("≥", 2), 2), true);
  t.equal(isReached(target("≥", 2), 1.99), false);
  t.equal(isReached(target("≤", 2), 2), true);
  t.equal(isReached(target("≤", 2), 2.01), false);
  t.equal(isReached(target("=", 0), 0), true);
  t.equal(isReached(target("=", 0), 1), false);
  t.equal(boundText(target("≥", 1.2)), "≥ 1.2 ×");
  t.equal(boundText(target("=", 0)), "0 ×");
});

function row(candidate: string, highest: number, overload: number, heldLost = 0): Row {
  const median = { highest, overload, heldLost };
  return { workload: "w", candidate, median, ratio: {}, raw: [] };
}

function live(...rows: Row[]): LiveResult {
  const omissions = [{ candidate: "ovs afxdp", reason: "built without it" }];
  return { rows, omissions } as unknown as LiveResult;
}

/** By name. */
function found(runs: readonly Run[], name: RegExp) {
  const finding = findingsOf(runs).find(({ target }) => name.test(target.name));
  if (finding === undefined) throw new Error(`no target ${name}`);
  return finding;
}

t.test("each candidate counts at its best, the median of the runs", async (t) => {
  const run = (own: number): Run => ({
    failures: {},
    parts: {
      live: live(
        row("crosszone afxdp", own, own / 2, 3),
        row("linux zones", 1, 2),
        row("linux zones, threaded", 1, 4),
      ),
    },
  });
  const runs = [run(8), run(4), run(40)];
  const { values, measured, reached } = found(runs, /kernel's zones at/);
  t.same([values, measured, reached], [[2, 1, 10], 2, true]);
  const lost = found(runs, /lost .*afxdp/);
  t.same([lost.measured, lost.reached], [3, false]);
  const double = found(runs, /double NAT/);
  t.same([double.values, double.measured, double.reached], [[], undefined, undefined]);
  t.same(reasonsOf(runs), ["ovs afxdp: built without it"], "each once");
});

t.test("the worst of a target's figures counts", async (t) => {
  const core = [
    ["steady-out", 1000, 20],
    ["steady-in", 1000, 31],
    ["steady-in", 60_000, 70],
    ["set-up", 1000, 400],
  ].map(([name, conns, nsPerPacket]) => ({ name, conns, nsPerPacket }));
  const workers = [
    ["steady-out", 1, 1],
    ["steady-out", 2, 1.9],
    ["steady-in", 2, 1.7],
    ["set-up", 2, 1.1],
    ["handed-off", 2, 0.4],
  ].map(([name, workers, byFirst]) => ({ name, workers, byFirst }));
  const parts = { core, scale: { workers, rows: [], sites: [] } } as unknown as Parts;
  const runs = [{ parts, failures: {} }];
  t.equal(found(runs, /steady packet, 1,000 conns/).measured, 31);
  t.equal(found(runs, /steady packet, 60,000 conns/).measured, 70);
  t.equal(found(runs, /steady packet, 1,000,000 conns/).measured, undefined);
  t.equal(found(runs, /set-up/).measured, 400);
  t.equal(found(runs, /two threads/).measured, 1.7);
});

t.test("latency is what is beyond the kernel's zones", async (t) => {
  const at = (workload: string, candidate: string, p50: number): Row => {
    return { workload, candidate, median: { p50 }, ratio: {}, raw: [] };
  };
  const rows = [
    at("nothing beside", "linux zones", 10),
    at("nothing beside", "crosszone afxdp", 17),
    at("20,000 frames/s beside", "crosszone afxdp", 17),
  ];
  const runs = [{ parts: { latency: { rows, omissions: [] } } as unknown as Parts, failures: {} }];
  t.equal(found(runs, /added p50 .* nothing beside/).measured, 7);
  t.equal(found(runs, /added p50 .* 20,000/).measured, undefined);
});

t.test("a part that fails is named with the reason, and the others are measured", async (t) => {
  const core = { conns: [1000], repetitions: 1, packets: 1000 };
  const fails = async () => {
    throw new Error("no such thing here");
  };
  const others = Object.fromEntries(PARTS.map((part) => [part, fails])) as unknown as Measure;
  // How far it is, is for a person who waits.
  t.capture(process.stderr, "write");
  const runs = await measureRuns(1, { ...others, core: () => inProcess("core", core) });
  const findings = findingsOf(runs);
  const measured = findings.filter((finding) => finding.measured !== undefined);
  t.same(
    measured.map(({ target }) => target.name),
    ["a steady packet, 1,000 conns", "set-up of a conn, 1,000 conns"],
  );
  const reasons = reasonsOf(runs);
  t.equal(reasons.length, PARTS.length - 1);
  const machine = { cpu: "c", cores: 2, kernel: "6", node: "v20", v8: "11", date: "2026-01-01" };
  const whole = { ...machine, load: 1, clock: "wall" as const };
  const about = { machine: whole, count: 1, quick: true, heldSeconds: 10 };
  const text = textOf(findings, reasons, about);
  t.match(text, /Medians of 1 quick run, .* for 10 s\./);
  t.match(text, /\na steady packet, 1,000 conns +≤ 30 ns +\d+\.\d ns +(yes|no) +core\n/);
  t.match(text, /of 17 are reached/);
  t.match(text, /not measured: live: no such thing here/);
});

t.test("a process that fails says why", async (t) => {
  const nothing = { conns: [-1], repetitions: 1, packets: 1 };
  await t.rejects(inProcess("core", nothing), /Error/);
});
