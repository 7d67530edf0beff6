/**
 * What an operator's questions cost: a million conns of four tenants, asked for pages while packets of all of them pass.
 *
 *     newest   a page of all conns, the youngest first      zone    the same of one tenant
 *     bytes    a page of all, sorted by what they carried   count   how many a port has
 *     source   the same by address: rows in no order        table   a page in the order of the table
 *     expiry   the last to expire: the best come last       hosts   hosts sorted by what they carried
 *
 * As in a worker, a question goes on by one slice behind each batch. Packets are forwarded with one question in each
 * second and without any, in turns; what the question takes of that second is the difference. Of two questions one has
 * to find everything out, the other may take what has been kept since (SUMS_MS: the sums of `hosts`).
 */

import { FoundAt, Limit, SearchKind, SearchSort } from "../../assembly/abi.js";
import { instantiatorOf, loadModule } from "../../host/datapath.js";
import { SUMS_MS } from "../../host/tables.js";
import type { TableQuery } from "../../host/telemetry/filter.js";
import { writeSearch } from "../../host/telemetry/searchrecord.js";
import { SLICE } from "../../host/workers/jobs.js";
import { setUp, warmUp } from "./core.js";
import { Edge, EdgePlan, LAN, Pristine, STRIDE, shuffled } from "./edge.js";
import { list, median, round, sampleOf, timeNs } from "./measure.js";

const TENANTS = 4;
/** Number of the first tenant's zone (plan.ts). */
const ZONE = 101;
const ROWS = 100;
/** Conns that begin in the same millisecond: as many as a worker makes. */
const CONNS_A_MS = 1024;

const page = { kind: SearchKind.Conns, descending: false, filter: {}, limit: ROWS };

type Query = Omit<TableQuery, "cursor">;

const QUERIES: Readonly<Record<string, Query>> = {
  newest: { ...page, sort: SearchSort.Age },
  zone: { ...page, sort: SearchSort.Age, filter: { originalZone: ZONE } },
  bytes: { ...page, sort: SearchSort.Bytes, descending: true },
  source: { ...page, sort: SearchSort.Source },
  expiry: { ...page, sort: SearchSort.Expiry, descending: true },
  count: {
    ...page,
    kind: SearchKind.Count,
    sort: SearchSort.Table,
    filter: { port: { low: 1030, high: 1030 } },
  },
  hosts: { ...page, kind: SearchKind.Hosts, sort: SearchSort.Bytes, descending: true },
  table: { ...page, sort: SearchSort.Table },
};

export interface QueryOptions {
  readonly conns: number;
  readonly repetitions: number;
}

export interface QueryRow {
  readonly name: string;
  readonly conns: number;
  readonly matched: number;
  /** Milliseconds from the question to its rows, nothing else to do; the longest slice of that, microseconds. */
  readonly idleMs: number;
  readonly sliceUs: number;
  /** Milliseconds to its rows while each turn forwards a whole batch. */
  readonly loadedMs: number;
  /** Nanoseconds a packet while nothing is asked. */
  readonly quietNs: number;
  /** Milliseconds by which packets take longer with one question among them, the mean of two; raw: of each repetition. */
  readonly costMs: number;
  /** By how many percent fewer packets pass where that is asked once a second. */
  readonly lossPercent: number;
  readonly raw: readonly number[];
}

export interface Site {
  readonly plan: EdgePlan;
  readonly edge: Edge;
  readonly frames: Pristine;
}

/** Conns of some tenants, made in another order than that in which their packets come. */
export function fill(conns: number): Site {
  const code = instantiatorOf(loadModule());
  warmUp(code);
  const plan = new EdgePlan({ conns, tenants: TENANTS, addresses: "203.0.113.64-203.0.113.191" });
  const edge = new Edge(plan, code);
  const order = shuffled(conns);
  // The frames of the packets are in another order than that in which the conns were made.
  const out = Pristine.outward(order, TENANTS);
  for (let first = 0; first < conns; first += CONNS_A_MS) {
    edge.now++;
    const some = new Pristine(Math.min(CONNS_A_MS, conns - first));
    const at = first * STRIDE;
    some.bytes.set(out.bytes.subarray(at, at + some.bytes.length));
    setUp(edge, some, new Pristine(some.count));
  }
  return { plan, edge, frames: Pristine.outward(shuffled(conns).reverse(), TENANTS) };
}

/** Forwards one batch after the other, round and round. */
export class Traffic {
  private first = 0;

  constructor(private readonly site: Site) {}

  turn(): void {
    const { edge, frames } = this.site;
    edge.copy(frames, this.first, Limit.Batch);
    if (edge.process(Limit.Batch, LAN) !== Limit.Batch) throw new Error("a packet is lost");
    this.first = this.first + 2 * Limit.Batch > frames.count ? 0 : this.first + Limit.Batch;
  }
}

/**
 * One question, from its beginning to its rows; `between` is called behind each slice. It may take what was kept for so
 * many milliseconds.
 */
function ask({ edge }: Site, record: Uint8Array, between: () => void, kept = 0): void {
  const { datapath } = edge;
  datapath.beginSearch(record, edge.now - kept);
  while (!datapath.search(SLICE, edge.now)) between();
  for (let next: number | undefined = 0; next !== undefined; between()) {
    next = datapath.copySearchRows(next, edge.now).next;
  }
}

/** The longest slice, nanoseconds. */
function longestSlice({ edge }: Site, record: Uint8Array): number {
  const { datapath } = edge;
  datapath.beginSearch(record, edge.now);
  let longest = 0;
  for (let isDone = false; !isDone; ) {
    const ns = timeNs(() => {
      isDone = datapath.search(SLICE, edge.now);
    });
    longest = Math.max(longest, ns);
  }
  return longest;
}

function measure(site: Site, name: string, query: Query, repetitions: number): QueryRow {
  const record = writeSearch(query);
  const traffic = new Traffic(site);
  let turns = 0;
  const turn = () => {
    traffic.turn();
    turns++;
  };
  const samples = { idle: [] as number[], slice: [] as number[], loaded: [] as number[] };
  const quiet: number[] = [];
  const costs: number[] = [];
  for (let n = 0; n < repetitions; n++) {
    samples.idle.push(timeNs(() => ask(site, record, () => {})));
    samples.slice.push(longestSlice(site, record));
    turns = 0;
    const loaded = timeNs(() => ask(site, record, turn));
    const again = timeNs(() => ask(site, record, turn, SUMS_MS));
    const alone = timeNs(() => {
      for (let turn = 0; turn < turns; turn++) traffic.turn();
    });
    samples.loaded.push(loaded);
    quiet.push(alone / (turns * Limit.Batch));
    costs.push((loaded + again - alone) / 2e6);
  }
  const { datapath } = site.edge;
  const costMs = median(costs);
  return {
    name,
    conns: site.frames.count,
    matched: datapath.searchFound(FoundAt.Matched),
    idleMs: round(median(samples.idle) / 1e6),
    sliceUs: round(median(samples.slice) / 1e3),
    loadedMs: round(median(samples.loaded) / 1e6),
    quietNs: round(median(quiet)),
    costMs: round(costMs),
    lossPercent: round(costMs / 10),
    raw: sampleOf(costs).raw,
  };
}

export function benchQuery({ conns, repetitions }: QueryOptions): QueryRow[] {
  const site = fill(conns);
  const all = Object.entries(QUERIES);
  return all.map(([name, query]) => measure(site, name, query, repetitions));
}

export function printQuery(rows: readonly QueryRow[]): void {
  for (const row of rows) {
    const { name, conns, matched, idleMs, sliceUs, loadedMs, quietNs, lossPercent } = row;
    console.log(
      `${name.padEnd(7)} ${String(conns).padStart(8)} conns, ${String(matched).padStart(7)} match: ` +
        `idle ${idleMs.toFixed(1).padStart(5)} ms, slice ≤ ${sliceUs.toFixed(0).padStart(4)} µs, ` +
        `loaded ${loadedMs.toFixed(1).padStart(6)} ms at ${quietNs.toFixed(0)} ns a packet; ` +
        `once a second − ${lossPercent.toFixed(2)} %  (${list(row.raw)} ms)`,
    );
  }
}
