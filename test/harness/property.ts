/**
 * Runs fast-check properties under tap so that every failure can be replayed: it prints the seed, the path to
 * the smallest counterexample and the one command that runs exactly that again.
 *
 * The command sets PROPERTY (the one to run, the others are skipped), PROPERTY_SEED and PROPERTY_PATH.
 * PROPERTY_RUNS sets how many cases each property tries.
 */

import { relative } from "node:path";
import fc from "fast-check";
import type { Test } from "tap";

// a maxLength is meant: without this, fast-check stays at about ten elements
fc.configureGlobal({ defaultSizeToMaxWhenMaxSpecified: true });

/** Cases per property where nothing asks for others. */
const RUNS = 200;

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

function fromEnvironment(runs: number): fc.Parameters<unknown> {
  const { PROPERTY_SEED: seed, PROPERTY_PATH: path, PROPERTY_RUNS: asked } = process.env;
  return {
    numRuns: Number(asked ?? runs),
    ...(seed === undefined ? {} : { seed: Number(seed) }),
    ...(path === undefined ? {} : { path }),
  };
}

/** What a failed property prints; undefined when it held. */
export function failure<Values>(
  name: string,
  details: fc.RunDetails<Values>,
  script = process.argv[1] ?? "",
): string | undefined {
  if (!details.failed) return undefined;
  const path = details.counterexamplePath ?? "";
  const command =
    `PROPERTY=${quoted(name)} PROPERTY_SEED=${details.seed} PROPERTY_PATH=${quoted(path)} ` +
    `npx tap --disable-coverage ${relative(process.cwd(), script)}`;
  const report = fc.defaultReportMessage(details) ?? "";
  const cause = details.errorInstance instanceof Error ? details.errorInstance.stack : "";
  return `${name}\nseed ${details.seed}, path ${path}\nrun again: ${command}\n${report}\n${cause}`;
}

/** A test that `property` holds for `runs` random cases. */
export function holds<Values>(
  t: Test,
  name: string,
  property: fc.IProperty<Values> | fc.IAsyncProperty<Values>,
  runs = RUNS,
): void {
  const only = process.env.PROPERTY;
  const skip = only !== undefined && only !== name;
  t.test(name, { skip }, async (t) => {
    const parameters = fromEnvironment(runs) as fc.Parameters<Values>;
    const details = await fc.check(property as fc.IAsyncProperty<Values>, parameters);
    const message = failure(name, details);
    if (message === undefined) t.pass(`${details.numRuns} cases, seed ${details.seed}`);
    else t.fail(`${name}: does not hold`, { report: message });
  });
}
