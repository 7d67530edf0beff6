/** A trace as people and programs read it: each step with its verdict and what it found, in the order taken. */

import {
  DescriptorFlag,
  None,
  Reason,
  Step,
  TraceAt,
  TupleIs,
  Verdict,
} from "../../assembly/abi.js";
import { formatAddress } from "../config/address.js";
import type { Config } from "../config/model.js";
import { type ConnView, protocolName, readConn } from "../telemetry/conn.js";
import { type NeighborView, readNeighbor } from "../telemetry/neighbor.js";
import { type Change, changesOf } from "./change.js";
import type { RawOutput, RawStep } from "./tracer.js";
import { endOf, type Hop, isHandOff, type Way } from "./way.js";

export interface TraceTuple {
  readonly zone: number;
  readonly protocol: string;
  readonly source: string;
  readonly sourcePort: number;
  readonly destination: string;
  readonly destinationPort: number;
}

/** What a step found out; what it says nothing of is left out. */
export interface TraceDetails {
  readonly device?: string;
  readonly tuple?: TraceTuple;
  /** Bytes of the IPv4 packet. */
  readonly bytes?: number;
  readonly conn?: ConnView;
  readonly direction?: "original" | "reply";
  /** The flow that speaks for it, where in the configuration it comes from, and the pool that it names. */
  readonly flow?: string;
  readonly origin?: string;
  readonly pool?: string;
  /** The flow of the second pass, over those that match +tracked. */
  readonly tracked?: string;
  readonly neighbor?: NeighborView;
  readonly changes?: readonly Change[];
}

export interface TraceStep {
  readonly worker: number;
  /** `parse`, `lookup`, `claim`, `datagram`, `recall`, `decide`, `route`, `follow`, `translate`, `serve`, `finish` */
  readonly step: string;
  /** `continue`, `local`, `heard`, or the name of a Reason. */
  readonly verdict: string;
  readonly text: string;
  /** Not of the traced frame: of a fragment that has waited for it, or of ARP that another worker hears. */
  readonly aside: boolean;
  readonly details: TraceDetails;
}

export interface TraceFrame {
  readonly worker: number;
  /** The device that it leaves by; of a frame for another worker undefined. */
  readonly device: string | undefined;
  readonly hex: string;
}

export interface Trace {
  /** How the frame ends: the name of a Reason. */
  readonly verdict: string;
  readonly steps: readonly TraceStep[];
  /** What would leave, in order: the frame, its fragments, ARP requests, ICMP errors, fragments that waited for it. */
  readonly frames: readonly TraceFrame[];
  /** Steps and frames that are not told, since there are too many. */
  readonly moreSteps: number;
  readonly moreFrames: number;
}

/** @param config  the one in force when it was traced */
export function readTrace({ hops, left }: Way, config: Config): Trace {
  const last = hops.findLast(({ isAside }) => !isAside);
  const end = last === undefined ? undefined : endOf(last.trace);
  const sum = (count: (hop: Hop) => number) => hops.reduce((all, hop) => all + count(hop), 0);
  return {
    verdict: end === undefined ? "" : verdictName(end),
    steps: hops.flatMap((hop) => stepsOf(hop, config)),
    frames: hops.flatMap(({ worker, trace }) =>
      trace.outputs
        .filter((output) => !isFollowed(output))
        .map((output) => readFrame(output, worker, config)),
    ),
    moreSteps: sum(({ trace }) => trace.moreSteps),
    moreFrames: sum(({ trace }) => trace.moreOutputs) + left,
  };
}

/** What another worker goes on with is told as its steps, not as a frame. */
function isFollowed(output: RawOutput): boolean {
  return isHandOff(output);
}

function readFrame(output: RawOutput, worker: number, config: Config): TraceFrame {
  const device = config.devices[output.device]?.name;
  return { worker, device, hex: Buffer.from(output.frame).toString("hex") };
}

export function verdictName(verdict: number): string {
  if (verdict === Verdict.Continue) return "continue";
  if (verdict === Verdict.Local) return "local";
  if (verdict === Verdict.Heard) return "heard";
  return Reason[verdict] ?? String(verdict);
}

function stepsOf({ worker, trace, isAside }: Hop, config: Config): TraceStep[] {
  const steps: TraceStep[] = [];
  let found = false;
  let before: RawStep | undefined;
  for (const raw of trace.steps) {
    const view = new Told(raw, config);
    if (raw.step === Step.Lookup) found = view.handle !== undefined;
    // One step to whoever reads it; what it changes is known behind it.
    if (raw.step === Step.Translate) {
      before = raw;
      continue;
    }
    const changes = raw.step === Step.Translated ? changesOf(before?.packet, raw.packet) : [];
    const { verdict, step } = raw;
    steps.push({
      worker,
      step: nameOf(step),
      verdict: verdictName(verdict),
      text: textOf(view, found, changes, worker, trace.outputs),
      aside: isAside || view.hasWaited,
      details: detailsOf(view, changes),
    });
  }
  return steps;
}

function nameOf(step: Step): string {
  return step === Step.Translated ? "translate" : (Step[step] ?? String(step)).toLowerCase();
}

/** A step with names for what it is about. */
class Told {
  readonly step: Step;
  readonly verdict: number;
  private readonly record: DataView;

  constructor(
    raw: RawStep,
    private readonly config: Config,
  ) {
    const { buffer, byteOffset, byteLength } = raw.record;
    this.step = raw.step;
    this.verdict = raw.verdict;
    this.record = new DataView(buffer, byteOffset, byteLength);
  }

  private half(at: TraceAt): number {
    return this.record.getUint16(at, true);
  }
  private word(at: TraceAt): number {
    return this.record.getUint32(at, true);
  }
  private inner(at: TraceAt): DataView {
    return new DataView(this.record.buffer, this.record.byteOffset + at);
  }

  /** Undefined without a conn. */
  get handle(): number | undefined {
    const handle = this.word(TraceAt.Handle);
    return handle === None.Word >>> 0 ? undefined : handle;
  }
  get hasWaited(): boolean {
    return this.half(TraceAt.Input) === None.Short;
  }
  get bytes(): number {
    return this.half(TraceAt.TotalBytes);
  }
  get goesOn(): boolean {
    return this.verdict === Verdict.Continue;
  }

  get device(): string | undefined {
    return this.config.devices[this.half(TraceAt.Device)]?.name;
  }
  get zone(): string {
    const zone = this.half(TraceAt.Zone);
    const { name = "" } = this.config.zones.find(({ id }) => id === zone) ?? {};
    return `zone ${zone} (${name})`;
  }
  get tupleIs(): TupleIs {
    return this.record.getUint8(TraceAt.TupleIs);
  }
  get tuple(): TraceTuple | undefined {
    if (this.tupleIs === TupleIs.Unknown) return undefined;
    return {
      zone: this.half(TraceAt.Zone),
      protocol: protocolName(this.record.getUint8(TraceAt.Protocol)),
      source: formatAddress(this.word(TraceAt.Source)),
      sourcePort: this.half(TraceAt.SourcePort),
      destination: formatAddress(this.word(TraceAt.Destination)),
      destinationPort: this.half(TraceAt.DestinationPort),
    };
  }

  get direction(): "original" | "reply" {
    return ((this.handle ?? 0) & 1) === 0 ? "original" : "reply";
  }
  get conn(): ConnView | undefined {
    return this.handle === undefined ? undefined : readConn(this.inner(TraceAt.Conn));
  }
  get flow() {
    return this.config.flows[this.half(TraceAt.Flow)];
  }
  get tracked() {
    return this.config.flows[this.half(TraceAt.Tracked)];
  }
  get pool(): string | undefined {
    const { action } = this.flow ?? {};
    return action?.kind === "masquerade" ? action.pool.name : undefined;
  }
  /** Undefined where it goes round to another worker. */
  get neighbor(): NeighborView | undefined {
    return readNeighbor(this.inner(TraceAt.Neighbor), this.config);
  }
}

/** Which details a step has. */
function detailsOf(view: Told, changes: readonly Change[]): TraceDetails {
  const { tuple, device, bytes, conn, direction, flow, pool, tracked } = view;
  const connPart = conn === undefined ? {} : { conn, direction };
  switch (view.step) {
    case Step.Parse:
      return {
        ...(device === undefined ? {} : { device }),
        ...(tuple === undefined ? {} : { tuple, bytes }),
      };
    case Step.Lookup:
    case Step.Follow:
      return connPart;
    case Step.Recall:
    case Step.Decide: {
      const flowPart = flow === undefined ? {} : { flow: flow.text, origin: flow.origin };
      const poolPart = pool === undefined ? {} : { pool };
      const second = tracked === undefined ? {} : { tracked: tracked.text };
      return { ...flowPart, ...poolPart, ...second, ...(view.goesOn ? connPart : {}) };
    }
    case Step.Route: {
      const neighbor = view.goesOn ? view.neighbor : undefined;
      return neighbor === undefined ? {} : { neighbor };
    }
    case Step.Translated: {
      const { neighbor } = view;
      return neighbor === undefined ? { changes } : { changes, neighbor };
    }
    default:
      return {};
  }
}

function carried({ tuple, tupleIs }: Told): string {
  if (tuple === undefined) return "ARP";
  const { protocol, source, sourcePort, destination, destinationPort } = tuple;
  if (tupleIs === TupleIs.Portless) return `a fragment, ${protocol} ${source} → ${destination}`;
  if (/^\d/.test(protocol)) return `protocol ${protocol} ${source} → ${destination}`;
  const ends = `${protocol} ${source}:${sourcePort} → ${destination}:${destinationPort}`;
  return tupleIs === TupleIs.Quoted ? `an ICMP error, which goes as ${ends}` : ends;
}

function textOf(
  view: Told,
  found: boolean,
  changes: readonly Change[],
  worker: number,
  outputs: readonly RawOutput[],
): string {
  const { conn, direction, flow, pool, neighbor } = view;
  const ends = view.goesOn ? "" : `: ${verdictName(view.verdict)}`;
  switch (view.step) {
    case Step.Parse:
      if (!view.goesOn) return `the frame is not taken in${ends}`;
      return `${view.device ?? "turned round"}, ${view.zone}: ${carried(view)}`;
    case Step.Lookup:
      return conn === undefined
        ? "no conn has this tuple"
        : `a conn, ${conn.phase}, ${direction} direction`;
    case Step.Claim:
      return view.goesOn ? `this worker's, ${worker}` : `another worker's${ends}`;
    case Step.Datagram:
      return view.goesOn ? "a fragment that goes on" : `a fragment${ends}`;
    case Step.Recall:
      return `as its conn remembers: ${flow?.text ?? "no flow"}${ends}`;
    case Step.Decide: {
      const by = flow === undefined ? "no flow" : `${flow.origin}: ${flow.text}`;
      if (!view.goesOn || conn === undefined) return `${by}${ends}`;
      const { source, sourcePort, destination, destinationPort } = conn.reply;
      const made = found ? "its conn goes on" : "a conn begins";
      const from = pool === undefined ? "" : ` from pool ${pool}`;
      return `${by}; ${made}, answered as ${source}:${sourcePort} → ${destination}:${destinationPort}${from}`;
    }
    case Step.Route:
      if (!view.goesOn) return `no way out${ends}`;
      if (neighbor === undefined) return "round to the worker of an external address";
      return `by ${neighbor.device} to ${neighbor.address}, ${neighbor.mac ?? "whose MAC is not known"} (${neighbor.state})`;
    case Step.Follow:
      return `its conn: ${conn?.phase ?? "none"}, expires in ${conn?.expiresInMs ?? 0} ms${ends}`;
    case Step.Translated:
      return changes.length === 0
        ? "nothing changes"
        : changes.map(({ field, before, after }) => `${field} ${before} → ${after}`).join(", ");
    case Step.Serve:
      return "for the router itself";
    default:
      return endText(view, outputs);
  }
}

function endText({ verdict }: Told, outputs: readonly RawOutput[]): string {
  const left = outputs.filter((output) => !isHandOff(output)).length;
  const frames = left === 1 ? "1 frame leaves" : `${left} frames leave`;
  if (verdict !== Reason.HandedOff) return `${verdictName(verdict)}; ${frames}`;
  const to = outputs.find(isHandOff);
  if (to === undefined) return verdictName(verdict);
  const asks = (to.flags & DescriptorFlag.Asked) !== 0 ? ", which asks for more conns first" : "";
  return `to worker ${to.device}${asks}; ${frames}`;
}
