/** What a token looks like, and how it is kept out of what people and logs get to read. */

/** Bytes of a token, random. */
export const TOKEN_BYTES = 32;

export const TOKEN_PREFIX = "cz_";

/** The prefix and the characters behind it that tell which token it is: they are no secret. */
const ID_CHARACTERS = TOKEN_PREFIX.length + 8;

const TOKEN = /^cz_[A-Za-z0-9_-]{43}$/;

/** @param random  TOKEN_BYTES of the system's random source */
export function formatToken(random: Uint8Array): string {
  return TOKEN_PREFIX + Buffer.from(random).toString("base64url");
}

/** The public part of a token, by which it is listed; undefined for what is no token. */
export function idOfToken(token: string): string | undefined {
  if (!TOKEN.test(token)) return undefined;
  return token.slice(0, ID_CHARACTERS);
}

/** Also one that was cut short, or that stands in the middle of something. */
const TOKEN_LIKE = /cz_[A-Za-z0-9_-]{16,}/g;

/** A text without the secret part of the tokens in it. */
export function redact(text: string): string {
  return text.replace(TOKEN_LIKE, (token) => `${token.slice(0, ID_CHARACTERS)}…`);
}
