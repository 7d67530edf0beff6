/** What the source asserts at run time is left out of the release build, by which all other tests go. */

import { fileURLToPath } from "node:url";
import t from "tap";
import { fuzz } from "../../fuzz/run.js";
import { OTHER_DATAPATH } from "../../harness/member.js";

const ROUNDS = 40;

t.test("a conn is entered by the hashes of its tuples, however it begins", (t) => {
  process.env[OTHER_DATAPATH] = fileURLToPath(
    new URL("../../../datapath.debug.wasm", import.meta.url),
  );
  const { failures, tallies } = fuzz(1, ROUNDS, ["isolation"]);
  t.strictSame(failures, []);
  const isolation = tallies.isolation ?? {};
  for (const way of ["straight", "turned", "inward"]) t.ok((isolation[way] ?? 0) > 0, way);
  t.end();
});
