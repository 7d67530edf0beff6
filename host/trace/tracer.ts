/**
 * Runs the trace build over a datapath's memory between two turns: frames go through the real pipeline, over the real
 * tables, and then every byte that was written on their way is put back (docs/adr/0028-trace.md).
 */

import { DescriptorAt, Exchange, Limit, None, Step, TraceAt } from "../../assembly/abi.js";
import { type Datapath, type Exports, instantiateTrace, type TraceModule } from "../datapath.js";

/** A frame as it is handed to a datapath. */
export interface TraceInput {
  readonly frame: Uint8Array;
  /** Index of the interface in the image; None.Short where another worker hands it over. */
  readonly interface: number;
  /** Beside that: number of its device or zone, bits of DescriptorFlag. */
  readonly place: number;
  readonly flags: number;
  /** What the worker may let a zone have before: its index, conns here and elsewhere (index.ts: `allow`). */
  readonly allowed?: { readonly zone: number; readonly conns: number; readonly elsewhere: number };
}

/** A step as the datapath told it. */
export interface RawStep {
  readonly step: Step;
  readonly verdict: number;
  /** Of abi's TraceAt. */
  readonly record: Uint8Array;
  /** Of Translate and Translated: the beginning of the packet. */
  readonly packet?: Uint8Array;
}

/** A frame that would leave. */
export interface RawOutput {
  /** Indices of the interface, None.Short for a hand-off, and of the device or worker. */
  readonly interface: number;
  readonly device: number;
  /** Of a hand-off: number of its device or zone, bits of DescriptorFlag, index of the zone that it asks about. */
  readonly place: number;
  readonly flags: number;
  readonly zone: number;
  readonly frame: Uint8Array;
}

export interface RawTrace {
  readonly steps: readonly RawStep[];
  readonly outputs: readonly RawOutput[];
  /** Those beyond what is told: fragments that waited may be many. */
  readonly moreSteps: number;
  readonly moreOutputs: number;
}

const STEPS_MAX = 64;
const OUTPUTS_MAX = 64;

/** Bytes of a packet that are told of: its headers, and the command of a gateway. */
const PACKET_BYTES = 512;

/** What is put back stands together in so many bytes. */
const LINE = 64;

export class Tracer {
  private readonly memory: Uint8Array;
  private readonly view: DataView;
  private readonly exports: Exports;
  /** By number of the line: what stood there before. */
  private readonly saved = new Map<number, Uint8Array>();
  private steps: RawStep[] = [];
  private stepCount = 0;
  /** How many bytes the last run has put back. */
  bytesRestored = 0;

  constructor(datapath: Datapath, module: TraceModule) {
    const { memory } = datapath;
    this.memory = new Uint8Array(memory.buffer);
    this.view = new DataView(memory.buffer);
    this.exports = instantiateTrace(module, memory, {
      save: (at, bytes) => this.save(at >>> 0, bytes),
      step: (step, verdict) => this.note(step, verdict),
    });
  }

  /** What becomes of the last of some frames, behind the others; the memory is as before when it returns. */
  run(inputs: readonly TraceInput[], now: number): RawTrace {
    try {
      if (this.exports.attach() === 0) throw new Error("trace: this is no datapath's memory");
      let outputs = 0;
      for (const input of inputs) outputs = this.process(input, now);
      return {
        steps: this.steps,
        outputs: Array.from({ length: Math.min(outputs, OUTPUTS_MAX) }, (_, i) => this.output(i)),
        moreSteps: this.stepCount - this.steps.length,
        moreOutputs: Math.max(0, outputs - OUTPUTS_MAX),
      };
    } finally {
      this.restore();
    }
  }

  private process({ allowed, ...input }: TraceInput, now: number): number {
    this.steps = [];
    this.stepCount = 0;
    if (allowed !== undefined) {
      this.exports.allow(allowed.zone, allowed.conns, allowed.elsewhere);
    }
    this.place(input);
    return this.exports.process(1, now);
  }

  /** Where the next image would stand nobody looks until one does. */
  private place({ frame, interface: from, place, flags }: TraceInput): void {
    const start = this.exports.imageAt() >>> 0;
    const at = start + Limit.Headroom;
    this.save(start, Limit.Headroom + frame.length);
    this.memory.set(frame, at);
    const descriptor = Exchange.Inputs;
    this.save(descriptor, DescriptorAt.Bytes);
    this.view.setUint32(descriptor + DescriptorAt.Frame, at, true);
    this.view.setUint32(descriptor + DescriptorAt.Size, frame.length, true);
    this.view.setUint16(descriptor + DescriptorAt.Interface, from, true);
    this.view.setUint16(descriptor + DescriptorAt.VlanTci, place, true);
    this.view.setUint16(descriptor + DescriptorAt.Flags, flags, true);
  }

  private note(step: Step, verdict: number): void {
    const isEnd = step === Step.Finish && this.half(Exchange.Search + TraceAt.Input) !== None.Short;
    // How the frame itself ends is told in any case: behind all that waited for it.
    if (this.stepCount++ >= STEPS_MAX && !isEnd) return;
    const record = this.copy(Exchange.Search, TraceAt.Bytes);
    const isPacket = step === Step.Translate || step === Step.Translated;
    if (!isPacket) this.steps.push({ step, verdict, record });
    else this.steps.push({ step, verdict, record, packet: this.packet() });
  }

  private packet(): Uint8Array {
    const network = this.view.getUint32(Exchange.Search + TraceAt.Network, true);
    // Of a packet that was translated, the header says how long it is.
    const bytes = this.view.getUint16(network + 2, false);
    return this.copy(network, Math.min(bytes, PACKET_BYTES));
  }

  private output(i: number): RawOutput {
    const at = Exchange.Outputs + i * DescriptorAt.Bytes;
    const half = (field: DescriptorAt) => this.half(at + field);
    const frame = this.view.getUint32(at + DescriptorAt.Frame, true);
    const bytes = this.view.getUint32(at + DescriptorAt.Size, true);
    const isHandOff = half(DescriptorAt.Interface) === None.Short;
    return {
      interface: half(DescriptorAt.Interface),
      device: half(DescriptorAt.Device),
      // Of other frames nobody writes these.
      place: isHandOff ? half(DescriptorAt.VlanTci) : 0,
      flags: isHandOff ? half(DescriptorAt.Flags) : 0,
      zone: isHandOff ? half(DescriptorAt.Input) : 0,
      frame: this.copy(frame, bytes),
    };
  }

  private half(at: number): number {
    return this.view.getUint16(at, true);
  }

  private copy(at: number, bytes: number): Uint8Array {
    return this.memory.slice(at, at + bytes);
  }

  /** Keeps what stands where something is about to be written. */
  private save(at: number, bytes: number): void {
    const last = Math.floor((at + bytes - 1) / LINE);
    for (let line = Math.floor(at / LINE); line <= last; line++) {
      if (!this.saved.has(line)) this.saved.set(line, this.copy(line * LINE, LINE));
    }
  }

  private restore(): void {
    for (const [line, bytes] of this.saved) this.memory.set(bytes, line * LINE);
    this.bytesRestored = this.saved.size * LINE;
    this.saved.clear();
  }
}
