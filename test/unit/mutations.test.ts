/** The list of `npm run mutate` is one that can be applied; what it proves, `npm run mutate` says. */

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { mutate, ROOT } from "../mutate/apply.js";
import { MUTATIONS } from "../mutate/mutations.js";
import { failedTitle } from "../mutate/suite.js";

t.test("every mutation stands exactly once in the source", async (t) => {
  for (const mutation of MUTATIONS) {
    const path = join(ROOT, "assembly", mutation.file);
    t.ok(existsSync(path), `${mutation.name}: ${mutation.file} is there`);
    if (!existsSync(path)) continue;
    t.doesNotThrow(() => mutate(readFileSync(path, "utf8"), mutation), mutation.name);
  }
});

t.test("twenty behaviours at least, each once", async (t) => {
  t.ok(MUTATIONS.length >= 20, `${MUTATIONS.length}`);
  t.equal(new Set(MUTATIONS.map(({ name }) => name)).size, MUTATIONS.length);
});

t.test("the tests that a mutation names are there", async (t) => {
  const named = new Set(MUTATIONS.flatMap(({ tests }) => tests ?? []));
  const missing = [...named].filter((each) => !existsSync(join(ROOT, "test", `${each}.test.ts`)));
  t.same(missing, []);
});

t.test("a mutation that does not fit is refused", async (t) => {
  const mutation = { name: "n", file: "f", find: "a + b", replace: "a" };
  t.equal(mutate("return a + b;", mutation), "return a;");
  t.throws(() => mutate("return a;", mutation), /0 times/);
  t.throws(() => mutate("a + b; a + b;", mutation), /2 times/);
  t.throws(() => mutate("a + b", { ...mutation, replace: "a + b" }), /changes nothing/);
  const dollars = { ...mutation, replace: "$& $1" };
  t.equal(mutate("a + b", dollars), "$& $1", "the replacement is no pattern");
});

t.test("the test that failed first is found in TAP", async (t) => {
  const passed = "TAP version 14\n# Subtest: one\n    ok 1 - x\nok 1 - one # time=1ms\n";
  t.equal(
    failedTitle(`${passed}# Subtest: RFC 1 R2: a \\# b\n    not ok 1 - inner\nBail out! inner\n`),
    "RFC 1 R2: a # b",
  );
  t.equal(failedTitle(`${passed}not ok 2 - at the top # time=2ms\n`), "at the top");
  t.equal(failedTitle(passed), "one", "a crash is the last test's that began");
  t.equal(failedTitle(""), undefined);
});
