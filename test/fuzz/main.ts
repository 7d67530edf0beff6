/** `npm run fuzz -- [--seed N] [--rounds N] [--kind isolation|frames|images] [--json]` */

import { parseArgs } from "node:util";
import { fuzz, KINDS, type Kind } from "./run.js";

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    rounds: { type: "string", default: "1000" },
    kind: { type: "string" },
    json: { type: "boolean", default: false },
  },
});

function isKind(text: string): text is Kind {
  return Object.hasOwn(KINDS, text);
}

function number(text: string, name: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  console.error(`fuzz: --${name}: a number expected, found '${text}'`);
  process.exit(2);
}

const all = Object.keys(KINDS).filter(isKind);
if (values.kind !== undefined && !isKind(values.kind)) {
  console.error(`fuzz: --kind: one of ${all.join(", ")} expected, found '${values.kind}'`);
  process.exit(2);
}
const kinds = values.kind === undefined ? all : [values.kind];
const outcome = fuzz(number(values.seed, "seed"), number(values.rounds, "rounds"), kinds);
if (values.json) console.log(JSON.stringify(outcome));
else {
  for (const [kind, tally] of Object.entries(outcome.tallies)) {
    const counts = Object.entries(tally).map(([name, count]) => `${name} ${count}`);
    console.log(`${kind}: ${outcome.rounds} rounds: ${counts.join(", ")}`);
  }
  for (const { error, command } of outcome.failures) console.log(`${error}\nagain: ${command}\n`);
}
process.exitCode = outcome.failures.length > 0 ? 1 : 0;
