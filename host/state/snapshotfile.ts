/**
 * Where a router keeps what the next process is to go on with, in its state directory. What stands in it is for
 * whoever saves and restores to know.
 *
 *     conns           the last snapshot, whole
 *     conns.used      the same when a process has begun to go on with it: whatever comes later is not in it
 *     conns.damaged   the last one that was refused
 *
 * A crash at any moment leaves the snapshot before it or the new one.
 */

import type { FileFault } from "./fileerror.js";
import { StateFileError } from "./fileerror.js";
import type { Folder } from "./files.js";
import { StreamedReader, StreamedWriter } from "./streamed.js";

const NAME = "conns";
const USED = "conns.used";
const DAMAGED = "conns.damaged";
const OPTIONS = { kind: "conns", bytesMax: 2 ** 32 };

/** A snapshot that is whole, as far as its file goes. */
export interface FoundSnapshot {
  /** All of its bytes, each time from the beginning. */
  pieces(): Iterable<Uint8Array>;
  /** A process has gone on with it before. */
  readonly isUsed: boolean;
  close(): void;
}

export class SnapshotFile {
  /** @param folder  the state directory, which is held */
  constructor(private readonly folder: Folder) {}

  /**
   * The snapshot to go on with, undefined when there is none.
   * @throws StateFileError when it is not whole; it is then put aside, and the next call finds none
   */
  find(): FoundSnapshot | undefined {
    return this.read(NAME, false) ?? this.read(USED, true);
  }

  private read(name: string, isUsed: boolean): FoundSnapshot | undefined {
    try {
      const reader = StreamedReader.open(this.folder, name, OPTIONS);
      if (reader === undefined) return undefined;
      return { pieces: () => reader.pieces(), isUsed, close: () => reader.close() };
    } catch (error) {
      if (error instanceof StateFileError) this.putAside(name);
      throw error;
    }
  }

  /** Refuses one whose content is not what it should be: the error to be told. */
  refuse({ isUsed }: FoundSnapshot, fault: FileFault, detail: string): StateFileError {
    const name = isUsed ? USED : NAME;
    this.putAside(name);
    return new StateFileError(this.folder.pathOf(name), fault, detail);
  }

  private putAside(name: string): void {
    // An older one is no replacement for it.
    if (name === NAME) this.folder.remove(USED);
    this.folder.rename(name, DAMAGED);
  }

  /** To be called before a process goes on with what was found. */
  use({ isUsed }: FoundSnapshot): void {
    if (!isUsed) this.folder.rename(NAME, USED);
  }

  /** Begins a new one. */
  begin(): SnapshotWriter {
    return new SnapshotWriter(this.folder);
  }

  /** Nobody is to go on with what there is. */
  forget(): void {
    this.folder.remove(NAME);
    this.folder.remove(USED);
  }
}

/** A snapshot that takes the place of the one before when it is finished. */
export class SnapshotWriter {
  private readonly file: StreamedWriter;

  /** @throws StateWriteError as all that follows; then the one before stays */
  constructor(private readonly folder: Folder) {
    this.file = new StreamedWriter(folder, NAME, OPTIONS.kind);
  }

  write(bytes: Uint8Array): void {
    this.file.write(bytes);
  }

  finish(): void {
    this.file.finish();
    this.folder.remove(USED);
  }

  abandon(): void {
    this.file.abandon();
  }
}
