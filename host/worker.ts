/**
 * The thread that forwards: owns the datapath, its memory and the open interfaces. Takes orders from the
 * main thread between two turns, and sleeps in poll(2) when there is nothing to do.
 */

import {
  type MessagePort,
  parentPort,
  receiveMessageOnPort,
  workerData,
} from "node:worker_threads";
import { ConnRowAt } from "../assembly/abi.js";
import { Datapath, ImageRefused } from "./datapath.js";
import { poll, ready, WakeUp } from "./device/libc.js";
import { type InterfaceOrder, type Opened, Opener, windowBytes } from "./device/open.js";
import { Loop } from "./loop.js";
import type { Answer, ConfigurationOrder, Order, RawCounters, WorkerStart } from "./orders.js";
import { Patience } from "./patience.js";

/** Looks after links, and ends a sleep, at least this often. */
const CHECK_MS = 1000;

/** Rows of conns in one answer, in calls of the datapath's listing. */
const LIST_CALLS = 16;

/** Milliseconds that never run backwards. */
function clock(): number {
  return Math.floor(performance.now());
}

class Forwarding {
  private readonly datapath: Datapath;
  private readonly loop: Loop;
  private readonly opener: Opener;
  private patience = new Patience(0);
  private inForce: ConfigurationOrder;
  private opened: Opened[] = [];
  private checkedAt = clock();
  /** Events that were lost, as far as that has been told. */
  private lostEvents = 0;
  private stopped = false;

  constructor(
    start: WorkerStart,
    private readonly wake: WakeUp,
    private readonly port: MessagePort,
  ) {
    const { capacity, seed, first } = start;
    const options = { capacity, seed, windowBytes: windowBytes(first.interfaces) };
    this.datapath = new Datapath(options, clock());
    this.loop = new Loop(this.datapath, []);
    this.opener = new Opener(this.datapath, first.interfaces, (text) => this.notice(text));
    this.inForce = first;
    this.configure(first);
  }

  /** Forwards until it is told to stop. */
  run(): void {
    try {
      while (!this.stopped) {
        // Read once a turn: a number that is no integer is an object, and a turn makes no garbage.
        const nowMs = performance.now();
        const now = Math.floor(nowMs);
        const received = this.loop.turn(now);
        // A batch makes fewer events than find a place, so none is lost while each is told after its turn.
        this.tellEvents();
        if (received > 0) this.patience.found(nowMs);
        else if (!this.patience.looksOn(nowMs)) this.sleep(now);
        if (now - this.checkedAt >= CHECK_MS) this.check(now);
        this.takeOrders();
      }
    } finally {
      this.close();
    }
  }

  close(): void {
    for (const each of this.opened) this.opener.close(each);
    this.opened = [];
  }

  private sleep(now: number): void {
    const due = Math.min(this.datapath.wait(now), this.checkedAt + CHECK_MS - now);
    if (due <= 0) return;
    const fds = this.opened.flatMap(({ device }) => device.fds);
    if (poll([this.wake.fd, ...fds], Math.ceil(due)) > 0 && ready(0)) this.wake.drain();
  }

  private check(now: number): void {
    this.checkedAt = now;
    this.tellLosses();
    for (const [index, { order, device }] of this.opened.entries()) {
      const event = device.check();
      if (event === undefined) continue;
      this.answer({ kind: "link", interface: order.name, event });
      // Whoever is on the wire now need not be who was before.
      this.datapath.linkLost(index);
      if (event === "up" || event === "returned") this.datapath.announce();
    }
  }

  /** A page of events at a time; those of an earlier configuration were told before the switch. */
  private tellEvents(): void {
    const configuration = this.inForce.number;
    for (
      let rows = this.datapath.takeEvents();
      rows.length > 0;
      rows = this.datapath.takeEvents()
    ) {
      this.answer({ kind: "events", configuration, rows });
    }
  }

  private tellLosses(): void {
    const lost = this.datapath.lostEvents - this.lostEvents;
    if (lost === 0) return;
    this.lostEvents += lost;
    this.notice(`${lost} events found no place and are lost`);
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
      case "configure":
        this.answer({ kind: "done", id: order.id, error: this.tryConfigure(order.next) });
        return;
      case "counters":
        this.answer({
          kind: "counters",
          id: order.id,
          configuration: this.inForce.number,
          counters: this.counters(),
        });
        return;
      case "conns":
        this.answer({ kind: "conns", id: order.id, rows: this.connRows(order.first) });
    }
  }

  private answer(answer: Answer): void {
    this.port.postMessage(answer);
  }

  private notice(text: string): void {
    this.answer({ kind: "notice", text });
  }

  private tryConfigure(next: ConfigurationOrder): string | undefined {
    try {
      this.configure(next);
      return undefined;
    } catch (error) {
      return messageOf(error);
    }
  }

  /** Opens what is new, switches, closes what is gone. A failure before the switch changes nothing. */
  private configure(configuration: ConfigurationOrder): void {
    const fresh: Opened[] = [];
    let next: Opened[];
    try {
      next = configuration.interfaces.map((order) => {
        const kept = this.opened.find((each) => sameOrder(each.order, order));
        if (kept) return kept;
        fresh.push(this.opener.open(order));
        return fresh[fresh.length - 1] as Opened;
      });
      // Events name pools of the configuration that they happened in.
      if (this.opened.length > 0) this.tellEvents();
      this.datapath.configure(configuration.image, clock());
    } catch (error) {
      for (const each of fresh) this.opener.close(each);
      throw error;
    }
    // The switch is made. First what forwarding needs, then what may fail.
    const gone = this.opened.filter((each) => !next.includes(each));
    this.inForce = configuration;
    this.patience = new Patience(configuration.busyPoll / 1000);
    this.opened = next;
    this.loop.interfaces = next.map(({ device }) => device);
    this.datapath.announce();
    for (const each of gone) this.opener.close(each);
  }

  private counters(): RawCounters {
    const { devices, flows } = this.inForce;
    return {
      reasons: this.datapath.reasons(),
      devices: this.datapath.deviceCounters(devices),
      zones: this.datapath.zoneCounters(),
      flows: this.datapath.flowCounters(flows),
      links: this.opened.map(({ order: { name }, device }) => ({ name, ...device.counters })),
    };
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

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function lastIndex(rows: Uint8Array): number {
  const last = rows.length - ConnRowAt.Bytes + ConnRowAt.Index;
  return new DataView(rows.buffer).getUint32(last, true);
}

function sameOrder(a: InterfaceOrder, b: InterfaceOrder): boolean {
  const macs = (order: InterfaceOrder) => order.macs.map((mac) => mac.join(":")).join(" ");
  return a.name === b.name && a.driver === b.driver && macs(a) === macs(b);
}

function main(): void {
  const port = parentPort;
  if (port === null) throw new Error("worker.js is a worker thread's program");
  const start = workerData as WorkerStart;
  const wake = new WakeUp(start.wakeFd);
  try {
    const forwarding = new Forwarding(start, wake, port);
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
