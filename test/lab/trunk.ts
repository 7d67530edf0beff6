/**
 * A VLAN switch for kernels without VLAN interfaces: two BPF programs that run where frames enter the
 * trunk's namespace (TCX, Linux 6.6). Tag N belongs to the interface with the index 1000 + N:
 *
 *     from a port    push the tag (its index − 1000), send to the trunk
 *     from the trunk pop the tag, send to the port 1000 + tag; without a tag, drop
 *
 *     node trunk.js PORTS     run inside the namespace; works until its standard input ends
 *
 * The programs go when the process goes: the links that hold them are its file descriptors.
 */
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

export const TRUNK_INDEX = 999;
export const FIRST_PORT_INDEX = 1000;

/** asm/unistd_64.h, asm-generic/unistd.h */
const SYS_BPF = process.arch === "x64" ? 321 : 280;

/** linux/bpf.h */
const Command = { ProgLoad: 5, LinkCreate: 28 };
const SCHED_CLS = 3;
const TCX_INGRESS = 46;
const Helper = { vlanPush: 18, vlanPop: 19, redirect: 23 };
/** Offsets in struct __sk_buff. */
const Buff = { vlanPresent: 20, vlanTci: 24, ifindex: 40 };
/** 802.1Q's EtherType as it stands in memory, on a little-endian machine. */
const TAG_TYPE = 0x0081;
/** TC_ACT_SHOT */
const DROP = 2;

type Instruction = [op: number, to: number, from: number, offset: number, value: number];

const load = (to: number, from: number, at: number): Instruction => [0x61, to, from, at, 0];
const move = (to: number, from: number): Instruction => [0xbf, to, from, 0, 0];
const set = (to: number, value: number): Instruction => [0xb7, to, 0, 0, value];
const add = (to: number, value: number): Instruction => [0x07, to, 0, 0, value];
const and = (to: number, value: number): Instruction => [0x57, to, 0, 0, value];
const skipUnlessZero = (of: number, count: number): Instruction => [0x55, of, 0, count, 0];
const call = (helper: number): Instruction => [0x85, 0, 0, 0, helper];
const exit: Instruction = [0x95, 0, 0, 0, 0];

const FROM_PORT: Instruction[] = [
  load(3, 1, Buff.ifindex),
  add(3, -FIRST_PORT_INDEX),
  set(2, TAG_TYPE),
  call(Helper.vlanPush),
  set(1, TRUNK_INDEX),
  set(2, 0),
  call(Helper.redirect),
  exit,
];

const FROM_TRUNK: Instruction[] = [
  load(2, 1, Buff.vlanPresent),
  skipUnlessZero(2, 2),
  set(0, DROP),
  exit,
  load(7, 1, Buff.vlanTci),
  and(7, 0xfff),
  add(7, FIRST_PORT_INDEX),
  call(Helper.vlanPop),
  move(1, 7),
  set(2, 0),
  call(Helper.redirect),
  exit,
];

function encode(program: Instruction[]): Buffer {
  const bytes = Buffer.alloc(program.length * 8);
  program.forEach(([op, to, from, offset, value], index) => {
    bytes.writeUInt8(op, index * 8);
    bytes.writeUInt8((from << 4) | to, index * 8 + 1);
    bytes.writeInt16LE(offset, index * 8 + 2);
    bytes.writeInt32LE(value, index * 8 + 4);
  });
  return bytes;
}

/** bpf(2). The attributes' layouts are those of union bpf_attr. */
class Bpf {
  private readonly koffi = createRequire(import.meta.url)("koffi") as typeof import("koffi");
  private readonly syscall = this.koffi
    .load(null)
    .func("long syscall(long number, int command, void *attributes, unsigned int bytes)");

  program(instructions: Instruction[]): number {
    const code = encode(instructions);
    const license = Buffer.from("Apache-2.0\0");
    const attributes = Buffer.alloc(72);
    attributes.writeUInt32LE(SCHED_CLS, 0);
    attributes.writeUInt32LE(instructions.length, 4);
    attributes.writeBigUInt64LE(this.koffi.address(code), 8);
    attributes.writeBigUInt64LE(this.koffi.address(license), 16);
    return this.call("load", Command.ProgLoad, attributes);
  }

  attach(program: number, index: number): number {
    const attributes = Buffer.alloc(64);
    attributes.writeUInt32LE(program, 0);
    attributes.writeUInt32LE(index, 4);
    attributes.writeUInt32LE(TCX_INGRESS, 8);
    return this.call(`attach to interface ${index}`, Command.LinkCreate, attributes);
  }

  private call(what: string, command: number, attributes: Buffer): number {
    const result = Number(this.syscall(SYS_BPF, command, attributes, attributes.length));
    if (result < 0) throw new Error(`bpf: ${what}: errno ${this.koffi.errno()}`);
    return result;
  }
}

function run(ports: number): void {
  const bpf = new Bpf();
  bpf.attach(bpf.program(FROM_TRUNK), TRUNK_INDEX);
  const fromPort = bpf.program(FROM_PORT);
  for (let tag = 1; tag <= ports; tag++) bpf.attach(fromPort, FIRST_PORT_INDEX + tag);
  console.log("ready");
  process.stdin.resume().on("end", () => process.exit(0));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) run(Number(process.argv[2]));
