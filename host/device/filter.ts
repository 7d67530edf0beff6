/**
 * The kernel's filter of one packet socket, in classic BPF (linux/filter.h, linux/bpf_common.h).
 *
 * It lets through what is addressed to one of our MACs, and broadcast ARP. A frame's outer VLAN tag has
 * been moved beside the frame before the filter sees it; a second tag is still inside.
 */
import { type CodeLine, code, encode, jumpIf, label, Operation } from "./classicbpf.js";
import { EtherType } from "./packet.js";

/** Above this many MACs every unicast frame is let through and the datapath tells them apart. */
export const FILTER_MACS_MAX = 64;

const WHOLE_FRAME = 0x7fffffff;

const BROADCAST_ARP: readonly CodeLine[] = [
  code(Operation.LoadWord, 2),
  jumpIf(Operation.JumpEqual, 0xffffffff, "", "drop"),
  code(Operation.LoadHalf, 0),
  jumpIf(Operation.JumpEqual, 0xffff, "", "drop"),
  code(Operation.LoadHalf, 12),
  jumpIf(Operation.JumpEqual, EtherType.Arp, "keep"),
  jumpIf(Operation.JumpEqual, EtherType.Vlan, "tagged"),
  jumpIf(Operation.JumpEqual, EtherType.ServiceVlan, "", "drop"),
  label("tagged"),
  code(Operation.LoadHalf, 16),
  jumpIf(Operation.JumpEqual, EtherType.Arp, "", "drop"),
  label("keep"),
  code(Operation.Return, WHOLE_FRAME),
  label("drop"),
  code(Operation.Return, 0),
];

/** The program as the array of struct sock_filter that SO_ATTACH_FILTER wants. */
export function buildFilter(macs: readonly Uint8Array[]): Uint8Array {
  const toUs = macs.length > FILTER_MACS_MAX ? ANY_UNICAST : macs.flatMap(toMac);
  return encode([...toUs, ...BROADCAST_ARP]);
}

const ANY_UNICAST: readonly CodeLine[] = [
  code(Operation.LoadByte, 0),
  jumpIf(Operation.JumpSet, 1, "", "keep"),
];

/** Compares the low four bytes first: they differ where a vendor's prefix does not. */
function toMac(mac: Uint8Array, n: number): readonly CodeLine[] {
  const view = new DataView(mac.buffer, mac.byteOffset, mac.byteLength);
  return [
    code(Operation.LoadWord, 2),
    jumpIf(Operation.JumpEqual, view.getUint32(2), "", `not ${n}`),
    code(Operation.LoadHalf, 0),
    jumpIf(Operation.JumpEqual, view.getUint16(0), "keep"),
    label(`not ${n}`),
  ];
}

/** What lets nothing through: until a socket shares what comes in with others. */
export const DROP_ALL: Uint8Array = encode([code(Operation.Return, 0)]);
