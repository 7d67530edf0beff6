/**
 * Replay: captures in, captures and counters out, with the clock of the captures. The same configuration,
 * frames and seed give the same bytes, whatever the machine and its load: no device, no thread and no
 * clock takes part.
 */

import { DescriptorFlag, Limit } from "../assembly/abi.js";
import { capacityOf, compileImage } from "./config/compile.js";
import type { Config, Device } from "./config/model.js";
import { Datapath } from "./datapath.js";
import type { CapturedPacket } from "./device/pcapfile.js";
import { type ConnView, readConn } from "./telemetry/conn.js";
import { type Counters, rawCounters, readCounters } from "./telemetry/counters.js";

/** What was captured on a device, or rather on its interface: tags stand in the frames. */
export interface ReplayInput {
  readonly device: Device;
  readonly packets: Iterable<CapturedPacket>;
}

/** Takes each frame that leaves; `bytes` is good until it returns. */
export type Sink = (device: Device, timestampNs: bigint, bytes: Uint8Array) => void;

export interface ReplayResult {
  /** Frames read. */
  readonly frames: number;
  /** Frames that the capture holds only the beginning of. */
  readonly truncated: number;
  readonly counters: Counters;
  readonly conns: ConnView[];
}

/** Conns and neighbors looked after in one call; more are looked after in the next. */
const EXPIRE_LIMIT = 256;

/** A seed number as the 16 bytes that the datapath wants: little-endian, then zeros. */
export function seedBytes(seed: bigint): Uint8Array {
  const bytes = new Uint8Array(16);
  new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, seed), true);
  return bytes;
}

export class Replay {
  private readonly datapath: Datapath;
  private readonly frameAt: number;
  private readonly memory: Uint8Array;
  /** Milliseconds since the first frame; never runs backwards. */
  private now = 0;
  private baseNs: bigint | undefined;
  private frames = 0;
  private truncated = 0;

  constructor(
    private readonly config: Config,
    seed: Uint8Array,
    private readonly sink: Sink,
  ) {
    const windowBytes = Limit.Headroom + 65536;
    this.datapath = new Datapath({ capacity: capacityOf(config), seed, windowBytes }, 0);
    this.datapath.configure(compileImage(config), 0);
    this.frameAt = this.datapath.window(windowBytes).at + Limit.Headroom;
    this.memory = new Uint8Array(this.datapath.memory.buffer);
  }

  /** Merges the inputs by timestamp; equal ones in the order of the inputs. */
  run(inputs: readonly ReplayInput[]): ReplayResult {
    for (const { device, packet } of merge(inputs)) this.take(device, packet);
    return {
      frames: this.frames,
      truncated: this.truncated,
      counters: readCounters(rawCounters(this.datapath, this.config), this.config),
      conns: Array.from(this.datapath.connRows(this.now), readConn),
    };
  }

  private take(device: Device, packet: CapturedPacket): void {
    this.baseNs ??= packet.timestampNs;
    const sinceStart = Number((packet.timestampNs - this.baseNs) / 1_000_000n);
    this.passTime(Math.max(this.now, sinceStart));
    this.frames++;
    if (packet.truncated) this.truncated++;
    this.push(device, packet.bytes);
    this.drain(this.datapath.process(this.now), packet.timestampNs);
  }

  /** A frame without a tag on a tagged device was captured behind the VLAN: its tag travels beside it. */
  private push(device: Device, bytes: Uint8Array): void {
    const size = Math.min(bytes.length, 65535);
    this.memory.set(bytes.subarray(0, size), this.frameAt);
    const { inputs } = this.datapath;
    inputs.interface = device.interface.index;
    inputs.limit = Limit.Batch;
    const beside = device.vlan !== undefined && device.vlan.inner === undefined && !isTagged(bytes);
    const flags = beside ? DescriptorFlag.VlanBeside : 0;
    inputs.push(this.frameAt, size, beside ? (device.vlan?.outer ?? 0) : 0, flags);
  }

  /** Lets timers run out one by one until `until`, so that each acts at its own time. */
  private passTime(until: number): void {
    for (;;) {
      const wait = this.datapath.wait(this.now);
      if (this.now + wait > until) break;
      this.now += wait;
      const atNs = (this.baseNs ?? 0n) + BigInt(this.now) * 1_000_000n;
      this.drain(this.datapath.expire(this.now, EXPIRE_LIMIT), atNs);
    }
    this.now = until;
  }

  private drain(outputs: number, timestampNs: bigint): void {
    for (let i = 0; i < outputs; i++) {
      const device = this.config.devices[this.datapath.outputDevice(i)];
      if (device === undefined) throw new Error(`output ${i}: no such device`);
      const at = this.datapath.outputFrame(i);
      this.sink(device, timestampNs, this.memory.subarray(at, at + this.datapath.outputSize(i)));
    }
  }
}

/** EtherTypes of a customer's and a service tag (IEEE 802.1Q, 802.1ad). */
const TAG_TYPES: readonly number[] = [0x8100, 0x88a8];

function isTagged(frame: Uint8Array): boolean {
  return TAG_TYPES.includes(((frame[12] ?? 0) << 8) | (frame[13] ?? 0));
}

interface Head {
  readonly device: Device;
  readonly rest: Iterator<CapturedPacket>;
  packet: CapturedPacket;
}

function* merge(
  inputs: readonly ReplayInput[],
): Generator<{ device: Device; packet: CapturedPacket }> {
  const heads: Head[] = [];
  for (const { device, packets } of inputs) {
    const rest = packets[Symbol.iterator]();
    const first = rest.next();
    if (!first.done) heads.push({ device, rest, packet: first.value });
  }
  while (heads.length > 0) {
    const head = heads.reduce((a, b) => (b.packet.timestampNs < a.packet.timestampNs ? b : a));
    yield head;
    const next = head.rest.next();
    if (next.done) heads.splice(heads.indexOf(head), 1);
    else head.packet = next.value;
  }
}
