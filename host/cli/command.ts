/** What all commands share: their arguments, their exit codes and how they end badly. */

import { type ParseArgsConfig, parseArgs } from "node:util";
import { redact } from "../state/secret.js";

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
  /** Goes on when nobody reads its standard output any more. */
  readonly keepsOn?: boolean;
  run(args: string[]): Promise<Exit>;
}

/** Bad arguments: exit code 2, with a hint at --help. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

type Options = NonNullable<ParseArgsConfig["options"]>;

/** Parses a command's arguments; anything unknown or missing is a UsageError. */
export function readArgs<T extends Options>(
  args: string[],
  options: T,
  positionals: readonly string[],
  optional: readonly string[] = [],
) {
  try {
    const parsed = parseArgs({ args, options, allowPositionals: true, strict: true });
    const missing = positionals[parsed.positionals.length];
    if (missing !== undefined) throw new UsageError(`${missing} is missing`);
    const surplus = parsed.positionals[positionals.length + optional.length];
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

/**
 * What happens when standard output cannot be written: `crosszone check edge.json --flows | head -1` ends
 * quietly when `head` has seen enough, and anything else is a failure. Nobody can be told that standard
 * error is closed.
 */
export function watchOutput(command: Command): void {
  process.stderr.on("error", () => {});
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (command.keepsOn) return;
    if (error.code === "EPIPE") process.exit(Exit.Ok);
    log(`${command.name}: standard output: ${error.message}`);
    process.exit(Exit.Failure);
  });
}

/** Everything else; of a token that is in it only the part that is no secret. */
export function log(text: string): void {
  process.stderr.write(`crosszone: ${redact(text)}\n`);
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
