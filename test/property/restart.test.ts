/**
 * Another process in the router's place, amid random traffic over random configurations (test/fuzz): nothing reaches another
 * tenant, what goes on is what there was, and where the configuration is the same nothing is lost and nobody notices.
 * RESTART_SEED sets the first seed; random ones are for `npm run fuzz`.
 */

import t from "tap";
import { isolationRound, type Tally, workersRound } from "../fuzz/isolation.js";

const ROUNDS = 20;

// A busy machine takes its time.
t.setTimeout(180_000);

/** From this seed on some 80 conns go on in the one and 150 in the other, where more than ROUNDS are asked for. */
const first = Number(process.env.RESTART_SEED ?? 46);

for (const [name, round] of [
  ["isolation", isolationRound],
  ["workers", workersRound],
] as const) {
  t.test(`restarts: ${name}`, async (t) => {
    const all: Tally = {};
    for (let seed = first; seed < first + ROUNDS; seed++) {
      try {
        for (const [key, count] of Object.entries(round(seed))) all[key] = (all[key] ?? 0) + count;
      } catch (error) {
        t.fail(`npm run fuzz -- ${name} --seed ${seed} --rounds 1`, { report: `${error}` });
      }
    }
    t.ok(
      (all.connsRestored ?? 0) > ROUNDS,
      `${all.connsRestored} conns went on, from seed ${first}`,
    );
    t.ok((all.connsZoneGone ?? 0) + (all.connsRefused ?? 0) > 0, "and others did not");
  });
}
