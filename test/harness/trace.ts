/** What would become of a frame, of a Router; and whether that is so, and nothing changed. */

import { loadTraceModule } from "../../host/datapath.js";
import { type TraceInput, Tracer } from "../../host/trace/tracer.js";
import { readTrace, type Trace } from "../../host/trace/view.js";
import { follow } from "../../host/trace/way.js";
import { inputsOf } from "../../host/workers/jobs.js";
import type { Router, Sent, Watcher } from "./router.js";

const module = await loadTraceModule();
const tracers = new WeakMap<Router, Tracer[]>();

function tracersOf(router: Router): Tracer[] {
  const known = tracers.get(router);
  const found = known ?? router.datapaths.map((datapath) => new Tracer(datapath, module));
  tracers.set(router, found);
  return found;
}

/** What would become of a frame that a worker receives. */
export function trace(router: Router, worker: number, input: TraceInput): Trace {
  const all = tracersOf(router);
  const way = follow(worker, input);
  let next = way.next();
  while (next.done !== true) {
    const { worker, leg } = next.value;
    const inputs = inputsOf(leg, router.allowances[worker]);
    next = way.next((all[worker] as Tracer).run(inputs, router.now));
  }
  return readTrace(next.value, router.config);
}

/** What a memory was before a trace; made once for each, since pages that are new cost more than the copy. */
const copies = new WeakMap<WebAssembly.Memory, Buffer>();

function copyOf(memory: WebAssembly.Memory): Buffer {
  const known = copies.get(memory);
  const copy = known ?? Buffer.allocUnsafeSlow(memory.buffer.byteLength);
  if (known === undefined) copies.set(memory, copy);
  copy.set(new Uint8Array(memory.buffer));
  return copy;
}

/** What has been seen of traces, to show that something was. */
export interface Seen {
  readonly verdicts: Map<string, number>;
  readonly steps: Set<string>;
  handedOn: number;
}

/** Traces each frame before it is received, and throws where the trace changed something or what happens is not as it said. */
export function watching(seen: Seen): Watcher {
  return (router, worker, { on, bytes, tci = 0, flags = 0 }) => {
    const carrier = router.config.interfaces.find(({ name }) => name === on);
    if (carrier === undefined) return undefined;
    const before = router.datapaths.map(({ memory }) => copyOf(memory));
    const input = { frame: bytes, interface: carrier.index, place: tci, flags };
    const told = trace(router, worker, input);
    for (const [i, datapath] of router.datapaths.entries()) {
      const memory = Buffer.from(datapath.memory.buffer);
      const at = memory.equals(before[i] as Buffer) ? -1 : firstDifference(memory, before[i]);
      if (at >= 0) throw new Error(`the trace has changed byte ${at} of worker ${i}`);
    }
    seen.verdicts.set(told.verdict, (seen.verdicts.get(told.verdict) ?? 0) + 1);
    for (const { step } of told.steps) seen.steps.add(step);
    if (new Set(told.steps.map((step) => step.worker)).size > 1) seen.handedOn++;
    // Frames that are on their way between workers would come in between.
    if (!router.crossesAtOnce || router.isCrossing || router.isSwitching) return undefined;
    return (sent) => compare(told, router, sent, bytes);
  };
}

function firstDifference(one: Buffer, other: Buffer | undefined): number {
  return one.findIndex((byte, i) => byte !== other?.[i]);
}

function compare(told: Trace, router: Router, sent: readonly Sent[], frame: Uint8Array): void {
  const { ended } = router;
  const fail = (what: string) => {
    const text = Buffer.from(frame).toString("hex");
    throw new Error(`${what}: ${text}\n${JSON.stringify(told, undefined, 1)}`);
  };
  if ((ended[told.verdict] ?? 0) === 0) fail(`it ended as ${JSON.stringify(ended)}`);
  const others = Object.keys(ended).filter((reason) => reason !== told.verdict);
  const isAlone = told.steps.every(({ aside }) => !aside);
  if (isAlone && others.some((reason) => !BESIDE.includes(reason))) {
    fail(`it ended as ${JSON.stringify(ended)}`);
  }
  const expected = told.frames.map(({ device, hex }) => `${device} ${hex}`);
  const left = sent.map(({ device, bytes }) => `${device} ${bytes.toString("hex")}`);
  if (told.moreFrames === 0 && expected.join() !== left.join()) fail(`left:\n${left.join("\n")}`);
}

/** Counted beside a frame's own end. */
const BESIDE = ["HeldSent", "NeighborFailed", "OutputFull"];
