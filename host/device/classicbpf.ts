/**
 * An assembler of classic BPF (linux/filter.h, linux/bpf_common.h), in which the kernel takes the filters and fanout
 * programs of packet sockets: instructions, labels, and jumps to them. A condition reaches 255 instructions only; one
 * that leads further goes by unconditional jumps behind it.
 */

/** Codes of struct sock_filter, by what they do. */
export enum Operation {
  LoadWord = 0x20,
  LoadHalf = 0x28,
  LoadByte = 0x30,
  LoadHalfAtX = 0x48,
  LoadByteAtX = 0x50,
  LoadImmediate = 0x00,
  /** X = 4 × the low half of a byte: the length of an IPv4 header. */
  LoadHeaderBytes = 0xb1,
  LoadXImmediate = 0x01,
  CopyToX = 0x07,
  AddX = 0x0c,
  XorX = 0xac,
  And = 0x54,
  Multiply = 0x24,
  ShiftRight = 0x74,
  Modulo = 0x94,
  Always = 0x05,
  JumpEqual = 0x15,
  JumpAbove = 0x25,
  JumpAtLeast = 0x35,
  JumpSet = 0x45,
  /** Of a filter: how many bytes of the frame to keep. */
  Return = 0x06,
  ReturnA = 0x16,
}

/** struct sock_filter: u16 code, u8 jump if true, u8 jump if false, u32 k. */
const INSTRUCTION_BYTES = 8;
/** BPF_MAXINSNS */
export const INSTRUCTIONS_MAX = 4096;
const REACH = 255;

interface Plain {
  readonly operation: Operation;
  readonly k: number;
}

/** Names a place in a program. */
export type Label = string | number;

/** The line behind a condition. */
export const NEXT: Label = "";

/** Goes on at the one label, or at the other. */
interface Jump extends Plain {
  readonly ifTrue?: Label | undefined;
  readonly ifFalse?: Label | undefined;
}

export type CodeLine = Jump | { readonly label: Label };

export function code(operation: Operation, k = 0): CodeLine {
  return { operation, k };
}

export function label(name: Label): CodeLine {
  return { label: name };
}

/** Goes on at `ifTrue` where the condition holds, else at `ifFalse`. */
export function jumpIf(
  operation: Operation,
  k: number,
  ifTrue: Label,
  ifFalse: Label = NEXT,
): CodeLine {
  return { operation, k, ifTrue, ifFalse };
}

export function jump(to: Label): CodeLine {
  return { operation: Operation.Always, k: 0, ifTrue: to };
}

/** A program that is longer than the kernel takes. */
export class ProgramTooLong extends Error {
  override readonly name = "ProgramTooLong";
}

/**
 * The program as an array of struct sock_filter.
 * @throws ProgramTooLong; RangeError when it jumps backwards or to no label
 */
export function encode(lines: readonly CodeLine[]): Uint8Array {
  const far = new Array<boolean>(lines.length).fill(false);
  for (;;) {
    const layout = new Layout(lines, far);
    if (layout.reachesAll(far)) return layout.encode();
  }
}

/** Where each line stands, when the conditions that are marked as far go by unconditional jumps. */
class Layout {
  private readonly labels = new Map<Label, number>();
  /** By line. */
  private readonly places: number[] = [];
  private readonly count: number;

  constructor(
    private readonly lines: readonly CodeLine[],
    private readonly far: readonly boolean[],
  ) {
    let next = 0;
    for (const [i, line] of lines.entries()) {
      this.places.push(next);
      if ("label" in line) this.labels.set(line.label, next);
      else next += far[i] ? 1 + jumpsOf(line) : 1;
    }
    this.count = next;
    if (next > INSTRUCTIONS_MAX) {
      throw new ProgramTooLong(`${next} instructions of BPF, ${INSTRUCTIONS_MAX} at most`);
    }
  }

  /** Whether each condition reaches where it leads; marks those as far that do not. */
  reachesAll(far: boolean[]): boolean {
    let all = true;
    for (const [i, line] of this.lines.entries()) {
      if ("label" in line || line.operation === Operation.Always || far[i]) continue;
      const from = this.places[i] ?? 0;
      const distance = Math.max(
        this.distance(from, line.ifTrue),
        this.distance(from, line.ifFalse),
      );
      if (distance <= REACH) continue;
      far[i] = true;
      all = false;
    }
    return all;
  }

  encode(): Uint8Array {
    const bytes = new DataView(new ArrayBuffer(this.count * INSTRUCTION_BYTES));
    const write = (place: number, { operation, k }: Plain, ifTrue = 0, ifFalse = 0) => {
      const at = place * INSTRUCTION_BYTES;
      bytes.setUint16(at, operation, true);
      bytes.setUint8(at + 2, ifTrue);
      bytes.setUint8(at + 3, ifFalse);
      bytes.setUint32(at + 4, k >>> 0, true);
    };
    for (const [i, line] of this.lines.entries()) {
      if ("label" in line) continue;
      const place = this.places[i] ?? 0;
      const { ifTrue, ifFalse } = line;
      if (line.operation === Operation.Always) {
        write(place, { ...line, k: this.distance(place, ifTrue) });
      } else if (this.far[i]) {
        const jumps = [ifTrue, ifFalse].filter((to) => !isNext(to));
        write(place, line, isNext(ifTrue) ? jumps.length : 0, isNext(ifTrue) ? 0 : 1);
        for (const [n, to] of jumps.entries()) {
          const from = place + 1 + n;
          write(from, { operation: Operation.Always, k: this.distance(from, to) });
        }
      } else {
        write(place, line, this.distance(place, ifTrue), this.distance(place, ifFalse));
      }
    }
    return new Uint8Array(bytes.buffer);
  }

  /** Instructions to pass over from a place to a label. */
  private distance(from: number, to: Label | undefined): number {
    if (isNext(to)) return 0;
    const place = this.labels.get(to);
    if (place === undefined || place <= from) throw new RangeError(`no way from ${from} to ${to}`);
    return place - from - 1;
  }
}

function isNext(to: Label | undefined): to is undefined | "" {
  return to === undefined || to === NEXT;
}

/** Unconditional jumps that a condition needs where it leads far: one for each way but the next line. */
function jumpsOf({ ifTrue, ifFalse }: Jump): number {
  return (isNext(ifTrue) ? 0 : 1) + (isNext(ifFalse) ? 0 : 1);
}
