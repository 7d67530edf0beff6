/**
 * Files that outlive the process. A file is replaced whole or not at all, and says what it is:
 *
 *     crosszone revision 1 2345 9f86d081884c7d65…\n      kind, format, bytes and SHA-256 of what follows
 *     …content…
 *
 * So one that is torn, damaged or somebody else's is told apart from one that is missing. A file is written
 * under a temporary name beside its own (`.NAME.tmp`), synced, renamed, and the directory synced; temporaries
 * that a crash leaves are removed by `sweep`. The sum finds accidents, not forgers: who can write to the
 * directory can write a header, too.
 */

import { createHash } from "node:crypto";
import { join } from "node:path";
import { type Disk, type Lock, systemDisk } from "./disk.js";
import { StateFileError, StateWriteError } from "./fileerror.js";

/** Raised when a header or a kind's content changes so that older versions would misread it. */
const FORMAT = 1;

/** The longest header, line end included: no kind is longer than 16 characters. */
const HEADER_BYTES = 128;

const HEADER = /^crosszone ([a-z]{1,16}) ([0-9]{1,4}) ([0-9]{1,16}) ([0-9a-f]{64})$/;

/** Read and write permission of group and others. */
const EXPOSED = 0o066;

/** The bytes of a file with this content. */
export function frame(kind: string, content: Uint8Array): Uint8Array {
  const header = `crosszone ${kind} ${FORMAT} ${content.length} ${digestOf(content)}\n`;
  return Buffer.concat([Buffer.from(header), content]);
}

/**
 * The content of a file's bytes.
 * @throws StateFileError naming `path` when they are not what `frame` made for this kind
 */
export function unframe(path: string, kind: string, bytes: Uint8Array): Uint8Array {
  const fail = (fault: StateFileError["fault"], detail: string): never => {
    throw new StateFileError(path, fault, detail);
  };
  if (bytes.length === 0) fail("torn", "empty");
  const lineEnd = bytes.subarray(0, HEADER_BYTES).indexOf(0x0a);
  if (lineEnd < 0) {
    const start = Buffer.from(bytes.subarray(0, HEADER_BYTES)).toString("latin1");
    const isOurs = "crosszone ".startsWith(start) || start.startsWith("crosszone ");
    if (isOurs && bytes.length < HEADER_BYTES) fail("torn", `${bytes.length} bytes of its header`);
  }
  const line = Buffer.from(bytes.subarray(0, Math.max(0, lineEnd))).toString("latin1");
  const [, foundKind, format, length, digest] =
    HEADER.exec(line) ?? fail("foreign", "does not begin as a state file of crosszone");
  if (Number(format) !== FORMAT) fail("version", `format ${format}, known is ${FORMAT}`);
  if (foundKind !== kind) fail("kind", `a file of kind ${foundKind}, expected ${kind}`);
  const content = bytes.subarray(lineEnd + 1);
  if (content.length < Number(length)) fail("torn", `${content.length} of ${length} bytes`);
  if (String(content.length) !== length) {
    fail("damaged", `${content.length} bytes where it says ${length}`);
  }
  if (digestOf(content) !== digest) fail("damaged", "its content is not what its sum says");
  return content;
}

/** SHA-256 in hexadecimal. */
export function digestOf(content: Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}

/** What reads want to know beside the name. */
export interface ReadOptions {
  readonly kind: string;
  /** Of the content. */
  readonly bytesMax: number;
  /** Refused when others than its owner may read it. */
  readonly isSecret?: boolean;
}

/** A directory of state files. */
export class Folder {
  private constructor(
    readonly path: string,
    private readonly disk: Disk,
  ) {}

  /** Made where there is none, but not the directories above it. */
  static open(path: string, disk: Disk = systemDisk): Folder {
    disk.makeDirectory(path);
    return new Folder(path, disk);
  }

  /** A directory inside this one. */
  folder(name: string): Folder {
    return Folder.open(join(this.path, name), this.disk);
  }

  /**
   * Keeps all others out who ask by the same call, until it is released or the process ends.
   * @throws HeldError when somebody has it
   */
  hold(): Lock {
    return this.disk.lock(join(this.path, "lock"));
  }

  /** Names of files, without temporaries and the lock. */
  names(): string[] {
    const names = this.disk.list(this.path);
    return names.filter((name) => name !== "lock" && !isTemporary(name)).sort();
  }

  pathOf(name: string): string {
    return join(this.path, name);
  }

  /** Removes what interrupted writes left. Only for who holds the directory. */
  sweep(): void {
    for (const name of this.disk.list(this.path)) {
      if (isTemporary(name)) this.disk.remove(this.pathOf(name));
    }
  }

  /** The content of a file, undefined when it is missing, and a StateFileError for anything else. */
  read(name: string, { kind, bytesMax, isSecret }: ReadOptions): Uint8Array | undefined {
    const path = this.pathOf(name);
    const found = this.find(path, bytesMax + HEADER_BYTES);
    if (found === undefined) return undefined;
    if (isSecret && (found.mode & EXPOSED) !== 0) {
      const detail = `its mode is ${found.mode.toString(8).padStart(4, "0")}; chmod 600 ${path}`;
      throw new StateFileError(path, "exposed", detail);
    }
    if (found.bytes.length > bytesMax + HEADER_BYTES) {
      throw new StateFileError(path, "large", `more than ${bytesMax} bytes`);
    }
    return unframe(path, kind, found.bytes);
  }

  private find(path: string, bytesMax: number) {
    try {
      return this.disk.read(path, bytesMax);
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error);
      throw new StateFileError(path, "unreadable", detail);
    }
  }

  /** Changes whenever the file does; undefined when it is missing. */
  stamp(name: string): string | undefined {
    return this.disk.stamp(this.pathOf(name));
  }

  /**
   * Replaces a file, or makes it. When this returns it survives a loss of power.
   * @throws StateWriteError and then what was there is still there, but for `isVisible`
   */
  write(name: string, kind: string, content: Uint8Array): void {
    const path = this.pathOf(name);
    const temporary = this.pathOf(`.${name}.tmp`);
    let isVisible = false;
    try {
      this.disk.remove(temporary);
      const sink = this.disk.create(temporary);
      try {
        sink.write(frame(kind, content));
        sink.sync();
      } finally {
        sink.close();
      }
      this.disk.rename(temporary, path);
      isVisible = true;
      this.disk.syncDirectory(this.path);
    } catch (error) {
      this.forget(temporary);
      throw new StateWriteError(path, error, isVisible);
    }
  }

  private forget(path: string): void {
    try {
      this.disk.remove(path);
    } catch {
      // The next sweep has it.
    }
  }

  remove(name: string): void {
    this.disk.remove(this.pathOf(name));
  }
}

function isTemporary(name: string): boolean {
  return name.startsWith(".") && name.endsWith(".tmp");
}

/** The state directory of a running router: nobody else's as long as it is held. */
export class StateDirectory {
  private constructor(
    readonly folder: Folder,
    private readonly lock: Lock,
  ) {}

  /**
   * Makes it where there is none, and removes what interrupted writes left.
   * @throws HeldError when another process has it
   */
  static hold(path: string, disk: Disk = systemDisk): StateDirectory {
    const folder = Folder.open(path, disk);
    const lock = folder.hold();
    folder.sweep();
    return new StateDirectory(folder, lock);
  }

  release(): void {
    this.lock.release();
  }
}
