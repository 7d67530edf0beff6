/** The command line: which command, and what its end means to the shell. */

import { ConfigError } from "../config/error.js";
import { check } from "./check.js";
import { type Command, Exit, log, messageOf, print, UsageError, watchOutput } from "./command.js";
import { ConfigFileError } from "./configfile.js";
import { demo } from "./demo.js";
import { pool } from "./pool.js";
import { replay } from "./replay.js";
import { run } from "./run.js";
import { schema } from "./schema.js";
import { token } from "./token.js";
import { version } from "./version.js";

const COMMANDS: readonly Command[] = [run, check, schema, pool, replay, token, demo, version];

/** Runs the command that `args` begins with; resolves with the exit code and never rejects. */
export async function main(args: readonly string[]): Promise<Exit> {
  const [name = "", ...rest] = args;
  if (name === "") {
    process.stderr.write(`${overview()}\n`);
    return Exit.Usage;
  }
  if (name === "--help" || name === "-h" || name === "help") return help(rest[0]);
  const command = find(name.replace(/^--version$/, "version"));
  if (command === undefined) return unknown(name);
  watchOutput(command);
  if (rest.includes("--help") || rest.includes("-h")) {
    print(command.help);
    return Exit.Ok;
  }
  try {
    return await command.run(rest);
  } catch (error) {
    return explain(command, error);
  }
}

function explain(command: Command, error: unknown): Exit {
  if (error instanceof UsageError) {
    log(`${command.name}: ${error.message}; see crosszone ${command.name} --help`);
    return Exit.Usage;
  }
  if (error instanceof ConfigError || error instanceof ConfigFileError) {
    process.stderr.write(`${error.message}\n`);
    return Exit.Usage;
  }
  log(`${command.name}: ${messageOf(error)}`);
  return Exit.Failure;
}

function find(name: string): Command | undefined {
  return COMMANDS.find((each) => each.name === name);
}

function unknown(name: string): Exit {
  log(`unknown command '${name}'; see crosszone --help`);
  return Exit.Usage;
}

function help(topic: string | undefined): Exit {
  const command = topic === undefined ? undefined : find(topic);
  if (topic !== undefined && command === undefined) return unknown(topic);
  print(command?.help ?? overview());
  return Exit.Ok;
}

function overview(): string {
  const width = Math.max(...COMMANDS.map(({ name }) => name.length));
  const list = COMMANDS.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`);
  return `crosszone: many tenants with overlapping addresses share one public address

Commands:
${list.join("\n")}

crosszone COMMAND --help says more. Exit codes: 0 done, 1 failed, 2 bad arguments or configuration.

Example:
  crosszone check edge.json && sudo crosszone run edge.json`;
}
