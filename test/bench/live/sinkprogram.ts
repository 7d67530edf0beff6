/**
 * The programs at the server's end, where frames enter its namespace (TCX, Linux 6.6). There and not in XDP: of a
 * frame that comes from a socket XDP makes a copy first, and the candidate's core would pay for it; here each
 * frame costs the same, whoever sent it.
 *
 *     sink  checks, counts and drops
 *     echo  sends what comes for the port of echo back where it came from, and drops the rest
 */

import {
  Compare,
  callHelper,
  compute,
  computeWith,
  copy,
  exit,
  type Instruction,
  jumpIf,
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
} from "../../../host/device/bpf/assembler.js";
import { ByteAt, ETHERTYPE_ARP, ETHERTYPE_IPV4, PROTOCOL_UDP } from "./frame.js";
import { addressNumber, DISCARD_PORT, ECHO_PORT, EXTERNAL, Helper, SERVER } from "./plan.js";

const { R0, R1, R2, R3, R4, R5, R6, R7, R8, R10 } = Register;

/** TCX_DROP, linux/bpf.h */
const DROP = 2;

/** What a frame was taken for: the words of the map's one entry. */
export enum Seen {
  /** Of the external address, for the server, with checksums that are right. */
  Right,
  /** No UDP over IPv4. */
  OtherProtocol,
  WrongSource,
  WrongDestination,
  WrongChecksum,
  /** Nobody's fault: a kernel may ask for its neighbors. */
  Arp,
  Words,
}

/** The stack's bytes that hold the headers: words of IPv4 and UDP must stand on multiples of 4. */
const HEADERS_AT = -46;
const KEY_AT = -52;

/** struct __sk_buff */
const BUFF_INTERFACE_AT = 40;

/** A number of the wire as a little-endian load sees it. */
function loaded16(value: number): number {
  return ((value & 0xff) << 8) | (value >> 8);
}

function loaded32(value: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, value);
  return view.getInt32(0, true);
}

/** R6 = the frame; its headers, which need not be in one piece, are copied to the stack. */
const READ_HEADERS: readonly Instruction[] = [
  copy(R6, R1),
  set(R2, 0),
  copy(R3, R10),
  compute(Operation.Add, R3, HEADERS_AT),
  set(R4, ByteAt.Payload),
  callHelper(Helper.SkbLoadBytes),
];

function loadHeader(size: Size, to: Register, at: ByteAt): Instruction {
  return load(size, to, R10, HEADERS_AT + at);
}

/** Counts the frame as of this kind when the header is another. */
function expectWord(at: ByteAt, value: number, kind: Seen): Instruction[] {
  return [
    set(R7, kind),
    loadHeader(Size.Word, R1, at),
    jumpIfWord(R1, Compare.NotEqual, loaded32(value), "count"),
  ];
}

/** R8 += the halves from one offset to another. */
function sumHalves(from: ByteAt, to: ByteAt): Instruction[] {
  const halves: Instruction[] = [];
  for (let at = from; at < to; at += 2) {
    halves.push(loadHeader(Size.Half, R1, at), computeWith(Operation.Add, R8, R1));
  }
  return halves;
}

/** A sum of ones' complements is 0xffff where the checksum among them is right. */
const EXPECT_ALL_ONES: readonly Instruction[] = [1, 2].flatMap(() => [
  copy(R1, R8),
  compute(Operation.ShiftRight, R1, 16),
  compute(Operation.And, R8, 0xffff),
  computeWith(Operation.Add, R8, R1),
]);

const EXPECT_CHECKSUMS: readonly Instruction[] = [
  set(R7, Seen.WrongChecksum),
  set(R8, 0),
  ...sumHalves(ByteAt.Ip, ByteAt.Udp),
  ...EXPECT_ALL_ONES,
  jumpIf(R8, Compare.NotEqual, 0xffff, "count"),
  // The payload is zeros.
  set(R8, PROTOCOL_UDP << 8),
  ...sumHalves(ByteAt.Source, ByteAt.Payload),
  loadHeader(Size.Half, R1, ByteAt.UdpLength),
  computeWith(Operation.Add, R8, R1),
  ...EXPECT_ALL_ONES,
  jumpIf(R8, Compare.NotEqual, 0xffff, "count"),
];

/** Adds 1 to the word of R7's kind. */
function countKind(map: number): Instruction[] {
  return [
    label("count"),
    storeValue(Size.Word, R10, KEY_AT, 0),
    ...loadMap(R1, map),
    copy(R2, R10),
    compute(Operation.Add, R2, KEY_AT),
    callHelper(Helper.MapLookup),
    jumpIf(R0, Compare.Equal, 0, "drop"),
    compute(Operation.ShiftLeft, R7, 3),
    computeWith(Operation.Add, R0, R7),
    load(Size.Long, R1, R0, 0),
    compute(Operation.Add, R1, 1),
    store(Size.Long, R0, 0, R1),
  ];
}

const DROP_IT: readonly Instruction[] = [label("drop"), set(R0, DROP), exit()];

export function sinkProgram(map: number): Instruction[] {
  return [
    ...READ_HEADERS,
    set(R7, Seen.Arp),
    loadHeader(Size.Half, R1, ByteAt.EtherType),
    jumpIf(R1, Compare.Equal, loaded16(ETHERTYPE_ARP), "count"),
    set(R7, Seen.OtherProtocol),
    jumpIf(R0, Compare.NotEqual, 0, "count"),
    jumpIf(R1, Compare.NotEqual, loaded16(ETHERTYPE_IPV4), "count"),
    loadHeader(Size.Byte, R1, ByteAt.Protocol),
    jumpIf(R1, Compare.NotEqual, PROTOCOL_UDP, "count"),
    ...expectWord(ByteAt.Source, addressNumber(EXTERNAL), Seen.WrongSource),
    ...expectWord(ByteAt.Destination, addressNumber(SERVER), Seen.WrongDestination),
    loadHeader(Size.Half, R1, ByteAt.DestinationPort),
    jumpIf(R1, Compare.NotEqual, loaded16(DISCARD_PORT), "count"),
    ...EXPECT_CHECKSUMS,
    set(R7, Seen.Right),
    ...countKind(map),
    ...DROP_IT,
  ];
}

/** Exchanges two fields of the headers on the stack. */
function exchange(size: Size, one: number, other: number): Instruction[] {
  return [
    load(size, R1, R10, HEADERS_AT + one),
    load(size, R2, R10, HEADERS_AT + other),
    store(size, R10, HEADERS_AT + one, R2),
    store(size, R10, HEADERS_AT + other, R1),
  ];
}

/** Changes no checksum: what is exchanged is in the same sum. */
export function echoProgram(): Instruction[] {
  return [
    ...READ_HEADERS,
    jumpIf(R0, Compare.NotEqual, 0, "drop"),
    loadHeader(Size.Half, R1, ByteAt.EtherType),
    jumpIf(R1, Compare.NotEqual, loaded16(ETHERTYPE_IPV4), "drop"),
    loadHeader(Size.Byte, R1, ByteAt.Protocol),
    jumpIf(R1, Compare.NotEqual, PROTOCOL_UDP, "drop"),
    loadHeader(Size.Half, R1, ByteAt.DestinationPort),
    jumpIf(R1, Compare.NotEqual, loaded16(ECHO_PORT), "drop"),
    load(Size.Word, R8, R6, BUFF_INTERFACE_AT),
    ...[0, 2, 4].flatMap((at) => exchange(Size.Half, at, 6 + at)),
    ...exchange(Size.Word, ByteAt.Source, ByteAt.Destination),
    ...exchange(Size.Half, ByteAt.SourcePort, ByteAt.DestinationPort),
    copy(R1, R6),
    set(R2, 0),
    copy(R3, R10),
    compute(Operation.Add, R3, HEADERS_AT),
    set(R4, ByteAt.UdpLength),
    set(R5, 0),
    callHelper(Helper.SkbStoreBytes),
    copy(R1, R8),
    set(R2, 0),
    callHelper(Helper.Redirect),
    exit(),
    ...DROP_IT,
  ];
}
