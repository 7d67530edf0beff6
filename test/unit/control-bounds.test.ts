/** What a client could leave behind, forge, or keep others from. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { Access } from "../../host/control/access.js";
import { Logbook } from "../../host/control/logbook.js";
import type { House } from "../../host/control/methods/handlers.js";
import { Subscriptions } from "../../host/control/subscriptions.js";
import { WakeUp } from "../../host/device/libc.js";
import { type Asked, Busy, Tables } from "../../host/tables.js";
import { FileLink } from "../../host/telemetry/link.js";

t.test("what is asked for behind the end of a channel is not begun", async (t) => {
  const subscriptions = new Subscriptions({} as House, () => true);
  subscriptions.endAll();
  t.throws(() => subscriptions.addEvents(["alarms"], undefined), /the channel is over/);
  t.throws(() => subscriptions.addMetrics(1000), /the channel is over/);
});

t.test("questions of many leave room for an operator's examination", async (t) => {
  const asked: Asked = { ask: () => new Promise(() => {}) };
  const tables = new Tables([asked], {
    now: () => 0,
    inForce: () => 0,
    configOf: () => undefined,
    counters: () => Promise.reject(new Error("not asked for")),
  });
  for (let n = 0; n < 16; n++) void tables.countConns({});
  await t.rejects(tables.countConns({}), Busy);
  const examination = tables.examine(new Uint8Array(), 20);
  const first = await Promise.race([examination, new Promise((done) => setTimeout(done, 20))]);
  t.equal(first, undefined, "it waits, and is not refused");
  for (let n = 0; n < 3; n++) void tables.examine(new Uint8Array(), 20);
  await t.rejects(tables.examine(new Uint8Array(), 20), Busy, "they have a bound, too");
});

t.test("without a token: the socket may change, loopback may look", async (t) => {
  const socket = { address: "unix", isLocalSocket: true };
  const loopback = { address: "127.0.0.1", isLocalSocket: false };
  const access = new Access(undefined, false);
  t.match(access.identify(socket), { role: "operator", who: "local" });
  t.match(access.identify(loopback), { role: "viewer", who: "127.0.0.1" });
  t.match(new Access(undefined, false, "operator").identify(loopback), { role: "operator" });
  t.equal(new Access(undefined, true, "operator").identify(loopback), undefined, "a token");
});

t.test("no line of the log is what a client makes of it", async (t) => {
  const lines: string[] = [];
  const logbook = new Logbook((text) => lines.push(text), Date.now);
  logbook.notice("a \u001b[2J b \u202e c\ncz_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG");
  t.equal(lines[0], "a \ufffd[2J b \ufffd c\ncz_01234567…");
  logbook.debug("not wanted");
  t.equal(lines.length, 1);
  logbook.level = "error";
  logbook.notice("kept, not written");
  t.same([lines.length, logbook.lines.length], [1, 2]);
});

t.test(
  "a word to a worker whose file is closed goes nowhere",
  { skip: process.platform !== "linux" },
  async (t) => {
    const wake = WakeUp.make();
    wake.signal();
    wake.close();
    t.doesNotThrow(() => wake.signal());
    t.doesNotThrow(() => wake.close());
  },
);

t.test("a log that is no regular file is refused, at once", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "crosszone-fifo-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const pipe = join(folder, "pipe");
  execFileSync("mkfifo", [pipe]);
  for (const path of [pipe, folder, "/dev/null"]) {
    const error = await new Promise<Error | undefined>((resolve) =>
      new FileLink(path).open(resolve),
    );
    t.match(error?.message, /is no regular file|EISDIR/, path);
  }
  const link = new FileLink(join(folder, "log"));
  t.equal(await new Promise((resolve) => link.open(resolve)), undefined);
  link.close();
});
