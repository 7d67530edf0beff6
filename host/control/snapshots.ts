/**
 * From one process to the next: what the one before saved is found and restored, what this one has is saved every now and
 * then, and once more when it stops. Nothing of this ends the forwarding: what goes wrong is told.
 */

import { messageOf } from "../errortext.js";
import type { Forwarder } from "../forwarder.js";
import type { Fates, RestoreReport } from "../handover.js";
import { Snapshot, SnapshotRefused } from "../snapshot.js";
import type { Folder } from "../state/files.js";
import { type FoundSnapshot, SnapshotFile, type SnapshotWriter } from "../state/snapshotfile.js";

export class Snapshots {
  private readonly file: SnapshotFile;
  private found: FoundSnapshot | undefined;
  private timer: NodeJS.Timeout | undefined;
  private isSaving = false;

  /**
   * @param folder  the state directory, which is held
   * @param seconds  from one snapshot to the next, 0 for none but the last
   * @param log  is told what an operator should know, a line at a time
   */
  constructor(
    folder: Folder,
    private readonly seconds: number,
    private readonly log: (line: string) => void,
  ) {
    this.file = new SnapshotFile(folder);
  }

  /** What a forwarder is to restore at its start; undefined where there is nothing, or nothing whole. */
  find(): Snapshot | undefined {
    try {
      const found = this.file.find();
      if (found === undefined) return undefined;
      const snapshot = this.read(found);
      this.found = found;
      return snapshot;
    } catch (error) {
      this.log(`${messageOf(error)}; nothing is restored`);
      return undefined;
    }
  }

  private read(found: FoundSnapshot): Snapshot {
    try {
      return Snapshot.read(() => found.pieces(), found.isUsed);
    } catch (error) {
      found.close();
      if (!(error instanceof SnapshotRefused)) throw error;
      const { fault, detail, at } = error;
      throw this.file.refuse(found, fault, `${detail}, at byte ${at} of its content`);
    }
  }

  /** What was found could not be restored: the next start must not fail by it. */
  refuse(why: string): void {
    const { found } = this;
    if (found === undefined) return;
    found.close();
    this.found = undefined;
    this.attempt(() => {
      throw this.file.refuse(found, "content", `${why}; nothing is restored`);
    });
  }

  /** All of what was found is restored, and nothing has been forwarded since. */
  restored(): void {
    const { found, file } = this;
    if (found !== undefined) this.attempt(() => file.use(found));
  }

  /** The forwarder has started: tells what became of what was found, and saves from now on. */
  begin(forwarder: Forwarder): void {
    this.found?.close();
    this.found = undefined;
    if (forwarder.restored !== undefined) this.log(describeRestored(forwarder.restored));
    if (this.seconds === 0) {
      // Nothing new comes before the end: what there is would only get older.
      this.attempt(() => this.file.forget());
      return;
    }
    this.timer = setInterval(() => void this.save(forwarder, false), this.seconds * 1000);
  }

  /** For the last time, before the forwarder is stopped: it forwards nothing any more. Undefined where it has failed. */
  async end(forwarder: Forwarder | undefined): Promise<void> {
    clearInterval(this.timer);
    if (forwarder !== undefined) await this.save(forwarder, true);
  }

  private async save(forwarder: Forwarder, halt: boolean): Promise<void> {
    // One that takes longer than from one to the next goes on, but the last one waits for it.
    if (this.isSaving && !halt) return;
    this.isSaving = true;
    let writer: SnapshotWriter | undefined;
    try {
      await forwarder.save(
        (bytes) => {
          writer ??= this.file.begin();
          writer.write(bytes);
        },
        { halt },
      );
      writer?.finish();
    } catch (error) {
      writer?.abandon();
      this.log(`no snapshot: ${messageOf(error)}`);
    } finally {
      this.isSaving = false;
    }
  }

  private attempt(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.log(messageOf(error));
    }
  }
}

/** `restored 1200 conns (expired 3, refused 1), 4 grants, 20 ports, 2.1 s after they were saved, in 12 ms` */
export function describeRestored(report: RestoreReport): string {
  const { conns, grants, ports, ageMs, tookMs } = report;
  const parts = [
    describeFates(conns, "conns"),
    describeFates(grants, "grants"),
    describeFates(ports, "resting ports"),
  ];
  const age = `${(ageMs / 1000).toFixed(1)} s after they were saved`;
  return `restored ${parts.join(", ")}, ${age}, in ${tookMs} ms`;
}

function describeFates({ Restored = 0, ...others }: Fates, what: string): string {
  const left = Object.entries(others).map(([fate, count]) => `${wordsOf(fate)} ${count}`);
  return `${Restored} ${what}${left.length > 0 ? ` (${left.join(", ")})` : ""}`;
}

/** `PortTaken` → `port taken` */
function wordsOf(fate: string): string {
  return fate.replace(/[A-Z]/g, (letter, at) => `${at > 0 ? " " : ""}${letter.toLowerCase()}`);
}
