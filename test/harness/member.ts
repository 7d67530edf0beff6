/** One worker of a Router: its datapath, where frames stand in its memory between canaries, and its side of crossings. */

import { readFileSync } from "node:fs";
import { DescriptorAt, DeviceCounterAt, Exchange, Limit } from "../../assembly/abi.js";
import { capacityOf } from "../../host/config/compile.js";
import type { Config } from "../../host/config/model.js";
import { shareShiftOf } from "../../host/config/shares.js";
import { type ArenaCapacity, Datapath, loadModule, RECORDS_BYTES } from "../../host/datapath.js";
import { PAGE_BYTES } from "../../host/device/device.js";
import { seedBytes } from "../../host/replay.js";
import { Allowances } from "../../host/workers/allowances.js";
import type { Board } from "../../host/workers/board.js";
import { HandOff, handOffWindowBytes } from "../../host/workers/handoff.js";
import { restoreRecords } from "../../host/workers/restoring.js";
import { capacityOfEach, keptDevices, limitsOf, seedOf } from "../../host/workers/share.js";

/** Of a router's datapaths, as the first configuration and the options of a test ask for. */
export interface MemberOptions {
  /** Of the hash and the port allocation. */
  readonly seed?: number;
  /** Where the arena must be larger than the first configuration asks for. */
  readonly capacity?: Partial<ArenaCapacity>;
}

/** A frame that comes in. */
export interface Input {
  /** Name of the interface. */
  readonly on: string;
  readonly bytes: Uint8Array;
  readonly tci?: number;
  /** DescriptorFlag */
  readonly flags?: number;
  readonly atEnd?: boolean;
  readonly worker?: number | undefined;
}

/** Bytes around a frame's headroom and behind its end that must stay as they are. */
const GUARD = 64;
const CANARY = 0xa5;
const SLOT = 2 * GUARD + Limit.Headroom + Limit.FrameBytes + 66;
/** A frame that ends where the memory ends: whoever reads on traps. */
const LAST_SLOT = Limit.Batch;
let compiled: WebAssembly.Module | undefined;

/** Names a file to be tried instead of the release build: test/mutate breaks one behaviour at a time. */
export const OTHER_DATAPATH = "CROSSZONE_DATAPATH";

/** The release build, or the other one, compiled once. */
export function datapathModule(): WebAssembly.Module {
  const other = process.env[OTHER_DATAPATH];
  compiled ??= other ? new WebAssembly.Module(readFileSync(other)) : loadModule();
  return compiled;
}

/** One worker: its datapath, where frames stand in its memory, and its side of all crossings. */
export class Member {
  readonly datapath: Datapath;
  readonly memory: Uint8Array;
  private readonly slots: number;
  /** Undefined where it is alone. */
  readonly crossings: HandOff | undefined;
  /** The configuration that it works under. */
  config: Config;
  readonly allowances: Allowances;

  constructor(
    readonly worker: number,
    config: Config,
    options: MemberOptions,
    now: number,
    board: Board,
  ) {
    const { workers } = config;
    const whole = { ...capacityOf(config), ...options.capacity };
    const capacity = capacityOfEach(whole, workers);
    const seed = seedOf(seedBytes(BigInt(options.seed ?? 1)), worker);
    const ownBytes = (Limit.Batch + 1) * SLOT;
    const windowBytes = ownBytes + (workers > 1 ? handOffWindowBytes() + PAGE_BYTES : 0);
    const share = { workers, worker, shareShift: shareShiftOf(config) };
    const module = datapathModule();
    this.config = config;
    this.datapath = new Datapath({ capacity, seed, windowBytes, module, share }, now);
    const { datapath } = this;
    this.memory = new Uint8Array(datapath.memory.buffer);
    this.allowances = new Allowances(datapath, board.lent);
    const { allowances } = this;
    if (workers > 1) {
      const window = datapath.window(handOffWindowBytes());
      const wake = () => {};
      this.crossings = new HandOff({ worker, workers, board, datapath, allowances, window, wake });
    }
    // Last, so that a frame can end where the memory does.
    this.slots = datapath.window(ownBytes).at;
  }

  /** Whether something has been handed to it that it can take now. */
  get isAwaited(): boolean {
    return this.crossings?.waiting === true;
  }

  /** @param number  of the configuration, which comes behind the one before it */
  configure(image: Uint8Array, config: Config, number: number, now: number): void {
    this.datapath.configure(image, now);
    const kept = new Set(keptDevices(number === 0 ? undefined : this.config, config));
    this.config = config;
    if (this.crossings === undefined) return;
    this.crossings.standing = { number, before: number - 1, kept };
    this.allowances.settle(limitsOf(config));
  }

  giveBack(): void {
    this.allowances.giveBack();
  }

  /** All that another process could go on with. */
  save(now: number, slice: number): Uint8Array {
    const { datapath } = this;
    const pieces: Uint8Array[] = [];
    datapath.beginSave();
    while (!datapath.isSaved) {
      const piece = new Uint8Array(RECORDS_BYTES);
      pieces.push(piece.subarray(0, datapath.save(slice, now, piece, 0)));
    }
    return Buffer.concat(pieces);
  }

  restore(records: Uint8Array, elapsed: number, now: number, old: boolean): void {
    const lend = (zone: number) => this.allowances.lend(zone);
    restoreRecords(this.datapath, { records, elapsed, old }, now, lend);
  }

  /** The frames of the next batch, where they stand. */
  inputs(count: number): Uint8Array[] {
    const view = new DataView(this.memory.buffer, Exchange.Inputs);
    return Array.from({ length: count }, (_, i) => {
      const frame = view.getUint32(i * DescriptorAt.Bytes + DescriptorAt.Frame, true);
      return this.memory.subarray(frame);
    });
  }

  output(i: number): Uint8Array {
    const at = this.datapath.outputFrame(i);
    return this.memory.subarray(at, at + this.datapath.outputSize(i));
  }

  /** Copies a frame in, as the i-th of a batch, between canaries. */
  place({ bytes, atEnd }: Input, i: number): number {
    const { memory } = this;
    const slot = this.slots + (atEnd ? LAST_SLOT : i) * SLOT;
    const at = atEnd ? memory.length - bytes.length : slot + GUARD + Limit.Headroom;
    memory.fill(CANARY, at - Limit.Headroom - GUARD, at);
    memory.set(bytes, at);
    memory.fill(CANARY, at + bytes.length, at + bytes.length + GUARD);
    return at;
  }

  /** Whether around a frame that was placed nothing has changed but its headroom. */
  isUnspoiled(at: number, { bytes }: Input): boolean {
    const before = this.memory.subarray(at - Limit.Headroom - GUARD, at - Limit.Headroom);
    const behind = this.memory.subarray(at + bytes.length, at + bytes.length + GUARD);
    return before.every(isCanary) && behind.every(isCanary);
  }

  /** By Reason; behind them how many frames left. */
  counts(): bigint[] {
    const left = this.datapath
      .deviceCounters(this.config.devices.length)
      .reduce((sum, row) => sum + (row[DeviceCounterAt.TxPackets / 8] ?? 0n), 0n);
    return [...this.datapath.reasons(), left];
  }
}

function isCanary(byte: number): boolean {
  return byte === CANARY;
}
