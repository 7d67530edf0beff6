/** Differences of configurations: right for any two texts, short where they can be, bounded always. */

import fc from "fast-check";
import t from "tap";
import { canonicalText } from "../../../host/state/canonical.js";
import { changedPaths } from "../../../host/state/changes.js";
import { DiffLimit, diffTexts } from "../../../host/state/diff.js";
import { Budget, editsBetween } from "../../../host/state/edits.js";
import { holds } from "../../harness/property.js";

const sequence = fc.array(fc.constantFrom("a", "b", "c", "d"), { maxLength: 30 });

/** The longest common subsequence, by the plain table. */
function commonLength(before: readonly string[], after: readonly string[]): number {
  let row = new Array<number>(after.length + 1).fill(0);
  for (const element of before) {
    const next = [0];
    for (let i = 0; i < after.length; i++) {
      const longer = Math.max(row[i + 1] ?? 0, next[i] ?? 0);
      next.push(element === after[i] ? (row[i] ?? 0) + 1 : longer);
    }
    row = next;
  }
  return row[after.length] ?? 0;
}

/** What the edits make of the old sequence; undefined where they do not fit it. */
function played(before: readonly string[], after: readonly string[], budget?: Budget) {
  const made: string[] = [];
  let at = 0;
  for (const edit of editsBetween(before, after, budget)) {
    if (edit.before !== at || edit.after !== made.length || edit.count < 1) return undefined;
    if (edit.kind === "added") made.push(...after.slice(edit.after, edit.after + edit.count));
    if (edit.kind === "same") made.push(...before.slice(at, at + edit.count));
    if (edit.kind !== "added") at += edit.count;
  }
  return at === before.length ? made : undefined;
}

holds(
  t,
  "edits lead from one sequence to the other, by the shortest way",
  fc.property(sequence, sequence, (before, after) => {
    const edits = editsBetween(before, after);
    const same = edits.filter(({ kind }) => kind === "same");
    const kept = same.reduce((sum, { count }) => sum + count, 0);
    const made = played(before, after);
    return made?.join("") === after.join("") && kept === commonLength(before, after);
  }),
  1000,
);

holds(
  t,
  "and without a budget by some way",
  fc.property(sequence, sequence, fc.nat(20), (before, after, steps) => {
    return played(before, after, new Budget(steps))?.join("") === after.join("");
  }),
);

holds(
  t,
  "a document differs from another in no path only if it is the same in other words",
  fc.property(fc.jsonValue({ maxDepth: 4 }), fc.jsonValue({ maxDepth: 4 }), (one, other) => {
    const [before, after] = [JSON.stringify(one), JSON.stringify(other)];
    const isSame = canonicalText(before) === canonicalText(after);
    const { text, paths } = diffTexts(before, after);
    const itself = diffTexts(before, JSON.stringify(JSON.parse(before), undefined, 7));
    return (text === "") === isSame && (paths.length === 0) === isSame && itself.text === "";
  }),
);

const base = {
  version: 1,
  zones: [
    { id: 1, name: "a" },
    { id: 2, name: "b" },
  ],
  pools: [{ name: "p", addresses: ["203.0.113.7", "203.0.113.9"] }],
  flows: ["priority=1,actions=drop", "priority=2,actions=drop"],
};

const changes = (after: object) =>
  changedPaths(base, after).map(({ kind, path, before, after }) =>
    [kind, path, before ?? "-", after ?? "-"].join(" "),
  );

t.test("paths", async (t) => {
  t.same(changes(structuredClone(base)), []);
  t.same(
    changes({ ...base, zones: [{ id: 9, name: "new" }, ...base.zones] }),
    ['added zones[0] - {"id":9,"name":"new"}'],
    "what comes before others does not change them",
  );
  t.same(changes({ ...base, zones: [{ id: 5, name: "a" }] }), [
    'removed zones[1] {"id":2,"name":"b"} -',
    "changed zones[0].id 1 5",
  ]);
  t.same(changes({ ...base, zones: [...base.zones].reverse() }), [
    'reordered zones ["a","b"] ["b","a"]',
  ]);
  t.same(changes({ ...base, flows: ["priority=0,actions=drop", ...base.flows] }), [
    'added flows[0] - "priority=0,actions=drop"',
  ]);
  t.same(changes({ ...base, flows: ["priority=1,actions=drop", "x", "y"] }), [
    'changed flows[1] "priority=2,actions=drop" "x"',
    'added flows[2] - "y"',
  ]);
  t.same(changes({ ...base, pools: [{ name: "p", addresses: ["203.0.113.9"] }] }), [
    'removed pools[0].addresses[0] "203.0.113.7" -',
  ]);
  const { flows: _, ...without } = base;
  t.same(changes({ ...without, workers: 2 }), [
    'removed flows ["priority=1,actions=drop","priority=2,actions=drop"] -',
    "added workers - 2",
  ]);
  t.same(changedPaths({ zones: [{ name: 1 }, { name: 1 }] }, { zones: [{ name: 1 }] }).length, 1);
  t.same(changedPaths({ a: [1] }, { a: { b: 1 } })[0]?.kind, "changed");
});

t.test("lines", async (t) => {
  const lines = (count: number, at: number) =>
    JSON.stringify(Array.from({ length: count }, (_, i) => (i === at ? "x" : i)));
  t.equal(
    diffTexts(lines(20, 10), lines(20, 12)).text,
    [
      "@@ -9,9 +9,9 @@",
      "   7,",
      "   8,",
      "   9,",
      '-  "x",',
      "+  10,",
      "   11,",
      "-  12,",
      '+  "x",',
      "   13,",
      "   14,",
      "   15,",
    ].join("\n"),
  );
  const far = diffTexts(lines(100, 5), lines(100, 90)).text;
  t.equal(far.match(/^@@/gmu)?.length, 2, "what is far apart stands apart");
  t.equal(diffTexts("not JSON\n{", "not JSON\n}").text, "@@ -1,2 +1,2 @@\n not JSON\n-{\n+}");
  t.same(diffTexts("not JSON", "{}").paths, []);
});

t.test("large documents with nothing in common: bounded, and still all of it", async (t) => {
  const flows = (word: string) =>
    JSON.stringify({
      flows: Array.from({ length: 20_000 }, (_, i) => `${word} ${(i * 7919) % 65521}`),
    });
  const { text, paths, morePaths } = diffTexts(flows("one"), flows("other"));
  const lines = text.split("\n");
  t.equal(lines.length, DiffLimit.Lines + 1);
  t.match(lines.at(-1), /^… 38\d\d\d more lines$/);
  t.equal(paths.length, DiffLimit.Paths);
  t.equal(paths.length + morePaths, 20_000);
});

t.test("one flow of 20,000 is found", async (t) => {
  const flows = Array.from({ length: 20_000 }, (_, i) => `flow ${i}`);
  const before = JSON.stringify({ flows });
  flows.splice(10_000, 1, "other", "and one more");
  const { text, paths } = diffTexts(before, JSON.stringify({ flows }));
  t.equal(text.split("\n").length, 1 + 3 + 3 + 3);
  t.same(
    paths.map(({ kind, path }) => `${kind} ${path}`),
    ["changed flows[10000]", "added flows[10001]"],
  );
});
