/**
 * From an unknown value to the entries of a document. Every fault of shape is a problem; what is sound
 * goes on to the cross-checks all the same, so one run names everything that is wrong: a broken
 * optional key counts as absent, an entry that is broken beyond that is left out, and references to
 * it are not complained about a second time.
 */

import * as v from "valibot";
import type { Problems } from "./error.js";
import * as schema from "./schema.js";
import { isRecord, reportShape } from "./shape.js";

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
  readonly telemetry: schema.TelemetryEntry;
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
    telemetry: single("telemetry", schema.TelemetrySchema),
    broken: {
      zones: brokenNames(section("zones"), schema.ZoneSchema, ["id", "name"]),
      devices: brokenNames(section("devices"), schema.DeviceSchema, ["port", "name"]),
      pools: brokenNames(section("pools") ?? [], schema.PoolSchema, ["name"]),
    },
  };
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
