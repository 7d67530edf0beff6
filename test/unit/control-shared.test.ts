/** What is made once for all who ask within a while. */
import t from "tap";
import { Shared } from "../../host/control/shared.js";

const at = (monotonicMs: number) => ({ wallMs: 0, monotonicMs });

t.test("whoever asks within the while gets what the first has got", async (t) => {
  let made = 0;
  const shared = new Shared(1000, async () => ++made);
  t.strictSame(await Promise.all([shared.get(at(5)), shared.get(at(5))]), [1, 1]);
  t.equal(await shared.get(at(1004)), 1);
  t.equal(await shared.get(at(1005)), 2);
  t.equal(made, 2);
});

t.test("what failed is tried again", async (t) => {
  let tries = 0;
  const shared = new Shared(1000, async () => {
    tries++;
    if (tries === 1) throw new Error("no answer");
    return tries;
  });
  await t.rejects(shared.get(at(0)), /no answer/);
  t.equal(await shared.get(at(1)), 2);
});
