/** What several workers can share, and what a later configuration may change of it. */

import t from "tap";
import { checkConfig } from "../../../host/config/parse.js";
import { reshared, shareShiftOf } from "../../../host/config/shares.js";
import { EXTERNAL, edge } from "../../harness/host.js";

function pool(changes: Record<string, unknown>) {
  return { name: "p1", zone: "public", addresses: [EXTERNAL], ...changes };
}

function configuration(changes: Record<string, unknown>, workers = 2) {
  return checkConfig(edge({ workers, pools: [pool(changes)] }));
}

const blocks = (ports: number) => ({ allocation: "block", block: { ports } });

t.test("each worker must have ports of each pool", async (t) => {
  const expected =
    "expected ports for each of 2 workers, which have 64 in a row in turn, found ports for 1 of them";
  t.throws(() => configuration({ ports: "1024-1087" }), {
    message: `pools[0].addresses: ${expected}`,
  });
  t.doesNotThrow(() => configuration({ ports: "1024-1088" }));
  t.doesNotThrow(() => configuration({ ports: "1024-1087" }, 1));
});

t.test("what was shared out at the start stays so", async (t) => {
  const running = configuration(blocks(1024));
  const shift = shareShiftOf(running);
  t.equal(shift, 10);
  const wrong = (changes: Record<string, unknown>, workers = 2) =>
    reshared(configuration(changes, workers), running, shift);
  t.same(wrong(blocks(1024)), []);
  t.same(wrong(blocks(512)), [], "smaller blocks fit");
  t.match(wrong(blocks(2048)), [/^pools: blocks of 2048 ports wanted, .* by 1024 since the start/]);
  t.match(wrong(blocks(1024), 3), [/^workers: 3 wanted, 2 since the start/]);
  t.match(
    wrong({ ports: "2048-3071" }),
    [/^pools: p1 has ports for 1 of 2 workers, which have 1024 in a row since the start/],
    "by what was shared out at the start, not by what would be now",
  );
});
