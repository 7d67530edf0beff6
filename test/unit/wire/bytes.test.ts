import t from "tap";
import { AT, internals } from "../../harness/internals.js";

const wasm = await internals();

function put(at: number, ...bytes: number[]): void {
  wasm.bytes.set(bytes, at);
}

t.test("integers are in network order at any alignment", async (t) => {
  for (let at = AT; at < AT + 8; at++) {
    put(at, 0xfe, 0xdc, 0xba, 0x98);
    t.equal(wasm.load16(at), 0xfedc);
    t.equal(wasm.load32(at), 0xfedcba98);
    wasm.store16(at, 0xabcd_1234);
    t.same([...wasm.bytes.subarray(at, at + 4)], [0x12, 0x34, 0xba, 0x98]);
    wasm.store32(at, 0x80000001);
    t.same([...wasm.bytes.subarray(at, at + 4)], [0x80, 0, 0, 1]);
  }
});

t.test("copyMac copies six bytes", async (t) => {
  put(AT, 1, 2, 3, 4, 5, 6, 7);
  put(AT + 9, 0, 0, 0, 0, 0, 0, 99);
  wasm.copyMac(AT + 9, AT);
  t.same([...wasm.bytes.subarray(AT + 9, AT + 16)], [1, 2, 3, 4, 5, 6, 99]);
});

t.test("macWord and isZeroMac look at all six bytes and no more", async (t) => {
  for (let i = 0; i < 7; i++) {
    wasm.bytes.fill(0, AT, AT + 32);
    put(AT + i, 0x80);
    t.equal(wasm.macWord(AT) === wasm.macWord(AT + 16), i === 6, `byte ${i}`);
    t.equal(wasm.isZeroMac(AT), i < 6 ? 0 : 1, `byte ${i}`);
  }
});
