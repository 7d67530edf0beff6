/** `npm run bench -- core|pool …`: measures and prints; judges nothing. docs/performance.md says what it means. */

import { parseArgs } from "node:util";
import { AgainstError, type AgainstRow, benchAgainst, openOther } from "./against.js";
import { benchCore, type CoreOptions, type CoreRow } from "./core.js";
import { machine } from "./measure.js";
import { benchPool, type PoolResult } from "./pool.js";

const USAGE = `npm run bench -- core [--against DIR] [--json] [--quick]
npm run bench -- pool [--json] [--quick]

  core     the datapath in memory: steady packets, set-up and expiry by the number of conns
  pool     every port of one address: what the first costs, and the last
  --against DIR  another checkout, built: both are measured in turns, with the ratio new by old
  --json   header and rows as JSON, raw repetitions included
  --quick  fewer conns and repetitions`;

function coreOptions(quick: boolean): CoreOptions {
  if (quick) return { conns: [1, 1000, 60_000], repetitions: 3, packets: 500_000 };
  return { conns: [1, 1000, 60_000, 1_000_000], repetitions: 5, packets: 2_000_000 };
}

function list(values: readonly number[]): string {
  return values.map((each) => each.toFixed(1)).join(" ");
}

function printCore(rows: readonly CoreRow[]): void {
  for (const { name, conns, nsPerPacket, raw } of rows) {
    console.log(
      `${name.padEnd(11)} ${String(conns).padStart(8)} conns ${nsPerPacket.toFixed(1).padStart(8)} ns  (${list(raw)})`,
    );
  }
}

function printAgainst(rows: readonly AgainstRow[]): void {
  for (const { name, conns, oldNs, newNs, ratio, oldRaw, newRaw } of rows) {
    const figures = [oldNs, newNs].map((ns) => ns.toFixed(1).padStart(8)).join(" → ");
    console.log(
      `${name.padEnd(11)} ${String(conns).padStart(8)} conns ${figures} ns  × ${ratio.toFixed(2)}` +
        `  (${list(oldRaw)} → ${list(newRaw)})`,
    );
  }
}

function printPool({ rows, lastByFirst }: PoolResult): void {
  for (const { name, taken, nsPerAllocation, raw } of rows) {
    console.log(
      `${name.padEnd(9)} ${String(taken).padStart(6)} taken ${nsPerAllocation.toFixed(1).padStart(8)} ns  (${list(raw)})`,
    );
  }
  console.log(`the last by the first: ${lastByFirst.toFixed(2)}`);
}

/** Prints what `show` makes of a result, or all of it as JSON. */
function report<Result>(json: boolean, result: Result, show: (result: Result) => void): void {
  if (!json) show(result);
  else console.log(JSON.stringify({ machine: machine(), ...named(result) }, null, 2));
}

function named(result: unknown): object {
  return Array.isArray(result) ? { rows: result } : Object(result);
}

const { values, positionals } = parseArgs({
  options: {
    against: { type: "string" },
    json: { type: "boolean", default: false },
    quick: { type: "boolean", default: false },
  },
  allowPositionals: true,
});
const { against, json, quick } = values;
const what = positionals.length === 1 ? positionals[0] : undefined;
try {
  if (what === "core" && against !== undefined) {
    const other = await openOther(against);
    report(json, [...benchAgainst(other, coreOptions(quick))], printAgainst);
  } else if (what === "core") {
    report(json, [...benchCore(coreOptions(quick))], printCore);
  } else if (what === "pool" && against === undefined) {
    report(json, benchPool(quick ? 5 : 21), printPool);
  } else {
    console.error(USAGE);
    process.exitCode = 2;
  }
} catch (error) {
  if (!(error instanceof AgainstError)) throw error;
  console.error(`bench: --against: ${error.message}`);
  process.exitCode = 2;
}
