/** What all commands share: their exit codes, what they say where, and how they end badly. */

import { redact } from "../state/secret.js";
import { plainLines } from "./plain.js";

/** Exit codes, as README.md documents them; conntrack's, too. */
export enum Exit {
  Ok = 0,
  Failure = 1,
  Usage = 2,
}

/** Bad arguments: exit code 2, with a hint at --help. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** What has been said already, line by line; only the exit code is left to tell. */
export class Told extends Error {
  override readonly name = "Told";

  constructor(
    readonly lines: readonly string[],
    readonly exit: Exit,
  ) {
    super(lines.join("\n"));
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
export function watchOutput(name: string, keepsOn: boolean): void {
  process.stderr.on("error", () => {});
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (keepsOn) return;
    if (error.code === "EPIPE") process.exit(Exit.Ok);
    log(`${name}: standard output: ${error.message}`);
    process.exit(Exit.Failure);
  });
}

/** Everything else; of a token that is in it only the part that is no secret. */
export function log(text: string): void {
  process.stderr.write(`crosszone: ${plainLines(redact(text))}\n`);
}

/** A line for standard error that names its own place: `edge.json: zones[2].name: expected …`. */
export function say(text: string): void {
  process.stderr.write(`${plainLines(redact(text))}\n`);
}
