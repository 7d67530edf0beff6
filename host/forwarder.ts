/** The main thread's handle on the forwarding thread: start, reconfigure, read out, stop. */

import { EventEmitter } from "node:events";
import { Worker } from "node:worker_threads";
import { ConnRowAt } from "../assembly/abi.js";
import { outgrown } from "./capacity.js";
import { macBytes, macFromBytes } from "./config/address.js";
import { type Capacity, capacityOf, compileImage } from "./config/compile.js";
import { type MacOf, virtualMac } from "./config/mac.js";
import type { Config } from "./config/model.js";
import { WakeUp } from "./device/libc.js";
import { type InterfaceOrder, kernelMac, slotsFor } from "./device/open.js";
import type { Answer, ConfigurationOrder, Order, WorkerStart } from "./orders.js";
import { type ConnView, readConn } from "./telemetry/conn.js";
import { type Counters, readCounters } from "./telemetry/counters.js";
import { type EventView, readEvents } from "./telemetry/event.js";

/** Milliseconds in which the thread must answer an order. */
const ANSWER_MS = 10_000;

/** Milliseconds in which it must end: the kernel closes a hundred interfaces one by one, some 40 ms each. */
const STOP_MS = 30_000;

/** The id of what has none: that it forwards. */
const START = 0;

type Waiting = { resolve(answer: Answer): void; reject(error: Error): void };

interface Events {
  link: [name: string, event: string];
  /** What an operator must hear of; at most a second old. */
  event: [event: EventView];
  /** What an operator should know of how an interface works. */
  notice: [text: string];
  /** The thread ended without being told to. */
  failure: [error: Error];
}

export class Forwarder extends EventEmitter<Events> {
  private readonly worker: Worker;
  private readonly wake = WakeUp.make();
  private readonly capacity: Capacity;
  private readonly waiting = new Map<number, Waiting>();
  private nextId = START + 1;
  /** By number: the one in force, and those sent that have not been answered. */
  private readonly configs = new Map<number, Config>();
  private nextNumber = 0;
  private readonly ready: Promise<Answer>;
  private readonly ended: Promise<void>;
  private isEnded = false;
  private stopping = false;
  /** Events from before anyone could listen; undefined when they have been told. */
  private early: (() => void)[] | undefined = [];

  private constructor(config: Config, seed: Uint8Array) {
    super();
    this.capacity = capacityOf(config);
    this.ready = new Promise((resolve, reject) => this.waiting.set(START, { resolve, reject }));
    try {
      const { capacity, wake } = this;
      const first = this.order(config);
      const workerData: WorkerStart = { capacity, seed, wakeFd: wake.fd, first };
      this.worker = new Worker(new URL("worker.js", import.meta.url), { workerData });
    } catch (error) {
      this.wake.close();
      throw error;
    }
    this.worker.on("message", (answer: Answer) => this.receive(answer));
    this.worker.on("error", (error) => this.fail(error));
    this.ended = new Promise((resolve) => {
      this.worker.on("exit", () => {
        this.isEnded = true;
        this.wake.close();
        this.fail(new Error("the forwarding thread ended"));
        resolve();
      });
    });
  }

  /**
   * Resolves when frames are being forwarded; rejects with why they cannot be, and then nothing of it is
   * left. Events of the start itself come after that, when there has been time to listen to them.
   */
  static async start(config: Config, seed: Uint8Array): Promise<Forwarder> {
    const forwarder = new Forwarder(config, seed);
    try {
      await forwarder.ready;
    } catch (error) {
      await forwarder.worker.terminate();
      throw error;
    }
    setImmediate(() => forwarder.tellEarly());
    return forwarder;
  }

  /** Switches to another configuration, or rejects and goes on with the one in force. */
  async reconfigure(config: Config): Promise<void> {
    const next = this.order(config);
    const { number } = next;
    const present = [...this.configs.values()].filter((each) => each !== config);
    const wrong = outgrown(config, next.image.length, this.capacity, present);
    if (wrong.length > 0) {
      this.configs.delete(number);
      throw new Error(wrong.join("\n"));
    }
    const done = await this.ask("done", (id) => ({ kind: "configure", id, next }));
    if (done.error !== undefined) {
      this.configs.delete(number);
      throw new Error(done.error);
    }
    for (const each of this.configs.keys()) if (each < number) this.configs.delete(each);
  }

  async counters(): Promise<Counters> {
    const answer = await this.ask("counters", (id) => ({ kind: "counters", id }));
    const config = this.configs.get(answer.configuration);
    if (config === undefined) throw new Error("counters of a configuration that is gone");
    return readCounters(answer.counters, config);
  }

  /** The conn table by ascending index; not one moment's picture when it is large. */
  async conns(): Promise<ConnView[]> {
    const found: ConnView[] = [];
    for (let first = 0; ; ) {
      const { rows } = await this.ask("conns", (id) => ({ kind: "conns", id, first }));
      for (const row of rows.flatMap(splitRows)) {
        found.push(readConn(row));
        first = row.getUint32(ConnRowAt.Index, true) + 1;
      }
      if (rows.length === 0) return found;
    }
  }

  /** Resolves when all interfaces are closed, or the thread was ended because it did not close them. */
  async stop(): Promise<void> {
    this.stopping = true;
    if (this.isEnded) return;
    this.send({ kind: "stop" });
    const timer = setTimeout(() => void this.worker.terminate(), STOP_MS);
    await this.ended;
    clearTimeout(timer);
  }

  /** Gives a configuration its number. */
  private order(config: Config): ConfigurationOrder {
    const { devices, flows, busyPoll } = config;
    const compiled = compile(config);
    const number = this.nextNumber++;
    this.configs.set(number, config);
    return { number, ...compiled, busyPoll, devices: devices.length, flows: flows.length };
  }

  private ask<K extends Answer["kind"]>(
    kind: K,
    make: (id: number) => Order,
  ): Promise<Extract<Answer, { kind: K }>> {
    type Expected = Extract<Answer, { kind: K }>;
    if (this.isEnded) return Promise.reject(new Error("the forwarding thread ended"));
    const id = this.nextId++;
    return new Promise<Expected>((resolve, reject) => {
      const timer = setTimeout(
        () => this.settle(id)?.reject(new Error(`the forwarding thread did not answer: ${kind}`)),
        ANSWER_MS,
      );
      this.waiting.set(id, {
        resolve: (answer) => {
          clearTimeout(timer);
          resolve(answer as Expected);
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      });
      this.send(make(id));
    });
  }

  private send(order: Order): void {
    this.worker.postMessage(order);
    this.wake.signal();
  }

  private settle(id: number): Waiting | undefined {
    const waiting = this.waiting.get(id);
    this.waiting.delete(id);
    return waiting;
  }

  private receive(answer: Answer): void {
    if ("id" in answer) this.settle(answer.id)?.resolve(answer);
    else if (answer.kind === "ready") this.settle(START)?.resolve(answer);
    else if (answer.kind === "events") this.tellEvents(answer.configuration, answer.rows);
    else if (answer.kind === "link") {
      this.tell(() => this.emit("link", answer.interface, answer.event));
    } else if (answer.kind === "notice") this.tell(() => this.emit("notice", answer.text));
    else if (answer.kind === "failed") this.fail(new Error(answer.text));
  }

  private tellEvents(configuration: number, rows: Uint8Array): void {
    const config = this.configs.get(configuration);
    if (config === undefined) return;
    for (const event of readEvents(rows, config)) this.tell(() => this.emit("event", event));
  }

  private fail(error: Error): void {
    for (const id of [...this.waiting.keys()]) this.settle(id)?.reject(error);
    if (this.stopping) return;
    this.stopping = true;
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
function compile(config: Config) {
  const macs = new Map(config.interfaces.map(({ name }) => [name, kernelMac(name)]));
  refuseKernelMacs(config, macs);
  const macOf = (name: string) => macs.get(name);
  return { image: compileImage(config, { macOf }), interfaces: ordersOf(config, macOf) };
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
function ordersOf(config: Config, macOf: MacOf): InterfaceOrder[] {
  const slots = config.capacity.slots ?? slotsFor(config.interfaces.length);
  return config.interfaces.map(({ name, driver }) => {
    const devices = config.devices.filter((device) => device.interface.name === name);
    const macs = new Set(devices.map((device) => device.mac ?? virtualMac(name, macOf)));
    return { name, driver, macs: [...macs].map(macBytes), slots };
  });
}
