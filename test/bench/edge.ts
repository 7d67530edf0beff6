/**
 * What the benchmarks of the datapath share: an edge with one tenant behind one pool, frames of its conns, and
 * batches of them. 60-byte UDP frames; every inside endpoint is one conn's.
 *
 * The datapath rewrites frames where they stand, so each batch is copied afresh from a pristine one.
 */

import { Limit } from "../../assembly/abi.js";
import { compileImage } from "../../host/config/compile.js";
import { checkConfig } from "../../host/config/parse.js";
import { Datapath } from "../../host/datapath.js";
import { ipv4Packet, udp } from "../harness/frame.js";

const ROUTER_MAC = "02:00:5e:00:00:01";
const LAN_MAC = "02:00:00:00:0a:01";
const WAN_MAC = "02:00:00:00:14:01";
const SERVER = "198.51.100.10";
/** Bytes from one frame to the next. */
const STRIDE = 128;
const BATCH_BYTES = Limit.Batch * STRIDE;
export const FRAME_BYTES = 60;
/** Conns beyond the measured ones, so that the last is not made in a full table. */
const SPARE = 1024;
/** Interfaces, by index. */
export const LAN = 0;
export const WAN = 1;

const UDP_SECONDS = 300;
/** Longer than a freed port may rest (RFC 6888 REQ-8). */
const REST_MS = 130_000;

function configuration(conns: number, addresses: string) {
  const device = { driver: "loopback", mac: ROUTER_MAC };
  return checkConfig({
    version: 1,
    zones: [
      { id: 10, name: "tenant" },
      { id: 20, name: "public" },
    ],
    devices: [
      { ...device, name: "lan", zone: "tenant", interface: "lan", addresses: ["192.168.0.1/24"] },
      { ...device, name: "wan", zone: "public", interface: "wan", addresses: ["203.0.113.2/24"] },
    ],
    routes: [
      { zone: "tenant", to: "10.0.0.0/8", via: "192.168.0.2" },
      { zone: "public", to: "0.0.0.0/0", via: "203.0.113.1" },
    ],
    neighbors: [
      { zone: "tenant", address: "192.168.0.2", mac: LAN_MAC },
      { zone: "public", address: "203.0.113.1", mac: WAN_MAC },
    ],
    pools: [{ name: "p", zone: "public", addresses: [addresses] }],
    nat: [{ from: ["tenant"], to: "public", pool: "p" }],
    timeouts: { udp: UDP_SECONDS },
    capacity: { conns: conns + SPARE },
  });
}

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

  static outward(order: Uint32Array): Pristine {
    const all = new Pristine(order.length);
    order.forEach((conn, i) => {
      const host = 0x0a000000 + (conn >>> 4);
      const payload = udp({ sourcePort: 1024 + (conn & 15), destinationPort: 53, data: 18 });
      const packet = ipv4Packet({ source: host, destination: SERVER, payload });
      all.bytes.set(frame(ROUTER_MAC, LAN_MAC, packet), i * STRIDE);
    });
    return all;
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

function frame(to: string, from: string, packet: Uint8Array): Buffer {
  const hex = `${to}${from}`.replaceAll(":", "");
  return Buffer.concat([Buffer.from(`${hex}0800`, "hex"), packet]);
}

/** The datapath with room for so many conns, and a batch of frames in its memory. */
export class Edge {
  readonly datapath: Datapath;
  private readonly memory: Uint8Array;
  private readonly at: number;
  now = 0;

  /** `addresses` of the pool. */
  constructor(conns: number, module: WebAssembly.Module, addresses = "203.0.113.64/26") {
    const config = configuration(conns, addresses);
    const capacity = { conns: conns + SPARE, neighbors: 64, poolAddresses: 128, imageBytes: 65536 };
    const options = { capacity, seed: new Uint8Array(16), windowBytes: BATCH_BYTES, module };
    this.datapath = new Datapath(options, 0);
    const small = { ...config, capacity: { ...config.capacity, neighbors: 64 } };
    this.datapath.configure(compileImage(small), 0);
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
function answerTo(sent: Uint8Array): Uint8Array {
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
