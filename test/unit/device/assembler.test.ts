/** eBPF's encoding: RFC 9669, with the text that it is in LLVM's assembler. */
import t from "tap";
import {
  AssemblerError,
  assemble,
  Compare,
  callHelper,
  callKernel,
  compute,
  computeWith,
  copy,
  exit,
  type Instruction,
  jump,
  jumpIf,
  jumpIfRegister,
  label,
  load,
  loadMap,
  Operation,
  Register,
  Size,
  set,
  store,
  storeValue,
  toNetworkOrder,
} from "../../../host/device/bpf/assembler.js";

const { R0, R1, R2, R3, R6, R7, R9, R10 } = Register;

function hex(...program: readonly Instruction[]): string {
  return Buffer.from(assemble(program)).toString("hex");
}

t.test("each instruction is encoded as the standard says", async (t) => {
  for (const [text, instruction, bytes] of [
    ["r7 = *(u32 *)(r1 + 4)", load(Size.Word, R7, R1, 4), "6117040000000000"],
    ["r2 = *(u16 *)(r10 - 6)", load(Size.Half, R2, R10, -6), "69a2faff00000000"],
    ["*(u64 *)(r10 - 8) = r1", store(Size.Long, R10, -8, R1), "7b1af8ff00000000"],
    ["*(u32 *)(r10 - 8) = 5", storeValue(Size.Word, R10, -8, 5), "620af8ff05000000"],
    ["r6 = r1", copy(R6, R1), "bf16000000000000"],
    ["r0 = -1", set(R0, -1), "b7000000ffffffff"],
    ["r2 += 14", compute(Operation.Add, R2, 14), "070200000e000000"],
    ["r2 &= 255", compute(Operation.And, R2, 255), "57020000ff000000"],
    ["r9 ^= r3", computeWith(Operation.Xor, R9, R3), "af39000000000000"],
    ["r3 *= r1", computeWith(Operation.Multiply, R3, R1), "2f13000000000000"],
    ["r2 = be16 r2", toNetworkOrder(16, R2), "dc02000010000000"],
    ["r1 = be32 r1", toNetworkOrder(32, R1), "dc01000020000000"],
    ["call 51", callHelper(51), "8500000033000000"],
    ["call a kernel's function", callKernel(258), "8520000002010000"],
    ["exit", exit(), "9500000000000000"],
  ] as const) {
    t.equal(hex(instruction), bytes, text);
  }
  t.equal(hex(...loadMap(R1, 7)), "1811000007000000".padEnd(32, "0"), "a map, in two places");
});

t.test("a jump counts the instructions that it leaves out", async (t) => {
  const program = [
    jumpIf(R1, Compare.Equal, 3, "end"),
    jumpIfRegister(R2, Compare.Above, R3, "next"),
    jump("end"),
    label("next"),
    set(R0, 1),
    label("end"),
    exit(),
  ];
  t.equal(
    hex(...program),
    "1501030003000000" +
      "2d32010000000000" +
      "0500010000000000" +
      "b700000001000000" +
      "9500000000000000",
  );
});

t.test("a label that is missing, doubled or behind is refused", async (t) => {
  t.throws(() => hex(jump("nowhere")), new AssemblerError("a jump to nowhere, which is no label"));
  t.throws(
    () => hex(label("twice"), label("twice")),
    new AssemblerError("label twice stands twice"),
  );
  t.throws(() => hex(label("back"), jump("back")), new AssemblerError("a jump back to back"));
});
