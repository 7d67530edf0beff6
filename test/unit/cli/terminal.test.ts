/** What needs a terminal: questions, and `top`, which must leave it as it was however it ends. */

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { RpcCode, RpcError } from "../../../host/control/protocol/rpc.js";
import { tellSamples } from "../../harness/samples.js";
import { type Asked, type Script, Scripted } from "../../harness/scripted.js";
import { crosszone, Terminal, terminalSkip } from "../../harness/terminal.js";
import { eventually } from "../../harness/transport.js";

const folder = mkdtempSync(join(tmpdir(), "crosszone-terminal-"));
t.teardown(() => rmSync(folder, { recursive: true }));
const skip = terminalSkip();
const FILE = join(folder, "edge.json");
writeFileSync(FILE, "{}");
t.setTimeout(120_000);

let count = 0;

async function start(t: Test, script: Script) {
  const socket = join(folder, `${++count}.sock`);
  const router = await Scripted.start(socket, script);
  t.teardown(() => router.stop());
  const on = (...args: string[]) => {
    const terminal = new Terminal(crosszone(...args, "--socket", socket));
    t.teardown(() => terminal.kill());
    return terminal;
  };
  return { router, on, socket };
}

const PENDING = { number: 5, state: "pending", isInForce: true, confirmWithinSec: 60, bytes: 2 };
const CONFIRMED = { number: 4, state: "confirmed", isInForce: true, bytes: 2 };
const ENDS = { conns: 9, ending: 0, reasons: [], zones: [], first: [] };

/** A router that takes every change and waits for it to be confirmed. */
function changing({ method }: Asked): unknown {
  switch (method) {
    case "config.check":
      return { isGood: true, problems: [], base: 4, isUnchanged: false, ends: ENDS };
    case "config.diff":
      return { text: "", paths: [{ path: "zones[0].name", kind: "changed" }], morePaths: 0 };
    case "config.apply":
      return { revision: PENDING, ends: ENDS };
    case "config.confirm":
      return { revision: { ...PENDING, state: "confirmed" } };
    case "config.rollback":
      return { revision: CONFIRMED };
    case "conns.flush":
      return { conns: 3 };
    default:
      return undefined;
  }
}

t.test("flush asks, and takes no for an answer", { skip }, async (t) => {
  for (const [answer, status, calls] of [
    ["y", 0, ["conns.flush"]],
    ["n", 1, []],
    ["", 1, []],
  ] as const) {
    const { router, on } = await start(t, changing);
    const terminal = on("flush", "--zone", "a");
    await terminal.shown(/End all conns of zone a\? \[y\/N\]/);
    terminal.type(`${answer}\r`);
    t.equal(await terminal.ended, status, `'${answer}'`);
    t.same(router.calls, calls);
    t.match(terminal.text, status === 0 ? "3 conns ended" : "nothing was ended");
  }
});

t.test("Ctrl-C at a question is a no", { skip }, async (t) => {
  const { router, on } = await start(t, changing);
  const terminal = on("flush");
  await terminal.shown(/End all conns\?/);
  terminal.type("\u0003");
  t.equal(await terminal.ended, 1);
  t.same(router.calls, []);
});

t.test("apply: asked before, and confirmed over another connection", { skip }, async (t) => {
  const { router, on } = await start(t, changing);
  const terminal = on("config", "apply", FILE, "--confirm", "60", "--note", "why");
  await terminal.shown(
    /1 change:\s+~ zones\[0\]\.name[\s\S]*all of 9 conns go on[\s\S]*Apply it\?/,
  );
  t.same(router.calls, ["config.check", "config.diff"], "nothing is changed yet");
  terminal.type("y\r");
  await terminal.shown(/rolled back in 60 s unless .*\s+.*Keep revision 5\? \[y\/N\]/);
  terminal.type("yes\r");
  t.equal(await terminal.ended, 0);
  t.match(terminal.text, /revision 5 is confirmed/);
  t.same(router.paramsOf("config.apply"), {
    config: "{}",
    base: 4,
    note: "why",
    confirmWithinSec: 60,
  });
  const by = (method: string) => router.asked.find((each) => each.method === method)?.connection;
  t.equal(by("config.apply"), 1);
  t.equal(by("config.confirm"), 2, "a new one");
});

t.test("apply: a no changes nothing, and says so", { skip }, async (t) => {
  const { router, on } = await start(t, changing);
  const terminal = on("config", "apply", FILE);
  await terminal.shown(/Apply it\?/);
  terminal.type("n\r");
  t.equal(await terminal.ended, 1);
  t.match(terminal.text, "nothing was changed");
  t.notOk(router.calls.includes("config.apply"));
});

t.test("apply: not kept, it is rolled back at once", { skip }, async (t) => {
  const { router, on } = await start(t, changing);
  const terminal = on("config", "apply", FILE, "--confirm", "60");
  await terminal.shown(/Apply it\?/);
  terminal.type("y\r");
  await terminal.shown(/Keep revision 5\?/);
  terminal.type("n\r");
  t.equal(await terminal.ended, 1);
  t.match(terminal.text, /rolled back: revision 4 is in force/);
  t.same(router.calls.slice(2), ["config.apply", "config.rollback"]);
});

t.test("apply: who says nothing until the time is over has not confirmed", { skip }, async (t) => {
  const soon = { ...PENDING, confirmWithinSec: 2 };
  const { router, on } = await start(t, (asked) => {
    return asked.method === "config.apply" ? { revision: soon, ends: ENDS } : changing(asked);
  });
  const terminal = on("config", "apply", FILE, "--confirm", "2");
  await terminal.shown(/Apply it\?/);
  terminal.type("y\r");
  t.equal(await terminal.ended, 1);
  t.match(terminal.text, /not confirmed: revision 5 is rolled back when its time is over/);
  t.notOk(router.calls.includes("config.confirm"));
});

t.test("apply: who is cut off cannot confirm", { skip }, async (t) => {
  const { on } = await start(t, (asked) => {
    if (asked.method === "hello" && asked.connection > 1) {
      return new RpcError(RpcCode.Failed, "no way back");
    }
    const soon = { ...PENDING, confirmWithinSec: 2 };
    return asked.method === "config.apply" ? { revision: soon, ends: ENDS } : changing(asked);
  });
  const terminal = on("config", "apply", FILE, "--confirm", "2", "--yes");
  t.equal(await terminal.ended, 1);
  t.match(
    terminal.text,
    /no way back\s+crosszone: config apply: the router cannot be reached any more/,
  );
});

function telling({ method }: Asked, router: Scripted): unknown {
  switch (method) {
    case "zones.list":
      return { zones: [{ id: 10, name: "tenant-a" }] };
    case "hosts.top":
      return { hosts: [] };
    case "metrics.subscribe":
      tellSamples(router);
      return { subscription: 1 };
    default:
      return undefined;
  }
}

/** Runs `top` between two looks at the terminal's settings, and says who and where it is. */
function top(t: Test, socket: string): Terminal {
  const command = crosszone("top", "--socket", socket);
  const terminal = new Terminal(
    `cd '${folder}'; tty > tty; stty -g > before; sh -c 'echo $$ > pid; exec "$@"' - ${command}; ` +
      'echo "exit $?"; stty -g > after',
  );
  t.teardown(() => terminal.kill());
  return terminal;
}

const ENTERED = "\x1b[?1049h\x1b[?25l";
const LEFT = "\x1b[?25h\x1b[?1049l";

for (const [how, end] of [
  ["q", (terminal: Terminal) => terminal.type("q")],
  ["Ctrl-C", (terminal: Terminal) => terminal.type("\u0003")],
  ["SIGTERM", () => process.kill(Number(read("pid")), "SIGTERM")],
  ["SIGINT", () => process.kill(Number(read("pid")), "SIGINT")],
  ["the router's end", (_: Terminal, router: Scripted) => router.hangUp()],
] as const) {
  t.test(`top leaves the terminal as it was: ${how}`, { skip }, async (t) => {
    const { router, socket } = await start(t, telling);
    const terminal = top(t, socket);
    await terminal.shown(/tenant-a +77/);
    t.ok(terminal.text.includes(ENTERED));
    t.notOk(terminal.text.includes(LEFT), "it is still there");
    end(terminal, router);
    await terminal.ended;
    t.equal(read("after"), read("before"), "stty's settings");
    const behind = terminal.text.slice(terminal.text.lastIndexOf(LEFT));
    t.ok(behind.startsWith(LEFT), "the other screen is left, the cursor is back");
    t.notOk(behind.includes(ENTERED));
    t.match(behind, how === "the router's end" ? /the router stops\)\s+exit 1/ : /exit 0/);
  });
}

function read(name: string): string {
  return readFileSync(join(folder, name), "utf8");
}

t.test("top draws anew when the terminal gets another size", { skip }, async (t) => {
  const { socket } = await start(t, telling);
  const terminal = top(t, socket);
  await terminal.shown(/tenant-a +77/);
  const isLarge = () => pictures(terminal).some(({ length }) => length > 8);
  t.ok(await eventually(isLarge), "the first ones are larger");
  const { status } = spawnSync("stty", ["-F", read("tty").trim(), "rows", "8", "cols", "25"]);
  t.equal(status, 0);
  const isSmall = () => (pictures(terminal).at(-1)?.length ?? 0) <= 8;
  await eventually(isSmall);
  terminal.type("q");
  await terminal.ended;
  const lines = pictures(terminal).at(-1) ?? [];
  t.ok(lines.length > 2 && lines.length <= 8, `${lines.length} lines`);
  t.ok(lines.every((line) => line.length <= 25));
});

/** The lines of what has been drawn, as far as it is there whole, without what is for the terminal alone. */
function pictures({ text }: Terminal): string[][] {
  const drawn = text.split("\x1b[H").slice(1);
  return drawn.flatMap((each) => {
    const [picture = "", ...rest] = each.split("\x1b[J");
    return rest.length === 0 ? [] : [picture.replaceAll("\x1b[K", "").split(/\r+\n/)];
  });
}

t.test("top without a terminal, and one picture of it", { skip }, async (t) => {
  const { socket } = await start(t, telling);
  const terminal = new Terminal(`${crosszone("top", "--socket", socket)} | cat`);
  await terminal.ended;
  t.match(terminal.text, /no terminal to draw on; --once prints one picture/);
  const once = new Terminal(`${crosszone("top", "--once", "--socket", socket)} | cat; echo over`);
  await once.ended;
  t.match(once.text, /ZONE +CONNS[\s\S]*tenant-a +77[\s\S]*over/);
  t.notOk(once.text.includes("\x1b"), "no commands for a terminal");
});

t.test("colours on a terminal, unless it says no", { skip }, async (t) => {
  const { socket } = await start(t, ({ method }) => {
    if (method === "config.history") return { revisions: [CONFIRMED] };
    return method === "config.diff"
      ? { text: "@@ -1 +1 @@\n-a\n+b", paths: [], morePaths: 0 }
      : undefined;
  });
  const shown = async (command: string, env: Record<string, string>) => {
    const terminal = new Terminal(command, env);
    await terminal.ended;
    return terminal.text;
  };
  const diff = crosszone("config", "diff", "--socket", socket);
  t.match(await shown(diff, { NO_COLOR: "" }), "\x1b[31m-a\x1b[0m");
  t.notMatch(await shown(diff, { NO_COLOR: "1" }), "\x1b");
  t.notMatch(await shown(diff, { NO_COLOR: "", TERM: "dumb" }), "\x1b");
  t.notMatch(await shown(`${diff} | cat`, { NO_COLOR: "" }), "\x1b");
});
