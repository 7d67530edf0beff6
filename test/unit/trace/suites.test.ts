/** Suites whose every frame is traced first: what happens is as it was told, and the telling has changed nothing. */

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import t from "tap";
import { WORKERS } from "../../harness/router.js";

// A busy machine takes its time.
t.setTimeout(240_000);

/** Those that are quick, and of what the fuzzer does not do. */
const SUITES = [
  ["unit/datapath/echo", 1],
  ["conformance/limits", 1],
  ["conformance/rfc4787", 1],
  ["conformance/rfc5508-hairpin", 1],
  ["conformance/limits", 2],
  ["conformance/rfc4787", 2],
  ["conformance/rfc5508-hairpin", 2],
] as const;

const TRACED = new URL("../../harness/traced.js", import.meta.url).href;

for (const [suite, workers] of SUITES) {
  t.test(`${suite}, ${workers} workers`, async (t) => {
    const file = fileURLToPath(new URL(`../../${suite}.test.js`, import.meta.url));
    const { stdout } = spawnSync(process.execPath, ["--import", TRACED, file], {
      env: { ...process.env, [WORKERS]: String(workers) },
      encoding: "utf8",
      maxBuffer: 1 << 26,
    });
    // With two workers some tests say otherwise anyway (test/unit/workers/suites.test.ts).
    t.notMatch(stdout, /the trace has changed|it ended as|left:/);
    const [, traces = 0, over = 0] = /^# (\d+) traces, (\d+) over/m.exec(stdout) ?? [];
    t.ok(Number(traces) > 10, `${traces} traces`);
    t.equal(Number(over) > 10, workers > 1, `${over} over several workers`);
  });
}
