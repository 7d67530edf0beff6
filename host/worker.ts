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
import type { Interface, Window } from "./device/device.js";
import { poll, ready, WakeUp } from "./device/libc.js";
import { type InterfaceOrder, openInterface, windowBytesOf } from "./device/open.js";
import { Loop } from "./loop.js";
import type { Answer, Order, WorkerStart } from "./orders.js";

/** Looks after links, and ends a sleep, at least this often. */
const CHECK_MS = 1000;

/** Windows for interfaces that later configurations add: as many as at the start, and so many more. */
const SPARE_INTERFACES = 4;

/** Rows of conns in one answer, in calls of the datapath's listing. */
const LIST_CALLS = 16;

interface Opened {
  readonly order: InterfaceOrder;
  readonly window: Window;
  readonly device: Interface;
}

/** Milliseconds that never run backwards. */
function clock(): number {
  return Math.floor(performance.now());
}

class Forwarding {
  private readonly datapath: Datapath;
  private readonly loop: Loop;
  private opened: Opened[] = [];
  /** Windows of interfaces that are closed. */
  private readonly spare: Window[] = [];
  private checkedAt = clock();
  private stopped = false;

  constructor(
    start: WorkerStart,
    private readonly wake: WakeUp,
    private readonly port: MessagePort,
  ) {
    this.datapath = new Datapath({ ...start, windowBytes: windowBytes(start.interfaces) }, clock());
    this.loop = new Loop(this.datapath, []);
    this.configure(start.image, start.interfaces);
  }

  /** Forwards until it is told to stop. */
  run(): void {
    try {
      while (!this.stopped) {
        const now = clock();
        if (this.loop.turn(now) === 0) this.sleep(now);
        if (now - this.checkedAt >= CHECK_MS) this.check(now);
        this.takeOrders();
      }
    } finally {
      this.close();
    }
  }

  close(): void {
    for (const { device } of this.opened) device.close();
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
    for (const { order, device } of this.opened) {
      const event = device.check();
      if (event === undefined) continue;
      this.answer({ kind: "link", interface: order.name, event });
      if (event === "up" || event === "returned") this.datapath.announce();
    }
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
        this.answer({ kind: "done", id: order.id, error: this.tryConfigure(order) });
        return;
      case "counters":
        this.answer({ kind: "counters", id: order.id, counters: this.counters(order) });
        return;
      case "conns":
        this.answer({ kind: "conns", id: order.id, rows: this.connRows(order.first) });
    }
  }

  private answer(answer: Answer): void {
    this.port.postMessage(answer);
  }

  private tryConfigure(order: { image: Uint8Array; interfaces: InterfaceOrder[] }) {
    try {
      this.configure(order.image, order.interfaces);
      return undefined;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  /** Opens what is new, switches, closes what is gone. A failure before the switch changes nothing. */
  private configure(image: Uint8Array, orders: readonly InterfaceOrder[]): void {
    const fresh: Opened[] = [];
    let next: Opened[];
    try {
      next = orders.map((order) => {
        const kept = this.opened.find((each) => sameOrder(each.order, order));
        if (kept) return kept;
        fresh.push(this.open(order));
        return fresh[fresh.length - 1] as Opened;
      });
      this.datapath.configure(image, clock());
    } catch (error) {
      for (const each of fresh) this.retire(each);
      throw error;
    }
    for (const each of this.opened) if (!next.includes(each)) this.retire(each);
    this.opened = next;
    this.loop.interfaces = next.map(({ device }) => device);
    if (fresh.length > 0) this.datapath.announce();
  }

  private open(order: InterfaceOrder): Opened {
    const bytes = windowBytesOf(order);
    const fits = this.spare.findIndex((window) => window.bytes >= bytes);
    const window =
      fits < 0 ? this.datapath.window(bytes) : (this.spare.splice(fits, 1)[0] as Window);
    const warn = (text: string) => this.answer({ kind: "warning", text });
    try {
      return { order, window, device: openInterface(order, window, this.datapath, warn) };
    } catch (error) {
      this.spare.push(window);
      throw error;
    }
  }

  private retire({ window, device }: Opened): void {
    device.close();
    this.spare.push(window);
  }

  private counters(order: { devices: number; flows: number }) {
    return {
      reasons: this.datapath.reasons(),
      devices: this.datapath.deviceCounters(order.devices),
      zones: this.datapath.zoneCounters(),
      flows: this.datapath.flowCounters(order.flows),
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

function lastIndex(rows: Uint8Array): number {
  const last = rows.length - ConnRowAt.Bytes + ConnRowAt.Index;
  return new DataView(rows.buffer).getUint32(last, true);
}

function windowBytes(orders: readonly InterfaceOrder[]): number {
  const sizes = orders.map(windowBytesOf);
  const largest = Math.max(0, ...sizes);
  const each = sizes.map((size) => Math.ceil(size / 65536) * 65536);
  const spare = (orders.length + SPARE_INTERFACES) * (Math.ceil(largest / 65536) * 65536);
  return each.reduce((sum, size) => sum + size, 0) + spare;
}

function sameOrder(a: InterfaceOrder, b: InterfaceOrder): boolean {
  const macs = (order: InterfaceOrder) => order.macs.map((mac) => mac.join(":")).join(" ");
  return a.name === b.name && a.driver === b.driver && macs(a) === macs(b);
}

function main(): void {
  const port = parentPort;
  if (port === null) throw new Error("worker.js is a worker thread's program");
  const start = workerData as WorkerStart;
  const wake = new WakeUp();
  try {
    const forwarding = new Forwarding(start, wake, port);
    port.postMessage({ kind: "ready", wakeFd: wake.fd } satisfies Answer);
    forwarding.run();
    port.postMessage({ kind: "stopped" } satisfies Answer);
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    const isImage = error instanceof ImageRefused;
    port.postMessage({ kind: "failed", text, isImage } satisfies Answer);
  } finally {
    port.close();
    wake.close();
  }
}

main();
