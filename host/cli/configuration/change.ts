/**
 * What the commands share that change the configuration: they say what a change does before it is made, and where it was
 * asked for, have it confirmed over a new connection, so that a change that cuts off its operator does not stay.
 */

import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "../../control/client.js";
import { messageOf } from "../../errortext.js";
import { Exit, log, print, say, UsageError } from "../command.js";
import type { Reach } from "../connection.js";
import { type Values, wholeNumber } from "../definition.js";
import { answerTo, hasSomebody, isYes } from "../question.js";
import type { Revision } from "./words.js";

const SECONDS_MAX = 86_400;
const RETRY_MS = 500;
/** A question ends so long before the router takes the revision back: an answer needs its time, too. */
const MARGIN_MS = 500;

export const CHANGE_OPTIONS = {
  confirm: {
    type: "string",
    value: "SECONDS",
    help: "roll back unless it is confirmed within so many seconds over a new connection; on a terminal it opens one and asks",
  },
  note: { type: "string", value: "TEXT", default: "", help: "why, for the history" },
  base: {
    type: "string",
    value: "N",
    help: "the revision that the change was made from: refused if another is in force",
  },
  yes: {
    type: "boolean",
    help: "ask nothing; with --confirm, confirm as soon as a new connection gets through",
  },
} as const;

export type ChangeValues = Values<typeof CHANGE_OPTIONS>;

/** @throws UsageError */
export function checkChange({ confirm, base }: Pick<ChangeValues, "confirm" | "base">): void {
  confirmSeconds(confirm);
  if (base !== undefined) revisionNumber("--base", base);
}

export function revisionNumber(name: string, text: string): number {
  return wholeNumber(name, text, 1, Number.MAX_SAFE_INTEGER);
}

/** Parameters of the method that makes the change. */
export function changeParams({ confirm, note, base }: Omit<ChangeValues, "yes">) {
  const seconds = confirmSeconds(confirm);
  return {
    note,
    ...(base === undefined ? {} : { base: revisionNumber("--base", base) }),
    ...(seconds === undefined ? {} : { confirmWithinSec: seconds }),
  };
}

function confirmSeconds(text: string | undefined): number | undefined {
  return text === undefined ? undefined : wholeNumber("--confirm", text, 1, SECONDS_MAX);
}

/** Where nobody can be asked, a change is meant, or takes itself back. @throws UsageError */
export function checkMeant({ yes, confirm }: Pick<ChangeValues, "yes" | "confirm">): void {
  if (yes || confirm !== undefined || hasSomebody()) return;
  throw new UsageError(
    "it changes what is in force: say --yes where nobody can be asked, or --confirm SECONDS",
  );
}

/** Whether to go on: who can be asked is. */
export async function goesOn(question: string, yes: boolean): Promise<boolean> {
  if (yes || !hasSomebody() || (await isYes(question))) return true;
  print("nothing was changed");
  return false;
}

/** Says what became of a change, and sees to it that it is confirmed. */
export async function settle(
  { revision }: { readonly revision: Revision },
  { again, words }: Reach,
  yes: boolean,
): Promise<Exit> {
  const { number, state, confirmWithinSec } = revision;
  if (state !== "pending" || confirmWithinSec == null) {
    print(`revision ${number} is in force`);
    return Exit.Ok;
  }
  print(
    `revision ${number} is in force, and is rolled back in ${confirmWithinSec} s unless it is confirmed`,
  );
  if (!yes && !hasSomebody()) {
    print(`to keep it: crosszone config confirm ${number}`);
    return Exit.Ok;
  }
  return await confirmAnew(
    number,
    Date.now() + confirmWithinSec * 1000 - MARGIN_MS,
    { again, words },
    yes,
  );
}

/** Over a connection of its own: whoever gets through then has not been cut off. */
async function confirmAnew(
  revision: number,
  untilMs: number,
  { again, words }: Pick<Reach, "again" | "words">,
  yes: boolean,
): Promise<Exit> {
  const client = await reach(again, untilMs);
  if (client === undefined) {
    log(`${words}: the router cannot be reached any more: revision ${revision} is rolled back`);
    return Exit.Failure;
  }
  const left = untilMs - Date.now();
  const question = `A new connection gets through. Keep revision ${revision}?`;
  const answer = yes ? "yes" : await answerTo(`${question} [y/N] `, left);
  if (answer === "yes") {
    await client.call("config.confirm", { revision });
    print(`revision ${revision} is confirmed`);
    return Exit.Ok;
  }
  if (answer === "nothing") {
    log(`${words}: not confirmed: revision ${revision} is rolled back when its time is over`);
    return Exit.Failure;
  }
  const { revision: now } = await client.call("config.rollback", {});
  print(`rolled back: revision ${now.number} is in force`);
  return Exit.Failure;
}

/** Tries until it is too late. */
async function reach(again: () => Promise<Client>, untilMs: number): Promise<Client | undefined> {
  for (let isFirst = true; ; isFirst = false) {
    try {
      return await again();
    } catch (error) {
      if (isFirst) say(messageOf(error));
      if (Date.now() + RETRY_MS >= untilMs) return undefined;
      await sleep(RETRY_MS);
    }
  }
}
