/**
 * The XDP program of an interface: what is addressed to one of our MACs goes to the AF_XDP socket of its queue,
 * everything else on to the kernel, broadcast ARP and frames that no chunk holds included; those come to us by the
 * packet socket beside.
 *
 * XDP does not see a VLAN tag that travels beside its frame: on a virtual cable a sender's kernel leaves it there. A
 * frame without its tag would be another tenant's. So the program asks the driver for it
 * (bpf_xdp_metadata_rx_vlan_tag, Linux 6.8) and writes the answer in front of the frame:
 *
 *     u16 EtherType of the tag as on the wire, 0 for no tag | u16 tag control information | frame …
 *
 * Unless the driver says that there is one, or that there is none, the frame is passed on to the kernel, which knows.
 */
import {
  assemble,
  Compare,
  callHelper,
  callKernel,
  compute,
  copy,
  exit,
  type Instruction,
  jump,
  jumpIfRegister,
  jumpIfWord,
  label,
  load,
  loadMap,
  Operation,
  Register,
  Size,
  set,
  store,
  storeValue,
} from "./bpf/assembler.js";

/** Numbers of helpers: linux/bpf.h. */
enum Helper {
  RedirectMap = 51,
  AdjustMetadata = 54,
}

/** struct xdp_md */
enum ContextAt {
  Data = 0,
  DataEnd = 4,
  Metadata = 8,
  ReceiveQueue = 16,
}

/** XDP_PASS; also what bpf_redirect_map is to do where the queue has no socket. */
const PASS = 2;

/** What drivers answer where a frame has no tag: ENODATA, and EINVAL by veth. */
const ENODATA = 61;
const EINVAL = 22;
const ETHERNET_BYTES = 14;

/** On the stack: what the driver says of the tag, two u16. */
const TAG_AT = -8;

/** More MACs than this are not compared one by one. */
export const XDP_MACS_MAX = 64;

const { R0, R1, R2, R3, R4, R6, R7, R8, R9, R10 } = Register;

export interface XdpProgramOptions {
  readonly macs: readonly Uint8Array[];
  /** Frames above this are the kernel's. */
  readonly frameBytesMax: number;
  /** File descriptor of the map of sockets, by queue. */
  readonly sockets: number;
  /** The kernel's number of bpf_xdp_metadata_rx_vlan_tag. */
  readonly tagFunction: number;
}

export function buildXdpProgram(options: XdpProgramOptions): Uint8Array {
  const { macs, frameBytesMax, sockets, tagFunction } = options;
  return assemble([
    copy(R6, R1),
    load(Size.Word, R7, R6, ContextAt.Data),
    load(Size.Word, R8, R6, ContextAt.DataEnd),
    copy(R0, R7),
    compute(Operation.Add, R0, ETHERNET_BYTES),
    jumpIfRegister(R0, Compare.Above, R8, "pass"),
    copy(R0, R7),
    compute(Operation.Add, R0, frameBytesMax + 1),
    jumpIfRegister(R0, Compare.AtMost, R8, "pass"),
    load(Size.Half, R2, R7, 0),
    load(Size.Half, R3, R7, 2),
    load(Size.Half, R4, R7, 4),
    ...macs.flatMap(compareMac),
    jump("pass"),
    label("ours"),
    ...readTag(tagFunction),
    ...loadMap(R1, sockets),
    load(Size.Word, R2, R6, ContextAt.ReceiveQueue),
    set(R3, PASS),
    callHelper(Helper.RedirectMap),
    exit(),
    label("pass"),
    set(R0, PASS),
    exit(),
  ]);
}

/** The destination stands in R2 to R4, each half in the machine's order. */
function compareMac(mac: Uint8Array, n: number): Instruction[] {
  const halves = new DataView(mac.buffer, mac.byteOffset, mac.byteLength);
  const half = (at: number) => halves.getUint16(at, true);
  return [
    jumpIfWord(R4, Compare.NotEqual, half(4), `not ${n}`),
    jumpIfWord(R3, Compare.NotEqual, half(2), `not ${n}`),
    jumpIfWord(R2, Compare.Equal, half(0), "ours"),
    label(`not ${n}`),
  ];
}

/** Makes room in front of the frame and writes the word there. */
function readTag(tagFunction: number): Instruction[] {
  return [
    storeValue(Size.Word, R10, TAG_AT, 0),
    copy(R1, R6),
    copy(R2, R10),
    compute(Operation.Add, R2, TAG_AT),
    copy(R3, R10),
    compute(Operation.Add, R3, TAG_AT + 2),
    callKernel(tagFunction),
    set(R9, 0),
    jumpIfWord(R0, Compare.Equal, -ENODATA, "untagged"),
    jumpIfWord(R0, Compare.Equal, -EINVAL, "untagged"),
    jumpIfWord(R0, Compare.NotEqual, 0, "pass"),
    load(Size.Word, R9, R10, TAG_AT),
    label("untagged"),
    copy(R1, R6),
    set(R2, -4),
    callHelper(Helper.AdjustMetadata),
    jumpIfWord(R0, Compare.NotEqual, 0, "pass"),
    load(Size.Word, R2, R6, ContextAt.Metadata),
    load(Size.Word, R3, R6, ContextAt.Data),
    copy(R4, R2),
    compute(Operation.Add, R4, 4),
    jumpIfRegister(R4, Compare.Above, R3, "pass"),
    store(Size.Word, R2, 0, R9),
  ];
}
