/** Commands on a terminal of their own: util-linux's script(1) makes it. */

import { spawn, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

export const MAIN = fileURLToPath(new URL("../../host/main.js", import.meta.url));

/** Why there is no terminal here; false where there is. */
export function terminalSkip(): string | false {
  const tried = spawnSync("script", ["-qec", "test -t 0 && test -t 1", "/dev/null"]);
  return tried.status === 0 ? false : "script (util-linux) makes no terminal here";
}

export class Terminal {
  text = "";
  readonly ended: Promise<number>;
  private readonly child;
  private readonly watchers = new Set<() => void>();

  /** @param command  for a shell */
  constructor(command: string, env: Readonly<Record<string, string>> = {}) {
    this.child = spawn("script", ["-qefc", `stty rows 30 cols 90; ${command}`, "/dev/null"], {
      env: { ...process.env, TERM: "xterm", NO_COLOR: "1", ...env },
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.child.stdin.on("error", () => {});
    this.child.stdout.on("data", (part: Buffer) => {
      this.text += part.toString();
      for (const watcher of this.watchers) watcher();
    });
    this.ended = new Promise((resolve) => {
      this.child.once("close", (code) => resolve(code ?? -1));
    });
  }

  type(keys: string): void {
    this.child.stdin.write(keys);
  }

  /** Waits until it has been written. */
  shown(match: RegExp, ms = 20_000): Promise<string> {
    return new Promise((resolve, reject) => {
      const look = () => {
        if (!match.test(this.text)) return;
        clearTimeout(timer);
        this.watchers.delete(look);
        resolve(this.text);
      };
      const timer = setTimeout(() => {
        this.watchers.delete(look);
        reject(new Error(`not shown within ${ms} ms: ${match}\n${this.text}`));
      }, ms);
      this.watchers.add(look);
      look();
    });
  }

  kill(): void {
    this.child.kill("SIGKILL");
  }
}

/** `crosszone …` as a shell takes it. */
export function crosszone(...args: readonly string[]): string {
  return [process.execPath, MAIN, ...args]
    .map((each) => `'${each.replaceAll("'", "'\\''")}'`)
    .join(" ");
}
