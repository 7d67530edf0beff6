/** The results of the live benchmark as text for people. */

import { table } from "../../../host/demo/report.js";
import type { LatencyPlan } from "./latency.js";
import type { Figures, Row } from "./result.js";
import type { Omission } from "./rounds.js";
import type { LiveMachine } from "./support.js";
import type { Plan } from "./workload.js";

interface Result<Planned> {
  readonly machine: LiveMachine;
  readonly plan: Planned;
  readonly candidates: readonly { readonly name: string; readonly about: string }[];
  /** What ratios are of. */
  readonly reference: string;
  readonly rows: readonly Row[];
  readonly omissions: readonly Omission[];
}

export type LiveResult = Result<Plan>;
export type LatencyResult = Result<LatencyPlan>;

interface Column {
  readonly title: string;
  readonly figure: string;
  /** What the figure is divided by. */
  readonly unit: number;
  readonly digits: number;
  /** With the ratio to the reference in a column of its own. */
  readonly compared: boolean;
}

const LIVE: readonly Column[] = [
  { title: "≤ 0.5 % loss, Mpps", figure: "highest", unit: 1e6, digits: 3, compared: true },
  { title: "overload, Mpps", figure: "overload", unit: 1e6, digits: 3, compared: true },
  { title: "both cores, µs/frame", figure: "nsPerFrame", unit: 1e3, digits: 2, compared: true },
  { title: "sent at half", figure: "heldSent", unit: 1, digits: 0, compared: false },
  { title: "lost", figure: "heldLost", unit: 1, digits: 0, compared: false },
  { title: "at lan", figure: "heldAtLan", unit: 1, digits: 0, compared: false },
  { title: "at wan", figure: "heldAtWan", unit: 1, digits: 0, compared: false },
  { title: "TCP, Gbit/s", figure: "bitsPerSecond", unit: 1e9, digits: 2, compared: true },
  { title: "sent again", figure: "retransmits", unit: 1, digits: 0, compared: false },
  { title: "wrong frames", figure: "wrong", unit: 1, digits: 0, compared: false },
];

const LATENCY: readonly Column[] = [
  { title: "p50, µs", figure: "p50", unit: 1, digits: 1, compared: false },
  { title: "p99, µs", figure: "p99", unit: 1, digits: 1, compared: false },
  { title: "p99.9, µs", figure: "p999", unit: 1, digits: 1, compared: false },
  { title: "p50 beyond the kernel's", figure: "p50More", unit: 1, digits: 1, compared: false },
  { title: "p99 beyond the kernel's", figure: "p99More", unit: 1, digits: 1, compared: false },
  { title: "lost", figure: "lost", unit: 1, digits: 0, compared: false },
];

const NOTHING = "–";

function number(figures: Figures, figure: string, unit: number, digits: number): string {
  const value = figures[figure];
  return value === undefined ? NOTHING : (value / unit).toFixed(digits);
}

/** Only columns that a row of the workload has a figure for. */
function workloadTable(rows: readonly Row[], all: readonly Column[]): string {
  const columns = all.filter(({ figure }) => rows.some(({ median }) => figure in median));
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

function tablesOf(rows: readonly Row[], columns: readonly Column[]): string[] {
  const workloads = [...new Set(rows.map(({ workload }) => workload))];
  return workloads.map((name) =>
    workloadTable(
      rows.filter(({ workload }) => workload === name),
      columns,
    ),
  );
}

function machineText({ cpu, cores, kernel, node, date, ...tools }: LiveMachine): string {
  const { nft, openVswitch, iperf3, othersPercent } = tools;
  return `${date}, ${cpu}, ${cores} cores, Linux ${kernel}, node ${node}\n${nft}; ${openVswitch}; ${iperf3}\n${othersPercent} % of both cores were busy before`;
}

function omissionsText(omissions: readonly Omission[]): string[] {
  return omissions.map(
    ({ candidate, workload, reason }) =>
      `not measured: ${candidate}${workload === undefined ? "" : ` (${workload})`}: ${reason}`,
  );
}

function aboutText(candidates: LiveResult["candidates"]): string {
  return table(candidates.map(({ name, about }) => [name, about]));
}

export function liveText({ machine, plan, candidates, reference, rows, omissions }: LiveResult) {
  const repeated =
    `medians of ${plan.repetitions}, in turns; × is by ${reference}, turn by turn; ` +
    `at half: half of the highest rate for ${plan.heldSeconds} s`;
  const wrong = rows.reduce((sum, { raw }) => sum + raw.reduce((n, r) => n + (r.wrong ?? 0), 0), 0);
  return [
    `${machineText(machine)}\n${repeated}`,
    aboutText(candidates),
    ...tablesOf(rows, LIVE),
    [`${wrong} frames arrived other than they should`, ...omissionsText(omissions)].join("\n"),
  ].join("\n\n");
}

export function latencyText({ machine, plan, candidates, rows, omissions }: LatencyResult) {
  const { requests = 0 } = plan.workloads[0] ?? {};
  const repeated = `medians of ${plan.repetitions}, in turns; ${requests} requests each`;
  return [
    `${machineText(machine)}\n${repeated}`,
    aboutText(candidates),
    ...tablesOf(rows, LATENCY),
    ...(omissions.length === 0 ? [] : [omissionsText(omissions).join("\n")]),
  ].join("\n\n");
}
