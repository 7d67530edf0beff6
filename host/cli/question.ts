/** Questions on a terminal. They are asked on standard error: standard output is for results. */

import { createInterface } from "node:readline/promises";

/**
 * Whether the answer is yes. An end of the input, Ctrl-C at the question, and `ms` without an answer mean no.
 */
export async function isYes(question: string, ms?: number): Promise<boolean> {
  return (await answerTo(`${question} [y/N] `, ms)) === "yes";
}

/** Whether somebody can be asked. */
export function hasSomebody(): boolean {
  return process.stdin.isTTY === true;
}

export type Answered = "yes" | "no" | "nothing";

/** `nothing`: nobody has answered. */
export async function answerTo(question: string, ms?: number): Promise<Answered> {
  const asking = createInterface({ input: process.stdin, output: process.stderr });
  const end = new AbortController();
  const timer = ms === undefined ? undefined : setTimeout(() => end.abort(), ms);
  // Without a listener Ctrl-C ends the input; the question then has no answer.
  asking.once("SIGINT", () => end.abort());
  asking.once("close", () => end.abort());
  try {
    const answer = await asking.question(question, { signal: end.signal });
    if (/^\s*y(es)?\s*$/i.test(answer)) return "yes";
    return "no";
  } catch {
    process.stderr.write("\n");
    return "nothing";
  } finally {
    clearTimeout(timer);
    asking.close();
  }
}
