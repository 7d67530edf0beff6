/**
 * The way of a traced frame over several workers: where one hands it on, the next one goes on with it, as
 * host/workers/handoff.ts would let it.
 */

import { DescriptorFlag, None, Reason, Step, TraceAt } from "../../assembly/abi.js";
import type { RawOutput, RawTrace, TraceInput } from "./tracer.js";

/** What one worker does with a frame. */
export interface Hop {
  readonly worker: number;
  readonly trace: RawTrace;
  /** Not with the traced one, but with what waited for it, or with ARP that all workers hear. */
  readonly isAside: boolean;
}

/** A whole way, and how many frames were handed on that were not followed any more. */
export interface Way {
  readonly hops: readonly Hop[];
  readonly left: number;
}

/** What a worker is asked: what becomes of the last of some frames, behind the others. */
export interface Leg {
  readonly inputs: readonly TraceInput[];
  /** By the place of the input: index of the zone for which more conns are asked for before it. */
  readonly asks: readonly (number | undefined)[];
}

export interface Question {
  readonly worker: number;
  readonly leg: Leg;
}

/** Frames that are followed: fragments that waited may be many. */
const HOPS_MAX = 64;

/** What becomes of a frame that a worker receives: yields whom to ask for what, takes the answers. */
export function* follow(receiver: number, first: TraceInput): Generator<Question, Way, RawTrace> {
  const hops: Hop[] = [];
  // Where a worker gets another frame, it has already done what it did with those before.
  const legs = new Map<number, Leg>();
  const waiting: Next[] = [{ worker: receiver, input: first, asks: undefined, isAside: false }];
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    if (hops.length === HOPS_MAX) return { hops, left: waiting.length + 1 };
    const { worker, input, asks, isAside }: Next = next;
    const before = legs.get(worker) ?? { inputs: [], asks: [] };
    const leg = { inputs: [...before.inputs, input], asks: [...before.asks, asks] };
    legs.set(worker, leg);
    const trace: RawTrace = yield { worker, leg };
    hops.push({ worker, trace, isAside });
    waiting.push(...handedOn(worker, trace, isAside));
  }
  return { hops, left: 0 };
}

interface Next {
  readonly worker: number;
  readonly input: TraceInput;
  readonly asks: number | undefined;
  readonly isAside: boolean;
}

/** The frame itself, where it is another worker's, before what waited for it; or ARP that all others hear. */
function handedOn(worker: number, trace: RawTrace, isAside: boolean): Next[] {
  const goesOn = !isAside && endOf(trace) === Reason.HandedOff;
  return trace.outputs.filter(isHandOff).map((output, i) => {
    const { device, frame, place, flags, zone } = output;
    const asks = device === worker && (flags & DescriptorFlag.Asked) !== 0 ? zone : undefined;
    const input = { frame, interface: None.Short, place, flags };
    return { worker: device, input, asks, isAside: !goesOn || i > 0 };
  });
}

export function isHandOff(output: RawOutput): boolean {
  return output.interface === None.Short;
}

/** The Reason, or abi's Verdict, that the frame itself ends with; undefined where that was not told. */
export function endOf({ steps }: RawTrace): number | undefined {
  return steps.find(({ step, record }) => {
    const input = new DataView(record.buffer, record.byteOffset).getUint16(TraceAt.Input, true);
    return step === Step.Finish && input !== None.Short;
  })?.verdict;
}
