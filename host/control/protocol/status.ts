/** Who talks to whom, how the router is, and what it says on standard error: `hello`, `status.get`, `log.level`. */

import * as v from "valibot";
import { text } from "../../config/shapes.js";
import { ROLES } from "../../state/role.js";
import { RevisionShape } from "./config.js";
import { byName, count, flag, listOf, maybe, NoParams, number, time, words } from "./values.js";

export type { Role } from "../../state/role.js";

export const Hello = {
  params: v.strictObject(
    {
      token: v.optional(text("a token", "As `crosszone token add` printed it.")),
      client: v.optional(
        v.pipe(
          v.string("a name"),
          v.maxLength(64, "a name of at most 64 characters"),
          v.regex(/^[\p{L}\p{M}\p{N}\p{P}\p{S} ]*$/u, "a name of characters that can be printed"),
          v.description("What the log calls the client."),
        ),
      ),
    },
    "an object with token, client",
  ),
  result: v.strictObject({
    protocol: v.pipe(v.literal("crosszone.v1"), v.description("The subprotocol.")),
    version: words("Of the router."),
    role: v.pipe(v.picklist(ROLES), v.description("What the client may do.")),
    who: words("What the history calls the client."),
    revision: count("The revision in force."),
    isKept: flag("Revisions outlive the process (`--state`)."),
    methods: listOf(words("A method."), "Those that this role may call."),
    messageBytes: count("The longest message that the router takes."),
  }),
};

const TableShape = v.strictObject({
  used: count("Entries in use."),
  capacity: count("Entries that find a place."),
});

const WorkerShape = v.strictObject({
  turns: count("Turns of its loop."),
  emptyTurns: count("Turns that found nothing."),
  frames: count("Frames that turns brought."),
  sleeps: count("Times that it slept."),
  busyMs: number("Milliseconds of turns that brought frames."),
  batches: listOf(count("Turns."), "Turns that brought 1, 2, 3 to 4, 5 to 8 … frames."),
});

const LogShape = v.strictObject({
  name: words("`file /var/log/nat.jsonl`"),
  isUp: flag("It gets through."),
  queued: count("Events that wait."),
  queue: count("Events that may wait."),
  events: count("Events sent."),
  messages: count("Messages sent."),
  bytes: count("Bytes of them."),
  failures: count("Attempts that failed."),
  lostInQueue: count("Events that found no place."),
  lostOnTheWay: count("Events that were gone with what broke."),
});

export const StatusGet = {
  params: NoParams,
  result: v.strictObject({
    version: words("Of the router."),
    process: v.strictObject({
      id: count("Of the process."),
      host: words("The machine's name."),
      network: maybe(
        words(
          "The network namespace, as /proc/PID/ns/net names it; left out where there is no /proc.",
        ),
      ),
      config: maybe(words("The path of CONFIG; left out where none was named.")),
      state: maybe(words("The path of the state directory; left out without `--state`.")),
    }),
    startedAt: time("When the process began."),
    now: time("When this was read."),
    revision: RevisionShape,
    workers: listOf(WorkerShape, "Threads that forward."),
    tables: byName(TableShape, "How full they are."),
    reasons: byName(count("Frames."), "How frames ended: docs/counters.md."),
    conns: count("Conns that go on."),
    eventsLost: count("Events that found no place in the datapath."),
    logs: listOf(LogShape, "Where events go."),
    notices: listOf(
      v.strictObject({ time: time("When it was said."), text: words("What was said.") }),
      "The last lines of the log, the oldest first.",
    ),
    control: v.strictObject({
      transport: v.picklist(["uws", "ws"]),
      listening: listOf(words("An address or a path."), "Where it is listened."),
      connections: count("Open now."),
      channels: count("WebSockets open now."),
      requests: count("Requests by HTTP."),
      refused: byName(count("How many."), "What was not let in, by reason."),
      ended: byName(count("How many."), "Channels that were ended, by reason."),
    }),
  }),
};

export const LEVELS = ["error", "notice", "info", "debug"] as const;
export type Level = (typeof LEVELS)[number];
const LEVEL = `one of "${LEVELS.join('", "')}"`;

export const LogLevel = {
  params: v.strictObject(
    {
      level: v.optional(
        v.pipe(
          v.picklist(LEVELS, LEVEL),
          v.description("From here on only what is as urgent as this; left out: only asks."),
        ),
      ),
    },
    "an object with level",
  ),
  result: v.strictObject({ level: v.picklist(LEVELS), before: maybe(v.picklist(LEVELS)) }),
};
