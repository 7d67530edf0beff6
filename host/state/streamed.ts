/**
 * Files that are too long to be had in memory: written and read in pieces, framed as all others (files.ts). The header comes
 * last, over a place that was kept for it; a file is looked through once, from end to end, before a piece of it is handed
 * out.
 */

import { createHash } from "node:crypto";
import type { Source } from "./disk.js";
import { StateFileError } from "./fileerror.js";
import {
  checkDigest,
  checkLength,
  type Folder,
  HEADER_BYTES,
  type Header,
  type ReadOptions,
  type Replacement,
  readHeader,
  writeHeader,
} from "./files.js";

const PIECE_BYTES = 256 * 1024;

/** Digits of a length that is not known yet. */
const LENGTH_DIGITS = 16;
const NO_DIGEST = "0".repeat(64);

export class StreamedWriter {
  private readonly hash = createHash("sha256");
  private readonly replacement: Replacement;
  private length = 0;

  /** @throws StateWriteError as all that follows; then what was there stays, but for `isVisible` */
  constructor(
    folder: Folder,
    name: string,
    private readonly kind: string,
  ) {
    this.replacement = folder.replace(name);
    this.replacement.write(this.header(NO_DIGEST));
  }

  write(bytes: Uint8Array): void {
    this.replacement.write(bytes);
    this.hash.update(bytes);
    this.length += bytes.length;
  }

  /** When this returns the file is in its place, and survives a loss of power. */
  finish(): void {
    this.replacement.rewrite(this.header(this.hash.digest("hex")));
    this.replacement.finish();
  }

  abandon(): void {
    this.replacement.abandon();
  }

  private header(digest: string): Uint8Array {
    return writeHeader(this.kind, `${this.length}`.padStart(LENGTH_DIGITS, "0"), digest);
  }
}

export class StreamedReader {
  private constructor(
    private readonly path: string,
    private readonly source: Source,
    private readonly header: Header,
  ) {}

  /** A file that is whole, undefined when it is missing. @throws StateFileError for anything else */
  static open(
    folder: Folder,
    name: string,
    { kind, bytesMax }: ReadOptions,
  ): StreamedReader | undefined {
    const source = folder.open(name);
    if (source === undefined) return undefined;
    const path = folder.pathOf(name);
    try {
      if (source.bytes > bytesMax + HEADER_BYTES) {
        throw new StateFileError(path, "large", `more than ${bytesMax} bytes`);
      }
      const header = readHeader(path, kind, source.read(0, HEADER_BYTES));
      checkLength(path, header, source.bytes - header.at, LENGTH_DIGITS);
      const reader = new StreamedReader(path, source, header);
      const hash = createHash("sha256");
      for (const piece of reader.pieces()) hash.update(piece);
      checkDigest(path, header, hash.digest("hex"));
      return reader;
    } catch (error) {
      source.close();
      throw error;
    }
  }

  /** All of its content, each time from the beginning. */
  *pieces(): Generator<Uint8Array> {
    const { source, header, path } = this;
    const end = header.at + header.length;
    for (let at = header.at; at < end; ) {
      const piece = source.read(at, Math.min(PIECE_BYTES, end - at));
      if (piece.length === 0) throw new StateFileError(path, "torn", `${at} of ${end} bytes`);
      yield piece;
      at += piece.length;
    }
  }

  close(): void {
    this.source.close();
  }
}
