/**
 * Limits of zones that several workers share. A worker may let a zone have as many conns as were lent to it; all that is
 * lent together is never more than the limit. The datapath asks when it has used up what it has, and what is left over
 * goes back now and then: so a zone is refused conns below its limit for at most that long, and by no more than the
 * others have to spare.
 *
 * Conns that are there when a limit begins, or is lowered, are lent all the same, be it more than the limit. Then the
 * datapath has to ask for each new one, and what has ended is given back instead, until the limit is met.
 */

import type { Datapath } from "../datapath.js";

/** Conns that the zone with this index in the image, and this number, may have. */
export interface ZoneLimit {
  readonly index: number;
  readonly zone: number;
  readonly conns: number;
}

/** What is lent at once: this part of the limit, and at most so many. */
const PART = 64;
const LOAN_MAX = 256;

function loanOf({ conns }: ZoneLimit): number {
  return Math.min(LOAN_MAX, Math.max(1, Math.floor(conns / PART)));
}

export class Allowances {
  /** By index of the zone. */
  private readonly limits = new Map<number, ZoneLimit>();
  /** What this worker has, by number of the zone. */
  private has = new Map<number, number>();

  /** @param lent  what all workers have, by number of the zone; shared */
  constructor(
    private readonly datapath: Datapath,
    private readonly lent: Int32Array,
  ) {}

  /** To be called behind each switch. */
  settle(limits: readonly ZoneLimit[]): void {
    const before = this.has;
    this.has = new Map();
    this.limits.clear();
    for (const limit of limits) {
      const { index, zone } = limit;
      const conns = this.datapath.zoneConns(index);
      this.limits.set(index, limit);
      this.has.set(zone, conns);
      Atomics.add(this.lent, zone, conns - (before.get(zone) ?? 0));
      this.allow(limit);
      before.delete(zone);
    }
    for (const [zone, conns] of before) Atomics.sub(this.lent, zone, conns);
  }

  /** Lets the zone with this index have more conns here, where its limit allows that. */
  lend(index: number): void {
    const limit = this.limits.get(index);
    if (limit === undefined) return;
    if (this.isOverdrawn(limit)) this.keep(limit, 0);
    for (;;) {
      const lent = Atomics.load(this.lent, limit.zone);
      const loan = Math.max(0, Math.min(loanOf(limit), limit.conns - lent));
      const found = Atomics.compareExchange(this.lent, limit.zone, lent, lent + loan);
      if (found !== lent) continue;
      this.has.set(limit.zone, this.hasOf(limit) + loan);
      this.allow(limit);
      return;
    }
  }

  /** What `lend` would tell the datapath now. */
  preview(index: number): { conns: number; elsewhere: number } | undefined {
    const limit = this.limits.get(index);
    if (limit === undefined) return undefined;
    let lent = Atomics.load(this.lent, limit.zone);
    let has = this.hasOf(limit);
    const spare = Math.max(0, has - this.datapath.zoneConns(index));
    if (lent > limit.conns) {
      lent -= spare;
      has -= spare;
    }
    const loan = Math.max(0, Math.min(loanOf(limit), limit.conns - lent));
    lent += loan;
    has += loan;
    return { conns: lent > limit.conns ? 0 : has, elsewhere: Math.max(0, lent - has) };
  }

  /** Gives back what the zones do not use: but for one loan, or all of it where others may wait for it. */
  giveBack(): void {
    for (const limit of this.limits.values()) {
      const isShort = Atomics.load(this.lent, limit.zone) >= limit.conns;
      this.keep(limit, isShort ? 0 : loanOf(limit));
      this.allow(limit);
    }
  }

  /** Gives back what the zone's conns here leave of it, but for so many. */
  private keep(limit: ZoneLimit, more: number): void {
    const spare = this.hasOf(limit) - this.datapath.zoneConns(limit.index) - more;
    if (spare <= 0) return;
    Atomics.sub(this.lent, limit.zone, spare);
    this.has.set(limit.zone, this.hasOf(limit) - spare);
  }

  private isOverdrawn({ zone, conns }: ZoneLimit): boolean {
    return Atomics.load(this.lent, zone) > conns;
  }

  /** Tells the datapath how many there may be. */
  private allow(limit: ZoneLimit): void {
    const has = this.hasOf(limit);
    const elsewhere = Math.max(0, Atomics.load(this.lent, limit.zone) - has);
    this.datapath.allow(limit.index, this.isOverdrawn(limit) ? 0 : has, elsewhere);
  }

  private hasOf({ zone }: ZoneLimit): number {
    return this.has.get(zone) ?? 0;
  }
}
