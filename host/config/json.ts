/**
 * JSON (RFC 8259) with places: an error names line and column, and a key that stands twice in one object
 * is an error (RFC 8259 section 4 leaves it open; the runtime's parser would keep the last in silence).
 */

import { ConfigError, describe, Problems } from "./error.js";

/** Deeper than any configuration, shallower than the stack. */
const DEPTH_MAX = 64;

const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const WORD = /[A-Za-z]+/y;
const SPACE = /[ \t\r\n]*/y;
const WORDS: ReadonlyMap<string, unknown> = new Map<string, unknown>([
  ["true", true],
  ["false", false],
  ["null", null],
]);

/** The value of a JSON text; a ConfigError that names line and column when it is none. */
export function parseJson(text: string, source?: string): unknown {
  return new JsonReader(text, source).document();
}

class JsonReader {
  /** Editors of some systems put a byte order mark in front. */
  private at = 0;
  private readonly problems = new Problems();

  constructor(
    private readonly text: string,
    private readonly source: string | undefined,
  ) {
    if (text.startsWith("\ufeff")) this.at = 1;
  }

  document(): unknown {
    const value = this.value(0);
    if (this.at < this.text.length) this.fail("the end of the document");
    this.problems.throwIfAny(this.source);
    return value;
  }

  /** One value with the white space around it. */
  private value(depth: number): unknown {
    this.take(SPACE);
    if (depth > DEPTH_MAX) this.fail(`at most ${DEPTH_MAX} levels`);
    const value = this.bareValue(depth);
    this.take(SPACE);
    return value;
  }

  private bareValue(depth: number): unknown {
    const next = this.text[this.at];
    if (next === "{") return this.object(depth + 1);
    if (next === "[") return this.array(depth + 1);
    if (next === '"') return this.string();
    const start = this.at;
    const word = this.take(WORD);
    if (WORDS.has(word)) return WORDS.get(word);
    this.at = start;
    const number = this.take(NUMBER);
    return number === "" ? this.fail("a value") : Number(number);
  }

  private object(depth: number): object {
    const value: Record<string, unknown> = {};
    this.at += 1;
    this.take(SPACE);
    if (this.skip("}")) return value;
    do {
      this.take(SPACE);
      const keyAt = this.at;
      if (this.text[keyAt] !== '"') this.fail("a key in double quotes");
      const key = this.string();
      if (Object.hasOwn(value, key)) {
        this.problems.add(this.place(keyAt), "every key once", `${describe(key)} again`);
      }
      this.take(SPACE);
      if (!this.skip(":")) this.fail('":"');
      const member = this.value(depth);
      // Not an assignment: the key may be "__proto__".
      Object.defineProperty(value, key, {
        value: member,
        enumerable: true,
        configurable: true,
        writable: true,
      });
    } while (this.skip(","));
    if (!this.skip("}")) this.fail('"," or "}"');
    return value;
  }

  private array(depth: number): unknown[] {
    const value: unknown[] = [];
    this.at += 1;
    this.take(SPACE);
    if (this.skip("]")) return value;
    do value.push(this.value(depth));
    while (this.skip(","));
    if (!this.skip("]")) this.fail('"," or "]"');
    return value;
  }

  /** The runtime's parser judges what stands between the quotes. */
  private string(): string {
    let end = this.at + 1;
    while (end < this.text.length && this.text[end] !== '"') {
      end += this.text[end] === "\\" ? 2 : 1;
    }
    try {
      const value: unknown = JSON.parse(this.text.slice(this.at, end + 1));
      this.at = end + 1;
      if (typeof value === "string") return value;
    } catch {
      // The place is all there is to say.
    }
    return this.fail("a string that ends on its line, with JSON's escapes");
  }

  /** What the pattern matches here, "" when it does not. */
  private take(pattern: RegExp): string {
    pattern.lastIndex = this.at;
    const match = pattern.exec(this.text)?.[0] ?? "";
    this.at += match.length;
    return match;
  }

  private skip(character: string): boolean {
    if (this.text[this.at] !== character) return false;
    this.at += 1;
    return true;
  }

  private place(at: number): string {
    const before = this.text.slice(0, at);
    const lineStart = before.lastIndexOf("\n") + 1;
    return `line ${before.split("\n").length} column ${at - lineStart + 1}`;
  }

  private fail(expected: string): never {
    const rest = this.text.slice(this.at).match(/^(?:[\w.+-]+|.|\s)/su)?.[0];
    const found = rest === undefined ? "the end of the document" : describe(rest);
    this.problems.add(this.place(this.at), expected, found);
    throw new ConfigError(this.problems.list, this.source);
  }
}
