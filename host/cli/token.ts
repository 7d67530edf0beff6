/** Bearer tokens of the control plane: made, listed and removed in a state directory, with or without a router. */

import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { Refusal } from "../state/refusal.js";
import { ROLES } from "../state/role.js";
import { RANDOM_BYTES, type TokenInfo, Tokens } from "../state/tokens.js";
import { Exit, log, print, UsageError } from "./command.js";
import { type Command, verb } from "./definition.js";
import { tableText } from "./table.js";

const TEXT =
  "Who may use the control plane of the router whose state directory is DIR. A running router takes a change from the " +
  'next request on. "add" prints the token, this once: kept is a hash only. "list" prints what is known of each; ID is ' +
  'what the token begins with: "cz_" and eight characters.';

const STATE = {
  type: "string",
  value: "DIR",
  names: "folder",
  help: 'the state directory; "add" makes it where there is none',
} as const;

const add = verb({
  name: "add",
  summary: "make a token and print it, this once",
  text: TEXT,
  args: [],
  options: {
    state: STATE,
    role: {
      type: "string",
      value: "ROLE",
      choices: ROLES,
      default: "viewer",
      help: "viewer reads, operator changes, too",
    },
    name: {
      type: "string",
      value: "TEXT",
      default: "",
      help: 'what "list" and the history call it',
    },
    expires: {
      type: "string",
      value: "WHEN",
      help: "12h, 90d, or a date: 2030-01-31, 2030-01-31T12:00:00Z; never if not given",
    },
  },
  usage: ["--state DIR [--role viewer|operator] [--name TEXT] [--expires WHEN]"],
  examples: [
    "sudo crosszone token add --state /var/lib/crosszone --role operator --name laptop > token",
  ],

  async act({ values }) {
    const directory = stateOf(values.state);
    const nowMs = Date.now();
    const request = {
      role: values.role,
      name: values.name,
      expires: values.expires === undefined ? null : timeOf(values.expires, nowMs),
    };
    const now = { wallMs: nowMs, monotonicMs: performance.now() };
    const tokens = Tokens.open(directory);
    const made = await asUsage(() => tokens.add(request, randomBytes(RANDOM_BYTES), now));
    print(made.token);
    log(`token ${made.info.id} (${made.info.role}) added; it is not shown again`);
    return Exit.Ok;
  },
});

const list = verb({
  name: "list",
  summary: "print what is known of each token",
  text: TEXT,
  args: [],
  options: { state: STATE, json: { type: "boolean", help: "an array of objects" } },
  usage: ["--state DIR [--json]"],
  examples: ["sudo crosszone token list --state /var/lib/crosszone"],

  act({ values }) {
    const tokens = existing(stateOf(values.state)).list();
    print(values.json ? JSON.stringify(tokens.map(jsonOf)) : tableOf(tokens));
    return Exit.Ok;
  },
});

const remove = verb({
  name: "remove",
  summary: "let a token in no more",
  text: TEXT,
  args: [{ name: "ID", help: "the token's, or the token itself" }],
  options: { state: STATE },
  usage: ["--state DIR ID"],
  examples: ["sudo crosszone token remove --state /var/lib/crosszone cz_3fGq0AbC"],

  async act({ values, args }) {
    const removed = await existing(stateOf(values.state)).remove(args[0] ?? "");
    log(`token ${removed.id} (${removed.role}) removed`);
    return Exit.Ok;
  },
});

export const token: Command = {
  name: "token",
  group: "Tools",
  summary: "add, list and remove tokens for the control plane",
  verbs: [add, list, remove],
};

function stateOf(directory: string | undefined): string {
  if (directory === undefined || directory === "") throw new UsageError("--state DIR is missing");
  return directory;
}

/** Only `add` makes a directory: of a name that is misspelt nothing should be left. */
function existing(directory: string): Tokens {
  if (!existsSync(directory)) throw new Error(`${directory}: no such directory`);
  return Tokens.open(directory);
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
  return tableText(
    ["ID", "ROLE", "CREATED", "LAST USED", "EXPIRES", "NAME"],
    tokens.map(({ id, role, created, lastUsed, expires, name }) => {
      return [id, role, minute(created), minute(lastUsed), minute(expires), name];
    }),
  );
}
