/** What all commands share: their arguments, their exit codes and how they end badly. */

import { type ParseArgsConfig, parseArgs } from "node:util";

/** Exit codes, as README.md documents them. */
export enum Exit {
  Ok = 0,
  Failure = 1,
  Usage = 2,
}

export interface Command {
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** The whole help text, an example included. */
  readonly help: string;
  run(args: string[]): Promise<Exit>;
}

/** Bad arguments: exit code 2, with a hint at --help. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

type Options = NonNullable<ParseArgsConfig["options"]>;

/** Parses a command's arguments; anything unknown or missing is a UsageError. */
export function readArgs<T extends Options>(args: string[], options: T, positionals: string[]) {
  try {
    const parsed = parseArgs({ args, options, allowPositionals: true, strict: true });
    const missing = positionals[parsed.positionals.length];
    if (missing !== undefined) throw new UsageError(`${missing} is missing`);
    const surplus = parsed.positionals[positionals.length];
    if (surplus !== undefined) throw new UsageError(`unexpected argument '${surplus}'`);
    return parsed;
  } catch (error) {
    if (error instanceof TypeError) throw new UsageError(error.message);
    throw error;
  }
}

/** Results: the only thing that goes to standard output. */
export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Everything else. */
export function log(text: string): void {
  process.stderr.write(`crosszone: ${text}\n`);
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
