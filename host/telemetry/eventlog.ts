/**
 * Where the events of a running router go: an exporter for each log of the configuration, what a reload makes of them,
 * and the events that only the host can tell (its clock, its interfaces).
 */

import { hostname } from "node:os";
import { EventKind } from "../../assembly/abi.js";
import type { Config, IpfixLog, LogTarget, SyslogLog } from "../config/model.js";
import { ClockWatch } from "./clock.js";
import { classOf, type EventView, hostEvent } from "./event.js";
import { Exporter, type ExporterStatus } from "./exporter.js";
import type { Format } from "./format.js";
import { Ipfix, type Names } from "./ipfix.js";
import { jsonLines } from "./jsonlog.js";
import { FileLink, type Link, LocalLink, TcpLink, UdpLink } from "./link.js";
import { syslogLines } from "./syslog.js";

/** Milliseconds that a log which goes away may take for what waits. */
const FLUSH_MS = 2000;
const WATCH_MS = 1000;

export interface EventLogOptions {
  readonly wall: () => number;
  readonly monotonic: () => number;
  /** What an operator should know of how a log works. */
  readonly notice: (text: string) => void;
  /** Every event that is told, the host's own included. */
  readonly heard: (event: EventView) => void;
}

interface Log {
  readonly target: LogTarget;
  readonly exporter: Exporter;
  readonly format: Format;
}

export interface LogStatus extends ExporterStatus {
  /** `file /var/log/x.jsonl`, `ipfix 192.0.2.1:4739/udp` */
  readonly name: string;
}

export class EventLog {
  private logs: readonly Log[] = [];
  private readonly watch = new ClockWatch();
  private readonly timer: NodeJS.Timeout;

  constructor(
    config: Config,
    private readonly options: EventLogOptions,
  ) {
    this.logs = config.telemetry.logs.map((target) => this.begin(target, config));
    this.lookAtClock();
    this.timer = setInterval(() => this.lookAtClock(), WATCH_MS);
    this.timer.unref();
  }

  get status(): LogStatus[] {
    return this.logs.map(({ exporter, target }) => ({
      name: `${target.kind} ${exporter.name}`,
      ...exporter.status,
    }));
  }

  /** Takes over what has not changed with all that waits in it; a file is opened anew, since it may have been moved. */
  reconfigure(config: Config): void {
    const old = new Map(this.logs.map((log) => [JSON.stringify(log.target), log]));
    this.logs = config.telemetry.logs.map((target) => {
      const key = JSON.stringify(target);
      const kept = old.get(key);
      if (kept === undefined) return this.begin(target, config);
      old.delete(key);
      if (target.kind === "file") kept.exporter.reopen();
      if (kept.format instanceof Ipfix) kept.format.rename(namesOf(config));
      return kept;
    });
    for (const { exporter } of old.values()) void exporter.stop(FLUSH_MS);
  }

  tell(event: EventView): void {
    const bit = classOf(event.kind);
    for (const { target, exporter } of this.logs) {
      if ((target.events & bit) !== 0) exporter.offer(event);
    }
    this.options.heard(event);
  }

  tellLink(name: string, event: string): void {
    const isBack = event === "up" || event === "returned";
    const kind = isBack ? EventKind.InterfaceBack : EventKind.InterfaceLost;
    this.tell(hostEvent(kind, this.options.wall(), { interface: name }));
  }

  private lookAtClock(): void {
    const { wall, monotonic } = this.options;
    const value = this.watch.look(wall(), monotonic());
    if (value !== 0) this.tell(hostEvent(EventKind.ClockJumped, wall(), { value }));
  }

  /** Sends what waits, within two seconds. */
  async stop(): Promise<void> {
    clearInterval(this.timer);
    await Promise.all(this.logs.map(({ exporter }) => exporter.stop(FLUSH_MS)));
  }

  private begin(target: LogTarget, config: Config): Log {
    const { wall, monotonic } = this.options;
    const { queue, rate, kind } = target;
    const format = formatOf(target, config);
    const link = linkOf(target);
    const notice = (text: string) => this.options.notice(`log ${kind} ${text}`);
    const exporter = new Exporter({ format, link, queue, rate, wall, monotonic, notice });
    // Says at once where it cannot get through.
    exporter.wake();
    return { target, exporter, format };
  }
}

function linkOf(target: LogTarget): Link {
  if (target.kind === "file") return new FileLink(target.path);
  const { collector } = target;
  switch (collector.transport) {
    case "local":
      return new LocalLink(collector.path);
    case "tcp":
      return new TcpLink(collector.server, collector.port);
    case "udp":
      return new UdpLink(collector.server, collector.port, collector.mtu);
  }
}

function formatOf(target: LogTarget, config: Config): Format {
  switch (target.kind) {
    case "file":
      return jsonLines();
    case "syslog":
      return syslogOf(target);
    case "ipfix":
      return ipfixOf(target, config);
  }
}

function syslogOf({ facility, hostname: name, collector }: SyslogLog): Format {
  return syslogLines({
    facility,
    hostname: name ?? hostname(),
    processId: process.pid,
    counted: collector.transport === "tcp",
  });
}

function ipfixOf({ domain, templateSeconds, collector }: IpfixLog, config: Config): Format {
  return new Ipfix({
    domain,
    processId: process.pid,
    templateMs: collector.transport === "udp" ? templateSeconds * 1000 : undefined,
    names: namesOf(config),
  });
}

function namesOf({ zones, pools }: Config): Names {
  return {
    zones: new Map(zones.map(({ id, name }) => [id, name])),
    pools: new Map(pools.map(({ index, name }) => [index, name])),
  };
}
