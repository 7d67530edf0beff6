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
  LoadXFromMemory = 0x61,
  Store = 0x02,
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
const INSTRUCTIONS_MAX = 4096;
const REACH = 255;

interface Plain {
  readonly operation: Operation;
  readonly k: number;
}

/** Goes on at the one label, or at the other; where that is left out, with the next line. */
interface Jump extends Plain {
  readonly ifTrue?: string | undefined;
  readonly ifFalse?: string | undefined;
}

export type CodeLine = Jump | { readonly label: string };

export function code(operation: Operation, k = 0): CodeLine {
  return { operation, k };
}

export function label(name: string): CodeLine {
  return { label: name };
}

/** Goes on at `ifTrue` where the condition holds, else at `ifFalse`; "" means the next line. */
export function jumpIf(
  operation: Operation,
  k: number,
  ifTrue: string,
  ifFalse: string = "",
): CodeLine {
  return { operation, k, ifTrue, ifFalse };
}

export function jump(to: string): CodeLine {
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
  const long = new Set<CodeLine>();
  for (;;) {
    const layout = new Layout(lines, long);
    const far = lines.filter((line) => !long.has(line) && layout.isTooFar(line));
    if (far.length === 0) return layout.encode();
    for (const line of far) long.add(line);
  }
}

/** Where each line stands, when some conditions go by unconditional jumps. */
class Layout {
  private readonly labels = new Map<string, number>();
  private readonly places = new Map<CodeLine, number>();
  private readonly count: number;

  constructor(
    private readonly lines: readonly CodeLine[],
    private readonly long: ReadonlySet<CodeLine>,
  ) {
    let next = 0;
    for (const line of lines) {
      if ("label" in line) this.labels.set(line.label, next);
      else {
        this.places.set(line, next);
        next += long.has(line) ? 3 : 1;
      }
    }
    this.count = next;
    if (next > INSTRUCTIONS_MAX) {
      throw new ProgramTooLong(`${next} instructions of BPF, ${INSTRUCTIONS_MAX} at most`);
    }
  }

  isTooFar(line: CodeLine): boolean {
    if ("label" in line || line.operation === Operation.Always) return false;
    const from = this.placeOf(line);
    return this.distance(from, line.ifTrue) > REACH || this.distance(from, line.ifFalse) > REACH;
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
    for (const line of this.lines) {
      if ("label" in line) continue;
      const place = this.placeOf(line);
      const { ifTrue, ifFalse } = line;
      if (line.operation === Operation.Always) {
        write(place, { ...line, k: this.distance(place, ifTrue) });
      } else if (this.long.has(line)) {
        const always = Operation.Always;
        write(place, line, 0, 1);
        write(place + 1, { operation: always, k: this.distance(place + 1, ifTrue, 1) });
        write(place + 2, { operation: always, k: this.distance(place + 2, ifFalse) });
      } else {
        write(place, line, this.distance(place, ifTrue), this.distance(place, ifFalse));
      }
    }
    return new Uint8Array(bytes.buffer);
  }

  private placeOf(line: CodeLine): number {
    return this.places.get(line) ?? 0;
  }

  /** Instructions to pass over from a place to a label; `next` of them to the next line. */
  private distance(from: number, to: string | undefined, next = 0): number {
    if (to === undefined || to === "") return next;
    const place = this.labels.get(to);
    if (place === undefined || place <= from) throw new RangeError(`no way from ${from} to ${to}`);
    return place - from - 1;
  }
}
