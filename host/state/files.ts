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
import { messageOf } from "../errortext.js";
import { type Disk, type Lock, type Sink, type Source, systemDisk } from "./disk.js";
import { StateFileError, StateWriteError } from "./fileerror.js";

/** Raised when a header or a kind's content changes so that older versions would misread it. */
const FORMAT = 1;

/** The longest header, line end included: no kind is longer than 16 characters. */
export const HEADER_BYTES = 128;

const HEADER = /^crosszone ([a-z]{1,16}) ([0-9]{1,4}) ([0-9]{1,16}) ([0-9a-f]{64})$/;

/** Read and write permission of group and others. */
const EXPOSED = 0o066;

/** The bytes of a file with this content. */
export function frame(kind: string, content: Uint8Array): Uint8Array {
  const header = writeHeader(kind, `${content.length}`, digestOf(content));
  return Buffer.concat([header, content]);
}

/** @param length  bytes of the content, in digits */
export function writeHeader(kind: string, length: string, digest: string): Uint8Array {
  return Buffer.from(`crosszone ${kind} ${FORMAT} ${length} ${digest}\n`);
}

/** What the header of a file says of it. */
export interface Header {
  /** Where the content begins, how long it is, and its SHA-256. */
  readonly at: number;
  readonly length: number;
  readonly digest: string;
  /** The length as it is written. */
  readonly digits: string;
}

/**
 * Reads the header of a file of which these are the first bytes, all of them or `HEADER_BYTES`.
 * @throws StateFileError naming `path` when it is none that `writeHeader` made for this kind
 */
export function readHeader(path: string, kind: string, bytes: Uint8Array): Header {
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
  const [, foundKind, format, digits = "", digest = ""] =
    HEADER.exec(line) ?? fail("foreign", "does not begin as a state file of crosszone");
  if (Number(format) !== FORMAT) fail("version", `format ${format}, known is ${FORMAT}`);
  if (foundKind !== kind) fail("kind", `a file of kind ${foundKind}, expected ${kind}`);
  return { at: lineEnd + 1, length: Number(digits), digest, digits };
}

/**
 * @param places  as many as the length has at least, in digits
 * @throws StateFileError when a content is not as long as its header says
 */
export function checkLength(path: string, header: Header, found: number, places = 0): void {
  const { length, digits } = header;
  if (found < length) throw new StateFileError(path, "torn", `${found} of ${length} bytes`);
  if (digits === `${found}`.padStart(places, "0")) return;
  throw new StateFileError(path, "damaged", `${found} bytes where it says ${digits}`);
}

/** @throws StateFileError when a content has not the sum that its header says */
export function checkDigest(path: string, { digest }: Header, found: string): void {
  if (found === digest) return;
  throw new StateFileError(path, "damaged", "its content is not what its sum says");
}

/**
 * The content of a file's bytes.
 * @throws StateFileError naming `path` when they are not what `frame` made for this kind
 */
export function unframe(path: string, kind: string, bytes: Uint8Array): Uint8Array {
  const header = readHeader(path, kind, bytes);
  const content = bytes.subarray(header.at);
  checkLength(path, header, content.length);
  checkDigest(path, header, digestOf(content));
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
      const detail = messageOf(error);
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
    const writing = this.replace(name);
    writing.write(frame(kind, content));
    writing.finish();
  }

  /** Begins to replace a file, or to make it; what was there stays until the end. */
  replace(name: string): Replacement {
    return new Replacement(this.disk, this.path, name);
  }

  /** A file to be read in pieces, undefined when it is missing. @throws StateFileError for anything else */
  open(name: string): Source | undefined {
    try {
      return this.disk.open(this.pathOf(name));
    } catch (error) {
      const detail = messageOf(error);
      throw new StateFileError(this.pathOf(name), "unreadable", detail);
    }
  }

  /** Gives a file another name, over what may have it, and survives a loss of power. */
  rename(from: string, to: string): void {
    this.disk.rename(this.pathOf(from), this.pathOf(to));
    this.disk.syncDirectory(this.path);
  }

  remove(name: string): void {
    this.disk.remove(this.pathOf(name));
  }
}

/** A file on its way to take the place of the one that has its name. */
export class Replacement {
  private readonly path: string;
  private readonly temporary: string;
  private sink: Sink | undefined;

  /** @throws StateWriteError as all that follows; then it is abandoned */
  constructor(
    private readonly disk: Disk,
    private readonly directory: string,
    name: string,
  ) {
    this.path = join(directory, name);
    this.temporary = join(directory, `.${name}.tmp`);
    this.attempt(() => {
      disk.remove(this.temporary);
      this.sink = disk.create(this.temporary);
    });
  }

  write(bytes: Uint8Array): void {
    this.attempt((sink) => sink.write(bytes));
  }

  /** Writes over its beginning. */
  rewrite(bytes: Uint8Array): void {
    this.attempt((sink) => sink.rewrite(bytes));
  }

  /** When this returns it survives a loss of power. */
  finish(): void {
    let isVisible = false;
    const { disk, directory, path, temporary } = this;
    this.attempt(
      (sink) => {
        sink.sync();
        this.close();
        disk.rename(temporary, path);
        isVisible = true;
        disk.syncDirectory(directory);
      },
      () => isVisible,
    );
  }

  /** What was there stays. */
  abandon(): void {
    try {
      this.close();
      this.disk.remove(this.temporary);
    } catch {
      // The next sweep has it.
    }
  }

  private close(): void {
    const { sink } = this;
    this.sink = undefined;
    sink?.close();
  }

  private attempt(act: (sink: Sink) => void, isVisible = () => false): void {
    try {
      act(this.sink as Sink);
    } catch (error) {
      this.abandon();
      throw new StateWriteError(this.path, error, isVisible());
    }
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
