import t from "tap";
import { AT, internals } from "../../harness/internals.js";

const wasm = await internals();

t.test("RFC 1071 section 3: the worked example", async (t) => {
  wasm.bytes.set([0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7], AT);
  t.equal(wasm.fold(wasm.sum(AT, 8, 0)), 0xddf2);
  t.equal(wasm.checksumOf(AT, 8), 0x220d);
});

t.test("RFC 1071 section 4.1: an odd last byte counts as if a zero followed", async (t) => {
  wasm.bytes.set([0x12, 0x34, 0x56, 0xff], AT);
  t.equal(wasm.sum(AT, 3, 0), 0x1234 + 0x5600);
  t.equal(wasm.sum(AT, 1, 0), 0x1200);
  t.equal(wasm.sum(AT, 0, 0), 0);
});

t.test("a sum goes on from another", async (t) => {
  wasm.bytes.set([0xff, 0xff, 0xff, 0xff, 0x00, 0x02], AT);
  t.equal(wasm.fold(wasm.sum(AT + 4, 2, wasm.sum(AT, 4, 7))), wasm.fold(wasm.sum(AT, 6, 7)));
});

t.test("the longest packet of all ones does not overflow", async (t) => {
  wasm.bytes.fill(0xff, AT, AT + 65_535);
  t.equal(wasm.fold(wasm.sum(AT, 65_534, 0)), 0xffff);
  t.equal(wasm.fold(wasm.sum(AT, 65_535, 0xffff)), 0xff00);
  wasm.bytes.fill(0, AT, AT + 65_535);
  t.equal(wasm.sum(AT, 65_535, 0), 0);
});

t.test("fold adds every carry back in", async (t) => {
  t.equal(wasm.fold(0), 0);
  t.equal(wasm.fold(0xffff), 0xffff);
  t.equal(wasm.fold(0x10000), 1);
  t.equal(wasm.fold(0x1ffff), 1);
  t.equal(wasm.fold(0xffffffff), 0xffff);
  t.equal(wasm.fold(0xffff0001), 1);
});

t.test("the pseudo-header of TCP and UDP", async (t) => {
  const sum = wasm.pseudoHeader(0xc0a8000a, 0x08080808, 17, 40_000);
  t.equal(wasm.fold(sum), wasm.fold(0xc0a8 + 0x000a + 0x0808 + 0x0808 + 17 + 40_000));
  t.equal(wasm.fold(wasm.pseudoHeader(0xffffffff, 0xffffffff, 255, 65_535)), 255);
});

t.test("RFC 1624 section 4: DD2F with 5555 changed to 3285 gives 0000, not FFFF", async (t) => {
  t.equal(wasm.update16(0xdd2f, 0x5555, 0x3285), 0x0000);
});

t.test("RFC 1624: changing 0000 back to what it was gives the same checksum again", async (t) => {
  t.equal(wasm.update16(0x0000, 0x3285, 0x5555), 0xdd2f);
});

t.test("a change to the same leaves every checksum but the impossible FFFF", async (t) => {
  for (let checksum = 0; checksum < 0xffff; checksum++) {
    if (wasm.update16(checksum, 0x1234, 0x1234) !== checksum) t.fail(`${checksum}`);
    if (wasm.update16(checksum, 0, 0) !== checksum) t.fail(`${checksum}`);
    if (wasm.update16(checksum, 0xffff, 0xffff) !== checksum) t.fail(`${checksum}`);
  }
  t.equal(wasm.update16(0xffff, 0x1234, 0x1234), 0);
});

t.test("one's complement has two zeros: neither makes a checksum of FFFF", async (t) => {
  t.equal(wasm.update16(0xffff, 0xffff, 0x0000), 0);
  t.equal(wasm.update16(0x0000, 0xffff, 0x0000), 0);
  t.equal(wasm.update16(0x0000, 0x0000, 0xffff), 0);
  t.equal(wasm.update32(0xffff, 0xffffffff, 0), 0);
});

t.test("several deltas cost one apply", async (t) => {
  const delta = wasm.delta32(0xc0a8000a, 0xcb007107) + wasm.delta16(4562, 40_211);
  const stepwise = wasm.update16(wasm.update32(0xbeef, 0xc0a8000a, 0xcb007107), 4562, 40_211);
  t.equal(wasm.apply(0xbeef, delta), stepwise);
});

t.test("deltas take the low 16 bits of a word", async (t) => {
  t.equal(wasm.delta16(0xffff1234, 0xffff4321), wasm.delta16(0x1234, 0x4321));
});

t.test("RFC 768: no UDP checksum stays none, a computed zero becomes all ones", async (t) => {
  t.equal(wasm.applyUdp(0, wasm.delta32(0xc0a8000a, 0xcb007107)), 0);
  t.equal(wasm.applyUdp(0xdd2f, wasm.delta16(0x5555, 0x3285)), 0xffff);
  t.equal(wasm.applyUdp(0xffff, wasm.delta16(0x3285, 0x5555)), 0xdd2f);
  t.equal(wasm.applyUdp(0xffff, wasm.delta16(7, 7)), 0xffff);
});
