/**
 * What can be measured, for Prometheus. docs/telemetry.md has the table.
 *
 * Names begin with `crosszone_`, counters end with `_total`, times are seconds. A label has at most as many values as
 * SERIES_MAX says; what is beyond is summed under the value "(other)", which no zone, device or flow can be called, and
 * `crosszone_folded_series` says how many that are.
 */

import { Reason, Table } from "../../assembly/abi.js";
import type { Readings, Traffic } from "./counters.js";
import type { LogStatus } from "./eventlog.js";
import { Exposition, type Labels } from "./exposition.js";
import { word } from "./words.js";

/** Values of each label. */
export const SERIES_MAX = {
  zone: 1024,
  device: 1024,
  interface: 1024,
  flow: 256,
  pool: 256,
} as const;

export const OTHER = "(other)";

/** Of a pool, one protocol's ports, or its blocks' under `block`. */
export interface PoolUse {
  readonly pool: string;
  readonly protocol: string;
  readonly used: number;
  readonly capacity: number;
}

export interface MetricsSource {
  readonly version: string;
  /** Milliseconds since 1970 at which the process began. */
  readonly startedAt: number;
  readonly readings: Readings;
  readonly logs: readonly LogStatus[];
  /** Conns by state, and what pools have in use; what is not given is left out. */
  readonly phases?: Readonly<Record<string, number>>;
  readonly pools?: readonly PoolUse[];
}

type Labelled = keyof typeof SERIES_MAX;
type Row<T> = readonly [name: string, value: T];
type Numbers = Readonly<Record<string, number>>;

/** Prometheus' text format. */
export function formatMetrics(source: MetricsSource): string {
  const metrics = new Metrics(new Exposition());
  const { readings } = source;
  metrics.process(source);
  metrics.frames(readings);
  metrics.zones(readings);
  metrics.flows(readings);
  metrics.links(readings);
  metrics.tables(readings);
  metrics.workers(readings);
  metrics.states(source);
  metrics.logs(source);
  return metrics.text();
}

class Metrics {
  private readonly foldedBy = new Map<Labelled, number>();

  constructor(private readonly out: Exposition) {}

  text(): string {
    this.gauge(
      "folded_series",
      "Values of a label beyond its maximum, summed as (other).",
      [...this.foldedBy].map(([label, count]) => [{ label }, count]),
    );
    return this.out.text();
  }

  process({ version, startedAt }: MetricsSource): void {
    this.gauge("build_info", "Always 1; the version is a label.", [[{ version }, 1]]);
    this.gauge("start_time_seconds", "When the process began, since 1970.", [
      [{}, startedAt / 1000],
    ]);
  }

  frames({ counters, eventsLost, config }: Readings): void {
    const all = Array.from({ length: Reason.Count }, (_, reason) => Reason[reason] ?? "");
    this.counter(
      "frames_total",
      "Frames by how they ended, docs/counters.md.",
      all.map((reason) => [{ reason }, counters.reasons[reason] ?? 0]),
    );
    this.counter("events_lost_total", "Events that found no place.", [[{}, eventsLost]]);
    this.gauge("workers", "Threads that forward.", [[{}, config.workers]]);
    const devices = this.fold("device", Object.entries(counters.devices));
    this.traffic("device", devices);
    this.each(
      "device",
      "receive_dropped_frames_total",
      "Received and dropped.",
      devices,
      (device) => device.dropped,
    );
  }

  zones({ counters, config }: Readings): void {
    const limits = new Map(config.zones.map(({ name, connsMax }) => [name, connsMax]));
    const zones = this.fold(
      "zone",
      Object.entries(counters.zones).map(([name, zone]) => [
        name,
        { ...zone, limit: limits.get(name) ?? 0 },
      ]),
    );
    this.traffic("zone", zones);
    this.each(
      "zone",
      "dropped_frames_total",
      "Received and dropped.",
      zones,
      (zone) => zone.dropped,
    );
    this.each(
      "zone",
      "conns_created_total",
      "Conns that began in it.",
      zones,
      (zone) => zone.connsCreated,
    );
    this.gauge(
      "zone_conns",
      "Conns that began in it and go on.",
      zones.map(([zone, { conns }]) => [{ zone }, conns]),
    );
    this.gauge(
      "zone_conns_limit",
      "Conns that it may have; left out where there is no limit.",
      zones
        .filter(([zone, { limit }]) => zone !== OTHER && limit > 0)
        .map(([zone, { limit }]) => [{ zone }, limit]),
    );
  }

  flows({ counters }: Readings): void {
    const flows = this.fold(
      "flow",
      counters.flows.map(({ flow, packets, bytes }) => [flow, { packets, bytes }]),
    );
    this.each("flow", "packets_total", "Packets that it spoke for.", flows, (flow) => flow.packets);
    this.each("flow", "bytes_total", "Bytes of them.", flows, (flow) => flow.bytes);
  }

  links({ counters }: Readings): void {
    const links = this.fold(
      "interface",
      Object.entries(counters.links).map(([name, link]) => [name, { ...link }]),
    );
    const each = (name: string, help: string, read: (link: (typeof links)[0][1]) => number) =>
      this.each("interface", name, help, links, read);
    each("receive_missed_frames_total", "Lost before they were seen.", (link) => link.rxMissed);
    each("receive_refused_frames_total", "Refused by the driver.", (link) => link.rxRefused);
    each("transmit_dropped_frames_total", "Not sent.", (link) => link.txDropped);
  }

  tables({ tables }: Readings): void {
    const rows = tables.map((use, table): Row<typeof use> => [word(Table[table], "_"), use]);
    this.gauge(
      "table_entries",
      "Entries in use.",
      rows.map(([table, { used }]) => [{ table }, used]),
    );
    this.gauge(
      "table_capacity_entries",
      "Entries that find a place.",
      rows.map(([table, { capacity }]) => [{ table }, capacity]),
    );
  }

  workers({ work }: Readings): void {
    const rows = work.map((each, worker): Row<typeof each> => [String(worker), each]);
    const each = (name: string, help: string, read: (row: (typeof work)[0]) => number) =>
      this.each("worker", name, help, rows, read);
    each("turns_total", "Turns of its loop.", (row) => row.turns);
    each("empty_turns_total", "Turns that found nothing.", (row) => row.emptyTurns);
    each("sleeps_total", "Times that it slept.", (row) => row.sleeps);
    each("busy_seconds_total", "Time in turns that brought frames.", (row) => row.busyMs / 1000);
    this.out.histogram(
      "crosszone_worker_batch_frames",
      "Frames that a turn brought, where it brought any.",
      rows.map(([worker, { batches, frames, turns, emptyTurns }]) => {
        const below = (i: number) => batches.slice(0, i + 1).reduce((sum, count) => sum + count);
        const buckets = batches.map((_, i) => [2 ** i, below(i)] as const);
        return { labels: { worker }, buckets, count: turns - emptyTurns, sum: frames };
      }),
    );
  }

  states({ phases = {}, pools = [] }: MetricsSource): void {
    this.gauge(
      "conns",
      "Conns by state.",
      Object.entries(phases).map(([state, count]) => [{ state }, count]),
    );
    for (const [name, help, read] of [
      ["pool_used_ports", "External ports in use.", (use: PoolUse) => use.used],
      ["pool_ports", "External ports of the pool.", (use: PoolUse) => use.capacity],
    ] as const) {
      const kept = this.foldPools(pools);
      this.gauge(
        name,
        help,
        kept.map((use) => [{ pool: use.pool, protocol: use.protocol }, read(use)]),
      );
    }
  }

  logs({ logs }: MetricsSource): void {
    const rows = logs.map((each): Row<LogStatus> => [each.name, each]);
    const each = (name: string, help: string, read: (log: LogStatus) => number) =>
      this.each("log", name, help, rows, read);
    this.gauge(
      "log_up",
      "1 when it gets through.",
      rows.map(([log, { isUp }]) => [{ log }, isUp ? 1 : 0]),
    );
    this.gauge(
      "log_queue_events",
      "Events that wait.",
      rows.map(([log, { queued }]) => [{ log }, queued]),
    );
    this.gauge(
      "log_queue_capacity_events",
      "Events that may wait.",
      rows.map(([log, { queue }]) => [{ log }, queue]),
    );
    each("events_total", "Events sent.", (log) => log.events);
    each("messages_total", "Messages sent.", (log) => log.messages);
    each("bytes_total", "Bytes of them.", (log) => log.bytes);
    each("failures_total", "Attempts that failed.", (log) => log.failures);
    this.counter(
      "log_lost_events_total",
      "Events that were lost: no place in the queue, or gone with what broke.",
      rows.flatMap(([log, { lostInQueue, lostOnTheWay }]): [Labels, number][] => [
        [{ log, where: "queue" }, lostInQueue],
        [{ log, where: "way" }, lostOnTheWay],
      ]),
    );
  }

  private traffic(label: "device" | "zone", rows: readonly Row<Traffic>[]): void {
    this.each(label, "receive_frames_total", "Frames received.", rows, (row) => row.rxPackets);
    this.each(label, "receive_bytes_total", "Bytes received.", rows, (row) => row.rxBytes);
    this.each(label, "transmit_frames_total", "Frames sent.", rows, (row) => row.txPackets);
    this.each(label, "transmit_bytes_total", "Bytes sent.", rows, (row) => row.txBytes);
  }

  /** `crosszone_LABEL_NAME{LABEL="…"}` */
  private each<T>(
    label: string,
    name: string,
    help: string,
    rows: readonly Row<T>[],
    read: (row: T) => number,
  ): void {
    this.counter(
      `${label}_${name}`,
      help,
      rows.map(([value, row]) => [{ [label]: value }, read(row)]),
    );
  }

  private counter(name: string, help: string, samples: readonly (readonly [Labels, number])[]) {
    this.out.family(`crosszone_${name}`, "counter", help, samples);
  }

  private gauge(name: string, help: string, samples: readonly (readonly [Labels, number])[]) {
    this.out.family(`crosszone_${name}`, "gauge", help, samples);
  }

  /** The first rows as they are; the sum of the others behind them. */
  private fold<T extends object>(label: Labelled, rows: readonly Row<T>[]): Row<T>[] {
    const most = SERIES_MAX[label];
    this.foldedBy.set(label, Math.max(0, rows.length - most));
    const kept = rows.slice(0, most);
    const [first, ...others] = rows.slice(most);
    if (first === undefined) return kept;
    const sum = others.reduce((sum, [, row]) => added(sum, row), first[1]);
    return [...kept, [OTHER, sum]];
  }

  private foldPools(pools: readonly PoolUse[]): PoolUse[] {
    const names = [...new Set(pools.map(({ pool }) => pool))];
    const kept = new Set(names.slice(0, SERIES_MAX.pool));
    this.foldedBy.set("pool", names.length - kept.size);
    const others = new Map<string, PoolUse>();
    for (const use of pools.filter(({ pool }) => !kept.has(pool))) {
      const { used, capacity } = others.get(use.protocol) ?? { used: 0, capacity: 0 };
      const sum = { used: used + use.used, capacity: capacity + use.capacity };
      others.set(use.protocol, { pool: OTHER, protocol: use.protocol, ...sum });
    }
    return [...pools.filter(({ pool }) => kept.has(pool)), ...others.values()];
  }
}

function added<T extends object>(one: T, other: T): T {
  const sums = Object.entries(one as Numbers).map(([key, value]) => [
    key,
    value + ((other as Numbers)[key] ?? 0),
  ]);
  return Object.fromEntries(sums) as T;
}
