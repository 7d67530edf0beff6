/**
 * A program that is killed: `snapshotdriver DIR FIRST [careless]` writes one snapshot after the other into DIR, numbered from
 * FIRST on, and says when it begins and when it has finished each. Now and then it uses one in between.
 */

import { closeSync, openSync, writeSync } from "node:fs";
import { type Disk, systemDisk } from "../../host/state/disk.js";
import { StateDirectory } from "../../host/state/files.js";
import { SnapshotFile } from "../../host/state/snapshotfile.js";

/** Writes under the name itself: what a temporary name is there to avoid. */
const carelessDisk: Disk = {
  ...systemDisk,
  create(temporary) {
    const fd = openSync(temporary.replace(/\.([^/]+)\.tmp$/, "$1"), "w", 0o600);
    return {
      write: (bytes) => void writeSync(fd, bytes),
      rewrite: (bytes) => void writeSync(fd, bytes, 0, bytes.length, 0),
      sync: () => {},
      close: () => closeSync(fd),
    };
  },
  rename: () => {},
};

/** The content of a snapshot, in pieces: from 100 kB to 2 MB, and its number throughout. */
export function* contentOf(number: number): Generator<Uint8Array> {
  const piece = Buffer.from(`${number},`.repeat(5000));
  for (let i = 0; i < 4 + (number % 60); i++) yield piece;
}

function main(): void {
  const [path = "", first = "", careless] = process.argv.slice(2);
  const say = (line: string) => void writeSync(1, `${line}\n`);
  const disk = careless === undefined ? systemDisk : carelessDisk;
  const file = new SnapshotFile(StateDirectory.hold(path, disk).folder);
  for (let number = Number(first); ; number++) {
    say(`begin ${number}`);
    const writer = file.begin();
    for (const piece of contentOf(number)) writer.write(piece);
    writer.finish();
    say(`end ${number}`);
    const found = number % 3 === 0 ? file.find() : undefined;
    if (found !== undefined) file.use(found);
    found?.close();
  }
}

if (process.argv[1]?.endsWith("snapshotdriver.js")) main();
