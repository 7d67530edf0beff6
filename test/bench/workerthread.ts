/**
 * A worker of the `scale` benchmark: a thread with a datapath of its own under the host's loop, as `run` has, but with
 * interfaces that lend pristine frames and count what leaves. workers.ts tells it what to measure.
 *
 * Which frames are its own the datapath says: those of all that it does not hand off.
 */

import { parentPort, workerData } from "node:worker_threads";
import { Limit, None } from "../../assembly/abi.js";
import { Datapath, type Instantiate, instantiatorOf, loadModule } from "../../host/datapath.js";
import {
  type InputBatch,
  type Interface,
  type LinkCounters,
  PAGE_BYTES,
  type Window,
} from "../../host/device/device.js";
import { Loop } from "../../host/loop.js";
import { Allowances } from "../../host/workers/allowances.js";
import { Board } from "../../host/workers/board.js";
import { HandOff, handOffWindowBytes } from "../../host/workers/handoff.js";
import { Barrier, type Stint } from "./barrier.js";
import { useClock } from "./clock.js";
import { warmUp } from "./core.js";
import { answerTo, FRAME_BYTES, Pristine, STRIDE, shuffled } from "./edge.js";
import { EdgePlan } from "./plan.js";
import { CrossedAt, type HandStart, type Stints, type WorkerOrder } from "./workerorder.js";

/** Conns of one worker that are made for one figure: fewer are over before the clock has a reading. */
const SET_UP_CONNS = 10_000;

/** Frames that may be on their way to another worker: many fewer than a ring holds. */
const CROSSING_MAX = 4096;

/** A window holds a batch of frames. */
const FEED_BYTES = PAGE_BYTES;
if (FEED_BYTES < Limit.Headroom + Limit.Batch * STRIDE)
  throw new Error("a batch outgrew its window");

/** An interface without a medium. */
class Feed implements Interface {
  readonly fds: readonly number[] = [];
  readonly counters: LinkCounters = { rxMissed: 0, rxRefused: 0, txDropped: 0 };
  /** Frames that are still to be lent, from those over and over. */
  toGive = 0;
  sent = 0;
  private answers: Pristine | undefined;
  private frames = new Pristine(0);
  private next = 0;
  private lent = 0;
  private answered = 0;
  private readonly memory: Uint8Array;

  constructor(
    readonly name: string,
    private readonly window: Window,
  ) {
    this.memory = new Uint8Array(window.memory.buffer);
  }

  /** @param times  frames to lend in all */
  give(frames: Pristine, times: number): void {
    this.frames = frames;
    this.next = 0;
    this.toGive = times;
  }

  /** Puts the answers to what leaves there. */
  answerInto(answers: Pristine | undefined): void {
    this.answers = answers;
    this.answered = 0;
  }

  receive(batch: InputBatch): void {
    const { frames, memory } = this;
    while (batch.room > 0 && this.toGive > 0) {
      const count = Math.min(batch.room, this.toGive, frames.count - this.next);
      const at = this.window.at + Limit.Headroom + this.lent * STRIDE;
      memory.set(frames.bytes.subarray(this.next * STRIDE, (this.next + count) * STRIDE), at);
      for (let i = 0; i < count; i++) batch.push(at + i * STRIDE, FRAME_BYTES, 0, 0);
      this.next = (this.next + count) % frames.count;
      this.lent += count;
      this.toGive -= count;
    }
  }

  send(frame: number, size: number): void {
    this.sent++;
    if (this.answers === undefined) return;
    const answer = answerTo(this.memory.subarray(frame, frame + size));
    this.answers.bytes.set(answer, this.answered++ * STRIDE);
  }

  flush(): void {}

  release(): void {
    this.lent = 0;
  }

  check(): undefined {
    return undefined;
  }

  close(): void {}
}

/** A datapath with its loop and its interfaces. */
class Station {
  readonly lan: Feed;
  readonly wan: Feed;
  readonly loop: Loop;
  private readonly handOff: HandOff | undefined;

  constructor(plan: EdgePlan, order: WorkerOrder, code: Instantiate) {
    const { workers, worker } = order;
    const { shareShift } = plan;
    const isAlone = workers === 1;
    const windows = 2 * FEED_BYTES + (isAlone ? 0 : handOffWindowBytes());
    const datapath = new Datapath(
      {
        capacity: plan.capacity,
        seed: new Uint8Array(16),
        windowBytes: windows,
        instantiate: code,
        ...(isAlone ? {} : { share: { workers, worker, shareShift } }),
      },
      0,
    );
    datapath.configure(plan.image, 0);
    this.lan = new Feed("lan", datapath.window(FEED_BYTES));
    this.wan = new Feed("wan", datapath.window(FEED_BYTES));
    this.handOff = isAlone ? undefined : makeHandOff(datapath, order);
    const crossing = this.handOff === undefined ? [] : [this.handOff];
    this.loop = new Loop(datapath, [this.lan, this.wan, ...crossing], this.handOff);
  }

  /** Everything that `feed` has to give; all of it must leave by the other one. */
  pass(feed: Feed, frames: Pristine): void {
    const other = feed === this.lan ? this.wan : this.lan;
    const before = other.sent;
    feed.give(frames, frames.count);
    while (feed.toGive > 0) this.loop.turn(0);
    const left = other.sent - before;
    if (left !== frames.count) throw new Error(`${frames.count} packets in, ${left} out`);
  }

  /** The answers to them, which leave by the `wan`. */
  answersTo(frames: Pristine): Pristine {
    const answers = new Pristine(frames.count);
    this.wan.answerInto(answers);
    this.pass(this.lan, frames);
    this.wan.answerInto(undefined);
    return answers;
  }

  get lost(): number {
    return (this.handOff?.counters.txDropped ?? 0) + (this.handOff?.counters.rxMissed ?? 0);
  }
}

function makeHandOff(datapath: Datapath, order: WorkerOrder): HandOff {
  const { worker, workers } = order;
  const board = new Board(order.board);
  const window = datapath.window(handOffWindowBytes());
  const allowances = new Allowances(datapath, board.lent);
  // Nobody sleeps here.
  return new HandOff({ worker, workers, board, datapath, allowances, window, wake: () => {} });
}

/** All frames of the conns, by whose they are. */
interface Sorted {
  readonly own: Pristine;
  readonly others: Pristine;
}

class Hand {
  private readonly code = instantiatorOf(loadModule());
  private readonly sorted = new Map<string, Sorted>();

  constructor() {
    warmUp(this.code);
  }

  repeat(order: WorkerOrder): Stints {
    const plan = new EdgePlan(order.shape);
    const { own, others } = this.sort(plan, order);
    const barrier = new Barrier(order.barrier, order.workers);
    const stations = Array.from({ length: Math.ceil(SET_UP_CONNS / own.count) }, () => {
      return new Station(plan, order, this.code);
    });
    const opening = setUp(barrier, stations, own);
    const [station] = stations as [Station];
    station.pass(station.lan, own);
    const back = station.answersTo(own);
    station.pass(station.wan, back);
    const packets = Math.ceil(order.packets / order.workers);
    const { lan, wan } = station;
    return {
      "set-up": opening,
      "steady-out": steady(barrier, station, lan, own, packets),
      "steady-in": steady(barrier, station, wan, back, packets),
      ...(order.workers === 1
        ? {}
        : { "handed-off": handedOff(barrier, station, others, packets, order.crossed) }),
    };
  }

  /** Which are its own does not change from repetition to repetition. */
  private sort(plan: EdgePlan, order: WorkerOrder): Sorted {
    const { shape, workers, worker } = order;
    const key = JSON.stringify([shape, workers, worker]);
    const found = this.sorted.get(key);
    if (found !== undefined) return found;
    const all = Pristine.outward(shuffled(shape.conns), shape.tenants);
    const made =
      workers === 1 ? { own: all, others: new Pristine(0) } : this.split(all, plan, order);
    this.sorted.set(key, made);
    return made;
  }

  private split(all: Pristine, plan: EdgePlan, { workers, worker }: WorkerOrder): Sorted {
    const share = { workers, worker, shareShift: plan.shareShift };
    const { capacity, image } = plan;
    const options = { capacity, seed: new Uint8Array(16), windowBytes: FEED_BYTES };
    const datapath = new Datapath({ ...options, share, instantiate: this.code }, 0);
    datapath.configure(image, 0);
    const window = datapath.window(FEED_BYTES);
    const feed = new Feed("lan", window);
    feed.give(all, all.count);
    const own: number[] = [];
    const others: number[] = [];
    for (let first = 0; first < all.count; ) {
      datapath.inputs.limit = Limit.Batch;
      feed.receive(datapath.inputs);
      const given = datapath.inputs.count;
      const outputs = datapath.process(0);
      for (let i = 0; i < outputs; i++) {
        // It stands in the slot that it came in, though a tag less behind its beginning.
        const slot = Math.floor((datapath.outputFrame(i) - window.at - Limit.Headroom) / STRIDE);
        (datapath.outputInterface(i) === None.Short ? others : own).push(first + slot);
      }
      feed.release();
      first += given;
    }
    return { own: all.only(own), others: all.only(others) };
  }
}

/** All conns of all stations, one station after the other. */
function setUp(barrier: Barrier, stations: readonly Station[], own: Pristine): Stint {
  for (const { lan } of stations) lan.give(own, own.count);
  let at = 0;
  const work = () => {
    const { lan, loop } = stations[at] as Station;
    loop.turn(0);
    if (lan.toGive === 0) at++;
    return at < stations.length;
  };
  return barrier.race(work, () => stations.reduce((sum, { wan }) => sum + wan.sent, 0));
}

function steady(
  barrier: Barrier,
  { lan, wan, loop }: Station,
  feed: Feed,
  frames: Pristine,
  packets: number,
): Stint {
  const other = feed === lan ? wan : lan;
  feed.give(frames, packets);
  const before = other.sent;
  const work = () => {
    loop.turn(0);
    return feed.toGive > 0;
  };
  const stint = barrier.race(work, () => other.sent);
  const given = packets - feed.toGive;
  feed.toGive = 0;
  if (other.sent - before !== given) throw new Error(`${given} in, ${other.sent - before} out`);
  return stint;
}

/** Every frame comes to a worker that is not its own, and leaves where its conn is. */
function handedOff(
  barrier: Barrier,
  station: Station,
  others: Pristine,
  packets: number,
  crossed: SharedArrayBuffer,
): Stint {
  const { lan, wan, loop } = station;
  const shared = new Int32Array(crossed);
  let left = packets;
  lan.give(others, 0);
  const turn = () => {
    const onTheirWay = Atomics.load(shared, CrossedAt.Given) - Atomics.load(shared, CrossedAt.Left);
    const allowed = Math.max(0, Math.min(Limit.Batch, left, CROSSING_MAX - onTheirWay));
    const before = wan.sent;
    lan.toGive = allowed;
    loop.turn(0);
    const given = allowed - lan.toGive;
    left -= given;
    Atomics.add(shared, CrossedAt.Given, given);
    Atomics.add(shared, CrossedAt.Left, wan.sent - before);
    return left > 0;
  };
  const stint = barrier.race(turn, () => wan.sent);
  // What is still on its way.
  left = 0;
  while (Atomics.load(shared, CrossedAt.Given) > Atomics.load(shared, CrossedAt.Left)) {
    turn();
    if (station.lost > 0) throw new Error(`${station.lost} packets were lost between two workers`);
  }
  return stint;
}

useClock((workerData as HandStart).clock);
const hand = new Hand();
parentPort?.on("message", (order: WorkerOrder) => parentPort?.postMessage(hand.repeat(order)));
