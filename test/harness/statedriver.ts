/**
 * A program that is killed: `statedriver DIR SEED NAME [careless]` opens the store in DIR and works on it at random,
 * as fast as it can, until it is. What it does goes to standard output, each line at once.
 */

import { closeSync, openSync, writeSync } from "node:fs";
import { type Disk, systemDisk } from "../../host/state/disk.js";
import { StateDirectory } from "../../host/state/files.js";
import { Store } from "../../host/state/revisions.js";
import { Worker } from "./ledger.js";
import { randomOf } from "./memorydisk.js";

/** Writes under the name itself, in pieces: what `Folder.write` is there to avoid. */
const carelessDisk: Disk = {
  ...systemDisk,
  create(temporary) {
    const fd = openSync(temporary.replace(/\.([^/]+)\.tmp$/, "$1"), "w", 0o600);
    return {
      write(bytes) {
        for (let at = 0; at < bytes.length; at += 4) writeSync(fd, bytes.subarray(at, at + 4));
      },
      rewrite: (bytes) => void writeSync(fd, bytes, 0, bytes.length, 0),
      sync: () => {},
      close: () => closeSync(fd),
    };
  },
  rename: () => {},
};

const [path = "", seed = "", name = "", careless] = process.argv.slice(2);
const say = (line: string) => void writeSync(1, `${line}\n`);
say("opening");
const directory = StateDirectory.hold(path, careless === undefined ? systemDisk : carelessDisk);
const store = Store.open(directory, { wallMs: 1_700_000_000_000, monotonicMs: 0 });
const worker = new Worker(store, randomOf(Number(seed)), name, say);
say("open");
for (;;) worker.act();
