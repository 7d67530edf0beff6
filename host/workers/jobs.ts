/**
 * What a worker looks up in its tables, a slice between two turns: searches, addresses of pools and neighbors for an
 * operator, and what is to be saved for another process. One after the other; the main thread lets only so many wait
 * (host/tables.ts).
 */

import { ExternalRowAt, FoundAt, NeighborRowAt } from "../../assembly/abi.js";
import { type Datapath, ImageRefused, RECORDS_BYTES } from "../datapath.js";
import type {
  Answer,
  Examined,
  ExamineOrder,
  ExternalsOrder,
  Found,
  NeighborsOrder,
  SaveOrder,
  SearchOrder,
  TraceOrder,
} from "../orders.js";
import { type TraceInput, Tracer } from "../trace/tracer.js";
import type { Leg } from "../trace/way.js";
import type { Allowances } from "./allowances.js";

/**
 * Records that one slice looks at: 30 to 60 µs, about as long as a batch takes. A million conns are 245 slices, so that
 * a page is there within 100 ms also while every turn forwards a whole batch.
 */
export const SLICE = 4096;

/** Bytes of records in one answer: some slices' worth, since each answer is copied for another thread. */
const SAVED_BYTES = 3 * RECORDS_BYTES;

export type JobOrder =
  | SearchOrder
  | ExamineOrder
  | ExternalsOrder
  | NeighborsOrder
  | SaveOrder
  | TraceOrder;

/** Goes on with something; the answer when it is done. */
interface Job {
  step(now: number): Answer | undefined;
}

export class Jobs {
  private readonly waiting: JobOrder[] = [];
  /** Where records are put together: the same place each time, since a million conns are thousands of orders. */
  private readonly records = new Uint8Array(SAVED_BYTES);
  private current: Job | undefined;
  /** Made when it is first asked for. */
  private tracer: Tracer | undefined;

  /**
   * @param configuration  gives the number of the one in force
   * @param allowances  of this worker, where several share limits
   */
  constructor(
    private readonly datapath: Datapath,
    private readonly configuration: () => number,
    private readonly answer: (answer: Answer) => void,
    private readonly slice = SLICE,
    private readonly allowances?: Allowances,
  ) {}

  add(order: JobOrder): void {
    this.waiting.push(order);
  }

  /** Does one slice of what there is to do. Whether there is more. */
  step(now: number): boolean {
    const job = this.current ?? this.next();
    if (job === undefined) return false;
    const answer = job.step(now);
    this.current = answer === undefined ? job : undefined;
    if (answer !== undefined) this.answer(answer);
    return answer === undefined || this.waiting.length > 0;
  }

  private next(): Job | undefined {
    const order = this.waiting.shift();
    if (order === undefined) return undefined;
    const { datapath, configuration, slice } = this;
    if (order.kind === "search") return new SearchJob(order, datapath, configuration, slice);
    if (order.kind === "save") return new SaveJob(order, datapath, slice, this.records);
    if (order.kind === "examine") return new ExamineJob(order, datapath, slice);
    if (order.kind === "trace") return { step: (now) => this.trace(order, now) };
    return new PageJob(order, datapath, configuration);
  }

  /** All at once: what is written on the way is put back before anything else sees it. */
  private trace({ id, module, leg }: TraceOrder, now: number): Answer {
    const configuration = this.configuration();
    try {
      this.tracer ??= new Tracer(this.datapath, module);
      const trace = this.tracer.run(inputsOf(leg, this.allowances), now);
      return { kind: "traced", id, configuration, trace };
    } catch (error) {
      return { kind: "traced", id, configuration, trace: error as Error };
    }
  }
}

/** Each input with what the worker would be lent for it. */
export function inputsOf({ inputs, asks }: Leg, allowances: Allowances | undefined): TraceInput[] {
  return inputs.map((input, i) => {
    const zone = asks[i];
    const allowed = zone === undefined ? undefined : allowances?.preview(zone);
    return zone === undefined || allowed === undefined
      ? input
      : { ...input, allowed: { zone, ...allowed } };
  });
}

class SearchJob implements Job {
  private readonly rows: Uint8Array[] = [];
  private isFound = false;
  /** Where its rows go on; undefined behind the last one. */
  private next: number | undefined = 0;

  constructor(
    private readonly order: SearchOrder,
    private readonly datapath: Datapath,
    private readonly configuration: () => number,
    private readonly slice: number,
  ) {
    // Threads may count from other moments.
    datapath.beginSearch(order.record, Math.floor(order.reference - performance.timeOrigin));
  }

  step(now: number): Found | undefined {
    const { datapath } = this;
    if (!this.isFound) {
      this.isFound = datapath.search(this.slice, now);
      return undefined;
    }
    const { rows, next } = datapath.copySearchRows(this.next ?? 0, now);
    if (rows.length > 0) this.rows.push(rows);
    this.next = next;
    return next === undefined ? this.found() : undefined;
  }

  private found(): Found {
    const { datapath, rows } = this;
    return {
      kind: "found",
      id: this.order.id,
      configuration: this.configuration(),
      matched: datapath.searchFound(FoundAt.Matched),
      count: datapath.searchFound(FoundAt.Rows),
      pools: datapath.searchFound(FoundAt.Pools),
      phases: datapath.searchPhases(),
      rows,
    };
  }
}

/** Records up to the size of an answer; the next order goes on behind them. */
class SaveJob implements Job {
  private length = 0;

  constructor(
    private readonly order: SaveOrder,
    private readonly datapath: Datapath,
    private readonly slice: number,
    private readonly bytes: Uint8Array,
  ) {
    if (order.begins) datapath.beginSave();
  }

  step(now: number): Answer | undefined {
    const { datapath, bytes, order } = this;
    this.length += datapath.save(this.slice, now, bytes, this.length);
    const { isSaved } = datapath;
    if (!isSaved && this.length + RECORDS_BYTES <= SAVED_BYTES) return undefined;
    const records = bytes.slice(0, this.length);
    return { kind: "saved", id: order.id, records, wall: Date.now(), isDone: isSaved };
  }
}

/** Checks an image, then asks of each conn whether it would go on under it. */
class ExamineJob implements Job {
  private search: SearchJob | undefined;

  constructor(
    private readonly order: ExamineOrder,
    private readonly datapath: Datapath,
    private readonly slice: number,
  ) {}

  step(now: number): Answer | undefined {
    const { datapath } = this;
    if (this.search === undefined) return this.begin();
    const found = this.search.step(now);
    if (found === undefined) return undefined;
    return this.examined({
      isVoid: datapath.searchFound(FoundAt.Void) !== 0,
      looked: datapath.searchFound(FoundAt.Looked),
      lapses: datapath.searchLapses(),
      rows: found.rows,
    });
  }

  /** Both in one step: the search is of the image that is staged now. */
  private begin(): Answer | undefined {
    const { order, datapath, slice } = this;
    try {
      datapath.rehearse(order.image);
    } catch (error) {
      if (error instanceof ImageRefused) return this.examined({ error: error.message });
      throw error;
    }
    const search: SearchOrder = {
      kind: "search",
      id: order.id,
      record: order.record,
      reference: performance.timeOrigin,
    };
    // Which configuration is in force meanwhile does not matter: a switch makes it void.
    this.search = new SearchJob(search, datapath, () => 0, slice);
    return undefined;
  }

  private examined(said: Partial<Examined>): Examined {
    const nothing = { error: undefined, isVoid: false, looked: 0, lapses: [], rows: [] };
    return { kind: "examined", id: this.order.id, ...nothing, ...said };
  }
}

/** Rows in the order of their table, a call of the datapath at a time. */
class PageJob implements Job {
  private rows: Uint8Array[] = [];
  private began = -1;
  private first = 0;

  constructor(
    private readonly order: ExternalsOrder | NeighborsOrder,
    private readonly datapath: Datapath,
    private readonly configuration: () => number,
  ) {}

  step(now: number): Answer | undefined {
    const { order } = this;
    const configuration = this.configuration();
    // Pools and devices have other indices now.
    if (configuration !== this.began) this.begin(configuration);
    const page = order.kind === "externals" ? this.externals(order) : this.neighbors(now);
    if (page.length > 0) {
      this.rows.push(page);
      return undefined;
    }
    const { rows } = this;
    return { kind: order.kind, id: order.id, configuration, rows };
  }

  private begin(configuration: number): void {
    this.began = configuration;
    this.rows = [];
    this.first = this.order.kind === "externals" ? this.order.first : 0;
  }

  private externals({ pool, first, count }: ExternalsOrder): Uint8Array {
    if (this.first >= first + count) return new Uint8Array();
    const page = this.datapath.copyExternalRows(pool, this.first);
    this.first += page.length / ExternalRowAt.Bytes;
    return page;
  }

  private neighbors(now: number): Uint8Array {
    const page = this.datapath.copyNeighborRows(this.first, now);
    const last = page.length - NeighborRowAt.Bytes + NeighborRowAt.Index;
    if (page.length > 0) this.first = new DataView(page.buffer).getUint32(last, true) + 1;
    return page;
  }
}
