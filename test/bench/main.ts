/** `npm run bench -- core [--json] [--quick]`: measures and prints; judges nothing. */

import { parseArgs } from "node:util";
import { benchCore, type CoreRow } from "./core.js";
import { machine } from "./measure.js";

const USAGE = `npm run bench -- core [--json] [--quick]

  core     the datapath in memory: steady packets, set-up and expiry by the number of conns
  --json   header and rows as JSON, raw repetitions included
  --quick  fewer conns and repetitions`;

function core(quick: boolean): CoreRow[] {
  const full = { conns: [1, 1000, 60_000, 1_000_000], repetitions: 5, packets: 2_000_000 };
  const options = quick ? { conns: [1, 1000, 60_000], repetitions: 3, packets: 500_000 } : full;
  return [...benchCore(options)];
}

function print(rows: readonly CoreRow[]): void {
  for (const { name, conns, nsPerPacket, raw } of rows) {
    const all = raw.map((each) => each.toFixed(1)).join(" ");
    console.log(
      `${name.padEnd(11)} ${String(conns).padStart(8)} conns ${nsPerPacket.toFixed(1).padStart(8)} ns  (${all})`,
    );
  }
}

const { values, positionals } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    quick: { type: "boolean", default: false },
  },
  allowPositionals: true,
});
if (positionals.length !== 1 || positionals[0] !== "core") {
  console.error(USAGE);
  process.exitCode = 2;
} else {
  const rows = core(values.quick);
  if (values.json) console.log(JSON.stringify({ machine: machine(), rows }, null, 2));
  else print(rows);
}
