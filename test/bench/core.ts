/**
 * The datapath alone, in memory: what a packet of a known conn costs, what a new conn costs and what its
 * end costs, by the number of conns. 60-byte UDP frames in batches of 256, conns in random order, so that
 * beyond the caches' size every packet misses them.
 *
 * The copying of each batch from a pristine one is timed alone and subtracted.
 */

import { Limit } from "../../assembly/abi.js";
import { type Instantiate, instantiatorOf, loadModule } from "../../host/datapath.js";
import { batches, Edge, EdgePlan, LAN, Pristine, shuffled, WAN } from "./edge.js";
import { list, round, sampleOf, timeNs } from "./measure.js";

export interface CoreRow {
  readonly name: "steady-out" | "steady-in" | "set-up" | "expiry";
  readonly conns: number;
  readonly nsPerPacket: number;
  readonly raw: readonly number[];
  readonly packetsPerRepetition: number;
  /** Copying of the pristine frames, already subtracted. */
  readonly copyNs: number;
}

/** One repetition: nanoseconds per packet, or per conn made and ended. */
export interface Repetition {
  readonly out: number;
  readonly in: number;
  readonly setUp: number;
  readonly end: number;
  readonly copy: number;
}

/** Of a few conns, set-up and expiry would be the clock's own cost. */
const SET_UP_CONNS_MIN = 1000;

/** Nanoseconds a packet over all frames, as often as gives at least `packets`. */
export function steady(
  edge: Edge,
  from: Pristine,
  carrier: number,
  packets: number,
): [number, number] {
  const rounds = Math.max(1, Math.ceil(packets / from.count));
  // A batch is always full, so that one conn is not measured as batches of one.
  const perBatch = from.count < Limit.Batch ? Limit.Batch : 0;
  let sent = 0;
  const pass = (work: (first: number, frames: number) => void) => {
    if (perBatch > 0) for (let n = 0; n < packets; n += perBatch) work(0, perBatch);
    else
      for (let r = 0; r < rounds; r++) for (const [first, n] of batches(from.count)) work(first, n);
  };
  const copyNs = timeNs(() => pass((first, n) => edge.copy(from, first, n)));
  const ns = timeNs(() =>
    pass((first, n) => {
      edge.copy(from, first, n);
      sent += edge.process(n, carrier);
    }),
  );
  const expected = perBatch > 0 ? Math.ceil(packets / perBatch) * perBatch : rounds * from.count;
  if (sent !== expected) throw new Error(`${expected} packets in, ${sent} out`);
  return [(ns - copyNs) / expected, copyNs / expected];
}

/** All conns made, timed; the answers' frames are gathered outside of the time. */
export function setUp(edge: Edge, out: Pristine, back: Pristine): number {
  let ns = 0;
  for (const [first, frames] of batches(out.count)) {
    edge.copy(out, first, frames);
    let sent = 0;
    ns += timeNs(() => {
      sent = edge.process(frames, LAN);
    });
    if (sent !== frames) throw new Error(`${frames} conns asked for, ${sent} made`);
    edge.turnAround(back, first, sent);
  }
  return ns / out.count;
}

/** Makes and ends enough conns for the compiler to have seen every path. */
export function warmUp(code: Instantiate): void {
  const conns = 20_000;
  const plan = new EdgePlan({ conns });
  for (let round = 0; round < 5; round++) {
    const edge = new Edge(plan, code);
    setUp(edge, Pristine.outward(shuffled(conns)), new Pristine(conns));
    edge.expire();
  }
}

/**
 * Repetitions one at a time, so that those of two builds can take turns. One code for all: it is
 * optimised by then, as that of a daemon that has run for a second.
 */
export class Core {
  private out = new Pristine(0);

  constructor(private readonly code = instantiatorOf(loadModule())) {
    warmUp(code);
  }

  repeat(conns: number, packets: number): Repetition {
    if (this.out.count !== conns) this.out = Pristine.outward(shuffled(conns));
    const edge = new Edge(new EdgePlan({ conns }), this.code);
    const back = new Pristine(conns);
    const setUpNs = setUp(edge, this.out, back);
    const [outNs, copyNs] = steady(edge, this.out.widened(), LAN, packets);
    const [inNs] = steady(edge, back.widened(), WAN, packets);
    const endNs = timeNs(() => edge.expire()) / conns;
    return { out: outNs, in: inNs, setUp: setUpNs, end: endNs, copy: copyNs };
  }
}

/** The rows of repetitions with the same number of conns. */
export function rowsOf(conns: number, packets: number, all: readonly Repetition[]): CoreRow[] {
  const copyNs = sampleOf(all.map(({ copy }) => copy)).median;
  const row = (name: CoreRow["name"], raw: number[], packets: number, copyNs: number): CoreRow => {
    const sample = sampleOf(raw);
    const ns = { nsPerPacket: sample.median, raw: sample.raw };
    return { name, conns, ...ns, packetsPerRepetition: packets, copyNs: round(copyNs) };
  };
  const sent = Math.max(conns, packets);
  const steadyRows = [
    row(
      "steady-out",
      Array.from(all, (each) => each.out),
      sent,
      copyNs,
    ),
    row(
      "steady-in",
      Array.from(all, (each) => each.in),
      sent,
      copyNs,
    ),
  ];
  if (conns < SET_UP_CONNS_MIN) return steadyRows;
  return [
    ...steadyRows,
    row(
      "set-up",
      Array.from(all, (each) => each.setUp),
      conns,
      0,
    ),
    row(
      "expiry",
      Array.from(all, (each) => each.end),
      conns,
      0,
    ),
  ];
}

export interface CoreOptions {
  readonly conns: readonly number[];
  readonly repetitions: number;
  readonly packets: number;
}

export function* benchCore({ conns, repetitions, packets }: CoreOptions): Generator<CoreRow> {
  const core = new Core();
  for (const each of conns) {
    const all = Array.from({ length: repetitions }, () => core.repeat(each, packets));
    yield* rowsOf(each, packets, all);
  }
}

export function printCore(rows: readonly CoreRow[]): void {
  for (const { name, conns, nsPerPacket, raw } of rows) {
    console.log(
      `${name.padEnd(11)} ${String(conns).padStart(8)} conns ${nsPerPacket.toFixed(1).padStart(8)} ns  (${list(raw)})`,
    );
  }
}
