/**
 * The running router as its operators know it: a forwarder, the log of its events, and the revisions of its
 * configuration. Whatever changes the configuration goes through here, whether it comes by the protocol, by a signal, or
 * because nobody confirmed in time.
 */

import { EventEmitter } from "node:events";
import { ConfigError } from "../config/error.js";
import type { Config } from "../config/model.js";
import { parseConfig } from "../config/parse.js";
import { messageOf } from "../errortext.js";
import type { Examination } from "../examination.js";
import { Forwarder, RestoreFailed } from "../forwarder.js";
import { Diverged, type Target } from "../state/change.js";
import type { Now } from "../state/deadline.js";
import { Unchanged } from "../state/refusal.js";
import type { ApplyRequest, ConfirmRequest, RollbackRequest } from "../state/request.js";
import type { Revision, Store } from "../state/revisions.js";
import { Busy } from "../tables.js";
import type { EventView } from "../telemetry/event.js";
import { EventLog } from "../telemetry/eventlog.js";
import { NoAnswer } from "../workers/handle.js";
import { problemsOfInterfaces } from "./interfaces.js";
import type { Logbook } from "./logbook.js";
import type { Snapshots } from "./snapshots.js";

/** Milliseconds between looks at a revision that waits to be confirmed, and between attempts to take it back. */
const LOOK_MS = 1000;

/** A configuration's text, and what it is called in errors. */
export interface Source {
  readonly text: string;
  readonly name: string;
}

export interface RouterOptions {
  readonly store: Store;
  /** What runs in place of the one that was confirmed last: where there is none, or it is to be replaced. */
  readonly first: Source | undefined;
  readonly seed: Uint8Array;
  readonly logbook: Logbook;
  readonly clock: () => Now;
  /** By which conns go on from one process to the next; without it they end with this one. */
  readonly snapshots?: Snapshots | undefined;
}

interface Events {
  /** The host's own events included. */
  event: [event: EventView];
  /** What became of a revision. */
  revision: [revision: Revision, what: string];
}

/** The configuration is sound, and yet the router cannot run it: an interface is missing, a table too small. */
export class SwitchError extends Error {
  override readonly name = "SwitchError";
}

export class Router extends EventEmitter<Events> {
  /** Resolves when the forwarder ends without being told to, be it before anybody asks. */
  readonly failed: Promise<Error>;
  private readonly events: EventLog;
  /** By name: interfaces that are lost or down. */
  private readonly down = new Set<string>();
  private timer: NodeJS.Timeout | undefined;
  /** A look at a revision that waits, which may be on its way. */
  private looking: Promise<void> = Promise.resolve();
  private isStopping = false;
  private hasFailed = false;

  private constructor(
    readonly forwarder: Forwarder,
    private config: Config,
    private readonly store: Store,
    private readonly logbook: Logbook,
    private readonly clock: () => Now,
    private readonly snapshots: Snapshots | undefined,
  ) {
    super();
    // Every session may listen.
    this.setMaxListeners(0);
    this.events = new EventLog(config, {
      wall: () => this.clock().wallMs,
      monotonic: () => this.clock().monotonicMs,
      notice: (text) => logbook.notice(text),
      heard: (event) => this.emit("event", event),
    });
    forwarder.on("notice", (text) => logbook.notice(text));
    forwarder.on("event", (event) => this.events.tell(event));
    forwarder.on("link", (name, event) => this.hearLink(name, event));
    this.failed = new Promise((resolve) => {
      forwarder.once("failure", (error) => {
        this.hasFailed = true;
        resolve(error);
      });
    });
  }

  /**
   * Forwards by the configuration that was confirmed last, or by another one, which becomes a revision once it runs.
   * @throws ConfigError, Refusal, or why the interfaces cannot be opened
   */
  static async start(options: RouterOptions): Promise<Router> {
    const { store, first, seed, logbook, clock, snapshots } = options;
    const { current } = store;
    const source = first ?? (current === undefined ? undefined : sourceOf(current));
    if (source === undefined) throw new Error("there is no configuration to run");
    const config = parseConfig(source.text, source.name);
    const forwarder = await startForwarder(config, seed, snapshots);
    const router = new Router(forwarder, config, store, logbook, clock, snapshots);
    snapshots?.begin(forwarder);
    try {
      if (first !== undefined) await router.record(first);
    } catch (error) {
      await router.stop();
      throw error;
    }
    return router;
  }

  /** What has been started becomes a revision. */
  private async record({ text, name }: Source): Promise<void> {
    const base = this.store.current?.number ?? 0;
    const words = { who: "crosszone", note: name, connection: "start" };
    const request = { base, text, confirmWithinSec: undefined, ...words };
    try {
      await this.store.apply(request, this.clock, async () => {});
    } catch (error) {
      if (!(error instanceof Unchanged)) throw error;
    }
  }

  /** What the forwarder runs. */
  get revision(): Revision {
    const { current } = this.store;
    if (current === undefined) throw new Error("no revision is in force");
    return current;
  }

  get running(): Config {
    return this.config;
  }

  get logs() {
    return this.events.status;
  }

  /** @throws UnknownRevision, UnusableRevision */
  revisionOf(number: number, path?: string): Revision {
    return this.store.get(number, path);
  }

  history() {
    return this.store.history();
  }

  diff(from: number, to: number) {
    return this.store.diff(from, to);
  }

  /** What becomes of the conns when a configuration is switched to. @throws ConfigError, SwitchError */
  async examineConfig(config: Config): Promise<Examination> {
    const problems = problemsOfInterfaces(config, this.config);
    if (problems.length > 0) throw new ConfigError(problems, "config");
    return await this.attempt(() => this.forwarder.examine(config));
  }

  /** What somebody did, for the log. */
  note(text: string): void {
    this.logbook.notice(`control: ${text}`);
  }

  isDown(name: string): boolean {
    return this.down.has(name);
  }

  /** Whether `apply` would begin it now. @throws Refusal */
  examine(request: ApplyRequest): void {
    this.store.examine(request);
  }

  /** @throws Refusal, ConfigError, SwitchError; then what was in force is in force */
  async apply(request: ApplyRequest): Promise<Revision> {
    // Who is told of a problem should hear of all at once, and before anything is written.
    parseConfig(request.text, "config");
    const applied = await this.changing(
      this.store.apply(request, this.clock, (target) => this.switchTo(target)),
    );
    this.tell(applied, applied.state === "pending" ? "waits to be confirmed" : "is in force");
    this.lookLater();
    return applied;
  }

  /** @throws Refusal, SwitchError */
  async rollback(request: RollbackRequest): Promise<Revision> {
    const now = await this.changing(
      this.store.rollback(request, this.clock, (target) => this.switchTo(target)),
    );
    this.tell(now, now.state === "pending" ? "waits to be confirmed" : "is in force");
    this.lookLater();
    return now;
  }

  /** What is pending is no longer in force. @throws Refusal, SwitchError */
  async takeBack(who: string, note: string): Promise<Revision> {
    const words = { who, why: note === "" ? "rolled back" : note };
    const back = await this.changing(
      this.store.takeBack(words, this.clock, (target) => this.switchTo(target)),
    );
    this.tell(back, "is in force again");
    this.lookLater();
    return back;
  }

  /** @throws Refusal */
  confirm(request: ConfirmRequest): Revision {
    const confirmed = this.store.confirm(request, this.clock());
    clearTimeout(this.timer);
    this.tell(confirmed, "is confirmed");
    return confirmed;
  }

  /**
   * Takes a text over at once, as a signal asks for it. One that is in force already is switched to all the same: an
   * interface may have another MAC now, and log files are opened anew.
   */
  async reload({ text, name }: Source, who: string): Promise<Revision> {
    const base = this.revision.number;
    const request = { base, text, note: name, who, connection: who, confirmWithinSec: undefined };
    parseConfig(text, name);
    try {
      return await this.apply(request);
    } catch (error) {
      if (!(error instanceof Unchanged)) throw error;
      await this.switchTo(this.revision);
      return this.revision;
    }
  }

  /** Resolves when all interfaces are closed and what waits for collectors is sent, or given up. */
  async stop(): Promise<void> {
    this.isStopping = true;
    clearTimeout(this.timer);
    await this.looking;
    await this.snapshots?.end(this.hasFailed ? undefined : this.forwarder);
    await this.forwarder.stop();
    await this.events.stop();
  }

  private async switchTo({ text, number }: Pick<Target, "text" | "number">): Promise<void> {
    const config = parseConfig(text, `revision ${number}`);
    await this.attempt(() => this.forwarder.reconfigure(config));
    this.config = config;
    this.events.reconfigure(config);
  }

  private async attempt<T>(act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (error) {
      // The configuration is not to blame for these.
      if (error instanceof Busy || error instanceof NoAnswer) throw error;
      throw new SwitchError(messageOf(error));
    }
  }

  private async changing<T>(change: Promise<T>): Promise<T> {
    try {
      return await change;
    } catch (error) {
      if (error instanceof Diverged) this.logbook.error(error.message);
      throw error;
    }
  }

  /** While a revision waits to be confirmed. */
  private lookLater(): void {
    clearTimeout(this.timer);
    const due = this.store.due(this.clock());
    if (due === undefined || this.isStopping) return;
    if (due.jumpMs !== 0) {
      this.tell(this.revision, "waits to be confirmed; the clock was set meanwhile");
    }
    // Where it is due already it could not be taken back just now.
    const ms = due.isDue ? LOOK_MS : Math.min(LOOK_MS, Math.max(10, due.leftMs));
    this.timer = setTimeout(() => {
      this.looking = this.look();
    }, ms);
  }

  private async look(): Promise<void> {
    const pending = this.revision;
    try {
      const back = await this.store.expire(this.clock, (target) => this.switchTo(target));
      if (back !== undefined) {
        const why = `revision ${pending.number} was not confirmed in time`;
        this.tell(back, `is in force again: ${why}`);
        return;
      }
    } catch (error) {
      this.logbook.error(`revision ${pending.number} cannot be taken back: ${messageOf(error)}`);
    }
    this.lookLater();
  }

  private tell(revision: Revision, what: string): void {
    this.logbook.notice(`revision ${revision.number} ${what}`);
    this.emit("revision", revision, what);
  }

  private hearLink(name: string, event: string): void {
    if (event === "up" || event === "returned") this.down.delete(name);
    else this.down.add(name);
    this.logbook.notice(`interface ${name}: ${event}`);
    this.events.tellLink(name, event);
  }
}

/** With what was saved; where that cannot be restored, without. */
async function startForwarder(
  config: Config,
  seed: Uint8Array,
  snapshots: Snapshots | undefined,
): Promise<Forwarder> {
  const restore = snapshots?.find();
  const restored = () => snapshots?.restored();
  try {
    return await Forwarder.start(config, seed, { restore, restored });
  } catch (error) {
    if (!(error instanceof RestoreFailed)) throw error;
    snapshots?.refuse(error.message);
    return await Forwarder.start(config, seed);
  }
}

function sourceOf({ number, text }: Revision): Source {
  return { text, name: `revision ${number}` };
}
