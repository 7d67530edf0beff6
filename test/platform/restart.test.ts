/** One forwarder in another one's place: over threads and messages, with other workers, and where it cannot be. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { parseConfig } from "../../host/config/parse.js";
import { Snapshots } from "../../host/control/snapshots.js";
import { Lab, labSupport } from "../../host/demo/lab.js";
import { Forwarder } from "../../host/forwarder.js";
import { chunkOf, headerOf, Snapshot } from "../../host/snapshot.js";
import { Folder } from "../../host/state/files.js";
import { SnapshotFile } from "../../host/state/snapshotfile.js";
import { formatConn } from "../../host/telemetry/conn.js";
import { burst } from "../harness/burst.js";
import { inside } from "../harness/inside.js";

const reason = labSupport();
const SEED = new Uint8Array(16);
const HOSTS = 1500;

// A busy machine takes its time.
t.setTimeout(120_000);

function configuration(workers: number, changes: object = {}) {
  const lan = { name: "lan", zone: "a", interface: "eth0", mac: "02:00:00:00:00:01" };
  const wan = { name: "wan", zone: "public", interface: "eth1", addresses: ["203.0.113.2/24"] };
  const document = {
    version: 1,
    workers,
    zones: [
      { id: 10, name: "a" },
      { id: 20, name: "public" },
    ],
    devices: [{ ...lan, addresses: ["10.0.255.254/16"] }, wan],
    routes: [{ zone: "public", to: "0.0.0.0/0", via: "203.0.113.1" }],
    neighbors: [{ zone: "public", address: "203.0.113.1", mac: "02:00:00:00:00:02" }],
    pools: [{ name: "p1", zone: "public", addresses: ["203.0.113.64-203.0.113.67"] }],
    nat: [{ from: ["a"], to: "public", pool: "p1" }],
    capacity: { conns: 8192 },
    ...changes,
  };
  return parseConfig(JSON.stringify(document), "test");
}

async function conns(forwarder: Forwarder): Promise<string[]> {
  return (await forwarder.conns()).map(formatConn).sort();
}

async function save(forwarder: Forwarder, halt: boolean): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  const bytes = await forwarder.save((piece) => pieces.push(piece), { halt });
  const all = Buffer.concat(pieces);
  t.equal(all.length, bytes);
  return all;
}

t.test("a forwarder in another one's place", { skip: reason ?? false }, async (t) => {
  const lab = await Lab.create();
  t.teardown(() => lab.close());
  const near = await lab.namespace("near");
  const far = await lab.namespace("far");
  await lab.veth(near, "eth0", far, "eth0");
  await lab.veth(near, "eth1", far, "eth1");
  const start = (workers: number, restore?: Snapshot, changes = {}) =>
    inside(near.pid, () => Forwarder.start(configuration(workers, changes), SEED, { restore }));

  const first = await start(1);
  t.teardown(() => first.stop());
  for (let turn = 0; turn < 10 && (await conns(first)).length < HOSTS; turn++) {
    await burst(far, HOSTS);
    await sleep(200);
  }
  const had = await conns(first);
  t.equal(had.length, HOSTS);
  const [periodic, again] = await Promise.all([save(first, false), save(first, false)]);
  t.equal(Snapshot.read(() => [again]).header.isLast, false);
  t.equal(Snapshot.read(() => [periodic]).header.isLast, false);
  await burst(far, HOSTS);
  const last = await save(first, true);
  await burst(far, 2 * HOSTS);
  t.same(await conns(first), had, "from then on nothing is forwarded");
  await first.stop();

  let bytes = last;
  for (const workers of [2, 1]) {
    const next = await start(
      workers,
      Snapshot.read(() => [bytes]),
    );
    t.match(next.restored, { conns: { Restored: HOSTS }, grants: {}, keepsEpoch: true });
    t.same(await conns(next), had, `${workers} workers`);
    bytes = await save(next, true);
    await next.stop();
  }

  const limited = [
    { id: 10, name: "a", limits: { conns: 700 } },
    { id: 20, name: "public" },
  ];
  const two = await start(
    2,
    Snapshot.read(() => [bytes]),
    { zones: limited },
  );
  t.same(two.restored?.conns, { Restored: 700, OverLimit: HOSTS - 700 }, "a limit of both");
  await two.stop();

  let calls = 0;
  const torn = Snapshot.read(() => [bytes.subarray(0, calls++ === 0 ? bytes.length : 20_000)]);
  await t.rejects(start(1, torn), { name: "RestoreFailed", message: /content: \d+ of \d+ bytes/ });
  const after = await start(1);
  t.same(await conns(after), [], "and of that nothing is left");
  await after.stop();
});

t.test("what cannot be restored is put aside, and not tried again", async (t) => {
  const path = mkdtempSync(join(tmpdir(), "crosszone-snapshots-"));
  t.teardown(() => rmSync(path, { recursive: true }));
  const folder = Folder.open(path);
  const said: string[] = [];
  const snapshots = new Snapshots(folder, 30, (line) => said.push(line));
  t.equal(snapshots.find(), undefined);
  t.same(said, [], "nothing is there, and nothing is said");
  const write = (records: Uint8Array) => {
    const writer = new SnapshotFile(folder).begin();
    writer.write(headerOf({ isLast: true, workers: 1, wall: Date.now() }));
    writer.write(chunkOf({ worker: 0, wall: Date.now(), records }));
    writer.finish();
  };
  write(new Uint8Array());
  t.ok(snapshots.find());
  snapshots.refuse("the forwarding thread ended");
  write(Uint8Array.of(77, 0, 4, 0));
  t.equal(snapshots.find(), undefined);
  const name = join(path, "conns");
  t.same(said, [
    `${name}: content: the forwarding thread ended; nothing is restored`,
    `${name}: content: no whole record, at byte 48 of its content; nothing is restored`,
  ]);
  t.same(folder.names(), ["conns.damaged"]);
});
