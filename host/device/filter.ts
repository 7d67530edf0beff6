/**
 * The kernel's filter of one packet socket, in classic BPF (linux/filter.h, linux/bpf_common.h).
 *
 * It lets through what is addressed to one of our MACs, and broadcast ARP. A frame's outer VLAN tag has
 * been moved beside the frame before the filter sees it; a second tag is still inside.
 */
import { EtherType } from "./packet.js";

/** Above this many MACs every unicast frame is let through and the datapath tells them apart. */
export const FILTER_MACS_MAX = 64;

/** struct sock_filter: u16 code, u8 jump if true, u8 jump if false, u32 k. */
const INSTRUCTION_BYTES = 8;

enum Code {
  /** BPF_LD + BPF_W, _H, _B + BPF_ABS */
  LoadWord = 0x20,
  LoadHalf = 0x28,
  LoadByte = 0x30,
  /** BPF_JMP + BPF_JEQ, BPF_JSET + BPF_K */
  JumpEqual = 0x15,
  JumpSet = 0x45,
  /** BPF_RET + BPF_K: how many bytes of the frame to keep. */
  Return = 0x06,
}

const WHOLE_FRAME = 0x7fffffff;

type Instruction = readonly [code: Code, k: number, ifTrue?: number, ifFalse?: number];

const BROADCAST_ARP: readonly Instruction[] = [
  [Code.LoadWord, 2],
  [Code.JumpEqual, 0xffffffff, 0, 9],
  [Code.LoadHalf, 0],
  [Code.JumpEqual, 0xffff, 0, 7],
  [Code.LoadHalf, 12],
  [Code.JumpEqual, EtherType.Arp, 4, 0],
  [Code.JumpEqual, EtherType.Vlan, 1, 0],
  [Code.JumpEqual, EtherType.ServiceVlan, 0, 3],
  [Code.LoadHalf, 16],
  [Code.JumpEqual, EtherType.Arp, 0, 1],
  [Code.Return, WHOLE_FRAME],
  [Code.Return, 0],
];

/** The program as the array of struct sock_filter that SO_ATTACH_FILTER wants. */
export function buildFilter(macs: readonly Uint8Array[]): Uint8Array {
  const toUs = macs.length > FILTER_MACS_MAX ? ANY_UNICAST : macs.flatMap(toMac);
  return encode([...toUs, ...BROADCAST_ARP]);
}

const ANY_UNICAST: readonly Instruction[] = [
  [Code.LoadByte, 0],
  [Code.JumpSet, 1, 1, 0],
  [Code.Return, WHOLE_FRAME],
];

/** Compares the low four bytes first: they differ where a vendor's prefix does not. */
function toMac(mac: Uint8Array): readonly Instruction[] {
  const view = new DataView(mac.buffer, mac.byteOffset, mac.byteLength);
  return [
    [Code.LoadWord, 2],
    [Code.JumpEqual, view.getUint32(2), 0, 3],
    [Code.LoadHalf, 0],
    [Code.JumpEqual, view.getUint16(0), 0, 1],
    [Code.Return, WHOLE_FRAME],
  ];
}

function encode(program: readonly Instruction[]): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(program.length * INSTRUCTION_BYTES));
  program.forEach(([code, k, ifTrue = 0, ifFalse = 0], i) => {
    const at = i * INSTRUCTION_BYTES;
    bytes.setUint16(at, code, true);
    bytes.setUint8(at + 2, ifTrue);
    bytes.setUint8(at + 3, ifFalse);
    bytes.setUint32(at + 4, k >>> 0, true);
  });
  return new Uint8Array(bytes.buffer);
}
