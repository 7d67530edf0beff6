/** What the router says of itself: written to standard error as far as its level asks for it, and the last lines kept. */

import { EventEmitter } from "node:events";
import { redact } from "../state/secret.js";
import { LEVELS, type Level } from "./protocol/status.js";

/** Lines that are kept. */
const KEPT = 200;

/** Characters of a line: what a client sent may stand in it. */
const LINE_CHARS = 2000;

export interface Line {
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly text: string;
}

interface Events {
  /** One that an operator should hear of. */
  line: [line: Line];
}

/** Characters that move a terminal's cursor, or hide what stands there; lines end where we end them. */
const UNPRINTABLE = /(?!\n)[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu;

function plain(text: string): string {
  return text.replace(UNPRINTABLE, "\ufffd");
}

export class Logbook extends EventEmitter<Events> {
  level: Level = "info";
  private readonly kept: Line[] = [];

  constructor(
    private readonly write: (text: string) => void,
    private readonly wall: () => number,
  ) {
    super();
    // Every session may listen.
    this.setMaxListeners(0);
  }

  /** The oldest first: of `error` and `notice`, whatever the level. */
  get lines(): readonly Line[] {
    return this.kept;
  }

  error(text: string): void {
    this.tell("error", text);
  }

  /** What an operator should know. */
  notice(text: string): void {
    this.tell("notice", text);
  }

  info(text: string): void {
    this.tell("info", text);
  }

  debug(text: string): void {
    this.tell("debug", text);
  }

  private tell(level: Level, text: string): void {
    const isWritten = LEVELS.indexOf(level) <= LEVELS.indexOf(this.level);
    const isKept = level === "error" || level === "notice";
    if (!isWritten && !isKept) return;
    const clean = plain(redact(text)).slice(0, LINE_CHARS);
    if (isWritten) this.write(clean);
    if (!isKept) return;
    const line = { time: this.wall(), text: clean };
    this.kept.push(line);
    if (this.kept.length > KEPT) this.kept.shift();
    this.emit("line", line);
  }
}
