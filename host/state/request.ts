/** What is asked of the store, and whether it can be meant. */

import type { Now } from "./deadline.js";
import { StateLimit } from "./record.js";
import { Invalid } from "./refusal.js";

/** A connection of the control plane. */
export interface Connection {
  /** Never used for two of them, as long as the process lives. */
  readonly id: string;
  /** When it was opened: `Now.monotonicMs`. */
  readonly openedMs: number;
}

interface Common {
  /** Who is to be named in the history. */
  readonly who: string;
  readonly note: string;
  /** Who applies by a connection may not confirm by the same. */
  readonly connection: string;
  /** Rolled back unless confirmed in this time; undefined: counts as confirmed at once. */
  readonly confirmWithinSec: number | undefined;
}

export interface ApplyRequest extends Common {
  /** The revision that the change was made from: `store.current`'s number, 0 when there is none. */
  readonly base: number;
  /** The configuration's text, which somebody has checked. */
  readonly text: string;
}

export interface RollbackRequest extends Common {
  /** The revision whose text is to be in force again. */
  readonly to: number;
  /** As of `ApplyRequest`; undefined: whatever is in force. */
  readonly base: number | undefined;
}

export interface ConfirmRequest {
  readonly revision: number;
  readonly connection: Connection;
  readonly who: string;
}

/** @throws Invalid */
export function checkCommon({ who, note, connection, confirmWithinSec }: Common): void {
  checkWords("who", who, StateLimit.Who);
  checkWords("note", note, StateLimit.Note);
  checkWords("connection", connection, StateLimit.Connection);
  if (confirmWithinSec === undefined) return;
  const max = StateLimit.ConfirmSec as number;
  if (!Number.isInteger(confirmWithinSec) || confirmWithinSec < 1 || confirmWithinSec > max) {
    throw new Invalid("confirmWithinSec", `seconds, 1 to ${max}`, String(confirmWithinSec));
  }
}

/** @throws Invalid */
export function checkText(text: string): void {
  // A character of UTF-16 is a byte of UTF-8 at least.
  const bytes = text.length > StateLimit.TextBytes ? text.length : Buffer.byteLength(text, "utf8");
  if (bytes > StateLimit.TextBytes) {
    throw new Invalid("config", `at most ${StateLimit.TextBytes} bytes`, `${bytes}`);
  }
  if (LONE_SURROGATE.test(text)) throw new Invalid("config", "Unicode", "half a character");
}

/** @throws Invalid */
export function checkMoment({ wallMs, monotonicMs }: Now): void {
  if (Number.isFinite(wallMs) && Number.isFinite(monotonicMs)) return;
  throw new Invalid("time", "milliseconds", `${wallMs}, ${monotonicMs}`);
}

const LONE_SURROGATE = /\p{Surrogate}/u;

/** Characters that would move a terminal's cursor, or hide what stands there. */
const UNPRINTABLE = /[\p{Cc}\p{Surrogate}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u;

/** @throws Invalid */
export function checkWords(path: string, text: string, max: number): void {
  if (text.length > max) throw new Invalid(path, `at most ${max} characters`, `${text.length}`);
  if (UNPRINTABLE.test(text)) throw new Invalid(path, "one line of text", "a control character");
}
