import t from "tap";
import { AT, internals, NONE } from "../../harness/internals.js";

const wasm = await internals();
const SECRET = 0xfeedfacecafebeefn;

function ip(text: string): number {
  return text.split(".").reduce((address, part) => ((address << 8) | Number(part)) >>> 0, 0);
}

t.test("the longest prefix wins, the default route comes last", async (t) => {
  wasm.prefixCreate(AT, 1, 10, SECRET);
  t.equal(wasm.prefixPut(AT, 0, ip("10.0.0.0"), 8, 8), 1);
  t.equal(wasm.prefixPut(AT, 0, ip("10.1.0.0"), 16, 16), 1);
  t.equal(wasm.prefixPut(AT, 0, ip("10.1.2.3"), 32, 32), 1);
  t.equal(wasm.prefixFind(AT, 0, ip("10.1.2.3")), 32);
  t.equal(wasm.prefixFind(AT, 0, ip("10.1.2.4")), 16);
  t.equal(wasm.prefixFind(AT, 0, ip("10.2.0.1")), 8);
  t.equal(wasm.prefixFind(AT, 0, ip("11.0.0.1")), NONE);
  t.equal(wasm.prefixPut(AT, 0, 0, 0, 0), 1);
  t.equal(wasm.prefixFind(AT, 0, ip("11.0.0.1")), 0);
  t.equal(wasm.prefixFind(AT, 0, ip("10.2.0.1")), 8);
  t.equal(wasm.prefixCount(AT), 4);
});

t.test("zones with the same prefixes do not see each other", async (t) => {
  wasm.prefixCreate(AT, 3, 10, SECRET);
  wasm.prefixPut(AT, 0, ip("192.168.0.0"), 24, 100);
  wasm.prefixPut(AT, 2, ip("192.168.0.0"), 24, 102);
  t.equal(wasm.prefixFind(AT, 0, ip("192.168.0.10")), 100);
  t.equal(wasm.prefixFind(AT, 1, ip("192.168.0.10")), NONE);
  t.equal(wasm.prefixFind(AT, 2, ip("192.168.0.10")), 102);
  t.equal(wasm.prefixFind(AT, 3, ip("192.168.0.10")), NONE, "no such zone");
});

t.test("every length, at both ends of its prefix", async (t) => {
  wasm.prefixCreate(AT, 1, 33, SECRET);
  for (let length = 0; length <= 32; length++) {
    // the first `length` bits are ones, then a zero: no prefix covers another's first address
    const prefix = length === 0 ? 0 : (0xffffffff << (32 - length)) >>> 0;
    t.equal(wasm.prefixPut(AT, 0, prefix, length, length), 1);
  }
  for (let length = 0; length <= 32; length++) {
    const ones = length === 0 ? 0 : (0xffffffff << (32 - length)) >>> 0;
    t.equal(wasm.prefixFind(AT, 0, ones), length);
  }
});

t.test("bits behind the length are ignored; duplicates and bad ranges are refused", async (t) => {
  wasm.prefixCreate(AT, 2, 2, SECRET);
  t.equal(wasm.prefixPut(AT, 1, ip("10.9.8.7"), 8, 1), 1);
  t.equal(wasm.prefixPut(AT, 1, ip("10.0.0.0"), 8, 2), 0);
  t.equal(wasm.prefixFind(AT, 1, ip("10.200.0.1")), 1);
  t.equal(wasm.prefixPut(AT, 1, 0, 33, 3), 0);
  t.equal(wasm.prefixPut(AT, 1, 0, NONE, 3), 0);
  t.equal(wasm.prefixPut(AT, 2, 0, 0, 3), 0);
  t.equal(wasm.prefixPut(AT, 0, 0, 0, 4), 1);
  t.equal(wasm.prefixPut(AT, 0, 0, 1, 5), 0, "there is no room for a third");
  t.equal(wasm.prefixFind(AT, 0, 0), 4);
});

t.test("it stays within its bytes", async (t) => {
  for (const [zones, n] of [
    [0, 0],
    [1, 1],
    [9, 100],
    [300, 1000],
  ] as const) {
    const bytes = wasm.prefixBytes(zones, n);
    t.equal(bytes % 64, 0);
    wasm.bytes.fill(0xaa, AT, AT + bytes + 64);
    wasm.prefixCreate(AT, zones, n, SECRET);
    for (let i = 0; i < n; i++) t.equal(wasm.prefixPut(AT, i % zones, i << 8, 24, i), 1);
    t.ok(wasm.bytes.subarray(AT + bytes, AT + bytes + 64).every((byte) => byte === 0xaa));
  }
});
