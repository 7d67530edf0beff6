/**
 * Every method of the protocol: what it takes, what it answers, who may call it. docs/protocol.md describes it for people;
 * docs/protocol.schema.json is made from it.
 */

import type * as v from "valibot";
import * as config from "./config.js";
import * as conns from "./conns.js";
import * as status from "./status.js";
import * as streams from "./streams.js";
import * as tables from "./tables.js";
import * as trace from "./trace.js";

export type { Level, Role } from "./status.js";

interface Method {
  readonly summary: string;
  /** `operator`: it changes something. */
  readonly role: status.Role;
  readonly params: v.GenericSchema;
  readonly result: v.GenericSchema;
}

function reads<const M extends Pick<Method, "params" | "result">>(method: M, summary: string) {
  return { ...method, summary, role: "viewer" as const };
}

function changes<const M extends Pick<Method, "params" | "result">>(method: M, summary: string) {
  return { ...method, summary, role: "operator" as const };
}

export const METHODS = {
  hello: reads(status.Hello, "says who the client is, and learns who it talks to"),
  "status.get": reads(status.StatusGet, "how the router is"),
  "config.get": reads(config.ConfigGet, "a configuration, the one in force if not said otherwise"),
  // It costs each worker the check of a whole configuration.
  "config.check": changes(
    config.ConfigCheck,
    "what is wrong with a configuration, and which conns would end",
  ),
  "config.apply": changes(config.ConfigApply, "puts a configuration in force"),
  "config.confirm": changes(config.ConfigConfirm, "a pending revision is to stay"),
  "config.rollback": changes(config.ConfigRollback, "puts an older revision in force again"),
  "config.history": reads(config.ConfigHistory, "the revisions that are kept"),
  "config.diff": reads(config.ConfigDiff, "what differs between two configurations"),
  "conns.query": reads(conns.ConnsQuery, "a page of conns, filtered and sorted"),
  "conns.count": reads(conns.ConnsCount, "how many conns there are"),
  "conns.delete": changes(conns.ConnsDelete, "ends the conns that fit a filter"),
  "conns.flush": changes(conns.ConnsFlush, "ends all conns, or those of a zone or a host"),
  "mappings.list": reads(
    conns.MappingsList,
    "a page of inside endpoints with their external ports",
  ),
  "hosts.top": reads(conns.HostsTop, "the inside hosts with the most of something"),
  "zones.list": reads(tables.ZonesList, "zones and their counters"),
  "pools.list": reads(tables.PoolsList, "what is used and left of pools"),
  "pools.addresses": reads(
    tables.PoolsAddresses,
    "a page of a pool's addresses, each with what is used of it",
  ),
  "flows.list": reads(tables.FlowsList, "a page of flows with their counters"),
  "flows.add": changes(config.FlowsAdd, "adds a flow: a revision of its own"),
  "flows.remove": changes(config.FlowsRemove, "removes a written flow: a revision of its own"),
  "devices.list": reads(tables.DevicesList, "devices, interfaces and their counters"),
  "neighbors.list": reads(tables.NeighborsList, "a page of neighbors (ARP)"),
  "trace.run": reads(
    trace.TraceRun,
    "what would become of a frame, step by step; nothing is changed",
  ),
  "events.subscribe": reads(streams.EventsSubscribe, "begins to be told of events"),
  "events.unsubscribe": reads(streams.EventsUnsubscribe, "ends that"),
  "metrics.subscribe": reads(streams.MetricsSubscribe, "begins to be sent samples of counters"),
  "metrics.unsubscribe": reads(streams.MetricsUnsubscribe, "ends that"),
  "log.level": changes(status.LogLevel, "how much the router says on standard error"),
} as const satisfies Readonly<Record<string, Method>>;

export { NOTIFICATIONS } from "./streams.js";

export type MethodName = keyof typeof METHODS;

/** Nobody changes what somebody else has been handed. */
type Frozen<T> = T extends object ? { readonly [K in keyof T]: Frozen<T[K]> } : T;

export type Params<M extends MethodName> = v.InferOutput<(typeof METHODS)[M]["params"]>;
/** As a client writes them. */
export type GivenParams<M extends MethodName> = v.InferInput<(typeof METHODS)[M]["params"]>;
export type Result<M extends MethodName> = Frozen<v.InferOutput<(typeof METHODS)[M]["result"]>>;

export type NotificationName = keyof typeof streams.NOTIFICATIONS;
export type Notification<N extends NotificationName> = Frozen<
  v.InferOutput<(typeof streams.NOTIFICATIONS)[N]["params"]>
>;

export const METHOD_NAMES = Object.keys(METHODS) as MethodName[];

export function isMethod(name: string): name is MethodName {
  return Object.hasOwn(METHODS, name);
}
