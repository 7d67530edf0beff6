/**
 * The store at every point at which a process can end: killed, or without power and with what was not synced
 * lost, kept or torn at random. docs/adr/0025-revisions.md has the table of what each point leaves.
 */

import t from "tap";
import { StateDirectory } from "../../../host/state/files.js";
import { Store } from "../../../host/state/revisions.js";
import { Ledger, Worker } from "../../harness/ledger.js";
import { type Carelessness, MemoryDisk, randomOf } from "../../harness/memorydisk.js";

const START = { wallMs: 1_700_000_000_000, monotonicMs: 0 };

/** More than are kept, so that removing old ones is stopped, too. */
const ACTIONS = 30;

/** Losses of power tried at each step, beside a kill, which is loss 0. */
const LOSSES = 2;

function open(disk: MemoryDisk): Store {
  return Store.open(StateDirectory.hold("/state", disk), START);
}

/** What does not fit at any step, up to a few; and how many steps there were. */
function faultsOf(seed: number, careless?: Carelessness) {
  const faults: string[] = [];
  const disk = new MemoryDisk(careless);
  const ledger = new Ledger();
  disk.onStep = () => {
    for (let loss = 0; loss <= LOSSES && faults.length < 5; loss++) {
      const random = randomOf(seed * 65536 + disk.steps * 8 + loss);
      const left = loss === 0 ? disk.afterKill() : disk.afterPowerLoss(random);
      const where = `seed ${seed} step ${disk.steps} loss of power ${loss}`;
      faults.push(...faultsAfter(left, ledger.copy()).map((fault) => `${where}: ${fault}`));
    }
  };
  const worker = new Worker(open(disk), randomOf(seed), `s${seed}`, (line) => ledger.note(line));
  for (let i = 0; i < ACTIONS && faults.length < 5; i++) worker.act();
  return { faults, steps: disk.steps };
}

/** What does not fit when the store is opened, worked on for a while, and opened again. */
function faultsAfter(disk: MemoryDisk, ledger: Ledger): string[] {
  const store = open(disk);
  const faults = ledger.check(store);
  if (disk.paths().some((path) => path.endsWith(".tmp"))) faults.push("a temporary is left");
  const worker = new Worker(store, randomOf(disk.steps), "later", (line) => ledger.note(line));
  for (let i = 0; i < 2; i++) worker.act();
  return [...faults, ...ledger.check(open(disk.afterKill())).map((fault) => `later: ${fault}`)];
}

t.test("whatever the step, a whole revision that was confirmed is in force", async (t) => {
  for (const seed of [1, 2]) {
    const { faults, steps } = faultsOf(seed);
    t.same(faults, []);
    t.ok(steps > 300, `${steps} steps, seed ${seed}`);
  }
});

for (const careless of ["file-sync", "directory-sync", "rename"] as const) {
  t.test(`canary: without ${careless} the check fails`, async (t) => {
    const { faults } = faultsOf(1, careless);
    t.ok(faults.length > 0);
    t.comment(faults[0] ?? "");
  });
}
