/** `--help`: the text of a command, and the list of all. */

import {
  type Argument,
  type Command,
  GROUPS,
  hasVerbs,
  type Option,
  type Verb,
  wordsOf,
} from "./definition.js";

const COLUMNS = 100;
/** Beyond it the text of an option begins on the next line. */
const TERM_COLUMNS = 26;

type Row = readonly [term: string, text: string];

/** What `crosszone COMMAND --help` prints: of a verb, or of all that a command has. */
export function helpOf(command: Command, verb?: Verb): string {
  const [only] = command.verbs;
  if (verb !== undefined) return verbHelp(command, verb);
  if (!hasVerbs(command) && only !== undefined) return verbHelp(command, only);
  const usage = command.verbs.flatMap((each) => usageOf(command, each));
  const rows = command.verbs.map((each): Row => [each.name, each.summary]);
  const texts = new Set(command.verbs.map(({ text }) => text));
  const [common = ""] = texts;
  return [
    usage.join("\n"),
    texts.size === 1 ? wrap(common, COLUMNS) : sentence(command.summary),
    table(rows),
    ...optionLists(command.verbs),
    `crosszone ${command.name} COMMAND --help says more of each.`,
    exampleList(command.verbs.flatMap(({ examples }) => examples)),
  ].join("\n\n");
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

function verbHelp(command: Command, verb: Verb): string {
  const sections = (verb.sections ?? []).map(({ title, rows }) => `${title}:\n${table(rows)}`);
  const exits = verb.exits === undefined ? [] : [wrap(`Exit code: ${verb.exits}`, COLUMNS)];
  return [
    usageOf(command, verb).join("\n"),
    wrap(verb.text, COLUMNS),
    ...optionLists([verb]),
    ...sections,
    ...exits,
    exampleList(verb.examples),
  ].join("\n\n");
}

/** The arguments and options of some verbs, and one list more for each group of options. */
function optionLists(verbs: readonly Verb[]): string[] {
  const named = new Map(
    verbs.flatMap(({ args }) => args).map((each) => [each.name, each.help] as const),
  );
  const options = new Map(verbs.flatMap((each) => Object.entries(each.options)));
  const own: Row[] = [...named];
  const groups = new Map<string, Row[]>();
  for (const [name, option] of options) {
    const row: Row = [optionTerm(name, option), optionText(option)];
    if (option.group === undefined) own.push(row);
    else groups.set(option.group, [...(groups.get(option.group) ?? []), row]);
  }
  const lists = own.length === 0 ? [] : [table(own)];
  for (const [title, rows] of groups) lists.push(`${title}:\n${table(rows)}`);
  return lists;
}

/** `-p, --proto PROTOCOL` */
export function optionTerm(name: string, option: Option): string {
  const { type, value = "VALUE", isLone = false } = option;
  const names = spellings(name, option).join(", ");
  if (type === "boolean") return names;
  return `${names} ${isLone ? `[${value}]` : value}`;
}

/** All that may be written for it, the short one first. */
export function spellings(name: string, { short, aliases = [] }: Option): string[] {
  const long = [name, ...aliases].map((each) => `--${each}`);
  return short === undefined ? long : [`-${short}`, ...long];
}

/** `where to write (a, b; a if not given)` */
export function optionText({ help, choices = [], default: standard = "" }: Option): string {
  const values = choices.length === 0 ? [] : [choices.join(", ")];
  const otherwise = standard === "" ? [] : [`${standard} if not given`];
  const more = [...values, ...otherwise].join("; ");
  return more === "" ? help : `${help} (${more})`;
}

/** `crosszone check CONFIG [--flows] [--image FILE]`, in as many lines as it takes. */
export function usageOf(command: Command, verb: Verb): string[] {
  const start = `crosszone ${wordsOf(command, verb)}`;
  if (verb.usage !== undefined) return verb.usage.map((each) => `${start} ${each}`.trimEnd());
  const parts = [...verb.args.map(argumentTerm), ...optionParts(verb)];
  return wrap([start, ...parts].join("\n"), COLUMNS, " ".repeat(start.length + 1), "\n").split(
    "\n",
  );
}

function argumentTerm({ name, isOptional = false }: Argument): string {
  return isOptional ? `[${name}]` : name;
}

function optionParts({ options }: Verb): string[] {
  const own = Object.entries(options).filter(([, { group }]) => group === undefined);
  const parts = own.map(([name, { type, short, value = "VALUE", multiple = false }]) => {
    const term = short === undefined ? `--${name}` : `-${short}`;
    const one = type === "boolean" ? `[${term}]` : `[${term} ${value}]`;
    return multiple ? `${one}...` : one;
  });
  const groups = new Set(Object.values(options).map(({ group }) => group));
  for (const group of groups) {
    if (group !== undefined) parts.push(`[options: ${group.replace(/ \(.*/, "").toLowerCase()}]`);
  }
  return parts;
}

function exampleList(examples: readonly string[]): string {
  const title = examples.length === 1 ? "Example:" : "Examples:";
  return `${title}\n${examples.map((each) => `  ${commandLine(each)}`).join("\n")}`;
}

/** An example as it is typed. */
export function commandLine(example: string): string {
  return /^(sudo )?crosszone /.test(example) ? example : `crosszone ${example}`;
}

/** What `crosszone --help` prints. */
export function overview(commands: readonly Command[]): string {
  const width = Math.max(...commands.map(({ name }) => name.length));
  const lists = GROUPS.map((group) => {
    const rows = commands
      .filter((each) => each.group === group)
      .map((each): Row => [each.name.padEnd(width), summaryOf(each)]);
    return `${group}:\n${table(rows)}`;
  });
  return `crosszone: many tenants with overlapping addresses share one public address

Commands:

${lists.join("\n\n")}

crosszone COMMAND --help says more. Exit codes: 0 done, 1 failed, 2 bad arguments or configuration.

Examples:
  crosszone check edge.json && sudo crosszone run edge.json
  sudo crosszone list --zone a --proto tcp`;
}

/** With its verbs, where it has some. */
function summaryOf(command: Command): string {
  const verbs = command.verbs.map(({ name }) => name).join(", ");
  return hasVerbs(command) ? `${command.summary}: ${verbs}` : command.summary;
}

/** Two columns, the second one wrapped. */
function table(rows: readonly Row[]): string {
  const widths = rows.map(([term]) => term.length).filter((length) => length <= TERM_COLUMNS);
  const width = Math.max(0, ...widths);
  const indent = " ".repeat(width + 4);
  return rows
    .map(([term, text]) => {
      const wrapped = wrap(text, COLUMNS - indent.length, "")
        .split("\n")
        .join(`\n${indent}`);
      if (term.length > width) return `  ${term}\n${indent}${wrapped}`;
      return `  ${term.padEnd(width)}  ${wrapped}`;
    })
    .join("\n");
}

/** Paragraphs, which an empty line parts, in lines of at most so many columns; those after the first are indented. */
export function wrap(text: string, columns: number, indent = "", joint: string | RegExp = /\s+/) {
  return text
    .split("\n\n")
    .map((paragraph) => {
      const lines: string[] = [];
      let line = "";
      for (const word of paragraph.trim().split(joint)) {
        const longer = line === "" ? word : `${line} ${word}`;
        if (longer.length > columns && line.trim() !== "") {
          lines.push(line);
          line = `${indent}${word}`;
        } else line = longer;
      }
      return [...lines, line].join("\n");
    })
    .join("\n\n");
}
