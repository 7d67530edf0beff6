/** What a change of the configuration does, in words: what differs, which conns end, what became of a revision. */

import type { Result } from "../../control/protocol/methods.js";
import { connsText } from "../conns/end.js";
import { duration, momentText } from "../numbers.js";
import type { Paint } from "../output.js";
import { plain } from "../plain.js";

export type Revision = Result<"config.history">["revisions"][number];
export type Examination = NonNullable<Result<"config.check">["ends"]>;
export type Diff = Result<"config.diff">;

/** Changed values that a summary names, and conns that end. */
const PATHS = 20;
const FIRST = 5;

/** `3 changes: zones[2].name "a" → "b"` and so on, a line for each. */
export function changesText({ paths, morePaths }: Diff, paint: Paint): string {
  const all = paths.length + morePaths;
  const lines = paths.slice(0, PATHS).map((change) => changeLine(change, paint));
  const more = all - lines.length;
  const rest = more > 0 ? [`  … and ${more} more; crosszone config diff shows all`] : [];
  return [`${all === 1 ? "1 change" : `${all} changes`}:`, ...lines, ...rest].join("\n");
}

function changeLine({ path, kind, before, after }: Diff["paths"][number], paint: Paint): string {
  switch (kind) {
    case "added":
      return paint("green", plain(`  + ${path} ${after ?? ""}`.trimEnd()));
    case "removed":
      return paint("red", plain(`  - ${path} ${before ?? ""}`.trimEnd()));
    case "reordered":
      return plain(`  ~ ${path}: another order`);
    case "changed":
      return plain(`  ~ ${path} ${before ?? ""} → ${after ?? ""}`);
  }
}

/** How many conns end, why, whose, and some of them. */
export function endsText({ conns, ending, reasons, zones, first }: Examination): string {
  if (ending === 0) return `all of ${connsText(conns)} go on`;
  const why = reasons.map((each) => `  ${connsText(each.conns)}: ${plain(each.text)}`);
  const whose = zones.map((each) => `${each.name ?? `zone ${each.zone}`} ${each.conns}`);
  const some = first.slice(0, FIRST).map(({ protocol, original: { zone, ...tuple } }) => {
    const from = `${tuple.source}:${tuple.sourcePort}`;
    return `  ${protocol} ${zone}:${from}→${tuple.destination}:${tuple.destinationPort}`;
  });
  const more = ending > some.length ? ["  …"] : [];
  return [
    `${ending} of ${connsText(conns)} end (${whose.join(", ")}):`,
    ...why,
    ...(some.length > 0 ? ["among them:", ...some, ...more] : []),
  ].join("\n");
}

/** `diff -u`, as a terminal shows it. */
export function diffText(text: string, paint: Paint): string {
  return text
    .split("\n")
    .map((line) => {
      const shown = plain(line);
      if (/^(\+\+\+|---)/.test(shown)) return paint("bold", shown);
      if (shown.startsWith("@@")) return paint("cyan", shown);
      if (shown.startsWith("+")) return paint("green", shown);
      return shown.startsWith("-") ? paint("red", shown) : shown;
    })
    .join("\n");
}

/** `5`, `5 in force`, and until when it may be confirmed. */
export function stateText({ state, isInForce, deadlineMs }: Revision, nowMs: number): string {
  const left = deadlineMs === undefined ? "" : `, ${duration(deadlineMs - nowMs)} left`;
  return `${state}${left}${isInForce ? ", in force" : ""}`;
}

export const HISTORY_HEADING = ["REVISION", "STATE", "TIME", "BY", "NOTE"];

export function historyRow(revision: Revision, nowMs: number): readonly string[] {
  const { number, time, who, note, restores, outcome, damage } = revision;
  const copy = restores == null ? "" : ` (as revision ${restores})`;
  const end = outcome === undefined || outcome.why === "" ? "" : ` [${outcome.why}]`;
  const said = damage === undefined ? `${note ?? ""}${copy}${end}` : damage;
  const when = time === undefined ? "-" : momentText(time);
  return [String(number), stateText(revision, nowMs), when, who ?? "-", said.trim()];
}
