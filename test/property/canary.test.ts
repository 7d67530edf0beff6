/** The properties are worth something only if they can fail: these must, and say how to see it again. */

import fc from "fast-check";
import t from "tap";
import { failure } from "../harness/property.js";

const never1000 = fc.property(fc.nat(100_000), (n) => n < 1000);

t.test("a property that does not hold fails, shrinks and prints how to run it again", async (t) => {
  const details = fc.check(never1000, { seed: 42 });
  const message = failure("it's a canary", details, "dist/test/property/canary.test.js");
  t.equal(details.failed, true);
  t.same(details.counterexample, [1000], "the smallest counterexample");
  t.match(message, "seed 42");
  t.match(message, `path ${details.counterexamplePath}`);
  t.match(message, `PROPERTY='it'\\''s a canary' PROPERTY_SEED=42 PROPERTY_PATH='`);
  t.match(message, "npx tap --disable-coverage dist/test/property/canary.test.js");
});

t.test("seed and path lead straight back to the counterexample", async (t) => {
  const first = fc.check(never1000, { seed: 42 });
  const again = fc.check(never1000, { seed: 42, path: first.counterexamplePath ?? "" });
  t.equal(again.failed, true);
  t.same(again.counterexample, first.counterexample);
  t.equal(again.numRuns, 1);
});

t.test("an exception fails a property too; one that holds prints nothing", async (t) => {
  const throws = fc.property(fc.nat(), () => {
    throw new Error("canary");
  });
  t.match(failure("throws", fc.check(throws), "x.js"), "canary");
  const fine = fc.property(fc.nat(), (n) => n >= 0);
  t.equal(failure("holds", fc.check(fine), "x.js"), undefined);
});
