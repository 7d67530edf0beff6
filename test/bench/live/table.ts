/** The results of the live benchmark as text for people. */

import { table } from "../../../host/demo/report.js";
import type { LiveResult } from "./live.js";
import type { Figures, Row } from "./result.js";
import type { Omission } from "./rounds.js";
import type { LiveMachine } from "./support.js";

interface Column {
  readonly title: string;
  readonly figure: string;
  /** What the figure is divided by. */
  readonly unit: number;
  readonly digits: number;
  /** With the ratio to the reference in a column of its own. */
  readonly compared: boolean;
}

const COLUMNS: readonly Column[] = [
  { title: "≤ 0.5 % loss, Mpps", figure: "highest", unit: 1e6, digits: 3, compared: true },
  { title: "overload, Mpps", figure: "overload", unit: 1e6, digits: 3, compared: true },
  { title: "both cores, µs/frame", figure: "nsPerFrame", unit: 1e3, digits: 2, compared: true },
  { title: "TCP, Gbit/s", figure: "bitsPerSecond", unit: 1e9, digits: 2, compared: true },
  { title: "sent again", figure: "retransmits", unit: 1, digits: 0, compared: false },
  { title: "wrong frames", figure: "wrong", unit: 1, digits: 0, compared: false },
];

const NOTHING = "–";

export function number(figures: Figures, figure: string, unit: number, digits: number): string {
  const value = figures[figure];
  return value === undefined ? NOTHING : (value / unit).toFixed(digits);
}

/** Only columns that a row of the workload has a figure for. */
function workloadTable(rows: readonly Row[]): string {
  const columns = COLUMNS.filter(({ figure }) => rows.some(({ median }) => figure in median));
  const header = columns.flatMap(({ title, compared }) => (compared ? [title, "×"] : [title]));
  const cells = rows.map(({ candidate, median, ratio }) => [
    candidate,
    ...columns.flatMap(({ figure, unit, digits, compared }) => {
      const own = number(median, figure, unit, digits);
      return compared ? [own, number(ratio, figure, 1, 2)] : [own];
    }),
  ]);
  return table([[rows[0]?.workload ?? "", ...header], ...cells]);
}

export function tablesOf(rows: readonly Row[], show: (rows: readonly Row[]) => string): string[] {
  const workloads = [...new Set(rows.map(({ workload }) => workload))];
  return workloads.map((name) => show(rows.filter(({ workload }) => workload === name)));
}

export function machineText(machine: LiveMachine): string {
  const { cpu, cores, kernel, node, nft, openVswitch, iperf3, date } = machine;
  return `${date}, ${cpu}, ${cores} cores, Linux ${kernel}, node ${node}\n${nft}; ${openVswitch}; ${iperf3}`;
}

export function omissionsText(omissions: readonly Omission[]): string[] {
  return omissions.map(
    ({ candidate, workload, reason }) =>
      `not measured: ${candidate}${workload === undefined ? "" : ` (${workload})`}: ${reason}`,
  );
}

export function aboutText(candidates: LiveResult["candidates"]): string {
  return table(candidates.map(({ name, about }) => [name, about]));
}

export function liveText(result: LiveResult): string {
  const { machine, plan, candidates, reference, rows, omissions } = result;
  const repeated = `medians of ${plan.repetitions}, in turns; × is by ${reference}, turn by turn`;
  const wrong = rows.reduce((sum, { raw }) => sum + raw.reduce((n, r) => n + (r.wrong ?? 0), 0), 0);
  return [
    `${machineText(machine)}\n${repeated}`,
    aboutText(candidates),
    ...tablesOf(rows, workloadTable),
    [`${wrong} frames arrived other than they should`, ...omissionsText(omissions)].join("\n"),
  ].join("\n\n");
}
