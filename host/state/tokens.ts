/**
 * Bearer tokens: who may use the control plane, as what. A token is shown once, when it is made; kept is a
 * scrypt hash. Its first eight characters say which one it is, so that a token that is none costs no hash, and one that
 * is costs one, however many there are.
 *
 * A token that was found good is good for a minute without another hash, by its SHA-256 in memory; what is bad
 * is not remembered, and whoever serves requests bounds how often a peer may try. A file that was changed by
 * `crosszone token` counts from the next request on. A file that is damaged, or that others may read, lets nobody in.
 */

import { createHash, timingSafeEqual } from "node:crypto";
import type { Now } from "./deadline.js";
import { Invalid } from "./refusal.js";
import { checkWords } from "./request.js";
import type { Role } from "./role.js";
import { hashOf, matches, SALT_BYTES } from "./scrypt.js";
import { formatToken, idOfToken, redact, TOKEN_BYTES } from "./secret.js";
import { type StoredToken, TokenFile, TokenLimit } from "./tokenfile.js";

/** How long a token that was checked needs no other check. */
const GOOD_MS = 60_000;

/** How often the times of use are written. */
const WRITE_MS = 60_000;

/** Hashes at a time: two of the four threads that Node has for this and for files; and requests that wait for one. */
const PARALLEL = 2;
const WAITING = 32;

/** What is told of a token: nothing secret. */
export interface TokenInfo {
  readonly id: string;
  readonly role: Role;
  readonly name: string;
  /** Milliseconds since 1970; null for never. */
  readonly created: number;
  /** To a minute. */
  readonly lastUsed: number | null;
  readonly expires: number | null;
}

export interface TokenRequest {
  readonly role: Role;
  readonly name: string;
  /** Milliseconds since 1970; null for never. */
  readonly expires: number | null;
}

/** What `add` needs of the system's random source: the token, then the salt. */
export const RANDOM_BYTES = TOKEN_BYTES + SALT_BYTES;

/**
 * - `unknown`: no such token, or none at all
 * - `expired`: it was one
 * - `busy`: too many are being checked; try again
 * - `unavailable`: the file of tokens cannot be read, see `problem`
 */
export type Verdict =
  | { readonly isGood: true; readonly token: TokenInfo }
  | { readonly isGood: false; readonly why: "unknown" | "expired" | "busy" | "unavailable" };

interface Good {
  readonly sum: Buffer;
  /** The hash that it was checked against. */
  readonly hash: string;
  readonly untilMs: number;
}

export class UnknownToken extends Error {
  override readonly name = "UnknownToken";
}

export class Tokens {
  private byId = new Map<string, StoredToken>();
  private stamp: string | undefined;
  private fault: Error | undefined;
  /** Checked ones by id. */
  private readonly good = new Map<string, Good>();
  /** Those being checked, by SHA-256. */
  private readonly checks = new Map<string, Promise<boolean>>();
  private running = 0;
  private made = 0;
  private readonly queue: (() => void)[] = [];
  /** By id: when they were used since that was written. */
  private readonly used = new Map<string, number>();
  private wroteAt: number | undefined;

  private constructor(private readonly file: TokenFile) {}

  /**
   * @param stateDirectory  made where there is none
   * @throws StateFileError when the file is damaged, or others than its owner may read it
   */
  static open(stateDirectory: string): Tokens {
    const tokens = new Tokens(TokenFile.open(stateDirectory));
    tokens.refresh();
    if (tokens.fault !== undefined) throw tokens.fault;
    return tokens;
  }

  /** Ascending by time of creation. */
  list(): TokenInfo[] {
    this.refresh();
    if (this.fault !== undefined) throw this.fault;
    return [...this.byId.values()].map(infoOf).sort((one, other) => one.created - other.created);
  }

  /** Why nobody is let in; undefined when all is well. */
  get problem(): string | undefined {
    return this.fault?.message;
  }

  /**
   * Makes a token, which is shown this once.
   * @param random  RANDOM_BYTES of the system's random source
   * @throws Invalid
   */
  async add(
    request: TokenRequest,
    random: Uint8Array,
    now: Now,
  ): Promise<{ token: string; info: TokenInfo }> {
    checkWords("name", request.name, TokenLimit.Name);
    if (random.length !== RANDOM_BYTES) throw new Error(`${RANDOM_BYTES} random bytes are needed`);
    if (request.expires !== null && !(request.expires > now.wallMs)) {
      throw new Invalid("expires", "a time to come", new Date(request.expires).toISOString());
    }
    const token = formatToken(random.subarray(0, TOKEN_BYTES));
    const id = idOfToken(token) ?? "";
    const { role, name, expires } = request;
    const scrypt = await hashOf(token, random.subarray(TOKEN_BYTES));
    const made = { id, role, name, created: now.wallMs, lastUsed: null, expires, scrypt };
    await this.file.change((tokens) => {
      if (tokens.some((each) => each.id === id))
        throw new Error("the random source repeats itself");
      if (tokens.length >= TokenLimit.Tokens) {
        throw new Invalid("tokens", `at most ${TokenLimit.Tokens}`, "one more");
      }
      return [...tokens, made];
    });
    return { token, info: infoOf(made) };
  }

  /**
   * @param id  as it is listed, or the token itself
   * @throws UnknownToken
   */
  async remove(id: string): Promise<TokenInfo> {
    const wanted = idOfToken(id) ?? id;
    let removed: StoredToken | undefined;
    await this.file.change((tokens) => {
      removed = tokens.find((each) => each.id === wanted);
      if (removed === undefined) throw new UnknownToken(`no token has the id '${redact(wanted)}'`);
      return tokens.filter((each) => each !== removed);
    });
    this.refresh();
    return infoOf(removed as StoredToken);
  }

  /** Whether a text that somebody sent is a token. Never throws, and says nothing of the text. */
  async verify(text: string, now: Now): Promise<Verdict> {
    this.refresh();
    if (this.fault !== undefined) return { isGood: false, why: "unavailable" };
    const id = idOfToken(text);
    const stored = id === undefined ? undefined : this.byId.get(id);
    if (stored === undefined) return { isGood: false, why: "unknown" };
    const isGood = this.isKnown(text, stored, now) || (await this.check(text, stored));
    if (isGood === "busy") return { isGood: false, why: "busy" };
    // It may have been removed in the meantime.
    if (!isGood || this.byId.get(stored.id)?.scrypt.hash !== stored.scrypt.hash) {
      return { isGood: false, why: "unknown" };
    }
    if (stored.expires !== null && now.wallMs >= stored.expires) {
      return { isGood: false, why: "expired" };
    }
    this.remember(text, stored, now);
    return { isGood: true, token: infoOf(stored) };
  }

  /** Hashes that checks have cost so far. */
  get hashes(): number {
    return this.made;
  }

  /** Writes the times of use that were not written yet. */
  close(): void {
    if (this.used.size > 0) this.writeUse();
  }

  private isKnown(text: string, stored: StoredToken, now: Now): boolean {
    const known = this.good.get(stored.id);
    if (known === undefined || known.hash !== stored.scrypt.hash) return false;
    return now.monotonicMs < known.untilMs && timingSafeEqual(known.sum, sumOf(text));
  }

  /** The same text is checked once, however many ask at a time. */
  private async check(text: string, stored: StoredToken): Promise<boolean | "busy"> {
    const key = `${stored.scrypt.hash} ${sumOf(text).toString("hex")}`;
    const running = this.checks.get(key);
    if (running !== undefined) return await running;
    if (this.queue.length >= WAITING) return "busy";
    const check = this.inTurn(() => matches(text, stored.scrypt));
    this.checks.set(key, check);
    try {
      return await check;
    } finally {
      this.checks.delete(key);
    }
  }

  private async inTurn<T>(task: () => Promise<T>): Promise<T> {
    if (this.running < PARALLEL) this.running += 1;
    else await new Promise<void>((resolve) => this.queue.push(resolve));
    this.made += 1;
    try {
      return await task();
    } finally {
      // Whoever waits takes this one's place.
      const next = this.queue.shift();
      if (next === undefined) this.running -= 1;
      else next();
    }
  }

  private remember(text: string, stored: StoredToken, now: Now): void {
    if (!this.isKnown(text, stored, now)) {
      const untilMs = now.monotonicMs + GOOD_MS;
      this.good.set(stored.id, { sum: sumOf(text), hash: stored.scrypt.hash, untilMs });
    }
    this.used.set(stored.id, now.wallMs);
    if (this.wroteAt !== undefined && now.monotonicMs - this.wroteAt < WRITE_MS) return;
    this.wroteAt = now.monotonicMs;
    this.writeUse();
  }

  /** Best effort: who has a good token is let in also when the disk is full. */
  private writeUse(): void {
    const withUse = (token: StoredToken): StoredToken => {
      const lastUsed = Math.max(this.used.get(token.id) ?? 0, token.lastUsed ?? 0);
      return lastUsed === 0 ? token : { ...token, lastUsed };
    };
    try {
      if (this.file.tryChange((tokens) => tokens.map(withUse))) this.used.clear();
    } catch {
      // In a minute again.
    }
  }

  /** Reads the file again if somebody changed it. */
  private refresh(): void {
    try {
      const stamp = this.file.stamp();
      if (stamp === this.stamp && this.fault === undefined) return;
      this.byId = new Map(this.file.read().map((token) => [token.id, token]));
      this.stamp = stamp;
      this.fault = undefined;
    } catch (error) {
      this.byId = new Map();
      this.fault = error instanceof Error ? error : new Error(String(error));
    }
    for (const id of this.good.keys()) if (!this.byId.has(id)) this.good.delete(id);
    for (const id of this.used.keys()) if (!this.byId.has(id)) this.used.delete(id);
  }
}

function sumOf(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

function infoOf({ id, role, name, created, lastUsed, expires }: StoredToken): TokenInfo {
  return { id, role, name, created, lastUsed, expires };
}
