/** Bearer tokens of the control plane: made, listed and removed in a state directory, with or without a router. */

import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { Refusal } from "../state/refusal.js";
import { RANDOM_BYTES, type Role, type TokenInfo, Tokens } from "../state/tokens.js";
import { type Command, Exit, log, print, readArgs, UsageError } from "./command.js";

export const token: Command = {
  name: "token",
  summary: "add, list and remove tokens for the control plane",
  help: `crosszone token add --state DIR [--role viewer|operator] [--name TEXT] [--expires WHEN]
crosszone token list --state DIR [--json]
crosszone token remove --state DIR ID

Who may use the control plane of the router whose state directory is DIR. A running router takes a change
from the next request on. "add" prints the token, this once: kept is a hash only. "list" prints what is
known of each; ID is what the token begins with: "cz_" and eight characters.

  --state DIR     the state directory; "add" makes it where there is none
  --role ROLE     viewer (reads) or operator (changes, too); viewer if not given
  --name TEXT     what "list" and the history call it
  --expires WHEN  12h, 90d, or a date: 2030-01-31, 2030-01-31T12:00:00Z; never if not given
  --json          an array of objects

Example:
  sudo crosszone token add --state /var/lib/crosszone --role operator --name laptop > token`,

  async run(args) {
    const [verb, ...rest] = args;
    switch (verb) {
      case "add":
        return await add(rest);
      case "list":
        return list(rest);
      case "remove":
        return await remove(rest);
      case undefined:
        throw new UsageError("add, list or remove is missing");
      default:
        throw new UsageError(`unknown command 'token ${verb}'`);
    }
  },
};

async function add(args: string[]): Promise<Exit> {
  const options = {
    state: { type: "string" },
    role: { type: "string", default: "viewer" },
    name: { type: "string", default: "" },
    expires: { type: "string" },
  } as const;
  const { values } = readArgs(args, options, []);
  const directory = stateOf(values.state);
  const nowMs = Date.now();
  const request = {
    role: roleOf(values.role),
    name: values.name,
    expires: values.expires === undefined ? null : timeOf(values.expires, nowMs),
  };
  const now = { wallMs: nowMs, monotonicMs: performance.now() };
  const tokens = Tokens.open(directory);
  const made = await asUsage(() => tokens.add(request, randomBytes(RANDOM_BYTES), now));
  print(made.token);
  log(`token ${made.info.id} (${made.info.role}) added; it is not shown again`);
  return Exit.Ok;
}

function list(args: string[]): Exit {
  const options = { state: { type: "string" }, json: { type: "boolean", default: false } } as const;
  const { values } = readArgs(args, options, []);
  const tokens = existing(stateOf(values.state)).list();
  print(values.json ? JSON.stringify(tokens.map(jsonOf)) : tableOf(tokens));
  return Exit.Ok;
}

async function remove(args: string[]): Promise<Exit> {
  const { values, positionals } = readArgs(args, { state: { type: "string" } } as const, ["ID"]);
  const removed = await existing(stateOf(values.state)).remove(positionals[0] ?? "");
  log(`token ${removed.id} (${removed.role}) removed`);
  return Exit.Ok;
}

function stateOf(directory: string | undefined): string {
  if (directory === undefined || directory === "") throw new UsageError("--state DIR is missing");
  return directory;
}

/** Only `add` makes a directory: of a name that is misspelt nothing should be left. */
function existing(directory: string): Tokens {
  if (!existsSync(directory)) throw new Error(`${directory}: no such directory`);
  return Tokens.open(directory);
}

function roleOf(text: string): Role {
  if (text === "viewer" || text === "operator") return text;
  throw new UsageError(`--role: viewer or operator expected, found '${text}'`);
}

const UNIT_MS: Readonly<Record<string, number>> = { h: 3_600_000, d: 86_400_000 };

/** As Date takes it, which takes much more. */
const DATE =
  /^[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T[0-9]{2}:[0-9]{2}(?::[0-9]{2})?(?:Z|[+-][0-9]{2}:[0-9]{2}))?$/;

/** Milliseconds since 1970. */
function timeOf(text: string, nowMs: number): number {
  const [, count, unit] = /^([1-9][0-9]{0,4})([hd])$/.exec(text) ?? [];
  if (count !== undefined) return nowMs + Number(count) * (UNIT_MS[unit ?? ""] ?? 0);
  const time = DATE.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(time)) {
    throw new UsageError(`--expires: 12h, 90d or a date expected, found '${text}'`);
  }
  return time;
}

async function asUsage<T>(action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    if (error instanceof Refusal) throw new UsageError(`${error.path}: ${error.message}`);
    throw error;
  }
}

function jsonOf(token: TokenInfo) {
  const { created, lastUsed, expires } = token;
  const iso = (time: number | null) => (time === null ? null : new Date(time).toISOString());
  return { ...token, created: iso(created), lastUsed: iso(lastUsed), expires: iso(expires) };
}

function tableOf(tokens: readonly TokenInfo[]): string {
  const minute = (time: number | null) =>
    time === null ? "never" : `${new Date(time).toISOString().slice(0, 16)}Z`;
  const rows = [
    ["ID", "ROLE", "CREATED", "LAST USED", "EXPIRES", "NAME"],
    ...tokens.map(({ id, role, created, lastUsed, expires, name }) => {
      return [id, role, minute(created), minute(lastUsed), minute(expires), name];
    }),
  ];
  const widths = rows[0]?.map((_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths?.[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
