/** One trial: the generator runs for a time at a rate, and the sink says what came of it. */

import { setTimeout as sleep } from "node:timers/promises";
import { prepare, runGenerator } from "./generatororder.js";
import type { Traffic } from "./generatorprogram.js";
import { busyNs } from "./processor.js";
import { highestRate, type Outcome } from "./search.js";
import { Seen } from "./sinkprogram.js";
import type { Site } from "./site.js";
import type { Station } from "./station.js";

/** Until what is under way has arrived. */
const DRAIN_MS = 100;

/** What no candidate reaches: the generator does not wait. */
export const FULL_SPEED = 20_000_000;

/** Slow enough for every candidate to make a conn of each frame. */
const SET_UP_PER_SECOND = 25_000;
const SET_UP_PASSES = 3;

export interface Trial extends Outcome {
  /** Work of both cores for each frame delivered, without the generator's waiting. */
  readonly nsPerFrame: number;
  /** Frames that arrived other than they should, by what is wrong with them. */
  readonly wrong: number;
}

export interface Effort {
  /** Of one trial. */
  readonly seconds: number;
  /** At most, in one search. */
  readonly trials: number;
}

/** What one repetition says of a candidate and a workload, in frames a second. */
export interface Figures {
  readonly highest: number;
  readonly overload: number;
  /** Under overload. */
  readonly nsPerFrame: number;
  readonly wrong: number;
}

/** What was lost at a rate that a candidate carries, and where; frames. */
export interface Held {
  readonly heldSent: number;
  /** Sent, and not arrived as it should. */
  readonly heldLost: number;
  /** Of these, by the kernel's counters of the candidate's interfaces: before it had them, and after. */
  readonly heldAtLan: number;
  readonly heldAtWan: number;
}

export class Track {
  private wrong = 0;

  private constructor(
    private readonly site: Site,
    private readonly generator: Station,
    private readonly sink: Station,
  ) {}

  static async open(site: Site, traffic: Traffic): Promise<Track> {
    const [generator, sink] = await Promise.all([site.startGenerator(), site.startSink("sink")]);
    await prepare(generator, traffic);
    return new Track(site, generator, sink);
  }

  /** Every conn is made before anything is measured. */
  async setUp({ conns }: Traffic): Promise<void> {
    for (let pass = 0; pass < SET_UP_PASSES; pass++) {
      const { delivered } = await this.run(SET_UP_PER_SECOND, (1.02 * conns) / SET_UP_PER_SECOND);
      if (delivered >= conns) return;
    }
  }

  async trial(perSecond: number, seconds: number): Promise<Trial> {
    const before = busyNs();
    const { sent, delivered, idleNs } = await this.run(perSecond, seconds);
    const work = busyNs() - before - idleNs;
    return {
      sent: sent / seconds,
      delivered: delivered / seconds,
      nsPerFrame: delivered === 0 ? Number.NaN : work / delivered,
      wrong: this.wrong,
    };
  }

  /** Overload first: it says where to search. */
  async measure({ seconds, trials }: Effort): Promise<Figures> {
    const overload = await this.trial(FULL_SPEED, seconds);
    const first = Math.max(1000, overload.delivered * 0.8);
    const highest = await highestRate((rate) => this.trial(rate, seconds), first, trials);
    return {
      highest,
      overload: overload.delivered,
      nsPerFrame: overload.nsPerFrame,
      wrong: this.wrong,
    };
  }

  /** Sends at half of a rate for so long, and counts at both ends. */
  async hold(perSecond: number, seconds: number): Promise<Held> {
    const before = await this.site.drops();
    const { sent, delivered } = await this.run(perSecond / 2, seconds);
    const after = await this.site.drops();
    return {
      heldSent: sent,
      heldLost: sent - delivered,
      heldAtLan: after.lan - before.lan,
      heldAtWan: after.wan - before.wan,
    };
  }

  private async run(perSecond: number, seconds: number) {
    const before = await this.sink.ask<number[]>("read");
    const { frames, idleNs } = await runGenerator(this.generator, { perSecond, seconds });
    await sleep(DRAIN_MS);
    const after = await this.sink.ask<number[]>("read");
    const seen = (kind: Seen) => (after[kind] ?? 0) - (before[kind] ?? 0);
    this.wrong += WRONG.reduce((sum, kind) => sum + seen(kind), 0);
    return { sent: frames, delivered: seen(Seen.Right), idleNs };
  }
}

const WRONG = [
  Seen.OtherProtocol,
  Seen.WrongSource,
  Seen.WrongDestination,
  Seen.WrongChecksum,
] as const;
