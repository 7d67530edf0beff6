/** What several workers can share, and what a later configuration may change of it. */

import t from "tap";
import { checkConfig } from "../../../host/config/parse.js";
import { Shares } from "../../../host/config/shares.js";
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
  const shares = new Shares(configuration(blocks(1024)));
  t.equal(shares.shift, 10);
  const wrong = (changes: Record<string, unknown>, workers = 2) =>
    shares.refuse(configuration(changes, workers));
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

t.test("an address that was left out comes back to the same workers", async (t) => {
  const deterministic = {
    allocation: "deterministic",
    deterministic: { hosts: [{ zone: "a", prefix: "192.168.0.0/28" }], portsPerHost: 64 },
  };
  const elsewhere = { addresses: ["203.0.113.8"] };
  const shares = new Shares(configuration(deterministic));
  const moves = [/^pools: ports of p1 would change their workers: .* now or before/];
  t.match(shares.refuse(configuration({})), moves);
  t.same(shares.refuse(configuration(elsewhere)), []);
  shares.adopt(configuration(elsewhere));
  t.match(shares.refuse(configuration({})), moves, "whose ports may still be in use, or rest");
  t.same(shares.refuse(configuration(deterministic)), []);
  shares.adopt(configuration(deterministic));
  t.match(shares.refuse(configuration({ ...deterministic, ...elsewhere })), moves);
});
