/** Commands that do not outlive this process: the kernel kills them when it dies, see prctl(2). */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";

/** Root's PATH does not always name the folders of `ip` and `nft`. */
export const ENVIRONMENT = { ...process.env, PATH: `${process.env.PATH ?? ""}:/usr/sbin:/sbin` };

/** A router puts its interfaces back as they were, one by one; on a busy machine that takes its time. */
const STOP_GRACE_MS = 45_000;

/** A running command. Its output is kept whole. */
export class Child {
  readonly exited: Promise<number>;
  private readonly out: Buffer[] = [];
  private readonly err: Buffer[] = [];
  private outBytes = 0;
  private readonly watchers = new Set<() => void>();
  private over = false;

  constructor(private readonly process: ChildProcessWithoutNullStreams) {
    process.stdout.on("data", (chunk: Buffer) => {
      this.outBytes += chunk.length;
      this.keep(this.out, chunk);
    });
    process.stderr.on("data", (chunk: Buffer) => this.keep(this.err, chunk));
    // A command that ends before it has read its input is no error of ours.
    process.stdin.on("error", () => {});
    this.exited = new Promise((resolve) => {
      const end = (status: number) => {
        this.over = true;
        this.wake();
        resolve(status);
      };
      process.on("error", (error) => {
        this.err.push(Buffer.from(error.message));
        end(127);
      });
      process.on("close", (code, signal) => end(code ?? (signal === "SIGKILL" ? 137 : 143)));
    });
  }

  get pid(): number {
    return this.process.pid ?? 0;
  }

  get stdout(): Buffer {
    return Buffer.concat(this.out);
  }

  /** Bytes of standard output so far. */
  get written(): number {
    return this.outBytes;
  }

  get stderr(): string {
    return Buffer.concat(this.err).toString();
  }

  write(text: string | Buffer): void {
    this.process.stdin.write(text);
  }

  /** Ends its standard input. */
  end(): void {
    this.process.stdin.end();
  }

  signal(signal: NodeJS.Signals): void {
    if (!this.over) this.process.kill(signal);
  }

  /**
   * The first line of `from` that matches; those that came before the call count, up to `after`
   * lines are passed over. Throws when the command ends, or the time passes, without one.
   */
  async line(from: "stdout" | "stderr", match: RegExp, timeoutMs = 60_000, after = 0) {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const lines = this[from].toString().split("\n").slice(0, -1);
      const found = lines.slice(after).find((line) => match.test(line));
      if (found !== undefined) return found;
      const left = deadline - Date.now();
      if (this.over || left <= 0) {
        const how = this.over ? "ended" : `said nothing for ${timeoutMs} ms`;
        throw new Error(`${this.process.spawnargs.join(" ")}: ${how}\n${this.stderr}`);
      }
      await this.change(left);
    }
  }

  /** Asks it to end, and makes it end when it does not within `graceMs`. */
  async stop(signal: NodeJS.Signals = "SIGTERM", graceMs = STOP_GRACE_MS): Promise<number> {
    this.signal(signal);
    const timer = setTimeout(() => this.signal("SIGKILL"), graceMs);
    const status = await this.exited;
    clearTimeout(timer);
    return status;
  }

  private keep(where: Buffer[], chunk: Buffer): void {
    where.push(chunk);
    this.wake();
  }

  private wake(): void {
    for (const watcher of this.watchers) watcher();
  }

  private change(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.watchers.delete(done);
        resolve();
      };
      const timer = setTimeout(done, timeoutMs);
      this.watchers.add(done);
    });
  }
}

/** A process of its own session, so that Ctrl-C reaches this process alone, which then tidies up. */
export function start(command: string, args: string[], env: Record<string, string> = {}): Child {
  return new Child(
    spawn("setpriv", ["--pdeathsig", "KILL", command, ...args], {
      detached: true,
      env: { ...ENVIRONMENT, ...env },
    }),
  );
}
