/**
 * Events on their way to one collector: a bounded queue, messages as long as the way takes, a rate, and attempts that
 * come more and more seldom while nobody is there. It never waits and never holds the main thread for longer than one
 * message. An event that finds no place in the queue is lost, counted, and told in the stream once that goes on.
 *
 *     offer ─▶ queue ─▶ format.pack ─▶ link.send ─▶ done: off the queue
 *                                                └▶ failed: stays, tried again
 */

import type { EventView } from "./event.js";
import type { Format } from "./format.js";
import { isTooLong, type Link } from "./link.js";

/** Events that one message may be made of: what one turn of the main thread costs. */
const PACK_MAX = 512;

/** Milliseconds until the first attempt after a failure; each further one waits twice as long. */
const RETRY_MS = 250;

export interface ExporterOptions {
  readonly format: Format;
  readonly link: Link;
  /** Events that may wait. */
  readonly queue: number;
  /** Events a second; undefined for as fast as it goes. */
  readonly rate: number | undefined;
  /** Milliseconds since 1970. */
  readonly wall: () => number;
  /** Milliseconds of a clock that nobody sets. */
  readonly monotonic: () => number;
  /** What an operator should know: that it does not get through, and that it does again. */
  readonly notice: (text: string) => void;
}

export interface ExporterStatus {
  readonly isUp: boolean;
  readonly queued: number;
  readonly queue: number;
  readonly events: number;
  readonly messages: number;
  readonly bytes: number;
  /** Times that it had to begin anew. */
  readonly failures: number;
  /** Events lost: no place in the queue, or gone with what broke. */
  readonly lostInQueue: number;
  readonly lostOnTheWay: number;
}

export class Exporter {
  private readonly waiting: EventView[] = [];
  /** Where the oldest one that waits stands in `waiting`. */
  private first = 0;
  private timer: NodeJS.Timeout | undefined;
  private isBusy = false;
  private isUp = true;
  private isStopped = false;
  private isStopping = false;
  private mustReopen = false;
  private retryMs = RETRY_MS;
  /** When the oldest event came to an empty queue. */
  private since = 0;
  /** Events that may be sent now, and when that was counted. */
  private tokens: number;
  private tokensAt: number;
  /** Of the last message: lost when the link breaks behind it. */
  private lastEvents = 0;
  private lostWhileDown = 0;
  private stopped: (() => void) | undefined;
  private events = 0;
  private messages = 0;
  private bytes = 0;
  private failures = 0;
  private lostInQueue = 0;
  private lostOnTheWay = 0;

  constructor(private readonly options: ExporterOptions) {
    this.tokens = options.rate ?? 0;
    this.tokensAt = options.monotonic();
    options.link.onBreak = (error, isLost) => this.broke(error, isLost);
  }

  get name(): string {
    return this.options.link.name;
  }

  get status(): ExporterStatus {
    const { isUp, queued, events, messages, bytes, failures, lostInQueue, lostOnTheWay } = this;
    const { queue } = this.options;
    return { isUp, queued, queue, events, messages, bytes, failures, lostInQueue, lostOnTheWay };
  }

  private get queued(): number {
    return this.waiting.length - this.first;
  }

  offer(event: EventView): void {
    if (this.isStopping || !this.options.format.takes(event)) return;
    if (this.queued === this.options.queue) {
      this.lostInQueue++;
      this.lose(1);
      return;
    }
    if (this.queued === 0) this.since = this.options.monotonic();
    this.waiting.push(event);
    this.schedule(0);
  }

  /** What the format has to say of its own has changed. */
  wake(): void {
    this.schedule(0);
  }

  /** Begins the link anew: a file that was moved away gets a successor. */
  reopen(): void {
    this.mustReopen = true;
    this.schedule(0);
  }

  /** Sends what waits, as far as that goes within `boundMs`; what is left is lost. */
  stop(boundMs: number): Promise<void> {
    this.isStopping = true;
    return new Promise((resolve) => {
      const bound = setTimeout(() => this.end(), boundMs);
      this.stopped = () => {
        clearTimeout(bound);
        resolve();
      };
      clearTimeout(this.timer);
      this.timer = undefined;
      this.schedule(0);
    });
  }

  private end(): void {
    if (this.isStopped) return;
    this.isStopped = true;
    clearTimeout(this.timer);
    if (this.queued > 0) {
      this.options.notice(`${this.name}: ${this.queued} events are lost at the end`);
      this.lostInQueue += this.queued;
    }
    this.options.link.close();
    this.stopped?.();
  }

  private lose(count: number): void {
    if (!this.isUp) this.lostWhileDown += count;
    this.options.format.lost(count, this.options.wall());
  }

  private schedule(ms: number): void {
    if (this.isBusy || this.isStopped || this.timer !== undefined) return;
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.turn();
    }, ms);
  }

  private turn(): void {
    const { link } = this.options;
    if (this.mustReopen) link.close();
    this.mustReopen = false;
    if (!link.isOpen) this.open();
    else this.sendNext();
  }

  private open(): void {
    const { link, format } = this.options;
    if (this.queued === 0 && this.isStopping) {
      this.end();
      return;
    }
    this.isBusy = true;
    link.open((error) => {
      this.isBusy = false;
      if (this.isStopped) link.close();
      else if (error !== undefined) this.fail(error);
      else {
        format.begin();
        this.recover();
        this.schedule(0);
      }
    });
  }

  private sendNext(): void {
    const { link, format, wall } = this.options;
    const room = this.room();
    if (room === 0) {
      this.schedule(this.tokensWait());
      return;
    }
    const events = this.waiting.slice(this.first, this.first + room);
    const message = format.pack(events, link.bytes, wall());
    if (message === undefined) {
      if (this.isStopping) this.end();
      return;
    }
    const left = this.since + format.lingerMs - this.options.monotonic();
    const isAll = message.events > 0 && message.events === this.queued;
    if (isAll && !this.isStopping && left > 0) {
      this.schedule(left);
      return;
    }
    this.isBusy = true;
    link.send(message.bytes, (error, wasBefore) => {
      this.isBusy = false;
      if (this.isStopped) return;
      if (wasBefore === true) this.loseLast();
      if (error === undefined) this.succeed(message.events, message.bytes.length);
      else if (isTooLong(error) && message.events > 0) this.skip(message.events, error);
      else this.fail(error);
    });
  }

  /** Events that the rate lets go now. */
  private room(): number {
    const { rate, monotonic } = this.options;
    if (rate === undefined || this.isStopping) return PACK_MAX;
    const now = monotonic();
    this.tokens = Math.min(rate, this.tokens + ((now - this.tokensAt) / 1000) * rate);
    this.tokensAt = now;
    return Math.min(PACK_MAX, Math.floor(this.tokens));
  }

  private tokensWait(): number {
    return Math.ceil((1000 * (1 - this.tokens)) / (this.options.rate ?? 1));
  }

  private succeed(events: number, bytes: number): void {
    this.options.format.sent();
    this.take(events);
    this.events += events;
    this.messages++;
    this.bytes += bytes;
    this.lastEvents = events;
    this.tokens -= events;
    this.retryMs = RETRY_MS;
    this.recover();
    this.schedule(0);
  }

  private recover(): void {
    if (this.isUp) return;
    this.isUp = true;
    const lost = this.lostWhileDown;
    this.lostWhileDown = 0;
    this.options.notice(`${this.name}: works again${lost > 0 ? `, ${lost} events were lost` : ""}`);
  }

  /** The same message would fail for ever. */
  private skip(events: number, error: Error): void {
    this.options.notice(`${this.name}: ${error.message}; ${events} events are lost`);
    this.take(events);
    this.lostOnTheWay += events;
    this.lose(events);
    this.schedule(0);
  }

  private take(events: number): void {
    this.first += events;
    this.since = this.options.monotonic();
    // Moved down now and then, so that it costs little for each event.
    if (this.first < PACK_MAX && this.queued > 0) return;
    this.waiting.splice(0, this.first);
    this.first = 0;
  }

  private fail(error: Error): void {
    this.failures++;
    this.options.format.repeat();
    if (this.isUp) {
      this.isUp = false;
      this.options.notice(`${this.name}: ${error.message}; events wait, and are tried again`);
    }
    this.schedule(this.retryMs);
    this.retryMs = Math.min(this.retryMs * 2, this.options.link.retryMaxMs);
  }

  /** Behind a message that seemed to have gone. */
  private broke(error: Error, isLost: boolean): void {
    if (this.isStopped) return;
    clearTimeout(this.timer);
    this.timer = undefined;
    this.fail(error);
    if (isLost) this.loseLast();
  }

  /** The message that went last, as it seemed. */
  private loseLast(): void {
    this.lostOnTheWay += this.lastEvents;
    this.lose(this.lastEvents);
    this.lastEvents = 0;
  }
}
