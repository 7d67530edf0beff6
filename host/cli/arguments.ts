/** The words behind a command, told apart: options with their values, and the rest. */

import { parseArgs } from "node:util";
import { UsageError } from "./command.js";
import type { Options } from "./definition.js";

interface Parsed {
  readonly values: Readonly<Record<string, unknown>>;
  readonly positionals: readonly string[];
}

/**
 * An option that is no list stands once: of two conditions one would be dropped, and what is ended or changed would be
 * another than was meant.
 *
 * @throws UsageError
 */
export function parseArguments(given: readonly string[], options: Options): Parsed {
  const { values, positionals, tokens } = parse(given, options);
  const seen = new Set<string>();
  for (const token of tokens) {
    if (token.kind !== "option") continue;
    const { name } = token;
    if (seen.has(name) && options[name]?.multiple !== true) {
      throw new UsageError(`--${name} stands twice: say it once`);
    }
    seen.add(name);
  }
  return { values, positionals };
}

function parse(given: readonly string[], options: Options) {
  const known = Object.entries(options).map(([name, { type, short, multiple = false }]) => {
    return [name, { type, multiple, ...(short === undefined ? {} : { short }) }] as const;
  });
  try {
    return parseArgs({
      args: [...given],
      options: Object.fromEntries(known),
      allowPositionals: true,
      strict: true,
      tokens: true,
    });
  } catch (error) {
    if (error instanceof TypeError) throw new UsageError(error.message);
    throw error;
  }
}
