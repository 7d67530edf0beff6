/** `crosszone config`: configurations as revisions of a running router. */

import type { Client } from "../../control/client.js";
import type { Result } from "../../control/protocol/methods.js";
import { checked } from "../check.js";
import { Exit, print, Told, UsageError } from "../command.js";
import { CONFIG_ARGUMENT, loadConfig, readSource } from "../configfile.js";
import { askingVerb, CONNECTION_OPTIONS, faultLine, withRouter } from "../connection.js";
import { type Command, verb } from "../definition.js";
import { JSON_OPTION, printPages } from "../look/listing.js";
import { paintFor, write } from "../output.js";
import {
  CHANGE_OPTIONS,
  changeParams,
  checkChange,
  checkMeant,
  goesOn,
  revisionNumber,
  settle,
} from "./change.js";
import { changesText, diffText, endsText, HISTORY_HEADING, historyRow } from "./words.js";

const REVISION = { name: "N", help: "the number of a revision", isOptional: true } as const;

/** What the router calls what was named by an argument or option. */
const PARAMETERS: Readonly<Record<string, string>> = {
  base: "--base",
  confirmWithinSec: "--confirm",
  note: "--note",
};

const get = askingVerb({
  name: "get",
  summary: "print a configuration as it was written",
  text: "Prints the text of revision N; without N, of what is in force.",
  args: [REVISION],
  options: {},
  parameters: { revision: "N" },
  examples: ["config get > edge.json"],

  async ask({ client, args: [text] }) {
    const revision = text === undefined ? {} : { revision: revisionNumber("N", text) };
    const answer = await client.call("config.get", revision);
    await write(answer.text.endsWith("\n") ? answer.text : `${answer.text}\n`);
    return Exit.Ok;
  },
});

const check = verb({
  name: "check",
  summary: "check a configuration, also against the running router",
  text:
    "Lists everything that is wrong with a configuration, as crosszone check does. With --live the router is asked, too: " +
    "whether it could switch to it, what would change, and which conns would end.",
  args: [CONFIG_ARGUMENT],
  options: {
    live: { type: "boolean", help: "ask the running router" },
    ...CONNECTION_OPTIONS,
  },
  usage: ["CONFIG [--live [options: the router]]"],
  examples: ["config check edge.json --live"],
  exits: "2 where something is wrong with it, 1 where the router could not switch to it.",

  async act({ values, args: [path = ""], words }) {
    if (!values.live) {
      checked(loadConfig(path), undefined, false);
      return Exit.Ok;
    }
    const source = readSource(path);
    return await withRouter(values, words, PARAMETERS, async ({ client }) => {
      const verdict = await examine(client, source);
      print(
        verdict.isUnchanged
          ? `ok: it is what is in force, revision ${verdict.base}`
          : `ok: it can be applied to revision ${verdict.base}`,
      );
      return Exit.Ok;
    });
  },
});

/** Says what a configuration would do. @throws Told where it would do nothing */
async function examine(
  client: Client,
  { text, name }: { readonly text: string; readonly name: string },
): Promise<Result<"config.check">> {
  const verdict = await client.call("config.check", { config: text });
  if (!verdict.isGood) {
    const { problems, refusal } = verdict;
    if (refusal !== undefined) {
      throw new Told([`${name}: the router cannot run it: ${refusal}`], Exit.Failure);
    }
    throw new Told(
      problems.map((each) => `${name}: ${faultLine(each)}`),
      Exit.Usage,
    );
  }
  if (verdict.isUnchanged) return verdict;
  const diff = await client.call("config.diff", { from: verdict.base, config: text });
  print(changesText(diff, paintFor(process.stdout)));
  if (verdict.ends !== undefined) print(endsText(verdict.ends));
  return verdict;
}

const diff = askingVerb({
  name: "diff",
  summary: "print what differs between two configurations",
  text:
    "Prints in the form of diff -u what differs from revision A to B; without B, to what is in force; without both, what " +
    "the last change did. With --file: from A, or what is in force, to a file.",
  args: [
    { name: "A", help: "the number of a revision", isOptional: true },
    { name: "B", help: "the number of another", isOptional: true },
  ],
  options: {
    file: {
      type: "string",
      value: "FILE",
      names: "file",
      help: "a configuration, or - for standard input",
    },
  },
  parameters: { from: "A", to: "B" },
  examples: ["config diff", "config diff 3 5", "config diff --file edge.json"],

  check({ values, args }) {
    if (values.file !== undefined && args.length > 1) {
      throw new UsageError("--file stands in the place of B; say one");
    }
    if (args[0] !== undefined) revisionNumber("A", args[0]);
    if (args[1] !== undefined) revisionNumber("B", args[1]);
  },

  async ask({ client, values: { file }, args }) {
    const [from, to] = args.map((text, i) => revisionNumber(i === 0 ? "A" : "B", text));
    const { inForce, base } = await lately(client);
    const older = from ?? (file === undefined ? base : inForce);
    const newer = file === undefined ? { to: to ?? inForce } : { config: readSource(file).text };
    const { text } = await client.call("config.diff", { from: older, ...newer });
    if (text === "") return Exit.Ok;
    const names = `--- revision ${older}\n+++ ${file ?? `revision ${to ?? inForce}`}`;
    await write(`${diffText(`${names}\n${text.trimEnd()}`, paintFor(process.stdout))}\n`);
    return Exit.Ok;
  },
});

/** The revision in force, and the one that it was made from; itself, where that is not there any more. */
async function lately(
  client: Client,
): Promise<{ readonly inForce: number; readonly base: number }> {
  const { revisions } = await client.call("config.history", {});
  const current = revisions.find(({ isInForce }) => isInForce);
  const inForce = current?.number ?? 1;
  const isThere = revisions.some(({ number }) => number === current?.base);
  return { inForce, base: isThere ? (current?.base ?? inForce) : inForce };
}

const apply = askingVerb({
  name: "apply",
  summary: "put a configuration in force",
  text:
    "Says what changes and which conns end, asks, and puts the configuration in force between two batches of frames: no " +
    "packet is lost. If anything else was put in force meanwhile, it is refused. Conns that end stay ended, also when it is " +
    "rolled back. Where there is no terminal to ask on, it does nothing without --yes or --confirm.",
  args: [CONFIG_ARGUMENT],
  options: CHANGE_OPTIONS,
  parameters: PARAMETERS,
  examples: ["config apply edge.json --confirm 60 --note 'more ports for a'"],
  exits: "1 also where it was not confirmed, or not applied after a question.",

  check({ values }) {
    checkChange(values);
    checkMeant(values);
  },

  async ask({ values, args: [path = ""], ...reach }) {
    const source = readSource(path);
    const { isUnchanged, base } = await examine(reach.client, source);
    if (isUnchanged) {
      print(`it is what is in force: revision ${base}`);
      return Exit.Ok;
    }
    if (!(await goesOn("Apply it?", values.yes))) return Exit.Failure;
    const request = { config: source.text, base, ...changeParams(values) };
    return await settle(await reach.client.call("config.apply", request), reach, values.yes);
  },
});

const confirm = askingVerb({
  name: "confirm",
  summary: "keep a revision that waits to be confirmed",
  text: "Keeps the revision that waits to be confirmed. N says which one is meant; without it, whichever waits.",
  args: [REVISION],
  options: {},
  parameters: { revision: "N" },
  examples: ["config confirm 5"],

  async ask({ client, args: [text] }) {
    const revision = text === undefined ? await pending(client) : revisionNumber("N", text);
    await client.call("config.confirm", { revision });
    print(`revision ${revision} is confirmed`);
    return Exit.Ok;
  },
});

async function pending(client: Client): Promise<number> {
  const { revisions } = await client.call("config.history", {});
  const waiting = revisions.find(({ state, isInForce }) => state === "pending" && isInForce);
  if (waiting === undefined) throw new Error("no revision waits to be confirmed");
  return waiting.number;
}

const rollback = askingVerb({
  name: "rollback",
  summary: "put an older revision in force again",
  text:
    "Puts the configuration of revision N in force again, as a new revision; it asks as apply does. Without N it takes back " +
    "what waits to be confirmed, at once.",
  args: [REVISION],
  options: CHANGE_OPTIONS,
  parameters: { ...PARAMETERS, to: "N" },
  examples: ["config rollback", "config rollback 3 --confirm 60"],

  check({ values, args: [text] }) {
    checkChange(values);
    if (text === undefined) return;
    revisionNumber("N", text);
    checkMeant(values);
  },

  async ask({ values, args: [text], ...reach }) {
    const { client } = reach;
    const params = changeParams(values);
    if (text === undefined) {
      const changed = await client.call("config.rollback", params);
      if (changed.ends !== undefined) print(endsText(changed.ends));
      return await settle(changed, reach, values.yes);
    }
    const to = revisionNumber("N", text);
    const old = await client.call("config.get", { revision: to });
    const { base } = await examine(client, { text: old.text, name: `revision ${to}` });
    if (!(await goesOn(`Roll back to revision ${to}?`, values.yes))) return Exit.Failure;
    const changed = await client.call("config.rollback", { to, base, ...params });
    return await settle(changed, reach, values.yes);
  },
});

const history = askingVerb({
  name: "history",
  summary: "print the revisions that are kept",
  text: "Prints the revisions that are kept, the oldest first: when, by whom, why, and what became of them.",
  options: JSON_OPTION,
  examples: ["config history"],

  async ask({ client, values: { json } }) {
    const { revisions } = await client.call("config.history", {});
    const nowMs = Date.now();
    return await printPages([revisions], {
      json,
      heading: HISTORY_HEADING,
      cells: (revision) => historyRow(revision, nowMs),
    });
  },
});

export const config: Command = {
  name: "config",
  group: "Configuration",
  summary: "read, compare and change the configuration of the running router",
  verbs: [get, check, diff, apply, confirm, rollback, history],
};
