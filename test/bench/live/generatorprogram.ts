/**
 * The generator's program: each run either makes one frame and sends it, or waits by doing nothing. It paces
 * itself, because a call from outside for every frame would cost more than the frame:
 *
 *     due      rate × time since the first run, in frames
 *     granted  frames that were sent, or that are forgiven: after a pause of the machine no more than
 *              BACKLOG frames follow at once
 *
 * Every byte of the headers is written anew each time: a page comes back as the candidate left it. The payload is
 * zeros, which nobody changes. Checksums are complete, so that nobody has to finish them.
 */

import {
  assemble,
  Compare,
  callHelper,
  compute,
  computeWith,
  copy,
  exit,
  type Instruction,
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
import { ByteAt, HEADER_BYTES, headerWords, onesSum, template } from "./frame.js";
import { addressNumber, CONNS_PER_HOST_BITS, FIRST_PORT, Helper, HOSTS } from "./plan.js";

const { R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10 } = Register;

/** Frames that may follow at once after a pause. */
const BACKLOG = 256;

/** enum xdp_action */
const DROP = 1;

/** struct xdp_md */
enum ContextAt {
  Data = 0,
  End = 4,
}

/** The map's one entry, as 64-bit words. */
export enum State {
  /** Nanoseconds of the monotonic clock; 0 until the first run. */
  Began,
  /** Nanoseconds after which nothing is sent any more. */
  Duration,
  /** Frames for each nanosecond, times 2³². */
  Rate,
  Granted,
  Sent,
  /** Runs that did nothing. */
  Idle,
  /** The next conn. */
  Conn,
  /** The next place in the pattern of sizes. */
  Place,
  Words,
}

const RATE_BITS = 32;

/** What State.Rate says for so many frames a second. */
export function rateWord(perSecond: number): bigint {
  return BigInt(Math.round((perSecond * 2 ** RATE_BITS) / 1e9));
}

export interface Traffic {
  readonly conns: number;
  /** Bytes of the frames, one after another, without the check sequence of the wire. */
  readonly sizes: readonly number[];
}

const at = (word: State) => word * 8;

/**
 * How many conns further the next frame's conn is: a golden section, so that neighbors in time are far apart in
 * tables, and without a common divisor, so that each conn comes once in a round.
 */
export function strideOf(conns: number): number {
  const divisor = (a: number, b: number): number => (b === 0 ? a : divisor(b, a % b));
  let stride = Math.max(1, Math.floor(conns * 0.618));
  while (divisor(stride, conns) !== 1) stride++;
  return stride;
}

/** R7 = the state, R6 = the context. */
function findState(map: number): Instruction[] {
  return [
    copy(R6, R1),
    storeValue(Size.Word, R10, -4, 0),
    ...loadMap(R1, map),
    copy(R2, R10),
    compute(Operation.Add, R2, -4),
    callHelper(Helper.MapLookup),
    jumpIf(R0, Compare.NotEqual, 0, "state"),
    set(R0, DROP),
    exit(),
    label("state"),
    copy(R7, R0),
  ];
}

/** Goes on only when a frame is due. */
const PACE: readonly Instruction[] = [
  callHelper(Helper.Ktime),
  load(Size.Long, R1, R7, at(State.Began)),
  jumpIf(R1, Compare.NotEqual, 0, "began"),
  store(Size.Long, R7, at(State.Began), R0),
  copy(R1, R0),
  label("began"),
  computeWith(Operation.Subtract, R0, R1),
  load(Size.Long, R2, R7, at(State.Duration)),
  jumpIfRegister(R0, Compare.AtLeast, R2, "idle"),
  load(Size.Long, R2, R7, at(State.Rate)),
  computeWith(Operation.Multiply, R0, R2),
  compute(Operation.ShiftRight, R0, RATE_BITS),
  load(Size.Long, R1, R7, at(State.Granted)),
  jumpIfRegister(R0, Compare.AtMost, R1, "idle"),
  copy(R2, R0),
  computeWith(Operation.Subtract, R2, R1),
  jumpIf(R2, Compare.AtMost, BACKLOG, "grant"),
  copy(R1, R0),
  compute(Operation.Subtract, R1, BACKLOG),
  label("grant"),
  compute(Operation.Add, R1, 1),
  store(Size.Long, R7, at(State.Granted), R1),
];

/** R9 = this frame's conn. */
function chooseConn(conns: number): Instruction[] {
  return [
    load(Size.Long, R9, R7, at(State.Conn)),
    copy(R1, R9),
    compute(Operation.Add, R1, strideOf(conns)),
    jumpIf(R1, Compare.Below, conns, "conn"),
    compute(Operation.Subtract, R1, conns),
    label("conn"),
    store(Size.Long, R7, at(State.Conn), R1),
  ];
}

/** R8 = this frame's bytes, which it is cut to. */
function chooseSize(sizes: readonly number[]): Instruction[] {
  const [usual = 0, ...others] = sizes;
  if (others.every((size) => size === usual)) return [set(R8, usual)];
  const cases = sizes.flatMap((size, place) =>
    size === usual
      ? []
      : [
          jumpIf(R1, Compare.NotEqual, place, `behind ${place}`),
          set(R8, size),
          label(`behind ${place}`),
        ],
  );
  return [
    load(Size.Long, R1, R7, at(State.Place)),
    set(R8, usual),
    ...cases,
    compute(Operation.Add, R1, 1),
    jumpIf(R1, Compare.Below, sizes.length, "place"),
    set(R1, 0),
    label("place"),
    store(Size.Long, R7, at(State.Place), R1),
    copy(R1, R6),
    copy(R2, R8),
    compute(Operation.Subtract, R2, Math.max(...sizes)),
    callHelper(Helper.XdpAdjustTail),
  ];
}

/** R6 = the frame, of which the headers are known to be there. */
const FIND_FRAME: readonly Instruction[] = [
  load(Size.Word, R2, R6, ContextAt.End),
  load(Size.Word, R6, R6, ContextAt.Data),
  copy(R1, R6),
  compute(Operation.Add, R1, HEADER_BYTES),
  jumpIfRegister(R1, Compare.Above, R2, "idle"),
];

/** What is the same in every frame. */
function writeTemplate(): Instruction[] {
  return headerWords().map((word, place) => storeValue(Size.Word, R6, place * 4, word));
}

/** R1 = `register` without what is above 16 bits, and that added: a one's complement sum. */
function fold(sum: Register, scratch: Register): Instruction[] {
  const once = [
    copy(scratch, sum),
    compute(Operation.ShiftRight, scratch, 16),
    compute(Operation.And, sum, 0xffff),
    computeWith(Operation.Add, sum, scratch),
  ];
  return [...once, ...once];
}

/** The tenant's host and its port; R3 = their part of both checksums, R4 = that of IPv4's alone. */
const WRITE_SOURCE: readonly Instruction[] = [
  copy(R1, R9),
  compute(Operation.ShiftRight, R1, CONNS_PER_HOST_BITS),
  compute(Operation.Add, R1, addressNumber(HOSTS)),
  toNetworkOrder(32, R1),
  store(Size.Word, R6, ByteAt.Source, R1),
  copy(R4, R1),
  compute(Operation.ShiftRight, R4, 16),
  compute(Operation.And, R1, 0xffff),
  computeWith(Operation.Add, R4, R1),
  copy(R3, R4),
  compute(Operation.Add, R9, FIRST_PORT),
  toNetworkOrder(16, R9),
  store(Size.Half, R6, ByteAt.SourcePort, R9),
  computeWith(Operation.Add, R3, R9),
];

/** Both lengths; a datagram's length is in UDP's checksum twice. */
const WRITE_LENGTHS: readonly Instruction[] = [
  copy(R1, R8),
  compute(Operation.Subtract, R1, ByteAt.Ip),
  toNetworkOrder(16, R1),
  store(Size.Half, R6, ByteAt.IpLength, R1),
  computeWith(Operation.Add, R4, R1),
  copy(R1, R8),
  compute(Operation.Subtract, R1, ByteAt.Udp),
  toNetworkOrder(16, R1),
  store(Size.Half, R6, ByteAt.UdpLength, R1),
  computeWith(Operation.Add, R3, R1),
  computeWith(Operation.Add, R3, R1),
];

function writeChecksums(): Instruction[] {
  const constant = onesSum();
  return [
    compute(Operation.Add, R4, constant.ip),
    ...fold(R4, R5),
    compute(Operation.Xor, R4, 0xffff),
    store(Size.Half, R6, ByteAt.IpChecksum, R4),
    compute(Operation.Add, R3, constant.udp),
    ...fold(R3, R5),
    // 0 would say that there is no checksum (RFC 768): a sum of 0xffff is written as it is.
    jumpIf(R3, Compare.Equal, 0xffff, "complement"),
    compute(Operation.Xor, R3, 0xffff),
    label("complement"),
    store(Size.Half, R6, ByteAt.UdpChecksum, R3),
  ];
}

function countOne(word: State): Instruction[] {
  return [
    load(Size.Long, R1, R7, at(word)),
    compute(Operation.Add, R1, 1),
    store(Size.Long, R7, at(word), R1),
  ];
}

export function generatorProgram(
  map: number,
  interfaceIndex: number,
  traffic: Traffic,
): Instruction[] {
  return [
    ...findState(map),
    ...PACE,
    ...chooseConn(traffic.conns),
    ...chooseSize(traffic.sizes),
    ...FIND_FRAME,
    ...writeTemplate(),
    ...WRITE_SOURCE,
    ...WRITE_LENGTHS,
    ...writeChecksums(),
    ...countOne(State.Sent),
    set(R1, interfaceIndex),
    set(R2, 0),
    callHelper(Helper.Redirect),
    exit(),
    label("idle"),
    ...countOne(State.Idle),
    set(R0, DROP),
    exit(),
  ];
}

/** The same as code, and the frame that its runs begin with: the longest. */
export function generator(map: number, interfaceIndex: number, traffic: Traffic) {
  return {
    code: assemble(generatorProgram(map, interfaceIndex, traffic)),
    frame: template(Math.max(...traffic.sizes)),
  };
}
