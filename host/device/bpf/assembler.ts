/**
 * eBPF programs as lists of typed instructions, with names for the places that jumps go to: RFC 9669, and
 * Documentation/bpf/standardization/instruction-set.rst of the kernel. What the verifier would refuse anyway is
 * not checked twice; what it cannot see is: a jump to a label that is not there, or that stands before it.
 */

export enum Register {
  R0,
  R1,
  R2,
  R3,
  R4,
  R5,
  R6,
  R7,
  R8,
  R9,
  /** The frame pointer: the stack is the 512 bytes below. */
  R10,
}

export enum Size {
  Word = 0x00,
  Half = 0x08,
  Byte = 0x10,
  Long = 0x18,
}

/** Unsigned. */
export enum Compare {
  Equal = 0x10,
  Above = 0x20,
  AtLeast = 0x30,
  NotEqual = 0x50,
  Below = 0xa0,
  AtMost = 0xb0,
}

export enum Operation {
  Add = 0x00,
  Subtract = 0x10,
  Multiply = 0x20,
  Or = 0x40,
  And = 0x50,
  ShiftLeft = 0x60,
  ShiftRight = 0x70,
  Xor = 0xa0,
}

/** What a call's or a load's source register says: no register, but what the value is. */
enum Pseudo {
  MapFd = 1,
  KernelFunction = 2,
}

enum Code {
  LoadImmediate64 = 0x18,
  Load = 0x61,
  StoreImmediate = 0x62,
  Store = 0x63,
  /** Of 64-bit arithmetic and jumps, and of jumps on the lower 32 bits; with FROM_REGISTER the source register, else the value. */
  Arithmetic = 0x07,
  Jump = 0x05,
  JumpWord = 0x06,
  Call = 0x85,
  Exit = 0x95,
  Set = 0xb7,
  Copy = 0xbf,
  NetworkOrder = 0xdc,
}

const FROM_REGISTER = 0x08;

/** struct bpf_insn: u8 code, u8 registers (the target low), s16 offset, s32 value. */
const INSTRUCTION_BYTES = 8;

interface Encoded {
  readonly code: number;
  readonly to?: number;
  readonly from?: number;
  readonly offset?: number;
  readonly value?: number;
  /** Where a jump goes, instead of an offset. */
  readonly target?: string;
}

export type Instruction = Encoded | { readonly label: string };

export class AssemblerError extends Error {}

/** A place for jumps from before it: loops are bounded by not being there. */
export function label(name: string): Instruction {
  return { label: name };
}

/** `to` = the `size` bytes at `from` + `offset`. */
export function load(size: Size, to: Register, from: Register, offset: number): Instruction {
  return { code: Code.Load | size, to, from, offset };
}

/** The `size` bytes at `to` + `offset` = `from`. */
export function store(size: Size, to: Register, offset: number, from: Register): Instruction {
  return { code: Code.Store | size, to, from, offset };
}

export function storeValue(size: Size, to: Register, offset: number, value: number): Instruction {
  return { code: Code.StoreImmediate | size, to, offset, value };
}

export function copy(to: Register, from: Register): Instruction {
  return { code: Code.Copy, to, from };
}

export function set(to: Register, value: number): Instruction {
  return { code: Code.Set, to, value };
}

/** `to` = `to` `operation` `value`. */
export function compute(operation: Operation, to: Register, value: number): Instruction {
  return { code: Code.Arithmetic | operation, to, value };
}

/** `to` = `to` `operation` `from`. */
export function computeWith(operation: Operation, to: Register, from: Register): Instruction {
  return { code: Code.Arithmetic | FROM_REGISTER | operation, to, from };
}

/** The low 16 or 32 bits of `register` as they stand in a packet; those above become 0. */
export function toNetworkOrder(bits: 16 | 32, register: Register): Instruction {
  return { code: Code.NetworkOrder, to: register, value: bits };
}

export function jumpIf(
  register: Register,
  compare: Compare,
  value: number,
  target: string,
): Instruction {
  return { code: Code.Jump | compare, to: register, value, target };
}

/** By the lower 32 bits: what a function of the kernel returns as an `int`. */
export function jumpIfWord(
  register: Register,
  compare: Compare,
  value: number,
  target: string,
): Instruction {
  return { code: Code.JumpWord | compare, to: register, value, target };
}

export function jumpIfRegister(
  register: Register,
  compare: Compare,
  other: Register,
  target: string,
): Instruction {
  return { code: Code.Jump | FROM_REGISTER | compare, to: register, from: other, target };
}

export function jump(target: string): Instruction {
  return { code: Code.Jump, target };
}

/** `to` = the map with this file descriptor. */
export function loadMap(to: Register, fd: number): Instruction[] {
  return [{ code: Code.LoadImmediate64, to, from: Pseudo.MapFd, value: fd }, { code: 0 }];
}

/** Calls a helper, by its number in linux/bpf.h: arguments in R1 to R5, which are lost; the result in R0. */
export function callHelper(helper: number): Instruction {
  return { code: Code.Call, value: helper };
}

/** The same with a function of the kernel, by its number in the kernel's type information (btf.ts). */
export function callKernel(typeId: number): Instruction {
  return { code: Code.Call, from: Pseudo.KernelFunction, value: typeId };
}

/** Ends the program; R0 is its verdict. */
export function exit(): Instruction {
  return { code: Code.Exit };
}

/**
 * The program as the array of struct bpf_insn that bpf(2) wants.
 * @throws AssemblerError where a jump's label is missing, doubled or behind it
 */
export function assemble(program: readonly Instruction[]): Uint8Array {
  const labels = placesOf(program);
  const encoded = program.filter((each): each is Encoded => !("label" in each));
  const bytes = new DataView(new ArrayBuffer(encoded.length * INSTRUCTION_BYTES));
  for (const [place, each] of encoded.entries()) {
    const at = place * INSTRUCTION_BYTES;
    const offset = each.target === undefined ? each.offset : distance(place, each.target, labels);
    bytes.setUint8(at, each.code);
    bytes.setUint8(at + 1, ((each.from ?? 0) << 4) | (each.to ?? 0));
    bytes.setInt16(at + 2, offset ?? 0, true);
    bytes.setInt32(at + 4, each.value ?? 0, true);
  }
  return new Uint8Array(bytes.buffer);
}

function placesOf(program: readonly Instruction[]): Map<string, number> {
  const places = new Map<string, number>();
  let place = 0;
  for (const each of program) {
    if (!("label" in each)) place++;
    else if (places.has(each.label)) throw new AssemblerError(`label ${each.label} stands twice`);
    else places.set(each.label, place);
  }
  return places;
}

function distance(place: number, target: string, labels: ReadonlyMap<string, number>): number {
  const at = labels.get(target);
  if (at === undefined) throw new AssemblerError(`a jump to ${target}, which is no label`);
  if (at <= place) throw new AssemblerError(`a jump back to ${target}`);
  return at - place - 1;
}
