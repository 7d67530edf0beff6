/**
 * Where the next page of a search begins: a rank (assembly/search.ts), and the worker that has it. Ranks of all workers are
 * one order: by key, then by worker, then by index.
 *
 * A cursor holds no state of the router: it can be used at any time, more than once, and forgotten.
 */

import type { SearchKind, SearchSort } from "../../assembly/abi.js";

export interface Cursor {
  /** Milliseconds since the epoch: ages and expiries of all pages are ranked as they were seen then. */
  readonly reference: number;
  readonly key: bigint;
  readonly worker: number;
  readonly index: number;
}

/** Which query a cursor is of. */
interface Ranked {
  readonly kind: SearchKind;
  readonly sort: SearchSort;
  readonly descending: boolean;
}

const BYTES = 26;
const VERSION = 1;

export function writeCursor(cursor: Cursor, { kind, sort, descending }: Ranked): string {
  const bytes = Buffer.alloc(BYTES);
  bytes.writeUInt8(VERSION, 0);
  bytes.writeUInt8(kind, 1);
  bytes.writeUInt8(sort, 2);
  bytes.writeUInt8(Number(descending), 3);
  bytes.writeUInt16LE(cursor.worker, 4);
  bytes.writeUInt32LE(cursor.index, 6);
  bytes.writeBigUInt64LE(cursor.key, 10);
  bytes.writeDoubleLE(cursor.reference, 18);
  return bytes.toString("base64url");
}

/** Undefined where the text is no cursor, or one of another query. */
export function readCursor(text: string, ranked: Ranked): Cursor | undefined {
  const bytes = Buffer.from(text, "base64url");
  if (bytes.length !== BYTES || bytes.toString("base64url") !== text) return undefined;
  const isOurs =
    bytes.readUInt8(0) === VERSION &&
    bytes.readUInt8(1) === ranked.kind &&
    bytes.readUInt8(2) === ranked.sort &&
    bytes.readUInt8(3) === Number(ranked.descending);
  const reference = bytes.readDoubleLE(18);
  if (!isOurs || !Number.isFinite(reference)) return undefined;
  const worker = bytes.readUInt16LE(4);
  return { reference, worker, index: bytes.readUInt32LE(6), key: bytes.readBigUInt64LE(10) };
}

const KEY_MAX = 2n ** 64n - 1n;
const INDEX_MAX = 0xffffffff;

/** From which rank on a worker is asked; undefined where it has nothing more. */
export function placeOf(
  cursor: Cursor,
  worker: number,
): { key: bigint; index: number } | undefined {
  const { key } = cursor;
  if (worker > cursor.worker) return { key, index: 0 };
  if (worker === cursor.worker) return { key, index: cursor.index };
  return key === KEY_MAX ? undefined : { key: key + 1n, index: 0 };
}

/** The cursor right behind a row. */
export function behind(row: Omit<Cursor, "reference">, reference: number): Cursor {
  if (row.index < INDEX_MAX) return { ...row, index: row.index + 1, reference };
  return { key: row.key, worker: row.worker + 1, index: 0, reference };
}
