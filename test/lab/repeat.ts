/**
 * The acceptance scenario, again and again:
 *
 *     node dist/test/lab/repeat.js [--form interfaces|vlans] [--gateway nat|flows|kernel] [--driver afpacket|afxdp] [--workers N] [--tenants N] [--times N] [--senderOffload]
 */
import { parseArgs } from "node:util";
import { accept, type Options } from "./acceptance.js";

const { values } = parseArgs({
  options: {
    form: { type: "string", default: "interfaces" },
    gateway: { type: "string", default: "nat" },
    driver: { type: "string", default: "afpacket" },
    workers: { type: "string", default: "1" },
    tenants: { type: "string", default: "100" },
    senderOffload: { type: "boolean", default: false },
    times: { type: "string", default: "20" },
  },
});
const counts = { tenants: Number(values.tenants), workers: Number(values.workers) };
const options = { ...values, ...counts } as Options;
let failed = 0;
for (let run = 1; run <= Number(values.times); run++) {
  const { wrong, notes } = await accept(options);
  const found = Object.entries(wrong).flatMap(([step, each]) => each.map((w) => `${step}: ${w}`));
  const verdict = found.length === 0 ? "right" : `${found.length} WRONG`;
  console.log(`${run}: ${verdict}  ${JSON.stringify(notes)}`);
  for (const each of found.slice(0, 20)) console.log(`   ${each}`);
  if (found.length > 0) failed++;
}
console.log(`${Number(values.times) - failed} of ${values.times} runs right`);
process.exitCode = failed === 0 ? 0 : 1;
