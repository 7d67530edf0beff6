/**
 * A snapshot as bytes: what one process saves for the next one. Little-endian.
 *
 *     header   32   0 "CZSN"   4 version   8 bits of SnapshotFlag   12 workers   16 f64 milliseconds since 1970   24 zero
 *     chunk    16   0 bytes of records   4 worker   8 f64 milliseconds since 1970 when they were written
 *                   … records (abi: SavedAt), each whole
 *
 * Chunks of one worker stand together in their order, the next one's begin anew. That nothing of it is damaged is for whoever
 * keeps it to know (host/state/snapshotfile.ts); here it is read before anything is restored, so that one of which not
 * every record can be told apart is refused as a whole.
 */

import { Abi, SavedAt, SavedKind } from "../assembly/abi.js";

/** "CZSN" */
const MAGIC = 0x4e535a43;
const HEADER_BYTES = 32;
const CHUNK_BYTES = 16;

/** Records of one chunk: what a worker answers with at once is less. */
const RECORDS_MAX = 1 << 20;

export enum SnapshotFlag {
  /** Nothing was forwarded any more when it was taken. */
  Last = 1,
}

export interface SnapshotHeader {
  readonly isLast: boolean;
  readonly workers: number;
  /** Milliseconds since 1970. */
  readonly wall: number;
}

/** Records as a worker has written them. */
export interface Chunk {
  readonly worker: number;
  readonly wall: number;
  readonly records: Uint8Array;
}

/** It cannot be read, as a whole. */
export class SnapshotRefused extends Error {
  override readonly name = "SnapshotRefused";

  constructor(
    readonly fault: "version" | "content",
    readonly detail: string,
    /** Where in it. */
    readonly at: number,
  ) {
    super(`snapshot: ${fault}: ${detail} at byte ${at}`);
  }
}

export function headerOf({ isLast, workers, wall }: SnapshotHeader): Uint8Array {
  const view = new DataView(new ArrayBuffer(HEADER_BYTES));
  view.setUint32(0, MAGIC, true);
  view.setUint32(4, Abi.SnapshotVersion, true);
  view.setUint32(8, isLast ? SnapshotFlag.Last : 0, true);
  view.setUint32(12, workers, true);
  view.setFloat64(16, wall, true);
  return new Uint8Array(view.buffer);
}

export function chunkOf({ worker, wall, records }: Chunk): Uint8Array {
  const bytes = new Uint8Array(CHUNK_BYTES + records.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, records.length, true);
  view.setUint32(4, worker, true);
  view.setFloat64(8, wall, true);
  bytes.set(records, CHUNK_BYTES);
  return bytes;
}

/** One that has been found to be made of whole records. */
export class Snapshot {
  private constructor(
    readonly header: SnapshotHeader,
    private readonly pieces: () => Iterable<Uint8Array>,
  ) {}

  /**
   * @param pieces  gives all of its bytes, in pieces of any length, each time from the beginning
   * @param isUsed  whether frames have been forwarded since, whatever its header says
   * @throws SnapshotRefused
   */
  static read(pieces: () => Iterable<Uint8Array>, isUsed = false): Snapshot {
    const reader = new Reader(pieces());
    const { isLast, ...read } = readHeader(reader);
    const header = { ...read, isLast: isLast && !isUsed };
    for (const { records, at } of readChunks(reader)) checkRecords(records, at);
    return new Snapshot(header, pieces);
  }

  *chunks(): Generator<Chunk> {
    const reader = new Reader(this.pieces());
    reader.take(HEADER_BYTES);
    yield* readChunks(reader);
  }
}

function readHeader(reader: Reader): SnapshotHeader {
  const view = viewOf(reader.take(HEADER_BYTES));
  const version = view.getUint32(4, true);
  if (view.getUint32(0, true) !== MAGIC) throw new SnapshotRefused("content", "no snapshot", 0);
  if (version !== Abi.SnapshotVersion) {
    const known = `version ${version}, known is ${Abi.SnapshotVersion}`;
    throw new SnapshotRefused("version", known, 4);
  }
  return {
    isLast: (view.getUint32(8, true) & SnapshotFlag.Last) !== 0,
    workers: view.getUint32(12, true),
    wall: view.getFloat64(16, true),
  };
}

function* readChunks(reader: Reader): Generator<Chunk & { at: number }> {
  while (!reader.isAtEnd()) {
    const { at } = reader;
    const head = viewOf(reader.take(CHUNK_BYTES));
    const length = head.getUint32(0, true);
    if (length > RECORDS_MAX) throw new SnapshotRefused("content", `${length} bytes at once`, at);
    const [worker, wall] = [head.getUint32(4, true), head.getFloat64(8, true)];
    if (!Number.isFinite(wall)) throw new SnapshotRefused("content", "no time", at);
    yield { worker, wall, records: reader.take(length), at: at + CHUNK_BYTES };
  }
}

/** @param from  where they stand in the snapshot */
function checkRecords(records: Uint8Array, from: number): void {
  const view = viewOf(records);
  for (let at = 0; at < records.length; ) {
    const isWhole = at + SavedAt.Bytes <= records.length;
    const kind = isWhole ? view.getUint8(at + SavedAt.Kind) : 0;
    const length = isWhole ? view.getUint16(at + SavedAt.Length, true) : 0;
    if (SavedKind[kind] === undefined || length < SavedAt.Bytes || at + length > records.length) {
      throw new SnapshotRefused("content", "no whole record", from + at);
    }
    at += length;
  }
}

/** Takes bytes off pieces, whatever their lengths. */
class Reader {
  /** Bytes taken so far. */
  at = 0;
  private readonly pieces: Iterator<Uint8Array>;
  private rest: Uint8Array = new Uint8Array();

  constructor(pieces: Iterable<Uint8Array>) {
    this.pieces = pieces[Symbol.iterator]();
  }

  isAtEnd(): boolean {
    while (this.rest.length === 0) {
      const next = this.pieces.next();
      if (next.done === true) return true;
      this.rest = next.value;
    }
    return false;
  }

  /** @throws SnapshotRefused when there are not so many left */
  take(bytes: number): Uint8Array {
    const taken = new Uint8Array(bytes);
    for (let have = 0; have < bytes; ) {
      if (this.isAtEnd()) {
        throw new SnapshotRefused("content", `${have} of ${bytes} bytes`, this.at);
      }
      const some = this.rest.subarray(0, bytes - have);
      taken.set(some, have);
      have += some.length;
      this.rest = this.rest.subarray(some.length);
    }
    this.at += bytes;
    return taken;
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
