/** Targets as tables: for people, and for docs/performance.md. */

import { table } from "../../../host/demo/report.js";
import type { Machine } from "../measure.js";
import type { Part } from "./parts.js";
import type { Target, Unit } from "./target.js";
import type { Finding } from "./targets.js";

export const COLUMNS = ["", "to reach", "measured", "reached", "by"] as const;

const DIGITS: Readonly<Record<Unit, number>> = {
  "": 2,
  "×": 2,
  ns: 1,
  µs: 1,
  ms: 0,
  bytes: 0,
  frames: 0,
};

/** What a benchmark is called on the command line, where that is more than its name. */
const COMMANDS: Readonly<Partial<Record<Part, string>>> = { native: "core --native" };

function withUnit(text: string, unit: Unit): string {
  return unit === "" ? text : `${text} ${unit}`;
}

export function boundText({ comparison, bound, unit }: Target): string {
  const text = withUnit(String(bound), unit);
  return comparison === "=" ? text : `${comparison} ${text}`;
}

/** The median with its unit; behind it each run's value, where there are several. */
export function measuredText({ target: { unit }, measured, values }: Finding): string {
  if (measured === undefined) return "–";
  const text = (value: number) => value.toFixed(DIGITS[unit]);
  const own = withUnit(text(measured), unit);
  return values.length < 2 ? own : `${own} (${values.map(text).join(", ")})`;
}

function cells(finding: Finding): string[] {
  const { target, reached } = finding;
  const verdict = reached === undefined ? "–" : reached ? "yes" : "no";
  const by = `\`${COMMANDS[target.by] ?? target.by}\``;
  return [target.name, boundText(target), measuredText(finding), verdict, by];
}

/** As it stands in docs/performance.md. */
export function markdownOf(findings: readonly Finding[]): string {
  const head = `|${COLUMNS.map((title) => (title === "" ? " |" : ` ${title} |`)).join("")}`;
  const rows = findings.map((finding) => `| ${cells(finding).join(" | ")} |`);
  return [head, "|---|--:|--:|---|---|", ...rows].join("\n");
}

export interface About {
  readonly machine: Machine;
  readonly count: number;
  readonly quick: boolean;
  /** At half of the highest rate. */
  readonly heldSeconds: number;
}

/** Where the figures come from; a quick run holds half of a rate for less time than the target says. */
export function captionOf({ machine, count, quick, heldSeconds }: About): string {
  const { date, cpu, cores, kernel, node } = machine;
  const runs = `${quick ? "quick " : ""}${count === 1 ? "run" : "runs"}`;
  return (
    `${cpu}, ${cores} cores, Linux ${kernel}, Node ${node}, ${date}. Medians of ${count} ${runs}, each run's value ` +
    `beside; half of the highest rate for ${heldSeconds} s.`
  );
}

export function textOf(
  findings: readonly Finding[],
  reasons: readonly string[],
  about: About,
): string {
  const reached = findings.filter((finding) => finding.reached === true).length;
  const rows = [["target", ...COLUMNS.slice(1)], ...findings.map(cells)];
  return [
    captionOf(about),
    "",
    table(rows.map((row) => row.map((cell) => cell.replaceAll("`", "")))),
    "",
    `${reached} of ${findings.length} are reached`,
    ...reasons.map((reason) => `not measured: ${reason}`),
  ].join("\n");
}
