/** A file for another process to read that has no name at any moment: whatever happens, none stays. */
import { closeSync, constants, openSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";

/** O_TMPFILE of open(2) is these two together. */
const FLAGS = 0o20000000 | constants.O_DIRECTORY | constants.O_RDWR;

export class NamelessFile {
  private readonly fd: number;

  constructor(content: string | Buffer) {
    const failures: unknown[] = [];
    for (const folder of ["/dev/shm", tmpdir()]) {
      const fd = attempt(folder, content, failures);
      if (fd === undefined) continue;
      this.fd = fd;
      return;
    }
    throw new Error(`no place for a file without a name: ${failures.join("; ")}`);
  }

  /** Where other processes find it, as long as this one lives and has not closed it. */
  get path(): string {
    return `/proc/${process.pid}/fd/${this.fd}`;
  }

  close(): void {
    closeSync(this.fd);
  }
}

/** Not every file system has such files, or the room. */
function attempt(folder: string, content: string | Buffer, failures: unknown[]) {
  let fd: number | undefined;
  try {
    fd = openSync(folder, FLAGS, 0o600);
    writeFileSync(fd, content);
    return fd;
  } catch (error) {
    failures.push(error);
    if (fd !== undefined) closeSync(fd);
    return undefined;
  }
}
