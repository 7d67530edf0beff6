/**
 * The configurations of a router as transactions. Knows no network: the caller switches the forwarder, the store
 * says to what, and what has to be true before and after (docs/adr/0025-revisions.md).
 *
 *     begin ──▶ begun ──commit──▶ confirmed                     without a time to confirm
 *                 │     commit──▶ pending ──confirm──▶ confirmed
 *              abandon               └──beginReturn, commit──▶ rolled-back
 *                 ▼                  └──the process ends────▶ rolled-back, at the next open
 *             abandoned
 *
 * One change at a time; no other begins while one is pending. `current` is what the forwarder runs: the
 * pending revision, else the one confirmed last. After a restart it is always the one confirmed last whose files
 * are whole. Revisions are written once and keep their number; rolling back to an older one makes a new one
 * with its text.
 *
 * Not more than one process: who opens a store holds the StateDirectory. Time is an argument; the timer that
 * calls `expire` is the caller's.
 */

import { messageOf } from "../errortext.js";
import { Archive, type Entry } from "./archive.js";
import { canonicalText } from "./canonical.js";
import { Change, Diverged, type SwitchTo, type Target } from "./change.js";
import { Deadline, type Due, type Now } from "./deadline.js";
import { type Diff, diffTexts } from "./diff.js";
import { StateFileError, StateWriteError } from "./fileerror.js";
import type { StateDirectory } from "./files.js";
import { infoOf, type Revision, type RevisionInfo } from "./info.js";
import { expendable, halfPruned, newestConfirmed } from "./keeping.js";
import { type Outcome, StateLimit } from "./record.js";
import {
  Busy,
  NothingPending,
  NothingToReturnTo,
  PendingOpen,
  SameConnection,
  StaleBase,
  StorageFailed,
  TooLate,
  Unchanged,
  UnknownRevision,
  UnusableRevision,
} from "./refusal.js";
import {
  type ApplyRequest,
  type ConfirmRequest,
  checkCommon,
  checkMoment,
  checkText,
  checkWords,
  type RollbackRequest,
} from "./request.js";

export type { Revision, RevisionInfo } from "./info.js";

interface Pending {
  readonly entry: Entry;
  readonly text: string;
  readonly deadline: Deadline;
  /** By which it was applied, and from when on another one proves something: `Now.monotonicMs`. */
  readonly connection: string;
  readonly sinceMs: number;
}

interface InForce {
  readonly entry: Entry;
  readonly text: string;
}

type Words = Pick<Outcome, "who" | "why">;

/** Who rolls back what nobody confirmed. */
const NOBODY = "crosszone";

export class Store {
  private confirmed: InForce | undefined;
  private waiting: Pending | undefined;
  /** The number of the change on its way. */
  private changing: number | undefined;
  private lastNumber: number;
  /** Why nothing can be relied on that is on the disk. */
  private failure: unknown;
  /** The canonical text of `confirmed`, made when it is first asked for. */
  private canonical: { readonly of: InForce; readonly text: string } | undefined;

  /**
   * What was wrong when the store was opened, and what follows from it, a sentence each: damaged files, a
   * revision that was pending when the process ended.
   */
  readonly notices: readonly string[];

  private constructor(
    private readonly archive: Archive,
    now: Now,
  ) {
    this.lastNumber = archive.lastNumber;
    const entry = newestConfirmed(archive.entries);
    if (entry !== undefined) this.confirmed = { entry, text: archive.read(entry.number).text };
    for (const number of halfPruned(this.archive.entries, this.currentNumber)) {
      this.tryRemove(number);
    }
    this.prune();
    this.notices = [...this.rollBackInterrupted(now), ...this.damages()];
  }

  /**
   * Reads and checks all that is kept. A damaged file is a notice; only a directory that cannot be read is
   * an error.
   */
  static open(directory: StateDirectory, now: Now): Store {
    checkMoment(now);
    const folder = directory.folder.folder("revisions");
    folder.sweep();
    return new Store(Archive.load(folder), now);
  }

  /** What the forwarder runs, or is to run after the start; undefined before the first configuration. */
  get current(): Revision | undefined {
    const inForce = this.waiting ?? this.confirmed;
    return inForce === undefined ? undefined : this.revision(inForce.entry, inForce.text);
  }

  /** What would run after a restart. */
  get lastConfirmed(): Revision | undefined {
    const { confirmed } = this;
    return confirmed === undefined ? undefined : this.revision(confirmed.entry, confirmed.text);
  }

  /** When the pending revision is rolled back; undefined when none is pending. */
  get deadline(): Now | undefined {
    return this.waiting?.deadline;
  }

  /** Whether the pending revision is to be rolled back now; undefined when none is pending. */
  due(now: Now): Due | undefined {
    return this.waiting?.deadline.look(now);
  }

  // Changes, done by the store in the right order.

  /**
   * Puts a configuration in force: refuses, or begins, switches, and writes down that it did.
   * @throws Refusal, or what `switchTo` throws; then what was in force is in force. Diverged: it is not
   */
  async apply(request: ApplyRequest, clock: () => Now, switchTo: SwitchTo): Promise<Revision> {
    return await this.carryOut(this.begin(request, clock()), clock, switchTo);
  }

  /** As `apply`, with the text of an older revision; of the pending one it takes back what is pending. */
  async rollback(
    request: RollbackRequest,
    clock: () => Now,
    switchTo: SwitchTo,
  ): Promise<Revision> {
    return await this.carryOut(this.beginRollback(request, clock()), clock, switchTo);
  }

  /**
   * Takes the pending revision back, whatever its time.
   * @throws Refusal, or what `switchTo` throws; then it is still pending
   */
  async takeBack(words: Words, clock: () => Now, switchTo: SwitchTo): Promise<Revision> {
    return await this.carryOut(this.beginReturn(words), clock, switchTo);
  }

  /**
   * Rolls the pending revision back if its time is over; resolves with what is in force then, or with undefined
   * when nothing was due. When `switchTo` rejects it is still pending and still due.
   */
  async expire(clock: () => Now, switchTo: SwitchTo): Promise<Revision | undefined> {
    const isDue = this.waiting?.deadline.isOver(clock()) ?? false;
    if (!isDue || this.changing !== undefined) return undefined;
    const words = { who: NOBODY, why: "not confirmed in time" };
    return await this.carryOut(this.beginReturn(words), clock, switchTo);
  }

  private async carryOut(change: Change, clock: () => Now, switchTo: SwitchTo): Promise<Revision> {
    const { number, text } = change;
    try {
      await switchTo({ number, text });
    } catch (error) {
      change.abandon(messageOf(error), clock());
      throw error;
    }
    try {
      change.commit(clock());
    } catch (error) {
      this.changing = number;
      try {
        await this.switchBack(number, switchTo);
      } finally {
        this.changing = undefined;
      }
      throw error;
    }
    return this.known(this.current);
  }

  /** A switch that was done cannot be written down. */
  private async switchBack(running: number, switchTo: SwitchTo): Promise<void> {
    const back = this.current;
    // The first configuration of all: there is nothing else that could run.
    if (back === undefined) return;
    const target: Target = { number: back.number, text: back.text };
    try {
      await switchTo(target);
    } catch (error) {
      throw new Diverged(running, back.number, error);
    }
  }

  // Changes, step by step.

  /** Whether `begin` would refuse it now: nothing is written. */
  examine(request: ApplyRequest): void {
    this.refuseBusy("base");
    this.refuseBase(request.base);
    checkCommon(request);
    checkText(request.text);
    this.refuseUnreturnable(request.confirmWithinSec);
    this.refuseUnchanged("config", request.text);
  }

  /**
   * Writes a revision down that is to be switched to.
   * @throws Refusal
   */
  begin(request: ApplyRequest, now: Now): Change {
    checkMoment(now);
    this.examine(request);
    return this.beginRevision(request, now, null);
  }

  /** @throws Refusal */
  beginRollback(request: RollbackRequest, now: Now): Change {
    checkMoment(now);
    this.refuseBusy("to");
    if (request.base !== undefined && request.base !== this.currentNumber) {
      throw new StaleBase(request.base, this.currentNumber);
    }
    checkCommon(request);
    if (this.waiting !== undefined && request.to === this.confirmed?.entry.number) {
      return this.beginReturn({ who: request.who, why: request.note || "rolled back" });
    }
    const text = this.get(request.to, "to").text;
    if (this.waiting !== undefined) throw new PendingOpen("to", this.waiting.entry.number);
    this.refuseUnreturnable(request.confirmWithinSec);
    this.refuseUnchanged("to", text);
    return this.beginRevision({ ...request, base: this.currentNumber, text }, now, request.to);
  }

  private beginRevision(request: ApplyRequest, now: Now, restores: number | null): Change {
    const { base, text, who, note, confirmWithinSec } = request;
    const number = ++this.lastNumber;
    const about = { number, base, time: now.wallMs, who, note, restores };
    let entry: Entry;
    try {
      entry = this.archive.add({ ...about, confirmWithinSec: confirmWithinSec ?? null }, text);
    } catch (error) {
      if (!(error instanceof StateWriteError)) throw error;
      throw new StorageFailed(error.message, error);
    }
    this.changing = number;
    const { connection } = request;
    return new Change(number, text, {
      commit: (now) => {
        this.changing = undefined;
        if (confirmWithinSec === undefined) {
          this.commitConfirmed(entry, text, now, who);
          return;
        }
        const deadline = new Deadline(now, confirmWithinSec);
        this.waiting = { entry, text, deadline, connection, sinceMs: now.monotonicMs };
      },
      abandon: (why, now) => {
        this.changing = undefined;
        this.trySettle(entry, { state: "abandoned", time: now.wallMs, who: NOBODY, why });
        this.prune();
      },
    });
  }

  private commitConfirmed(entry: Entry, text: string, now: Now, who: string): void {
    try {
      this.settleConfirmed(entry, text, now, { who, why: "applied without a time to confirm" });
    } catch (error) {
      // Also over an outcome that may have become visible.
      const words = { who: NOBODY, why: messageOf(error) };
      if (this.trySettle(entry, { state: "abandoned", time: now.wallMs, ...words })) {
        this.failure = undefined;
      }
      throw error;
    }
  }

  /** Takes the pending revision back: the change leads to the one confirmed last. */
  beginReturn(words: Words): Change {
    // Also where the disk cannot be relied on: nothing has to be written for it.
    if (this.changing !== undefined) throw new Busy("revision", this.changing);
    const { waiting, confirmed } = this;
    if (waiting === undefined) throw new NothingPending(this.currentNumber, undefined);
    if (confirmed === undefined) throw new NothingToReturnTo("revision");
    this.changing = confirmed.entry.number;
    return new Change(confirmed.entry.number, confirmed.text, {
      commit: (now) => {
        this.changing = undefined;
        this.waiting = undefined;
        // If this cannot be written the next start says the same.
        this.trySettle(waiting.entry, { state: "rolled-back", time: now.wallMs, ...words });
        this.prune();
      },
      abandon: () => {
        this.changing = undefined;
      },
    });
  }

  /**
   * The pending revision is to stay. When this returns it survives a restart.
   * @throws Refusal
   */
  confirm({ revision, connection, who }: ConfirmRequest, now: Now): Revision {
    checkMoment(now);
    this.refuseBusy("revision");
    checkWords("who", who, StateLimit.Who);
    const { waiting } = this;
    if (waiting?.entry.number !== revision) {
      this.knownEntry(revision, "revision");
      throw new NothingPending(revision, waiting?.entry.number);
    }
    const lateMs = now.monotonicMs - waiting.deadline.monotonicMs;
    if (lateMs >= 0) throw new TooLate(revision, lateMs);
    if (connection.id === waiting.connection || connection.openedMs < waiting.sinceMs) {
      throw new SameConnection(revision);
    }
    this.settleConfirmed(waiting.entry, waiting.text, now, { who, why: "confirmed" });
    this.waiting = undefined;
    return this.known(this.current);
  }

  // What there is.

  /** All that are kept, the oldest first. */
  history(): RevisionInfo[] {
    return this.archive.entries.map((entry) => this.info(entry));
  }

  /** @throws UnknownRevision, UnusableRevision; `path` is the argument that they blame */
  get(number: number, path = "revision"): Revision {
    const entry = this.knownEntry(number, path);
    for (const inForce of [this.waiting, this.confirmed]) {
      if (inForce?.entry === entry) return this.revision(entry, inForce.text);
    }
    try {
      return this.revision(entry, this.archive.read(number).text);
    } catch (error) {
      if (!(error instanceof StateFileError)) throw error;
      throw new UnusableRevision(path, number, error.message);
    }
  }

  /** @throws UnknownRevision, UnusableRevision */
  diff(from: number, to: number): Diff {
    return diffTexts(this.get(from, "from").text, this.get(to, "to").text);
  }

  private knownEntry(number: number, path: string): Entry {
    const entry = this.archive.entry(number);
    if (entry !== undefined) return entry;
    const kept = this.archive.entries.map((each) => each.number);
    throw new UnknownRevision(path, number, kept);
  }

  private get currentNumber(): number {
    return (this.waiting ?? this.confirmed)?.entry.number ?? 0;
  }

  private info(entry: Entry): RevisionInfo {
    const { number, outcome } = entry;
    return infoOf(entry, {
      isInForce: number === this.currentNumber,
      isBegun: number === this.changing && outcome === undefined,
      deadlineMs: entry === this.waiting?.entry ? this.waiting.deadline.wallMs : undefined,
    });
  }

  private revision(entry: Entry, text: string): Revision {
    return { ...this.info(entry), text };
  }

  private known(revision: Revision | undefined): Revision {
    if (revision === undefined) throw new Error("no revision is in force");
    return revision;
  }

  // Reasons to refuse.

  private refuseBusy(path: string): void {
    if (this.failure !== undefined) {
      const message =
        "an earlier write failed half-way: what is on the disk is known after a restart";
      throw new StorageFailed(message, this.failure);
    }
    if (this.changing !== undefined) throw new Busy(path, this.changing);
  }

  private refuseBase(base: number): void {
    if (base !== this.currentNumber) throw new StaleBase(base, this.currentNumber);
    if (this.waiting !== undefined) throw new PendingOpen("base", this.waiting.entry.number);
  }

  private refuseUnreturnable(confirmWithinSec: number | undefined): void {
    if (confirmWithinSec === undefined || this.confirmed !== undefined) return;
    throw new NothingToReturnTo("confirmWithinSec");
  }

  private refuseUnchanged(path: string, text: string): void {
    const { confirmed } = this;
    if (confirmed === undefined) return;
    if (this.canonical?.of !== confirmed) {
      this.canonical = { of: confirmed, text: canonicalText(confirmed.text) };
    }
    if (text !== confirmed.text && canonicalText(text) !== this.canonical.text) return;
    throw new Unchanged(path, confirmed.entry.number);
  }

  // What is written.

  /** @throws StorageFailed, and then nothing has changed; or nobody knows, and the store refuses all else */
  private settleConfirmed(entry: Entry, text: string, now: Now, words: Words): void {
    try {
      this.archive.settle(entry, { state: "confirmed", time: now.wallMs, ...words });
    } catch (error) {
      if (!(error instanceof StateWriteError)) throw error;
      if (error.isVisible && !this.archive.unsettle(entry)) this.failure = error;
      throw new StorageFailed(error.message, error);
    }
    this.confirmed = { entry, text };
    this.prune();
  }

  /** For what is only told: that a revision without an outcome is not run does not depend on it. */
  private trySettle(entry: Entry, outcome: Omit<Outcome, "number" | "revision">): boolean {
    try {
      this.archive.settle(entry, outcome);
      return true;
    } catch (error) {
      if (!(error instanceof StateWriteError)) throw error;
      const { state, time, who, why } = outcome;
      entry.outcome = { number: entry.number, revision: entry.digest, state, time, who, why };
      return false;
    }
  }

  private rollBackInterrupted(now: Now): string[] {
    const words = { who: NOBODY, why: "the process ended before it was confirmed" };
    const found = this.archive.entries.filter(
      ({ outcome, damage }) => outcome === undefined && damage === undefined,
    );
    for (const entry of found) {
      this.trySettle(entry, { state: "rolled-back", time: now.wallMs, ...words });
    }
    return found.map(({ number }) => `revision ${number}: rolled back: ${words.why}`);
  }

  private damages(): string[] {
    const number = this.currentNumber;
    const damaged = this.archive.entries.filter(({ damage }) => damage !== undefined);
    const told = damaged.map((entry) => `revision ${entry.number}: ${entry.damage?.message}`);
    if (damaged.some((entry) => entry.number > number)) {
      told.push(number === 0 ? "no revision is whole" : `revision ${number} is in force instead`);
    }
    return told;
  }

  /** Forgets what is beyond what is kept. */
  private prune(): void {
    const inForce = [this.waiting?.entry, this.confirmed?.entry];
    for (const number of expendable(this.archive.entries, inForce)) this.tryRemove(number);
  }

  private tryRemove(number: number): void {
    try {
      this.archive.remove(number);
    } catch {
      // The next time.
    }
  }
}
