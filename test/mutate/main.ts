/**
 * `npm run mutate [-- --only NAME] [--json]`: breaks one behaviour of the datapath after the other and says which
 * test notices. Ends with 1 where none does, or where a mutation is out of date. The datapath as it is must pass
 * first: a suite that fails anyway proves nothing.
 */

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { buildModule, MutationError } from "./apply.js";
import { MUTATIONS, type Mutation } from "./mutations.js";
import { type Catch, firstFailure } from "./suite.js";

interface Outcome {
  readonly name: string;
  readonly file: string;
  readonly caught?: Catch;
  /** Why it is no proof of anything. */
  readonly fault?: string;
  readonly seconds: number;
}

function secondsSince(began: number): number {
  return Math.round((performance.now() - began) / 100) / 10;
}

/** Tries one mutation; `sound` is the module as it is. */
function attempt(mutation: Mutation, folder: string, sound: Buffer): Outcome {
  const began = performance.now();
  const { name, file } = mutation;
  try {
    const module = buildModule(folder, mutation);
    if (readFileSync(module).equals(sound)) throw new MutationError("changes nothing");
    const caught = firstFailure(module, mutation.tests);
    const seconds = secondsSince(began);
    return caught === undefined
      ? { name, file, fault: "NO TEST NOTICES", seconds }
      : { name, file, caught, seconds };
  } catch (error) {
    if (!(error instanceof MutationError)) throw error;
    return { name, file, fault: error.message, seconds: secondsSince(began) };
  }
}

function line({ name, file, caught, fault, seconds }: Outcome): string {
  const by = caught === undefined ? `**${fault}**` : `${caught.file}: ${caught.title}`;
  return `| ${name} | ${file} | ${by.replaceAll("|", "\\|")} | ${seconds.toFixed(1)} |`;
}

function run(mutations: readonly Mutation[], json: boolean): Outcome[] {
  const folder = mkdtempSync(join(tmpdir(), "crosszone-mutate-"));
  try {
    const module = buildModule(join(folder, "sound"));
    const failure = firstFailure(module);
    if (failure !== undefined) {
      throw new MutationError(`fails as it is: ${failure.file}: ${failure.title}`);
    }
    const sound = readFileSync(module);
    if (!json) console.log("| behaviour | file | caught by | seconds |\n|---|---|---|--:|");
    return mutations.map((mutation) => {
      const outcome = attempt(mutation, join(folder, "mutated"), sound);
      if (!json) console.log(line(outcome));
      return outcome;
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const { values } = parseArgs({
  options: { only: { type: "string" }, json: { type: "boolean", default: false } },
});
const wanted = MUTATIONS.filter(({ name }) => name.includes(values.only ?? ""));
if (wanted.length === 0) {
  console.error(`mutate: --only: no behaviour has '${values.only}' in its name`);
  process.exit(2);
}
const began = performance.now();
try {
  const outcomes = run(wanted, values.json);
  const faults = outcomes.filter(({ fault }) => fault !== undefined).length;
  const seconds = secondsSince(began);
  if (values.json) console.log(JSON.stringify({ outcomes, faults, seconds }, null, 2));
  else console.log(`\n${outcomes.length - faults} caught, ${faults} not, ${seconds} s`);
  process.exitCode = faults > 0 ? 1 : 0;
} catch (error) {
  if (!(error instanceof MutationError)) throw error;
  console.error(`mutate: the datapath ${error.message}`);
  process.exitCode = 1;
}
