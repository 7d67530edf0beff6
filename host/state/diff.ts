/** What differs between two configurations: as lines to read, and as a list of paths. */

import { canonicalText, jsonOf } from "./canonical.js";
import { changedPaths, type PathChange } from "./changes.js";
import { type Edit, editsBetween } from "./edits.js";

export interface Diff {
  /**
   * In the form of `diff -u`, of the canonical texts (canonical.ts): "" when they are equal. The last line is
   * `… N more lines` where there are more than `DiffLimit.Lines`.
   */
  readonly text: string;
  /** At most `DiffLimit.Paths`; empty when one of the two is no JSON. */
  readonly paths: readonly PathChange[];
  /** Paths that are left out. */
  readonly morePaths: number;
}

export enum DiffLimit {
  Lines = 2000,
  Paths = 1000,
}

/** Lines around a change that are the same. */
const CONTEXT = 3;

export function diffTexts(before: string, after: string): Diff {
  const [one, other] = [jsonOf(before), jsonOf(after)];
  const all = one === undefined || other === undefined ? [] : changedPaths(one, other);
  const paths = all.slice(0, DiffLimit.Paths);
  const lines = (text: string, value: unknown) => canonicalText(text, value).split("\n");
  const text = unified(lines(before, one), lines(after, other));
  return { text, paths, morePaths: all.length - paths.length };
}

function unified(before: readonly string[], after: readonly string[]): string {
  const edits = editsBetween(before, after);
  const lines: string[] = [];
  let left = 0;
  const add = (line: string) => {
    if (lines.length < DiffLimit.Lines) lines.push(line);
    else left += 1;
  };
  for (const hunk of hunksOf(edits)) {
    add(header(hunk));
    for (const edit of hunk) {
      const mark = MARKS[edit.kind];
      const [from, at] = edit.kind === "added" ? [after, edit.after] : [before, edit.before];
      for (let i = 0; i < edit.count; i++) add(`${mark}${from[at + i]}`);
    }
  }
  if (left > 0) lines.push(`… ${left} more lines`);
  return lines.join("\n");
}

const MARKS = { same: " ", removed: "-", added: "+" } as const;

/** Changes with the lines around them; those that are near each other together. */
function hunksOf(edits: readonly Edit[]): Edit[][] {
  const hunks: Edit[][] = [];
  let hunk: Edit[] = [];
  for (const [index, edit] of edits.entries()) {
    if (edit.kind !== "same") {
      hunk.push(edit);
      continue;
    }
    const isFirst = index === 0;
    const isLast = index === edits.length - 1;
    if (!isFirst && !isLast && edit.count <= 2 * CONTEXT) {
      hunk.push(edit);
      continue;
    }
    const count = Math.min(CONTEXT, edit.count);
    if (!isFirst) hunks.push([...hunk, { ...edit, count }]);
    const skipped = edit.count - count;
    const { before, after } = edit;
    hunk = [{ ...edit, before: before + skipped, after: after + skipped, count }];
  }
  if (hunk.some(({ kind }) => kind !== "same")) hunks.push(hunk);
  return hunks;
}

/** `@@ -12,7 +12,8 @@` */
function header(hunk: readonly Edit[]): string {
  const [first] = hunk;
  if (first === undefined) return "";
  const count = (but: Edit["kind"]) =>
    hunk.reduce((sum, edit) => sum + (edit.kind === but ? 0 : edit.count), 0);
  return `@@ -${first.before + 1},${count("added")} +${first.after + 1},${count("removed")} @@`;
}
