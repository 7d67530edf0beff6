/** Suites that are written for one worker, with two (docs/adr/0021-workers.md): each frame is received by another one. */

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import t from "tap";
import { WORKERS } from "../../harness/router.js";

// A busy machine takes its time.
t.setTimeout(240_000);

/** Those that are quick. */
const SUITES = [
  "unit/datapath/flows",
  "unit/datapath/echo",
  "unit/datapath/link",
  "conformance/forwards",
  "conformance/gateways",
  "conformance/icmp",
  "conformance/identification",
  "conformance/limits",
  "conformance/rfc4787",
  "conformance/rfc5382-mapping",
  "conformance/rfc5508",
  "conformance/rfc5508-hairpin",
  "conformance/rfc6888",
  "conformance/tcp",
];

/** Titles of tests that say otherwise with two workers, by suite: the last table of the decision. */
function otherwise(): Map<string, string[]> {
  const text = readFileSync(
    new URL("../../../../docs/adr/0021-workers.md", import.meta.url),
    "utf8",
  );
  const titles = new Map<string, string[]>();
  for (const [, suite = "", title = ""] of text.matchAll(
    /^\| (\S+) \| (.*) \| 2\S*(?: 3)? \|.*$/gmu,
  )) {
    const name = `conformance/${suite}`;
    titles.set(name, [...(titles.get(name) ?? []), title].sort());
  }
  return titles;
}

const differs = otherwise();

for (const suite of SUITES) {
  t.test(`${suite} holds with two workers, whoever receives a frame`, async (t) => {
    const file = fileURLToPath(new URL(`../../${suite}.test.js`, import.meta.url));
    // All of what fails is asked for, also where whoever runs this one wants the first alone.
    const { TAP_BAIL: _, ...env } = process.env;
    const output = run(file, { ...env, [WORKERS]: "2" });
    const failed = [...output.matchAll(/^not ok \d+ - (.*?)(?: # time=.*)?$/gmu)];
    t.same(failed.map(([, title]) => title).sort(), differs.get(suite) ?? [], suite);
    t.match(output, /^ok /mu, "something was asked");
  });
}

/** What a suite says; one that fails says it, too. */
function run(file: string, env: NodeJS.ProcessEnv): string {
  const { stdout } = spawnSync(process.execPath, ["--enable-source-maps", file], {
    env,
    encoding: "utf8",
    maxBuffer: 1 << 26,
  });
  return stdout;
}
