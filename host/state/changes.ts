/**
 * Which values differ between two documents. Elements of an array that have names (or ids) are compared by
 * them: a zone that comes in between changes no other. Elements without are compared in order, by the shortest
 * way from one array to the other.
 */

import { describe, pathText } from "../config/error.js";
import { canonicalKey, isRecord } from "./canonical.js";
import { Budget, editsBetween } from "./edits.js";

export interface PathChange {
  /** In the newer document; of what was removed, in the older one. */
  readonly path: string;
  readonly kind: "added" | "removed" | "changed" | "reordered";
  /** The values as an error shows them, cut short. */
  readonly before: string | undefined;
  readonly after: string | undefined;
}

type Path = readonly (string | number)[];

/** All of them, in the order of the canonical form. */
export function changedPaths(before: unknown, after: unknown): PathChange[] {
  const comparison = new Comparison();
  comparison.compare([], before, after);
  return comparison.changes;
}

class Comparison {
  readonly changes: PathChange[] = [];
  private readonly budget = new Budget();

  compare(path: Path, before: unknown, after: unknown): void {
    if (isRecord(before) && isRecord(after)) this.compareObjects(path, before, after);
    else if (Array.isArray(before) && Array.isArray(after)) this.compareArrays(path, before, after);
    else if (!Object.is(before, after)) this.note("changed", path, before, after);
  }

  private compareObjects(
    path: Path,
    before: Record<string, unknown>,
    after: Record<string, unknown>,
  ): void {
    const keys = new Set([...Object.keys(before), ...Object.keys(after)]);
    for (const key of [...keys].sort()) {
      const inside = [...path, key];
      if (!Object.hasOwn(after, key)) this.note("removed", inside, before[key], undefined);
      else if (!Object.hasOwn(before, key)) this.note("added", inside, undefined, after[key]);
      else this.compare(inside, before[key], after[key]);
    }
  }

  private compareArrays(path: Path, before: readonly unknown[], after: readonly unknown[]): void {
    const old = namesOf(before);
    const now = namesOf(after);
    if (old === undefined || now === undefined) this.compareInOrder(path, before, after);
    else this.compareNamed(path, old, now);
  }

  private compareNamed(path: Path, before: Named, after: Named): void {
    for (const [name, { index, value }] of before) {
      if (!after.has(name)) this.note("removed", [...path, index], value, undefined);
    }
    for (const [name, { index, value }] of after) {
      const old = before.get(name);
      if (old === undefined) this.note("added", [...path, index], undefined, value);
      else this.compare([...path, index], old.value, value);
    }
    const stayed = [...before.keys()].filter((name) => after.has(name));
    const stay = [...after.keys()].filter((name) => before.has(name));
    if (stayed.some((name, place) => name !== stay[place])) {
      this.note("reordered", path, stayed, stay);
    }
  }

  private compareInOrder(path: Path, before: readonly unknown[], after: readonly unknown[]): void {
    const keys = [before.map(canonicalKey), after.map(canonicalKey)] as const;
    const edits = editsBetween(...keys, this.budget);
    for (let place = 0; place < edits.length; place++) {
      const edit = edits[place];
      if (edit === undefined || edit.kind === "same") continue;
      const next = edits[place + 1];
      // What goes and what comes in its place: one element changed, as far as they pair.
      const [gone, come] =
        edit.kind === "removed"
          ? [edit.count, next?.kind === "added" ? next.count : 0]
          : [next?.kind === "removed" ? next.count : 0, edit.count];
      if (next !== undefined && next.kind !== "same") place++;
      const pairs = Math.min(gone, come);
      for (let i = 0; i < pairs; i++) {
        const at = edit.after + i;
        this.compare([...path, at], before[edit.before + i], after[at]);
      }
      for (let i = pairs; i < gone; i++) {
        const at = edit.before + i;
        this.note("removed", [...path, at], before[at], undefined);
      }
      for (let i = pairs; i < come; i++) {
        const at = edit.after + i;
        this.note("added", [...path, at], undefined, after[at]);
      }
    }
  }

  private note(kind: PathChange["kind"], path: Path, before: unknown, after: unknown): void {
    this.changes.push({
      path: pathText(path),
      kind,
      before: before === undefined ? undefined : describe(before),
      after: after === undefined ? undefined : describe(after),
    });
  }
}

type Named = ReadonlyMap<string, { readonly index: number; readonly value: unknown }>;

/** By name, else by id; undefined when an element has neither, or two have the same. */
function namesOf(array: readonly unknown[]): Named | undefined {
  const named = new Map<string, { index: number; value: unknown }>();
  for (const [index, value] of array.entries()) {
    const name = isRecord(value) ? (value.name ?? value.id) : undefined;
    if (typeof name !== "string" && typeof name !== "number") return undefined;
    named.set(`${name}`, { index, value });
  }
  return named.size === array.length ? named : undefined;
}
