/** Random rounds from the command line: see USAGE. */

import { parseArgs } from "node:util";
import { labSupport } from "../../host/demo/lab.js";
import { protocolRounds } from "./protocol.js";
import { fuzz, KINDS, type Kind } from "./run.js";

const ALL = Object.keys(KINDS).filter(isKind);
/** Needs a lab of its own, and is not among those that run where none is named. */
const PROTOCOL = "protocol";

const USAGE = `npm run fuzz -- [TARGET…] [--seed N] [--rounds N] [--json]

Random rounds, each by a seed of its own; one that fails says what repeats it.

TARGET       ${ALL.join(", ")}; all of them where none is named
             isolation  traffic over random configurations: nothing reaches another tenant
             workers    the same with two workers and with three, in turn by the seed
             frames     frames that nobody sends
             images     config images that no compiler makes
             protocol   requests to a router that runs, in a lab (needs root); only where it is named, and alone
--seed N     of the first round, 1 by default
--rounds N   of each target, 1000 by default
--json       the outcome as JSON

Ends with 0, with 1 where a round failed, with 2 where it cannot be run so.
`;

function isKind(text: string): text is Kind {
  return Object.hasOwn(KINDS, text);
}

/** What is asked for makes no sense. */
class UsageError extends Error {}

function number(text: string, name: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new UsageError(`--${name}: a number expected, found '${text}'`);
}

function asKind(text: string): Kind {
  if (isKind(text)) return text;
  throw new UsageError(`'${text}' is no target: one of ${ALL.join(", ")} expected`);
}

function parse(args: readonly string[]) {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        seed: { type: "string", default: "1" },
        rounds: { type: "string", default: "1000" },
        json: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    const isProtocol = positionals.length === 1 && positionals[0] === PROTOCOL;
    const kinds = positionals.length === 0 ? ALL : isProtocol ? [] : positionals.map(asKind);
    const seed = number(values.seed, "seed");
    const { json, help } = values;
    const rounds = number(values.rounds, "rounds");
    if (rounds === 0) throw new UsageError("--rounds: at least 1 expected, found '0'");
    return { kinds, isProtocol: isProtocol && !help, seed, rounds, json, help };
  } catch (error) {
    if (error instanceof UsageError || isParseError(error)) return error.message;
    throw error;
  }
}

/** What parseArgs throws. */
function isParseError(error: unknown): error is TypeError & { code: string } {
  return error instanceof TypeError && String((error as { code?: string }).code).includes("ARGS");
}

/** Rounds of the protocol share one router: what one leaves, the next begins with. */
async function runProtocol(seed: number, rounds: number): Promise<number> {
  const reason = labSupport();
  if (reason !== undefined) {
    console.error(`fuzz: protocol: ${reason}`);
    return 2;
  }
  const ends: (() => unknown)[] = [];
  const teardown = (end: () => unknown) => ends.push(end);
  const { tally, failures } = await protocolRounds({ teardown }, seed, rounds);
  for (const end of ends.reverse()) await end();
  const counts = Object.entries(tally).map(([name, count]) => `${name} ${count}`);
  console.log(`protocol: ${rounds} rounds: ${counts.join(", ")}`);
  for (const failure of failures) console.log(failure);
  return failures.length > 0 ? 1 : 0;
}

async function run(args: readonly string[]): Promise<number> {
  const asked = parse(args);
  if (typeof asked === "string") {
    console.error(`fuzz: ${asked}\n\n${USAGE}`);
    return 2;
  }
  if (asked.isProtocol) return await runProtocol(asked.seed, asked.rounds);
  if (asked.help) {
    console.log(USAGE);
    return 0;
  }
  const outcome = fuzz(asked.seed, asked.rounds, asked.kinds);
  if (asked.json) console.log(JSON.stringify(outcome));
  else {
    for (const [kind, tally] of Object.entries(outcome.tallies)) {
      const counts = Object.entries(tally).map(([name, count]) => `${name} ${count}`);
      console.log(`${kind}: ${outcome.rounds} rounds: ${counts.join(", ")}`);
    }
    for (const { error, command } of outcome.failures) console.log(`${error}\nagain: ${command}\n`);
  }
  return outcome.failures.length > 0 ? 1 : 0;
}

process.exitCode = await run(process.argv.slice(2));
