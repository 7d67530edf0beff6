/** The words behind a command, told apart: options with their values, and the rest. */

import { parseArgs } from "node:util";
import { nearest } from "../config/shape.js";
import { UsageError } from "./command.js";
import type { Option, Options } from "./definition.js";

interface Parsed {
  readonly values: Readonly<Record<string, unknown>>;
  readonly positionals: readonly string[];
}

interface Known {
  readonly options: Options;
  readonly strangers?: Readonly<Record<string, string>>;
}

/**
 * An option that is no list stands once: of two conditions one would be dropped, and what is ended or changed would be
 * another than was meant.
 *
 * @throws UsageError
 */
export function parseArguments(
  given: readonly string[],
  { options, strangers = {} }: Known,
): Parsed {
  const names = namesOf(options);
  const { positionals, tokens } = parse(withEmpty(given, options), options, names);
  const values: Record<string, true | string | string[]> = {};
  for (const token of tokens) {
    if (token.kind !== "option") continue;
    const name = names.get(token.name);
    const option = name === undefined ? undefined : options[name];
    if (name === undefined || option === undefined) {
      throw new UsageError(unknownText(token, [...names.keys()], strangers));
    }
    const value = valueOfToken(token, option);
    const before = values[name];
    if (option.multiple === true) values[name] = [before ?? [], value as string].flat() as string[];
    else if (before === undefined) values[name] = value;
    else throw new UsageError(`--${name} stands twice: say it once`);
  }
  return { values, positionals };
}

/** From every long name to that of its option. */
function namesOf(options: Options): ReadonlyMap<string, string> {
  const rows = Object.entries(options).flatMap(([name, { aliases = [] }]) => {
    return [name, ...aliases].map((each) => [each, name] as const);
  });
  return new Map(rows);
}

/**
 * With an empty value for options that go without one, where what follows is none: conntrack's rule for them. One that is
 * empty already comes from a variable that nobody has set, and is not taken for that.
 *
 * @throws UsageError
 */
function withEmpty(given: readonly string[], options: Options): string[] {
  const lone = new Map<string, string>();
  for (const [name, { isLone, short, aliases = [] }] of Object.entries(options)) {
    if (isLone !== true) continue;
    for (const each of [name, ...aliases]) lone.set(`--${each}`, name);
    if (short !== undefined) lone.set(`-${short}`, name);
  }
  const end = given.includes("--") ? given.indexOf("--") : given.length;
  return given.map((word, i) => {
    const [spelling = "", ...behind] = i < end ? word.split("=") : [];
    const name = lone.get(spelling);
    if (name === undefined) return word;
    const value = behind.length > 0 ? behind.join("=") : given[i + 1];
    if (value === "") throw new UsageError(`${spelling}: a value or none is expected, found ''`);
    const isAlone = behind.length === 0 && (value === undefined || /^-./.test(value));
    return isAlone ? `--${name}=` : word;
  });
}

/** Not strictly: what is wrong is found in the tokens, and said in words of ours. */
function parse(given: string[], options: Options, names: ReadonlyMap<string, string>) {
  const known = [...names].map(([each, name]) => {
    const { type = "string", short } = options[name] ?? {};
    return [each, { type, ...(short === undefined || each !== name ? {} : { short }) }] as const;
  });
  return parseArgs({
    args: given,
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

function unknownText(
  { name, rawName }: OptionToken,
  names: readonly string[],
  strangers: Readonly<Record<string, string>>,
): string {
  if (Object.hasOwn(strangers, rawName)) return `${rawName}: ${strangers[rawName]}`;
  const near = rawName.startsWith("--") ? nearest(name, names) : undefined;
  return `${rawName}: unknown option${near === undefined ? "" : ` (did you mean --${near}?)`}`;
}

/** @throws UsageError where there is a value and should be none, or the other way round */
function valueOfToken(
  { name, rawName, value, inlineValue }: OptionToken,
  option: Option,
): true | string {
  if (option.type === "boolean") {
    if (value === undefined) return true;
    throw new UsageError(`${rawName}: no value is expected, found '${value}'`);
  }
  const missing = `${rawName}: a value is expected`;
  if (value === undefined) throw new UsageError(`${missing}, found nothing`);
  if (inlineValue === true || !/^-./.test(value)) return value;
  throw new UsageError(`${missing}; write --${name}=${value} for one that begins with a dash`);
}
