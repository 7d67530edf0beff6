/** Hashes of tokens: scrypt (RFC 7914), with its parameters beside the hash. */

import { scrypt, timingSafeEqual } from "node:crypto";
import * as v from "valibot";

const HASH_BYTES = 32;
export const SALT_BYTES = 16;

const base64url = (bytes: number) =>
  v.pipe(v.string(), v.regex(new RegExp(`^[A-Za-z0-9_-]{${Math.ceil((bytes * 4) / 3)}}$`)));

/** Ranges that no file can make a check cost more by than 128 MiB and a second. */
export const HashSchema = v.strictObject({
  N: v.picklist([1024, 2048, 4096, 8192, 16384, 32768, 65536]),
  r: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(16)),
  p: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(4)),
  salt: base64url(SALT_BYTES),
  hash: base64url(HASH_BYTES),
});

export type Hash = Readonly<v.InferOutput<typeof HashSchema>>;

/** 16 MiB and about 50 ms. */
export const COST = { N: 16384, r: 8, p: 1 } as const;

/** @param salt  SALT_BYTES of the system's random source */
export async function hashOf(secret: string, salt: Uint8Array, cost: Cost = COST): Promise<Hash> {
  const hash = await derive(secret, salt, cost);
  return {
    ...cost,
    salt: Buffer.from(salt).toString("base64url"),
    hash: hash.toString("base64url"),
  };
}

type Cost = Pick<Hash, "N" | "r" | "p">;

export async function matches(secret: string, hash: Hash): Promise<boolean> {
  const derived = await derive(secret, Buffer.from(hash.salt, "base64url"), hash);
  const known = Buffer.from(hash.hash, "base64url");
  return known.length === derived.length && timingSafeEqual(known, derived);
}

/** On one of Node's own threads. */
function derive(secret: string, salt: Uint8Array, { N, r, p }: Cost): Promise<Buffer> {
  // RFC 7914 section 2: 128 * N * r bytes; twice that for the rest.
  const maxmem = 256 * N * r;
  return new Promise((resolve, reject) => {
    scrypt(secret, salt, HASH_BYTES, { N, r, p, maxmem }, (error, key) => {
      if (error === null) resolve(key);
      else reject(error);
    });
  });
}
