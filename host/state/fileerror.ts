/** What is wrong with a file of the state directory: never the same as a file that is not there. */

import { messageOf } from "../errortext.js";

/**
 * - `torn`: shorter than it says it is, as a write leaves it that was cut off
 * - `damaged`: not what was written
 * - `foreign`: not written by crosszone, or no regular file
 * - `version`: of a format that this version does not know
 * - `kind`: written by crosszone as something else
 * - `content`: whole, and still not what its kind has
 * - `large`: longer than its kind may be
 * - `exposed`: others may read it, and it has secrets
 * - `unreadable`: the system refuses it
 */
export type FileFault =
  | "torn"
  | "damaged"
  | "foreign"
  | "version"
  | "kind"
  | "content"
  | "large"
  | "exposed"
  | "unreadable";

/** `/var/lib/crosszone/revisions/00000017.revision: torn: 100 of 2000 bytes` */
export class StateFileError extends Error {
  override readonly name = "StateFileError";

  constructor(
    readonly path: string,
    readonly fault: FileFault,
    readonly detail: string,
  ) {
    super(`${path}: ${fault}: ${detail}`);
  }
}

/** A write that failed. What stood there before still stands there, unless `isVisible`. */
export class StateWriteError extends Error {
  override readonly name = "StateWriteError";

  constructor(
    readonly path: string,
    override readonly cause: unknown,
    /** The new content is in its place, and may be gone after a loss of power. */
    readonly isVisible: boolean,
  ) {
    super(`${path}: cannot be written: ${messageOf(cause)}`);
  }
}

/** Somebody else has the state directory. */
export class HeldError extends Error {
  override readonly name = "HeldError";

  constructor(
    readonly path: string,
    /** Undefined where the lock does not say. */
    readonly pid: number | undefined,
  ) {
    super(`${path}: in use by ${pid === undefined ? "another process" : `process ${pid}`}`);
  }
}
