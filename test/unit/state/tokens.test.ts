/** Bearer tokens: shown once, kept as hashes, checked in bounded parallel, never in a message. */

import fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { hashOf, matches } from "../../../host/state/scrypt.js";
import { formatToken, idOfToken, redact } from "../../../host/state/secret.js";
import { RANDOM_BYTES, type TokenRequest, Tokens } from "../../../host/state/tokens.js";

const skip = process.platform === "linux" ? false : "needs Linux";
const MINUTE = 60_000;
const START = 1_700_000_000_000;

const at = (ms: number) => ({ wallMs: START + ms, monotonicMs: ms });
const viewer: TokenRequest = { role: "viewer", name: "grafana", expires: null };
const operator: TokenRequest = { role: "operator", name: "laptop", expires: null };

let drawn = 0;
/** Other bytes each time. */
const random = () => Buffer.alloc(RANDOM_BYTES, ++drawn).fill(drawn * 7, 0, 9);

function directory(t: Test): string {
  const path = fs.mkdtempSync(join(tmpdir(), "crosszone-tokens-"));
  t.teardown(() => fs.rmSync(path, { recursive: true, force: true }));
  return join(path, "state");
}

const fileOf = (path: string) => join(path, "access", "tokens");

t.test("what a token looks like", async (t) => {
  const token = formatToken(Buffer.alloc(32, 0xfb));
  t.match(token, /^cz_[\w-]{43}$/);
  t.equal(idOfToken(token), token.slice(0, 11));
  for (const other of ["", "cz_", token.slice(1), `${token}x`, token.slice(0, -1), `${token}\n`]) {
    t.equal(idOfToken(other), undefined, other);
  }
  const id = token.slice(0, 11);
  t.equal(redact(`bad '${token}', ${token}${token}.`), `bad '${id}…', ${id}….`);
  t.equal(redact(`half ${token.slice(0, 30)}`), `half ${id}…`);
  t.equal(redact(`id ${id} of cz_x`), `id ${id} of cz_x`);
});

t.test("hashes", async (t) => {
  const salt = Buffer.alloc(16, 1);
  // RFC 7914 section 12, the third vector's parameters, cut to 32 bytes.
  const known = await hashOf("pleaseletmein", Buffer.from("SodiumChloride"));
  t.match(
    Buffer.from(known.hash, "base64url").toString("hex"),
    /^7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2/,
  );
  const hash = await hashOf("secret", salt, { N: 1024, r: 8, p: 1 });
  t.match(hash, { N: 1024, r: 8, p: 1 });
  t.equal(await matches("secret", hash), true);
  t.equal(await matches("secreT", hash), false);
});

t.test("added, checked, listed, removed", { skip }, async (t) => {
  const path = directory(t);
  const tokens = Tokens.open(path);
  t.same(tokens.list(), []);
  const { token, info } = await tokens.add(operator, random(), at(0));
  const id = token.slice(0, 11);
  t.same(info, { id, ...operator, created: START, lastUsed: null });
  t.same(tokens.list(), [info]);
  t.same(await tokens.verify(token, at(1)), { isGood: true, token: info });
  const wrong = `${token.slice(0, -1)}${token.endsWith("A") ? "B" : "A"}`;
  t.same(await tokens.verify(wrong, at(1)), { isGood: false, why: "unknown" });
  t.same(await tokens.verify("", at(1)), { isGood: false, why: "unknown" });
  const written = fs.readFileSync(fileOf(path), "utf8");
  t.notMatch(written, token);
  t.notMatch(written, token.slice(11), "nor its secret part");
  t.match(written, '"N": 16384');
  t.equal(fs.statSync(fileOf(path)).mode & 0o777, 0o600);
  await t.rejects(tokens.remove("cz_nosuch00"), { message: "no token has the id 'cz_nosuch00'" });
  await t.rejects(tokens.remove(wrong.replace(id, "cz_nosuch00")), {
    message: "no token has the id 'cz_nosuch00'",
  });
  t.equal((await tokens.remove(token)).id, id, "by the token itself, too");
  t.same(await tokens.verify(token, at(2)), { isGood: false, why: "unknown" }, "at once");
});

t.test("a running router sees what another process changes", { skip }, async (t) => {
  const path = directory(t);
  const router = Tokens.open(path);
  const command = Tokens.open(path);
  const { token } = await command.add(viewer, random(), at(0));
  t.match(await router.verify(token, at(1)), { isGood: true, token: { role: "viewer" } });
  await command.remove(token);
  t.match(await router.verify(token, at(2)), { why: "unknown" }, "also from what it remembers");
});

t.test("two that change it at a time both do", { skip }, async (t) => {
  const path = directory(t);
  const many = Array.from({ length: 4 }, () => Tokens.open(path).add(viewer, random(), at(0)));
  await Promise.all(many);
  t.equal(Tokens.open(path).list().length, 4);
});

t.test("expiry", { skip }, async (t) => {
  const tokens = Tokens.open(directory(t));
  const expires = START + MINUTE;
  const { token } = await tokens.add({ ...viewer, expires }, random(), at(0));
  t.match(await tokens.verify(token, at(MINUTE - 1)), { isGood: true });
  t.match(await tokens.verify(token, at(MINUTE)), { isGood: false, why: "expired" }, "remembered");
  t.match(await Tokens.open(directory(t)).verify(token, at(MINUTE)), { why: "unknown" });
  await t.rejects(tokens.add({ ...viewer, expires: START }, random(), at(0)), {
    code: "invalid",
    path: "expires",
  });
});

t.test("one that was checked costs no other hash for a minute", { skip }, async (t) => {
  const tokens = Tokens.open(directory(t));
  const { token } = await tokens.add(viewer, random(), at(0));
  await tokens.verify(token, at(0));
  await Promise.all(Array.from({ length: 50 }, () => tokens.verify(token, at(MINUTE - 1))));
  t.equal(tokens.hashes, 1);
  t.match(await tokens.verify(token, at(MINUTE)), { isGood: true });
  t.equal(tokens.hashes, 2);
  const bad = `${token.slice(0, 11)}${"x".repeat(35)}`;
  for (let i = 0; i < 3; i++) await tokens.verify(bad, at(MINUTE));
  t.equal(tokens.hashes, 5, "what is wrong is not remembered");
  await tokens.verify(`cz_${"x".repeat(43)}`, at(MINUTE));
  t.equal(tokens.hashes, 5, "what is no token's costs none");
});

t.test("checks are bounded in number; the same one is made once", { skip }, async (t) => {
  const tokens = Tokens.open(directory(t));
  const { token } = await tokens.add(viewer, random(), at(0));
  const same = await Promise.all(Array.from({ length: 500 }, () => tokens.verify(token, at(0))));
  t.ok(same.every(({ isGood }) => isGood));
  t.equal(tokens.hashes, 1);
  // Of this id, and none of them right: each costs a hash.
  const guess = (n: number) => token.slice(0, 11) + String(n).padStart(35, "x");
  const guesses = Array.from({ length: 60 }, (_, n) => tokens.verify(guess(n), at(0)));
  const whys = (await Promise.all(guesses)).map((each) => (each.isGood ? "good" : each.why));
  t.equal(whys.filter((why) => why === "unknown").length, 2 + 32);
  t.equal(whys.filter((why) => why === "busy").length, 60 - 34);
  t.match(await tokens.verify(token, at(1)), { isGood: true }, "afterwards all is well");
});

t.test("last use is written once a minute, and at the end", { skip }, async (t) => {
  const path = directory(t);
  const tokens = Tokens.open(path);
  const { token } = await tokens.add(viewer, random(), at(0));
  const written = () => Tokens.open(path).list()[0]?.lastUsed;
  t.equal(written(), null);
  await tokens.verify(token, at(1000));
  t.equal(written(), START + 1000);
  await tokens.verify(token, at(50_000));
  t.equal(written(), START + 1000);
  await tokens.verify(token, at(61_000));
  t.equal(written(), START + 61_000);
  await tokens.verify(token, at(70_000));
  tokens.close();
  t.equal(written(), START + 70_000);
});

t.test("bad requests", { skip }, async (t) => {
  const tokens = Tokens.open(directory(t));
  const name = (name: string) => tokens.add({ ...viewer, name }, random(), at(0));
  await t.rejects(name("x".repeat(129)), { code: "invalid", path: "name" });
  await t.rejects(name("a\nb"), { code: "invalid", path: "name" });
  await t.rejects(tokens.add(viewer, new Uint8Array(32), at(0)), /48 random bytes/);
  const once = random();
  await tokens.add(viewer, once, at(0));
  await t.rejects(tokens.add(viewer, once, at(0)), /repeats itself/);
});

t.test("a file that others may read lets nobody in", { skip }, async (t) => {
  const path = directory(t);
  const tokens = Tokens.open(path);
  const { token } = await tokens.add(viewer, random(), at(0));
  t.match(await tokens.verify(token, at(0)), { isGood: true });
  fs.chmodSync(fileOf(path), 0o644);
  const message = `${fileOf(path)}: exposed: its mode is 0644; chmod 600 ${fileOf(path)}`;
  t.throws(() => Tokens.open(path), { message });
  t.same(await tokens.verify(token, at(1)), { isGood: false, why: "unavailable" });
  t.equal(tokens.problem, message);
  await t.rejects(tokens.add(viewer, random(), at(1)), { message });
  fs.chmodSync(fileOf(path), 0o600);
  t.match(await tokens.verify(token, at(2)), { isGood: true }, "and is well when it is put right");
  t.equal(tokens.problem, undefined);
});

t.test("a damaged file lets nobody in, and is not written over", { skip }, async (t) => {
  const path = directory(t);
  const tokens = Tokens.open(path);
  const { token } = await tokens.add(viewer, random(), at(0));
  const whole = fs.readFileSync(fileOf(path));
  const damage = (bytes: Uint8Array) => fs.writeFileSync(fileOf(path), bytes);
  for (let length = 0; length < whole.length; length++) {
    damage(whole.subarray(0, length));
    try {
      Tokens.open(path);
      t.fail(`${length} bytes were read`);
    } catch (error) {
      const { message } = error as Error;
      if (!message.startsWith(`${fileOf(path)}: torn: `)) t.fail(message);
    }
  }
  for (let bit = 3; bit < whole.length * 8; bit += 11) {
    const flipped = Buffer.from(whole);
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    damage(flipped);
    t.throws(() => Tokens.open(path));
  }
  t.match(await tokens.verify(token, at(1)), { why: "unavailable" });
  await t.rejects(tokens.add(viewer, random(), at(1)), { name: "StateFileError" });
  damage(whole);
  t.match(await tokens.verify(token, at(2)), { isGood: true });
});
