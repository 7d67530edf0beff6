/** `npm run fuzz` from the command line. */

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import t from "tap";

const MAIN = fileURLToPath(new URL("../fuzz/main.js", import.meta.url));

function fuzz(...args: string[]) {
  return spawnSync(process.execPath, [MAIN, ...args], { encoding: "utf8" });
}

t.test("says how it is used", async (t) => {
  for (const flag of ["--help", "-h"]) {
    const { status, stdout, stderr } = fuzz(flag);
    t.equal(status, 0);
    t.match(stdout, /^npm run fuzz -- \[TARGET…\]/);
    t.equal(stderr, "");
  }
});

t.test("refuses what it cannot run, in one line and how it is used", async (t) => {
  for (const [args, message] of [
    [["nothing"], /^fuzz: 'nothing' is no target: one of isolation, workers, frames, images/],
    [["--nothing"], /^fuzz: Unknown option '--nothing'/],
    [["--seed", "x"], /^fuzz: --seed: a number expected, found 'x'/],
    [["--rounds", "-1"], /^fuzz: Option '--rounds' argument is ambiguous/],
    [["--rounds"], /^fuzz: Option '--rounds <value>' argument missing/],
  ] as const) {
    const { status, stdout, stderr } = fuzz(...args);
    t.equal(status, 2);
    t.match(stderr, message);
    t.match(stderr, /\nnpm run fuzz -- /);
    t.notMatch(stderr, /^ +at /mu, "no stack");
    t.equal(stdout, "");
  }
});

t.test("runs the targets that are named", async (t) => {
  const { status, stdout } = fuzz("frames", "images", "--rounds", "1", "--seed", "7");
  t.equal(status, 0);
  t.match(stdout, /^frames: 1 rounds: .*\nimages: 1 rounds: .*\n$/);
});
