/**
 * What the threads of one router share, each word written with Atomics: who sleeps, who has orders waiting, and how
 * much of the zones' limits is lent (allowances.ts). Frames cross in rings of their own (ring.ts).
 */

import { Limit } from "../../assembly/abi.js";
import { CrossingRing, ringBytes } from "./ring.js";

/** Instead of how many workers have opened their interfaces, when one of them could not. */
const GIVEN_UP = -Limit.Workers;

/** Of one thread: each on a cache line of its own, since another thread writes the next one. */
const WORDS_EACH = 16;

/** Pages of events that may wait for the main thread: beyond that they wait, or are lost, in the datapath. */
const TALES_MAX = 64;

/** Zone numbers have 16 bits. */
const ZONES = Limit.Zones + 1;

/** The shared memory as it travels to a thread. */
export interface BoardBuffers {
  readonly sleepers: SharedArrayBuffer;
  readonly orders: SharedArrayBuffer;
  readonly tales: SharedArrayBuffer;
  readonly lent: SharedArrayBuffer;
  readonly opened: SharedArrayBuffer;
  /** By the worker that takes out, then by the one that puts in. */
  readonly rings: readonly (readonly SharedArrayBuffer[])[];
}

/** Makes the shared memory of so many workers; one alone crosses nothing. */
export function makeBoard(workers: number): BoardBuffers {
  const each = () => new SharedArrayBuffer(workers * WORDS_EACH * 4);
  const ranks = workers === 1 ? [] : Array.from({ length: workers }, (_, i) => i);
  return {
    sleepers: each(),
    orders: each(),
    tales: each(),
    lent: new SharedArrayBuffer(ZONES * 4),
    opened: new SharedArrayBuffer(4),
    rings: ranks.map(() => ranks.map(() => new SharedArrayBuffer(ringBytes()))),
  };
}

export class Board {
  /** Conns lent to all workers, by number of the zone. */
  readonly lent: Int32Array;
  private readonly sleepers: Int32Array;
  private readonly orders: Int32Array;
  /** Pages of events that the main thread has not taken yet. */
  private readonly tales: Int32Array;
  /** Workers that have opened their first interfaces. */
  private readonly opened: Int32Array;

  constructor(private readonly buffers: BoardBuffers) {
    this.sleepers = new Int32Array(buffers.sleepers);
    this.orders = new Int32Array(buffers.orders);
    this.tales = new Int32Array(buffers.tales);
    this.lent = new Int32Array(buffers.lent);
    this.opened = new Int32Array(buffers.opened);
  }

  /** The ring in which frames cross from one worker to another, or come back to the same. */
  ring(from: number, to: number): CrossingRing {
    const buffer = this.buffers.rings[to]?.[from];
    if (buffer === undefined) throw new RangeError(`no ring from worker ${from} to ${to}`);
    return new CrossingRing(buffer);
  }

  /**
   * Waits until the workers before this one have opened their interfaces: the kernel counts the sockets of an interface
   * in the order in which they come.
   * @throws when they will not
   */
  awaitTurn(worker: number): void {
    for (;;) {
      const opened = Atomics.load(this.opened, 0);
      if (opened >= worker) return;
      if (opened < 0) throw new Error("another worker could not start");
      Atomics.wait(this.opened, 0, opened);
    }
  }

  /** This one has. */
  passTurn(): void {
    Atomics.add(this.opened, 0, 1);
    Atomics.notify(this.opened, 0);
  }

  /** One that should have will not: nobody waits any more. */
  giveUpTurns(): void {
    Atomics.store(this.opened, 0, GIVEN_UP);
    Atomics.notify(this.opened, 0);
  }

  /** A worker is about to sleep: whoever has something for it wakes it from now on. */
  fallAsleep(worker: number): void {
    Atomics.store(this.sleepers, worker * WORDS_EACH, 1);
  }

  wakeUp(worker: number): void {
    Atomics.store(this.sleepers, worker * WORDS_EACH, 0);
  }

  /** Whether a worker sleeps and nobody has said that he wakes it; then the caller does. */
  mustWake(worker: number): boolean {
    const at = worker * WORDS_EACH;
    return (
      Atomics.load(this.sleepers, at) === 1 &&
      Atomics.compareExchange(this.sleepers, at, 1, 0) === 1
    );
  }

  /** Whether the main thread keeps up with the events of a worker. */
  mayTell(worker: number): boolean {
    return Atomics.load(this.tales, worker * WORDS_EACH) < TALES_MAX;
  }

  /** A page of events is on its way. */
  tell(worker: number): void {
    Atomics.add(this.tales, worker * WORDS_EACH, 1);
  }

  /** It has been taken. */
  taken(worker: number): void {
    Atomics.sub(this.tales, worker * WORDS_EACH, 1);
  }

  /** An order has been sent to a worker. */
  order(worker: number): void {
    Atomics.store(this.orders, worker * WORDS_EACH, 1);
  }

  /** Whether orders may have come since the last call. */
  hasOrders(worker: number): boolean {
    const at = worker * WORDS_EACH;
    return Atomics.load(this.orders, at) === 1 && Atomics.exchange(this.orders, at, 0) === 1;
  }
}
