/** What would become of a frame: `trace.run`. */

import * as v from "valibot";
import { TraceSchema } from "../../trace/input.js";
import { ConnShape } from "./conns.js";
import { NeighborShape } from "./tables.js";
import { count, flag, listOf, maybe, words, zoneNumber } from "./values.js";

const TraceTupleShape = v.strictObject({
  zone: zoneNumber(),
  protocol: words("Its name, or its number."),
  source: words("Address."),
  sourcePort: count("Port, or identifier."),
  destination: words("Address."),
  destinationPort: count("Port, or identifier."),
});

const DetailsShape = v.strictObject({
  device: maybe(words("By which it came in, or leaves.")),
  tuple: maybe(TraceTupleShape),
  bytes: maybe(count("Of the IPv4 packet.")),
  conn: maybe(ConnShape),
  direction: maybe(v.picklist(["original", "reply"])),
  flow: maybe(words("The flow that speaks for it.")),
  origin: maybe(words("Where in the configuration that comes from.")),
  pool: maybe(words("The pool that it names.")),
  tracked: maybe(words("The flow of the second pass, over those that match +tracked.")),
  neighbor: maybe(NeighborShape),
  changes: maybe(
    listOf(
      v.strictObject({
        field: words("A field of the headers."),
        before: words("As it came."),
        after: words("As it leaves."),
      }),
      "What is rewritten.",
    ),
  ),
});

export const TraceRun = {
  params: TraceSchema,
  result: v.strictObject({
    verdict: words("How the frame ends: a Reason of docs/counters.md."),
    steps: listOf(
      v.strictObject({
        worker: count("The worker that takes it."),
        step: words("`parse`, `lookup`, `decide`, `route`, `translate`, `finish` and others."),
        verdict: words("`continue`, `local`, `heard`, or a Reason."),
        text: words("The step in one line."),
        aside: flag("Not of the traced frame, but of one that waited for it."),
        details: DetailsShape,
      }),
      "In the order taken.",
    ),
    frames: listOf(
      v.strictObject({
        worker: count("Whose it is."),
        device: maybe(words("By which it leaves.")),
        hex: words("The frame."),
      }),
      "What would leave.",
    ),
    moreSteps: count("Steps that are not told."),
    moreFrames: count("Frames that are not told."),
  }),
};
