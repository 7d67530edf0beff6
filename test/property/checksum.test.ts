import fc from "fast-check";
import t from "tap";
import { AT, internals } from "../harness/internals.js";
import { plainSum } from "../harness/offload.js";
import { failure, holds } from "../harness/property.js";

const wasm = await internals();

/** 16-bit words, with those that one's complement is bad at more often than chance has it. */
const word = fc.oneof(fc.constantFrom(0, 1, 0x7fff, 0x8000, 0xfffe, 0xffff), fc.nat(0xffff));
/** Words of a message that is not all zeros, and the changes to make in it. */
const message = fc.record({
  words: fc.array(word, { minLength: 2, maxLength: 20 }).filter((words) => words.some((w) => w)),
  changes: fc.array(fc.record({ place: fc.nat(1000), to: word }), { minLength: 1, maxLength: 6 }),
});

function fullChecksum(words: readonly number[]): number {
  return plainSum(Uint8Array.from(words.flatMap((word) => [word >> 8, word & 0xff]))) ^ 0xffff;
}

/** Walks a message through its changes; false where `update` strays from the checksum computed anew. */
function follows(update: (checksum: number, from: number, to: number) => number) {
  return fc.property(message, ({ words, changes }) => {
    const now = [...words];
    let checksum = fullChecksum(now);
    for (const { place, to } of changes) {
      const at = place % now.length;
      const from = now[at] ?? 0;
      now[at] = to;
      // RFC 1624 section 3: an all-zero message is the one that no update can tell
      if (now.every((word) => word === 0)) return;
      checksum = update(checksum, from, to);
      if (checksum !== fullChecksum(now)) throw new Error(`${checksum}, not ${fullChecksum(now)}`);
    }
  });
}

holds(t, "RFC 1624: update16 follows the checksum computed anew", follows(wasm.update16), 2000);

t.test("canary: RFC 1141's update, which RFC 1624 corrects, is found out", async (t) => {
  const rfc1141 = (checksum: number, from: number, to: number) =>
    wasm.fold(checksum + from + (~to & 0xffff));
  const details = fc.check(follows(rfc1141), { numRuns: 2000, seed: 1624 });
  t.match(failure("RFC 1141", details), /65535, not 0/);
});

holds(
  t,
  "RFC 1624: several 16- and 32-bit changes cost one apply",
  fc.property(message, ({ words, changes }) => {
    const now = [...words];
    let delta = 0;
    for (const { place, to } of changes) {
      const at = place % (now.length - 1);
      const [high = 0, low = 0] = now.slice(at, at + 2);
      if (place % 3 === 0) {
        delta += wasm.delta16(high, to);
        now[at] = to;
      } else {
        const next = (to * 40_503) & 0xffff;
        delta += wasm.delta32(high * 0x10000 + low, to * 0x10000 + next);
        now[at] = to;
        now[at + 1] = next;
      }
    }
    if (now.every((word) => word === 0)) return true;
    return wasm.apply(fullChecksum(words), delta) === fullChecksum(now);
  }),
  2000,
);

holds(
  t,
  "RFC 1071: sum is that of the words one by one, at any address and length",
  fc.property(
    fc.uint8Array({ maxLength: 300 }),
    fc.nat(15),
    fc.nat(0xffff),
    (bytes, offset, initial) => {
      wasm.bytes.fill(0xee, AT, AT + 512);
      wasm.bytes.set(bytes, AT + offset);
      return wasm.fold(wasm.sum(AT + offset, bytes.length, initial)) === plainSum(bytes, initial);
    },
  ),
  1000,
);

holds(
  t,
  "a message with its checksum in it sums to all ones, and to something else with a word changed",
  fc.property(message, ({ words, changes: [change] }) => {
    const whole = [...words, fullChecksum(words)];
    const store = () => {
      for (const [i, word] of whole.entries()) wasm.store16(AT + 2 * i, word);
    };
    store();
    const right = wasm.checksumOf(AT, 2 * whole.length) === 0;
    const at = (change?.place ?? 0) % words.length;
    const from = whole[at] ?? 0;
    const to = change?.to ?? 0;
    whole[at] = to;
    store();
    // RFC 1624 section 3: of all zeros nothing can be said
    if (whole.every((word) => word === 0)) return true;
    // 0 and ffff are the same to one's complement
    const same = from % 0xffff === to % 0xffff;
    return right && (wasm.checksumOf(AT, 2 * whole.length) === 0) === same;
  }),
);

holds(
  t,
  "RFC 768: an updated UDP checksum is never 0 unless it was",
  fc.property(fc.nat(0xffff), word, word, (checksum, from, to) => {
    const updated = wasm.applyUdp(checksum, wasm.delta16(from, to));
    if (checksum === 0) return updated === 0;
    return updated === (wasm.update16(checksum, from, to) || 0xffff);
  }),
  1000,
);
