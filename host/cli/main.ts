/** The command line: which command, and what its end means to the shell. */

import { ConfigError } from "../config/error.js";
import { messageOf } from "../errortext.js";
import { Exit, log, print, say, Told, UsageError, watchOutput } from "./command.js";
import { COMMANDS } from "./commands.js";
import { ConfigFileError } from "./configfile.js";
import { type Command, choose, hasVerbs, type Verb, wordsOf } from "./definition.js";
import { helpOf, overview } from "./help.js";

/** Runs the command that `args` begins with; resolves with the exit code and never rejects. */
export async function main(args: readonly string[]): Promise<Exit> {
  const [name = "", ...rest] = args;
  if (name === "") {
    process.stderr.write(`${overview(COMMANDS)}\n`);
    return Exit.Usage;
  }
  if (name === "--help" || name === "-h" || name === "help") return help(rest);
  const command = find(/^(--version|-V)$/.test(name) ? "version" : name);
  if (command === undefined) return unknown(name);
  if (asksForHelp(rest)) return help([name, ...rest]);
  let words = command.name;
  try {
    const { verb, rest: left } = choose(command, rest);
    words = wordsOf(command, verb);
    watchOutput(words, verb.keepsOn === true);
    return await verb.run(left, words);
  } catch (error) {
    return explain(words, error);
  }
}

/** What stands behind `--` is no option. */
function asksForHelp(args: readonly string[]): boolean {
  const end = args.indexOf("--");
  const options = end < 0 ? args : args.slice(0, end);
  return options.includes("--help") || options.includes("-h");
}

function explain(words: string, error: unknown): Exit {
  if (error instanceof UsageError) {
    log(`${words}: ${error.message}; see crosszone ${words} --help`);
    return Exit.Usage;
  }
  if (error instanceof ConfigError || error instanceof ConfigFileError) {
    say(error.message);
    return Exit.Usage;
  }
  if (error instanceof Told) {
    for (const line of error.lines) say(line);
    return error.exit;
  }
  log(`${words}: ${messageOf(error)}`);
  return Exit.Failure;
}

function find(name: string): Command | undefined {
  return COMMANDS.find((each) => each.name === name);
}

/** What conntrack has an option for. */
const CONNTRACK: ReadonlyMap<string, string> = new Map(
  Object.entries({
    list: ["-L", "--dump"],
    delete: ["-D", "--delete"],
    flush: ["-F", "--flush"],
    count: ["-C", "--count"],
    events: ["-E", "--event"],
    stats: ["-S", "--stats"],
  }).flatMap(([ours, theirs]) => theirs.map((each) => [each, ours] as const)),
);

function unknown(name: string): Exit {
  const ours = CONNTRACK.get(name);
  if (ours === undefined) log(`unknown command '${name}'; see crosszone --help`);
  else log(`unknown command '${name}'; say crosszone ${ours}`);
  return Exit.Usage;
}

function help([topic, wanted = ""]: readonly string[]): Exit {
  watchOutput("help", false);
  if (topic === undefined) {
    print(overview(COMMANDS));
    return Exit.Ok;
  }
  const command = find(topic);
  if (command === undefined) return unknown(topic);
  const isVerb = (each: Verb) => hasVerbs(command) && each.name === wanted;
  print(helpOf(command, command.verbs.find(isVerb)));
  return Exit.Ok;
}
