/** The file of a snapshot: whole or refused, whatever happened to it, and never half of a new one. */

import fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import type { StateFileError } from "../../../host/state/fileerror.js";
import { Folder } from "../../../host/state/files.js";
import { SnapshotFile } from "../../../host/state/snapshotfile.js";
import { MemoryDisk, randomOf } from "../../harness/memorydisk.js";

const OLD = "what the process before has saved";
const NEW = ["what this one ", "saves in ", "three pieces"];

function write(folder: Folder, pieces: readonly string[]): void {
  const writer = new SnapshotFile(folder).begin();
  for (const piece of pieces) writer.write(Buffer.from(piece));
  writer.finish();
}

/** The content of what is found, and whether it was used; undefined for nothing. */
function find(folder: Folder): { text: string; isUsed: boolean } | undefined {
  const found = new SnapshotFile(folder).find();
  if (found === undefined) return undefined;
  const text = Buffer.concat([...found.pieces()]).toString();
  t.equal(Buffer.concat([...found.pieces()]).toString(), text, "as often as one likes");
  found.close();
  return { text, isUsed: found.isUsed };
}

function faultOf(folder: Folder): string {
  try {
    return JSON.stringify(find(folder) ?? "nothing");
  } catch (error) {
    const { path, fault, message } = error as StateFileError;
    if (!message.startsWith(`${path}: ${fault}: `)) throw error;
    return fault;
  }
}

function scratch(t: Test): Folder {
  const path = fs.mkdtempSync(join(tmpdir(), "crosszone-snapshot-"));
  t.teardown(() => fs.rmSync(path, { recursive: true, force: true }));
  fs.chmodSync(path, 0o700);
  return Folder.open(path);
}

t.test("written in pieces, found, used, replaced, forgotten", async (t) => {
  const folder = scratch(t);
  const file = new SnapshotFile(folder);
  t.equal(find(folder), undefined);
  write(folder, [OLD]);
  t.same(find(folder), { text: OLD, isUsed: false });
  const found = file.find();
  if (found !== undefined) file.use(found);
  t.same(folder.names(), ["conns.used"]);
  t.same(find(folder), { text: OLD, isUsed: true }, "after a crash behind that");
  write(folder, NEW);
  t.same(folder.names(), ["conns"]);
  t.same(find(folder), { text: NEW.join(""), isUsed: false });
  const given = file.begin();
  given.write(Buffer.from("half"));
  given.abandon();
  t.same(fs.readdirSync(folder.path), ["conns"]);
  file.forget();
  t.equal(find(folder), undefined);
  const large = Buffer.alloc(3_000_000, "x").toString();
  write(folder, [large, large]);
  t.equal(find(folder)?.text.length, 6_000_000);
});

t.test("every byte changed, every length: refused as a whole, named, and put aside", async (t) => {
  const folder = scratch(t);
  write(folder, NEW);
  const path = folder.pathOf("conns");
  const whole = fs.readFileSync(path);
  const faults = new Map<string, number>();
  const tryBytes = (bytes: Uint8Array, what: string) => {
    fs.writeFileSync(path, bytes);
    const fault = faultOf(folder);
    faults.set(fault, (faults.get(fault) ?? 0) + 1);
    if (!/^(torn|damaged|foreign|version|kind)$/.test(fault)) t.fail(`${what}: ${fault}`);
    if (!fs.readFileSync(`${path}.damaged`).equals(bytes)) t.fail(`${what}: not put aside`);
    if (fs.existsSync(path) || faultOf(folder) !== '"nothing"') t.fail(`${what}: found again`);
  };
  for (let at = 0; at < whole.length; at++) {
    const flipped = Buffer.from(whole);
    flipped[at] = (flipped[at] ?? 0) ^ (1 << (at & 7));
    tryBytes(flipped, `byte ${at}`);
    tryBytes(whole.subarray(0, at), `${at} bytes`);
    tryBytes(Buffer.concat([whole.subarray(0, at), whole.subarray(at + 1)]), `without ${at}`);
  }
  tryBytes(Buffer.concat([whole, whole]), "twice");
  t.ok((faults.get("damaged") ?? 0) > NEW.join("").length, JSON.stringify([...faults]));
  t.same(folder.names(), ["conns.damaged"], "the last one only");
  fs.writeFileSync(path, whole);
  t.same(find(folder)?.text, NEW.join(""));
});

t.test("a damaged one is no reason to go on with one that is older", async (t) => {
  const folder = scratch(t);
  write(folder, [OLD]);
  const file = new SnapshotFile(folder);
  const found = file.find();
  if (found !== undefined) file.use(found);
  fs.writeFileSync(folder.pathOf("conns"), "crosszone conns 1 5");
  t.equal(faultOf(folder), "torn");
  t.equal(find(folder), undefined);
});

t.test("refused by whoever reads it: the same", async (t) => {
  const folder = scratch(t);
  write(folder, [OLD]);
  const file = new SnapshotFile(folder);
  const found = file.find();
  if (found === undefined) return t.fail("nothing");
  const error = file.refuse(found, "content", "no whole record at byte 48");
  t.equal(error.message, `${folder.pathOf("conns")}: content: no whole record at byte 48`);
  t.same(folder.names(), ["conns.damaged"]);
});

/** What may be found at each step of a write, by a kill and by a loss of power, over a snapshot that was there. */
function crashes(careless?: "file-sync" | "rename"): Set<string> {
  const random = randomOf(5);
  const seen = new Set<string>();
  for (const isUsed of [false, true]) {
    const disk = new MemoryDisk(careless);
    const folder = Folder.open("/s", disk);
    write(folder, [OLD]);
    const found = new SnapshotFile(folder).find();
    const look = (left: MemoryDisk) => {
      const there = Folder.open("/s", left);
      there.sweep();
      seen.add(faultOf(there));
    };
    disk.onStep = () => {
      look(disk.afterKill());
      for (let n = 0; n < 4; n++) look(disk.afterPowerLoss(random));
    };
    if (isUsed && found !== undefined) new SnapshotFile(folder).use(found);
    write(folder, NEW);
    disk.onStep();
  }
  return seen;
}

t.test(
  "stopped at any step, by a kill or a loss of power: the one before, or the new one",
  async (t) => {
    const found = (text: string, isUsed: boolean) => JSON.stringify({ text, isUsed });
    t.same(
      [...crashes()].sort(),
      [found(NEW.join(""), false), found(OLD, false), found(OLD, true)].sort(),
    );
    for (const careless of ["file-sync", "rename"] as const) {
      const seen = [...crashes(careless)];
      t.ok(
        seen.some((each) => !each.startsWith("{")),
        `canary: without ${careless} it is not`,
      );
    }
  },
);

t.test("a disk that fails at any step leaves the one before", async (t) => {
  const disk = new MemoryDisk();
  const folder = Folder.open("/s", disk);
  write(folder, [OLD]);
  const steps = () => {
    const before = disk.steps;
    write(folder, NEW);
    return disk.steps - before;
  };
  const count = steps();
  t.ok(count > 10);
  for (let failing = 0; failing < count; failing++) {
    write(folder, [OLD]);
    const first = disk.steps;
    disk.fails = (step) => step === first + failing;
    let isVisible = false;
    try {
      write(folder, NEW);
    } catch (error) {
      isVisible = (error as { isVisible?: boolean }).isVisible ?? true;
    }
    disk.fails = () => false;
    const text = find(folder)?.text;
    t.equal(text, isVisible ? NEW.join("") : OLD, `step ${failing} of ${count}`);
  }
});
