/**
 * What the benchmarks of the datapath share: an edge as a plan has it, frames of its conns, and batches of them.
 * 60-byte UDP frames; every inside endpoint is one conn's.
 *
 * The datapath rewrites frames where they stand, so each batch is copied afresh from a pristine one.
 */

import { Limit } from "../../assembly/abi.js";
import { Datapath, type Instantiate } from "../../host/datapath.js";
import { ipv4Packet, udp } from "../harness/frame.js";
import { type EdgePlan, LAN_MAC, ROUTER_MAC, SERVER, UDP_SECONDS } from "./plan.js";

export { EdgePlan } from "./plan.js";

/** Bytes from one frame to the next. */
export const STRIDE = 128;
const BATCH_BYTES = Limit.Batch * STRIDE;
export const FRAME_BYTES = 60;
/** Interfaces, by index. */
export const LAN = 0;
export const WAN = 1;

/** Longer than a freed port may rest (RFC 6888 REQ-8). */
const REST_MS = 130_000;

/** Fisher-Yates with a fixed generator: every run measures the same order. */
export function shuffled(count: number): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  let state = 0x2545f491;
  for (let i = count - 1; i > 0; i--) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const j = Math.floor((state / 2 ** 32) * (i + 1));
    const kept = order[i] as number;
    order[i] = order[j] as number;
    order[j] = kept;
  }
  return order;
}

/** Frames of every conn, STRIDE bytes each: the conns' own, or the answers to what the datapath sent. */
export class Pristine {
  readonly bytes: Uint8Array;

  constructor(readonly count: number) {
    this.bytes = new Uint8Array(count * STRIDE);
  }

  /** @param tenants  as in EdgeShape: conn i is the (i mod tenants)-th one's */
  static outward(order: Uint32Array, tenants?: number): Pristine {
    const all = new Pristine(order.length);
    order.forEach((conn, i) => {
      const tag = tenants === undefined ? "" : tagOf((conn % tenants) + 1);
      const host = 0x0a000000 + (conn >>> 4);
      const data = FRAME_BYTES - (14 + tag.length / 2 + 20 + 8);
      const payload = udp({ sourcePort: 1024 + (conn & 15), destinationPort: 53, data });
      const packet = ipv4Packet({ source: host, destination: SERVER, payload });
      all.bytes.set(frame(ROUTER_MAC, LAN_MAC, tag, packet), i * STRIDE);
    });
    return all;
  }

  /** Some of them, by their places. */
  only(places: readonly number[]): Pristine {
    const some = new Pristine(places.length);
    places.forEach((place, i) => {
      some.bytes.set(this.bytes.subarray(place * STRIDE, (place + 1) * STRIDE), i * STRIDE);
    });
    return some;
  }

  /** The same frames over and over, where there are fewer than a batch of them. */
  widened(): Pristine {
    if (this.count >= Limit.Batch) return this;
    const wide = new Pristine(Limit.Batch);
    for (let i = 0; i < Limit.Batch; i++) {
      const at = (i % this.count) * STRIDE;
      wide.bytes.set(this.bytes.subarray(at, at + STRIDE), i * STRIDE);
    }
    return Object.assign(wide, { count: this.count });
  }
}

/** A customer tag, in hexadecimal. */
function tagOf(vlan: number): string {
  return `8100${vlan.toString(16).padStart(4, "0")}`;
}

function frame(to: string, from: string, tag: string, packet: Uint8Array): Buffer {
  const hex = `${to}${from}${tag}`.replaceAll(":", "");
  return Buffer.concat([Buffer.from(`${hex}0800`, "hex"), packet]);
}

/** The datapath under a plan, and a batch of frames in its memory. */
export class Edge {
  readonly datapath: Datapath;
  private readonly memory: Uint8Array;
  private readonly at: number;
  now = 0;

  constructor({ capacity, image }: EdgePlan, instantiate: Instantiate) {
    const options = { capacity, seed: new Uint8Array(16), windowBytes: BATCH_BYTES, instantiate };
    this.datapath = new Datapath(options, 0);
    this.datapath.configure(image, 0);
    this.memory = new Uint8Array(this.datapath.memory.buffer);
    this.at = this.datapath.window(BATCH_BYTES).at;
  }

  copy(from: Pristine, first: number, frames: number): void {
    const at = first * STRIDE;
    this.memory.set(from.bytes.subarray(at, at + frames * STRIDE), this.at + Limit.Headroom);
  }

  /** One batch in; returns how many frames left. */
  process(frames: number, carrier: number): number {
    const { inputs } = this.datapath;
    inputs.interface = carrier;
    inputs.limit = Limit.Batch;
    for (let i = 0; i < frames; i++) {
      inputs.push(this.at + Limit.Headroom + i * STRIDE, FRAME_BYTES, 0, 0);
    }
    return this.datapath.process(this.now);
  }

  /** The i-th frame that left. */
  sent(i: number): Uint8Array {
    const at = this.datapath.outputFrame(i);
    return this.memory.subarray(at, at + this.datapath.outputSize(i));
  }

  /** The answers to the frames that just left, into `to` from frame `first` on. */
  turnAround(to: Pristine, first: number, outputs: number): void {
    for (let i = 0; i < outputs; i++) to.bytes.set(answerTo(this.sent(i)), (first + i) * STRIDE);
  }

  /** Lets the clock run until every conn has ended. */
  expire(): void {
    this.now += (UDP_SECONDS + 1) * 1000;
    this.runTimers();
  }

  /** And until every port may be given again. */
  rest(): void {
    this.now += REST_MS;
    this.runTimers();
  }

  private runTimers(): void {
    while (this.datapath.wait(this.now) === 0) this.datapath.expire(this.now, Limit.Batch);
  }
}

/** Swaps MACs, addresses and ports; no checksum changes by that. */
export function answerTo(sent: Uint8Array): Uint8Array {
  const answer = sent.slice();
  const swap = (a: number, b: number, bytes: number) => {
    answer.set(sent.subarray(a, a + bytes), b);
    answer.set(sent.subarray(b, b + bytes), a);
  };
  swap(0, 6, 6);
  swap(26, 30, 4);
  swap(34, 36, 2);
  return answer;
}

export function* batches(count: number): Generator<[first: number, frames: number]> {
  for (let first = 0; first < count; first += Limit.Batch) {
    yield [first, Math.min(Limit.Batch, count - first)];
  }
}
