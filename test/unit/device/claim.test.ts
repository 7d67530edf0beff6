/** Claims of interfaces: several devices of one process share one, other processes are refused, however often they ask. */

import { spawnSync } from "node:child_process";
import t from "tap";
import { Claim } from "../../../host/device/claim.js";

const MODULE = new URL("../../../host/device/claim.js", import.meta.url).href;
/** No interface has such an index, and nobody who runs this beside us takes the same. */
const INDEX = 2_000_000_000 + process.pid;
/** More than wait to be accepted. */
const QUESTIONS = 20;

const skip = process.platform === "linux" ? false : "needs Linux";

/** Has another process take a claim so many times; what it was told, each. */
function others(index: number, times: number): string[] {
  const program = `
    const { Claim } = await import(${JSON.stringify(MODULE)});
    for (let n = 0; n < ${times}; n++) {
      try {
        const claim = new Claim("lan");
        claim.take(${index});
        claim.give();
        console.log("taken");
      } catch (error) {
        console.log(error.message);
      }
    }`;
  const args = ["--input-type=module", "--eval", program];
  const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
  if (stderr !== "") throw new Error(stderr);
  return stdout.trim().split("\n");
}

t.test("a claim is one process's, and all its devices'", { skip }, async (t) => {
  const first = new Claim("lan");
  first.take(INDEX);
  const [refused, ...more] = others(INDEX, QUESTIONS);
  t.equal(refused, `lan: another crosszone has this interface (process ${process.pid})`);
  t.equal(more.length, QUESTIONS - 1);
  for (const each of more) t.match(each, /^lan: another crosszone has this interface/);

  const second = new Claim("lan");
  second.take(INDEX);
  second.take(INDEX);
  first.give();
  first.give();
  t.match(others(INDEX, 1), [/another crosszone/], "one of two devices still has it");
  second.give();
  t.same(others(INDEX, 2), ["taken", "taken"]);
});
