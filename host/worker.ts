/**
 * A thread that forwards, alone or one of several: owns a datapath, its memory and its sockets on the interfaces. Takes
 * orders from the main thread between two turns, and sleeps in poll(2) when there is nothing to do.
 */

import {
  type MessagePort,
  parentPort,
  receiveMessageOnPort,
  workerData,
} from "node:worker_threads";
import { ConnRowAt } from "../assembly/abi.js";
import { Datapath, ImageRefused } from "./datapath.js";
import type { Interface } from "./device/device.js";
import { poll, ready, WakeUp } from "./device/libc.js";
import { type InterfaceOrder, type Opened, Opener, windowBytes } from "./device/open.js";
import { messageOf } from "./errortext.js";
import { Loop } from "./loop.js";
import type {
  Answer,
  ConfigurationOrder,
  Order,
  RawCounters,
  RawFates,
  RestoreOrder,
  WorkerStart,
} from "./orders.js";
import { Patience } from "./patience.js";
import { Allowances } from "./workers/allowances.js";
import { Board } from "./workers/board.js";
import { HandOff, handOffWindowBytes } from "./workers/handoff.js";
import { Jobs, SLICE } from "./workers/jobs.js";
import { fatesOf, restoreRecords } from "./workers/restoring.js";
import { Workload } from "./workload.js";

/** Looks after links, and ends a sleep, at least this often. */
const CHECK_MS = 1000;

/** So soon again where an interface is back and another worker is to open it first. */
const TURN_MS = 20;

/** From one interface that is closed to the next, milliseconds. */
const CLOSE_MS = 100;

/** Empty turns that one look at the clock does for: some microseconds. */
const CLOCK_TURNS = 16;

/** Rows of conns in one answer, in calls of the datapath's listing. */
const LIST_CALLS = 16;

/** Milliseconds that never run backwards. */
function clock(): number {
  return Math.floor(performance.now());
}

/** A configuration that can be switched to. */
interface Prepared {
  readonly order: ConfigurationOrder;
  /** Its interfaces, those that stay and those that are new. */
  readonly opened: readonly Opened[];
  readonly fresh: readonly Opened[];
  readonly widened: readonly Widened[];
}

/** An interface that stays and gets other MACs. */
interface Widened {
  readonly device: Interface;
  readonly before: readonly Uint8Array[];
  readonly after: readonly Uint8Array[];
}

class Forwarding {
  private readonly worker: number;
  private readonly board: Board;
  private readonly wakes: readonly WakeUp[];
  private readonly datapath: Datapath;
  private readonly allowances: Allowances;
  /** Undefined where it is alone. */
  private readonly handOff: HandOff | undefined;
  private readonly loop: Loop;
  private readonly opener: Opener;
  private readonly jobs: Jobs;
  private readonly workload = new Workload();
  private patience = new Patience(0);
  private inForce: ConfigurationOrder;
  private prepared: Prepared | undefined;
  private opened: readonly Opened[] = [];
  /** Interfaces that no configuration names any more and that are still to be closed, and when one last was. */
  private gone: Opened[] = [];
  private closedAt = 0;
  private checkedAt = clock();
  /** Classes of events that somebody listens to. */
  private watched = 0;
  /** Events that were lost, as far as that has been told. */
  private lostEvents = 0;
  /** What makes the kernel wait: one after each turn, so that no ring is full behind it. */
  private readonly chores: (() => void)[] = [];
  /** What is left of a preparation. */
  private preparing: Iterator<void> | undefined;
  private stopped = false;
  /** It takes orders but no frames: what was saved is still to come, or it is to be saved. */
  private isHalted: boolean;

  constructor(
    start: WorkerStart,
    private readonly port: MessagePort,
  ) {
    const { share, capacity, seed, first } = start;
    const { worker, workers } = share;
    this.worker = worker;
    this.board = new Board(start.board);
    this.wakes = start.wakeFds.map((fd) => new WakeUp(fd));
    const handOffBytes = workers > 1 ? handOffWindowBytes() : 0;
    const bytes = windowBytes(first.interfaces, worker) + handOffBytes;
    this.datapath = new Datapath({ capacity, seed, share, windowBytes: bytes }, clock());
    this.allowances = new Allowances(this.datapath, this.board.lent);
    if (workers > 1) this.handOff = this.makeHandOff(workers);
    this.loop = new Loop(this.datapath, [], this.handOff);
    this.opener = new Opener(this.datapath, first.interfaces, worker, (text) => this.notice(text));
    this.inForce = first;
    this.isHalted = start.awaits;
    this.datapath.beginRestore();
    this.jobs = new Jobs(
      this.datapath,
      () => this.inForce.number,
      (answer) => this.answer(answer),
      SLICE,
      this.allowances,
    );
    this.begin(first);
  }

  /**
   * Opens its interfaces behind those before it, and lets the next one do so. Where it cannot, the others hear from the
   * main thread that nobody need: what they would find wrong would only follow from that.
   */
  private begin(first: ConfigurationOrder): void {
    this.board.awaitTurn(this.worker);
    for (const _ of this.prepare(first));
    this.commit();
    this.board.passTurn();
  }

  private makeHandOff(workers: number): HandOff {
    const { worker, board, datapath, allowances } = this;
    const window = this.datapath.window(handOffWindowBytes(), "hand-off");
    const wake = (to: number) => this.wakes[to]?.signal();
    return new HandOff({ worker, workers, board, datapath, allowances, window, wake });
  }

  /** Forwards until it is told to stop. */
  run(): void {
    let nowMs = performance.now();
    let emptyTurns = 0;
    try {
      while (!this.stopped) {
        // A number that is no integer is an object, and turns make no garbage: so many empty ones make one.
        if (emptyTurns % CLOCK_TURNS === 0) nowMs = performance.now();
        const now = Math.floor(nowMs);
        this.workload.begin(nowMs);
        const received = this.isHalted ? 0 : this.loop.turn(now);
        this.workload.end(received);
        emptyTurns = received > 0 ? 0 : emptyTurns + 1;
        // A batch makes fewer events than find a place, so none is lost while each is told after its turn.
        this.tellEvents();
        const hasMore = this.jobs.step(now);
        // So does a slice that ends conns.
        if (hasMore) {
          this.tellEvents();
          emptyTurns = 0;
        }
        if (received > 0) this.patience.found(nowMs);
        else if (this.chores.length === 0 && !hasMore && !this.patience.looksOn(nowMs)) {
          this.sleep(now);
          emptyTurns = 0;
        }
        if (this.chores.length > 0) {
          this.chores.shift()?.();
          emptyTurns = 0;
        }
        if (this.gone.length > 0) this.closeGone(now);
        if (now - this.checkedAt >= CHECK_MS) this.check(now);
        if (this.board.hasOrders(this.worker)) this.takeOrders();
      }
    } finally {
      this.close();
    }
  }

  close(): void {
    this.abandon();
    this.closeAllGone();
    for (const each of this.opened) this.opener.close(each);
    this.opened = [];
  }

  /** One at a time: the kernel takes tens of milliseconds for each, in which nothing is forwarded. */
  private closeGone(now: number): void {
    if (now - this.closedAt < CLOSE_MS) return;
    this.closedAt = now;
    const next = this.gone.shift();
    if (next !== undefined) this.opener.close(next);
  }

  private sleep(now: number): void {
    if (this.isHalted) {
      this.sleepHalted();
      return;
    }
    const closing = this.gone.length > 0 ? this.closedAt + CLOSE_MS : Number.POSITIVE_INFINITY;
    const due = Math.min(this.loop.wait(now), this.checkedAt + CHECK_MS - now, closing - now);
    if (due <= 0) return;
    const { board, worker } = this;
    this.workload.sleep();
    board.fallAsleep(worker);
    // Whoever hands something off from here on wakes it; what came before is seen now.
    if (this.handOff?.waiting !== true) this.wait(Math.ceil(due));
    board.wakeUp(worker);
  }

  private wait(ms: number): void {
    const wake = this.wakes[this.worker] as WakeUp;
    const fds = this.opened.flatMap(({ device }) => device.fds);
    if (poll([wake.fd, ...fds], ms) > 0 && ready(0)) wake.drain();
  }

  /** Frames wait in the kernel, and wake nobody. */
  private sleepHalted(): void {
    const wake = this.wakes[this.worker] as WakeUp;
    if (poll([wake.fd], CHECK_MS) > 0 && ready(0)) wake.drain();
  }

  private check(now: number): void {
    this.checkedAt = now;
    this.tellEvents();
    this.tellLosses();
    this.allowances.giveBack();
    for (const [index, { order, device }] of this.opened.entries()) {
      const event = device.check();
      if (event === undefined) continue;
      // Whoever is on the wire now need not be who was before.
      this.datapath.linkLost(index);
      if (this.worker !== 0) continue;
      this.answer({ kind: "link", interface: order.name, event });
      if (event === "up" || event === "returned") this.datapath.announce();
    }
    const isAwaitingTurn = this.opened.some(({ device }) => device.isAwaitingTurn);
    if (isAwaitingTurn) this.checkedAt += TURN_MS - CHECK_MS;
  }

  /** A page of events at a time, as long as the main thread keeps up. */
  private tellEvents(): void {
    while (this.board.mayTell(this.worker) && this.tellPage());
  }

  /** Those of an earlier configuration are told before the switch, whoever keeps up. */
  private tellAllEvents(): void {
    while (this.tellPage());
  }

  /** Whether there were any. */
  private tellPage(): boolean {
    const rows = this.datapath.takeEvents();
    if (rows.length === 0) return false;
    this.board.tell(this.worker);
    const configuration = this.inForce.number;
    const sample = { clock: clock(), wall: Date.now() };
    this.answer({ kind: "events", configuration, rows, sample });
    return true;
  }

  private tellLosses(): void {
    const lost = this.datapath.lostEvents - this.lostEvents;
    if (lost === 0) return;
    this.lostEvents += lost;
    this.answer({ kind: "eventsLost", events: lost });
  }

  private takeOrders(): void {
    for (let next = receiveMessageOnPort(this.port); next; next = receiveMessageOnPort(this.port)) {
      this.take(next.message as Order);
    }
  }

  private take(order: Order): void {
    switch (order.kind) {
      case "stop":
        this.stopped = true;
        return;
      case "prepare":
        this.preparing = this.prepare(order.next);
        this.chores.push(() => this.goOn(order.id, this.preparing));
        return;
      case "commit":
        this.done(order.id, () => this.commit());
        return;
      case "abandon":
        this.done(order.id, () => this.abandon());
        return;
      case "ping":
        this.done(order.id, () => {});
        return;
      case "watch":
        this.watched = order.classes;
        this.datapath.watchEvents(this.inForce.events | this.watched);
        return;
      case "counters":
        this.answer({
          kind: "counters",
          id: order.id,
          configuration: this.inForce.number,
          counters: this.counters(),
        });
        return;
      case "restore":
        this.answer({ kind: "restored", id: order.id, fates: this.restore(order) });
        return;
      case "movePorts":
        this.done(order.id, () => this.datapath.movePorts(order.ports));
        return;
      case "begin":
        this.done(order.id, () => this.beginForwarding(order.epoch));
        return;
      case "halt":
        this.done(order.id, () => {
          this.isHalted = true;
        });
        return;
      case "conns":
        this.answer({ kind: "conns", id: order.id, rows: this.connRows(order.first) });
        return;
      default:
        this.jobs.add(order);
    }
  }

  private answer(answer: Answer): void {
    this.port.postMessage(answer);
  }

  private notice(text: string): void {
    this.answer({ kind: "notice", text });
  }

  private done(id: number, act: () => void): void {
    let error: string | undefined;
    try {
      act();
    } catch (thrown) {
      error = messageOf(thrown);
    }
    this.answer({ kind: "done", id, error });
  }

  /** Takes one step of a preparation, unless it was abandoned, and answers behind the last. */
  private goOn(id: number, steps: Iterator<void> | undefined): void {
    if (steps === undefined || steps !== this.preparing) return;
    let error: string | undefined;
    try {
      if (steps.next().done !== true) {
        this.chores.push(() => this.goOn(id, steps));
        return;
      }
    } catch (thrown) {
      error = messageOf(thrown);
    }
    this.preparing = undefined;
    this.answer({ kind: "done", id, error });
  }

  /**
   * Opens what is new, one interface with each step, lets in frames for new MACs, and checks the image. A failure
   * changes nothing.
   */
  private *prepare(order: ConfigurationOrder): Generator<void> {
    this.closePrepared();
    const fresh: Opened[] = [];
    const widened: Widened[] = [];
    this.prepared = { order, opened: [], fresh, widened };
    try {
      const opened: Opened[] = [];
      for (const each of order.interfaces) {
        const kept = this.opened.find((other) => isSame(other.order, each));
        if (kept === undefined) {
          // It may be one of these that comes back, and needs their room.
          this.closeAllGone();
          const next = this.opener.open(each);
          fresh.push(next);
          opened.push(next);
          yield;
          continue;
        }
        if (!hasSameMacs(kept.order, each)) {
          const { device } = kept;
          device.widen?.(each.macs);
          widened.push({ device, before: kept.order.macs, after: each.macs });
        }
        opened.push({ ...kept, order: each });
      }
      this.datapath.check(order.image);
      this.prepared = { order, opened, fresh, widened };
    } catch (error) {
      this.closePrepared();
      throw error;
    }
  }

  private closeAllGone(): void {
    for (const each of this.gone) this.opener.close(each);
    this.gone = [];
  }

  private abandon(): void {
    this.preparing = undefined;
    this.closePrepared();
  }

  /** Closes what was opened for a configuration that is not switched to. */
  private closePrepared(): void {
    const { fresh, widened } = this.prepared ?? { fresh: [], widened: [] };
    for (const each of fresh) this.opener.close(each);
    for (const { device, before } of widened) device.narrow?.(before);
    this.prepared = undefined;
  }

  /** Switches to what is prepared. What is gone is closed afterwards, between turns. */
  private commit(): void {
    if (this.prepared === undefined || this.preparing !== undefined)
      throw new Error("no configuration is prepared");
    const { order, opened, widened } = this.prepared;
    // Events name pools of the configuration that they happened in.
    if (this.opened.length > 0) this.tellAllEvents();
    try {
      this.datapath.configure(order.image, clock());
    } catch (error) {
      this.abandon();
      throw error;
    }
    this.datapath.watchEvents(order.events | this.watched);
    // The switch is made. First what forwarding needs, then what may fail.
    const gone = this.opened.filter(({ device }) => !opened.some((each) => each.device === device));
    this.prepared = undefined;
    this.inForce = order;
    this.patience = new Patience(order.busyPoll / 1000);
    this.opened = opened;
    const devices = opened.map(({ device }) => device);
    this.loop.interfaces = this.handOff === undefined ? devices : [...devices, this.handOff];
    if (this.handOff !== undefined) this.share(order, this.handOff);
    for (const { device, after } of widened) this.chores.push(() => device.narrow?.(after));
    if (this.worker === 0) this.datapath.announce();
    // Two sockets of one interface would share what comes in.
    const names = new Set(order.interfaces.map(({ name }) => name));
    for (const each of gone) {
      if (names.has(each.order.name)) this.opener.close(each);
      else this.gone.push(each);
    }
  }

  /** What several workers have to know of each other under this configuration. */
  private share(order: ConfigurationOrder, handOff: HandOff): void {
    const { number, before, kept } = order;
    handOff.standing = { number, before, kept: new Set(kept) };
    this.allowances.settle(order.limits);
    for (const each of this.opened) this.chores.push(() => this.steer(each));
  }

  /** What comes by a program of before is handed on. */
  private steer({ device, order }: Opened): void {
    try {
      if (order.sharing !== undefined) device.steer?.(order.sharing);
    } catch (error) {
      this.notice(`${messageOf(error)}; frames are shared out as before`);
    }
  }

  private counters(): RawCounters {
    const { devices, flows } = this.inForce;
    return {
      reasons: this.datapath.reasons(),
      devices: this.datapath.deviceCounters(devices),
      zones: this.datapath.zoneCounters(),
      flows: this.datapath.flowCounters(flows),
      links: this.loop.interfaces.map(({ name, counters }) => ({ name, ...counters })),
      tables: this.datapath.tables(),
      work: [this.workload.read()],
      eventsLost: this.datapath.lostEvents,
    };
  }

  private restore(order: RestoreOrder): RawFates {
    const { datapath, allowances } = this;
    restoreRecords(datapath, order, clock(), (zone) => allowances.lend(zone));
    this.tellEvents();
    return fatesOf(datapath);
  }

  private beginForwarding(epoch: number | undefined): void {
    this.datapath.endRestore(clock());
    if (epoch !== undefined) this.datapath.keepEpoch(epoch);
    this.isHalted = false;
  }

  private connRows(first: number): Uint8Array[] {
    const pages: Uint8Array[] = [];
    for (let from = first; pages.length < LIST_CALLS; ) {
      const page = this.datapath.copyConnRows(from, clock());
      if (page.length === 0) break;
      pages.push(page);
      from = lastIndex(page) + 1;
    }
    return pages;
  }
}

function lastIndex(rows: Uint8Array): number {
  const last = rows.length - ConnRowAt.Bytes + ConnRowAt.Index;
  return new DataView(rows.buffer).getUint32(last, true);
}

function isSame(a: InterfaceOrder, b: InterfaceOrder): boolean {
  return a.name === b.name && a.driver === b.driver;
}

function hasSameMacs(a: InterfaceOrder, b: InterfaceOrder): boolean {
  const macs = (order: InterfaceOrder) => order.macs.map((mac) => mac.join(":")).sort();
  return macs(a).join() === macs(b).join();
}

function main(): void {
  const port = parentPort;
  if (port === null) throw new Error("worker.js is a worker thread's program");
  const start = workerData as WorkerStart;
  try {
    const forwarding = new Forwarding(start, port);
    port.postMessage({ kind: "ready" } satisfies Answer);
    forwarding.run();
    port.postMessage({ kind: "stopped" } satisfies Answer);
  } catch (error) {
    const isImage = error instanceof ImageRefused;
    port.postMessage({ kind: "failed", text: messageOf(error), isImage } satisfies Answer);
  } finally {
    port.close();
  }
}

main();
