/**
 * Whatever is traced: not one byte of the memory is another one afterwards, and when the frame then comes, it ends as the
 * trace said, and the same frames leave. Held against rounds of the fuzzer, each of whose frames is traced first.
 */

import t from "tap";
import { isolationRound, workersRound } from "../fuzz/isolation.js";
import { mutationRound } from "../fuzz/mutation.js";
import { Router } from "../harness/router.js";
import { type Seen, watching } from "../harness/trace.js";

// A busy machine takes its time.
t.setTimeout(240_000);

const ROUNDS = Number(process.env.TRACE_ROUNDS ?? 3);
const SEED = Number(process.env.TRACE_SEED ?? 1);

const seen: Seen = { verdicts: new Map(), steps: new Set(), handedOn: 0 };

t.before(() => {
  Router.watcher = watching(seen);
});
t.teardown(() => {
  Router.watcher = undefined;
});

const TARGETS = { isolationRound, workersRound, mutationRound };

for (const [name, round] of Object.entries(TARGETS)) {
  for (let seed = SEED; seed < SEED + ROUNDS; seed++) {
    t.test(`${name}, TRACE_SEED=${seed} TRACE_ROUNDS=1`, async (t) => {
      round(seed);
      t.pass("as the trace said");
    });
  }
}

t.test("traces of all kinds were seen", async (t) => {
  const count = [...seen.verdicts.values()].reduce((sum, each) => sum + each, 0);
  t.comment(JSON.stringify([count, seen.handedOn, Object.fromEntries(seen.verdicts)]));
  t.ok(count > 300 * ROUNDS, `${count} traces`);
  t.ok(seen.handedOn > 10 * ROUNDS, `${seen.handedOn} went on at another worker`);
  for (const verdict of ["Forwarded", "Answered", "Learned", "Held", "FragmentHeld", "NoFlow"]) {
    t.ok(seen.verdicts.has(verdict), verdict);
  }
});
