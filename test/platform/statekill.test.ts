/**
 * A process that works on the store is killed at random moments (SIGKILL), and the next one goes on with what it
 * left: test/harness/statedriver.ts on a real file system. STATE_SEED sets the seed, which is printed.
 */

import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import t from "tap";
import { StateDirectory } from "../../host/state/files.js";
import { readName } from "../../host/state/record.js";
import { Store } from "../../host/state/revisions.js";
import { Ledger } from "../harness/ledger.js";
import { type Random, randomOf } from "../harness/memorydisk.js";

const DRIVER = fileURLToPath(new URL("../harness/statedriver.js", import.meta.url));
const seed = Number(process.env.STATE_SEED ?? 5077);
const skip = process.platform === "linux" ? false : "needs Linux";

// 15 s on an idle machine; starting Node 200 times takes as long as others let it.
t.setTimeout(300_000);

/** Directories at a time, and kills in each. */
const LANES = 3;
const KILLS = 70;
/** Of the careless one, at most. */
const CANARY_KILLS = 300;

/** The most lines that a driver is let say about an open store, and the longest that it then works on. */
const LINES = 12;
const WORK_MS = 10;

interface Killed {
  readonly faults: string[];
  /** What was done before the kill: lines of the driver. */
  readonly lines: number;
}

/** Runs the driver until it is killed, and checks what it left. */
async function killOne(
  path: string,
  random: Random,
  ledger: Ledger,
  name: string,
  extra: string[],
) {
  const number = Math.floor(random() * 2 ** 31);
  const child = spawn(process.execPath, [DRIVER, path, `${number}`, name, ...extra], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  let complaint = "";
  // One in eight is killed while it opens the store.
  const awaited = random() < 0.125 ? "opening\n" : "open\n";
  // Counted in what it does, so that a slow machine does not leave less done.
  const more = awaited === "open\n" ? Math.floor(random() * (LINES + 1)) : 0;
  const delayMs = random() * WORK_MS;
  const ended = new Promise<string | null>((resolve) => {
    child.on("close", (_, signal) => resolve(signal));
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    complaint += text;
  });
  await new Promise<void>((resolve) => {
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      said += text;
      const at = said.indexOf(awaited);
      if (at >= 0 && said.slice(at + awaited.length).split("\n").length > more) resolve();
    });
    ended.then(() => resolve());
  });
  await sleep(delayMs);
  child.kill("SIGKILL");
  const signal = await ended;
  // A line that the kill cut off is no line.
  const lines = said.split("\n").slice(0, -1);
  for (const line of lines) ledger.note(line);
  const faults = checkLeft(path, ledger);
  if (signal !== "SIGKILL") faults.push(`the driver ended by itself: ${complaint}`);
  return { faults, lines: lines.length } satisfies Killed;
}

function checkLeft(path: string, ledger: Ledger): string[] {
  const directory = StateDirectory.hold(path);
  try {
    const store = Store.open(directory, { wallMs: 1_700_000_000_000, monotonicMs: 0 });
    const faults = ledger.check(store);
    const strange = readdirSync(join(path, "revisions")).filter((name) => !readName(name));
    return [...faults, ...strange.map((name) => `${name} is left`)];
  } finally {
    directory.release();
  }
}

/** Kills in one directory, one after the other, up to the first that leaves a fault. */
async function lane(kills: number, laneSeed: number, extra: string[] = []) {
  const path = mkdtempSync(join(tmpdir(), "crosszone-kill-"));
  const random = randomOf(laneSeed);
  const ledger = new Ledger();
  let lines = 0;
  try {
    for (let kill = 0; kill < kills; kill++) {
      const killed = await killOne(path, random, ledger, `${laneSeed}.${kill}`, extra);
      lines += killed.lines;
      if (killed.faults.length > 0) return { kills: kill + 1, lines, faults: killed.faults };
    }
    return { kills, lines, faults: [] };
  } finally {
    rmSync(path, { recursive: true });
  }
}

t.test("killed at random moments, a store is always whole", { skip }, async (t) => {
  t.comment(
    `again: STATE_SEED=${seed} npx tap --disable-coverage dist/test/platform/statekill.test.js`,
  );
  const lanes = await Promise.all(
    Array.from({ length: LANES }, (_, number) => lane(KILLS, seed * LANES + number)),
  );
  t.same(
    lanes.flatMap(({ faults }) => faults),
    [],
    `seed ${seed}`,
  );
  const kills = lanes.reduce((sum, each) => sum + each.kills, 0);
  t.ok(kills >= 200, `${kills} kills`);
  const lines = lanes.reduce((sum, each) => sum + each.lines, 0);
  t.ok(lines > kills * 3, `${lines} steps were heard of`);
});

t.test("canary: written without a rename, it is not", { skip }, async (t) => {
  const { faults, kills } = await lane(CANARY_KILLS, seed, ["careless"]);
  t.ok(faults.length > 0, `found at kill ${kills}`);
  t.comment(faults[0] ?? "");
});
