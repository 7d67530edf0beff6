/** `crosszone token`: what it prints and where, its exit codes, and that a token is shown once and never again. */

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";

const MAIN = fileURLToPath(new URL("../../host/main.js", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "crosszone-token-"));
t.teardown(() => rmSync(folder, { recursive: true }));
const STATE = join(folder, "state");
const skip = process.platform === "linux" ? false : "needs Linux";

/** As a shell sees it. */
function token(...args: string[]) {
  return spawnSync(process.execPath, [MAIN, "token", ...args], { encoding: "utf8" });
}

t.test("add, list, remove", { skip }, async (t) => {
  const added = token(
    "add",
    "--state",
    STATE,
    "--role=operator",
    "--name",
    "laptop",
    "--expires=1d",
  );
  t.equal(added.status, 0);
  t.match(added.stdout, /^cz_[\w-]{43}\n$/, "nothing else on standard output");
  const secret = added.stdout.trim();
  const id = secret.slice(0, 11);
  t.equal(added.stderr, `crosszone: token ${id} (operator) added; it is not shown again\n`);

  const listed = token("list", "--state", STATE);
  t.equal(listed.status, 0);
  const [header = "", row = ""] = listed.stdout.split("\n");
  t.match(header, /^ID +ROLE +CREATED +LAST USED +EXPIRES +NAME$/);
  t.match(row, /^cz_\S{8} +operator +2\d{3}-\S+Z +never +2\d{3}-\S+Z +laptop$/);
  const [json] = JSON.parse(token("list", "--state", STATE, "--json").stdout);
  t.match(json, { id, role: "operator", name: "laptop", lastUsed: null });
  t.same(Object.keys(json).sort(), ["created", "expires", "id", "lastUsed", "name", "role"]);

  const misplaced = token("list", "--state", STATE, secret);
  t.equal(misplaced.status, 2);
  const removed = token("remove", "--state", STATE, secret);
  t.equal(removed.status, 0);
  t.equal(removed.stderr, `crosszone: token ${id} (operator) removed\n`);
  const gone = token("remove", "--state", STATE, secret);
  t.equal(gone.status, 1);
  t.equal(gone.stderr, `crosszone: token remove: no token has the id '${id}'\n`);
  for (const { stdout, stderr } of [listed, misplaced, removed, gone]) {
    t.notMatch(stdout + stderr, secret.slice(11), "the secret part is never shown again");
  }
  t.notMatch(readFileSync(join(STATE, "access", "tokens"), "utf8"), secret.slice(11));
});

t.test("bad arguments: exit 2 and nothing made", async (t) => {
  const none = join(folder, "none");
  const table: readonly (readonly [readonly string[], RegExp])[] = [
    [[], /add, list or remove is missing/],
    [["show"], /unknown command 'token show'/],
    [["add"], /--state DIR is missing/],
    [["add", "--state", none, "--role", "admin"], /viewer or operator expected, found 'admin'/],
    [["add", "--state", none, "--expires", "soon"], /12h, 90d or a date expected, found 'soon'/],
    [["add", "--state", none, "--expires", "2027-02-30x"], /a date expected/],
    [
      ["add", "--state", none, "--nmae", "x"],
      /token add: --nmae: unknown option .did you mean --name/,
    ],
    [["remove", "--state", none], /ID is missing/],
  ];
  for (const [args, message] of table) {
    const { status, stdout, stderr } = token(...args);
    t.equal(status, 2, args.join(" "));
    t.equal(stdout, "");
    t.match(stderr, message);
  }
  t.notOk(existsSync(none));
  t.equal(token("--help").status, 0);
});

t.test("what is checked when the directory is there", { skip }, async (t) => {
  const past = token("add", "--state", STATE, "--expires", "2020-01-31");
  t.equal(past.status, 2);
  t.match(past.stderr, /expires: expected a time to come, found 2020-01-31T00:00:00.000Z/);
  for (const verb of [["list"], ["remove", "cz_12345678"]]) {
    const { status, stderr } = token(...verb, "--state", join(folder, "none"));
    t.equal(status, 1, "only add makes a directory");
    t.match(stderr, /none: no such directory/);
  }
});
