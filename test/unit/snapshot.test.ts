/** A snapshot as bytes: read only where every record can be told apart. */

import t from "tap";
import { SavedKind } from "../../assembly/abi.js";
import { chunkOf, headerOf, Snapshot, SnapshotRefused } from "../../host/snapshot.js";
import { around, edge, SERVER } from "../harness/host.js";
import { Router } from "../harness/router.js";

const header = headerOf({ isLast: true, workers: 2, wall: 1_700_000_000_000 });

function some(): Uint8Array {
  const router = new Router(edge());
  const { a } = around(router);
  for (let i = 0; i < 5; i++) a.udp(SERVER, 700 + i, 53);
  return router.save()[0] ?? new Uint8Array();
}

const records = some();
const whole = Buffer.concat([
  header,
  chunkOf({ worker: 0, wall: 1_700_000_000_001, records }),
  chunkOf({ worker: 1, wall: 1_700_000_000_002, records: new Uint8Array() }),
]);

/** Pieces of a size, which need not be those that were written. */
function* cut(bytes: Uint8Array, size: number): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

function refusalOf(bytes: Uint8Array): string | undefined {
  try {
    Snapshot.read(() => [bytes]);
    return undefined;
  } catch (error) {
    if (!(error instanceof SnapshotRefused)) throw error;
    return `${error.fault} ${error.detail} ${error.at}`;
  }
}

t.test("what was written is read, whatever the pieces", async (t) => {
  for (const size of [1, 7, 33, 10_000]) {
    const snapshot = Snapshot.read(() => cut(whole, size));
    t.same(snapshot.header, { isLast: true, workers: 2, wall: 1_700_000_000_000 });
    for (let twice = 0; twice < 2; twice++) {
      const chunks = [...snapshot.chunks()];
      t.same(
        chunks.map(({ worker, wall }) => [worker, wall]),
        [
          [0, 1_700_000_000_001],
          [1, 1_700_000_000_002],
        ],
      );
      t.same(Buffer.from(chunks[0]?.records ?? []), Buffer.from(records));
    }
  }
  t.equal(Snapshot.read(() => [whole], true).header.isLast, false, "one that was used is old");
});

t.test("what it does not know it refuses, and says where", async (t) => {
  const changed = (at: number, value: number) => {
    const bytes = Buffer.from(whole);
    bytes[at] = value;
    return bytes;
  };
  t.equal(refusalOf(Buffer.alloc(0)), "content 0 of 32 bytes 0");
  t.equal(refusalOf(changed(0, 0)), "content no snapshot 0");
  t.equal(refusalOf(changed(4, 2)), "version version 2, known is 1 4");
  t.equal(refusalOf(changed(48, 99)), "content no whole record 48", "a kind of a later version");
  t.equal(refusalOf(changed(50, 3)), "content no whole record 48", "shorter than any");
  t.equal(refusalOf(changed(50, 255)), "content no whole record 303", "where the next one is none");
  t.match(refusalOf(changed(35, 1)), /^content \d+ bytes at once 32$/);
  t.equal(refusalOf(header), undefined, "nothing is something");
});

t.test("every length is refused but those that end with a chunk", async (t) => {
  const ends = [header.length, header.length + 16 + records.length, whole.length];
  for (let length = 0; length < whole.length; length++) {
    const refused = refusalOf(whole.subarray(0, length)) !== undefined;
    if (refused === ends.includes(length)) t.fail(`${length} bytes`);
  }
  t.equal(records[0], SavedKind.Begin);
});
