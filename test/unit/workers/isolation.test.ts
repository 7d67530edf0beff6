/** The property that must never break, with several workers (test/fuzz). */

import t from "tap";
import { workersRound } from "../../fuzz/isolation.js";
import { fuzz } from "../../fuzz/run.js";

// A busy machine takes its time.
t.setTimeout(240_000);

const SEED = 50_000;

t.test(
  "no packet reaches another zone, whichever worker it comes to, and none vanishes",
  async (t) => {
    const { failures, tallies } = fuzz(SEED, 50, ["workers"]);
    for (const { error, command } of failures) t.fail(command, { error });
    const reasons = ["Forwarded", "HeldSent", "ConnRevoked", "PoolExhausted", "ZoneConnLimit"];
    const ways = ["straight", "turned", "inward", "errorsPassed"];
    const crossings = ["crossed", "steered", "lingered", "between", "heard"];
    for (const name of [...reasons, ...ways, ...crossings]) {
      t.ok((tallies.workers?.[name] ?? 0) > 0, `${name} happened`);
    }
  },
);

t.test("a round can be repeated", async (t) => {
  t.same(workersRound(SEED), workersRound(SEED));
});
