/** Files of the store that are damaged: the one confirmed last of those that are whole is in force, and it is said. */

import t from "tap";
import { StateDirectory } from "../../../host/state/files.js";
import { Store } from "../../../host/state/revisions.js";
import { MemoryDisk, randomOf } from "../../harness/memorydisk.js";

const NOW = { wallMs: 1_700_000_000_000, monotonicMs: 0 };
const text = (n: number) => `{"version": 1, "n": ${n}}\n`;

function open(disk: MemoryDisk): Store {
  return Store.open(StateDirectory.hold("/state", disk), NOW);
}

function apply(store: Store, n: number): void {
  const words = { who: "ops", note: "", connection: "c", confirmWithinSec: undefined };
  const base = store.current?.number ?? 0;
  store.begin({ base, text: text(n), ...words }, NOW).commit(NOW);
}

/** A disk with three confirmed revisions. */
function disk(): MemoryDisk {
  const made = new MemoryDisk();
  const store = open(made);
  for (const n of [1, 2, 3]) apply(store, n);
  return made.afterKill();
}

const NEWEST = ["/state/revisions/00000003.revision", "/state/revisions/00000003.outcome"];

/** Every way in which one file is damaged here, as its bytes. */
function* damaged(bytes: Uint8Array): Generator<readonly [string, Uint8Array]> {
  for (let length = 0; length < bytes.length; length++) {
    yield [`${length} bytes`, bytes.slice(0, length)];
  }
  const random = randomOf(1);
  for (let i = 0; i < 300; i++) {
    const bit = Math.floor(random() * bytes.length * 8);
    const flipped = Uint8Array.from(bytes);
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    yield [`bit ${bit}`, flipped];
  }
  for (let from = 0; from < bytes.length; from += 7) {
    yield [`zeros from ${from}`, Uint8Array.from(bytes).fill(0, from)];
  }
  yield ["foreign", Buffer.from('{"version": 1}\n')];
  yield ["twice", Buffer.concat([bytes, bytes])];
}

for (const path of NEWEST) {
  t.test(`${path.slice(-8)} of the newest`, async (t) => {
    const whole = disk();
    let ways = 0;
    for (const [way, bytes] of damaged(whole.bytes(path))) {
      const left = whole.afterKill();
      left.put(path, bytes);
      const store = open(left);
      const said = store.notices.join("\n");
      const isRight =
        store.current?.number === 2 &&
        store.current.text === text(2) &&
        said.startsWith(`revision 3: ${path}: `) &&
        said.endsWith("\nrevision 2 is in force instead") &&
        store.history()[2]?.state === "damaged";
      if (!isRight) t.fail(`${way}: ${store.current?.number}: ${said}`);
      ways++;
    }
    t.ok(ways > 500, `${ways} ways`);
  });
}

t.test(
  "a damaged number is not used again, and the next revision is built on the good one",
  async (t) => {
    const left = disk();
    left.put(NEWEST[0] ?? "", new Uint8Array(3));
    const store = open(left);
    t.throws(() => store.get(3), { code: "unusable-revision", path: "revision" });
    apply(store, 4);
    const again = open(left.afterKill());
    t.match(again.current, { number: 4, base: 2 });
    t.same(again.notices.length, 1, "what is damaged and older is still said");
    t.notMatch(again.notices[0], "instead");
  },
);

t.test("several, up to all", async (t) => {
  const left = disk();
  left.put("/state/revisions/00000003.outcome", new Uint8Array(0));
  left.put("/state/revisions/00000002.revision", new Uint8Array(0));
  t.equal(open(left.afterKill()).current?.number, 1);
  left.put("/state/revisions/00000001.revision", new Uint8Array(0));
  const store = open(left.afterKill());
  t.equal(store.current, undefined);
  t.same(store.history().length, 3);
  t.equal(store.notices.at(-1), "no revision is whole");
  apply(store, 4);
  t.equal(store.current?.number, 4);
});

t.test("a file that is gone", async (t) => {
  const left = disk();
  left.remove(NEWEST[0] ?? "");
  const store = open(left.afterKill());
  t.equal(store.current?.number, 2);
  t.match(store.notices[0], /^revision 3: .*00000003.revision: torn: gone/);
  const other = disk();
  other.remove("/state/revisions/00000001.revision");
  const pruned = open(other.afterKill());
  t.same(pruned.notices, [], "an old one is what an interrupted removal leaves");
  t.same(
    pruned.history().map(({ number }) => number),
    [2, 3],
  );
});

t.test("files that change places", async (t) => {
  const left = disk();
  const [revision = "", outcome = ""] = NEWEST;
  const swapped = left.afterKill();
  swapped.put(revision, left.bytes("/state/revisions/00000002.revision"));
  t.match(open(swapped).notices[0], /content: it is revision 2/);
  const moved = left.afterKill();
  moved.put(outcome, left.bytes("/state/revisions/00000002.outcome"));
  t.match(open(moved).notices[0], /content: it is revision 2/);
  // An outcome is of this text, not of any with this number.
  const other = new MemoryDisk();
  const store = open(other);
  for (const n of [1, 2, 33]) apply(store, n);
  const mixed = left.afterKill();
  mixed.put(revision, other.bytes(revision));
  t.match(open(mixed).notices[0], /content: of another revision with this number/);
  t.equal(open(mixed.afterKill()).current?.number, 2);
});

t.test("a file that is damaged while the router runs", async (t) => {
  const made = new MemoryDisk();
  const store = open(made);
  for (const n of [1, 2]) apply(store, n);
  made.put("/state/revisions/00000001.revision", Buffer.from("x"));
  t.throws(() => store.get(1), { code: "unusable-revision" });
  t.equal(store.current?.text, text(2));
});

t.test("names that are none of the store's are left alone", async (t) => {
  const left = disk();
  const names = ["1.revision", "00000000.revision", "00000004.text", "000000004.revision", "notes"];
  for (const name of names) left.put(`/state/revisions/${name}`, Buffer.from("x"));
  const store = open(left);
  t.same(store.notices, []);
  t.equal(store.history().length, 3);
  apply(store, 4);
  for (const name of names) t.ok(left.bytes(`/state/revisions/${name}`));
});
