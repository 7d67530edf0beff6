/** `npm run traces`: writes the inputs and the expected outputs of all golden traces anew. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CASES } from "./cases.js";
import { arrange, record, replayCase, TRACES } from "./play.js";

for (const each of CASES) {
  const folder = join(TRACES, each.name);
  const out = mkdtempSync(join(tmpdir(), "trace-"));
  try {
    rmSync(folder, { recursive: true, force: true });
    record(folder, each);
    await replayCase(folder, out);
    arrange(folder, out);
    console.log(each.name);
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}
