/** The command line as a shell meets it: exit codes, which stream says what, closed pipes. */

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";

const MAIN = fileURLToPath(new URL("../../host/main.js", import.meta.url));

function crosszone(...args: string[]) {
  return spawnSync(process.execPath, [MAIN, ...args], { encoding: "utf8" });
}

t.test("without arguments: the help on standard error, exit 2", async (t) => {
  const { status, stdout, stderr } = crosszone();
  t.equal(status, 2);
  t.equal(stdout, "");
  t.match(stderr, /^Commands:/m);
});

t.test("help on standard output, exit 0", async (t) => {
  for (const args of [["help"], ["--help"], ["-h"]]) {
    const { status, stdout, stderr } = crosszone(...args);
    t.equal(status, 0);
    t.match(stdout, /^Commands:/m);
    t.equal(stderr, "");
  }
  t.match(crosszone("help", "check").stdout, /^crosszone check CONFIG/);
  const apply = /^crosszone config apply CONFIG/;
  t.match(crosszone("help", "config", "apply").stdout, apply);
  t.match(crosszone("config", "apply", "--confirm", "5", "-h").stdout, apply);
  t.match(crosszone("config", "--help").stdout, /^crosszone config get .*[\s\S]*\n {2}apply +put /);
});

t.test("help for what does not exist: exit 2 with a message", async (t) => {
  const { status, stdout, stderr } = crosszone("help", "nosuch");
  t.equal(status, 2);
  t.equal(stdout, "");
  t.match(stderr, /^crosszone: unknown command 'nosuch'/);
});

t.test("what conntrack calls it: the version, and commands that are options there", async (t) => {
  t.equal(crosszone("-V").stdout, crosszone("version").stdout);
  t.match(crosszone("--version").stdout, /^crosszone \d/);
  const { status, stderr } = crosszone("-L", "-p", "tcp");
  t.same([status, stderr], [2, "crosszone: unknown command '-L'; say crosszone list\n"]);
});

t.test("run --snapshot without --state keeps nothing: exit 2", async (t) => {
  const { status, stderr } = crosszone("run", "edge.json", "--snapshot", "5");
  t.equal(status, 2);
  t.match(stderr, /--snapshot: --state DIR is missing/);
});

t.test("a reader that has seen enough is no failure", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "crosszone-cli-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "big.json");
  const flows = Array.from(
    { length: 5000 },
    (_, i) => `priority=${i + 1},ip,nw_src=10.0.0.0/8,actions=drop`,
  );
  const zones = [{ id: 1, name: "z" }];
  const devices = [{ name: "d", port: 1, zone: "z", interface: "eth0" }];
  writeFileSync(path, JSON.stringify({ version: 1, zones, devices, flows }));
  t.equal(crosszone("check", path).status, 0);
  const script = `{ "$0" "$1" check "$2" --flows; echo "exit $?" >&2; } | head -1`;
  const { stdout, stderr } = spawnSync("sh", ["-c", script, process.execPath, MAIN, path], {
    encoding: "utf8",
  });
  t.match(stdout, /^ok: 1 zones/);
  t.equal(stderr, "exit 0\n");
});
