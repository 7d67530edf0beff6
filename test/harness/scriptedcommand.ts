/** The command line as a process, against a router that answers by a script. */

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";
import { type Script, Scripted } from "./scripted.js";
import { MAIN } from "./terminal.js";

/** A folder for sockets and files, as long as the test is. */
export function folderOf(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), "crosszone-scripted-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** A router of its own, and commands that ask it. */
export async function start(t: Test, script: Script) {
  const socket = join(folderOf(t), "control.sock");
  const router = await Scripted.start(socket, script);
  t.teardown(() => router.stop());
  const begin = (...args: string[]) => command(t, [...args, "--socket", socket]);
  return { router, begin, run: (...args: string[]) => begin(...args).ended };
}

/** A command that runs, and what has become of it. */
export function command(t: Test, args: readonly string[]) {
  const child = spawn(process.execPath, [MAIN, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  t.teardown(() => child.kill("SIGKILL"));
  const said = { stdout: "", stderr: "" };
  child.stdout.on("data", (part: Buffer) => {
    said.stdout += part.toString();
  });
  child.stderr.on("data", (part: Buffer) => {
    said.stderr += part.toString();
  });
  const ended = new Promise<{ status: number | null; stdout: string; stderr: string }>((resolve) =>
    child.once("close", (status) => resolve({ status, ...said })),
  );
  return { child, ended };
}
