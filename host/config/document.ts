/**
 * From an unknown value to the entries of a document. Every fault of shape is a problem; what is sound
 * goes on to the cross-checks all the same, so one run names everything that is wrong: a broken
 * optional key counts as absent, an entry that is broken beyond that is left out, and references to
 * it are not complained about a second time.
 */

import * as v from "valibot";
import { describe, type Problems, pathText } from "./error.js";
import * as schema from "./schema.js";

/** One element of a section, with its place in the document. */
export interface Entry<T> {
  readonly path: string;
  readonly value: T;
}

/** Stands for every name, where a whole section is missing or broken. */
export const ANY_NAME = "*";

/** Names and numbers that entries left out would have defined. */
export interface Broken {
  readonly zones: ReadonlySet<string>;
  readonly devices: ReadonlySet<string>;
  readonly pools: ReadonlySet<string>;
}

/** What is sound of a document. */
export interface Sections {
  readonly zones: readonly Entry<schema.ZoneEntry>[];
  readonly devices: readonly Entry<schema.DeviceEntry>[];
  readonly routes: readonly Entry<schema.RouteEntry>[];
  readonly neighbors: readonly Entry<schema.NeighborEntry>[];
  readonly pools: readonly Entry<schema.PoolEntry>[];
  readonly nat: readonly Entry<schema.NatEntry>[];
  readonly forwards: readonly Entry<schema.ForwardEntry>[];
  readonly flows: readonly Entry<string>[];
  readonly timeouts: schema.TimeoutsEntry;
  readonly tcp: schema.TcpEntry;
  readonly icmp: schema.IcmpEntry;
  readonly gateways: schema.GatewaysEntry;
  readonly capacity: schema.CapacityEntry;
  readonly workers: number;
  /** Microseconds. */
  readonly busyPoll: number;
  readonly broken: Broken;
}

/** Checks the shape of a document and hands out what is sound of it. */
export function readDocument(value: unknown, problems: Problems): Sections {
  reportShape(schema.DocumentSchema, value, problems);
  const section = (key: string): unknown =>
    isRecord(value) && Object.hasOwn(value, key) ? value[key] : undefined;
  const entries = <S extends v.GenericSchema>(key: string, item: S) =>
    soundEntries(key, section(key), item);
  /** An object that is sound without any of its keys. */
  const single = <S extends v.GenericSchema>(key: string, shape: S): v.InferOutput<S> =>
    salvage(shape, section(key)) ?? v.parse(shape, {});
  return {
    zones: entries("zones", schema.ZoneSchema),
    devices: entries("devices", schema.DeviceSchema),
    routes: entries("routes", schema.RouteSchema),
    neighbors: entries("neighbors", schema.NeighborSchema),
    pools: entries("pools", schema.PoolSchema),
    nat: entries("nat", schema.NatSchema),
    forwards: entries("forwards", schema.ForwardSchema),
    flows: entries("flows", schema.FlowSchema),
    timeouts: single("timeouts", schema.TimeoutsSchema),
    tcp: single("tcp", schema.TcpSchema),
    icmp: single("icmp", schema.IcmpSchema),
    gateways: single("gateways", schema.GatewaysSchema),
    capacity: salvage(schema.CapacitySchema, section("capacity")) ?? {},
    workers: salvage(schema.WorkersSchema, section("workers")) ?? schema.WORKERS,
    busyPoll: salvage(schema.BusyPollSchema, section("busyPoll")) ?? schema.BUSY_POLL,
    broken: {
      zones: brokenNames(section("zones"), schema.ZoneSchema, ["id", "name"]),
      devices: brokenNames(section("devices"), schema.DeviceSchema, ["port", "name"]),
      pools: brokenNames(section("pools") ?? [], schema.PoolSchema, ["name"]),
    },
  };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Names everything about a value that is not as its schema has it. */
export function reportShape(
  shape: v.GenericSchema & Shape,
  value: unknown,
  problems: Problems,
): void {
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
  reportUnknownKeys(shape, value, [], problems);
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
export interface Shape {
  readonly type: string;
  readonly entries?: Readonly<Record<string, Shape>>;
  readonly item?: Shape;
  readonly wrapped?: Shape;
  /** Of a union the shapes, of a picklist the words. */
  readonly options?: readonly unknown[];
}

function isObjectShape(option: unknown): option is Shape {
  return isRecord(option) && isRecord(option.entries);
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
    const object = shape.options.find(isObjectShape);
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

function soundEntries<S extends v.GenericSchema>(
  key: string,
  section: unknown,
  item: S,
): Entry<v.InferOutput<S>>[] {
  if (!Array.isArray(section)) return [];
  const entries: Entry<v.InferOutput<S>>[] = [];
  for (const [index, element] of section.entries()) {
    const value = salvage(item, element);
    if (value !== undefined) entries.push({ path: `${key}[${index}]`, value });
  }
  return entries;
}

/** The value without its broken optional keys; undefined when it is no use without them. */
function salvage<S extends v.GenericSchema>(
  shape: S,
  value: unknown,
): v.InferOutput<S> | undefined {
  let sound = value;
  // One unknown key is named at a time, and so is removed at a time.
  for (let tries = 0; tries < SALVAGE_TRIES; tries++) {
    const result = v.safeParse(shape, sound);
    if (result.success) return Array.isArray(value) ? undefined : result.output;
    if (!isRecord(sound)) return undefined;
    const bad = new Set(result.issues.map((issue) => issue.path?.[0]?.key));
    sound = Object.fromEntries(Object.entries(sound).filter(([key]) => !bad.has(key)));
  }
  return undefined;
}

const SALVAGE_TRIES = 16;

/** What the left-out entries of a section would have been called. */
function brokenNames(
  section: unknown,
  item: v.GenericSchema,
  keys: readonly string[],
): Set<string> {
  const names = new Set<string>();
  if (!Array.isArray(section)) return names.add(ANY_NAME);
  for (const element of section) {
    if (!isRecord(element) || v.safeParse(item, element).success) continue;
    const kept: unknown = salvage(item, element);
    for (const key of keys) {
      const called = element[key];
      if (typeof called !== "string" && typeof called !== "number") continue;
      if (!isRecord(kept) || kept[key] !== called) names.add(String(called));
    }
  }
  return names;
}
