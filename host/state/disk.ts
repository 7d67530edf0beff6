/**
 * What the state directory asks of a file system, as an interface that tests can stand in for: with a disk
 * that loses power, is full, or forgets to be careful.
 *
 * All calls are synchronous. They run on the main thread, which forwards nothing, and the order of writes is
 * then the order of lines.
 */

import fs from "node:fs";
import { dirname } from "node:path";
import { check, Errno, errno, libc } from "../device/libc.js";
import { HeldError } from "./fileerror.js";

/** A file that is being written. */
export interface Sink {
  /** Behind what was written before. */
  write(bytes: Uint8Array): void;
  /** Over its beginning. */
  rewrite(bytes: Uint8Array): void;
  /** What was written survives a loss of power, once its name does. */
  sync(): void;
  close(): void;
}

/** A file that is being read. */
export interface Source {
  /** How long it was when it was opened. */
  readonly bytes: number;
  /** Some bytes from `at` on, at most `bytes`; none at its end. */
  read(at: number, bytes: number): Uint8Array;
  close(): void;
}

export interface Found {
  readonly bytes: Uint8Array;
  /** Permission bits. */
  readonly mode: number;
}

export interface Lock {
  release(): void;
}

export interface Disk {
  /** A directory of mode 0700, where there is none. An error when others may write to the one there is. */
  makeDirectory(path: string): void;
  /** @throws HeldError when another process, or another holder in this one, has it */
  lock(path: string): Lock;
  list(directory: string): string[];
  /** The first `bytesMax + 1` bytes of a regular file; undefined when there is none. */
  read(path: string, bytesMax: number): Found | undefined;
  /** A regular file, to be read in pieces; undefined when there is none. */
  open(path: string): Source | undefined;
  /** Changes when the file is written or replaced; undefined when there is none. */
  stamp(path: string): string | undefined;
  /** A new file of mode 0600. */
  create(path: string): Sink;
  /** In one step, over what may be there. */
  rename(from: string, to: string): void;
  /** Names that were made, moved or removed in it survive a loss of power. */
  syncDirectory(path: string): void;
  /** No error when there is none. */
  remove(path: string): void;
}

const { O_RDONLY, O_RDWR, O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_DIRECTORY } =
  fs.constants;

/** Write permission of group and others. */
const WRITABLE = 0o022;

/** linux/fcntl.h: LOCK_EX and LOCK_NB. */
const LOCK_EXCLUSIVE_NOW = 2 | 4;

/** Digits of a process number and a line end, with room to spare. */
const LOCK_BYTES = 32;

export const systemDisk: Disk = {
  makeDirectory(path) {
    try {
      fs.mkdirSync(path, { mode: 0o700 });
      giveToOwner(path, (uid, gid) => fs.chownSync(path, uid, gid));
      this.syncDirectory(dirname(path));
    } catch (error) {
      if (codeOf(error) !== "EEXIST") throw error;
    }
    const found = fs.statSync(path);
    if (!found.isDirectory()) throw new Error(`${path}: no directory`);
    if ((found.mode & WRITABLE) !== 0) {
      throw new Error(`${path}: others may write to it; chmod go-w ${path}`);
    }
  },

  lock(path) {
    const fd = fs.openSync(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600);
    try {
      takeLock(fd, path);
      fs.ftruncateSync(fd);
      fs.writeSync(fd, `${process.pid}\n`, 0);
      giveToOwner(path, (uid, gid) => fs.fchownSync(fd, uid, gid));
    } catch (error) {
      fs.closeSync(fd);
      throw error;
    }
    return { release: once(() => fs.closeSync(fd)) };
  },

  list: (directory) => fs.readdirSync(directory),

  read(path, bytesMax) {
    const fd = openIfThere(path);
    if (fd === undefined) return undefined;
    try {
      const found = fs.fstatSync(fd);
      if (!found.isFile()) throw new Error("no regular file");
      return { bytes: readUpTo(fd, bytesMax + 1, found.size), mode: found.mode & 0o7777 };
    } finally {
      fs.closeSync(fd);
    }
  },

  open(path) {
    const fd = openIfThere(path);
    if (fd === undefined) return undefined;
    const close = once(() => fs.closeSync(fd));
    try {
      const found = fs.fstatSync(fd);
      if (!found.isFile()) throw new Error("no regular file");
      return {
        bytes: found.size,
        read(at, bytes) {
          const piece = new Uint8Array(bytes);
          return piece.subarray(0, fs.readSync(fd, piece, 0, bytes, at));
        },
        close,
      };
    } catch (error) {
      close();
      throw error;
    }
  },

  stamp(path) {
    const found = fs.statSync(path, { bigint: true, throwIfNoEntry: false });
    if (found === undefined) return undefined;
    return `${found.ino} ${found.size} ${found.mtimeNs} ${found.ctimeNs}`;
  },

  create(path) {
    const fd = fs.openSync(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
    try {
      giveToOwner(path, (uid, gid) => fs.fchownSync(fd, uid, gid));
    } catch (error) {
      fs.closeSync(fd);
      throw error;
    }
    return {
      write(bytes) {
        for (let at = 0; at < bytes.length; ) at += fs.writeSync(fd, bytes, at);
      },
      rewrite(bytes) {
        for (let at = 0; at < bytes.length; ) {
          at += fs.writeSync(fd, bytes, at, bytes.length - at, at);
        }
      },
      sync: () => fs.fsyncSync(fd),
      close: once(() => fs.closeSync(fd)),
    };
  },

  rename: (from, to) => fs.renameSync(from, to),

  syncDirectory(path) {
    const fd = fs.openSync(path, O_RDONLY | O_DIRECTORY);
    try {
      fs.fsyncSync(fd);
    } finally {
      fs.closeSync(fd);
    }
  },

  remove: (path) => fs.rmSync(path, { force: true }),
};

/** The lock is the kernel's: it ends with the process, however that ends. */
function takeLock(fd: number, path: string): void {
  const result = libc().flock(fd, LOCK_EXCLUSIVE_NOW);
  if (result < 0 && errno() === Errno.Again) {
    const holder = /^[0-9]{1,10}(?=\n)/.exec(Buffer.from(readUpTo(fd, LOCK_BYTES, 0)).toString());
    throw new HeldError(dirname(path), holder === null ? undefined : Number(holder[0]));
  }
  check(result, path, "flock");
}

/**
 * What root writes belongs to whoever the directory belongs to, so that a router that has dropped its
 * privileges can read what `sudo crosszone token add` wrote.
 */
function giveToOwner(path: string, change: (uid: number, gid: number) => void): void {
  if (process.geteuid?.() !== 0) return;
  const { uid, gid } = fs.statSync(dirname(path));
  if (uid !== 0 || gid !== 0) change(uid, gid);
}

function openIfThere(path: string): number | undefined {
  try {
    // Not blocking: a pipe that somebody put there must not stop the start.
    return fs.openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** @param guess  how long the file seems to be */
function readUpTo(fd: number, bytesMax: number, guess: number): Uint8Array {
  let bytes = new Uint8Array(Math.min(bytesMax, Math.max(guess + 1, LOCK_BYTES)));
  let length = 0;
  while (length < bytesMax) {
    if (length === bytes.length) {
      const longer = new Uint8Array(Math.min(bytesMax, bytes.length * 2));
      longer.set(bytes);
      bytes = longer;
    }
    const read = fs.readSync(fd, bytes, length, bytes.length - length, length);
    if (read === 0) break;
    length += read;
  }
  return bytes.subarray(0, length);
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
}

function once(action: () => void): () => void {
  let isDone = false;
  return () => {
    if (isDone) return;
    isDone = true;
    action();
  };
}
