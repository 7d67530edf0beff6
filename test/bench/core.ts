/**
 * The datapath alone, in memory: what a packet of a known conn costs, what a new conn costs and what its
 * end costs, by the number of conns. 60-byte UDP frames in batches of 256, conns in random order, so that
 * beyond the caches' size every packet misses them.
 *
 * The datapath rewrites frames where they stand, so each batch is copied afresh from a pristine one; the
 * copying is timed alone and subtracted.
 */

import { Limit } from "../../assembly/abi.js";
import { compileImage } from "../../host/config/compile.js";
import { checkConfig } from "../../host/config/parse.js";
import { Datapath, loadModule } from "../../host/datapath.js";
import { ipv4Packet, udp } from "../harness/frame.js";
import { round, sampleOf, timeNs } from "./measure.js";

export interface CoreRow {
  readonly name: "steady-out" | "steady-in" | "set-up" | "expiry";
  readonly conns: number;
  readonly nsPerPacket: number;
  readonly raw: readonly number[];
  readonly packetsPerRepetition: number;
  /** Copying of the pristine frames, already subtracted. */
  readonly copyNs: number;
}

const ROUTER_MAC = "02:00:5e:00:00:01";
const LAN_MAC = "02:00:00:00:0a:01";
const WAN_MAC = "02:00:00:00:14:01";
const SERVER = "198.51.100.10";
/** Bytes from one frame to the next. */
const STRIDE = 128;
const BATCH_BYTES = Limit.Batch * STRIDE;
/** Conns beyond the measured ones, so that the last is not made in a full table. */
const SPARE = 1024;

function configuration(conns: number) {
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
    pools: [{ name: "p", zone: "public", addresses: ["203.0.113.64/26"] }],
    nat: [{ from: ["tenant"], to: "public", pool: "p" }],
    timeouts: { udp: 300 },
    capacity: { conns: conns + SPARE },
  });
}

/** Fisher-Yates with a fixed generator: every run measures the same order. */
function shuffled(count: number): Uint32Array {
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
class Pristine {
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
}

function frame(to: string, from: string, packet: Uint8Array): Buffer {
  const hex = `${to}${from}`.replaceAll(":", "");
  return Buffer.concat([Buffer.from(`${hex}0800`, "hex"), packet]);
}

class Bench {
  readonly datapath: Datapath;
  private readonly memory: Uint8Array;
  private readonly at: number;
  now = 0;

  constructor(conns: number, module: WebAssembly.Module) {
    const config = configuration(conns);
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
  process(frames: number, bytes: number, carrier: number): number {
    const { inputs } = this.datapath;
    inputs.interface = carrier;
    inputs.limit = Limit.Batch;
    for (let i = 0; i < frames; i++) {
      inputs.push(this.at + Limit.Headroom + i * STRIDE, bytes, 0, 0);
    }
    return this.datapath.process(this.now);
  }

  /** The answers to the frames that just left, into `to` from frame `first` on. */
  turnAround(to: Pristine, first: number, outputs: number): void {
    for (let i = 0; i < outputs; i++) {
      const at = this.datapath.outputFrame(i);
      const sent = this.memory.subarray(at, at + this.datapath.outputSize(i));
      to.bytes.set(answerTo(sent), (first + i) * STRIDE);
    }
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

const FRAME_BYTES = 60;
const SET_UP_CONNS_MIN = 1000;

function* batches(count: number): Generator<[first: number, frames: number]> {
  for (let first = 0; first < count; first += Limit.Batch) {
    yield [first, Math.min(Limit.Batch, count - first)];
  }
}

/** Nanoseconds a packet over all frames, as often as gives at least `packets`. */
function steady(bench: Bench, from: Pristine, carrier: number, packets: number): [number, number] {
  const rounds = Math.max(1, Math.ceil(packets / from.count));
  // A batch is always full, so that one conn is not measured as batches of one.
  const perBatch = from.count < Limit.Batch ? Limit.Batch : 0;
  let sent = 0;
  const pass = (work: (first: number, frames: number) => void) => {
    if (perBatch > 0) for (let n = 0; n < packets; n += perBatch) work(0, perBatch);
    else
      for (let r = 0; r < rounds; r++) for (const [first, n] of batches(from.count)) work(first, n);
  };
  const copyNs = timeNs(() => pass((first, n) => bench.copy(from, first, n)));
  const ns = timeNs(() =>
    pass((first, n) => {
      bench.copy(from, first, n);
      sent += bench.process(n, FRAME_BYTES, carrier);
    }),
  );
  const expected = perBatch > 0 ? Math.ceil(packets / perBatch) * perBatch : rounds * from.count;
  if (sent !== expected) throw new Error(`${expected} packets in, ${sent} out`);
  return [(ns - copyNs) / expected, copyNs / expected];
}

/** All conns made, timed; the answers' frames are gathered outside of the time. */
function setUp(bench: Bench, out: Pristine, back: Pristine): number {
  let ns = 0;
  for (const [first, frames] of batches(out.count)) {
    bench.copy(out, first, frames);
    let sent = 0;
    ns += timeNs(() => {
      sent = bench.process(frames, FRAME_BYTES, 0);
    });
    if (sent !== frames) throw new Error(`${frames} conns asked for, ${sent} made`);
    bench.turnAround(back, first, sent);
  }
  return ns / out.count;
}

/** Makes and ends enough conns for the compiler to have seen every path. */
function warmUp(module: WebAssembly.Module): void {
  const conns = 20_000;
  for (let round = 0; round < 5; round++) {
    const bench = new Bench(conns, module);
    setUp(bench, Pristine.outward(shuffled(conns)), new Pristine(conns));
    expire(bench, conns);
  }
}

/** All conns ended, timed. */
function expire(bench: Bench, conns: number): number {
  bench.now += 301_000;
  const ns = timeNs(() => {
    while (bench.datapath.wait(bench.now) === 0) bench.datapath.expire(bench.now, Limit.Batch);
  });
  return ns / conns;
}

/** A batch of one conn is that conn's frame over and over. */
function widened(all: Pristine): Pristine {
  if (all.count >= Limit.Batch) return all;
  const wide = new Pristine(Limit.Batch);
  for (let i = 0; i < Limit.Batch; i++) {
    const at = (i % all.count) * STRIDE;
    wide.bytes.set(all.bytes.subarray(at, at + STRIDE), i * STRIDE);
  }
  return Object.assign(wide, { count: all.count });
}

export interface CoreOptions {
  readonly conns: readonly number[];
  readonly repetitions: number;
  readonly packets: number;
}

export function* benchCore(options: CoreOptions): Generator<CoreRow> {
  // One module for all: its code is optimised by then, as that of a daemon that has run for a second.
  const module = loadModule();
  warmUp(module);
  for (const conns of options.conns) {
    const raw = {
      out: [] as number[],
      in: [] as number[],
      setUp: [] as number[],
      end: [] as number[],
    };
    const copies: number[] = [];
    const out = Pristine.outward(shuffled(conns));
    const wideOut = widened(out);
    for (let repetition = 0; repetition < options.repetitions; repetition++) {
      const bench = new Bench(conns, module);
      const back = new Pristine(conns);
      raw.setUp.push(setUp(bench, out, back));
      const [outNs, copyNs] = steady(bench, wideOut, 0, options.packets);
      const [inNs] = steady(bench, widened(back), 1, options.packets);
      raw.out.push(outNs);
      raw.in.push(inNs);
      copies.push(copyNs);
      raw.end.push(expire(bench, conns));
    }
    const copyNs = sampleOf(copies).median;
    const packets = Math.max(conns, options.packets);
    yield row("steady-out", conns, raw.out, packets, copyNs);
    yield row("steady-in", conns, raw.in, packets, copyNs);
    // Of a few conns it would be the clock's own cost.
    if (conns < SET_UP_CONNS_MIN) continue;
    yield row("set-up", conns, raw.setUp, conns, 0);
    yield row("expiry", conns, raw.end, conns, 0);
  }
}

function row(
  name: CoreRow["name"],
  conns: number,
  raw: readonly number[],
  packetsPerRepetition: number,
  copyNs: number,
): CoreRow {
  const sample = sampleOf(raw);
  return {
    name,
    conns,
    nsPerPacket: sample.median,
    raw: sample.raw,
    packetsPerRepetition,
    copyNs: round(copyNs),
  };
}
