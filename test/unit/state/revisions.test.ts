/** Configurations as transactions: what is refused and why, who may confirm, what a restart runs, what is kept. */

import t from "tap";
import type { Change } from "../../../host/state/change.js";
import { StateDirectory } from "../../../host/state/files.js";
import { StateLimit } from "../../../host/state/record.js";
import { Store } from "../../../host/state/revisions.js";
import { MemoryDisk } from "../../harness/memorydisk.js";

const START = 1_700_000_000_000;

/** A clock that a test sets. */
class Clock {
  wallMs = START;
  monotonicMs = 5000;
  readonly now = () => ({ wallMs: this.wallMs, monotonicMs: this.monotonicMs });

  pass(ms: number): void {
    this.wallMs += ms;
    this.monotonicMs += ms;
  }
}

function setUp() {
  const disk = new MemoryDisk();
  const clock = new Clock();
  const directory = StateDirectory.hold("/state", disk);
  const store = Store.open(directory, clock.now());
  /** As another process finds it. */
  const restart = (left = disk.afterKill()) =>
    Store.open(StateDirectory.hold("/state", left), clock.now());
  return { disk, clock, store, restart };
}

const text = (n: number) => `{"version": 1, "n": ${n}}\n`;

function request(base: number, n: number, confirmWithinSec?: number) {
  return { base, text: text(n), who: "ops", note: `n ${n}`, connection: "c1", confirmWithinSec };
}

function apply(store: Store, clock: Clock, n: number, confirmWithinSec?: number): Change {
  const change = store.begin(request(store.current?.number ?? 0, n, confirmWithinSec), clock.now());
  change.commit(clock.now());
  return change;
}

/** Confirms by a connection made after everything so far. */
function confirm(store: Store, clock: Clock, revision: number) {
  clock.pass(1);
  const connection = { id: "c2", openedMs: clock.monotonicMs };
  return store.confirm({ revision, connection, who: "ops" }, clock.now());
}

const states = (store: Store) => store.history().map(({ number, state }) => `${number} ${state}`);

t.test("an empty store", async (t) => {
  const { store, clock } = setUp();
  t.equal(store.current, undefined);
  t.equal(store.deadline, undefined);
  t.equal(store.due(clock.now()), undefined);
  t.same(store.history(), []);
  t.same(store.notices, []);
  t.throws(() => store.get(1), { code: "unknown-revision", path: "revision", revision: 1 });
  t.throws(() => store.begin(request(0, 1, 60), clock.now()), {
    code: "nothing-to-return-to",
    path: "confirmWithinSec",
  });
});

t.test("applied without asking: in force, and after a restart", async (t) => {
  const { store, clock, restart } = setUp();
  const change = store.begin(request(0, 1), clock.now());
  t.equal(change.number, 1);
  t.equal(change.text, text(1));
  t.equal(store.current, undefined, "not yet");
  t.same(states(store), ["1 begun"]);
  change.commit(clock.now());
  t.match(store.current, { number: 1, text: text(1), state: "confirmed", isInForce: true });
  const again = restart();
  t.match(again.current, { number: 1, text: text(1), who: "ops", note: "n 1", time: START });
  t.same(again.notices, []);
});

t.test("a change is settled once", async (t) => {
  const { store, clock } = setUp();
  const change = apply(store, clock, 1);
  t.throws(() => change.commit(clock.now()), /is settled/);
  t.throws(() => change.abandon("", clock.now()), /is settled/);
});

t.test("what the forwarder refused leaves what was in force", async (t) => {
  const { store, clock, restart } = setUp();
  apply(store, clock, 1);
  store.begin(request(1, 2), clock.now()).abandon("no such interface", clock.now());
  t.equal(store.current?.number, 1);
  t.match(store.history()[1], { state: "abandoned", outcome: { why: "no such interface" } });
  t.equal(apply(store, clock, 3).number, 3, "its number is not used again");
  t.same(states(restart()), ["1 confirmed", "2 abandoned", "3 confirmed"]);
});

t.test("stale base: both numbers", async (t) => {
  const { store, clock } = setUp();
  apply(store, clock, 1);
  apply(store, clock, 2);
  for (const base of [0, 1, 3, -1, 1.5]) {
    t.throws(() => store.begin(request(base, 3), clock.now()), {
      name: "StaleBase",
      code: "stale-base",
      path: "base",
      base,
      current: 2,
    });
  }
  t.equal(store.history().length, 2, "nothing was written");
});

t.test("while one is pending nothing else begins, whatever its base", async (t) => {
  const { store, clock } = setUp();
  apply(store, clock, 1);
  apply(store, clock, 2, 60);
  t.match(store.current, { number: 2, state: "pending", deadlineMs: START + 60_000 });
  t.equal(store.lastConfirmed?.number, 1);
  t.throws(() => store.begin(request(2, 3), clock.now()), {
    name: "PendingOpen",
    code: "pending-open",
    path: "base",
    pending: 2,
  });
  t.throws(() => store.begin(request(1, 3), clock.now()), { code: "stale-base", current: 2 });
  const words = { who: "", note: "", connection: "", base: undefined, confirmWithinSec: undefined };
  t.throws(() => store.beginRollback({ to: 2, ...words }, clock.now()), { code: "pending-open" });
});

t.test("while one is on its way nothing else begins, nor is confirmed", async (t) => {
  const { store, clock } = setUp();
  apply(store, clock, 1);
  apply(store, clock, 2, 60);
  const back = store.beginReturn({ who: "ops", why: "" });
  const busy = { name: "Busy", code: "busy", revision: 1 };
  t.throws(() => store.begin(request(2, 3), clock.now()), busy);
  t.throws(() => confirm(store, clock, 2), busy);
  t.throws(() => store.beginReturn({ who: "ops", why: "" }), busy);
  back.abandon("it would not", clock.now());
  t.match(store.current, { number: 2, state: "pending" }, "still waiting");
  confirm(store, clock, 2);
});

t.test("the identical configuration", async (t) => {
  const { store, clock } = setUp();
  apply(store, clock, 1);
  const refused = { name: "Unchanged", code: "unchanged", path: "config", current: 1 };
  t.throws(() => store.begin(request(1, 1), clock.now()), refused);
  const other = { ...request(1, 1), text: '{"n":1,\n  "version":1}' };
  t.throws(() => store.begin(other, clock.now()), refused, "in other words");
  t.throws(() => store.examine(other), refused, "without writing");
});

t.test("confirmed by another connection, in time", async (t) => {
  const { store, clock, restart } = setUp();
  apply(store, clock, 1);
  clock.pass(10);
  const before = { id: "c0", openedMs: clock.monotonicMs - 1 };
  apply(store, clock, 2, 60);
  const by = (connection: { id: string; openedMs: number }, revision = 2) =>
    store.confirm({ revision, connection, who: "ops" }, clock.now());
  const same = { name: "SameConnection", code: "same-connection", path: "connection" };
  const later = clock.monotonicMs + 1;
  t.throws(() => by({ id: "c1", openedMs: later }), same, "the one that applied");
  t.throws(() => by(before), same, "one from before");
  t.throws(() => by({ id: "c2", openedMs: later }, 1), { code: "nothing-pending", pending: 2 });
  t.throws(() => by({ id: "c2", openedMs: later }, 9), {
    code: "unknown-revision",
    path: "revision",
  });
  t.equal(store.current?.state, "pending");
  clock.pass(59_999);
  t.match(by({ id: "c2", openedMs: later }), { number: 2, state: "confirmed", isInForce: true });
  t.equal(store.deadline, undefined);
  t.throws(() => by({ id: "c3", openedMs: later }), {
    code: "nothing-pending",
    pending: undefined,
  });
  t.equal(restart().current?.number, 2);
});

t.test("too late, although no timer has rolled it back yet", async (t) => {
  const { store, clock } = setUp();
  apply(store, clock, 1);
  apply(store, clock, 2, 60);
  clock.pass(60_000);
  t.throws(() => confirm(store, clock, 2), { code: "too-late", path: "revision", lateMs: 1 });
  t.match(store.due(clock.now()), { isDue: true, leftMs: 0 });
});

t.test(
  "the wall clock neither prolongs nor shortens the time, and its jump is told once",
  async (t) => {
    const { store, clock } = setUp();
    apply(store, clock, 1);
    apply(store, clock, 2, 60);
    clock.pass(1000);
    t.match(store.due(clock.now()), { isDue: false, leftMs: 59_000, jumpMs: 0 });
    clock.wallMs += 3_600_000;
    t.match(store.due(clock.now()), { isDue: false, leftMs: 59_000, jumpMs: 3_600_000 });
    t.equal(store.deadline?.wallMs, clock.wallMs + 59_000, "told by the new clock");
    t.equal(store.due(clock.now())?.jumpMs, 0);
    clock.wallMs -= 100_000_000;
    t.match(store.due(clock.now()), { isDue: false, leftMs: 59_000, jumpMs: -100_000_000 });
    clock.wallMs += 900;
    t.equal(store.due(clock.now())?.jumpMs, 0, "drift is no jump");
    clock.pass(59_000);
    t.match(store.due(clock.now()), { isDue: true, leftMs: 0 });
    const nothing = { wallMs: Number.NaN, monotonicMs: Number.NaN };
    t.equal(store.due(nothing)?.isDue, true, "a clock that fails ends it");
  },
);

t.test("a pending one is never run after a restart, and the history says so", async (t) => {
  const { store, clock, restart } = setUp();
  apply(store, clock, 1);
  apply(store, clock, 2, 60);
  clock.pass(5000);
  const again = restart();
  t.match(again.current, { number: 1, text: text(1) });
  t.equal(again.deadline, undefined);
  t.same(again.notices, ["revision 2: rolled back: the process ended before it was confirmed"]);
  t.match(again.history()[1], {
    state: "rolled-back",
    outcome: { who: "crosszone", time: START + 5000 },
  });
  t.throws(() => confirm(again, clock, 2), { code: "nothing-pending" });
  t.equal(apply(again, clock, 3).number, 3);
});

t.test("begun and not switched to: the same", async (t) => {
  const { store, clock, restart } = setUp();
  apply(store, clock, 1);
  store.begin(request(1, 2), clock.now());
  const again = restart();
  t.equal(again.current?.number, 1);
  t.same(states(again), ["1 confirmed", "2 rolled-back"]);
});

t.test("rolling back to an older one makes a new one with its text", async (t) => {
  const { store, clock } = setUp();
  for (const n of [1, 2, 3]) apply(store, clock, n);
  const words = { who: "ops", note: "", connection: "c1", confirmWithinSec: undefined };
  const to = (to: number, base?: number) =>
    store.beginRollback({ to, base, ...words }, clock.now());
  t.throws(() => to(3), { code: "unchanged", path: "to" });
  t.throws(() => to(7), { code: "unknown-revision", path: "to" });
  t.throws(() => to(1, 2), { code: "stale-base", base: 2, current: 3 });
  to(1, 3).commit(clock.now());
  t.match(store.current, { number: 4, text: text(1), restores: 1, base: 3 });
});

t.test("taking back what is pending", async (t) => {
  const { store, clock, restart } = setUp();
  apply(store, clock, 1);
  apply(store, clock, 2, 60);
  const words = { who: "ops", note: "wrong", connection: "c1", confirmWithinSec: undefined };
  const change = store.beginRollback({ to: 1, base: 2, ...words }, clock.now());
  t.match(change, { number: 1, text: text(1) });
  change.commit(clock.now());
  t.equal(store.current?.number, 1);
  t.match(store.history()[1], { state: "rolled-back", outcome: { who: "ops", why: "wrong" } });
  t.same(states(restart()), ["1 confirmed", "2 rolled-back"]);
  t.throws(() => store.beginReturn({ who: "", why: "" }), { code: "nothing-pending" });
});

t.test("apply, expire and rollback do it in the right order", async (t) => {
  const { store, clock, restart } = setUp();
  const ran: number[] = [];
  const switchTo = async ({ number }: { number: number }) => void ran.push(number);
  t.match(await store.apply(request(0, 1), clock.now, switchTo), { number: 1, state: "confirmed" });
  t.match(await store.apply(request(1, 2, 30), clock.now, switchTo), {
    number: 2,
    state: "pending",
  });
  t.equal(await store.expire(clock.now, switchTo), undefined, "not yet");
  clock.pass(30_000);
  const refuses = async () => {
    throw new Error("interface gone");
  };
  await t.rejects(store.expire(clock.now, refuses), /interface gone/);
  t.match(store.current, { number: 2, state: "pending" }, "still due");
  t.match(await store.expire(clock.now, switchTo), { number: 1, isInForce: true });
  t.equal(await store.expire(clock.now, switchTo), undefined);
  await t.rejects(store.apply(request(1, 3), clock.now, refuses), /interface gone/);
  await t.rejects(store.apply(request(7, 3), clock.now, switchTo), { code: "stale-base" });
  await store.apply(request(1, 4), clock.now, switchTo);
  const words = { who: "ops", note: "", connection: "", base: 4, confirmWithinSec: undefined };
  await store.rollback({ to: 1, ...words }, clock.now, switchTo);
  t.same(ran, [1, 2, 1, 4, 5]);
  t.same(states(restart()), [
    "1 confirmed",
    "2 rolled-back",
    "3 abandoned",
    "4 confirmed",
    "5 confirmed",
  ]);
});

t.test("a time that is over while another change is on its way waits for it", async (t) => {
  const { store, clock } = setUp();
  apply(store, clock, 1);
  apply(store, clock, 2, 1);
  clock.pass(2000);
  const change = store.beginReturn({ who: "ops", why: "" });
  t.equal(await store.expire(clock.now, async () => {}), undefined);
  change.commit(clock.now());
});

t.test("a disk that is full at any step: what is in force is what is said", async (t) => {
  for (let failing = 0; failing < 14; failing++) {
    for (const lasts of [1, 1000]) {
      const { store, clock, disk, restart } = setUp();
      let runs = 1;
      const switchTo = async ({ number }: { number: number }) => {
        runs = number;
      };
      await store.apply(request(0, 1), clock.now, switchTo);
      const first = disk.steps + failing;
      disk.fails = (step) => step >= first && step < first + lasts;
      let error: unknown;
      await store.apply(request(1, 2), clock.now, switchTo).catch((reason) => {
        error = reason;
      });
      disk.fails = () => false;
      t.equal(runs, store.current?.number, `step ${failing}: the forwarder runs it`);
      if (error === undefined) t.equal(runs, 2);
      else t.match(error, { code: "storage", path: "config" });
      const again = restart();
      const isUnknown = error !== undefined && failing === 11 && lasts > 1;
      if (!isUnknown) t.equal(again.current?.number, runs, `step ${failing}: and after a restart`);
      else t.throws(() => store.begin(request(1, 3), clock.now()), { code: "storage" });
    }
  }
});

t.test("a switch that can neither be written down nor undone", async (t) => {
  const { store, clock, disk } = setUp();
  await store.apply(request(0, 1), clock.now, async () => {});
  let calls = 0;
  const switchTo = async () => {
    disk.fails = () => true;
    if (++calls > 1) throw new Error("no way back");
  };
  await t.rejects(store.apply(request(1, 2), clock.now, switchTo), {
    name: "Diverged",
    running: 2,
    current: 1,
    message: "revision 2 still runs, and revision 1 should: no way back",
  });
});

t.test("a full disk does not keep a router from starting", async (t) => {
  const { store, clock, disk, restart } = setUp();
  apply(store, clock, 1);
  apply(store, clock, 2, 60);
  const full = disk.afterKill();
  full.fails = () => true;
  const again = restart(full);
  t.equal(again.current?.number, 1);
  t.same(states(again), ["1 confirmed", "2 rolled-back"]);
  full.fails = () => false;
  t.same(
    states(restart(full.afterKill())),
    ["1 confirmed", "2 rolled-back"],
    "it is the same when read again",
  );
});

t.test("bad requests name the argument", async (t) => {
  const { store, clock } = setUp();
  apply(store, clock, 1);
  const base = request(1, 2);
  const table: readonly (readonly [object, string, RegExp])[] = [
    [{ confirmWithinSec: 0 }, "confirmWithinSec", /seconds, 1 to 86400, found 0/],
    [{ confirmWithinSec: 1.5 }, "confirmWithinSec", /found 1.5/],
    [{ confirmWithinSec: 86_401 }, "confirmWithinSec", /found 86401/],
    [{ note: "x".repeat(1025) }, "note", /at most 1024 characters, found 1025/],
    [{ note: "a\u001b[2J" }, "note", /one line of text, found a control character/],
    [{ note: "a\nb" }, "note", /one line/],
    [{ who: "\u202eops" }, "who", /control character/],
    [{ connection: "x".repeat(257) }, "connection", /at most 256/],
    [{ text: '"\ud800"' }, "config", /Unicode, found half a character/],
    [{ text: " ".repeat(StateLimit.TextBytes + 1) }, "config", /at most 16777216 bytes/],
    [{ text: "ä".repeat(StateLimit.TextBytes / 2 + 1) }, "config", /at most 16777216 bytes/],
  ];
  for (const [change, path, message] of table) {
    t.throws(() => store.begin({ ...base, ...change }, clock.now()), {
      code: "invalid",
      path,
      message,
    });
  }
  const bad = { wallMs: Number.NaN, monotonicMs: 0 };
  t.throws(() => store.begin(base, bad), { code: "invalid", path: "time" });
  t.equal(store.history().length, 1);
});

t.test("the text comes back as it was written", async (t) => {
  const { store, clock, restart } = setUp();
  const odd = '\ufeff{ "n" :\t1,\r\n "ü": "\u{1f600}\\u0000" }\n\n';
  store.begin({ ...request(0, 0), text: odd }, clock.now()).commit(clock.now());
  apply(store, clock, 2);
  t.equal(store.get(1).text, odd);
  t.equal(restart().get(1).text, odd);
});

t.test("twenty are kept, and those that a restart could need", async (t) => {
  const { store, clock, disk, restart } = setUp();
  apply(store, clock, 1);
  apply(store, clock, 2);
  for (let n = 3; n < 30; n++) {
    store.begin(request(2, n), clock.now()).abandon("refused", clock.now());
  }
  const kept = store.history().map(({ number }) => number);
  t.equal(kept.length, StateLimit.Kept + 2);
  t.same(kept.slice(0, 3), [1, 2, 10]);
  t.equal(disk.paths().length, kept.length * 2);
  t.throws(() => store.get(5), { message: "there is no revision 5: kept are 1 to 29" });
  t.same(
    restart()
      .history()
      .map(({ number }) => number),
    kept,
  );
  for (let n = 30; n < 60; n++) apply(store, clock, n);
  t.same(
    store.history().map(({ number }) => number),
    Array.from({ length: 20 }, (_, i) => 40 + i),
  );
});

t.test("so many bytes are kept", async (t) => {
  const { store, clock } = setUp();
  const big = (n: number) => `[${n}${" ".repeat(StateLimit.TextBytes - 1000)}]`;
  for (let n = 1; n < 8; n++) {
    const base = store.current?.number ?? 0;
    store.begin({ ...request(base, n), text: big(n) }, clock.now()).commit(clock.now());
  }
  const history = store.history();
  t.same(
    history.map(({ number }) => number),
    [4, 5, 6, 7],
  );
  t.ok(history.reduce((sum, { bytes }) => sum + bytes, 0) <= StateLimit.KeptBytes);
});

t.test("the difference of any two", async (t) => {
  const { store, clock } = setUp();
  apply(store, clock, 1);
  apply(store, clock, 2);
  const { text, paths } = store.diff(1, 2);
  t.match(text, '-  "n": 1,\n+  "n": 2,');
  t.same(paths, [{ path: "n", kind: "changed", before: "1", after: "2" }]);
  t.throws(() => store.diff(1, 3), { code: "unknown-revision", path: "to" });
  t.throws(() => store.diff(0, 1), { code: "unknown-revision", path: "from" });
});

t.test("a confirmation that fails at any step leaves a way back", async (t) => {
  let isConfirmed = false;
  let undecided = 0;
  for (let step = 0; !isConfirmed; step++) {
    const { disk, clock, store } = setUp();
    apply(store, clock, 1);
    apply(store, clock, 2, 60);
    const before = disk.steps;
    disk.fails = (at) => at >= before + step;
    try {
      confirm(store, clock, 2);
      isConfirmed = true;
    } catch {
      t.equal(store.current?.number, 2, `step ${step}: it still waits`);
      clock.pass(60_000);
      const switched: number[] = [];
      const back = await store.expire(clock.now, async ({ number }) => {
        switched.push(number);
      });
      t.same([back?.number, switched], [1, [1]], `step ${step}: it is taken back`);
      // Of the last steps nobody knows what is on the disk.
      if (!mayBegin(store, clock)) undecided++;
    }
  }
  t.ok(undecided > 0, "at some step the disk cannot be relied on");
});

function mayBegin(store: Store, clock: Clock): boolean {
  try {
    store.examine({ ...request(1, 3), base: 1 });
    return clock.now().monotonicMs > 0;
  } catch {
    return false;
  }
}
