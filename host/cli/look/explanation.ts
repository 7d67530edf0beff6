/** What a Reason means and what to do, as lines for a terminal. */

import { EXPLANATIONS, plainText, type ReasonName } from "../../telemetry/reasons.js";
import { wrap } from "../help.js";

const COLUMNS = 88;

/** Indented; a router of another version may have a Reason that is not known here. */
export function explanation(reason: string): string[] {
  const known = EXPLANATIONS[reason as ReasonName];
  if (known === undefined) return ["  This version does not know it."];
  return [known.means, `To do: ${known.todo}`].map((text) => {
    return `  ${wrap(plainText(text), COLUMNS).split("\n").join("\n  ")}`;
  });
}
