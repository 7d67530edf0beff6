/** Runs a program of classic BPF as the kernel does on a packet of a fanout group, so that it can be asked without one. */

import { Operation } from "../../host/device/classicbpf.js";

/** SKF_AD_OFF and SKF_NET_OFF of linux/filter.h. */
const ANCILLARY = 0xfffff000;
const NETWORK = 0xfff00000;

/** What the kernel knows beside the bytes from the network header on. */
export interface Steered {
  readonly protocol: number;
  /** Undefined where no tag was taken off. */
  readonly vlanTci: number | undefined;
  readonly network: Uint8Array;
}

/** What the program returns; 0, as the kernel has it, where it reads outside of the packet. */
export function runProgram(program: Uint8Array, packet: Steered): number {
  const code = new DataView(program.buffer, program.byteOffset, program.byteLength);
  const bytes = new DataView(packet.network.buffer, packet.network.byteOffset);
  const ancillary = (k: number) => {
    if (k === 0) return packet.protocol;
    if (k === 44) return packet.vlanTci ?? 0;
    return packet.vlanTci === undefined ? 0 : 1;
  };
  let a = 0;
  let x = 0;
  for (let at = 0; ; at += 8) {
    const operation: Operation = code.getUint16(at, true);
    const k = code.getUint32(at + 4, true);
    const jump = (taken: boolean) => {
      at += 8 * code.getUint8(at + (taken ? 2 : 3));
    };
    const load = (size: 1 | 2 | 4, offset: number): number | undefined => {
      const from = offset - NETWORK;
      if (from < 0 || from + size > packet.network.length) return undefined;
      if (size === 4) return bytes.getUint32(from);
      return size === 2 ? bytes.getUint16(from) : bytes.getUint8(from);
    };
    const loaded = (size: 1 | 2 | 4, offset: number) =>
      offset >= ANCILLARY ? ancillary(offset - ANCILLARY) : load(size, offset);
    let read: number | undefined = 0;
    switch (operation) {
      case Operation.LoadWord:
        read = a = loaded(4, k) ?? Number.NaN;
        break;
      case Operation.LoadHalf:
        read = a = loaded(2, k) ?? Number.NaN;
        break;
      case Operation.LoadByte:
        read = a = loaded(1, k) ?? Number.NaN;
        break;
      case Operation.LoadHalfAtX:
        read = a = load(2, k + x) ?? Number.NaN;
        break;
      case Operation.LoadByteAtX:
        read = a = load(1, k + x) ?? Number.NaN;
        break;
      case Operation.LoadHeaderBytes:
        read = x = 4 * ((load(1, k) ?? Number.NaN) & 15);
        break;
      case Operation.LoadImmediate:
        a = k;
        break;
      case Operation.LoadXImmediate:
        x = k;
        break;
      case Operation.CopyToX:
        x = a;
        break;
      case Operation.AddX:
        a = (a + x) >>> 0;
        break;
      case Operation.XorX:
        a = (a ^ x) >>> 0;
        break;
      case Operation.And:
        a = (a & k) >>> 0;
        break;
      case Operation.Multiply:
        a = Math.imul(a, k) >>> 0;
        break;
      case Operation.ShiftRight:
        a = a >>> k;
        break;
      case Operation.Modulo:
        a = a % k;
        break;
      case Operation.Always:
        at += 8 * k;
        break;
      case Operation.JumpEqual:
        jump(a === k);
        break;
      case Operation.JumpAbove:
        jump(a > k);
        break;
      case Operation.JumpAtLeast:
        jump(a >= k);
        break;
      case Operation.JumpSet:
        jump((a & k) !== 0);
        break;
      case Operation.Return:
        return k;
      case Operation.ReturnA:
        return a;
      default:
        throw new Error(`no instruction ${operation}`);
    }
    if (Number.isNaN(read)) return 0;
  }
}
