/**
 * The two files of a revision, each written once and never again:
 *
 *     00000018.revision   a line of JSON about it, then the configuration's text as the user wrote it
 *     00000018.outcome    a line of JSON: what became of it
 *
 * A revision is fit to run after a restart when both are whole and the outcome says `confirmed`. Without an outcome
 * it was begun and never confirmed.
 */

import * as v from "valibot";
import { digestOf } from "./files.js";

/** Bounds of what is kept. */
export enum StateLimit {
  /** Revisions, besides the two that were confirmed last. */
  Kept = 20,
  /** Bytes of all their files; the oldest go first. */
  KeptBytes = 64 * 1024 * 1024,
  /** Bytes of a configuration's text in UTF-8. */
  TextBytes = 16 * 1024 * 1024,
  /** Characters. */
  Note = 1024,
  Who = 256,
  Connection = 256,
  Why = 1024,
  /** Seconds within which a revision can be asked to be confirmed: a day. */
  ConfirmSec = 86_400,
}

/** Bytes of the line of JSON: every character of note and who may take six, and there is the rest. */
const LINE_BYTES = 16 * 1024;

export const REVISION_BYTES = StateLimit.TextBytes + LINE_BYTES;
export const OUTCOME_BYTES = LINE_BYTES;

const WholeNumber = v.pipe(v.number(), v.integer(), v.minValue(0));
const Ordinal = v.pipe(v.number(), v.integer(), v.minValue(1));

const AboutSchema = v.strictObject({
  /** Ascending from 1, for ever; one that was begun is never used again. */
  number: Ordinal,
  /** The revision in force when it was begun, 0 for none. */
  base: WholeNumber,
  /** Milliseconds since 1970. */
  time: v.number(),
  who: v.string(),
  note: v.string(),
  /** Null: it counts as confirmed when it is in force. */
  confirmWithinSec: v.nullable(Ordinal),
  /** The revision whose text it has again, if it was made by rolling back. */
  restores: v.nullable(Ordinal),
});

const OutcomeSchema = v.strictObject({
  number: Ordinal,
  /** SHA-256 of the content of the revision's file: an outcome cannot be taken for another's. */
  revision: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
  /** `abandoned`: the forwarder refused it. `rolled-back`: it was in force and is not any more. */
  state: v.picklist(["confirmed", "rolled-back", "abandoned"]),
  time: v.number(),
  who: v.string(),
  why: v.string(),
});

export type About = Readonly<v.InferOutput<typeof AboutSchema>>;
export type Outcome = Readonly<v.InferOutput<typeof OutcomeSchema>>;

export interface StoredRevision {
  readonly about: About;
  readonly text: string;
  /** SHA-256 of the file's content. */
  readonly digest: string;
}

const NAME = /^([0-9]{8,15})\.(revision|outcome)$/;

export type FileOf = "revision" | "outcome";

export function nameOf(number: number, file: FileOf): string {
  return `${String(number).padStart(8, "0")}.${file}`;
}

/** Undefined for a name that `nameOf` does not make. */
export function readName(name: string): { number: number; file: FileOf } | undefined {
  const [, digits, file] = NAME.exec(name) ?? [];
  const number = Number(digits);
  if (file !== "revision" && file !== "outcome") return undefined;
  return number >= 1 && nameOf(number, file) === name ? { number, file } : undefined;
}

export function encodeRevision(about: About, text: string): Uint8Array {
  return Buffer.from(`${JSON.stringify(about)}\n${text}`, "utf8");
}

/** Throws an Error that says what is wrong with it. */
export function decodeRevision(number: number, content: Uint8Array): StoredRevision {
  const lineEnd = content.indexOf(0x0a);
  if (lineEnd < 0) throw new Error("no line about the revision");
  const about = readLine(AboutSchema, number, content.subarray(0, lineEnd));
  return { about, text: utf8(content.subarray(lineEnd + 1)), digest: digestOf(content) };
}

export function encodeOutcome(outcome: Outcome): Uint8Array {
  return Buffer.from(`${JSON.stringify(outcome)}\n`, "utf8");
}

/** Throws an Error that says what is wrong with it. */
export function decodeOutcome(number: number, content: Uint8Array): Outcome {
  return readLine(OutcomeSchema, number, content);
}

function readLine<S extends typeof AboutSchema | typeof OutcomeSchema>(
  schema: S,
  number: number,
  bytes: Uint8Array,
): v.InferOutput<S> {
  const result = v.safeParse(schema, JSON.parse(utf8(bytes)));
  if (!result.success) {
    const [issue] = result.issues;
    throw new Error(`${v.getDotPath(issue) ?? "the line"}: ${issue.message}`);
  }
  if (result.output.number !== number) throw new Error(`it is revision ${result.output.number}`);
  return result.output;
}

/** As it is: a byte order mark stays, and what is no UTF-8 is an error. */
function utf8(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
}
