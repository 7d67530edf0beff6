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
import { fileURLToPath } from "node:url";
import {
  assemble,
  Compare,
  callHelper,
  compute,
  copy,
  exit,
  type Instruction,
  jumpIf,
  label,
  load,
  Operation,
  Register,
  Size,
  set,
} from "../../host/device/bpf/assembler.js";
import { AttachType, createLink, loadProgram, ProgramType } from "../../host/device/bpf/system.js";

export const TRUNK_INDEX = 999;
export const FIRST_PORT_INDEX = 1000;

/** Numbers of helpers: linux/bpf.h. */
enum Helper {
  VlanPush = 18,
  VlanPop = 19,
  Redirect = 23,
}

/** struct __sk_buff */
enum BuffAt {
  VlanPresent = 20,
  VlanTci = 24,
  Interface = 40,
}

/** 802.1Q's EtherType as it stands in memory, on a little-endian machine. */
const TAG_TYPE = 0x0081;
/** TC_ACT_SHOT */
const DROP = 2;

const { R0, R1, R2, R3, R7 } = Register;

const FROM_PORT: readonly Instruction[] = [
  load(Size.Word, R3, R1, BuffAt.Interface),
  compute(Operation.Subtract, R3, FIRST_PORT_INDEX),
  set(R2, TAG_TYPE),
  callHelper(Helper.VlanPush),
  set(R1, TRUNK_INDEX),
  set(R2, 0),
  callHelper(Helper.Redirect),
  exit(),
];

const FROM_TRUNK: readonly Instruction[] = [
  load(Size.Word, R2, R1, BuffAt.VlanPresent),
  jumpIf(R2, Compare.NotEqual, 0, "tagged"),
  set(R0, DROP),
  exit(),
  label("tagged"),
  load(Size.Word, R7, R1, BuffAt.VlanTci),
  compute(Operation.And, R7, 0xfff),
  compute(Operation.Add, R7, FIRST_PORT_INDEX),
  callHelper(Helper.VlanPop),
  copy(R1, R7),
  set(R2, 0),
  callHelper(Helper.Redirect),
  exit(),
];

function program(name: string, instructions: readonly Instruction[]): number {
  return loadProgram("trunk", ProgramType.TrafficClass, assemble(instructions), { name });
}

function attach(fd: number, index: number): void {
  createLink(`interface ${index}`, fd, index, AttachType.TrafficIngress);
}

function run(ports: number): void {
  attach(program("from_trunk", FROM_TRUNK), TRUNK_INDEX);
  const fromPort = program("from_port", FROM_PORT);
  for (let tag = 1; tag <= ports; tag++) attach(fromPort, FIRST_PORT_INDEX + tag);
  console.log("ready");
  process.stdin.resume().on("end", () => process.exit(0));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) run(Number(process.argv[2]));
