/** `crosszone stats`: how frames ended, and what to do about it. */

import type { Client } from "../../control/client.js";
import type { Result } from "../../control/protocol/methods.js";
import { REASON_GROUPS } from "../../telemetry/reasons.js";
import { Exit, print, UsageError } from "../command.js";
import { askingVerb } from "../connection.js";
import { command, wholeNumber } from "../definition.js";
import { duration } from "../numbers.js";
import { type Paint, paintFor } from "../output.js";
import { tableText } from "../table.js";
import { pause, Signals } from "../waiting.js";
import { explanation } from "./explanation.js";

export type Status = Result<"status.get">;

export const stats = command(
  "Look",
  askingVerb({
    name: "stats",
    summary: "print how frames ended, and what to do about it",
    text:
      "Prints how the router is, and how many frames ended with each Reason since it was started. A Reason that is not " +
      "printed is 0.",
    options: {
      explain: {
        type: "boolean",
        help: "say of each Reason what it means and what to do: docs/counters.md",
      },
      all: { type: "boolean", help: "also those that are 0" },
      interval: {
        type: "string",
        value: "SECONDS",
        help: "print again after so many seconds, until it is interrupted: what came meanwhile, and how much that is a second",
      },
      times: { type: "string", value: "N", help: "with --interval, so many times" },
      json: {
        type: "boolean",
        help: "what status.get answers, docs/protocol.md; a line each time",
      },
    },
    examples: ["stats", "stats --explain", "stats --interval 5"],

    check({ values }) {
      if (values.times !== undefined && values.interval === undefined) {
        throw new UsageError("--times goes with --interval");
      }
      intervalOf(values.interval);
      timesOf(values.times);
    },

    async ask({ client, values }) {
      const paint = paintFor(process.stdout);
      const interval = intervalOf(values.interval);
      const form = (status: Status, before?: Status) => {
        if (values.json) return JSON.stringify(status);
        const { explain: explains, all: showsAll } = values;
        return statsText(status, { before, explains, showsAll, paint });
      };
      if (interval === undefined) {
        print(form(await client.call("status.get", {})));
        return Exit.Ok;
      }
      const times = timesOf(values.times);
      return await again(client, { ms: interval * 1000, times, json: values.json }, form);
    },
  }),
);

async function again(
  client: Client,
  { ms, times, json }: { readonly ms: number; readonly times: number; readonly json: boolean },
  form: (status: Status, before?: Status) => string,
): Promise<Exit> {
  const signals = new Signals();
  let before = await client.call("status.get", {});
  for (let count = 0; count < times; count++) {
    if (await pause(ms, signals, client)) break;
    const status = await client.call("status.get", {});
    if (count > 0 && !json) print("");
    print(form(status, before));
    before = status;
  }
  return Exit.Ok;
}

function intervalOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : wholeNumber("--interval", text, 1, 86_400);
}

function timesOf(text: string | undefined): number {
  if (text === undefined) return Number.POSITIVE_INFINITY;
  return wholeNumber("--times", text, 1, Number.MAX_SAFE_INTEGER);
}

interface StatsForm {
  /** The reading before: then counted is what came between the two. */
  readonly before?: Status | undefined;
  readonly explains: boolean;
  readonly showsAll: boolean;
  readonly paint: Paint;
}

export function statsText(status: Status, form: StatsForm): string {
  const head = form.before === undefined ? summary(status) : intervalLine(status, form.before);
  return `${head}\n\n${reasonsText(status, form)}`;
}

/** Tables that most routers never fill; that there is nothing in one of the others is worth a word. */
const RARE: ReadonlySet<string> = new Set(["grants", "datagrams", "restingPorts"]);

/** restingPorts → resting ports */
function tableWords(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

function summary(status: Status): string {
  const { revision, conns, tables, workers, eventsLost } = status;
  const tableLines = Object.entries(tables)
    .filter(([name, { used }]) => name !== "conns" && (used > 0 || !RARE.has(name)))
    .map(([name, { used, capacity }]) => `${tableWords(name)} ${used} of ${capacity}`);
  const lost = eventsLost > 0 ? [`events lost ${eventsLost}`] : [];
  const logs = status.logs.map(({ name, isUp, queued, queue, lostInQueue, lostOnTheWay }) => {
    const dropped = lostInQueue + lostOnTheWay;
    return `log ${name}: ${isUp ? "up" : "down"}, ${queued} of ${queue} wait, ${dropped} lost`;
  });
  return [
    `crosszone ${status.version}, up ${duration(status.now - status.startedAt)}, ` +
      `revision ${revision.number} ${revision.state}, ${workersText(workers.length)}`,
    processText(status.process),
    [`conns ${conns} of ${tables.conns?.capacity ?? "?"}`, ...tableLines, ...lost].join(", "),
    ...logs,
  ].join("\n");
}

/** Which of several routers has answered. */
function processText({ id, host, network, config, state }: Status["process"]): string {
  return [
    `process ${id} on ${host}`,
    ...(network === undefined ? [] : [network]),
    ...(config === undefined ? [] : [`config ${config}`]),
    ...(state === undefined ? [] : [`state ${state}`]),
  ].join(", ");
}

function workersText(count: number): string {
  return count === 1 ? "1 worker" : `${count} workers`;
}

function intervalLine(now: Status, before: Status): string {
  return `${new Date(now.now).toISOString()}  ${duration(now.now - before.now)}, conns ${now.conns}`;
}

function reasonsText(status: Status, { before, explains, showsAll, paint }: StatsForm): string {
  const seconds = before === undefined ? 0 : Math.max(0.001, (status.now - before.now) / 1000);
  const rows = knownReasons(status).flatMap((reason) => {
    const frames = (status.reasons[reason] ?? 0) - (before?.reasons[reason] ?? 0);
    return frames > 0 || showsAll ? [{ reason, frames }] : [];
  });
  if (rows.length === 0) return "no frames";
  const rate = (frames: number) => (before === undefined ? [] : [Math.round(frames / seconds)]);
  const heading = ["REASON", "FRAMES", ...(before === undefined ? [] : ["PER SECOND"])];
  const table = tableText(
    heading,
    rows.map(({ reason, frames }) => [reason, frames, ...rate(frames)]),
  ).split("\n");
  if (!explains) return table.join("\n");
  const explained = rows.map(({ reason }, i) => {
    return [paint("bold", table[i + 1] ?? ""), ...explanation(reason)].join("\n");
  });
  return [table[0], ...explained].join("\n");
}

/** In the order of docs/counters.md; behind them what a router of another version counts. */
function knownReasons({ reasons }: Status): string[] {
  const known = REASON_GROUPS.flatMap((group) => Object.keys(group.reasons));
  const others = Object.keys(reasons).filter((reason) => !known.includes(reason));
  return [...known, ...others];
}
