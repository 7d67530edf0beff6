/**
 * The files of all revisions that are kept, and what is known of each without its text. Decides nothing:
 * revisions.ts says what is in force and what may go.
 */

import { messageOf } from "../errortext.js";
import { StateFileError } from "./fileerror.js";
import { digestOf, type Folder } from "./files.js";
import {
  type About,
  decodeOutcome,
  decodeRevision,
  encodeOutcome,
  encodeRevision,
  type FileOf,
  nameOf,
  OUTCOME_BYTES,
  type Outcome,
  REVISION_BYTES,
  readName,
  StateLimit,
  type StoredRevision,
} from "./record.js";

/** A revision that has a file. */
export interface Entry {
  readonly number: number;
  /** Undefined where its file is damaged or gone. */
  readonly about: About | undefined;
  /** SHA-256 of its file's content, "" where that is damaged. */
  readonly digest: string;
  /** Of its file's content. */
  readonly bytes: number;
  /** Undefined: begun, and nothing more is known. */
  outcome: Outcome | undefined;
  /** What is wrong with its files. */
  readonly damage: StateFileError | undefined;
}

export class Archive {
  private readonly byNumber = new Map<number, Entry>();

  private constructor(private readonly folder: Folder) {}

  /** Reads and checks every file. */
  static load(folder: Folder): Archive {
    const archive = new Archive(folder);
    const files = new Map<number, Set<FileOf>>();
    for (const name of folder.names()) {
      const known = readName(name);
      if (known === undefined) continue;
      const present = files.get(known.number) ?? new Set();
      files.set(known.number, present.add(known.file));
    }
    for (const number of [...files.keys()].sort((one, other) => one - other)) {
      archive.byNumber.set(number, archive.loadEntry(number));
    }
    return archive;
  }

  /** Ascending by number. */
  get entries(): readonly Entry[] {
    return [...this.byNumber.values()];
  }

  entry(number: number): Entry | undefined {
    return this.byNumber.get(number);
  }

  get lastNumber(): number {
    let last = 0;
    for (const number of this.byNumber.keys()) last = Math.max(last, number);
    return last;
  }

  /** A revision with its text, read and checked again. */
  read(number: number): StoredRevision {
    const stored = this.decoded(number, "revision", REVISION_BYTES, decodeRevision);
    const path = this.folder.pathOf(nameOf(number, "revision"));
    if (stored === undefined) throw new StateFileError(path, "torn", "gone");
    if (stored.digest !== this.byNumber.get(number)?.digest) {
      throw new StateFileError(path, "damaged", "not what it was");
    }
    return stored;
  }

  /**
   * Writes a revision that is begun.
   * @throws StateWriteError and then nothing is kept of it
   */
  add(about: About, text: string): Entry {
    const { number } = about;
    const content = encodeRevision(about, text);
    const name = nameOf(number, "revision");
    try {
      this.folder.write(name, "revision", content);
    } catch (error) {
      this.tryRemove(name);
      throw error;
    }
    const entry: Entry = {
      number,
      about,
      digest: digestOf(content),
      bytes: content.length,
      outcome: undefined,
      damage: undefined,
    };
    this.byNumber.set(number, entry);
    return entry;
  }

  /**
   * Writes what became of a revision.
   * @throws StateWriteError and then it has no outcome; where that could not be made sure, `isVisible`
   */
  settle(entry: Entry, outcome: Omit<Outcome, "number" | "revision">): void {
    const { number } = entry;
    const whole: Outcome = {
      number,
      revision: entry.digest,
      ...outcome,
      why: outcome.why.slice(0, StateLimit.Why),
    };
    this.folder.write(nameOf(number, "outcome"), "outcome", encodeOutcome(whole));
    entry.outcome = whole;
  }

  /** Takes an outcome back whose writing failed when it was visible already. True when it is gone. */
  unsettle(entry: Entry): boolean {
    return this.tryRemove(nameOf(entry.number, "outcome"));
  }

  /** Forgets a revision. Its text goes first: an outcome alone is never run. */
  remove(number: number): void {
    this.folder.remove(nameOf(number, "revision"));
    this.folder.remove(nameOf(number, "outcome"));
    this.byNumber.delete(number);
  }

  private loadEntry(number: number): Entry {
    let damage: StateFileError | undefined;
    const note = (error: unknown): undefined => {
      if (!(error instanceof StateFileError)) throw error;
      damage ??= error;
    };
    let revision: StoredRevision | undefined;
    let outcome: Outcome | undefined;
    let bytes = 0;
    try {
      revision = this.decoded(number, "revision", REVISION_BYTES, (_, content) => {
        bytes = content.length;
        return decodeRevision(number, content);
      });
      if (revision === undefined) note(this.fault(number, "revision", "torn", "gone"));
    } catch (error) {
      note(error);
    }
    try {
      outcome = this.decoded(number, "outcome", OUTCOME_BYTES, decodeOutcome);
      if (outcome !== undefined && revision !== undefined && outcome.revision !== revision.digest) {
        note(this.fault(number, "outcome", "content", "of another revision with this number"));
      }
    } catch (error) {
      note(error);
    }
    const { about, digest = "" } = revision ?? {};
    return { number, about, digest, bytes, outcome, damage };
  }

  private decoded<T>(
    number: number,
    file: FileOf,
    bytesMax: number,
    decode: (number: number, content: Uint8Array) => T,
  ): T | undefined {
    const content = this.folder.read(nameOf(number, file), { kind: file, bytesMax });
    if (content === undefined) return undefined;
    try {
      return decode(number, content);
    } catch (error) {
      const detail = messageOf(error);
      throw this.fault(number, file, "content", detail);
    }
  }

  private fault(
    number: number,
    file: FileOf,
    fault: StateFileError["fault"],
    detail: string,
  ): StateFileError {
    return new StateFileError(this.folder.pathOf(nameOf(number, file)), fault, detail);
  }

  private tryRemove(name: string): boolean {
    try {
      this.folder.remove(name);
      return true;
    } catch {
      return false;
    }
  }
}
