/** The main thread's handle on one worker: asks, waits for answers, passes on what it says of itself, and ends it. */

import { EventEmitter } from "node:events";
import { Worker } from "node:worker_threads";
import type { WakeUp } from "../device/libc.js";
import type { Answer, Order, WorkerStart } from "../orders.js";
import type { Board } from "./board.js";

/** Milliseconds in which a worker must answer an order that opens nothing. */
const ANSWER_MS = 10_000;

/** Milliseconds in which it must end: the kernel closes a hundred interfaces one by one, some 40 ms each. */
const STOP_MS = 30_000;

/** The id of what has none: that it forwards. */
const START = 0;

type Waiting = { resolve(answer: Answer): void; reject(error: Error): void };

/** What a worker says without being asked. */
export type Saying = Extract<Answer, { kind: "events" | "eventsLost" | "link" | "notice" }>;

/** A worker that has not answered in time. Whether it did what it was asked for is not known. */
export class NoAnswer extends Error {
  override readonly name = "NoAnswer";
}

interface Events {
  saying: [saying: Saying];
  /** It ended without being told to. */
  failure: [error: Error];
}

export class WorkerHandle extends EventEmitter<Events> {
  /** Resolves when it forwards, rejects with why it cannot. */
  readonly ready: Promise<Answer>;
  private readonly thread: Worker;
  private readonly waiting = new Map<number, Waiting>();
  private nextId = START + 1;
  private readonly ended: Promise<void>;
  private isEnded = false;
  private stopping = false;

  constructor(
    private readonly start: WorkerStart,
    private readonly wake: WakeUp,
    private readonly board: Board,
  ) {
    super();
    this.ready = new Promise((resolve, reject) => this.waiting.set(START, { resolve, reject }));
    const program = new URL("../worker.js", import.meta.url);
    this.thread = new Worker(program, { workerData: start });
    this.thread.on("message", (answer: Answer) => this.receive(answer));
    this.thread.on("error", (error) => this.fail(error));
    this.ended = new Promise((resolve) => {
      this.thread.on("exit", () => {
        this.isEnded = true;
        this.fail(new Error("the forwarding thread ended"));
        resolve();
      });
    });
  }

  /**
   * Sends an order and waits for the answer of this kind.
   * @param moreMs  that it may take beyond the usual time
   */
  ask<K extends Answer["kind"]>(
    kind: K,
    make: (id: number) => Order,
    moreMs = 0,
  ): Promise<Extract<Answer, { kind: K }>> {
    type Expected = Extract<Answer, { kind: K }>;
    if (this.isEnded) return Promise.reject(new Error("the forwarding thread ended"));
    const id = this.nextId++;
    return new Promise<Expected>((resolve, reject) => {
      const timer = setTimeout(
        () =>
          this.settle(id)?.reject(new NoAnswer(`the forwarding thread did not answer: ${kind}`)),
        ANSWER_MS + moreMs,
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

  /** Asks for something that can be refused; rejects with why it was. */
  async tell(make: (id: number) => Order, moreMs = 0): Promise<void> {
    const { error } = await this.ask("done", make, moreMs);
    if (error !== undefined) throw new Error(error);
  }

  /** Resolves when it has closed its interfaces, or was ended because it did not. */
  async stop(): Promise<void> {
    this.stopping = true;
    if (this.isEnded) return;
    this.send({ kind: "stop" });
    const timer = setTimeout(() => void this.thread.terminate(), STOP_MS);
    await this.ended;
    clearTimeout(timer);
  }

  /** Says something that has no answer. */
  send(order: Order): void {
    if (this.isEnded) return;
    this.thread.postMessage(order);
    this.board.order(this.start.share.worker);
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
    else if (answer.kind === "failed") this.fail(new Error(answer.text));
    else if (answer.kind !== "stopped") this.emit("saying", answer);
  }

  private fail(error: Error): void {
    for (const id of [...this.waiting.keys()]) this.settle(id)?.reject(error);
    if (this.stopping) return;
    this.stopping = true;
    this.emit("failure", error);
  }
}
