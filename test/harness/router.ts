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
 * With `workers` in its configuration it is as many datapaths, and what they hand off crosses as it does between threads
 * (host/workers). Each frame is received by another one of them, and what crosses does so at once, unless the options
 * say otherwise: whoever sees frames only sees one router. Then it also holds that
 *
 *     what was handed off is taken, waits, or was counted as lost      a frame crosses no more often than `HOPS`
 */

import { DescriptorFlag, Fate, Limit, None, Reason, RestoredAt } from "../../assembly/abi.js";
import { compileImage } from "../../host/config/compile.js";
import { virtualMac } from "../../host/config/mac.js";
import type { Config, Device } from "../../host/config/model.js";
import { checkConfig } from "../../host/config/parse.js";
import { shareShiftOf } from "../../host/config/shares.js";
import type { Datapath } from "../../host/datapath.js";
import { type ConnView, readConn } from "../../host/telemetry/conn.js";
import { type Counters, rawCounters, readCounters } from "../../host/telemetry/counters.js";
import { type EventView, readEvents } from "../../host/telemetry/event.js";
import {
  type HostView,
  type MappingView,
  readHost,
  readMapping,
} from "../../host/telemetry/mapping.js";
import type { Allowances } from "../../host/workers/allowances.js";
import { Board, makeBoard } from "../../host/workers/board.js";
import { movedPorts } from "../../host/workers/moves.js";
import { sumCounters } from "../../host/workers/sum.js";
import { macText, readFrame, type Seen } from "./frame.js";
import { type Input, Member, type MemberOptions } from "./member.js";
import { type NeighborView, readNeighbor } from "./neighborview.js";

/** A configuration document, as JSON would give it. */
export type Document = Record<string, unknown>;

/** A frame that left. */
export interface Sent extends Seen {
  readonly device: string;
  /** Number of the configuration under which it left: how many came before it. */
  readonly configuration: number;
  readonly bytes: Buffer;
}

export interface RouterOptions extends MemberOptions {
  /** The clock at the start, milliseconds. */
  readonly now?: number;
  /** Of its first configuration, where it takes the place of a router that had others before. */
  readonly number?: number;
  /** Frames may be wrong in any way: what their senders summed up wrong stays wrong. */
  readonly hostile?: boolean;
  /** Which of several workers receives a frame; left out, each is received by another one. */
  readonly steer?: (device: string, frame: Uint8Array) => number;
  /** Whether what waits for a worker goes on waiting now, be it for later calls; left out, it never does. */
  readonly lingers?: () => boolean;
}

/** How many records had which Fate, by its name. */
export type Restored = Record<"conns" | "grants" | "ports", Record<string, number>>;

/** How a tag travels: inside the frame, or beside it. */
export interface Beside {
  readonly tci: number;
  readonly service?: boolean;
}

const EXPIRE_LIMIT = 256;
/** Calls of `expire` without the clock moving on, before it is taken for a loop without end. */
const STUCK = 100_000;

/**
 * How often a frame may cross: to whom it belongs, to whom its conn does, and to itself where the zone may have more
 * conns; once more each where it has turned round, and that itself. A fragment also to whom its datagram belongs.
 */
const HOPS = 9;
/** Beside that, to each other worker and back, which is asked about the answers to it. */
const ASKED_HOPS = 2;

/** Reasons that are counted beside a frame's own end. */
const BESIDE: readonly Reason[] = [
  Reason.HeldSent,
  Reason.NeighborFailed,
  Reason.FragmentTimeout,
  Reason.OutputFull,
];

/** Runs every router with so many workers whose configuration does not say how many. */
export const WORKERS = "CROSSZONE_WORKERS";

/** Whether a frame that was handed off, which has no tags, is one that all hear. */
function isArp(frame: Uint8Array): boolean {
  return frame[12] === 0x08 && frame[13] === 0x06;
}

/** What has been counted up to some moment. */
interface Account {
  /** By Reason; behind them how many frames left. */
  readonly counts: readonly bigint[];
  readonly received: number;
  readonly handed: number;
  /** Frames on their way between workers. */
  readonly crossing: number;
}

/** Called before a frame is received that comes alone; what it returns is called with what left behind that. */
export type Watcher = (
  router: Router,
  worker: number,
  frame: Input,
) => ((sent: readonly Sent[]) => void) | undefined;

export class Router {
  /** Watches all routers. */
  static watcher: Watcher | undefined;
  /** The first worker's. */
  readonly datapath: Datapath;
  config: Config;
  /** Milliseconds of the virtual clock; the datapath sees its lowest 32 bits. */
  now: number;
  /** What the last call counted, by name of the Reason. */
  ended: Record<string, number> = {};
  private readonly members: readonly Member[];
  private readonly hostile: boolean;
  /** How often frames have crossed from one worker to another. */
  crossed = 0;
  /** Number of the configuration in force. */
  number: number;
  /** Frames that datapaths have taken in, from wherever; those that they have handed off. Without what all hear. */
  private received = 0;
  private handed = 0;
  /** All that was put into rings, and taken out of them. */
  private put = 0;
  private taken = 0;
  /** Who receives the next frame. */
  private receiver = 0;
  private readonly options: RouterOptions;

  constructor(document: Document, options: RouterOptions = {}) {
    this.config = checkRouterConfig(document);
    this.now = options.now ?? 1000;
    this.number = options.number ?? 0;
    this.hostile = options.hostile ?? false;
    this.options = options;
    const board = new Board(makeBoard(this.config.workers));
    this.members = Array.from(
      { length: this.config.workers },
      (_, worker) => new Member(worker, this.config, options, this.now, board),
    );
    this.datapath = this.member(0).datapath;
    const image = compileImage(this.config);
    for (const member of this.members) {
      member.configure(image, this.config, this.number, this.now);
    }
  }

  /** Whether frames cross between workers before anything else happens. */
  get crossesAtOnce(): boolean {
    return this.options.lingers === undefined;
  }

  /** Whether some workers have switched to a configuration, and others have not. */
  get isSwitching(): boolean {
    return this.members.some(({ config }) => config !== this.config);
  }

  get allowances(): readonly Allowances[] {
    return this.members.map(({ allowances }) => allowances);
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
    const configs = [this.config, ...this.members.map(({ config }) => config)];
    const device = configs.flatMap(({ devices }) => devices).find((each) => each.name === name);
    if (device === undefined) throw new Error(`no device ${name}`);
    return device;
  }

  /** The MAC that a device answers with. */
  macOf(name: string): string {
    return macTextOf(this.device(name));
  }

  /** Hands frames in on a device's interface, in batches as large as they may be. */
  send(device: string, ...frames: readonly Uint8Array[]): Sent[] {
    const on = this.device(device).interface.name;
    const { steer } = this.options;
    return this.take(frames.map((bytes) => ({ on, bytes, worker: steer?.(device, bytes) })));
  }

  /** A frame whose outer tag the kernel has taken off. */
  sendBeside(device: string, beside: Beside, bytes: Uint8Array): Sent[] {
    const on = this.device(device).interface.name;
    const service = beside.service === true ? DescriptorFlag.ServiceTag : 0;
    return this.take([{ on, bytes, tci: beside.tci, flags: DescriptorFlag.VlanBeside | service }]);
  }

  /** A frame of which nobody says whether its sender left the checksum to a card. */
  sendUnsure(device: string, bytes: Uint8Array): Sent[] {
    const on = this.device(device).interface.name;
    return this.take([{ on, bytes, flags: DescriptorFlag.ChecksumUnsure }]);
  }

  /** Frames of several devices in one batch. */
  sendTogether(frames: readonly { device: string; bytes: Uint8Array }[]): Sent[] {
    return this.take(
      frames.map(({ device, bytes }) => ({ on: this.device(device).interface.name, bytes })),
    );
  }

  /** A frame that ends with the memory, so that the datapath traps if it reads a byte too many. */
  sendAtEnd(device: string, bytes: Uint8Array): Sent[] {
    return this.take([{ on: this.device(device).interface.name, bytes, atEnd: true }]);
  }

  private take(frames: readonly Input[]): Sent[] {
    if (frames.length === 1 && Router.watcher !== undefined) return this.takeWatched(frames);
    return this.takeAll(frames);
  }

  private takeWatched(frames: readonly Input[]): Sent[] {
    const [frame] = frames as [Input];
    const worker = frame.worker ?? (this.receiver + 1) % this.members.length;
    const watched = Router.watcher?.(this, worker, frame);
    const sent = this.takeAll([{ ...frame, worker }]);
    watched?.(sent);
    return sent;
  }

  private takeAll(frames: readonly Input[]): Sent[] {
    const before = this.account();
    const sent: Sent[] = [];
    // Frames of one batch stay in their order only where one worker has them all.
    const together = this.members.length === 1 ? Limit.Batch : 1;
    for (let first = 0; first < frames.length; first += together) {
      this.receiver = frames[first]?.worker ?? (this.receiver + 1) % this.members.length;
      sent.push(...this.batch(this.member(this.receiver), frames.slice(first, first + together)));
      sent.push(...this.cross());
    }
    this.check(before, frames.length, sent.length);
    return sent;
  }

  /** Lets cross what is on its way between workers, but for what goes on waiting. */
  private cross(lingers = this.options.lingers ?? (() => false)): Sent[] {
    const sent: Sent[] = [];
    for (let turns = 0; ; turns++) {
      const ready = this.members.filter(({ isAwaited }) => isAwaited && !lingers());
      if (ready.length === 0) return sent;
      if (turns > STUCK) throw new Error("frames cross for ever");
      for (const member of ready) sent.push(...this.crossTo(member));
    }
  }

  /** One batch of what was handed to a worker. */
  private crossTo(member: Member): Sent[] {
    const { datapath, crossings } = member;
    if (crossings === undefined) return [];
    datapath.inputs.limit = Limit.Batch;
    crossings.receive(datapath.inputs);
    const { count } = datapath.inputs;
    this.taken += count;
    this.received += count - member.inputs(count).filter(isArp).length;
    const sent = this.drain(member, datapath.process(this.now));
    crossings.release();
    return sent;
  }

  /** Whether something is on its way between workers. */
  get isCrossing(): boolean {
    return this.crossing !== 0;
  }

  private get hops(): number {
    return HOPS + ASKED_HOPS * (this.members.length - 1);
  }

  private get crossing(): number {
    return this.put - this.taken - this.missed;
  }

  /** Lets everything cross. */
  settle(): Sent[] {
    const before = this.account();
    const sent = this.cross(() => false);
    this.check(before, 0, sent.length);
    if (this.isCrossing) {
      const { put, taken, missed } = this;
      throw new Error(`${put} frames were handed off, ${taken} taken, ${missed} lost`);
    }
    return sent;
  }

  /** Frames that were lost between workers: of a configuration that is gone, or without a place in their ring. */
  get missed(): number {
    const all = this.members.map(({ crossings }) => crossings?.counters);
    return all.reduce((sum, each) => sum + (each?.rxMissed ?? 0) + (each?.txDropped ?? 0), 0);
  }

  private batch(member: Member, frames: readonly Input[]): Sent[] {
    const { inputs } = member.datapath;
    const places = frames.map((input, i) => member.place(input, i));
    for (const [i, { on, bytes, tci = 0, flags = 0 }] of frames.entries()) {
      const carrier = member.config.interfaces.find(({ name }) => name === on);
      if (carrier === undefined) throw new Error(`worker ${member.worker} has no interface ${on}`);
      inputs.interface = carrier.index;
      inputs.limit = Limit.Batch;
      inputs.push(places[i] as number, bytes.length, tci, flags);
    }
    this.received += frames.length;
    const sent = this.drain(member, member.datapath.process(this.now));
    for (const [i, input] of frames.entries()) {
      if (!member.isUnspoiled(places[i] as number, input)) {
        fail("written outside of the frame", input.bytes);
      }
    }
    return sent;
  }

  /** Lets the clock go on; each timer acts at its own time. */
  wait(ms: number): Sent[] {
    const until = this.now + ms;
    const before = this.account();
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
    // As often as a worker does.
    if (Math.floor(until / 1000) > Math.floor((until - ms) / 1000)) {
      for (const member of this.members) member.giveBack();
    }
    this.now = until;
    this.check(before, 0, sent.length);
    return sent;
  }

  /** Milliseconds until one of the workers has something to do. */
  untilDue(): number {
    return Math.min(...this.members.map(({ datapath }) => datapath.wait(this.now)));
  }

  /**
   * Switches to another configuration; an ImageRefused leaves the one in force.
   * @param between  what happens while some workers have switched and others have not
   */
  reconfigure(document: Document, between?: () => void): void {
    const config = checkRouterConfig(document);
    this.install(compileImage(config), config, between);
  }

  /** Any bytes as the next image, of `config` where they are one. */
  install(image: Uint8Array, config = this.config, between = () => {}): void {
    const before = this.counts();
    for (const { datapath } of this.members) datapath.check(image);
    for (const [i, member] of this.members.entries()) {
      if (i > 0) between();
      member.configure(image, config, this.number + 1, this.now);
    }
    this.number++;
    this.config = config;
    this.ended = named(this.counts(), before);
  }

  /** What each worker saves for another process, looking at so many records at a time. */
  save(slice = 4096): Uint8Array[] {
    return this.members.map((member) => member.save(this.now, slice));
  }

  /** Restores what another router has saved, which is the first thing that happens to this one. */
  restore(saved: readonly Uint8Array[], { elapsed = 0, old = false } = {}): Restored {
    const ports = movedPorts(() => saved, this.config, shareShiftOf(this.config));
    for (const { datapath } of this.members) {
      datapath.movePorts(ports);
      datapath.beginRestore();
    }
    for (const records of saved) {
      for (const member of this.members) member.restore(records, elapsed, this.now, old);
    }
    for (const { datapath } of this.members) datapath.endRestore(this.now);
    const fates = (kind: RestoredAt) => {
      const counts = this.members.map(({ datapath }) => datapath.restored(kind));
      const sums = Array.from({ length: Fate.Count }, (_, fate) => {
        const sum = counts.reduce((all, each) => all + (each[fate] ?? 0), 0);
        return [Fate[fate] ?? "", sum] as const;
      });
      return Object.fromEntries(sums.filter(([, sum]) => sum > 0));
    };
    return {
      conns: fates(RestoredAt.Conns),
      grants: fates(RestoredAt.Grants),
      ports: fates(RestoredAt.Ports),
    };
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
    return this.connsByWorker().flat();
  }

  connsByWorker(): ConnView[][] {
    return this.members.map(({ datapath }) => Array.from(datapath.connRows(this.now), readConn));
  }

  neighbors(): NeighborView[] {
    return Array.from(this.datapath.neighborRows(this.now), (row) =>
      readNeighbor(row, this.config),
    );
  }

  mappings(): MappingView[] {
    return this.mappingsByWorker().flat();
  }

  mappingsByWorker(): MappingView[][] {
    return this.members.map(({ datapath }) => Array.from(datapath.mappingRows(), readMapping));
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
      const sample = { clock: this.now, wall: this.now };
      const more = readEvents(datapath.takeEvents(), this.config, sample);
      if (more.length === 0) return events;
      events.push(...more);
    }
  }

  /** By Reason; behind them how many frames left. */
  private counts(): readonly bigint[] {
    const all = this.members.map((member) => member.counts());
    return all.reduce((sum, each) => sum.map((count, i) => count + (each[i] ?? 0n)));
  }

  private account(): Account {
    const { received, handed, crossing } = this;
    return { counts: this.counts(), received, handed, crossing };
  }

  /** Each frame that a worker took in has one end, all that was handed off is counted, and so is what left. */
  private check(before: Account, frames: number, sent: number): void {
    const after = this.counts();
    const { HandedOff: crossed = 0, ...ended } = named(after, before.counts);
    this.ended = ended;
    this.crossed += crossed;
    const left = Number((after.at(-1) ?? 0n) - (before.counts.at(-1) ?? 0n));
    if (left !== sent) throw new Error(`${sent} frames left, the devices counted ${left}`);
    if (crossed !== this.handed - before.handed) {
      throw new Error(`${this.handed - before.handed} frames handed off, ${crossed} counted`);
    }
    let ends = crossed;
    for (const [reason, count] of Object.entries(ended)) {
      if (!BESIDE.includes(Reason[reason as keyof typeof Reason])) ends += count;
    }
    const full = ended.OutputFull ?? 0;
    const received = this.received - before.received;
    // A fragment that waited may find, when its first one comes, that it cannot leave, or is another worker's.
    const waited = Number(before.counts[Reason.FragmentHeld] ?? 0n) + (ended.FragmentHeld ?? 0);
    if (ends > received + waited || ends + full < received) {
      throw new Error(`${received} frames ended as ${JSON.stringify(ended)}, ${crossed} crossed`);
    }
    const underway = frames + waited + before.crossing;
    if (this.options.lingers === undefined && crossed > this.hops * underway) {
      throw new Error(`${frames} frames have crossed ${crossed} times`);
    }
  }

  private drain(member: Member, outputs: number): Sent[] {
    const { datapath, crossings } = member;
    const sent: Sent[] = [];
    for (let i = 0; i < outputs; i++) {
      if (datapath.outputInterface(i) === None.Short && crossings !== undefined) {
        this.put++;
        if (!isArp(member.output(i))) this.handed++;
        crossings.handOff(i);
      } else sent.push(this.readSent(member, i));
    }
    crossings?.flush();
    return sent;
  }

  private readSent(member: Member, i: number): Sent {
    const { datapath, config } = member;
    const bytes = Buffer.from(member.output(i).slice());
    const device = config.devices[datapath.outputDevice(i)];
    if (device === undefined) return fail(`no device ${datapath.outputDevice(i)}`, bytes);
    if (datapath.outputInterface(i) !== device.interface.index) {
      fail(`${device.name} is not on that interface`, bytes);
    }
    const configuration = config === this.config ? this.number : this.number + 1;
    const sent = { ...readFrame(bytes), device: device.name, configuration, bytes };
    this.checkLink(sent, device);
    if (sent.ip !== undefined) this.checkPacket(sent);
    return sent;
  }

  private checkLink(sent: Sent, device: Device): void {
    const { vlan } = device;
    const tags =
      vlan === undefined ? [] : [vlan.outer, vlan.inner].filter((id) => id !== undefined);
    if (tags.join() !== sent.vlans.join()) fail(`tags ${sent.vlans}, not ${tags}`, sent.bytes);
    if (sent.from !== macTextOf(device)) fail("from another MAC", sent.bytes);
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

function macTextOf(device: Device): string {
  const mac = device.mac ?? virtualMac(device.interface.name);
  return (mac.toString(16).padStart(12, "0").match(/../g) ?? []).join(":");
}

/** A checked configuration, with the workers of the environment where it does not say how many. */
function checkRouterConfig(document: Document): Config {
  const workers = process.env[WORKERS];
  return checkConfig(workers === undefined ? document : { workers: Number(workers), ...document });
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
