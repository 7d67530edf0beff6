/** Where the router is, and the token: what is taken, and what is said where it is not. */

import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { CONNECTION_OPTIONS, targetOf } from "../../../host/cli/connection.js";
import { read } from "../../../host/cli/definition.js";

const folder = mkdtempSync(join(tmpdir(), "crosszone-connection-"));
t.teardown(() => rmSync(folder, { recursive: true }));
const TOKEN = `cz_${"b".repeat(43)}`;
delete process.env.CROSSZONE_TOKEN;

function target(...args: string[]) {
  return targetOf(read({ args: [], options: CONNECTION_OPTIONS }, args).values, "list");
}

function file(name: string, text: string, mode = 0o600): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

t.test("the socket, if nothing is said", async (t) => {
  t.same(target(), {
    at: { socket: "/run/crosszone/control.sock" },
    name: "crosszone list",
  });
  t.match(target("--socket", "/tmp/s", "--timeout=5"), {
    at: { socket: "/tmp/s" },
    answerMs: 5000,
    connectMs: 5000,
  });
});

t.test("a URL, with a token from a file or the environment", async (t) => {
  const url = "ws://127.0.0.1:8090";
  t.equal(target("--url", url).token, undefined);
  t.equal(target("--url", url, "--token-file", file("token", `${TOKEN}\n`)).token, TOKEN);
  process.env.CROSSZONE_TOKEN = TOKEN;
  t.teardown(() => delete process.env.CROSSZONE_TOKEN);
  t.match(target("--url", url), { token: TOKEN, at: { url: new URL(url) } });
});

t.test("certificates", async (t) => {
  const ca = file("ca.pem", "CA", 0o644);
  t.same(target("--url", "wss://edge:1", "--tls-ca", ca).ca, Buffer.from("CA"));
});

t.test("what is not taken", async (t) => {
  const url = ["--url", "ws://127.0.0.1:8090"];
  const open = file("open", TOKEN, 0o640);
  const table: readonly (readonly [readonly string[], RegExp])[] = [
    [["--socket", "/a", ...url], /--socket and --url are two places; say one/],
    [["--url", "http://a"], /--url: ws:\/\/HOST:PORT or wss:\/\/HOST:PORT expected, found 'http/],
    [["--url", "ws://user:secret@a"], /--url: ws/],
    [["--url", "nonsense"], /found 'nonsense'/],
    [[...url, "--token-file", open], /open: others can read it; chmod 600 \S+open$/],
    [[...url, "--token-file", file("empty", "nothing")], /empty: no token/],
    [[...url, "--token-file", file("long", "x".repeat(5000))], /too long/],
    [[...url, "--token-file", join(folder, "none")], /--token-file: ENOENT/],
    [[...url, "--tls-ca", join(folder, "none")], /--tls-ca: ENOENT/],
    [["--timeout", "0"], /--timeout: a number from 1 to 3600 expected, found '0'/],
  ];
  for (const [args, message] of table) {
    t.throws(() => target(...args), { name: "UsageError", message }, args.join(" "));
  }
  for (const args of [
    ["--token-file", open],
    ["--token-file", join(folder, "empty")],
  ]) {
    try {
      target(...url, ...args);
    } catch (error) {
      t.notMatch(String(error), TOKEN.slice(11), "a token is never said");
    }
  }
});
