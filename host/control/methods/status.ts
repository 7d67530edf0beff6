/** Who talks to whom, how the router is, and what is told without asking each time. */

import { readlinkSync } from "node:fs";
import { hostname } from "node:os";
import { Table } from "../../../assembly/abi.js";
import { LIMITS } from "../admission.js";
import { METHOD_NAMES, METHODS } from "../protocol/methods.js";
import { PROTOCOL } from "../protocol/names.js";
import { RpcCode, RpcError } from "../protocol/rpc.js";
import { EVENT_CLASSES } from "../protocol/streams.js";
import type { Listen } from "../server.js";
import type { Call, House, Some } from "./handlers.js";

/** Lines of the log that `status.get` shows. */
const NOTICES = 50;

export const statusMethods: Some<
  | "hello"
  | "status.get"
  | "log.level"
  | "events.subscribe"
  | "events.unsubscribe"
  | "metrics.subscribe"
  | "metrics.unsubscribe"
> = {
  async hello({ token, client }, call) {
    await call.hello(token, client);
    const { role, who, house } = call;
    if (role === undefined) throw new RpcError(RpcCode.Unauthenticated, "nobody is known");
    const methods = METHOD_NAMES.filter(
      (name) => role === "operator" || METHODS[name].role === "viewer",
    );
    return {
      protocol: PROTOCOL,
      version: house.version,
      role,
      who,
      revision: house.router.revision.number,
      isKept: house.files.state !== undefined,
      methods,
      messageBytes: LIMITS.messageBytes,
    };
  },

  async "status.get"(_params, { house }) {
    const { router, logbook } = house;
    const { counters, tables, work, eventsLost } = await router.forwarder.readings();
    const { text: _text, ...revision } = router.revision;
    return {
      version: house.version,
      process: { id: process.pid, host: hostname(), network: networkNamespace(), ...house.files },
      startedAt: house.startedAt,
      now: house.clock().wallMs,
      revision,
      workers: work,
      tables: Object.fromEntries(tables.map((use, table) => [tableName(table), use])),
      reasons: counters.reasons,
      conns: tables[Table.Conns]?.used ?? 0,
      eventsLost,
      logs: router.logs,
      notices: logbook.lines.slice(-NOTICES),
      control: describeServer(house),
    };
  },

  "log.level"({ level }, { house: { logbook }, who }) {
    const before = logbook.level;
    if (level === undefined) return { level: before };
    logbook.level = level;
    logbook.notice(`control: log level ${level}, set by ${who}`);
    return { level, before };
  },

  "events.subscribe"({ classes = EVENT_CLASSES, zone }, { house: { router }, subscriptions }) {
    const found = zone === undefined ? undefined : zoneOf(zone, router.running.zones);
    return { subscription: subscriptions.addEvents(classes, found) };
  },

  "events.unsubscribe": unsubscribe,

  "metrics.subscribe"({ intervalMs }, { subscriptions }) {
    return { subscription: subscriptions.addMetrics(intervalMs) };
  },

  "metrics.unsubscribe": unsubscribe,
};

/** `net:[4026531840]`, as /proc/PID/ns/net names that of another process. */
function networkNamespace(): string | undefined {
  try {
    return readlinkSync("/proc/self/ns/net");
  } catch {
    return undefined;
  }
}

function unsubscribe({ subscription }: { readonly subscription: number }, call: Call) {
  call.subscriptions.end(subscription);
  return {};
}

function zoneOf<Z extends { readonly id: number; readonly name: string }>(
  wanted: string | number,
  zones: readonly Z[],
): Z {
  const found = zones.find(({ id, name }) => String(id) === String(wanted) || name === wanted);
  if (found !== undefined) return found;
  const message = `zone: expected the name or number of a zone, found ${JSON.stringify(wanted)}`;
  throw new RpcError(RpcCode.InvalidParams, message);
}

/** Conns → conns, RestingPorts → restingPorts */
export function tableName(table: number): string {
  const member = Table[table] ?? String(table);
  return member.charAt(0).toLowerCase() + member.slice(1);
}

function describeServer(house: House) {
  const running = house.server();
  if (running === undefined) throw new RpcError(RpcCode.Busy, "the router is still starting");
  const { implementation, listening, counters } = running;
  return {
    transport: implementation,
    listening: listening.map(listenText),
    connections: counters.connections,
    channels: counters.channels,
    requests: counters.requests,
    refused: { ...counters.refused },
    ended: { ...counters.ended },
  };
}

/** `127.0.0.1:8090`, `[::1]:8090`, `/run/crosszone/control.sock` */
export function listenText(at: Listen): string {
  if ("path" in at) return at.path;
  return at.host.includes(":") ? `[${at.host}]:${at.port}` : `${at.host}:${at.port}`;
}
