/**
 * What a session has asked to be told: events, in batches, and samples of counters. Whoever reads too slowly misses
 * some, and is told how many.
 */

import { EventClass } from "../../assembly/abi.js";
import type { Zone } from "../config/model.js";
import { classOf, describeEvent, type EventView, kindName } from "../telemetry/event.js";
import { fieldsOf } from "../telemetry/fields.js";
import { Bucket } from "./admission.js";
import type { Line } from "./logbook.js";
import type { House } from "./methods/handlers.js";
import type { Notification, NotificationName } from "./protocol/methods.js";
import { RpcCode, RpcError, writeNotification } from "./protocol/rpc.js";
import type { EventClassName } from "./protocol/streams.js";

/** Limits of a session's subscriptions. */
export enum SubscriptionLimit {
  /** At once. */
  Count = 8,
  /** Events in one notification. */
  Together = 256,
  /** Events a second that one subscription is told: each costs the main thread some microseconds. */
  PerSecond = 5000,
  /** Milliseconds that fewer of them wait for others. */
  BatchMs = 100,
}

type Told = Notification<"events.told">["events"][number];

const CLASS_NAMES: ReadonlyMap<EventClass, EventClassName> = new Map([
  [EventClass.Sessions, "sessions"],
  [EventClass.Mappings, "mappings"],
  [EventClass.Blocks, "blocks"],
  [EventClass.Alarms, "alarms"],
]);

export class Subscriptions {
  private readonly ends = new Map<number, () => void>();
  private readonly batches = new Set<Batch>();
  private last = 0;
  private isOver = false;

  constructor(
    private readonly house: House,
    /** Sends what may be dropped; false where it was. */
    private readonly offer: (text: string) => boolean,
  ) {}

  /** @throws RpcError when it has too many */
  addEvents(classes: readonly EventClassName[], zone: Zone | undefined): number {
    return this.add((subscription) => {
      const now = () => this.house.clock().monotonicMs;
      const batch = new Batch(now, (events, lost) =>
        this.tell("events.told", { subscription, events, lost }),
      );
      this.batches.add(batch);
      const wanted = new Set(classes);
      const { router, logbook } = this.house;
      const onEvent = (event: EventView) => {
        const name = CLASS_NAMES.get(classOf(event.kind)) ?? "alarms";
        if (!wanted.has(name) || !concerns(event, zone)) return;
        if (batch.hasRoom()) batch.add(toldOf(event, name));
        else batch.lose();
      };
      const onLine = ({ time, text }: Line) => batch.add(routerEvent("notice", time, text, {}));
      const onRevision = ({ number, state }: { number: number; state: string }, what: string) => {
        const text = `revision ${number} ${what}`;
        const now = this.house.clock().wallMs;
        batch.add(routerEvent("revision", now, text, { revision: number, state }));
      };
      router.on("event", onEvent);
      const watch = this.house.watch(maskOf(wanted));
      if (wanted.has("router")) {
        logbook.on("line", onLine);
        router.on("revision", onRevision);
      }
      return () => {
        batch.end();
        this.batches.delete(batch);
        router.off("event", onEvent);
        logbook.off("line", onLine);
        router.off("revision", onRevision);
        watch.end();
      };
    });
  }

  /** @throws RpcError when it has too many */
  addMetrics(intervalMs: number): number {
    return this.add((subscription) => {
      let skipped = 0;
      let isBusy = false;
      const sample = async () => {
        if (isBusy) return;
        isBusy = true;
        try {
          const metrics = await this.house.sample();
          const isSent = this.tell("metrics.sample", { subscription, ...metrics, skipped });
          skipped = isSent ? 0 : skipped + 1;
        } catch {
          // The router is stopping, or busy with a switch.
          skipped++;
        } finally {
          isBusy = false;
        }
      };
      const timer = setInterval(() => void sample(), intervalMs);
      void sample();
      return () => clearInterval(timer);
    });
  }

  /** @throws RpcError when there is none of this number */
  end(subscription: number): void {
    const end = this.ends.get(subscription);
    if (end === undefined) {
      throw new RpcError(RpcCode.NotFound, `there is no subscription ${subscription}`);
    }
    this.ends.delete(subscription);
    end();
  }

  /** The client reads again: it is told what it has missed, also when nothing else happens. */
  resume(): void {
    for (const batch of this.batches) batch.flush();
  }

  /** For ever: what was asked for before the channel ended may come to be done behind it. */
  endAll(): void {
    this.isOver = true;
    for (const end of this.ends.values()) end();
    this.ends.clear();
  }

  private add(begin: (subscription: number) => () => void): number {
    if (this.isOver) throw new RpcError(RpcCode.Failed, "the channel is over");
    if (this.ends.size >= SubscriptionLimit.Count) {
      throw new RpcError(RpcCode.Busy, `at most ${SubscriptionLimit.Count} subscriptions`);
    }
    const subscription = ++this.last;
    this.ends.set(subscription, begin(subscription));
    return subscription;
  }

  private tell<N extends NotificationName>(name: N, params: Notification<N>): boolean {
    return this.offer(writeNotification(name, params));
  }
}

/** Events that are sent together. */
class Batch {
  private waiting: Told[] = [];
  private lost = 0;
  private timer: NodeJS.Timeout | undefined;
  private readonly rate: Bucket;

  constructor(
    private readonly now: () => number,
    private readonly send: (events: readonly Told[], lost: number) => boolean,
  ) {
    const { PerSecond } = SubscriptionLimit;
    this.rate = new Bucket(PerSecond, PerSecond, now());
  }

  /** Whether one more may be told now; to be asked before it costs anything. */
  hasRoom(): boolean {
    return this.rate.take(1, this.now());
  }

  lose(): void {
    this.lost++;
    this.flushLater();
  }

  add(event: Told): void {
    this.waiting.push(event);
    if (this.waiting.length >= SubscriptionLimit.Together) this.flush();
    else this.flushLater();
  }

  private flushLater(): void {
    this.timer ??= setTimeout(() => this.flush(), SubscriptionLimit.BatchMs);
  }

  end(): void {
    clearTimeout(this.timer);
  }

  flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (this.waiting.length === 0 && this.lost === 0) return;
    const events = this.waiting;
    this.waiting = [];
    if (this.send(events, this.lost)) this.lost = 0;
    else this.lost += events.length;
  }
}

/** The classes that the datapath has to note for it. */
function maskOf(wanted: ReadonlySet<EventClassName>): number {
  let mask = 0;
  for (const [bit, name] of CLASS_NAMES) if (wanted.has(name)) mask |= bit;
  return mask;
}

function concerns(event: EventView, zone: Zone | undefined): boolean {
  return zone === undefined || event.zone === zone.id || event.externalZone === zone.id;
}

function toldOf(event: EventView, name: EventClassName): Told {
  return {
    event: kindName(event.kind),
    class: name,
    time: event.time,
    text: describeEvent(event),
    fields: Object.fromEntries(fieldsOf(event)),
  };
}

function routerEvent(
  event: "notice" | "revision",
  time: number,
  text: string,
  fields: Readonly<Record<string, string | number>>,
): Told {
  return { event, class: "router", time, text, fields };
}
