/** Some rounds of the protocol's fuzz target; `npm run fuzz -- protocol` has more. */
import t from "tap";
import { labSupport } from "../../host/demo/lab.js";
import { protocolRounds } from "../fuzz/protocol.js";

const ROUNDS = 6;

t.test("random requests to a router that runs", { skip: labSupport() ?? false }, async (t) => {
  const seed = Number(process.env.FUZZ_SEED ?? 5077);
  const { tally, failures } = await protocolRounds(t, seed, ROUNDS);
  t.same(failures, [], `npm run fuzz -- protocol --seed ${seed} --rounds ${ROUNDS}`);
  t.ok((tally.results ?? 0) > 100 && (tally.errors ?? 0) > 50, JSON.stringify(tally));
});
