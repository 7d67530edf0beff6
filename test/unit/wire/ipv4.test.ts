import t from "tap";
import { AT, internals } from "../../harness/internals.js";

const wasm = await internals();

/** The well-known example of a header with its checksum, b861. */
const HEADER = "4500 0073 0000 4000 40 11 b861 c0a80001 c0a800c7";

function put(hex = HEADER): void {
  wasm.bytes.fill(0xee, AT, AT + 128);
  wasm.bytes.set(Buffer.from(hex.replaceAll(" ", ""), "hex"), AT);
}

t.test("every field", async (t) => {
  put();
  t.equal(wasm.ipv4Version(AT), 4);
  t.equal(wasm.ipv4HeaderBytes(AT), 20);
  t.equal(wasm.ipv4Tos(AT), 0);
  t.equal(wasm.ipv4TotalBytes(AT), 115);
  t.equal(wasm.ipv4Identification(AT), 0);
  t.equal(wasm.ipv4Fragment(AT), 0x4000);
  t.equal(wasm.ipv4Ttl(AT), 64);
  t.equal(wasm.ipv4Protocol(AT), 17);
  t.equal(wasm.ipv4Checksum(AT), 0xb861);
  t.equal(wasm.ipv4Source(AT), 0xc0a80001);
  t.equal(wasm.ipv4Destination(AT), 0xc0a800c7);
  t.equal(wasm.ipv4Payload(AT), AT + 20);
  t.equal(wasm.ipv4PayloadBytes(AT), 95);
  t.equal(wasm.ipv4HeaderSumIsRight(AT), 1);
});

t.test("RFC 1812 5.2.2: lengths that contradict themselves or the frame do not fit", async (t) => {
  put();
  t.equal(wasm.ipv4Fits(AT, 115), 1);
  t.equal(wasm.ipv4Fits(AT, 1500), 1, "padding");
  for (const available of [0, 19, 20, 114]) t.equal(wasm.ipv4Fits(AT, available), 0);
  for (const [first, total, fits] of [
    ["45", 20, 1],
    ["45", 19, 0],
    ["45", 0, 0],
    ["44", 115, 0],
    ["40", 115, 0],
    ["4f", 60, 1],
    ["4f", 59, 0],
    ["55", 115, 0],
    ["65", 115, 0],
    ["05", 115, 0],
  ] as const) {
    put(first);
    wasm.ipv4SetTotalBytes(AT, total);
    t.equal(wasm.ipv4Fits(AT, 115), fits, `${first}, ${total} bytes`);
  }
});

t.test("options belong to the header", async (t) => {
  put("46 00 0018 0000 0000 40 01 0000 0a000001 0a000002 01010100");
  t.equal(wasm.ipv4Fits(AT, 24), 1);
  t.equal(wasm.ipv4HeaderBytes(AT), 24);
  t.equal(wasm.ipv4PayloadBytes(AT), 0);
  t.equal(wasm.ipv4HeaderSumIsRight(AT), 0);
  wasm.ipv4SetChecksum(AT, wasm.checksumOf(AT, 24));
  t.equal(wasm.ipv4HeaderSumIsRight(AT), 1);
});

t.test("a header sum is wrong with any bit changed", async (t) => {
  for (let bit = 0; bit < 160; bit++) {
    // the header length says what is summed: its bits are for `fits`
    if (bit < 8) continue;
    put();
    const at = AT + (bit >> 3);
    wasm.bytes[at] = (wasm.bytes[at] ?? 0) ^ (0x80 >> (bit & 7));
    t.equal(wasm.ipv4HeaderSumIsRight(AT), 0, `bit ${bit}`);
  }
});

t.test("fragments", async (t) => {
  put();
  for (const [word, dont, more, offset, is] of [
    [0x0000, 0, 0, 0, 0],
    [0x4000, 1, 0, 0, 0],
    [0x8000, 0, 0, 0, 0],
    [0x2000, 0, 1, 0, 1],
    [0x2001, 0, 1, 8, 1],
    [0x1fff, 0, 0, 65_528, 1],
  ] as const) {
    wasm.ipv4SetFragment(AT, word);
    t.equal(wasm.ipv4DontFragment(AT), dont);
    t.equal(wasm.ipv4MoreFragments(AT), more);
    t.equal(wasm.ipv4FragmentOffset(AT), offset);
    t.equal(wasm.ipv4IsFragment(AT), is);
  }
});

t.test("setters change their field and nothing else", async (t) => {
  put();
  wasm.ipv4SetTotalBytes(AT, 0x1234);
  wasm.ipv4SetIdentification(AT, 0x5678);
  wasm.ipv4SetFragment(AT, 0x9abc);
  wasm.ipv4SetTtl(AT, 0xde);
  wasm.ipv4SetChecksum(AT, 0xf012);
  wasm.ipv4SetSource(AT, 0x87654321);
  wasm.ipv4SetDestination(AT, 0xfedcba98);
  t.equal(
    Buffer.from(wasm.bytes.subarray(AT, AT + 21)).toString("hex"),
    "450012345678" + "9abcde11f01287654321fedcba98ee",
  );
});

t.test("write makes a whole header whose sum is right", async (t) => {
  put("");
  wasm.ipv4Write(AT, 115, 0xabcd, 64, 17, 0xc0a80001, 0xc0a800c7);
  t.equal(wasm.ipv4Fits(AT, 115), 1);
  t.equal(wasm.ipv4HeaderSumIsRight(AT), 1);
  t.equal(wasm.ipv4Identification(AT), 0xabcd);
  t.equal(wasm.ipv4Fragment(AT), 0);
  t.equal(wasm.ipv4Tos(AT), 0);
  t.equal(wasm.bytes[AT + 20], 0xee);
});
