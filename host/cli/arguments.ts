/** The words behind a command, told apart: options with their values, and the rest. */

import { parseArgs } from "node:util";
import { nearest } from "../config/shape.js";
import { UsageError } from "./command.js";
import type { Option, Options } from "./definition.js";

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
    const option = Object.hasOwn(options, name) ? options[name] : undefined;
    if (option === undefined) throw new UsageError(unknownText(token, options));
    checkValue(token, option);
    if (seen.has(name) && option.multiple !== true) {
      throw new UsageError(`--${name} stands twice: say it once`);
    }
    seen.add(name);
  }
  return { values, positionals };
}

/** Not strictly: what is wrong is found in the tokens, and said in words of ours. */
function parse(given: readonly string[], options: Options) {
  const known = Object.entries(options).map(([name, { type, short, multiple = false }]) => {
    return [name, { type, multiple, ...(short === undefined ? {} : { short }) }] as const;
  });
  return parseArgs({
    args: [...given],
    options: Object.fromEntries(known),
    allowPositionals: true,
    strict: false,
    tokens: true,
  });
}

/** An option as it stands in the arguments. */
interface OptionToken {
  readonly name: string;
  /** `-p`, `--proto` */
  readonly rawName: string;
  readonly value: string | undefined;
  /** `--proto=tcp`, `-ptcp`: no argument of its own. */
  readonly inlineValue: boolean | undefined;
}

function unknownText({ name, rawName }: OptionToken, options: Options): string {
  const names = Object.keys(options).filter((each) => each.length > 1);
  const near = rawName.startsWith("--") ? nearest(name, names) : undefined;
  return `${rawName}: unknown option${near === undefined ? "" : ` (did you mean --${near}?)`}`;
}

/** @throws UsageError where there is a value and should be none, or the other way round */
function checkValue({ name, rawName, value, inlineValue }: OptionToken, option: Option): void {
  if (option.type === "boolean") {
    if (value === undefined) return;
    throw new UsageError(`${rawName}: no value is expected, found '${value}'`);
  }
  const missing = `${rawName}: a value is expected`;
  if (value === undefined) throw new UsageError(`${missing}, found nothing`);
  if (inlineValue !== true && /^-./.test(value)) {
    throw new UsageError(`${missing}; write --${name}=${value} for one that begins with a dash`);
  }
}
