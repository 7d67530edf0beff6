/**
 * The file of tokens, `access/tokens` in the state directory. A running router and `crosszone token` share it:
 * each change reads it again, and a lock of its own keeps two changes apart for as long as one takes.
 */

import { setTimeout as sleep } from "node:timers/promises";
import * as v from "valibot";
import { type Disk, systemDisk } from "./disk.js";
import { HeldError, StateFileError } from "./fileerror.js";
import { Folder } from "./files.js";
import { ROLES } from "./role.js";
import { HashSchema } from "./scrypt.js";

export enum TokenLimit {
  Tokens = 256,
  /** Characters of a name. */
  Name = 128,
}

const FILE = "tokens";
const FILE_BYTES = 2048 * TokenLimit.Tokens;

/** Tries to get the lock, which nobody holds for longer than it takes to write. */
const TRIES = 250;
const TRY_MS = 20;

const Time = v.pipe(v.number(), v.minValue(0));

const TokenSchema = v.strictObject({
  id: v.pipe(v.string(), v.regex(/^cz_[A-Za-z0-9_-]{8}$/)),
  role: v.picklist(ROLES),
  name: v.pipe(v.string(), v.maxLength(TokenLimit.Name)),
  /** Milliseconds since 1970; null for never. */
  created: Time,
  lastUsed: v.nullable(Time),
  expires: v.nullable(Time),
  scrypt: HashSchema,
});

const FileSchema = v.strictObject({
  tokens: v.pipe(v.array(TokenSchema), v.maxLength(TokenLimit.Tokens)),
});

export type StoredToken = Readonly<v.InferOutput<typeof TokenSchema>>;

export class TokenFile {
  private constructor(private readonly folder: Folder) {}

  /** Makes the state directory where there is none. */
  static open(stateDirectory: string, disk: Disk = systemDisk): TokenFile {
    return new TokenFile(Folder.open(stateDirectory, disk).folder("access"));
  }

  get path(): string {
    return this.folder.pathOf(FILE);
  }

  /** Changes whenever the file does. */
  stamp(): string | undefined {
    return this.folder.stamp(FILE);
  }

  /** @throws StateFileError also when others may read it */
  read(): readonly StoredToken[] {
    const content = this.folder.read(FILE, {
      kind: "tokens",
      bytesMax: FILE_BYTES,
      isSecret: true,
    });
    if (content === undefined) return [];
    try {
      const value: unknown = JSON.parse(Buffer.from(content).toString("utf8"));
      if (v.is(FileSchema, value)) return value.tokens;
    } catch {
      // Not with what stands there: it may be a secret.
    }
    throw new StateFileError(this.path, "content", "no list of tokens");
  }

  /** Waits for who else changes it. */
  async change(edit: (tokens: readonly StoredToken[]) => readonly StoredToken[]): Promise<void> {
    for (let tries = 1; ; tries++) {
      if (this.tryChange(edit)) return;
      if (tries === TRIES) throw new HeldError(this.folder.path, undefined);
      await sleep(TRY_MS);
    }
  }

  /** False when somebody else is changing it. */
  tryChange(edit: (tokens: readonly StoredToken[]) => readonly StoredToken[]): boolean {
    const lock = this.tryHold();
    if (lock === undefined) return false;
    try {
      this.folder.sweep();
      const tokens = edit(this.read());
      const content = `${JSON.stringify({ tokens }, undefined, 1)}\n`;
      this.folder.write(FILE, "tokens", Buffer.from(content));
      return true;
    } finally {
      lock.release();
    }
  }

  private tryHold() {
    try {
      return this.folder.hold();
    } catch (error) {
      if (error instanceof HeldError) return undefined;
      throw error;
    }
  }
}
