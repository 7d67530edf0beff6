/** The main thread's handle on the forwarding thread: start, reconfigure, read out, stop. */

import { EventEmitter } from "node:events";
import { Worker } from "node:worker_threads";
import { ConnRowAt } from "../assembly/abi.js";
import { macBytes, macFromBytes } from "./config/address.js";
import { capacityOf, compileImage } from "./config/compile.js";
import { type MacOf, virtualMac } from "./config/mac.js";
import type { Config } from "./config/model.js";
import { WakeUp } from "./device/libc.js";
import { type InterfaceOrder, kernelMac, slotsFor } from "./device/open.js";
import type { Answer, Order, WorkerStart } from "./orders.js";
import { type ConnView, readConn } from "./telemetry/conn.js";
import { type Counters, readCounters } from "./telemetry/counters.js";

/** Milliseconds in which the thread must answer an order. */
const ANSWER_MS = 10_000;

type Waiting = { resolve(answer: Answer): void; reject(error: Error): void };

interface Events {
  link: [name: string, event: string];
  warning: [text: string];
  /** The thread ended without being told to. */
  failure: [error: Error];
}

export class Forwarder extends EventEmitter<Events> {
  private readonly waiting = new Map<number, Waiting>();
  private nextId = 1;
  private stopping = false;

  private constructor(
    private readonly worker: Worker,
    private readonly wakeFd: number,
    private config: Config,
  ) {
    super();
    worker.on("message", (answer: Answer) => this.receive(answer));
    worker.on("error", (error) => this.fail(error));
    worker.on("exit", () => this.fail(new Error("the forwarding thread ended")));
  }

  /** Resolves when frames are being forwarded; rejects with why they cannot be. */
  static async start(config: Config, seed: Uint8Array): Promise<Forwarder> {
    const workerData: WorkerStart = {
      capacity: capacityOf(config),
      seed,
      ...compile(config),
    };
    const worker = new Worker(new URL("worker.js", import.meta.url), { workerData });
    const wakeFd = await new Promise<number>((resolve, reject) => {
      worker.once("error", reject);
      worker.once("message", (answer: Answer) => {
        if (answer.kind === "ready") resolve(answer.wakeFd);
        else reject(new Error(answer.kind === "failed" ? answer.text : answer.kind));
      });
    });
    worker.removeAllListeners("error");
    return new Forwarder(worker, wakeFd, config);
  }

  /** Switches to another configuration, or rejects and goes on with the one in force. */
  async reconfigure(config: Config): Promise<void> {
    const { image, interfaces } = compile(config);
    const done = await this.ask("done", (id) => ({ kind: "configure", id, image, interfaces }));
    if (done.error !== undefined) throw new Error(done.error);
    this.config = config;
  }

  async counters(): Promise<Counters> {
    const { config } = this;
    const devices = config.devices.length;
    const flows = config.flows.length;
    const answer = await this.ask("counters", (id) => ({ kind: "counters", id, devices, flows }));
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

  /** Resolves when all interfaces are closed. */
  async stop(): Promise<void> {
    this.stopping = true;
    const ended = new Promise<void>((resolve) => this.worker.once("exit", () => resolve()));
    this.send({ kind: "stop" });
    await ended;
  }

  private ask<K extends Answer["kind"]>(kind: K, make: (id: number) => Order) {
    type Expected = Extract<Answer, { kind: K }>;
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
    WakeUp.signal(this.wakeFd);
  }

  private settle(id: number): Waiting | undefined {
    const waiting = this.waiting.get(id);
    this.waiting.delete(id);
    return waiting;
  }

  private receive(answer: Answer): void {
    if ("id" in answer) this.settle(answer.id)?.resolve(answer);
    else if (answer.kind === "link") this.emit("link", answer.interface, answer.event);
    else if (answer.kind === "warning") this.emit("warning", answer.text);
    else if (answer.kind === "failed") this.fail(new Error(answer.text));
  }

  private fail(error: Error): void {
    for (const id of [...this.waiting.keys()]) this.settle(id)?.reject(error);
    if (this.stopping) return;
    this.stopping = true;
    this.emit("failure", error);
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
  const slots = slotsFor(config.interfaces.length);
  return config.interfaces.map(({ name, driver }) => {
    const devices = config.devices.filter((device) => device.interface.name === name);
    const macs = new Set(devices.map((device) => device.mac ?? virtualMac(name, macOf)));
    return { name, driver, macs: [...macs].map(macBytes), slots };
  });
}
