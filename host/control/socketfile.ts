/**
 * The file of a unix socket: mode 0600 from its first moment, in place of one that nobody listens on any
 * more, gone afterwards. The socket is bound under another name and renamed, so that whoever sees the path
 * sees a socket that is listened on and has its mode, and removes it only while it is still this one.
 */
import { chmodSync, existsSync, lstatSync, renameSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { dirname } from "node:path";
import { ListenError, listenFailure } from "./listenerror.js";

/** Linux: sizeof sockaddr_un.sun_path less the final zero. */
const PATH_BYTES = 107;
const MODE = 0o600;
const SUFFIX = ".new";

export class SocketFile {
  private identity: string | undefined;

  private constructor(readonly path: string) {}

  /** Where to bind. */
  get hidden(): string {
    return `${this.path}${SUFFIX}`;
  }

  /** Throws a ListenError where somebody listens, or where something else is. */
  static async prepare(path: string): Promise<SocketFile> {
    const longest = PATH_BYTES - SUFFIX.length;
    const isPath = path !== "" && !path.includes("\0") && Buffer.byteLength(path) <= longest;
    if (!isPath) throw new ListenError(path, `expected a path of 1 to ${longest} bytes`);
    if (!existsSync(dirname(path))) {
      throw new ListenError(path, "the folder does not exist (ENOENT)", "ENOENT");
    }
    const file = new SocketFile(path);
    for (const each of [file.hidden, path]) {
      try {
        await clear(each);
      } catch (error) {
        throw listenFailure(path, error);
      }
    }
    return file;
  }

  /** Runs what creates the file so that nobody else can open it. */
  async privately<T>(bind: () => Promise<T>): Promise<T> {
    const before = setUmask(0o777 & ~MODE);
    let bound: Promise<T>;
    try {
      // Both implementations bind before they return.
      bound = bind();
    } finally {
      if (before !== undefined) setUmask(before);
    }
    return bound;
  }

  publish(): void {
    chmodSync(this.hidden, MODE);
    this.identity = identityOf(this.hidden);
    renameSync(this.hidden, this.path);
  }

  remove(): void {
    for (const each of [this.hidden, this.path]) {
      if (this.identity !== undefined && identityOf(each) === this.identity) rmSync(each);
    }
  }
}

/** Undefined in a worker, which may not. */
function setUmask(mask: number): number | undefined {
  try {
    return process.umask(mask);
  } catch {
    return undefined;
  }
}

function identityOf(path: string): string | undefined {
  const found = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  return found && `${found.dev}:${found.ino}`;
}

async function clear(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) throw new ListenError(path, "a file is there that is no socket");
  const code = await knock(path);
  if (code === undefined) {
    throw new ListenError(path, "somebody listens there already (EADDRINUSE)", "EADDRINUSE");
  }
  if (code !== "ECONNREFUSED") throw Object.assign(new Error(code), { code });
  rmSync(path, { force: true });
}

/** Whether somebody listens there. */
export async function isAnswered(path: string): Promise<boolean> {
  return (await knock(path)) === undefined;
}

/** The system's error, or undefined where somebody answers. */
function knock(path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(undefined);
    });
    // A full queue (EAGAIN) is somebody's, too.
    socket.once("error", ({ code }: NodeJS.ErrnoException) =>
      resolve(code === "EAGAIN" ? undefined : (code ?? "EIO")),
    );
  });
}
