/** Configurations as revisions: what `config.*` takes and answers. */

import * as v from "valibot";
import { text, whole } from "../../config/shapes.js";
import { StateLimit } from "../../state/record.js";
import { FoundConnShape } from "./conns.js";
import { count, flag, listOf, maybe, number, ProblemShape, time, words } from "./values.js";

const CONFIG = "a configuration, or its text";

/** As a value, or as a text, which is then kept as it was written. */
const Configuration = v.pipe(
  v.union([v.string(CONFIG), v.record(v.string(), v.unknown(), CONFIG)], CONFIG),
  v.description("A configuration as docs/config.schema.json has it, or the text of one."),
);

const REVISION_MAX = Number.MAX_SAFE_INTEGER;
export const revisionNumber = (description: string) =>
  whole("the number of a revision", 1, REVISION_MAX, description);

const Base = whole(
  "the number of a revision",
  0,
  REVISION_MAX,
  "The revision that the change was made from: `revision.number` of config.get.",
);

const ConfirmWithin = v.optional(
  whole(
    "seconds",
    1,
    StateLimit.ConfirmSec,
    "Rolled back unless config.confirm comes in this time, by a connection that was opened after the switch. " +
      "Left out: counts as confirmed at once.",
  ),
);

const Note = v.optional(text("one line of text", "Why, for the history."), "");

export const RevisionShape = v.strictObject({
  number: count("Ascending, never used twice."),
  state: v.pipe(
    v.picklist(["begun", "pending", "confirmed", "rolled-back", "abandoned", "damaged"]),
    v.description(
      "`begun` is written and being switched to; it is in force only once it is `pending`, which waits to be confirmed, or " +
        "`confirmed`. `abandoned` could not be switched to and never was in force; `rolled-back` was, and is no more.",
    ),
  ),
  isInForce: flag("The router runs it."),
  base: maybe(count("The revision that it was made from.")),
  time: maybe(time("When it was applied.")),
  who: maybe(words("Who applied it.")),
  note: maybe(words("Why.")),
  confirmWithinSec: maybe(v.nullable(count("Seconds that it had to be confirmed in."))),
  restores: maybe(v.nullable(count("The older revision that it is a copy of."))),
  bytes: count("Of its text."),
  outcome: maybe(
    v.strictObject({
      time: time("When that was."),
      who: words("Who did it."),
      why: words("For what reason."),
    }),
  ),
  deadlineMs: maybe(time("When a pending one is rolled back.")),
  damage: maybe(words("What is wrong with the file of a damaged one.")),
});

export const ExaminationShape = v.strictObject({
  conns: count("Live conns that were looked at."),
  ending: count("How many of them end."),
  reasons: listOf(
    v.strictObject({
      reason: words("A word for programs: `NoFlow`."),
      text: words("The same for people."),
      conns: count("How many."),
    }),
    "Why.",
  ),
  zones: listOf(
    v.strictObject({
      zone: count("Number of the zone that they began in."),
      name: maybe(words("Its name in the configuration in force.")),
      conns: count("How many."),
    }),
    "By number.",
  ),
  first: listOf(
    v.strictObject({ ...FoundConnShape.entries, reason: words("Why it ends.") }),
    "Some of them.",
  ),
});

const Changed = v.strictObject({
  revision: RevisionShape,
  /** Left out where nothing was counted: the change takes back what is pending. */
  ends: maybe(ExaminationShape),
});

export const ConfigGet = {
  params: v.strictObject(
    { revision: v.optional(revisionNumber("Which one; left out: what is in force.")) },
    "an object with revision",
  ),
  result: v.strictObject({
    revision: RevisionShape,
    text: words("As it was written."),
    config: v.pipe(v.unknown(), v.description("The same as a value.")),
  }),
};

export const ConfigCheck = {
  params: v.strictObject({ config: Configuration }, "an object with config"),
  result: v.strictObject({
    isGood: flag("It could be applied now."),
    problems: listOf(ProblemShape, "Everything that is wrong with it."),
    refusal: maybe(words("Why the router could not switch to it, though it is sound in itself.")),
    base: count("The revision that it was compared with."),
    isUnchanged: flag("It is what is in force."),
    ends: maybe(ExaminationShape),
  }),
};

export const ConfigApply = {
  params: v.strictObject(
    { config: Configuration, base: Base, confirmWithinSec: ConfirmWithin, note: Note },
    "an object with config, base, confirmWithinSec, note",
  ),
  result: Changed,
};

export const ConfigConfirm = {
  params: v.strictObject(
    { revision: revisionNumber("The one that is pending.") },
    "an object with revision",
  ),
  result: v.strictObject({ revision: RevisionShape }),
};

export const ConfigRollback = {
  params: v.strictObject(
    {
      to: v.optional(
        revisionNumber(
          "The revision whose configuration is to be in force again. Left out: takes back what is pending.",
        ),
      ),
      base: v.optional(Base),
      confirmWithinSec: ConfirmWithin,
      note: Note,
    },
    "an object with to, base, confirmWithinSec, note",
  ),
  result: Changed,
};

export const ConfigHistory = {
  params: v.strictObject({}, "an object without keys"),
  result: v.strictObject({
    revisions: listOf(RevisionShape, "All that are kept, the oldest first."),
  }),
};

export const ConfigDiff = {
  params: v.strictObject(
    {
      from: v.optional(revisionNumber("The older one; left out: what is in force.")),
      to: v.optional(revisionNumber("The newer one; left out: what is in force.")),
      config: v.optional(Configuration),
    },
    "an object with from, and to or config",
  ),
  result: v.strictObject({
    text: words("In the form of `diff -u`; empty where they are equal."),
    paths: listOf(
      v.strictObject({
        path: words("`zones[2].name`"),
        kind: v.picklist(["added", "removed", "changed", "reordered"]),
        before: maybe(words("The value as an error shows it, cut short.")),
        after: maybe(words("The same, afterwards.")),
      }),
      "What differs, value by value.",
    ),
    morePaths: number("Paths that are left out."),
  }),
};

export const FlowsAdd = {
  params: v.strictObject(
    {
      flow: text("a flow", "As it would stand in the configuration's `flows`."),
      index: v.optional(
        whole("a place", 0, 65535, "Its place among the written flows; left out: behind the last."),
      ),
      base: v.optional(Base),
      confirmWithinSec: ConfirmWithin,
      note: Note,
    },
    "an object with flow, index, base, confirmWithinSec, note",
  ),
  result: Changed,
};

export const FlowsRemove = {
  params: v.strictObject(
    {
      flow: text(
        "a flow",
        "The text of a written flow, or what flows.list makes of it. Spaces do not count.",
      ),
      base: v.optional(Base),
      confirmWithinSec: ConfirmWithin,
      note: Note,
    },
    "an object with flow, base, confirmWithinSec, note",
  ),
  result: Changed,
};
