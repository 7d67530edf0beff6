/** The section `telemetry`, checked: which events are noted, and where they go. */

import { isIP } from "node:net";
import { isAbsolute } from "node:path";
import { EventClass } from "../../assembly/abi.js";
import { describe, type Problems } from "./error.js";
import type { LogTarget, Telemetry } from "./model.js";
import {
  type EVENT_CLASSES,
  LOCAL_SYSLOG,
  type LogEntry,
  SYSLOG_PORT,
  type TelemetryEntry,
} from "./telemetryschema.js";

/** struct sockaddr_un has 108 bytes, with a zero at the end. */
const SOCKET_PATH_MAX = 107;

const BITS: Readonly<Record<(typeof EVENT_CLASSES)[number], EventClass>> = {
  sessions: EventClass.Sessions,
  mappings: EventClass.Mappings,
  blocks: EventClass.Blocks,
  alarms: EventClass.Alarms,
};

function bitsOf(classes: readonly (keyof typeof BITS)[]): number {
  return classes.reduce((bits, each) => bits | BITS[each], 0);
}

/** Alarms are noted always; blocks also where no log is there that could say that it wants none. */
export function readTelemetry(entry: TelemetryEntry, problems: Problems): Telemetry {
  const standard = bitsOf(entry.events);
  const reader = new LogReader(problems, standard);
  const logs = entry.log.flatMap((each, index) => reader.read(each, `telemetry.log[${index}]`));
  const unheard = logs.length === 0 ? EventClass.Blocks : 0;
  const events = logs.reduce((bits, log) => bits | log.events, EventClass.Alarms | unheard);
  return { events, logs };
}

class LogReader {
  private readonly places = new Map<string, string>();

  constructor(
    private readonly problems: Problems,
    private readonly standard: number,
  ) {}

  /** None where it is wrong. */
  read(entry: LogEntry, path: string): LogTarget[] {
    const { queue, rate } = entry;
    const events = entry.events === undefined ? this.standard : bitsOf(entry.events);
    const common = { events, queue, rate };
    const target = this.target(entry, common, path);
    if (target === undefined) return [];
    this.claim(target, path);
    return [target];
  }

  private target(
    entry: LogEntry,
    common: Pick<LogTarget, "events" | "queue" | "rate">,
    path: string,
  ): LogTarget | undefined {
    switch (entry.to) {
      case "file":
        this.checkPath(entry.path, `${path}.path`);
        return { kind: "file", path: entry.path, ...common };
      case "syslog":
        return this.syslog(entry, common, path);
      case "ipfix": {
        const { transport, server, port, domain, templateSeconds, mtu } = entry;
        this.checkServer(server, `${path}.server`);
        const collector = { transport, server, port, mtu };
        return { kind: "ipfix", collector, domain, templateSeconds, ...common };
      }
    }
  }

  private syslog(
    entry: Extract<LogEntry, { to: "syslog" }>,
    common: Pick<LogTarget, "events" | "queue" | "rate">,
    path: string,
  ): LogTarget | undefined {
    const { facility, hostname, server, mtu } = entry;
    const transport = entry.transport ?? (server === undefined ? "local" : "udp");
    if (transport === "local") {
      const socket = entry.path ?? LOCAL_SYSLOG;
      this.refuse(["server", "port"], entry, path, "nothing, with a local socket");
      this.checkPath(socket, `${path}.path`, SOCKET_PATH_MAX);
      return {
        kind: "syslog",
        collector: { transport, path: socket },
        facility,
        hostname,
        ...common,
      };
    }
    this.refuse(["path"], entry, path, `nothing, with transport "${transport}"`);
    if (server === undefined) {
      this.problems.add(`${path}.server`, `an address, for transport "${transport}"`, "nothing");
      return undefined;
    }
    this.checkServer(server, `${path}.server`);
    const collector = { transport, server, port: entry.port ?? SYSLOG_PORT, mtu };
    return { kind: "syslog", collector, facility, hostname, ...common };
  }

  private refuse(
    keys: readonly string[],
    entry: Readonly<Record<string, unknown>>,
    path: string,
    expected: string,
  ): void {
    for (const key of keys) {
      if (entry[key] !== undefined)
        this.problems.add(`${path}.${key}`, expected, describe(entry[key]));
    }
  }

  private checkPath(value: string, path: string, most = 4096): void {
    const isSound = isAbsolute(value) && !value.includes("\0") && Buffer.byteLength(value) <= most;
    if (isSound) return;
    this.problems.add(path, `an absolute path of at most ${most} bytes`, describe(value));
  }

  private checkServer(server: string, path: string): void {
    if (isIP(server) === 0) this.problems.add(path, "an IPv4 or IPv6 address", describe(server));
  }

  /** Two logs in one place would write every event twice. */
  private claim(target: LogTarget, path: string): void {
    const place = placeOf(target);
    const other = this.places.get(place);
    if (other !== undefined) {
      this.problems.add(path, "a place where no other log goes", `that of ${other}`);
    }
    this.places.set(place, other ?? path);
  }
}

function placeOf(target: LogTarget): string {
  if (target.kind === "file") return `file ${target.path}`;
  const { collector } = target;
  if (collector.transport === "local") return `${target.kind} ${collector.path}`;
  return `${target.kind} ${collector.server} ${collector.port} ${collector.transport}`;
}
