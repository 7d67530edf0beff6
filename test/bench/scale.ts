/**
 * How costs grow: one dimension of the site at a time, everything else fixed.
 *
 *     conns      in the table, and room for so many
 *     zones      tenants with equal addresses, each behind a VLAN and with a flow that only its device meets
 *     nat zones  the same tenants in one `nat`, whose flows are asked one by one
 *     flows      that match nothing and are asked before the one that matches
 *     workers    threads that forward (workers.ts)
 *
 * The sites of a dimension take turns, repetition by repetition, so that what disturbs the machine disturbs all
 * of them.
 */

import { readFileSync } from "node:fs";
import { type Instantiate, instantiatorOf, loadModule, measureArena } from "../../host/datapath.js";
import { setUp, steady, warmUp } from "./core.js";
import { batches, Edge, EdgePlan, LAN, Pristine, STRIDE, shuffled, WAN } from "./edge.js";
import { bestRatio, list, round, sampleOf, timeNs } from "./measure.js";
import type { EdgeShape } from "./plan.js";
import { benchWorkers, fitting, printWorkers, type WorkersRow } from "./workers.js";

/** 128 addresses: external ports for 8 million conns. */
const BASE = { tenants: 1, flowsBefore: 0, addresses: "203.0.113.64-203.0.113.191" } as const;

/** The site of each size; `conns` where they are not the dimension. */
const DIMENSIONS = {
  conns: (size: number): EdgeShape => ({ ...BASE, conns: size }),
  zones: (size: number, conns: number): EdgeShape => {
    return { ...BASE, conns, tenants: size, rules: "in_port" };
  },
  "nat zones": (size: number, conns: number): EdgeShape => {
    return { ...BASE, conns, tenants: size, rules: "nat" };
  },
  flows: (size: number, conns: number): EdgeShape => ({ ...BASE, conns, flowsBefore: size }),
} as const;

export type Dimension = keyof typeof DIMENSIONS;

export interface ScaleOptions {
  /** The sizes of each dimension; the first is what the others are compared with. */
  readonly sizes: Readonly<Record<Dimension, readonly number[]>>;
  /** Of the sites of the other dimensions. */
  readonly conns: number;
  /** Numbers of threads that forward, and the conns of all of them together, each with each. */
  readonly workers: readonly number[];
  readonly workersConns: readonly number[];
  readonly repetitions: number;
  /** At least so many for each steady figure of each repetition. */
  readonly packets: number;
}

/**
 * Nanoseconds: of a conn's first packet, of the first answer, of the packet after that, for which the flows are
 * asked again because the conn is established now; of any later packet; and of the conn's end.
 */
const COSTS = ["set-up", "first-in", "second-out", "steady-out", "steady-in", "expiry"] as const;
type Cost = (typeof COSTS)[number];

export interface ScaleRow {
  readonly dimension: Dimension;
  readonly size: number;
  readonly name: Cost;
  /** Per packet, or per conn. */
  readonly ns: number;
  readonly raw: readonly number[];
  /** By the dimension's first size that fits. */
  readonly byFirst: number;
  /** The same of the fastest repetitions. */
  readonly bestByFirst: number;
}

/** What a site is made of. */
export interface ScaleSite {
  readonly dimension: Dimension | "workers";
  readonly size: number;
  readonly conns: number;
  readonly tenants: number;
  /** Of all kinds, those of the rules included. */
  readonly flows: number;
  readonly workers: number;
  /** Of each worker. Undefined where that is more than there can be. */
  readonly arenaBytes: number | undefined;
  /** Why it was not measured; undefined where it was. */
  readonly unfit: string | undefined;
}

export interface ScaleResult {
  readonly sites: readonly ScaleSite[];
  readonly rows: readonly ScaleRow[];
  readonly workers: readonly WorkersRow[];
}

type Costs = Readonly<Record<Cost, number>>;

/** A site that takes its turn with others; its frames are made once. */
class Contender {
  private readonly out: Pristine;

  constructor(
    readonly site: ScaleSite,
    private readonly plan: EdgePlan,
  ) {
    this.out = Pristine.outward(shuffled(site.conns), site.tenants);
  }

  repeat(code: Instantiate, packets: number): Costs {
    const { out } = this;
    const edge = new Edge(this.plan, code);
    const back = new Pristine(out.count);
    const opening = setUp(edge, out, back);
    const answer = once(edge, back, WAN);
    const second = once(edge, out, LAN);
    const [outward] = steady(edge, out.widened(), LAN, packets);
    const [inward] = steady(edge, back.widened(), WAN, packets);
    const end = timeNs(() => edge.expire()) / out.count;
    return {
      "set-up": opening,
      "first-in": answer,
      "second-out": second,
      "steady-out": outward,
      "steady-in": inward,
      expiry: end,
    };
  }
}

/** Nanoseconds a packet, each conn's frame once; the frames' copying is outside of the time. */
function once(edge: Edge, frames: Pristine, carrier: number): number {
  let ns = 0;
  for (const [first, count] of batches(frames.count)) {
    edge.copy(frames, first, count);
    let sent = 0;
    ns += timeNs(() => {
      sent = edge.process(count, carrier);
    });
    if (sent !== count) throw new Error(`${count} packets in, ${sent} out`);
  }
  return ns / frames.count;
}

/** Bytes that the system can give without swapping. */
function availableBytes(): number {
  const [, kib = "0"] = /^MemAvailable:\s+(\d+)/m.exec(readFileSync("/proc/meminfo", "utf8")) ?? [];
  return Number(kib) * 1024;
}

/** Looks at a site before it is built. */
function survey(
  dimension: Dimension,
  size: number,
  fixedConns: number,
  code: Instantiate,
): { site: ScaleSite; plan: EdgePlan } {
  const shape = DIMENSIONS[dimension](size, fixedConns);
  const plan = new EdgePlan(shape);
  const { conns, tenants = 1 } = shape;
  const arenaBytes = arenaBytesOf(plan, code);
  const unfit = unfitness(conns, arenaBytes);
  const { flows } = plan;
  return { site: { dimension, size, conns, tenants, flows, workers: 1, arenaBytes, unfit }, plan };
}

/** Undefined where a linear memory has no room for it. */
function arenaBytesOf({ capacity }: EdgePlan, code: Instantiate): number | undefined {
  try {
    return measureArena(code, capacity);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function unfitness(conns: number, arenaBytes: number | undefined): string | undefined {
  if (arenaBytes === undefined) return "more than a linear memory of 4 GiB";
  // The frames of both directions, and an arena that the last repetition has left to be collected.
  const needed = 2 * arenaBytes + 2 * conns * STRIDE;
  const available = availableBytes();
  if (needed <= available) return undefined;
  return `needs ${gigabytes(needed)} of memory, ${gigabytes(available)} are free`;
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(1)} GB`;
}

/** A site that several workers share. */
function surveyWorkers(workers: number, conns: number, code: Instantiate): ScaleSite {
  const { capacity, flows } = new EdgePlan({ ...BASE, conns, workers });
  const arenaBytes = measureArena(code, capacity);
  const unfit = fitting([workers]).length > 0 ? undefined : `needs ${workers} cores`;
  const { tenants } = BASE;
  return { dimension: "workers", size: workers, conns, tenants, flows, workers, arenaBytes, unfit };
}

export async function benchScale(options: ScaleOptions): Promise<ScaleResult> {
  const { sizes, repetitions, packets } = options;
  const code = instantiatorOf(loadModule());
  warmUp(code);
  const sites: ScaleSite[] = [];
  const rows: ScaleRow[] = [];
  for (const dimension of Object.keys(DIMENSIONS) as Dimension[]) {
    const surveyed = sizes[dimension].map((size) => survey(dimension, size, options.conns, code));
    sites.push(...surveyed.map(({ site }) => site));
    const fitting = surveyed.filter(({ site }) => site.unfit === undefined);
    const contenders = fitting.map(({ site, plan }) => new Contender(site, plan));
    const all = contenders.map((): Costs[] => []);
    for (let n = 0; n < repetitions; n++) {
      contenders.forEach((each, i) => {
        all[i]?.push(each.repeat(code, packets));
      });
    }
    rows.push(...rowsOf(dimension, contenders, all));
  }
  const { workersConns, workers } = options;
  sites.push(
    ...workersConns.flatMap((conns) => workers.map((each) => surveyWorkers(each, conns, code))),
  );
  const shapes = workersConns.map((conns) => ({ ...BASE, conns }));
  const shared = await benchWorkers({ workers, shapes, repetitions, packets });
  return { sites, rows, workers: shared };
}

/** @param all  the repetitions of each contender */
function rowsOf(
  dimension: Dimension,
  contenders: readonly Contender[],
  all: readonly (readonly Costs[])[],
): ScaleRow[] {
  return COSTS.flatMap((name) => {
    const samples = all.map((repetitions) => sampleOf(repetitions.map((costs) => costs[name])));
    const [first = { median: Number.NaN, raw: [] }] = samples;
    return samples.map(({ median, raw }, i) => {
      const size = contenders[i]?.site.size ?? Number.NaN;
      const ratios = {
        byFirst: round(median / first.median),
        bestByFirst: bestRatio(raw, first.raw),
      };
      return { dimension, size, name, ns: median, raw, ...ratios };
    });
  });
}

export function printScale({ sites, rows, workers }: ScaleResult): void {
  for (const { dimension, size, conns, tenants, flows, arenaBytes, unfit } of sites) {
    const arena = `arena ${gigabytes(arenaBytes ?? 0)}`;
    const made = unfit === undefined ? arena : `does not fit: ${unfit}`;
    console.log(
      `${dimension.padEnd(9)} ${String(size).padStart(8)}  ${conns} conns, ${tenants} zones, ` +
        `${flows} flows; ${made}`,
    );
  }
  for (const { dimension, size, name, ns, byFirst, bestByFirst, raw } of rows) {
    console.log(
      `${dimension.padEnd(9)} ${String(size).padStart(8)}  ${name.padEnd(12)} ` +
        `${ns.toFixed(1).padStart(9)} ns  × ${byFirst.toFixed(2)}, best × ${bestByFirst.toFixed(2)}  (${list(raw)})`,
    );
  }
  printWorkers(workers);
}
