/**
 * The datapath as an object: the only file that touches WebAssembly.
 *
 * One instance owns one linear memory: the datapath's exchange area and arena at its beginning (see
 * assembly/memory.ts), windows for devices behind them. The memory has a fixed size, so kernel rings can
 * be mapped over its windows.
 */

import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { type ASUtil, instantiateSync } from "@assemblyscript/loader";
import {
  Abi,
  ConnPhase,
  ConnRowAt,
  DescriptorAt,
  DeviceCounterAt,
  EventAt,
  Exchange,
  ExternalRowAt,
  Fate,
  FlowCounterAt,
  FoundAt,
  HostRowAt,
  ImageStatus,
  Lapse,
  Limit,
  MappingRowAt,
  MovedPortAt,
  NeighborRowAt,
  None,
  Reason,
  type RestoredAt,
  SearchAt,
  SearchRowAt,
  StartAt,
  type Step,
  Table,
  TableRowAt,
  ZoneCounterAt,
} from "../assembly/abi.js";
import { type InputBatch, type Offload, PAGE_BYTES, type Window } from "./device/device.js";
import { messageOf } from "./errortext.js";

/** The exports of assembly/index.ts. Unsigned results may come as signed numbers. */
export interface Exports extends Record<string, unknown> {
  abiVersion(): number;
  arenaBytes(): number;
  start(now: number): void;
  attach(): number;
  imageAt(): number;
  configure(bytes: number, now: number): ImageStatus;
  check(bytes: number): ImageStatus;
  rehearse(bytes: number): ImageStatus;
  imageFault(): number;
  zoneConns(index: number): number;
  allow(index: number, conns: number, elsewhere: number): void;
  linkLost(interfaceIndex: number): void;
  announce(): void;
  process(received: number, now: number): number;
  expire(now: number, limit: number): number;
  wait(now: number): number;
  reasonCounters(): number;
  deviceCounters(): number;
  flowCounters(): number;
  listZones(first: number): number;
  listConns(first: number, now: number): number;
  listNeighbors(first: number, now: number): number;
  listMappings(first: number): number;
  listHosts(first: number): number;
  listExternals(pool: number, first: number): number;
  beginSearch(): void;
  search(limit: number, now: number): number;
  listSearch(first: number, now: number): number;
  searchGoesOn(): number;
  beginSave(): void;
  save(limit: number, now: number): number;
  saved(): number;
  movePorts(count: number): void;
  beginRestore(): void;
  restore(bytes: number, elapsed: number, now: number, old: number, insists: number): number;
  restoreAsks(): number;
  endRestore(now: number): void;
  keepEpoch(elapsed: number): void;
  listTables(): void;
  takeEvents(): number;
  lostEvents(): number;
  watchEvents(classes: number): void;
  completeChecksum(frame: number, size: number, start: number, offset: number): number;
  segment(
    frame: number,
    size: number,
    segmentBytes: number,
    into: number,
    stride: number,
    max: number,
  ): number;
}

/** Makes an instance of the datapath's code that works in this memory. */
export type Instantiate = (memory: WebAssembly.Memory) => Exports;

/** What the arena must hold (abi.ts: StartAt). */
export interface ArenaCapacity {
  readonly conns: number;
  readonly neighbors: number;
  readonly poolAddresses: number;
  readonly imageBytes: number;
}

/** Which of the workers that share a configuration a datapath is (assembly/nat/owner.ts). */
export interface WorkerShare {
  readonly workers: number;
  readonly worker: number;
  /** External ports that belong to one worker stand together in twos to this power, from 6 on. */
  readonly shareShift: number;
}

export interface DatapathOptions {
  readonly capacity: ArenaCapacity;
  /** 16 bytes that nobody can guess; the same ones give the same ports. */
  readonly seed: Uint8Array;
  /** Bytes of all windows together, each rounded up to 64 KiB. */
  readonly windowBytes: number;
  /** Left out where it is alone. */
  readonly share?: WorkerShare;
  /** The compiled module; the release build beside this file's package by default. */
  readonly module?: WebAssembly.Module;
  /** The same code in another form, instead of a module (test/bench/native.ts). */
  readonly instantiate?: Instantiate;
}

/** A refused image. The image in force stays in force. */
export class ImageRefused extends Error {
  constructor(
    readonly status: ImageStatus,
    /** Byte offset of the record at fault, 0 for the image as a whole. */
    readonly at: number,
  ) {
    super(`config image: ${ImageStatus[status]} at byte ${at}`);
    this.name = "ImageRefused";
  }
}

const NO_ROWS = new Uint8Array();

/** Bytes of records that one call of `save` writes at most, or of `restore` takes. */
export const RECORDS_BYTES = Exchange.Search - Exchange.Rows;

/** Compiles the datapath's release build. */
export function loadModule(): WebAssembly.Module {
  return new WebAssembly.Module(readFileSync(new URL("../datapath.wasm", import.meta.url)));
}

/** The trace build is not beside this file's package. */
export class TraceMissing extends Error {
  override readonly name = "TraceMissing";
}

/** The trace build, compiled. */
export type TraceModule = WebAssembly.Module;

const TRACE_BUILD = new URL("../datapath-trace.wasm", import.meta.url);

/** Compiles the trace build (docs/adr/0028-trace.md). @throws TraceMissing */
export async function loadTraceModule(path = TRACE_BUILD): Promise<TraceModule> {
  let bytes: Buffer<ArrayBuffer>;
  try {
    bytes = await readFile(path);
  } catch (error) {
    const why = messageOf(error);
    throw new TraceMissing(`nothing can be traced without the trace build: ${why}`);
  }
  return WebAssembly.compile(bytes);
}

/** What the trace build calls: before it writes to the memory, and behind each Step, whose record then stands there. */
export interface TraceHooks extends Record<string, unknown> {
  save(at: number, bytes: number): void;
  step(step: Step, verdict: number): void;
}

/** An instance of the trace build that works in a datapath's memory, once it is attached to what stands there. */
export function instantiateTrace(
  module: TraceModule,
  memory: WebAssembly.Memory,
  trace: TraceHooks,
): Exports {
  const { exports } = instantiateSync<Exports & ASUtil>(module, { env: { memory }, trace });
  return speakingOurs(exports);
}

export class Datapath implements Offload {
  readonly memory: WebAssembly.Memory;
  /** Where devices put what they receive, until the next `process`. */
  readonly inputs: Inputs;
  private readonly exports: Exports;
  private readonly words: Uint32Array;
  private readonly halves: Uint16Array;
  private readonly view: DataView;
  private nextWindow: number;

  constructor(options: DatapathOptions, now: number) {
    const instantiate = options.instantiate ?? instantiatorOf(options.module ?? loadModule());
    const arenaBytes = measureArena(instantiate, options.capacity, options.share);
    const windowsAt = roundUp(arenaBytes, PAGE_BYTES);
    const pages = (windowsAt + roundUp(options.windowBytes, PAGE_BYTES)) / PAGE_BYTES;
    if (pages > 65536) throw new RangeError("capacity: needs more than 4 GiB of memory");
    this.memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    this.exports = speakingOurs(instantiate(this.memory));
    this.words = new Uint32Array(this.memory.buffer);
    this.halves = new Uint16Array(this.memory.buffer);
    this.view = new DataView(this.memory.buffer);
    this.nextWindow = windowsAt;
    this.inputs = new Inputs(this.words);
    writeStart(this.memory, options.capacity, options.seed, options.share);
    this.exports.start(now);
  }

  /** Lends a device the next `bytes` of the memory behind the arena. */
  window(bytes: number, name = "device"): Window {
    const at = this.nextWindow;
    const size = roundUp(bytes, PAGE_BYTES);
    const left = this.memory.buffer.byteLength - at;
    if (size > left) {
      throw new RangeError(
        `${name}: wants ${size} bytes of the memory that was set aside for interfaces at the start, ` +
          `${left} are left; a restart sets aside what the configuration needs`,
      );
    }
    this.nextWindow = at + size;
    return { memory: this.memory, at, bytes: size };
  }

  /** Takes an image into force, or throws an ImageRefused and changes nothing. */
  configure(image: Uint8Array, now: number): void {
    const status = this.exports.configure(this.stage(image), now);
    if (status !== ImageStatus.Ok) throw new ImageRefused(status, this.exports.imageFault());
  }

  /**
   * Whether `configure` would take the image, now or, where no other one is taken meanwhile, later.
   * @throws ImageRefused
   */
  check(image: Uint8Array): void {
    const status = this.exports.check(this.stage(image));
    if (status !== ImageStatus.Ok) throw new ImageRefused(status, this.exports.imageFault());
  }

  /**
   * As `check`; a search for Lapses that is begun at once, before another image comes, asks what `configure` would end.
   * @throws ImageRefused
   */
  rehearse(image: Uint8Array): void {
    const status = this.exports.rehearse(this.stage(image));
    if (status !== ImageStatus.Ok) throw new ImageRefused(status, this.exports.imageFault());
  }

  /** Conns that began in the zone with this index in the image. */
  zoneConns(index: number): number {
    return this.exports.zoneConns(index) >>> 0;
  }

  /** How many of them this worker may have, where several share the zone's limit, and how many the others have. */
  allow(index: number, conns: number, elsewhere: number): void {
    this.exports.allow(index, conns, elsewhere);
  }

  /** Puts an image where the datapath looks for it; returns its length. */
  private stage(image: Uint8Array): number {
    const at = this.exports.imageAt() >>> 0;
    const room = this.view.getUint32(Exchange.Start + StartAt.ImageCapacity, true);
    if (image.length > room) throw new ImageRefused(ImageStatus.TooLarge, 0);
    new Uint8Array(this.memory.buffer, at, image.length).set(image);
    return image.length;
  }

  /** Forgets the neighbors behind an interface (index in the image) whose link was down. */
  linkLost(interfaceIndex: number): void {
    this.exports.linkLost(interfaceIndex);
  }

  /** Tells the neighbors of all devices our addresses (gratuitous ARP), with the next calls of `expire`. */
  announce(): void {
    this.exports.announce();
  }

  /** Hands in the pushed frames. Returns how many outputs there are, good until the next call. */
  process(now: number): number {
    const { count } = this.inputs;
    this.inputs.count = 0;
    return this.exports.process(count, now);
  }

  /** Does what is due, at most `limit` of each kind. Returns how many outputs there are. */
  expire(now: number, limit: number): number {
    return this.exports.expire(now, limit);
  }

  /** Milliseconds until `expire` has work, Infinity for never. */
  wait(now: number): number {
    const wait = this.exports.wait(now);
    return wait === None.Word ? Number.POSITIVE_INFINITY : wait >>> 0;
  }

  /** Where output `i` begins, how long it is, and which interface it leaves by. */
  outputFrame(i: number): number {
    return this.words[(outputAt(i) + DescriptorAt.Frame) >>> 2] as number;
  }
  outputSize(i: number): number {
    return this.words[(outputAt(i) + DescriptorAt.Size) >>> 2] as number;
  }
  outputInterface(i: number): number {
    return this.halves[(outputAt(i) + DescriptorAt.Interface) >>> 1] as number;
  }
  /** Of a hand-off: what stands beside the frame for the other worker; the worker is `outputDevice`. */
  outputPlace(i: number): number {
    return this.halves[(outputAt(i) + DescriptorAt.VlanTci) >>> 1] as number;
  }
  outputFlags(i: number): number {
    return this.halves[(outputAt(i) + DescriptorAt.Flags) >>> 1] as number;
  }
  /** Of a hand-off with Asked: index of the zone that may have no more conns. */
  outputZone(i: number): number {
    return this.halves[(outputAt(i) + DescriptorAt.Input) >>> 1] as number;
  }
  /** Index of the device it leaves through. */
  outputDevice(i: number): number {
    return this.halves[(outputAt(i) + DescriptorAt.Device) >>> 1] as number;
  }

  completeChecksum(frame: number, size: number, start: number, offset: number): boolean {
    return this.exports.completeChecksum(frame, size, start, offset) !== 0;
  }

  segment(
    frame: number,
    size: number,
    segmentBytes: number,
    into: number,
    stride: number,
    max: number,
  ): number {
    return this.exports.segment(frame, size, segmentBytes, into, stride, max);
  }

  /** Counters by Reason, those that are 0 included. */
  reasons(): bigint[] {
    return this.counters(this.exports.reasonCounters() >>> 0, Reason.Count);
  }

  /** Rows of abi's DeviceCounterAt, in the order of the image. */
  deviceCounters(devices: number): bigint[][] {
    const at = this.exports.deviceCounters() >>> 0;
    return this.counterRows(at, devices, DeviceCounterAt.Bytes);
  }

  /** Rows of abi's FlowCounterAt, in the order of the image. */
  flowCounters(flows: number): bigint[][] {
    const at = this.exports.flowCounters() >>> 0;
    return this.counterRows(at, flows, FlowCounterAt.Bytes);
  }

  /** Rows of abi's ZoneCounterAt, in the order of the image. */
  zoneCounters(): bigint[][] {
    const rows: bigint[][] = [];
    for (
      let more = this.exports.listZones(0);
      more > 0;
      more = this.exports.listZones(rows.length)
    ) {
      rows.push(...this.counterRows(Exchange.Rows, more, ZoneCounterAt.Bytes));
    }
    return rows;
  }

  /** Each row of abi's ConnRowAt, by ascending index; a row is good until the next one. */
  *connRows(now: number): Generator<DataView> {
    yield* this.rows(ConnRowAt.Bytes, ConnRowAt.Index, (first) =>
      this.exports.listConns(first, now),
    );
  }

  /** A copy of up to Limit.Rows rows of abi's ConnRowAt from index `first` on; empty at the end. */
  copyConnRows(first: number, now: number): Uint8Array {
    return this.copy(this.exports.listConns(first, now) * ConnRowAt.Bytes);
  }

  /** Each row of abi's NeighborRowAt, by ascending index; a row is good until the next one. */
  *neighborRows(now: number): Generator<DataView> {
    const list = (first: number) => this.exports.listNeighbors(first, now);
    yield* this.rows(NeighborRowAt.Bytes, NeighborRowAt.Index, list);
  }

  /** Each row of abi's MappingRowAt, by ascending index; a row is good until the next one. */
  *mappingRows(): Generator<DataView> {
    const list = (first: number) => this.exports.listMappings(first);
    yield* this.rows(MappingRowAt.Bytes, MappingRowAt.Index, list);
  }

  /** Each row of abi's HostRowAt, by ascending index; a row is good until the next one. */
  *hostRows(): Generator<DataView> {
    yield* this.rows(HostRowAt.Bytes, HostRowAt.Index, (first) => this.exports.listHosts(first));
  }

  /** A copy of some rows of abi's NeighborRowAt from index `first` on; empty at the end. */
  copyNeighborRows(first: number, now: number): Uint8Array {
    return this.copy(this.exports.listNeighbors(first, now) * NeighborRowAt.Bytes);
  }

  /** A copy of some rows of abi's ExternalRowAt: a pool's addresses from its n-th on; empty at the end. */
  copyExternalRows(pool: number, first: number): Uint8Array {
    return this.copy(this.exports.listExternals(pool, first) * ExternalRowAt.Bytes);
  }

  /**
   * Begins a search; one that is under way is forgotten.
   * @param record  abi's SearchAt, but for `reference`, which is on this datapath's clock
   */
  beginSearch(record: Uint8Array, reference: number): void {
    new Uint8Array(this.memory.buffer, Exchange.Search, SearchAt.Bytes).set(record);
    this.view.setUint32(Exchange.Search + SearchAt.Reference, reference, true);
    this.exports.beginSearch();
  }

  /** Looks at no more than `limit` records more. Whether the search is done. */
  search(limit: number, now: number): boolean {
    return this.exports.search(limit, now) !== 0;
  }

  /** What the search has come to: a field of abi's FoundAt. */
  searchFound(field: FoundAt): number {
    return this.view.getUint32(Exchange.Search + SearchAt.Bytes + field, true);
  }

  /** Of a search that counts: how many conns, by ConnPhase. */
  searchPhases(): number[] {
    return Array.from({ length: ConnPhase.Reset + 1 }, (_, phase) =>
      this.searchFound(FoundAt.Phases + phase * 4),
    );
  }

  /** Of a search for Lapses: how many conns would end, by Lapse. */
  searchLapses(): number[] {
    return Array.from({ length: Lapse.Count }, (_, lapse) =>
      this.searchFound(FoundAt.Lapses + lapse * 4),
    );
  }

  /**
   * A copy of some rows of abi's SearchRowAt of the search that is done.
   * @param first  0, or `next` of the page before, which is undefined behind the last row
   */
  copySearchRows(first: number, now: number): { rows: Uint8Array; next: number | undefined } {
    const rows = this.copy(this.exports.listSearch(first, now) * SearchRowAt.Bytes);
    const next = this.exports.searchGoesOn();
    return { rows, next: next === None.Word ? undefined : next >>> 0 };
  }

  /** Begins to save; what was begun before is forgotten. */
  beginSave(): void {
    this.exports.beginSave();
  }

  /** Writes records of no more than `limit` places of a table behind `at` of a buffer; returns how many bytes. */
  save(limit: number, now: number, into: Uint8Array, at: number): number {
    const bytes = this.exports.save(limit, now);
    if (bytes > 0) into.set(new Uint8Array(this.memory.buffer, Exchange.Rows, bytes), at);
    return bytes;
  }

  get isSaved(): boolean {
    return this.exports.saved() !== 0;
  }

  /** Leaves external ports with other workers: records of abi's MovedPortAt, before anything is restored. */
  movePorts(records: Uint8Array): void {
    const most = Math.floor(RECORDS_BYTES / MovedPortAt.Bytes) * MovedPortAt.Bytes;
    for (let at = 0; at < records.length; at += most) {
      const some = records.subarray(at, at + most);
      new Uint8Array(this.memory.buffer, Exchange.Rows, some.length).set(some);
      this.exports.movePorts(some.length / MovedPortAt.Bytes);
    }
  }

  /** Begins to restore: before the first frame, and before the first `configure`. */
  beginRestore(): void {
    this.exports.beginRestore();
  }

  /**
   * Restores whole records, no more than `RECORDS_BYTES` of them.
   * @param elapsed  milliseconds since they were written
   * @param old  whether frames may have been forwarded since
   * @param insists  whether the first record is not to ask for what is lent
   * @returns how far it came, and the index of the zone that it asks more conns for, if it does
   */
  restore(
    records: Uint8Array,
    elapsed: number,
    now: number,
    old: boolean,
    insists: boolean,
  ): { bytes: number; zone: number | undefined } {
    new Uint8Array(this.memory.buffer, Exchange.Rows, records.length).set(records);
    const { length } = records;
    const bytes = this.exports.restore(length, elapsed, now, Number(old), Number(insists));
    const zone = this.exports.restoreAsks();
    return { bytes: bytes >>> 0, zone: zone === None.Word ? undefined : zone >>> 0 };
  }

  /** All has been restored; frames may come now. */
  endRestore(now: number): void {
    this.exports.endRestore(now);
  }

  /** How many records of a kind had which Fate, in its order. */
  restored(kind: RestoredAt): number[] {
    const at = Exchange.Restored + kind;
    return Array.from({ length: Fate.Count }, (_, fate) =>
      this.view.getUint32(at + fate * 4, true),
    );
  }

  /** The PCP server's time goes on from what was restored, which was saved so many seconds ago. */
  keepEpoch(elapsed: number): void {
    this.exports.keepEpoch(elapsed);
  }

  private copy(bytes: number): Uint8Array {
    return new Uint8Array(this.memory.buffer, Exchange.Rows, bytes).slice();
  }

  /** How full each of abi's tables is, in their order. */
  tables(): { used: number; capacity: number }[] {
    this.exports.listTables();
    return Array.from({ length: Table.Count }, (_, table) => {
      const at = Exchange.Rows + table * TableRowAt.Bytes;
      const word = (offset: TableRowAt) => this.view.getUint32(at + offset, true);
      return { used: word(TableRowAt.Used), capacity: word(TableRowAt.Capacity) };
    });
  }

  /** Takes the oldest events, up to Limit.Rows: copies of rows of abi's EventAt. */
  takeEvents(): Uint8Array {
    const rows = this.exports.takeEvents();
    if (rows === 0) return NO_ROWS;
    return this.copy(rows * EventAt.Bytes);
  }

  /** Events that found no place since the start. */
  get lostEvents(): number {
    return this.exports.lostEvents() >>> 0;
  }

  /** Which events are noted from now on: bits of abi's EventClass. */
  watchEvents(classes: number): void {
    this.exports.watchEvents(classes);
  }

  private *rows(bytes: number, indexAt: number, list: (first: number) => number) {
    for (let first = 0; ; ) {
      const rows = list(first);
      if (rows === 0) return;
      for (let row = 0; row < rows; row++) {
        const view = new DataView(this.memory.buffer, Exchange.Rows + row * bytes, bytes);
        first = view.getUint32(indexAt, true) + 1;
        yield view;
      }
    }
  }

  private counters(at: number, count: number): bigint[] {
    return Array.from({ length: count }, (_, i) => this.view.getBigUint64(at + i * 8, true));
  }

  private counterRows(at: number, rows: number, bytes: number): bigint[][] {
    return Array.from({ length: rows }, (_, i) => this.counters(at + i * bytes, bytes / 8));
  }
}

/** In words of 32 bits: where the descriptors begin, how many each has, and what stands where in one. */
const INPUTS = Exchange.Inputs / 4;
const DESCRIPTOR_WORDS = DescriptorAt.Bytes / 4;
const FRAME = DescriptorAt.Frame / 4;
const SIZE = DescriptorAt.Size / 4;
const INTERFACE = DescriptorAt.Interface / 4;
const FLAGS = DescriptorAt.Flags / 4;
const BATCH: number = Limit.Batch;

/** The descriptors of one batch. `interface` says whose frames are being pushed. */
export class Inputs implements InputBatch {
  count = 0;
  /** Frames that may stand in the batch before the current interface must stop. */
  limit: number = Limit.Batch;
  interface = 0;

  constructor(private readonly words: Uint32Array) {}

  get room(): number {
    return this.limit - this.count;
  }

  push(frame: number, size: number, vlanTci: number, flags: number): void {
    if (this.count === BATCH) throw new RangeError("push into a full batch");
    const at = INPUTS + this.count * DESCRIPTOR_WORDS;
    const { words } = this;
    words[at + FRAME] = frame;
    words[at + SIZE] = size;
    // Two halves at a time, the lower one first: the memory is little-endian.
    words[at + INTERFACE] = this.interface | (vlanTci << 16);
    words[at + FLAGS] = flags;
    this.count++;
  }
}

function outputAt(i: number): number {
  return Exchange.Outputs + i * DescriptorAt.Bytes;
}

function roundUp(bytes: number, to: number): number {
  return Math.ceil(bytes / to) * to;
}

/** Makes instances of a compiled module. */
export function instantiatorOf(module: WebAssembly.Module): Instantiate {
  return (memory) => instantiateSync<Exports & ASUtil>(module, { env: { memory } }).exports;
}

function speakingOurs(exports: Exports): Exports {
  if (exports.abiVersion() !== Abi.Version) {
    throw new Error(`datapath: version ${exports.abiVersion()}, this host speaks ${Abi.Version}`);
  }
  return exports;
}

function writeStart(
  memory: WebAssembly.Memory,
  capacity: ArenaCapacity,
  seed?: Uint8Array,
  share?: WorkerShare,
): void {
  const view = new DataView(memory.buffer, Exchange.Start, StartAt.Bytes);
  view.setUint32(StartAt.ConnCapacity, capacity.conns, true);
  view.setUint32(StartAt.NeighborCapacity, capacity.neighbors, true);
  view.setUint32(StartAt.PoolAddressCapacity, capacity.poolAddresses, true);
  view.setUint32(StartAt.ImageCapacity, capacity.imageBytes, true);
  if (seed) new Uint8Array(memory.buffer, Exchange.Start + StartAt.Seed, 16).set(seed);
  if (share === undefined) return;
  view.setUint32(StartAt.Workers, share.workers, true);
  view.setUint32(StartAt.Worker, share.worker, true);
  view.setUint32(StartAt.ShareShift, share.shareShift, true);
}

/**
 * Bytes of the exchange area and an arena of this capacity: asks the datapath itself, in a memory of one page.
 * @throws RangeError when that is more than a linear memory has
 */
export function measureArena(
  instantiate: Instantiate,
  capacity: ArenaCapacity,
  share?: WorkerShare,
): number {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
  const { arenaBytes } = speakingOurs(instantiate(memory));
  writeStart(memory, capacity, undefined, share);
  const bytes = arenaBytes() >>> 0;
  if (bytes === 0) throw new RangeError("capacity: needs more than 4 GiB of memory");
  return bytes;
}
