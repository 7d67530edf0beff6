/** Runs the tests of the datapath's behaviour against a module, file by file, up to the first that fails. */

import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { OTHER_DATAPATH } from "../harness/member.js";
import { ROOT } from "./apply.js";

/** Where the tests are that go through the datapath's exports, relative to test/. */
const FOLDERS = ["conformance", "unit/datapath", "unit/workers"];
/** A file that takes longer is one that does not end: the slowest takes six seconds. */
const TIMEOUT_MS = 120_000;

/** A test that failed. */
export interface Catch {
  /** Relative to test/, without `.test.ts`. */
  readonly file: string;
  readonly title: string;
}

/** All files there are, as `Mutation.tests` names them. */
export function suite(): string[] {
  return FOLDERS.flatMap((folder) => {
    const at = join(ROOT, "dist/test", folder);
    const names = existsSync(at) ? readdirSync(at).sort() : [];
    const tests = names.filter((name) => name.endsWith(".test.js"));
    return tests.map((name) => `${folder}/${name.slice(0, -".test.js".length)}`);
  });
}

/** The first test that fails, `first` being tried before the others; undefined when all pass. */
export function firstFailure(module: string, first: readonly string[] = []): Catch | undefined {
  for (const file of new Set([...first, ...suite()])) {
    const title = failureOf(module, file);
    if (title !== undefined) return { file, title };
  }
  return undefined;
}

function failureOf(module: string, file: string): string | undefined {
  const path = join(ROOT, "dist/test", `${file}.test.js`);
  if (!existsSync(path)) throw new Error(`no such test: ${file}`);
  const env = { ...process.env, [OTHER_DATAPATH]: module, TAP_BAIL: "1", TAP: "1" };
  const ended = spawnSync(process.execPath, [path], {
    env,
    encoding: "utf8",
    timeout: TIMEOUT_MS,
    killSignal: "SIGKILL",
    maxBuffer: 256 * 1024 * 1024,
  });
  if (ended.status === 0) return undefined;
  return failedTitle(ended.stdout) ?? `did not end well: ${ended.signal ?? ended.status}`;
}

/** The title of the test that failed first in TAP 14, which names a test in front of what it asserts. */
export function failedTitle(tap: string): string | undefined {
  let title: string | undefined;
  for (const line of tap.split("\n")) {
    if (line.startsWith("# Subtest: ")) title = plain(line.slice("# Subtest: ".length));
    const failed = /^( *)not ok \d+(?: - (.*))?$/.exec(line);
    if (failed !== null) return failed[1] === "" ? plain(failed[2] ?? "") : title;
  }
  return title;
}

/** Without TAP's escapes, directives and times. */
function plain(text: string): string {
  return text.replace(/ # (?:time=|TODO|SKIP).*$/u, "").replace(/\\([#\\])/gu, "$1");
}
