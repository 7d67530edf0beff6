/** `crosszone events`: what happens, while it happens. Sessions have the form of `conntrack -E`. */

import type { Client } from "../../control/client.js";
import type { Notification } from "../../control/protocol/methods.js";
import { EVENT_CLASSES, type EventClassName } from "../../control/protocol/streams.js";
import { Exit, log, UsageError } from "../command.js";
import { askingVerb } from "../connection.js";
import { alternatives, command } from "../definition.js";
import { formOf } from "../output.js";
import { plain } from "../plain.js";
import { interrupted, Signals } from "../waiting.js";
import { protocolColumn, type Tuple, tupleText } from "./format.js";

export type Told = Notification<"events.told">["events"][number];

/** conntrack's: `    [NEW] udp      17 …`, `[DESTROY] udp …`. */
const MARK_COLUMNS = 9;

const MASKS = ["NEW", "DESTROY", "ALL"] as const;

export const events = command(
  "Look",
  askingVerb({
    name: "events",
    summary: "print what happens, as conntrack -E does",
    text:
      "Prints conns that begin and end until it is interrupted, in the form of conntrack -E. What the reader is too slow " +
      "for is lost, and said on standard error. Sessions and mappings cost the router something while somebody listens.",
    options: {
      class: {
        type: "string",
        multiple: true,
        value: "CLASS",
        help:
          "sessions (conns; if nothing is said), mappings (external ports), blocks (of ports), alarms, router (revisions, " +
          "lines of its log); several with commas, or all",
      },
      zone: { type: "string", short: "w", value: "ZONE", help: "only what is of this zone" },
      "event-mask": {
        type: "string",
        short: "e",
        value: "MASK",
        default: "ALL",
        help: "of conns: NEW, DESTROY, or both with a comma",
      },
      output: {
        type: "string",
        short: "o",
        value: "FORM",
        choices: ["plain", "timestamp"],
        help: "plain, if nothing is said; timestamp puts seconds since 1970 in front",
      },
      json: {
        type: "boolean",
        help: "an object on each line, as docs/protocol.md has them: event, class, time, text, fields",
      },
    },
    parameters: { zone: "--zone" },
    examples: ["events -w a -o timestamp", "events --class alarms,router --json"],

    check({ values }) {
      classesOf(values.class);
      marksOf(values["event-mask"]);
      formOf(values);
    },

    async ask({ client, values }) {
      const signals = new Signals();
      const marks = marksOf(values["event-mask"]);
      const form = formOf(values);
      const isJson = form === "json";
      const withTime = form === "timestamp";
      const line = isJson ? JSON.stringify : (event: Told) => eventLine(event, withTime);
      const write = writerFor(client);
      client.on("events.told", ({ events, lost }) => {
        const wanted = events.filter((event) => {
          // To people a line of the log has said it already.
          return marks.has(markOf(event)) && (isJson || event.event !== "revision");
        });
        if (wanted.length > 0) write(wanted.map((event) => `${line(event)}\n`).join(""));
        if (lost > 0) log(`events: ${lost} events are lost: they came faster than they were read`);
      });
      await client.call("events.subscribe", {
        classes: classesOf(values.class),
        ...(values.zone === undefined ? {} : { zone: values.zone }),
      });
      await interrupted(signals, client);
      return Exit.Ok;
    },
  }),
);

/** While standard output takes no more, nothing more is read from the router. */
function writerFor(client: Client): (text: string) => void {
  return (text) => {
    if (process.stdout.write(text)) return;
    client.pause();
    process.stdout.once("drain", () => client.resume());
  };
}

function classesOf(given: readonly string[]): EventClassName[] {
  const words = given.length === 0 ? ["sessions"] : given.flatMap((each) => each.split(","));
  if (words.includes("all")) return [...EVENT_CLASSES];
  return words.map((word) => {
    const known = EVENT_CLASSES.find((each) => each === word);
    if (known !== undefined) return known;
    const all = alternatives([...EVENT_CLASSES, "all"]);
    throw new UsageError(`--class: ${all} expected, found '${word}'`);
  });
}

/** The marks that are wanted; what is not of a conn has none, and is never left out. */
function marksOf(mask: string): ReadonlySet<string> {
  const words = mask.toUpperCase().split(",");
  for (const word of words) {
    if (MASKS.some((each) => each === word)) continue;
    throw new UsageError(`--event-mask: ${alternatives(MASKS)} expected, found '${word}'`);
  }
  return new Set(words.includes("ALL") ? ["NEW", "DESTROY", ""] : [...words, ""]);
}

function markOf({ event }: Told): string {
  if (event === "session-created") return "NEW";
  return event === "session-deleted" ? "DESTROY" : "";
}

/** Of a conn both tuples; of anything else its class and its text. */
export function eventLine(told: Told, withTime: boolean): string {
  const mark = markOf(told);
  const time = withTime ? `[${(told.time / 1000).toFixed(6)}]\t` : "";
  const label = `[${mark === "" ? told.class.toUpperCase() : mark}]`;
  const text = mark === "" ? plain(told.text) : sessionText(told.fields, mark === "NEW");
  return `${time}${label.padStart(MARK_COLUMNS)} ${text}`;
}

/** Whose first packet went where, and what became of both: docs/telemetry.md, Events. */
function sessionText(fields: Told["fields"], isNew: boolean): string {
  const word = (name: string) => String(fields[name] ?? "");
  const number = (name: string) => Number(fields[name] ?? 0);
  const protocol = word("protocol");
  const isForwarded = fields.target !== undefined;
  const original: Tuple = {
    zone: number("zoneId"),
    source: word("address"),
    sourcePort: number("port"),
    destination: word("remote"),
    destinationPort: number("remotePort"),
  };
  const reply: Tuple = {
    zone: number("externalZoneId"),
    source: word(isForwarded ? "target" : "remote"),
    sourcePort: number(isForwarded ? "targetPort" : "remotePort"),
    destination: word("external"),
    destinationPort: number("externalPort"),
  };
  return [
    protocolColumn(protocol),
    tupleText(protocol, original, original),
    `zone-orig=${original.zone}`,
    ...(isNew ? ["[UNREPLIED]"] : []),
    tupleText(protocol, reply, original),
    `zone-reply=${reply.zone}`,
  ].join(" ");
}
