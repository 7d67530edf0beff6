/** What a client gets without asking each time: `events.subscribe`, `metrics.subscribe` and their notifications. */

import * as v from "valibot";
import { whole, zoneReference } from "../../config/shapes.js";
import { byName, count, listOf, number, time, words } from "./values.js";

export const EVENT_CLASSES = ["sessions", "mappings", "blocks", "alarms", "router"] as const;
export type EventClassName = (typeof EVENT_CLASSES)[number];
const CLASS = `one of "${EVENT_CLASSES.join('", "')}"`;

const Subscription = v.strictObject({
  subscription: count("Notifications carry it; `unsubscribe` takes it."),
});

export const EventsSubscribe = {
  params: v.strictObject(
    {
      classes: v.optional(
        v.pipe(
          v.array(v.picklist(EVENT_CLASSES, CLASS), `an array of ${CLASS}`),
          v.description(
            "Left out: all. `sessions` and `mappings` cost the datapath something while somebody listens. " +
              "`router`: revisions, and lines of the log.",
          ),
        ),
      ),
      zone: v.optional(zoneReference("Only what is of this zone.")),
    },
    "an object with classes, zone",
  ),
  result: Subscription,
};

export const MetricsSubscribe = {
  params: v.strictObject(
    {
      intervalMs: v.optional(whole("milliseconds", 250, 60_000, "Between two samples."), 1000),
    },
    "an object with intervalMs",
  ),
  result: Subscription,
};

export const Unsubscribe = {
  params: v.strictObject(
    {
      subscription: whole("the number of a subscription", 1, Number.MAX_SAFE_INTEGER, "Which one."),
    },
    "an object with subscription",
  ),
  result: v.strictObject({}),
};

/** One thing that happened. */
export const EventShape = v.strictObject({
  event: words("Its name: docs/telemetry.md; of the class `router` also `revision` and `notice`."),
  class: v.picklist(EVENT_CLASSES),
  time: time("When it happened."),
  text: words("The same in one line."),
  fields: byName(
    v.union([v.string(), v.number()]),
    "As docs/telemetry.md has them for each event; of `revision` its number as `revision`, and its `state`; of `notice` none.",
  ),
});

const TrafficShape = v.strictObject({
  rxPackets: count("Frames received."),
  rxBytes: count("Bytes received."),
  txPackets: count("Frames sent."),
  txBytes: count("Bytes sent."),
  dropped: count("Frames received and dropped."),
});

export const NOTIFICATIONS = {
  "events.told": {
    summary: "What happened: up to 256 events, or what came within a tenth of a second.",
    params: v.strictObject({
      subscription: count("Whose it is."),
      events: listOf(EventShape, "The oldest first."),
      lost: count("Events since the last notification that the client was too slow for."),
    }),
  },
  "metrics.sample": {
    summary: "A sample of counters; rates are for the client to derive from two of them.",
    params: v.strictObject({
      subscription: count("Whose it is."),
      time: time("When it was taken."),
      revision: count("The revision in force."),
      reasons: byName(count("Frames."), "By Reason, since the start."),
      devices: byName(TrafficShape, "By name."),
      zones: byName(
        v.strictObject({
          ...TrafficShape.entries,
          conns: count("That began in it and go on."),
          connsCreated: count("That began in it."),
        }),
        "By name, as devices; elsewhere in the protocol zones go by their number.",
      ),
      tables: byName(
        v.strictObject({ used: count("Entries."), capacity: count("Places.") }),
        "By name.",
      ),
      busyMs: listOf(number("Milliseconds of turns that brought frames."), "By worker."),
      skipped: count("Samples since the last one that the client was too slow for."),
    }),
  },
} as const;

export const EventsUnsubscribe = Unsubscribe;
export const MetricsUnsubscribe = Unsubscribe;
