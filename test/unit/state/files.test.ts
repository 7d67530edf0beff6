/** Files that outlive the process: written whole or not at all, and told apart from missing ones when they are not whole. */

import { spawn, spawnSync } from "node:child_process";
import fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t, { type Test } from "tap";
import { Folder, frame, StateDirectory, unframe } from "../../../host/state/files.js";
import { MemoryDisk, randomOf } from "../../harness/memorydisk.js";

const HELD = fileURLToPath(new URL("../../../host/state/files.js", import.meta.url));
const isLinux = process.platform === "linux";

function scratch(t: Test): string {
  const path = fs.mkdtempSync(join(tmpdir(), "crosszone-files-"));
  t.teardown(() => fs.rmSync(path, { recursive: true, force: true }));
  return path;
}

const content = Buffer.from('{"a": 1}\nsecond line\n');
const whole = frame("thing", content);
const options = { kind: "thing", bytesMax: 1000 };

/** The fault that a file of these bytes has; undefined when it is read. */
function faultOf(bytes: Uint8Array, kind = "thing"): string | undefined {
  try {
    unframe("/x/y", kind, bytes);
    return undefined;
  } catch (error) {
    const { fault, message } = error as { fault: string; message: string };
    if (!message.startsWith(`/x/y: ${fault}: `)) throw error;
    return fault;
  }
}

t.test("a file says what it is, and reads as text behind that", async (t) => {
  const text = Buffer.from(whole).toString();
  t.match(text, /^crosszone thing 1 21 [0-9a-f]{64}\n\{"a": 1\}\nsecond line\n$/);
  t.same(Buffer.from(unframe("", "thing", whole)), content);
  t.same(unframe("", "thing", frame("thing", new Uint8Array(0))).length, 0, "empty content");
});

t.test("every prefix is torn", async (t) => {
  const faults = Array.from({ length: whole.length }, (_, n) => faultOf(whole.subarray(0, n)));
  t.same(new Set(faults), new Set(["torn"]));
});

t.test("every flipped bit is found", async (t) => {
  const faults = new Map<string, number>();
  for (let bit = 0; bit < whole.length * 8; bit++) {
    const bytes = Uint8Array.from(whole);
    bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    const fault = faultOf(bytes) ?? "none";
    faults.set(fault, (faults.get(fault) ?? 0) + 1);
  }
  t.notOk(faults.has("none"));
  t.ok((faults.get("damaged") ?? 0) >= content.length * 8);
});

t.test("every zeroed tail, and every added byte", async (t) => {
  for (let from = 0; from < whole.length; from++) {
    const bytes = Uint8Array.from(whole);
    bytes.fill(0, from);
    t.match(faultOf(bytes), /torn|damaged|foreign/, `from ${from}`);
  }
  t.equal(faultOf(Buffer.concat([whole, Buffer.from("\n")])), "damaged");
});

t.test("what others wrote", async (t) => {
  t.equal(faultOf(Buffer.from('{"version": 1, "zones": []}\n')), "foreign");
  t.equal(faultOf(Buffer.from("")), "torn");
  t.equal(faultOf(fs.readFileSync(process.execPath).subarray(0, 5000)), "foreign");
  t.equal(faultOf(whole, "other"), "kind");
  const later = Buffer.from(Buffer.from(whole).toString().replace("thing 1 ", "thing 2 "));
  t.equal(faultOf(later), "version");
});

t.test("written, replaced, listed, removed", async (t) => {
  const folder = Folder.open(join(scratch(t), "state"));
  t.equal(folder.read("a", options), undefined, "missing is no error");
  folder.write("a", "thing", content);
  folder.write("a", "thing", Buffer.from("later"));
  t.equal(Buffer.from(folder.read("a", options) ?? []).toString(), "later");
  t.same(folder.names(), ["a"]);
  t.equal(fs.statSync(folder.pathOf("a")).mode & 0o777, 0o600);
  t.equal(fs.statSync(folder.path).mode & 0o777, 0o700);
  folder.remove("a");
  folder.remove("a");
  t.same(folder.names(), []);
});

t.test("what stands where a file should", async (t) => {
  const folder = Folder.open(join(scratch(t), "state"));
  fs.mkdirSync(folder.pathOf("directory"));
  fs.symlinkSync("/etc/passwd", folder.pathOf("link"));
  fs.writeFileSync(folder.pathOf("large"), frame("thing", new Uint8Array(5000)));
  if (isLinux) spawnSync("mkfifo", [folder.pathOf("pipe")]);
  for (const name of ["directory", "link", ...(isLinux ? ["pipe"] : [])]) {
    t.throws(() => folder.read(name, options), { message: /: unreadable: / }, name);
  }
  t.throws(() => folder.read("large", options), {
    message: `${folder.pathOf("large")}: large: more than 1000 bytes`,
  });
});

t.test("a secret that others may read is refused, with what to do", async (t) => {
  const folder = Folder.open(join(scratch(t), "state"));
  folder.write("a", "thing", content);
  const path = folder.pathOf("a");
  for (const mode of [0o640, 0o604, 0o620, 0o602]) {
    fs.chmodSync(path, mode);
    const message = `${path}: exposed: its mode is 0${mode.toString(8)}; chmod 600 ${path}`;
    t.throws(() => folder.read("a", { ...options, isSecret: true }), { message });
    t.ok(folder.read("a", options), "what is no secret may be read");
  }
});

t.test("a directory that others may write to is refused", async (t) => {
  const path = join(scratch(t), "state");
  fs.mkdirSync(path);
  fs.chmodSync(path, 0o770);
  t.throws(() => Folder.open(path), /others may write to it; chmod go-w/);
  fs.writeFileSync(join(path, "file"), "");
  t.throws(() => Folder.open(join(path, "file")), /no directory/);
  t.throws(() => Folder.open(join(path, "no", "such")), /ENOENT/);
});

t.test("temporaries that a crash left are swept, and nothing else", async (t) => {
  const path = join(scratch(t), "state");
  const folder = Folder.open(path);
  folder.write("a", "thing", content);
  fs.writeFileSync(join(path, ".a.tmp"), "half");
  fs.writeFileSync(join(path, ".hidden"), "somebody's");
  t.same(folder.names(), [".hidden", "a"], "they are no files of ours");
  folder.sweep();
  t.same(fs.readdirSync(path).sort(), [".hidden", "a"]);
});

t.test(
  "a write that fails at any step leaves what was there, or says that it did not",
  async (t) => {
    const disk = new MemoryDisk();
    const folder = Folder.open("/s", disk);
    folder.write("a", "thing", Buffer.from("old"));
    const before = disk.steps;
    folder.write("a", "thing", Buffer.from("old"));
    const steps = disk.steps - before;
    t.ok(steps >= 6);
    for (let failing = 0; failing < steps; failing++) {
      const first = disk.steps;
      disk.fails = (step) => step === first + failing;
      try {
        folder.write("a", "thing", Buffer.from("new"));
        t.fail(`step ${failing} did not fail`);
      } catch (error) {
        const { isVisible, message } = error as { isVisible: boolean; message: string };
        t.match(message, "/s/a: cannot be written: ENOSPC");
        const found = Buffer.from(folder.read("a", options) ?? []).toString();
        t.equal(found, isVisible ? "new" : "old", `step ${failing}`);
        t.equal(isVisible, failing === steps - 1, "only the last sync comes too late");
      }
      disk.fails = () => false;
      t.same(folder.names(), ["a"]);
      folder.write("a", "thing", Buffer.from("old"));
    }
  },
);

t.test("one process at a time", { skip: isLinux ? false : "needs Linux" }, async (t) => {
  const path = join(scratch(t), "state");
  const script = `
    const { StateDirectory } = await import(${JSON.stringify(HELD)});
    StateDirectory.hold(${JSON.stringify(path)});
    process.stdout.write("held");
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script]);
  t.teardown(() => child.kill("SIGKILL"));
  await new Promise((resolve) => child.stdout.once("data", resolve));
  t.throws(() => StateDirectory.hold(path), {
    name: "HeldError",
    message: `${path}: in use by process ${child.pid}`,
  });
  const ended = new Promise((resolve) => child.once("close", resolve));
  child.kill("SIGKILL");
  await ended;
  const directory = StateDirectory.hold(path);
  const message = `${path}: in use by process ${process.pid}`;
  t.throws(() => StateDirectory.hold(path), { message }, "nor twice in one process");
  directory.release();
  directory.release();
  StateDirectory.hold(path).release();
});

t.test("random bytes are never taken for a file", async (t) => {
  const random = randomOf(7);
  for (let i = 0; i < 2000; i++) {
    const bytes = Uint8Array.from(whole);
    for (let n = 0; n < 1 + random() * 4; n++) {
      bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
    }
    if (Buffer.compare(bytes, whole) !== 0) t.ok(faultOf(bytes) !== undefined);
  }
});
