/**
 * A router for tests: the datapath behind its public exports only, with a clock of its own. Frames go in by
 * the name of a device, frames come out with theirs.
 *
 * After every call the router itself checks what must always hold and throws where it does not:
 *
 *     every frame ended with exactly one Reason      nothing was written outside frame and headroom
 *     every checksum that leaves is right            a frame carries its device's tags and MAC
 *     a frame goes to a MAC of its device's zone     what left is what the devices counted
 *
 * With `workers` in its configuration it is as many datapaths, each frame is received by another one of them, and what
 * they hand off crosses at once: whoever sees frames only sees one router.
 */

import { readFileSync } from "node:fs";
import { DescriptorFlag, DeviceCounterAt, Limit, None, Reason } from "../../assembly/abi.js";
import { capacityOf, compileImage } from "../../host/config/compile.js";
import { virtualMac } from "../../host/config/mac.js";
import type { Config, Device } from "../../host/config/model.js";
import { checkConfig } from "../../host/config/parse.js";
import { shareShiftOf } from "../../host/config/shares.js";
import { type ArenaCapacity, Datapath, loadModule } from "../../host/datapath.js";
import { seedBytes } from "../../host/replay.js";
import { type ConnView, readConn } from "../../host/telemetry/conn.js";
import { type Counters, rawCounters, readCounters } from "../../host/telemetry/counters.js";
import { type EventView, readEvents } from "../../host/telemetry/event.js";
import {
  type HostView,
  type MappingView,
  readHost,
  readMapping,
} from "../../host/telemetry/mapping.js";
import { Allowances } from "../../host/workers/allowances.js";
import { capacityOfEach, limitsOf, seedOf } from "../../host/workers/share.js";
import { sumCounters } from "../../host/workers/sum.js";
import { macText, readFrame, type Seen } from "./frame.js";
import { type NeighborView, readNeighbor } from "./neighborview.js";

/** A configuration document, as JSON would give it. */
export type Document = Record<string, unknown>;

/** A frame that left. */
export interface Sent extends Seen {
  readonly device: string;
  readonly bytes: Buffer;
}

export interface RouterOptions {
  /** Of the hash and the port allocation. */
  readonly seed?: number;
  /** The clock at the start, milliseconds. */
  readonly now?: number;
  /** Frames may be wrong in any way: what their senders summed up wrong stays wrong. */
  readonly hostile?: boolean;
  /** Where the arena must be larger than the first configuration asks for. */
  readonly capacity?: Partial<ArenaCapacity>;
  /** Which of several workers receives a frame; left out, each is received by another one. */
  readonly steer?: (device: string, frame: Uint8Array) => number;
}

/** How a tag travels: inside the frame, or beside it. */
export interface Beside {
  readonly tci: number;
  readonly service?: boolean;
}

/** Bytes around a frame's headroom and behind its end that must stay as they are. */
const GUARD = 64;
const CANARY = 0xa5;
const SLOT = 2 * GUARD + Limit.Headroom + Limit.FrameBytes + 66;
/** A frame that ends where the memory ends: whoever reads on traps. */
const LAST_SLOT = Limit.Batch;
const EXPIRE_LIMIT = 256;
/** Calls of `expire` without the clock moving on, before it is taken for a loop without end. */
const STUCK = 100_000;

/** Reasons that are counted beside a frame's own end. */
const BESIDE: readonly Reason[] = [
  Reason.HeldSent,
  Reason.NeighborFailed,
  Reason.FragmentTimeout,
  Reason.OutputFull,
];

let compiled: WebAssembly.Module | undefined;

/** Names a file to be tried instead of the release build: test/mutate breaks one behaviour at a time. */
export const OTHER_DATAPATH = "CROSSZONE_DATAPATH";

/** The release build, or the other one, compiled once. */
export function datapathModule(): WebAssembly.Module {
  const other = process.env[OTHER_DATAPATH];
  compiled ??= other ? new WebAssembly.Module(readFileSync(other)) : loadModule();
  return compiled;
}

/** Runs every router with so many workers whose configuration does not say how many. */
export const WORKERS = "CROSSZONE_WORKERS";

/** One worker's datapath, and where frames stand in its memory. */
class Member {
  readonly datapath: Datapath;
  readonly memory: Uint8Array;
  readonly slots: number;
  readonly allowances: Allowances;

  constructor(
    worker: number,
    config: Config,
    options: RouterOptions,
    now: number,
    lent: Int32Array,
  ) {
    const { workers } = config;
    const whole = { ...capacityOf(config), ...options.capacity };
    const capacity = capacityOfEach(whole, workers);
    const seed = seedOf(seedBytes(BigInt(options.seed ?? 1)), worker);
    const windowBytes = (Limit.Batch + 1) * SLOT;
    const share = { workers, worker, shareShift: shareShiftOf(config) };
    const module = datapathModule();
    this.datapath = new Datapath({ capacity, seed, windowBytes, module, share }, now);
    this.memory = new Uint8Array(this.datapath.memory.buffer);
    this.slots = this.datapath.window(windowBytes).at;
    this.allowances = new Allowances(this.datapath, lent);
  }

  configure(image: Uint8Array, config: Config, now: number): void {
    this.datapath.configure(image, now);
    if (config.workers > 1) this.allowances.settle(limitsOf(config));
  }
}

/** A frame on its way from one worker to another. */
interface Crossing {
  readonly to: number;
  readonly input: Input;
}

export class Router {
  /** The first worker's. */
  readonly datapath: Datapath;
  config: Config;
  /** Milliseconds of the virtual clock; the datapath sees its lowest 32 bits. */
  now: number;
  /** What the last call counted, by name of the Reason. */
  ended: Record<string, number> = {};
  private readonly members: readonly Member[];
  private readonly crossings: Crossing[] = [];
  private readonly hostile: boolean;
  /** How often frames have crossed from one worker to another. */
  crossed = 0;
  /** Who receives the next frame. */
  private receiver = 0;
  private readonly steer: RouterOptions["steer"];

  constructor(document: Document, options: RouterOptions = {}) {
    this.config = checkRouterConfig(document);
    this.now = options.now ?? 1000;
    this.hostile = options.hostile ?? false;
    this.steer = options.steer;
    const lent = new Int32Array(Limit.Zones + 1);
    this.members = Array.from(
      { length: this.config.workers },
      (_, worker) => new Member(worker, this.config, options, this.now, lent),
    );
    this.datapath = this.member(0).datapath;
    this.install(compileImage(this.config));
  }

  /** One for each worker. */
  get datapaths(): readonly Datapath[] {
    return this.members.map(({ datapath }) => datapath);
  }

  private member(worker: number): Member {
    const member = this.members[worker];
    if (member === undefined) throw new Error(`no worker ${worker}`);
    return member;
  }

  device(name: string): Device {
    const device = this.config.devices.find((each) => each.name === name);
    if (device === undefined) throw new Error(`no device ${name}`);
    return device;
  }

  /** The MAC that a device answers with. */
  macOf(name: string): string {
    const device = this.device(name);
    const mac = device.mac ?? virtualMac(device.interface.name);
    return (mac.toString(16).padStart(12, "0").match(/../g) ?? []).join(":");
  }

  /** Hands frames in on a device's interface, in batches as large as they may be. */
  send(device: string, ...frames: readonly Uint8Array[]): Sent[] {
    const on = this.device(device).interface.index;
    return this.take(frames.map((bytes) => ({ on, bytes, worker: this.steer?.(device, bytes) })));
  }

  /** A frame whose outer tag the kernel has taken off. */
  sendBeside(device: string, beside: Beside, bytes: Uint8Array): Sent[] {
    const on = this.device(device).interface.index;
    const service = beside.service === true ? DescriptorFlag.ServiceTag : 0;
    return this.take([{ on, bytes, tci: beside.tci, flags: DescriptorFlag.VlanBeside | service }]);
  }

  /** A frame of which nobody says whether its sender left the checksum to a card. */
  sendUnsure(device: string, bytes: Uint8Array): Sent[] {
    const on = this.device(device).interface.index;
    return this.take([{ on, bytes, flags: DescriptorFlag.ChecksumUnsure }]);
  }

  /** Frames of several devices in one batch. */
  sendTogether(frames: readonly { device: string; bytes: Uint8Array }[]): Sent[] {
    return this.take(
      frames.map(({ device, bytes }) => ({ on: this.device(device).interface.index, bytes })),
    );
  }

  /** A frame that ends with the memory, so that the datapath traps if it reads a byte too many. */
  sendAtEnd(device: string, bytes: Uint8Array): Sent[] {
    return this.take([{ on: this.device(device).interface.index, bytes, atEnd: true }]);
  }

  private take(frames: readonly Input[]): Sent[] {
    const before = this.counts();
    const sent: Sent[] = [];
    // Frames of one batch stay in their order only where one worker has them all.
    const together = this.members.length === 1 ? Limit.Batch : 1;
    for (let first = 0; first < frames.length; first += together) {
      this.receiver = frames[first]?.worker ?? (this.receiver + 1) % this.members.length;
      sent.push(...this.batch(this.member(this.receiver), frames.slice(first, first + together)));
      sent.push(...this.cross());
    }
    this.account(before, frames.length, sent.length);
    return sent;
  }

  /** Lets everything cross that is on its way between workers. */
  private cross(): Sent[] {
    const sent: Sent[] = [];
    for (let hops = 0; ; hops++) {
      const next = this.crossings.shift();
      if (next === undefined) return sent;
      if (hops > STUCK) throw new Error("frames cross for ever");
      sent.push(...this.batch(this.member(next.to), [next.input]));
    }
  }

  private batch(member: Member, frames: readonly Input[]): Sent[] {
    const { inputs } = member.datapath;
    const places = frames.map((input, i) => place(member, input, i));
    for (const [i, { on, bytes, tci = 0, flags = 0 }] of frames.entries()) {
      inputs.interface = on;
      inputs.limit = Limit.Batch;
      inputs.push(places[i] as number, bytes.length, tci, flags);
    }
    const sent = this.drain(member, member.datapath.process(this.now));
    for (const [i, { bytes }] of frames.entries()) checkCanary(member, places[i] as number, bytes);
    return sent;
  }

  /** Lets the clock go on; each timer acts at its own time. */
  wait(ms: number): Sent[] {
    const until = this.now + ms;
    const before = this.counts();
    const sent: Sent[] = [];
    for (let calls = 0; ; calls++) {
      const wait = this.untilDue();
      if (this.now + wait > until) break;
      if (wait > 0) calls = 0;
      if (calls > STUCK) throw new Error(`expire has work for ever at ${this.now}`);
      this.now += wait;
      for (const member of this.members) {
        if (member.datapath.wait(this.now) > 0) continue;
        sent.push(...this.drain(member, member.datapath.expire(this.now, EXPIRE_LIMIT)));
        sent.push(...this.cross());
      }
    }
    this.now = until;
    for (const { allowances } of this.members) allowances.giveBack();
    this.account(before, 0, sent.length);
    return sent;
  }

  /** Milliseconds until one of the workers has something to do. */
  untilDue(): number {
    return Math.min(...this.members.map(({ datapath }) => datapath.wait(this.now)));
  }

  /** Switches to another configuration; an ImageError leaves the one in force. */
  reconfigure(document: Document): void {
    const config = checkRouterConfig(document);
    this.install(compileImage(config), config);
    this.config = config;
  }

  /** Any bytes as the next image, of `config` where they are one. */
  install(image: Uint8Array, config = this.config): void {
    const before = this.counts();
    for (const { datapath } of this.members) datapath.check(image);
    for (const member of this.members) member.configure(image, config, this.now);
    this.ended = named(this.counts(), before);
  }

  /** What frames ended as; that they crossed on their way is none of it. */
  reasons(): Record<string, number> {
    const { HandedOff: _, ...reasons } = named(this.counts());
    return reasons;
  }

  counters(): Counters {
    const all = this.members.map(({ datapath }) => rawCounters(datapath, this.config));
    return readCounters(sumCounters(all), this.config);
  }

  conns(): ConnView[] {
    return this.members.flatMap(({ datapath }) =>
      Array.from(datapath.connRows(this.now), readConn),
    );
  }

  neighbors(): NeighborView[] {
    return Array.from(this.datapath.neighborRows(this.now), (row) =>
      readNeighbor(row, this.config),
    );
  }

  mappings(): MappingView[] {
    return this.members.flatMap(({ datapath }) => Array.from(datapath.mappingRows(), readMapping));
  }

  hosts(): HostView[] {
    return this.members.flatMap(({ datapath }) => Array.from(datapath.hostRows(), readHost));
  }

  /** What has happened since the last call. */
  events(): EventView[] {
    return this.members.flatMap((member) => this.eventsOf(member));
  }

  private eventsOf({ datapath }: Member): EventView[] {
    const events: EventView[] = [];
    for (;;) {
      const more = readEvents(datapath.takeEvents(), this.config);
      if (more.length === 0) return events;
      events.push(...more);
    }
  }

  /** By Reason; behind them how many frames left. */
  private counts(): readonly bigint[] {
    const all = this.members.map(({ datapath }) => this.countsOf(datapath));
    return all.reduce((sum, each) => sum.map((count, i) => count + (each[i] ?? 0n)));
  }

  private countsOf(datapath: Datapath): bigint[] {
    const left = datapath
      .deviceCounters(this.config.devices.length)
      .reduce((sum, row) => sum + (row[DeviceCounterAt.TxPackets / 8] ?? 0n), 0n);
    return [...datapath.reasons(), left];
  }

  /** Each of the frames has one end, and what left has been counted. */
  private account(before: readonly bigint[], frames: number, sent: number): void {
    const after = this.counts();
    const { HandedOff: crossed = 0, ...ended } = named(after, before);
    this.ended = ended;
    this.crossed += crossed;
    const left = Number((after.at(-1) ?? 0n) - (before.at(-1) ?? 0n));
    if (left !== sent) throw new Error(`${sent} frames left, the devices counted ${left}`);
    let ends = 0;
    for (const [reason, count] of Object.entries(this.ended)) {
      if (!BESIDE.includes(Reason[reason as keyof typeof Reason])) ends += count;
    }
    const full = this.ended.OutputFull ?? 0;
    // A fragment that waited may find, when its first one comes, that it cannot leave.
    const waited = Number(before[Reason.FragmentHeld] ?? 0n);
    // All hear an ARP packet, and a fragment that waited for its first one may cross behind it.
    const most = frames + waited + crossed;
    if (ends > most || ends + full < frames) {
      throw new Error(
        `${frames} frames ended as ${JSON.stringify(this.ended)}, ${crossed} crossed`,
      );
    }
  }

  private drain(member: Member, outputs: number): Sent[] {
    const { datapath, memory } = member;
    const sent: Sent[] = [];
    for (let i = 0; i < outputs; i++) {
      const at = datapath.outputFrame(i);
      const bytes = Buffer.from(memory.slice(at, at + datapath.outputSize(i)));
      if (datapath.outputInterface(i) === None.Short) this.handOff(member, i, bytes);
      else sent.push(this.readSent(datapath, i, bytes));
    }
    return sent;
  }

  private handOff({ datapath, allowances }: Member, i: number, bytes: Buffer): void {
    const flags = datapath.outputFlags(i);
    const to = datapath.outputDevice(i);
    const isAsking = (flags & DescriptorFlag.Asked) !== 0 && this.member(to).datapath === datapath;
    if (isAsking) allowances.lend(datapath.outputZone(i));
    const input = { on: 0, bytes, tci: datapath.outputPlace(i), flags };
    this.crossings.push({ to, input });
  }

  private readSent(datapath: Datapath, i: number, bytes: Buffer): Sent {
    const device = this.config.devices[datapath.outputDevice(i)];
    if (device === undefined) return fail(`no device ${datapath.outputDevice(i)}`, bytes);
    if (datapath.outputInterface(i) !== device.interface.index) {
      fail(`${device.name} is not on that interface`, bytes);
    }
    const sent = { ...readFrame(bytes), device: device.name, bytes };
    this.checkLink(sent, device);
    if (sent.ip !== undefined) this.checkPacket(sent);
    return sent;
  }

  private checkLink(sent: Sent, device: Device): void {
    const { vlan } = device;
    const tags =
      vlan === undefined ? [] : [vlan.outer, vlan.inner].filter((id) => id !== undefined);
    if (tags.join() !== sent.vlans.join()) fail(`tags ${sent.vlans}, not ${tags}`, sent.bytes);
    if (sent.from !== this.macOf(device.name)) fail("from another MAC", sent.bytes);
    const zone = this.hostile ? undefined : zoneOfMac(sent.to);
    if (zone !== undefined && zone !== device.zone.id) {
      fail(`sent in zone ${device.zone.id} to a host of zone ${zone}`, sent.bytes);
    }
  }

  private checkPacket(sent: Sent): void {
    const { ip } = sent;
    if (ip === undefined) return;
    if (!ip.headerSound) fail("the IPv4 checksum is wrong", sent.bytes);
    if (!ip.sound && !this.hostile) fail("a checksum is wrong", sent.bytes);
  }
}

interface Input {
  readonly on: number;
  readonly bytes: Uint8Array;
  readonly tci?: number;
  /** DescriptorFlag */
  readonly flags?: number;
  readonly atEnd?: boolean;
  readonly worker?: number | undefined;
}

/** A checked configuration, with the workers of the environment where it does not say how many. */
function checkRouterConfig(document: Document): Config {
  const workers = process.env[WORKERS];
  return checkConfig(workers === undefined ? document : { workers: Number(workers), ...document });
}

/** Copies a frame in, between canaries. */
function place({ memory, slots }: Member, { bytes, atEnd }: Input, i: number): number {
  const slot = slots + (atEnd ? LAST_SLOT : i) * SLOT;
  const at = atEnd ? memory.length - bytes.length : slot + GUARD + Limit.Headroom;
  memory.fill(CANARY, at - Limit.Headroom - GUARD, at);
  memory.set(bytes, at);
  memory.fill(CANARY, at + bytes.length, at + bytes.length + GUARD);
  return at;
}

function checkCanary({ memory }: Member, at: number, bytes: Uint8Array): void {
  const before = memory.subarray(at - Limit.Headroom - GUARD, at - Limit.Headroom);
  const behind = memory.subarray(at + bytes.length, at + bytes.length + GUARD);
  if (!before.every(isCanary) || !behind.every(isCanary)) {
    fail("written outside of the frame", bytes);
  }
}

function isCanary(byte: number): boolean {
  return byte === CANARY;
}

function fail(what: string, bytes: Uint8Array): never {
  throw new Error(`${what}: ${Buffer.from(bytes).toString("hex")}`);
}

function named(after: readonly bigint[], before: readonly bigint[] = []): Record<string, number> {
  const differences = after
    .slice(0, Reason.Count)
    .map(
      (count, reason) => [Reason[reason] ?? "", Number(count - (before[reason] ?? 0n))] as const,
    );
  return Object.fromEntries(differences.filter(([, count]) => count !== 0));
}

/** MACs of test hosts say which zone they are in; undefined for others. */
export function zoneOfMac(mac: string): number | undefined {
  return mac.startsWith("06:") ? Number.parseInt(mac.slice(3, 5) + mac.slice(6, 8), 16) : undefined;
}

/** A host's MAC: 06, two bytes of zone, the low three bytes of its address. */
export function macIn(zone: number, address: number): string {
  const bytes = Buffer.alloc(6);
  bytes[0] = 6;
  bytes.writeUInt16BE(zone, 1);
  bytes.writeUIntBE(address & 0xffffff, 3, 3);
  return macText(bytes, 0);
}
