/**
 * What a command is: said once, for reading its arguments (here), its help (help.ts), completion in a shell (completion.ts)
 * and the manual (man.ts).
 */

import { parseArguments } from "./arguments.js";
import { type Exit, UsageError } from "./command.js";

/** What the shell may put in the place of a value. */
export type Names = "file" | "folder";

export interface Option {
  readonly type: "boolean" | "string";
  /** One letter. */
  readonly short?: string;
  /** Other names for it, which are conntrack's. */
  readonly aliases?: readonly string[];
  /** Its value may be left out, and is then empty: `-n` of conntrack. */
  readonly isLone?: boolean;
  readonly multiple?: boolean;
  readonly default?: string;
  /** What its value is called: FILE. */
  readonly value?: string;
  readonly help: string;
  /** All values that there are. */
  readonly choices?: readonly string[];
  /** Values for a shell to offer where there are others, too, or several with commas. */
  readonly words?: readonly string[];
  readonly names?: Names;
  /** The heading that it is listed under, where that is not the command's own list. */
  readonly group?: string;
}

export type Options = Readonly<Record<string, Option>>;

export interface Argument {
  readonly name: string;
  readonly help: string;
  readonly isOptional?: boolean;
  readonly names?: Names;
}

type ValueOf<O extends Option> = O["type"] extends "boolean"
  ? boolean
  : O extends { choices: readonly (infer Choice)[]; multiple: true }
    ? readonly Choice[]
    : O extends { multiple: true }
      ? readonly string[]
      : O extends { choices: readonly (infer Choice)[]; default: string }
        ? Choice
        : O extends { choices: readonly (infer Choice)[] }
          ? Choice | undefined
          : O extends { default: string }
            ? string
            : string | undefined;

/** What was given: an option that may be repeated is a list, and empty without it. */
export type Values<O extends Options> = { readonly [K in keyof O]: ValueOf<O[K]> };

export interface Given<O extends Options> {
  readonly values: Values<O>;
  /** The positional arguments: all that must be there, and perhaps those that may. */
  readonly args: readonly string[];
}

/** The same to what acts on it. */
interface Called<O extends Options> extends Given<O> {
  /** The words behind `crosszone` that have called it: `config apply`. */
  readonly words: string;
}

/** Lines under a heading of their own: signals, files. */
export interface Section {
  readonly title: string;
  readonly rows: readonly (readonly [term: string, text: string])[];
}

interface Description<O extends Options> {
  /** "apply" of `crosszone config apply`; the command's own name where it has no verbs. */
  readonly name: string;
  /** One line, for lists. */
  readonly summary: string;
  /** Paragraphs. */
  readonly text: string;
  readonly args: readonly Argument[];
  readonly options: O;
  /** Options of other tools that there is nothing for here, as they are written, and what to say in their place. */
  readonly strangers?: Readonly<Record<string, string>>;
  /** In place of the line that args and options make. */
  readonly usage?: readonly string[];
  readonly sections?: readonly Section[];
  /** Command lines, without `crosszone`, or whole ones where they contain it. */
  readonly examples: readonly string[];
  /** What its exit code says besides what all of them do. */
  readonly exits?: string;
  /** Goes on when nobody reads its standard output any more. */
  readonly keepsOn?: boolean;
}

/** One thing that can be asked for. */
export interface Verb extends Description<Options> {
  /** @param words  the words behind `crosszone` that call it */
  run(args: readonly string[], words: string): Promise<Exit>;
}

/** A verb that says what it takes, and what it does with that. */
export function verb<const O extends Options>(
  definition: Description<O> & { act(given: Called<O>): Promise<Exit> | Exit },
): Verb {
  const { act, ...description } = definition;
  return {
    ...description,
    async run(args, words) {
      return await act({ ...read(definition, args), words });
    },
  };
}

/** The headings of the list of commands. */
export const GROUPS = ["Run and check", "Look", "Change", "Configuration", "Tools"] as const;
export type Group = (typeof GROUPS)[number];

/** What stands behind `crosszone`: one verb of the same name, or several that are called by theirs. */
export interface Command {
  readonly name: string;
  readonly group: Group;
  readonly summary: string;
  readonly verbs: readonly Verb[];
}

export function command(group: Group, only: Verb): Command {
  return { name: only.name, group, summary: only.summary, verbs: [only] };
}

/** Whether it is asked for by a verb. */
export function hasVerbs({ name, verbs }: Command): boolean {
  return verbs.length > 1 || verbs[0]?.name !== name;
}

/** The words behind `crosszone`. */
export function wordsOf(command: Command, { name }: Verb): string {
  return hasVerbs(command) ? `${command.name} ${name}` : name;
}

/** The verb that the arguments ask for, and what is left for it. @throws UsageError */
export function choose(
  command: Command,
  args: readonly string[],
): { readonly verb: Verb; readonly rest: readonly string[] } {
  const [only] = command.verbs;
  if (!hasVerbs(command) && only !== undefined) return { verb: only, rest: args };
  const names = command.verbs.map(({ name }) => name);
  const [wanted, ...rest] = args;
  if (wanted === undefined) throw new UsageError(`${alternatives(names)} is missing`);
  const verb = command.verbs.find(({ name }) => name === wanted);
  if (verb === undefined) throw new UsageError(`unknown command '${command.name} ${wanted}'`);
  return { verb, rest };
}

/** Anything unknown or missing is a UsageError. */
export function read<const O extends Options>(
  definition: Pick<Description<O>, "args" | "options" | "strangers">,
  given: readonly string[],
): Given<O> {
  const { values, positionals } = parseArguments(given, definition);
  const missing = definition.args[positionals.length];
  if (missing !== undefined && missing.isOptional !== true) {
    throw new UsageError(`${missing.name} is missing`);
  }
  const surplus = positionals[definition.args.length];
  if (surplus !== undefined) throw new UsageError(`unexpected argument '${surplus}'`);
  const complete = Object.entries(definition.options).map(([name, option]) => {
    return [name, choiceOf(name, option, values[name])] as const;
  });
  return { values: Object.fromEntries(complete) as Values<O>, args: positionals };
}

function choiceOf(name: string, option: Option, value: unknown): unknown {
  if (option.type === "boolean") return value === true;
  if (option.multiple === true) return (value as readonly string[] | undefined) ?? [];
  const text = (value as string | undefined) ?? option.default;
  const { choices } = option;
  if (text === undefined || choices === undefined || choices.includes(text)) return text;
  throw new UsageError(`--${name}: ${alternatives(choices)} expected, found '${text}'`);
}

/** `viewer or operator`, `one of error, notice, info, debug` */
export function alternatives(words: readonly string[]): string {
  const last = words.at(-1) ?? "";
  if (words.length < 3) return words.join(" or ");
  if (words.length === 3) return `${words.slice(0, -1).join(", ")} or ${last}`;
  return `one of ${words.join(", ")}`;
}

/** A number of an option, within bounds. */
export function wholeNumber(name: string, text: string, low: number, high: number): number {
  const number = /^[0-9]{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (number >= low && number <= high) return number;
  throw new UsageError(`${name}: a number from ${low} to ${high} expected, found '${text}'`);
}
