/**
 * What is wrong with the shape of a value, in the words of the schema's messages: `zones[2].id: expected a zone number,
 * found "x"`. For configurations, and for all else that comes from outside as JSON.
 */

import * as v from "valibot";
import { describe, type Problems, pathText } from "./error.js";

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Adds all that is wrong with the shape of a value, unknown keys included, each once. */
export function reportShape(shape: v.GenericSchema, value: unknown, problems: Problems): void {
  const reported = new Set<string>();
  for (const issue of (v.safeParse(shape, value).issues ?? []).flatMap(inside)) {
    // An unknown key, of which valibot names one per object: reportUnknownKeys names them all.
    if (issue.type === "strict_object" && issue.expected === "never") continue;
    const path = pathText((issue.path ?? []).map((item) => item.key as string | number));
    if (reported.has(path)) continue;
    reported.add(path);
    const missing = issue.type === "strict_object" && issue.path?.at(-1)?.origin === "key";
    const expected = missing ? `the key ${issue.expected}` : issue.message;
    problems.add(path, expected, missing ? "nothing" : describe(issue.input));
  }
  reportUnknownKeys(shape as Shape, value, [], problems);
}

/** The value as the schema makes it; undefined, and problems added, where something is wrong with its shape. */
export function readShape<const S extends v.GenericSchema>(
  shape: S,
  value: unknown,
  problems: Problems,
): v.InferOutput<S> | undefined {
  const before = problems.list.length;
  // valibot takes an array for an object whose keys are all optional, so it alone does not decide.
  reportShape(shape, value, problems);
  return problems.list.length > before ? undefined : v.parse(shape, value);
}

/** Where a value may be an object or something simpler, what is wrong inside the object that it is. */
function inside(issue: v.BaseIssue<unknown>): v.BaseIssue<unknown>[] {
  if (issue.type !== "union" || !isRecord(issue.input)) return [issue];
  const inner = (issue.issues ?? []).filter(({ path }) => path !== undefined);
  if (inner.length === 0) return [issue];
  return inner.map((each): v.BaseIssue<unknown> => {
    const [first, ...rest] = [...(issue.path ?? []), ...(each.path ?? [])];
    return first === undefined ? each : { ...each, path: [first, ...rest] };
  });
}

/** The parts of a valibot schema that lead to objects inside it. */
interface Shape {
  readonly type: string;
  readonly entries?: Readonly<Record<string, Shape>>;
  readonly item?: Shape;
  readonly wrapped?: Shape;
  /** Of a union or variant the shapes, of a picklist the words. */
  readonly options?: readonly unknown[];
  /** Of a variant: the key whose word says which shape it is. */
  readonly key?: string;
  /** Of one word. */
  readonly literal?: unknown;
  /** Of what has more conditions: the shape is the first. */
  readonly pipe?: readonly Shape[];
}

function isObjectShape(option: unknown): option is Shape {
  return isRecord(option) && isRecord(option.entries);
}

/** Of several shapes of an object: the one that the value says it has. */
function isMeant(option: Shape, { key }: Shape, value: unknown): boolean {
  if (key === undefined) return true;
  const word = option.entries?.[key];
  return isRecord(value) && (word?.literal ?? word?.pipe?.[0]?.literal) === value[key];
}

function reportUnknownKeys(
  shape: Shape,
  value: unknown,
  path: readonly (string | number)[],
  problems: Problems,
): void {
  if (shape.wrapped !== undefined) {
    if (value !== undefined) reportUnknownKeys(shape.wrapped, value, path, problems);
  } else if (shape.options !== undefined) {
    const object = shape.options.filter(isObjectShape).find((each) => isMeant(each, shape, value));
    if (object !== undefined && isRecord(value)) reportUnknownKeys(object, value, path, problems);
  } else if (shape.item !== undefined) {
    if (!Array.isArray(value)) return;
    for (const [index, item] of value.entries()) {
      reportUnknownKeys(shape.item, item, [...path, index], problems);
    }
  } else if (shape.entries !== undefined) {
    if (Array.isArray(value)) problems.add(pathText(path), "an object", "an array");
    if (!isRecord(value)) return;
    for (const key of Object.keys(value)) {
      const known = Object.hasOwn(shape.entries, key) ? shape.entries[key] : undefined;
      if (known !== undefined) reportUnknownKeys(known, value[key], [...path, key], problems);
      else problems.add(pathText([...path, key]), expectedKey(key, shape.entries), describe(key));
    }
  }
}

function expectedKey(key: string, entries: Readonly<Record<string, Shape>>): string {
  const near = nearest(key, Object.keys(entries));
  return near === undefined
    ? `one of the keys ${Object.keys(entries).join(", ")}`
    : `a known key (did you mean ${describe(near)}?)`;
}

/** The word that the fewest edits turn this one into, if they are few. */
export function nearest(word: string, words: readonly string[]): string | undefined {
  let best: string | undefined;
  let fewest = Math.max(2, Math.floor(word.length / 3)) + 1;
  for (const candidate of words) {
    // A key far longer than any candidate is none of them misspelt.
    if (Math.abs(candidate.length - word.length) >= fewest) continue;
    const edits = distance(word.toLowerCase(), candidate.toLowerCase());
    if (edits < fewest && edits < candidate.length) {
      best = candidate;
      fewest = edits;
    }
  }
  return best;
}

/** Levenshtein's distance, one row at a time. */
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (from[i - 1] === to[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}
