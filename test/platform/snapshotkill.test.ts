/**
 * A process that writes snapshots is killed at random moments (SIGKILL): what it leaves is the one that it has finished
 * last, or the one that it was about to. STATE_SEED sets the seed, which is printed.
 */

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import t from "tap";
import { StateDirectory } from "../../host/state/files.js";
import { SnapshotFile } from "../../host/state/snapshotfile.js";
import { type Random, randomOf } from "../harness/memorydisk.js";
import { contentOf } from "../harness/snapshotdriver.js";

const DRIVER = fileURLToPath(new URL("../harness/snapshotdriver.js", import.meta.url));
const seed = Number(process.env.STATE_SEED ?? 5077);
const skip = process.platform === "linux" ? false : "needs Linux";

t.setTimeout(300_000);

/** Directories at a time, and kills in each. */
const LANES = 3;
const KILLS = 40;
/** Of the careless one, at most. */
const CANARY_KILLS = 300;

/** The most lines that a driver is let say, and the longest that it then works on. */
const LINES = 7;
const WORK_MS = 10;

/** Runs the driver until it is killed; what it has said. */
async function kill(path: string, first: number, random: Random, extra: string[]) {
  // Counted in what it does, so that a slow machine does not leave less done.
  const awaited = 1 + Math.floor(random() * LINES);
  const delayMs = random() * WORK_MS;
  const child = spawn(process.execPath, [DRIVER, path, `${first}`, ...extra], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let said = "";
  const ended = new Promise<string | null>((resolve) => {
    child.on("close", (_, signal) => resolve(signal));
  });
  await new Promise<void>((resolve) => {
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      said += text;
      if (said.split("\n").length > awaited) resolve();
    });
    ended.then(() => resolve());
  });
  await sleep(delayMs);
  child.kill("SIGKILL");
  if ((await ended) !== "SIGKILL") throw new Error("the driver ended by itself");
  return said.split("\n").slice(0, -1);
}

/** The number of the snapshot that is left, undefined for none. */
function numberLeft(path: string): number | undefined {
  const directory = StateDirectory.hold(path);
  try {
    const found = new SnapshotFile(directory.folder).find();
    if (found === undefined) return undefined;
    const bytes = Buffer.concat([...found.pieces()]);
    found.close();
    const number = Number.parseInt(bytes.toString("latin1", 0, 12), 10);
    if (!bytes.equals(Buffer.concat([...contentOf(number)]))) throw new Error("of two snapshots");
    return number;
  } finally {
    directory.release();
  }
}

/** Kills one after the other in one directory, up to the first that leaves a fault. */
async function lane(kills: number, laneSeed: number, extra: string[] = []) {
  const path = mkdtempSync(join(tmpdir(), "crosszone-kill-"));
  const random = randomOf(laneSeed);
  let left: number | undefined;
  let finished = 0;
  try {
    for (let n = 0; n < kills; n++) {
      const lines = await kill(path, (left ?? 0) + 1, random, extra);
      const numbers = (what: string) =>
        lines.filter((line) => line.startsWith(what)).map((line) => Number(line.split(" ")[1]));
      const [begun, ended] = [numbers("begin").at(-1), numbers("end").at(-1) ?? left];
      finished += numbers("end").length;
      try {
        const found = numberLeft(path);
        if (found !== begun && found !== ended) throw new Error(`${found}, after ${lines}`);
        left = found;
      } catch (error) {
        return { kills: n + 1, finished, fault: `${error}` };
      }
    }
    return { kills, finished, fault: undefined };
  } finally {
    rmSync(path, { recursive: true });
  }
}

t.test("killed at random moments, a snapshot is always whole", { skip }, async (t) => {
  t.comment(
    `again: STATE_SEED=${seed} npx tap --disable-coverage dist/test/platform/snapshotkill.test.js`,
  );
  const lanes = await Promise.all(
    Array.from({ length: LANES }, (_, number) => lane(KILLS, seed * LANES + number)),
  );
  t.same(
    lanes.map(({ fault }) => fault),
    Array.from({ length: LANES }, () => undefined),
    `seed ${seed}`,
  );
  const sum = (key: "kills" | "finished") => lanes.reduce((all, each) => all + each[key], 0);
  t.equal(sum("kills"), LANES * KILLS);
  t.ok(sum("finished") > LANES * KILLS, `${sum("finished")} were finished`);
});

t.test("canary: written under its own name, it is not", { skip }, async (t) => {
  const { fault, kills } = await lane(CANARY_KILLS, seed, ["careless"]);
  t.ok(fault, `found at kill ${kills}`);
  t.comment(fault ?? "");
});
