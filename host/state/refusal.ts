/**
 * Why a change of the configuration is refused: a class for each reason, with a code for programs, the path of
 * the argument that is to blame, and what was wrong in words. Nothing has changed when one is thrown.
 */

export type RefusalCode =
  | "stale-base"
  | "pending-open"
  | "nothing-pending"
  | "unchanged"
  | "unknown-revision"
  | "unusable-revision"
  | "same-connection"
  | "too-late"
  | "nothing-to-return-to"
  | "busy"
  | "invalid"
  | "storage";

export abstract class Refusal extends Error {
  abstract readonly code: RefusalCode;

  constructor(
    /** `base`, `config`, `confirmWithinSec`, `note`, `who`, `connection`, `revision` or `to`. */
    readonly path: string,
    message: string,
  ) {
    super(message);
    this.name = new.target.name;
  }
}

/** Somebody else's change came first. */
export class StaleBase extends Refusal {
  readonly code = "stale-base";

  constructor(
    readonly base: number,
    readonly current: number,
  ) {
    super("base", `revision ${base} is not in force any more: revision ${current} is`);
  }
}

export class PendingOpen extends Refusal {
  readonly code = "pending-open";

  constructor(
    path: string,
    readonly pending: number,
  ) {
    super(path, `revision ${pending} waits to be confirmed or rolled back`);
  }
}

export class NothingPending extends Refusal {
  readonly code = "nothing-pending";

  constructor(
    readonly revision: number,
    /** The one that does wait. */
    readonly pending: number | undefined,
  ) {
    const other = pending === undefined ? "nothing does" : `revision ${pending} does`;
    super("revision", `revision ${revision} does not wait to be confirmed: ${other}`);
  }
}

/** The same configuration, white space and the order of keys aside. */
export class Unchanged extends Refusal {
  readonly code = "unchanged";

  constructor(
    path: string,
    readonly current: number,
  ) {
    super(path, `is the configuration of revision ${current}, which is in force`);
  }
}

/** Never there, or no longer kept. */
export class UnknownRevision extends Refusal {
  readonly code = "unknown-revision";

  constructor(
    path: string,
    readonly revision: number,
    kept: readonly number[],
  ) {
    const range =
      kept.length === 0 ? "none is kept" : `kept are ${kept[0]} to ${kept[kept.length - 1]}`;
    super(path, `there is no revision ${revision}: ${range}`);
  }
}

/** Its file is damaged. */
export class UnusableRevision extends Refusal {
  readonly code = "unusable-revision";

  constructor(
    path: string,
    readonly revision: number,
    why: string,
  ) {
    super(path, `revision ${revision} cannot be used: ${why}`);
  }
}

/** A confirmation proves something only if it came by a connection that the new configuration let in. */
export class SameConnection extends Refusal {
  readonly code = "same-connection";

  constructor(readonly revision: number) {
    super(
      "connection",
      `revision ${revision} is confirmed by a connection made after it came into force`,
    );
  }
}

export class TooLate extends Refusal {
  readonly code = "too-late";

  constructor(
    readonly revision: number,
    readonly lateMs: number,
  ) {
    super("revision", `the time to confirm revision ${revision} ended ${Math.ceil(lateMs)} ms ago`);
  }
}

/** There is no confirmed configuration that a first one could be rolled back to. */
export class NothingToReturnTo extends Refusal {
  readonly code = "nothing-to-return-to";

  constructor(path: string) {
    super(path, "there is no confirmed revision to roll back to");
  }
}

/** Another change is on its way to the forwarder. */
export class Busy extends Refusal {
  readonly code = "busy";

  constructor(
    path: string,
    readonly revision: number,
  ) {
    super(path, `revision ${revision} is being switched to`);
  }
}

export class Invalid extends Refusal {
  readonly code = "invalid";

  constructor(path: string, expected: string, found: string) {
    super(path, `expected ${expected}, found ${found}`);
  }
}

/** The disk cannot be relied on; see `cause`. */
export class StorageFailed extends Refusal {
  readonly code = "storage";

  constructor(
    message: string,
    override readonly cause: unknown,
  ) {
    super("config", message);
  }
}
