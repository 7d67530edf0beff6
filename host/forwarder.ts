/** The main thread's handle on all workers, as if they were one: start, reconfigure, read out, stop. */

import { EventEmitter } from "node:events";
import { ConnRowAt, EventKind } from "../assembly/abi.js";
import { outgrown } from "./capacity.js";
import { macBytes, macFromBytes } from "./config/address.js";
import { type Capacity, capacityOf, compileImage } from "./config/compile.js";
import { type MacOf, virtualMac } from "./config/mac.js";
import type { Config } from "./config/model.js";
import { Shares } from "./config/shares.js";
import { loadTraceModule, type TraceModule } from "./datapath.js";
import { WakeUp } from "./device/libc.js";
import { type InterfaceOrder, kernelMac, slotsFor } from "./device/open.js";
import { messageOf } from "./errortext.js";
import { type Examination, FIRST_CONNS, sumExamined } from "./examination.js";
import { type RestoreReport, restoreAll, saveAll } from "./handover.js";
import type { ConfigurationOrder, WorkerStart } from "./orders.js";
import type { Snapshot } from "./snapshot.js";
import { Busy, type FlowView, type FoundConn, Tables, TRIES } from "./tables.js";
import { type ConnView, readConn } from "./telemetry/conn.js";
import { type Counters, type Readings, readCounters } from "./telemetry/counters.js";
import { type EventView, hostEvent, readEvents } from "./telemetry/event.js";
import type { PageQuery, TableFilter, TableQuery } from "./telemetry/filter.js";
import type { HostTraffic } from "./telemetry/hosttraffic.js";
import type { MappingView } from "./telemetry/mapping.js";
import type { NeighborView } from "./telemetry/neighbor.js";
import type { Page } from "./telemetry/page.js";
import type { PoolAddressView, PoolSums, PoolView } from "./telemetry/pool.js";
import { inputOf, type TraceRequest } from "./trace/input.js";
import type { Trace } from "./trace/view.js";
import { Board, makeBoard } from "./workers/board.js";
import { NoAnswer, type Saying, WorkerHandle } from "./workers/handle.js";
import { capacityOfEach, keptDevices, limitsOf, seedOf } from "./workers/share.js";
import { Steerer } from "./workers/steerer.js";
import { sumCounters } from "./workers/sum.js";

interface Events {
  link: [name: string, event: string];
  /** What an operator must hear of; at most a second old. */
  event: [event: EventView];
  /** What an operator should know of how an interface works. */
  notice: [text: string];
  /** A worker ended without being told to, and so did the others. */
  failure: [error: Error];
}

/** It could forward, but what was saved could not be restored, and now it does not. */
export class RestoreFailed extends Error {
  override readonly name = "RestoreFailed";
}

export interface StartOptions {
  /** What another process has saved: what of it the configuration still allows goes on. */
  readonly restore?: Snapshot | undefined;
  /** Is called when that is done, before the first frame: from then on it is not what the process has. */
  readonly restored?: () => void;
}

/** Milliseconds that a worker may take to open one interface. */
const OPEN_MS = 200;

/** Notices that are remembered, so that several workers do not say the same. */
const NOTICES_MAX = 256;

export class Forwarder extends EventEmitter<Events> {
  private readonly workers: readonly WorkerHandle[];
  private readonly board: Board;
  private wakes: readonly WakeUp[];
  private readonly capacity: Capacity;
  private readonly shares: Shares;
  private readonly steerer: Steerer;
  private readonly tables: Tables;
  private traceModule: Promise<TraceModule> | undefined;
  /** By number: the one in force, and those sent that have not been answered. */
  private readonly configs = new Map<number, Config>();
  private nextNumber = 0;
  private inForce = -1;
  /** The configuration that is being switched to, if any: they come one after the other. */
  private switching: Promise<void> = Promise.resolve();
  private stopping = false;
  /** The saving that goes on, if any: they come one after the other. */
  private saving: Promise<unknown> = Promise.resolve();
  /** What became of what was to be restored at the start. */
  restored: RestoreReport | undefined;
  /** Which worker has said a notice. */
  private readonly noticed = new Map<string, number>();
  /** Events from before anyone could listen; undefined when they have been told. */
  private early: (() => void)[] | undefined = [];

  private constructor(config: Config, seed: Uint8Array, awaits: boolean) {
    super();
    const workers = config.workers;
    this.capacity = capacityOf(config);
    this.shares = new Shares(config);
    this.steerer = new Steerer(config.workers, this.shares.shift);
    this.wakes = Array.from({ length: workers }, () => WakeUp.make());
    const buffers = makeBoard(workers);
    this.board = new Board(buffers);
    try {
      const first = this.order(config);
      this.inForce = first.number;
      const shareShift = this.shares.shift;
      this.workers = this.wakes.map((wake, worker) => {
        const start: WorkerStart = {
          share: { workers, worker, shareShift },
          capacity: capacityOfEach(this.capacity, workers),
          seed: seedOf(seed, worker),
          wakeFds: this.wakes.map(({ fd }) => fd),
          board: buffers,
          first,
          awaits,
        };
        return new WorkerHandle(start, wake, this.board);
      });
    } catch (error) {
      this.closeShared();
      throw error;
    }
    this.tables = new Tables(this.workers, {
      now: () => performance.timeOrigin + performance.now(),
      inForce: () => this.inForce,
      configOf: (number) => this.configs.get(number),
      counters: () => this.counters(),
    });
    for (const [rank, worker] of this.workers.entries()) {
      worker.on("saying", (saying) => this.hear(saying, rank));
      worker.on("failure", (error) => void this.fail(error));
    }
  }

  /**
   * Resolves when frames are being forwarded; rejects with why they cannot be, RestoreFailed included, and then nothing of
   * it is left. Events of the start itself come after that, when there has been time to listen to them.
   */
  static async start(
    config: Config,
    seed: Uint8Array,
    { restore, restored }: StartOptions = {},
  ): Promise<Forwarder> {
    const forwarder = new Forwarder(config, seed, restore !== undefined);
    try {
      await Promise.all(forwarder.workers.map(({ ready }) => ready));
      if (restore !== undefined) forwarder.restored = await forwarder.restore(restore, restored);
    } catch (error) {
      forwarder.board.giveUpTurns();
      await forwarder.stop();
      throw error;
    }
    setImmediate(() => forwarder.tellEarly());
    return forwarder;
  }

  private async restore(snapshot: Snapshot, restored?: () => void): Promise<RestoreReport> {
    const { workers, config, shares } = this;
    try {
      return await restoreAll(workers, snapshot, { config, shareShift: shares.shift }, restored);
    } catch (error) {
      throw new RestoreFailed(messageOf(error));
    }
  }

  /** Switches to another configuration, or rejects and goes on with the one in force. */
  async reconfigure(config: Config): Promise<void> {
    const before = this.switching;
    let done = () => {};
    this.switching = new Promise((resolve) => {
      done = resolve;
    });
    await before;
    try {
      await this.switchTo(config);
    } finally {
      done();
    }
  }

  /**
   * What a switch to a configuration would do to live conns, without switching: opens no interface. Of conns that begin
   * or end while it looks some are missed. A switch that comes meanwhile goes first.
   * @throws as `reconfigure` where the configuration cannot be switched to whatever interfaces say, and Busy
   */
  async examine(config: Config): Promise<Examination> {
    for (let tries = 0; tries < TRIES; tries++) {
      await this.switching;
      const image = compileImage(config, { macOf: macsOf(config) });
      this.refuse(config, image);
      const answers = await this.tables.examine(image, FIRST_CONNS);
      const error = answers.find((each) => each.error !== undefined)?.error;
      if (error !== undefined) throw new Error(error);
      if (answers.some(({ isVoid }) => isVoid)) continue;
      return sumExamined(answers, this.config);
    }
    throw new Busy("configurations follow each other too fast");
  }

  /** Throws where a configuration does not fit into what was set aside and shared out at the start. */
  private refuse(config: Config, image: Uint8Array): void {
    const present = [...this.configs.values()].filter((each) => each !== config);
    const wrong = [
      ...outgrown(config, image.length, this.capacity, present),
      ...this.shares.refuse(config),
    ];
    if (wrong.length > 0) throw new Error(wrong.join("\n"));
  }

  private async switchTo(config: Config): Promise<void> {
    const next = this.order(config);
    const { number } = next;
    try {
      this.refuse(config, next.image);
      await this.prepare(next);
    } catch (error) {
      this.configs.delete(number);
      throw error;
    }
    try {
      await Promise.all(
        this.workers.map((worker) => worker.tell((id) => ({ kind: "commit", id }))),
      );
    } catch (error) {
      if (error instanceof NoAnswer && (await this.isInForce(number)))
        return this.adopt(number, config);
      // Alone, it goes on with what it had. Several would not agree any more, and who does not answer is lost.
      if (this.workers.length > 1 || error instanceof NoAnswer) await this.fail(error as Error);
      this.configs.delete(number);
      throw error;
    }
    this.adopt(number, config);
  }

  /** Whether all workers have switched to it, slow as they were to say so. */
  private async isInForce(number: number): Promise<boolean> {
    const answers = await Promise.allSettled(this.askCounters());
    return answers.every(
      (each) => each.status === "fulfilled" && each.value.configuration === number,
    );
  }

  private adopt(number: number, config: Config): void {
    this.inForce = number;
    this.shares.adopt(config);
    for (const each of this.configs.keys()) if (each < number) this.configs.delete(each);
    this.steerer.retain(this.configs.values());
  }

  /** By all or none. One after the other, so that each new socket finds its place among the others of its interface. */
  private async prepare(next: ConfigurationOrder): Promise<void> {
    try {
      for (const worker of this.workers) {
        const opening = next.interfaces.length * OPEN_MS;
        await worker.tell((id) => ({ kind: "prepare", id, next }), opening);
      }
    } catch (error) {
      const abandoned = this.workers.map((worker) =>
        worker.tell((id) => ({ kind: "abandon", id })),
      );
      await Promise.allSettled(abandoned);
      throw error;
    }
  }

  /** Resolves when all workers have answered, which costs them nothing; rejects where one does not. */
  async ping(): Promise<void> {
    await Promise.all(this.workers.map((worker) => worker.tell((id) => ({ kind: "ping", id }))));
  }

  async counters(): Promise<Counters> {
    return (await this.readings()).counters;
  }

  /** Counters, and what else can be measured, of one configuration. */
  async readings(): Promise<Readings> {
    for (;;) {
      await this.switching;
      const answers = await Promise.all(this.askCounters());
      const numbers = new Set(answers.map(({ configuration }) => configuration));
      const [number] = numbers;
      // A switch came between them: their rows are of different devices.
      if (numbers.size > 1 || number === undefined) continue;
      const config = this.configs.get(number);
      if (config === undefined) throw new Error("counters of a configuration that is gone");
      const raw = sumCounters(answers.map(({ counters }) => counters));
      const { tables, work, eventsLost } = raw;
      return { config, counters: readCounters(raw, config), tables, work, eventsLost };
    }
  }

  /** Has events of these classes noted (bits of abi's EventClass), besides those that the configuration asks for. */
  watch(classes: number): void {
    for (const worker of this.workers) worker.send({ kind: "watch", classes });
  }

  private askCounters() {
    return this.workers.map((worker) => worker.ask("counters", (id) => ({ kind: "counters", id })));
  }

  /** The conns of each worker by ascending index; not one moment's picture when there are many. */
  async conns(): Promise<ConnView[]> {
    const found: ConnView[] = [];
    for (const worker of this.workers) {
      for (let first = 0; ; ) {
        const { rows } = await worker.ask("conns", (id) => ({ kind: "conns", id, first }));
        for (const row of rows.flatMap(splitRows)) {
          found.push(readConn(row));
          first = row.getUint32(ConnRowAt.Index, true) + 1;
        }
        if (rows.length === 0) break;
      }
    }
    return found;
  }

  /** The configuration in force: what queries are parsed with (telemetry/filter.ts). */
  get config(): Config {
    const config = this.configs.get(this.inForce);
    if (config === undefined) throw new Error("no configuration is in force");
    return config;
  }

  /** A page of conns, filtered and sorted. @throws Busy, as all of these, when too many questions wait already */
  queryConns(query: TableQuery): Promise<Page<FoundConn>> {
    return this.tables.queryConns(query);
  }

  countConns(filter: TableFilter): Promise<number> {
    return this.tables.countConns(filter);
  }

  /** All conns by abi's ConnPhase, in one search. */
  countPhases(): Promise<number[]> {
    return this.tables.countPhases();
  }

  /** Ends conns, and returns how many; with `dryRun` how many it would end. */
  deleteConns(filter: TableFilter, dryRun = false): Promise<number> {
    return this.tables.deleteConns(filter, dryRun);
  }

  /** Ends the conns of everything, a zone or a host (parseFlush), and returns how many. */
  flushConns(scope: readonly TableFilter[], dryRun = false): Promise<number> {
    return this.tables.flushConns(scope, dryRun);
  }

  topHosts(query: TableQuery): Promise<HostTraffic[]> {
    return this.tables.topHosts(query);
  }

  listMappings(query: TableQuery): Promise<Page<MappingView>> {
    return this.tables.listMappings(query);
  }

  listPools(): Promise<PoolView[]> {
    return this.tables.listPools();
  }

  /** The same without what zones have of them, for which all mappings are read. */
  sumPools(): Promise<PoolSums[]> {
    return this.tables.sumPools();
  }

  listPoolAddresses(query: PageQuery & { pool: number }): Promise<Page<PoolAddressView>> {
    return this.tables.listPoolAddresses(query);
  }

  listNeighbors(query: PageQuery): Promise<Page<NeighborView>> {
    return this.tables.listNeighbors(query);
  }

  listFlows(query: PageQuery): Promise<Page<FlowView>> {
    return this.tables.listFlows(query);
  }

  /**
   * What would become of a frame (parseTrace), with every step on its way; nothing is changed.
   * @throws TraceMissing without the trace build, which nothing else needs, and Busy
   */
  async trace(request: TraceRequest): Promise<Trace> {
    this.traceModule ??= loadTraceModule();
    let module: TraceModule;
    try {
      module = await this.traceModule;
    } catch (error) {
      // It may be there by the next time.
      this.traceModule = undefined;
      throw error;
    }
    return this.tables.trace(module, (config) => {
      const input = inputOf(request, config, kernelMac);
      if (input === undefined) throw new Error(`device ${request.device} is gone`);
      return input;
    });
  }

  /**
   * Saves what can go on in another process (host/snapshot.ts).
   * @param write  is given the snapshot's bytes, piece by piece
   * @param halt  to forward nothing any more: the last thing before `stop`
   * @returns how many bytes
   */
  save(write: (bytes: Uint8Array) => void, { halt = false } = {}): Promise<number> {
    const saving = this.saving.then(() => saveAll(this.workers, write, halt));
    this.saving = saving.catch(() => {});
    return saving;
  }

  /** Resolves when all interfaces are closed, or workers were ended because they did not close them. */
  async stop(): Promise<void> {
    this.stopping = true;
    await Promise.all(this.workers.map((worker) => worker.stop()));
    this.closeShared();
  }

  private closeShared(): void {
    for (const wake of this.wakes) wake.close();
    this.wakes = [];
    this.steerer.retain([]);
  }

  /** Gives a configuration its number. */
  private order(config: Config): ConfigurationOrder {
    const { devices, flows, busyPoll, telemetry } = config;
    const compiled = compile(config, this.steerer);
    const number = this.nextNumber++;
    this.configs.set(number, config);
    const before = this.inForce;
    const kept = keptDevices(this.configs.get(before), config);
    const limits = limitsOf(config);
    const counted = { devices: devices.length, flows: flows.length };
    const { events } = telemetry;
    return { number, ...compiled, before, kept, limits, busyPoll, events, ...counted };
  }

  private hear(saying: Saying, worker: number): void {
    switch (saying.kind) {
      case "events":
        this.board.taken(worker);
        this.tellEvents(saying);
        return;
      case "eventsLost":
        this.tellEvent(hostEvent(EventKind.EventsLost, Date.now(), { value: saying.events }));
        return;
      case "link":
        this.tell(() => this.emit("link", saying.interface, saying.event));
        return;
      case "notice":
        if (this.isNew(saying.text, worker)) this.tell(() => this.emit("notice", saying.text));
    }
  }

  /** Whether nobody else has said it. */
  private isNew(text: string, worker: number): boolean {
    const first = this.noticed.get(text) ?? worker;
    if (this.noticed.size < NOTICES_MAX) this.noticed.set(text, first);
    return first === worker;
  }

  private tellEvents({ configuration, rows, sample }: Extract<Saying, { kind: "events" }>): void {
    const config = this.configs.get(configuration);
    if (config === undefined) return;
    for (const event of readEvents(rows, config, sample)) this.tellEvent(event);
  }

  private tellEvent(event: EventView): void {
    this.tell(() => this.emit("event", event));
  }

  /** One worker alone would lose what belongs to the others. */
  private async fail(error: Error): Promise<void> {
    if (this.stopping) return;
    await this.stop();
    this.tell(() => this.emit("failure", error));
  }

  private tell(event: () => void): void {
    if (this.early === undefined) event();
    else this.early.push(event);
  }

  private tellEarly(): void {
    const events = this.early ?? [];
    this.early = undefined;
    for (const event of events) event();
  }
}

function splitRows(rows: Uint8Array): DataView[] {
  const count = rows.length / ConnRowAt.Bytes;
  return Array.from(
    { length: count },
    (_, i) => new DataView(rows.buffer, rows.byteOffset + i * ConnRowAt.Bytes, ConnRowAt.Bytes),
  );
}

/** The image, and the interfaces to open for it: both with the same look at the kernel's MACs. */
function compile(config: Config, steerer: Steerer) {
  const macOf = macsOf(config);
  const interfaces = ordersOf(config, macOf, steerer);
  return { image: compileImage(config, { macOf }), interfaces };
}

/** The kernel's MACs of the interfaces, none of which a device has. */
function macsOf(config: Config): MacOf {
  const macs = new Map(config.interfaces.map(({ name }) => [name, kernelMac(name)]));
  refuseKernelMacs(config, macs);
  return (name) => macs.get(name);
}

/** On a MAC that the kernel has too, both would answer: the kernel with resets. */
function refuseKernelMacs(config: Config, macs: ReadonlyMap<string, Uint8Array | undefined>): void {
  for (const { name, mac, interface: carrier } of config.devices) {
    const kernels = macs.get(carrier.name);
    if (mac === undefined || kernels === undefined || mac !== macFromBytes(kernels)) continue;
    throw new Error(`device ${name}: its mac is the kernel's own on ${carrier.name}`);
  }
}

/** The interfaces of a configuration, with the MACs of their devices, in its order. */
function ordersOf(config: Config, macOf: MacOf, steerer: Steerer): InterfaceOrder[] {
  const slots = config.capacity.slots ?? slotsFor(config.interfaces.length * config.workers);
  return config.interfaces.map(({ name, driver }) => {
    const devices = config.devices.filter((device) => device.interface.name === name);
    const macs = new Set(devices.map((device) => device.mac ?? virtualMac(name, macOf)));
    const sharing = steerer.sharingOf(name, config);
    return { name, driver, macs: [...macs].map(macBytes), slots, sharing };
  });
}
