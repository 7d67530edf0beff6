/**
 * A disk in memory that shows what would be left at any step: after a kill everything that was done, after a loss
 * of power what was synced, and of the rest some, or none, or a part. It can be full at any step, and it can
 * forget to be careful, which the checks have to notice.
 */

import type { Disk, Found, Lock, Sink, Source } from "../../host/state/disk.js";
import { HeldError } from "../../host/state/fileerror.js";

/** What a careless disk leaves out. */
export type Carelessness = "file-sync" | "directory-sync" | "rename";

interface File {
  bytes: Uint8Array;
  /** What a loss of power leaves; undefined: anything. */
  durable: Uint8Array | undefined;
}

/** A change of names that the directory was not synced after. */
interface NameChange {
  readonly directory: string;
  readonly path: string;
  /** Undefined: removed. */
  readonly file: File | undefined;
  /** Of a rename: the name that goes in the same step. */
  readonly from: string | undefined;
}

/** 0 to below 1. */
export type Random = () => number;

export class MemoryDisk implements Disk {
  /** Steps done: writes, syncs and changes of names. */
  steps = 0;
  /** Called before each. */
  onStep = () => {};
  /** Steps that fail, with an error of the system. */
  fails: (step: number) => boolean = () => false;
  private readonly locks = new Set<string>();
  private changes: NameChange[] = [];

  constructor(
    private readonly careless?: Carelessness,
    private files = new Map<string, File>(),
    private durableFiles = new Map<string, File>(),
  ) {}

  /** The disk that another process finds after a kill now. */
  afterKill(): MemoryDisk {
    const copies = new Map<File, File>();
    const copyOf = (file: File): File => {
      const copy = copies.get(file) ?? { ...file };
      copies.set(file, copy);
      return copy;
    };
    const copyAll = (files: ReadonlyMap<string, File>) =>
      new Map([...files].map(([path, file]) => [path, copyOf(file)]));
    const disk = new MemoryDisk(this.careless, copyAll(this.files), copyAll(this.durableFiles));
    disk.changes = this.changes.map((change) => {
      return { ...change, file: change.file && copyOf(change.file) };
    });
    return disk;
  }

  /** The disk that the next start finds after a loss of power now. Any change that was not synced is there or not. */
  afterPowerLoss(random: Random): MemoryDisk {
    const names = new Map(this.durableFiles);
    for (const change of this.changes) if (random() < 0.5) apply(names, change);
    const found = new Map<string, File>();
    for (const [path, file] of names) {
      const bytes = file.durable ?? torn(file.bytes, random);
      found.set(path, { bytes, durable: bytes });
    }
    return new MemoryDisk(this.careless, found, new Map(found));
  }

  paths(): string[] {
    return [...this.files.keys()].sort();
  }

  bytes(path: string): Uint8Array {
    const file = this.files.get(path);
    if (file === undefined) throw new Error(`no file ${path}`);
    return file.bytes;
  }

  /** Puts a file there without any step. */
  put(path: string, bytes: Uint8Array): void {
    this.files.set(path, { bytes, durable: bytes });
  }

  makeDirectory(): void {}

  lock(path: string): Lock {
    if (this.locks.has(path)) throw new HeldError(path, undefined);
    this.locks.add(path);
    return { release: () => void this.locks.delete(path) };
  }

  list(directory: string): string[] {
    const start = `${directory}/`;
    const inside = [...this.files.keys()].filter((path) => path.startsWith(start));
    return inside.map((path) => path.slice(start.length)).filter((name) => !name.includes("/"));
  }

  read(path: string, bytesMax: number): Found | undefined {
    const file = this.files.get(path);
    return file && { bytes: file.bytes.slice(0, bytesMax + 1), mode: 0o600 };
  }

  open(path: string): Source | undefined {
    const file = this.files.get(path);
    if (file === undefined) return undefined;
    const { bytes } = file;
    const read = (at: number, length: number) => bytes.slice(at, at + length);
    return { bytes: bytes.length, read, close: () => {} };
  }

  stamp(path: string): string | undefined {
    return this.files.has(path) ? `${this.steps}` : undefined;
  }

  create(temporary: string): Sink {
    this.step();
    const path =
      this.careless === "rename" ? temporary.replace(/\.([^/]+)\.tmp$/, "$1") : temporary;
    const file: File = { bytes: new Uint8Array(0), durable: undefined };
    this.name(path, file);
    return {
      write: (bytes) => {
        // A stop in the middle of a write leaves half of it.
        const before = file.bytes;
        file.bytes = Buffer.concat([before, bytes.subarray(0, bytes.length >> 1)]);
        this.step();
        file.bytes = Buffer.concat([before, bytes]);
        this.step();
      },
      rewrite: (bytes) => {
        const before = file.bytes;
        const half = bytes.length >> 1;
        file.bytes = Buffer.concat([bytes.subarray(0, half), before.subarray(half)]);
        this.step();
        file.bytes = Buffer.concat([bytes, before.subarray(bytes.length)]);
        this.step();
      },
      sync: () => {
        this.step();
        if (this.careless !== "file-sync") file.durable = file.bytes;
      },
      close: () => {},
    };
  }

  rename(from: string, to: string): void {
    this.step();
    if (this.careless === "rename") return;
    const file = this.files.get(from);
    if (file === undefined) throw new Error(`no file ${from}`);
    this.name(to, file, from);
  }

  syncDirectory(path: string): void {
    this.step();
    if (this.careless === "directory-sync") return;
    const synced = this.changes.filter(({ directory }) => directory === path);
    for (const change of synced) apply(this.durableFiles, change);
    this.changes = this.changes.filter((change) => !synced.includes(change));
  }

  remove(path: string): void {
    if (!this.files.has(path)) return;
    this.step();
    this.name(path, undefined);
  }

  private name(path: string, file: File | undefined, from?: string): void {
    const directory = path.slice(0, path.lastIndexOf("/"));
    const change = { directory, path, file, from };
    apply(this.files, change);
    this.changes.push(change);
  }

  private step(): void {
    this.onStep();
    this.steps += 1;
    if (this.fails(this.steps - 1)) throw new Error("ENOSPC: no space left on device");
  }
}

function apply(files: Map<string, File>, { path, file, from }: NameChange): void {
  if (from !== undefined) files.delete(from);
  if (file === undefined) files.delete(path);
  else files.set(path, file);
}

/** What may be left of content that was not synced. */
function torn(bytes: Uint8Array, random: Random): Uint8Array {
  const kind = random();
  if (kind < 0.25) return bytes;
  const length = Math.floor(random() * bytes.length);
  if (kind < 0.75) return bytes.slice(0, length);
  const zeroed = Uint8Array.from(bytes);
  zeroed.fill(0, length);
  return zeroed;
}

/** Mulberry32: the same numbers for the same seed. */
export function randomOf(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
