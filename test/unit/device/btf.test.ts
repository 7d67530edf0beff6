/** The kernel's type information: a function's number, and what is not ours to read. */
import { existsSync } from "node:fs";
import t from "tap";
import { functionIn, kernelFunction } from "../../../host/device/bpf/btf.js";

/** A type's words as they stand: struct btf_type, and what its kind adds. */
type Type = readonly number[];

const STRINGS = "\0one\0another\0";
const ONE = 1;
const ANOTHER = 5;

/** struct btf_header, types, strings. */
function typesOf(...types: readonly Type[]): Buffer {
  const words = Buffer.from(new Uint32Array(types.flat()).buffer);
  const header = Buffer.alloc(24);
  header.writeUInt16LE(0xeb9f, 0);
  header.writeUInt8(1, 2);
  header.writeUInt32LE(24, 4);
  header.writeUInt32LE(0, 8);
  header.writeUInt32LE(words.length, 12);
  header.writeUInt32LE(words.length, 16);
  header.writeUInt32LE(STRINGS.length, 20);
  return Buffer.concat([header, words, Buffer.from(STRINGS, "latin1")]);
}

const info = (kind: number, members = 0) => (kind << 24) | members;
const INTEGER: Type = [0, info(1), 4, 32];
const STRUCTURE: Type = [0, info(4, 2), 8, 0, 1, 0, 0, 1, 32];
const PROTOTYPE: Type = [0, info(13, 1), 1, 0, 1];

t.test("types are counted over what each kind adds", async (t) => {
  const types = typesOf(
    INTEGER,
    STRUCTURE,
    PROTOTYPE,
    [ONE, info(12, 1), 3],
    [ANOTHER, info(8), 1],
    [ANOTHER, info(12), 3],
  );
  t.equal(functionIn(types, "one"), 4);
  t.equal(functionIn(types, "another"), 6, "a typedef of the same name is no function");
  t.equal(functionIn(types, "other"), 0, "a part of a name is none");
});

t.test("what is not understood has no functions", async (t) => {
  const types = typesOf(INTEGER, [ONE, info(12), 1]);
  t.equal(functionIn(types, "one"), 2);
  t.equal(functionIn(Buffer.alloc(0), "one"), 0);
  t.equal(functionIn(types.subarray(0, 40), "one"), 0, "cut short");
  const strange = typesOf([0, info(31), 0], [ONE, info(12), 1]);
  t.equal(functionIn(strange, "one"), 0, "a kind that we do not know hides the rest");
  types.writeUInt16LE(0x9feb, 0);
  t.equal(functionIn(types, "one"), 0, "the other byte order");
});

t.test("the kernel that runs", async (t) => {
  if (!existsSync("/sys/kernel/btf/vmlinux")) t.comment("no /sys/kernel/btf/vmlinux here");
  else t.not(kernelFunction("kfree"), 0);
  t.equal(kernelFunction("no_such_function_of_the_kernel"), 0);
});
