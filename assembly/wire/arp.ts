/** ARP (RFC 826) for IPv4 over Ethernet, the only combination there is a use for. */

import { Be, copyMac } from "./bytes";

export enum ArpOperation {
  Request = 1,
  Reply = 2,
}

enum At {
  HardwareType = 0,
  ProtocolType = 2,
  HardwareBytes = 4,
  ProtocolBytes = 5,
  Operation = 6,
  SenderMac = 8,
  SenderAddress = 14,
  TargetMac = 18,
  TargetAddress = 24,
}

const ETHERNET: u32 = 1;
const IPV4: u32 = 0x0800;
/** Lengths of the addresses, 6 and 4, as one word. */
const LENGTHS: u32 = 0x0604;

@final
@unmanaged
export class Arp {
  static readonly BYTES: u32 = 28;

  static view(at: usize): Arp {
    return changetype<Arp>(at);
  }

  /** True when every accessor stays inside `bytes` bytes. */
  fits(bytes: u32): bool {
    return bytes >= Arp.BYTES;
  }

  /** True for IPv4 over Ethernet; only then do the addresses mean anything. */
  get wellFormed(): bool {
    const at = changetype<usize>(this);
    return (
      Be.load16(at + At.HardwareType) == ETHERNET &&
      Be.load16(at + At.ProtocolType) == IPV4 &&
      Be.load16(at + At.HardwareBytes) == LENGTHS
    );
  }

  /** ArpOperation, or any other number. */
  get operation(): u32 {
    return Be.load16(changetype<usize>(this) + At.Operation);
  }

  set operation(value: u32) {
    Be.store16(changetype<usize>(this) + At.Operation, value);
  }

  /** Address of the sender's 6 bytes. */
  get senderMac(): usize {
    return changetype<usize>(this) + At.SenderMac;
  }

  get senderAddress(): u32 {
    return Be.load32(changetype<usize>(this) + At.SenderAddress);
  }

  set senderAddress(value: u32) {
    Be.store32(changetype<usize>(this) + At.SenderAddress, value);
  }

  /** Address of the target's 6 bytes. */
  get targetMac(): usize {
    return changetype<usize>(this) + At.TargetMac;
  }

  get targetAddress(): u32 {
    return Be.load32(changetype<usize>(this) + At.TargetAddress);
  }

  set targetAddress(value: u32) {
    Be.store32(changetype<usize>(this) + At.TargetAddress, value);
  }

  /** Writes a whole packet; the MACs are pointers to 6 bytes outside of it, `targetMac` 0 for all zeros. */
  static write(
    at: usize,
    operation: u32,
    senderMac: usize,
    senderAddress: u32,
    targetMac: usize,
    targetAddress: u32,
  ): void {
    const arp = changetype<Arp>(at);
    Be.store16(at + At.HardwareType, ETHERNET);
    Be.store16(at + At.ProtocolType, IPV4);
    Be.store16(at + At.HardwareBytes, LENGTHS);
    arp.operation = operation;
    copyMac(arp.senderMac, senderMac);
    arp.senderAddress = senderAddress;
    if (targetMac) copyMac(arp.targetMac, targetMac);
    else memory.fill(arp.targetMac, 0, 6);
    arp.targetAddress = targetAddress;
  }
}
