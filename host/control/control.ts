/**
 * The control plane of a running router: it listens, opens a session for each channel, and hands sessions what they share.
 */

import { ConnPhase, EventClass } from "../../assembly/abi.js";
import type { Now } from "../state/deadline.js";
import type { Tokens } from "../state/tokens.js";
import { formatMetrics, type PoolUse } from "../telemetry/prometheus.js";
import { word } from "../telemetry/words.js";
import { Access } from "./access.js";
import { Bucket } from "./admission.js";
import { Pages } from "./http.js";
import type { Logbook } from "./logbook.js";
import { configMethods } from "./methods/config.js";
import type { Files, Handlers, House, Sample } from "./methods/handlers.js";
import { listenText, statusMethods, tableName } from "./methods/status.js";
import { tableMethods } from "./methods/tables.js";
import type { Router } from "./router.js";
import { type Channel, type ServeOptions, type Server, serve } from "./server.js";
import { Session } from "./session.js";
import { Shared } from "./shared.js";

/** Milliseconds between looks at whether sessions may still be there. */
const RENEW_MS = 2000;

/** Milliseconds for which a sample, what was counted for metrics, and that workers answer is good for others who ask. */
const SAMPLE_MS = 100;
const METRICS_MS = 1000;
const HEALTH_MS = 1000;

/** Lines about who is not let in. */
const REFUSALS_A_SECOND = 0.2;
const REFUSALS_AT_ONCE = 10;

/** What the datapath may be asked to note for subscribers. */
const CLASSES = [
  EventClass.Sessions,
  EventClass.Mappings,
  EventClass.Blocks,
  EventClass.Alarms,
] as const;

const METHODS: Handlers = { ...statusMethods, ...configMethods, ...tableMethods };

export interface ControlOptions {
  readonly router: Router;
  readonly logbook: Logbook;
  readonly tokens: Tokens | undefined;
  readonly version: string;
  /** Milliseconds since 1970 at which the process began. */
  readonly startedAt: number;
  readonly files: Files;
  /** Everybody on this machine may change everything, as long as there is no token. */
  readonly trustsLoopback?: boolean;
  readonly clock: () => Now;
  readonly serve: Omit<ServeOptions, "onNotice">;
}

export class Control implements House {
  readonly version: string;
  readonly startedAt: number;
  readonly router: Router;
  readonly logbook: Logbook;
  readonly files: Files;
  readonly clock: () => Now;
  private readonly sessions = new Set<Session>();
  private readonly access: Access;
  private readonly pages: Pages;
  /** How many ask for each of CLASSES. */
  private readonly watchers = CLASSES.map(() => 0);
  private readonly samples = new Shared(SAMPLE_MS, () => this.takeSample());
  private readonly metrics = new Shared(METRICS_MS, () => this.writeMetrics());
  private readonly health = new Shared(HEALTH_MS, () => this.router.forwarder.ping());
  private running: Server | undefined;
  private timer: NodeJS.Timeout | undefined;
  private lastSession = 0;
  private readonly refusals: Bucket;
  /** Refusals that were not told. */
  private unheard = 0;

  private constructor({ router, logbook, tokens, ...options }: ControlOptions) {
    this.router = router;
    this.logbook = logbook;
    this.version = options.version;
    this.startedAt = options.startedAt;
    this.files = options.files;
    this.clock = options.clock;
    this.refusals = new Bucket(REFUSALS_A_SECOND, REFUSALS_AT_ONCE, options.clock().monotonicMs);
    this.access = new Access(
      tokens,
      options.serve.hasAccessControl === true,
      options.trustsLoopback === true ? "operator" : "viewer",
    );
    this.pages = new Pages(this, this.access, {
      metrics: () => this.metrics.get(this.clock()),
      health: () => this.health.get(this.clock()),
    });
  }

  /** @throws ListenError: then nothing is listened on */
  static async start(options: ControlOptions): Promise<Control> {
    const control = new Control(options);
    const { logbook } = options;
    control.running = await serve(
      { ...options.serve, onNotice: (text) => logbook.notice(text) },
      {
        answer: (request) => control.pages.answer(request),
        open: (channel) => control.open(channel),
      },
    );
    control.timer = setInterval(() => control.renew(), RENEW_MS);
    control.timer.unref();
    return control;
  }

  /** Addresses and paths. */
  get listening(): string[] {
    return (this.running?.listening ?? []).map(listenText);
  }

  server(): Server | undefined {
    return this.running;
  }

  sample(): Promise<Sample> {
    return this.samples.get(this.clock());
  }

  watch(classes: number): { end(): void } {
    this.count(classes, 1);
    let isOver = false;
    return {
      end: () => {
        if (isOver) return;
        isOver = true;
        this.count(classes, -1);
      },
    };
  }

  refused(text: string): void {
    const { monotonicMs } = this.clock();
    if (this.refusals.take(1, monotonicMs)) {
      const more = this.unheard === 0 ? "" : ` (and ${this.unheard} more since the last)`;
      this.unheard = 0;
      this.logbook.notice(`control: ${text}${more}`);
    } else this.unheard++;
  }

  forget(session: Session): void {
    this.sessions.delete(session);
  }

  async stop(): Promise<void> {
    clearInterval(this.timer);
    await this.running?.close();
  }

  private open(channel: Channel): Session {
    const id = `${++this.lastSession}`;
    const openedMs = this.clock().monotonicMs;
    const session = new Session({ id, openedMs }, channel, this.access, METHODS, this);
    this.sessions.add(session);
    this.logbook.debug(`control: connection ${id} from ${channel.peer.address}`);
    return session;
  }

  private renew(): void {
    for (const session of this.sessions) void session.renew();
  }

  private count(classes: number, more: number): void {
    const before = this.watched();
    for (const [i, bit] of CLASSES.entries()) {
      if ((classes & bit) !== 0) this.watchers[i] = (this.watchers[i] ?? 0) + more;
    }
    const after = this.watched();
    if (after !== before) this.router.forwarder.watch(after);
  }

  private watched(): number {
    return CLASSES.reduce((mask, bit, i) => mask | ((this.watchers[i] ?? 0) > 0 ? bit : 0), 0);
  }

  private async takeSample(): Promise<Sample> {
    const { counters, tables, work } = await this.router.forwarder.readings();
    return {
      time: this.clock().wallMs,
      revision: this.router.revision.number,
      reasons: counters.reasons,
      devices: counters.devices,
      zones: counters.zones,
      tables: Object.fromEntries(tables.map((use, table) => [tableName(table), use])),
      busyMs: work.map(({ busyMs }) => busyMs),
    };
  }

  private async writeMetrics(): Promise<string> {
    const { forwarder } = this.router;
    const [readings, phases, pools] = await Promise.all([
      forwarder.readings(),
      this.countPhases(),
      forwarder.sumPools(),
    ]);
    return formatMetrics({
      version: this.version,
      startedAt: this.startedAt,
      readings,
      logs: this.router.logs,
      phases,
      pools: pools.flatMap(({ name, ports, blocks }): PoolUse[] => {
        const uses = Object.entries(ports).map(([protocol, { used, resting, free }]) => {
          return { pool: name, protocol, used, capacity: used + resting + free };
        });
        if (blocks === undefined) return uses;
        const { used, free } = blocks;
        return [...uses, { pool: name, protocol: "block", used, capacity: used + free }];
      }),
    });
  }

  private async countPhases(): Promise<Record<string, number>> {
    const phases = await this.router.forwarder.countPhases();
    return Object.fromEntries(
      phases.map((conns, phase) => [word(ConnPhase[phase] ?? ""), conns] as const),
    );
  }
}
