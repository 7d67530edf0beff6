/**
 * What an operator asks of all workers' tables, as if they were one's: pages of conns, mappings and hosts, what pools have
 * left, and what is to be ended. Each worker finds its part in slices (host/workers/jobs.ts); here they are merged.
 */

import { ConnRowAt, Limit, SearchKind, SearchRowAt, SearchSort } from "../assembly/abi.js";
import type { Config } from "./config/model.js";
import type { TraceModule } from "./datapath.js";
import type { Answer, Examined, Found, Order } from "./orders.js";
import { type ConnView, readConn } from "./telemetry/conn.js";
import type { Counters } from "./telemetry/counters.js";
import { behind, type Cursor, placeOf, writeCursor } from "./telemetry/cursor.js";
import { isEmpty, type PageQuery, type TableFilter, type TableQuery } from "./telemetry/filter.js";
import { addHosts, type HostTraffic, readTraffic, sortHosts } from "./telemetry/hosttraffic.js";
import { type MappingView, readMapping } from "./telemetry/mapping.js";
import { type NeighborView, readNeighbors } from "./telemetry/neighbor.js";
import { type Page, pageOf, placeIn } from "./telemetry/page.js";
import {
  addUse,
  type PoolAddressView,
  type PoolSums,
  type PoolView,
  readPool,
  readPoolAddresses,
  type ZoneUse,
} from "./telemetry/pool.js";
import { recordsOf } from "./telemetry/rows.js";
import { writeSearch } from "./telemetry/searchrecord.js";
import type { TraceInput } from "./trace/tracer.js";
import { readTrace, type Trace } from "./trace/view.js";
import { follow } from "./trace/way.js";

/** Questions that may wait, those that are being answered included. */
const WAITING_MAX = 16;

/** Places beyond those for examinations: who changes the configuration is not kept from it by who looks. */
const EXAMINATIONS = 4;

/** Milliseconds beyond the usual in which a worker must have answered, those before it included: millions end in seconds. */
const MORE_MS = 60_000;

/** Addresses of a pool that are asked for at once. */
const EXTERNALS = 256;

/**
 * Milliseconds for which the sums of hosts' traffic are good: however many ask, conns are not added up more often. With a
 * million conns that takes 20 ms (docs/adr/0027).
 */
export const SUMS_MS = 2000;

/** Times that something is asked again because the configuration was switched meanwhile. */
export const TRIES = 8;

/** A conn with a name of its own, which no other one has while this process lives. */
export interface FoundConn extends ConnView {
  readonly id: string;
}

export function readFoundConn(row: DataView, worker: number): FoundConn {
  const index = row.getUint32(ConnRowAt.Index, true);
  const id = `${worker}.${index}.${row.getUint32(ConnRowAt.Created, true)}`;
  return { id, ...readConn(row) };
}

export interface FlowView {
  readonly flow: string;
  /** Where in the configuration it comes from. */
  readonly origin: string;
  readonly priority: number;
  readonly packets: number;
  readonly bytes: number;
}

/** Too many questions wait already. */
export class Busy extends Error {
  override readonly name = "Busy";
}

/** Whom to ask. */
export interface Asked {
  ask<K extends Answer["kind"]>(
    kind: K,
    make: (id: number) => Order,
    ms?: number,
  ): Promise<Extract<Answer, { kind: K }>>;
}

/** Which configuration answers are of. */
export interface Configured {
  /** Milliseconds since the epoch, as they pass: performance.timeOrigin + performance.now(). */
  now(): number;
  /** The number of the one in force. */
  inForce(): number;
  configOf(number: number): Config | undefined;
  counters(): Promise<Counters>;
}

/** A row with its place among those of all workers. */
interface Ranked {
  readonly key: bigint;
  readonly worker: number;
  readonly index: number;
  readonly row: DataView;
}

export class Tables {
  private waiting = 0;

  constructor(
    private readonly workers: readonly Asked[],
    private readonly configured: Configured,
  ) {}

  async queryConns(query: TableQuery): Promise<Page<FoundConn>> {
    return this.page(query, ({ row, worker }) => readFoundConn(row, worker));
  }

  async listMappings(query: TableQuery): Promise<Page<MappingView>> {
    return this.page(query, ({ row }) => readMapping(row));
  }

  async countConns(filter: TableFilter): Promise<number> {
    return this.matched(SearchKind.Count, filter);
  }

  /** All conns by ConnPhase. */
  async countPhases(): Promise<number[]> {
    const phases: number[] = [];
    for (const worker of await this.findConns(SearchKind.Count, {})) {
      for (const [phase, conns] of (worker?.phases ?? []).entries()) {
        phases[phase] = (phases[phase] ?? 0) + conns;
      }
    }
    return phases;
  }

  /** Ends conns as if their time had come; returns how many. One that begins meanwhile may be missed. */
  async deleteConns(filter: TableFilter, dryRun = false): Promise<number> {
    if (isEmpty(filter))
      throw new RangeError("filter: nothing is asked for; flush ends everything");
    return dryRun ? this.countConns(filter) : this.matched(SearchKind.Delete, filter);
  }

  /** Ends all conns of a filter, or of either of two, as parseFlush gives them; returns how many. */
  async flushConns(scope: readonly TableFilter[], dryRun = false): Promise<number> {
    const kind = dryRun ? SearchKind.Count : SearchKind.Delete;
    let conns = 0;
    for (const filter of scope) conns += await this.matched(kind, filter);
    const [one, other] = scope;
    // What both have has been counted twice, but not ended twice.
    if (dryRun && other !== undefined) conns -= await this.countConns({ ...one, ...other });
    return conns;
  }

  /**
   * The first hosts by a sort; traffic as it was at most SUMS_MS ago. A host whose conns several workers have (forwards and
   * routes) is added up from what each of them has among its own first `Limit.SearchRows`.
   */
  async topHosts(query: TableQuery): Promise<HostTraffic[]> {
    const limit = this.workers.length > 1 ? Limit.SearchRows : query.limit;
    const { ranked } = await this.search({ ...query, limit });
    const hosts = new Map<string, HostTraffic>();
    for (const { row } of ranked) {
      const host = readTraffic(row);
      const name = `${host.zone} ${host.address}`;
      hosts.set(name, addHosts(hosts.get(name), host));
    }
    return sortHosts([...hosts.values()], query).slice(0, query.limit);
  }

  /** Sums over all addresses of each pool, and what zones have of it. */
  async listPools(): Promise<PoolView[]> {
    return this.inOne(async (config, isSame) => {
      const uses = await this.uses(config, isSame);
      if (uses === undefined) return undefined;
      const sums = await this.sums(config, isSame);
      return sums?.map((pool, index) => {
        const zones = [...(uses.get(index)?.values() ?? [])];
        return { ...pool, zones: zones.sort((a, b) => a.zone - b.zone) };
      });
    });
  }

  /** Sums over all addresses of each pool: no search through mappings. */
  async sumPools(): Promise<PoolSums[]> {
    return this.inOne((config, isSame) => this.sums(config, isSame));
  }

  /** By index of the pool; undefined where a switch came between. */
  private async sums(config: Config, isSame: (answer: { configuration: number }) => boolean) {
    const sums: PoolSums[] = [];
    for (const pool of config.pools) {
      const addresses: PoolAddressView[] = [];
      for (let first = 0; first < pool.addressCount; first += EXTERNALS) {
        const some = await this.externals(config, isSame, pool.index, first, EXTERNALS);
        if (some === undefined) return undefined;
        addresses.push(...some);
      }
      sums.push(readPool(pool, addresses));
    }
    return sums;
  }

  /** Addresses of the pool with this index, ascending. */
  async listPoolAddresses(query: PageQuery & { pool: number }): Promise<Page<PoolAddressView>> {
    return this.inOne(async (config, isSame, number) => {
      const first = placeIn(query, number);
      const count = config.pools[query.pool]?.addressCount ?? 0;
      const rows = await this.externals(config, isSame, query.pool, first, query.limit);
      if (rows === undefined) return undefined;
      return pageOf(rows.slice(0, query.limit), first, count, number);
    });
  }

  /** By zone, device and address. Each worker learns its own: of one that several know the latest confirmed is told. */
  async listNeighbors(query: PageQuery): Promise<Page<NeighborView>> {
    return this.inOne(async (config, isSame, number) => {
      const answers = await this.askAll("neighbors", (id) => ({ kind: "neighbors", id }));
      if (!answers.every(isSame)) return undefined;
      const all = readNeighbors(
        answers.flatMap(({ rows }) => rows),
        config,
      );
      const first = placeIn(query, number);
      return pageOf(all.slice(first, first + query.limit), first, all.length, number);
    });
  }

  /** In the order in which they are asked. */
  async listFlows(query: PageQuery): Promise<Page<FlowView>> {
    return this.inOne(async (config, _isSame, number) => {
      const { flows } = await this.configured.counters();
      if (this.configured.inForce() !== number || flows.length !== config.flows.length) {
        return undefined;
      }
      const first = placeIn(query, number);
      const rows = config.flows.slice(first, first + query.limit).map((rule, i): FlowView => {
        const { packets = 0, bytes = 0 } = flows[first + i] ?? {};
        return { flow: rule.text, origin: rule.origin, priority: rule.priority, packets, bytes };
      });
      return pageOf(rows, first, flows.length, number);
    });
  }

  /** Which conns an image would end, by each worker. The first `rows` of each come with why. */
  examine(image: Uint8Array, rows: number): Promise<Examined[]> {
    const query = {
      kind: SearchKind.Lapses,
      filter: {},
      sort: SearchSort.Table,
      descending: false,
    };
    const record = writeSearch({ ...query, limit: rows });
    return this.queued(
      () =>
        Promise.all(
          this.workers.map((worker) => {
            const make = (id: number): Order => ({ kind: "examine", id, image, record });
            return worker.ask("examined", make, MORE_MS);
          }),
        ),
      WAITING_MAX + EXAMINATIONS,
    );
  }

  /**
   * What would become of a frame that the first worker receives.
   * @param inputOf  the frame under the configuration in force
   */
  async trace(module: TraceModule, inputOf: (config: Config) => TraceInput): Promise<Trace> {
    return this.inOne(async (config, isSame) => {
      const way = follow(0, inputOf(config));
      let next = way.next();
      while (next.done !== true) {
        const { worker, leg } = next.value;
        const answer = await this.askOne(worker, (id) => ({ kind: "trace", id, module, leg }));
        if (!isSame(answer)) return undefined;
        if (answer.trace instanceof Error) throw answer.trace;
        next = way.next(answer.trace);
      }
      return readTrace(next.value, config);
    });
  }

  private askOne(worker: number, make: (id: number) => Order) {
    const asked = this.workers[worker];
    if (asked === undefined) throw new RangeError(`no worker ${worker}`);
    return this.queued(() => asked.ask("traced", make, MORE_MS));
  }

  private async page<Row>(query: TableQuery, read: (each: Ranked) => Row): Promise<Page<Row>> {
    const { ranked, matched, reference, isFull } = await this.search(query);
    const rows = ranked.slice(0, query.limit);
    const last = rows.at(-1);
    const hasMore = isFull || ranked.length > rows.length;
    // Where all that was found has ended meanwhile, the page is asked for again.
    const start: Cursor = query.cursor ?? { reference, key: 0n, worker: 0, index: 0 };
    const next = last === undefined ? start : behind(last, reference);
    return {
      rows: rows.map(read),
      matched: query.sort === SearchSort.Table ? undefined : matched,
      cursor: hasMore ? writeCursor(next, query) : undefined,
    };
  }

  /** The best rows of all workers, as many of each as are wanted. */
  private async search(query: TableQuery) {
    const { cursor, limit } = query;
    const age = query.kind === SearchKind.Hosts ? SUMS_MS : 0;
    const reference = cursor?.reference ?? this.configured.now() - age;
    const found = await this.find(reference, (worker) => {
      const from = cursor === undefined ? {} : placeOf(cursor, worker);
      return from === undefined ? undefined : writeSearch(query, from);
    });
    const ranked = found.flatMap((answer, worker) =>
      answer === undefined
        ? []
        : [...recordsOf(answer.rows, SearchRowAt.Bytes)].map(rankedBy(worker)),
    );
    return {
      ranked: ranked.sort(compareRanks),
      matched: found.reduce((sum, each) => sum + (each?.matched ?? 0), 0),
      reference,
      isFull: found.some((each) => each?.count === limit),
    };
  }

  private async matched(kind: SearchKind, filter: TableFilter): Promise<number> {
    const found = await this.findConns(kind, filter);
    return found.reduce((sum, each) => sum + (each?.matched ?? 0), 0);
  }

  /** A search through all conns that gives no rows. */
  private findConns(kind: SearchKind, filter: TableFilter) {
    const query = { kind, filter, sort: SearchSort.Table, descending: false, limit: 0 };
    return this.find(0, () => writeSearch(query));
  }

  /** What zones have of pools, by index of the pool and number of the zone; undefined where a switch came between. */
  private async uses(config: Config, isSame: (answer: { configuration: number }) => boolean) {
    const uses = new Map<number, Map<number, ZoneUse>>();
    const query = { kind: SearchKind.Uses, filter: {}, sort: 0, descending: false, limit: 0 };
    for (let pool = 0; pool < config.pools.length; ) {
      const found = await this.find(0, () => writeSearch(query, { pool }));
      const answers = found.filter((each) => each !== undefined);
      const counted = Math.min(...answers.map(({ pools }) => pools));
      if (!answers.every(isSame) || counted === 0) return undefined;
      for (const { rows } of answers) {
        for (const row of recordsOf(rows, SearchRowAt.Bytes)) addUse(uses, inner(row));
      }
      pool += counted;
    }
    return uses;
  }

  private async externals(
    config: Config,
    isSame: (answer: { configuration: number }) => boolean,
    index: number,
    first: number,
    count: number,
  ): Promise<PoolAddressView[] | undefined> {
    const pool = config.pools[index];
    if (pool === undefined) return [];
    const answers = await this.askAll("externals", (id) => {
      return { kind: "externals", id, pool: index, first, count };
    });
    if (!answers.every(isSame)) return undefined;
    return readPoolAddresses(
      pool,
      answers.map(({ rows }) => rows),
    );
  }

  /** Does something whose answers must all be of one configuration; undefined from `act`: a switch came between. */
  private async inOne<Result>(
    act: (
      config: Config,
      isSame: (answer: { configuration: number }) => boolean,
      number: number,
    ) => Promise<Result | undefined>,
  ): Promise<Result> {
    for (let tries = 0; tries < TRIES; tries++) {
      const number = this.configured.inForce();
      const config = this.configured.configOf(number);
      if (config === undefined) break;
      const result = await act(config, ({ configuration }) => configuration === number, number);
      if (result !== undefined) return result;
    }
    throw new Busy("configurations follow each other too fast");
  }

  /** A search by each worker that `record` has one for. */
  private find(
    reference: number,
    record: (worker: number) => Uint8Array | undefined,
  ): Promise<(Found | undefined)[]> {
    return this.queued(() =>
      Promise.all(
        this.workers.map((worker, rank) => {
          const search = record(rank);
          if (search === undefined) return undefined;
          const make = (id: number): Order => ({ kind: "search", id, record: search, reference });
          return worker.ask("found", make, MORE_MS);
        }),
      ),
    );
  }

  private askAll<K extends "externals" | "neighbors">(kind: K, make: (id: number) => Order) {
    return this.queued(() =>
      Promise.all(this.workers.map((worker) => worker.ask(kind, make, MORE_MS))),
    );
  }

  /** Refuses what would wait behind too many others. */
  private async queued<Result>(ask: () => Promise<Result>, most = WAITING_MAX): Promise<Result> {
    if (this.waiting >= most) throw new Busy(`${most} questions wait already`);
    this.waiting++;
    try {
      return await ask();
    } finally {
      this.waiting--;
    }
  }
}

/** The record inside a row of abi's SearchRowAt. */
export function inner(row: DataView): DataView {
  const bytes = SearchRowAt.Bytes - SearchRowAt.Row;
  return new DataView(row.buffer, row.byteOffset + SearchRowAt.Row, bytes);
}

function rankedBy(worker: number): (row: DataView) => Ranked {
  return (row) => ({
    key: row.getBigUint64(SearchRowAt.Key, true),
    worker,
    index: row.getUint32(SearchRowAt.RankIndex, true),
    row: inner(row),
  });
}

function compareRanks(a: Ranked, b: Ranked): number {
  if (a.key !== b.key) return a.key < b.key ? -1 : 1;
  return a.worker - b.worker || a.index - b.index;
}
