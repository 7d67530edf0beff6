/** The manual page crosszone(8), made of the definitions: docs/crosszone.8 (`npm run docs`). man-pages(7), groff_man(7). */

import { DEFAULT_SOCKET } from "../control/protocol/names.js";
import { packageVersion } from "../version.js";
import { Exit } from "./command.js";
import {
  type Command,
  command,
  GROUPS,
  type Option,
  type Verb,
  verb,
  wordsOf,
} from "./definition.js";
import { commandLine, optionTerm, optionText, usageOf } from "./help.js";

export function manual(commands: () => readonly Command[]): Command {
  return command(
    "Tools",
    verb({
      name: "man",
      summary: "print the manual page, crosszone(8)",
      text: "Prints the manual page as groff reads it.",
      args: [],
      options: {},
      examples: ["man | man -l -", "man > /usr/local/share/man/man8/crosszone.8"],

      act() {
        process.stdout.write(manualPage(commands()));
        return Exit.Ok;
      },
    }),
  );
}

export function manualPage(commands: readonly Command[]): string {
  const verbs = commands.flatMap(({ verbs }) => verbs);
  const shared = sharedGroups(verbs);
  return [
    `.\\" Made by \`crosszone man\`: change host/cli, and run \`npm run docs\`.`,
    `.TH CROSSZONE 8 "" "crosszone ${packageVersion()}" "System administration"`,
    ".SH NAME",
    "crosszone \\- many tenants with overlapping addresses share one public address",
    ".SH SYNOPSIS",
    ".B crosszone",
    "\\fICOMMAND\\fR [\\fIOPTIONS\\fR] [\\fIARGUMENTS\\fR]",
    ".PP",
    ".B crosszone help",
    "[\\fICOMMAND\\fR]",
    ".SH DESCRIPTION",
    paragraphs(DESCRIPTION),
    ...GROUPS.flatMap((group) => [
      `.SH ${group.toUpperCase()}`,
      ...commands
        .filter((each) => each.group === group)
        .flatMap((each) => commandPart(each, shared)),
    ]),
    ...[...shared].flatMap(([title, options]) => [
      `.SH ${title.toUpperCase()}`,
      escaped(`Where a command takes options of ${title.toLowerCase()}, they are these.`),
      ...optionPart(options),
    ]),
    ".SH EXIT STATUS",
    ...rows([
      ["0", "done"],
      ["1", "failed; of delete also: nothing fits"],
      ["2", "bad arguments, or a configuration that is wrong"],
    ]),
    ".SH ENVIRONMENT",
    ...rows([
      ["CROSSZONE_TOKEN", "the token, where --token-file is not given"],
      ["NO_COLOR", "where it is set and not empty, a terminal gets no colours either"],
    ]),
    ".SH FILES",
    ...rows([[DEFAULT_SOCKET, "the unix socket of a running router; root's, mode 0600"]]),
    ".SH SEE ALSO",
    "conntrack(8), ovs\\-dpctl(8), ip(8)",
    "",
  ].join("\n");
}

const DESCRIPTION =
  "crosszone is an edge router for many tenants whose addresses overlap and who share public addresses. It translates once: " +
  "each entry of its connection table (a conn) has a zone for each of its two directions, so the reply itself says which " +
  "tenant it belongs to.\n\n" +
  "crosszone run forwards. All commands that look at it, or change it, ask the running one over its unix socket, or over TCP " +
  "with --url. Results go to standard output, everything else to standard error; colours to a terminal only.";

type Row = readonly [term: string, text: string];

/** Options that several commands have are described once. */
function sharedGroups(verbs: readonly Verb[]): ReadonlyMap<string, ReadonlyMap<string, Option>> {
  const groups = new Map<string, { options: Map<string, Option>; verbs: Set<Verb> }>();
  for (const verb of verbs) {
    for (const [name, option] of Object.entries(verb.options)) {
      if (option.group === undefined) continue;
      const group = groups.get(option.group) ?? { options: new Map(), verbs: new Set() };
      group.options.set(name, option);
      group.verbs.add(verb);
      groups.set(option.group, group);
    }
  }
  const shared = [...groups].filter(([, { verbs }]) => verbs.size > 1);
  return new Map(shared.map(([title, { options }]) => [title, options]));
}

function commandPart(
  each: Command,
  shared: ReadonlyMap<string, ReadonlyMap<string, Option>>,
): string[] {
  return each.verbs.flatMap((verb, i) => {
    const said = each.verbs.slice(0, i).some(({ text }) => text === verb.text);
    const own = new Map(
      Object.entries(verb.options).filter(
        ([, { group }]) => group === undefined || !shared.has(group),
      ),
    );
    return [
      ...synopsis(each, verb),
      said ? escaped(`As above: ${verb.summary}.`) : paragraphs(verb.text),
      ...rows(verb.args.map(({ name, help }) => [name, help])),
      ...optionPart(own),
      ...(verb.sections ?? []).flatMap((section) => [
        ".PP",
        escaped(`${section.title}:`),
        ...rows(section.rows),
      ]),
      ...(verb.exits === undefined ? [] : [".PP", escaped(`Exit status: ${verb.exits}`)]),
      ".PP",
      verb.examples.length === 1 ? "Example:" : "Examples:",
      ".PP",
      ".nf",
      ".RS",
      ...verb.examples.map((example) => escaped(commandLine(example))),
      ".RE",
      ".fi",
    ];
  });
}

/** Under a heading of its name each form of it, and the end of the paragraph: the text begins the next. */
function synopsis(each: Command, verb: Verb): string[] {
  const name = escaped(`crosszone ${wordsOf(each, verb)}`);
  const forms: string[] = [];
  for (const line of usageOf(each, verb)) {
    const rest = escaped(line.trim());
    const isNew = rest === name || rest.startsWith(`${name} `);
    if (isNew) forms.push(rest.slice(name.length).trim());
    else forms.push(`${forms.pop()} ${rest}`);
  }
  const lines = forms.flatMap((form) => [`.SY "${name}"`, ...(form === "" ? [] : [form])]);
  return [`.SS "${name}"`, ...lines, ".YS", ".PP"];
}

function optionPart(options: ReadonlyMap<string, Option>): string[] {
  return rows(
    [...options].map(([name, option]): Row => [optionTerm(name, option), optionText(option)]),
  );
}

function rows(given: readonly Row[]): string[] {
  return given.flatMap(([term, text]) => [".TP", `.B ${escaped(term)}`, escaped(text)]);
}

function paragraphs(text: string): string {
  return text.split("\n\n").map(escaped).join("\n.PP\n");
}

/** What is not ASCII, by groff's names (groff_char(7)); the page has no other. */
const CHARACTERS: Readonly<Record<string, string>> = {
  "…": "...",
  "→": "\\(->",
  "↔": "\\(<>",
};

/** groff_man(7): a hyphen that is to be copied is `\-`; a line must not begin with a dot or a quote. */
export function escaped(text: string): string {
  return text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replace(/[^\n -~]/g, (character) => CHARACTERS[character] ?? character)
    .replace(/^[.']/gm, "\\&$&");
}
