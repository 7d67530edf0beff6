/** `crosszone pool map`: whose external ports are whose, and what is said where that cannot be told. */

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { mapText } from "../../host/cli/pool.js";

const MAIN = fileURLToPath(new URL("../../host/main.js", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "crosszone-pool-"));
t.teardown(() => rmSync(folder, { recursive: true }));
const CONFIG = join(folder, "edge.json");

writeFileSync(
  CONFIG,
  JSON.stringify({
    version: 1,
    zones: [
      { id: 1, name: "a" },
      { id: 2, name: "b" },
      { id: 3, name: "public" },
    ],
    devices: [{ name: "wan", zone: "public", interface: "eth0", addresses: ["203.0.113.2/24"] }],
    pools: [
      {
        name: "p1",
        zone: "public",
        addresses: ["203.0.113.7", "203.0.113.9"],
        ports: "1024-2047",
        allocation: "deterministic",
        deterministic: {
          hosts: [
            { zone: "a", prefix: "10.0.0.0/30" },
            { zone: "b", prefix: "10.0.0.0/31" },
          ],
          portsPerHost: 300,
          overflowPorts: 20,
        },
      },
      {
        name: "p2",
        zone: "public",
        addresses: ["203.0.113.20"],
        allocation: "deterministic",
        deterministic: { hosts: [{ zone: "b", prefix: "10.0.0.1/32" }] },
      },
      { name: "p3", zone: "public", addresses: ["203.0.113.30"] },
    ],
  }),
);

const map = (...args: string[]) => mapText(["map", CONFIG, ...args]);

/** As a shell sees it. */
function crosszone(...args: string[]) {
  return spawnSync(process.execPath, [MAIN, "pool", ...args], { encoding: "utf8" });
}

t.test("RFC 7422 section 2: a host's ports, from the configuration alone", async (t) => {
  t.equal(map("10.0.0.3"), "zone a 10.0.0.3 -> 203.0.113.9 ports 1024-1323 (pool p1)");
});

t.test("an address of two zones: both, or the one that is named", async (t) => {
  const both = [
    "zone a 10.0.0.1 -> 203.0.113.7 ports 1324-1623 (pool p1)",
    "zone b 10.0.0.1 -> 203.0.113.9 ports 1624-1923 (pool p1)",
    "zone b 10.0.0.1 -> 203.0.113.20 ports 1024-65535 (pool p2)",
  ];
  t.same(map("10.0.0.1").split("\n"), both);
  t.same(map("10.0.0.1", "--zone", "a").split("\n"), both.slice(0, 1));
  t.same(map("10.0.0.1", "--zone", "2").split("\n"), both.slice(1), "by number");
  t.same(map("10.0.0.1", "--zone=b", "--pool=p2").split("\n"), both.slice(2));
  t.same(JSON.parse(map("10.0.0.1", "--zone", "a", "--json")), [
    {
      pool: "p1",
      zone: "a",
      address: "10.0.0.1",
      external: "203.0.113.7",
      firstPort: 1324,
      lastPort: 1623,
    },
  ]);
});

t.test("whose an external port is: a host's, anyone's, nobody's", async (t) => {
  const whose = (address: string, port: number) => map("--external", `${address}:${port}`);
  const nine = (port: number) => whose("203.0.113.9", port);
  t.equal(nine(1624), "203.0.113.9:1624 -> zone b 10.0.0.1, ports 1624-1923 (pool p1)");
  t.equal(nine(1323), "203.0.113.9:1323 -> zone a 10.0.0.3, ports 1024-1323 (pool p1)");
  t.equal(nine(1924), "203.0.113.9:1924 -> unassigned (pool p1)", "too few for a subscriber");
  t.equal(nine(2028), "203.0.113.9:2028 -> overflow, ports 2028-2047 (pool p1)");
  t.equal(nine(80), "203.0.113.9:80 -> unassigned (pool p1)", "not of the pool's ports");
  const json = (port: number) =>
    JSON.parse(map(`--external=203.0.113.9:${port}`, "--json")) as unknown;
  const asked = { pool: "p1", external: "203.0.113.9" };
  const host = { zone: "b", address: "10.0.0.1", firstPort: 1624, lastPort: 1923 };
  t.same(json(1700), [{ ...asked, port: 1700, kind: "host", ...host }]);
  t.same(json(2040), [{ ...asked, port: 2040, kind: "overflow", firstPort: 2028, lastPort: 2047 }]);
  t.same(json(1950), [{ ...asked, port: 1950, kind: "unassigned" }]);
});

t.test("what cannot be told", async (t) => {
  const table: readonly (readonly [readonly string[], string])[] = [
    [[], "ADDRESS is missing"],
    [["10.0.0"], "an IPv4 address expected, found '10.0.0'"],
    [["10.0.0.1", "--zone", "c"], "no zone 'c'"],
    [["10.0.0.1", "--pool", "p9"], "no pool 'p9'"],
    [["10.0.0.1", "--pool", "p3"], "pool 'p3' is not deterministic"],
    [["10.0.0.9"], "10.0.0.9 is in no prefix of the pools p1, p2"],
    [["10.0.0.3", "--zone", "b"], "10.0.0.3 of zone b is in no prefix of the pools p1, p2"],
    [["10.0.0.3", "--pool", "p2"], "10.0.0.3 is in no prefix of pool p2"],
    [["--external", "203.0.113.30:2000"], "203.0.113.30 is no address of the pools p1, p2"],
    [
      ["--external", "203.0.113.9"],
      "--external: an address and port expected, found '203.0.113.9'",
    ],
    [
      ["--external", "203.0.113.9:1-2"],
      "--external: an address and port expected, found '203.0.113.9:1-2'",
    ],
    [["10.0.0.1", "--external", "203.0.113.9:1"], "unexpected argument '10.0.0.1'"],
    [
      ["--external", "203.0.113.9:1", "--zone", "a"],
      "--zone goes with an inside address, not with --external",
    ],
  ];
  for (const [args, message] of table) {
    t.throws(() => map(...args), { name: "UsageError", message }, args.join(" "));
  }
  t.throws(() => mapText(["list", CONFIG, "10.0.0.1"]), { message: "unknown command 'pool list'" });
  t.throws(() => mapText([]), { message: "map is missing" });
  const none = join(folder, "none.json");
  writeFileSync(none, JSON.stringify({ version: 1, zones: [], devices: [] }));
  t.throws(() => mapText(["map", none, "10.0.0.1"]), { message: "no pool is deterministic" });
});

t.test("docs/config.md shows what it does", async (t) => {
  const page = readFileSync(new URL("../../../docs/config.md", import.meta.url), "utf8");
  const [, json = ""] = /```json\n([^`]*"deterministic"[^`]*)```/u.exec(page) ?? [];
  const [, shown = ""] = /```console\n([^`]*)```/u.exec(page) ?? [];
  const path = join(folder, "docs.json");
  writeFileSync(path, json);
  const asked = shown.split("$ crosszone pool ").slice(1);
  t.equal(asked.length, 2);
  for (const each of asked) {
    const [args = "", ...lines] = each.trimEnd().split("\n");
    t.equal(mapText(args.replace("edge.json", path).split(" ")), lines.join("\n"), args);
  }
});

t.test("exit codes and streams", async (t) => {
  const told = crosszone("map", CONFIG, "10.0.0.3", "--json");
  t.same([told.status, told.stderr], [0, ""]);
  t.match(told.stdout, /^\[\{"pool":"p1",.*\}\]\n$/);
  const untold = crosszone("map", CONFIG, "10.0.0.9");
  t.same([untold.status, untold.stdout], [2, ""]);
  t.equal(
    untold.stderr,
    "crosszone: pool map: 10.0.0.9 is in no prefix of the pools p1, p2; see crosszone pool map --help\n",
  );
  t.equal(crosszone("map", join(folder, "nosuch.json"), "10.0.0.1").status, 2);
});
