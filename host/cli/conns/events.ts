/** `crosszone events`: what happens, while it happens. Sessions have the form of `conntrack -E`. */

import type { Client } from "../../control/client.js";
import { EVENT_CLASSES, type EventClassName } from "../../control/protocol/streams.js";
import { Exit, log, UsageError } from "../command.js";
import { askingVerb } from "../connection.js";
import { alternatives, command, type Values } from "../definition.js";
import { formOf } from "../output.js";
import { plain } from "../plain.js";
import { interrupted, Signals } from "../waiting.js";
import { STRANGERS } from "./filter.js";
import { tupleText } from "./format.js";
import { protocolColumn } from "./protocol.js";
import { SESSION_OPTIONS, sessionFilter, sessionOf, type Told } from "./session.js";

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
        words: [...EVENT_CLASSES, "all"],
        help:
          "sessions (conns; if nothing is said), mappings (external ports), blocks (of ports), alarms, router (revisions, " +
          "lines of its log); several with commas, or all",
      },
      zone: { type: "string", short: "w", value: "ZONE", help: "only what is of this zone" },
      ...SESSION_OPTIONS,
      "event-mask": {
        type: "string",
        short: "e",
        value: "MASK",
        words: MASKS,
        default: "ALL",
        help: "of conns: NEW, DESTROY, or both with a comma",
      },
      output: {
        type: "string",
        short: "o",
        value: "FORM",
        choices: ["plain", "timestamp", "json"],
        help: "plain, if nothing is said; timestamp puts seconds since 1970 in front; json is --json",
      },
      json: {
        type: "boolean",
        help: "an object on each line, as docs/protocol.md has them: event, class, time, text, fields",
      },
    },
    parameters: { zone: "--zone" },
    strangers: STRANGERS,
    examples: [
      "events -p tcp -s 192.168.0.0/24 -e NEW",
      "events -w a -o timestamp",
      "events --class alarms,router --json",
    ],

    check({ values }) {
      classesOf(values.class);
      marksOf(values["event-mask"]);
      formOf(values);
      wantedBy(values);
    },

    async ask({ client, values }) {
      const signals = new Signals();
      const isWanted = wantedBy(values);
      const form = formOf(values);
      const isJson = form === "json";
      const withTime = form === "timestamp";
      const line = isJson ? JSON.stringify : (event: Told) => eventLine(event, withTime);
      const write = writerFor(client);
      client.on("events.told", ({ events, lost }) => {
        const wanted = events.filter((event) => {
          // To people a line of the log has said it already.
          return isWanted(event) && (isJson || event.event !== "revision");
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

type Wanting = Values<typeof SESSION_OPTIONS> & {
  readonly class: readonly string[];
  readonly "event-mask": string;
};

/** Conditions are of conns, and other events have none to hold them against. @throws UsageError */
function wantedBy(values: Wanting): (event: Told) => boolean {
  const marks = marksOf(values["event-mask"]);
  const fits = sessionFilter(values);
  const others = classesOf(values.class).filter((each) => each !== "sessions");
  if (fits !== undefined && others.length > 0) {
    throw new UsageError(
      `-p, -s, -d and ports are conditions on sessions: --class ${others[0]} has none`,
    );
  }
  return (event) => marks.has(markOf(event)) && (fits === undefined || fits(event.fields));
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

function sessionText(fields: Told["fields"], isNew: boolean): string {
  const { protocol, original, reply } = sessionOf(fields);
  return [
    protocolColumn(protocol),
    tupleText(protocol, original, original),
    `zone-orig=${original.zone}`,
    ...(isNew ? ["[UNREPLIED]"] : []),
    tupleText(protocol, reply, original),
    `zone-reply=${reply.zone}`,
  ].join(" ");
}
