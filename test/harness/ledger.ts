/**
 * What a store was asked to do and said that it did, line by line, and whether what another process finds
 * afterwards fits. A line is written before a step that may count although nobody heard of it (`begin`, `confirm`),
 * and after each step that was done.
 */

import type { Change } from "../../host/state/change.js";
import type { Now } from "../../host/state/deadline.js";
import type { Store } from "../../host/state/revisions.js";
import type { Random } from "./memorydisk.js";

/** Bytes of the longest text. */
const TEXT_MAX = 20_000;

/** The configuration that has this key: of any length, the same for the same key. */
export function textOf(key: string): string {
  let sum = 0;
  for (const character of key) sum = (Math.imul(sum, 31) + character.charCodeAt(0)) >>> 0;
  const filler = `"${key}",\n`;
  // Most are short; some are longer than a page of the file system.
  const bytes = sum % 8 === 0 ? sum % TEXT_MAX : sum % 200;
  return `[\n${filler.repeat(1 + Math.floor(bytes / filler.length))}0]\n`;
}

/** The key of a text; undefined when no key has this text. */
function keyOf(text: string): string | undefined {
  const key = /^\[\n"([^"]*)"/.exec(text)?.[1];
  return key !== undefined && textOf(key) === text ? key : undefined;
}

/** Works on a store as its user would, at random, one action a call. */
export class Worker {
  private actions = 0;

  constructor(
    private readonly store: Store,
    private readonly random: Random,
    /** Distinguishes its texts from those of others. */
    private readonly name: string,
    private readonly say: (line: string) => void,
  ) {}

  act(): void {
    const kind = this.random();
    const confirmed = this.store.lastConfirmed;
    if (confirmed === undefined || kind < 0.3) this.apply(undefined);
    else if (kind < 0.4) this.abandon();
    else if (kind < 0.5) this.rollback(confirmed.number);
    else if (kind < 0.8) this.applyAndConfirm();
    else this.applyAndReturn();
  }

  private now(): Now {
    this.actions += 1;
    return { wallMs: 1_700_000_000_000 + this.actions, monotonicMs: this.actions };
  }

  private begin(confirmWithinSec: number | undefined): Change {
    const key = `${this.name}.${this.actions}`;
    this.say(`begin ${key}`);
    const base = this.store.current?.number ?? 0;
    const words = { who: "worker", note: key, connection: "a" };
    const request = { ...words, base, text: textOf(key), confirmWithinSec };
    const change = this.store.begin(request, this.now());
    this.say(`begun ${change.number} ${key}`);
    return change;
  }

  private apply(change = this.begin(undefined)): void {
    this.say(`confirm ${change.number}`);
    change.commit(this.now());
    this.say(`confirmed ${change.number}`);
  }

  private abandon(): void {
    const change = this.begin(undefined);
    change.abandon("refused", this.now());
    this.say(`ended ${change.number}`);
  }

  private rollback(confirmed: number): void {
    const text = this.store.get(confirmed).text;
    const target = this.store
      .history()
      .find(({ state, number }) => state === "confirmed" && this.store.get(number).text !== text);
    if (target === undefined) return;
    const words = { who: "worker", note: "", connection: "a" };
    const request = { ...words, to: target.number, base: undefined, confirmWithinSec: undefined };
    const key = keyOf(this.store.get(target.number).text);
    this.say(`begin ${key}`);
    const change = this.store.beginRollback(request, this.now());
    this.say(`begun ${change.number} ${key}`);
    this.apply(change);
  }

  private applyAndConfirm(): void {
    const change = this.begin(60);
    change.commit(this.now());
    this.say(`confirm ${change.number}`);
    const now = this.now();
    const connection = { id: "b", openedMs: now.monotonicMs };
    this.store.confirm({ revision: change.number, connection, who: "worker" }, now);
    this.say(`confirmed ${change.number}`);
  }

  private applyAndReturn(): void {
    const change = this.begin(60);
    change.commit(this.now());
    const back = this.store.beginReturn({ who: "worker", why: "not confirmed in time" });
    back.commit(this.now());
    this.say(`ended ${change.number}`);
  }
}

export class Ledger {
  private keys = new Map<number, string>();
  private ended = new Set<number>();
  private confirmed = 0;
  private last = 0;
  /** Asked for, and nobody heard what became of it. */
  private confirming: number | undefined;
  private beginning: string | undefined;

  copy(): Ledger {
    const copy = Object.assign(new Ledger(), this);
    copy.keys = new Map(this.keys);
    copy.ended = new Set(this.ended);
    return copy;
  }

  note(line: string): void {
    const [word = "", first = "", second = ""] = line.split(" ");
    const number = Number(first);
    switch (word) {
      case "begin":
        this.beginning = first;
        return;
      case "begun":
        this.beginning = undefined;
        this.keys.set(number, second);
        this.last = number;
        return;
      case "confirm":
        this.confirming = number;
        return;
      case "confirmed":
        this.confirming = undefined;
        this.confirmed = number;
        return;
      case "ended":
        this.ended.add(number);
    }
  }

  /** What does not fit; empty when all is well. Afterwards what was found is what is known. */
  check(store: Store): string[] {
    const faults: string[] = [];
    const fault = (text: string) => faults.push(text);
    for (const notice of store.notices) {
      if (!/^revision \d+: rolled back: the process ended/.test(notice)) fault(notice);
    }
    this.checkInForce(store, fault);
    this.checkHistory(store, fault);
    this.beginning = undefined;
    this.confirming = undefined;
    this.confirmed = store.current?.number ?? 0;
    return faults;
  }

  private checkInForce(store: Store, fault: (text: string) => void): void {
    const number = store.current?.number ?? 0;
    if (number !== this.confirmed && number !== this.confirming) {
      fault(`revision ${number} is in force, and ${this.confirmed} was confirmed last`);
    }
    if (store.deadline !== undefined) fault("something is pending");
  }

  private checkHistory(store: Store, fault: (text: string) => void): void {
    const history = store.history();
    let before = 0;
    for (const { number, state, isInForce } of history) {
      if (number <= before) fault(`revision ${number} after ${before}`);
      before = number;
      if (isInForce !== (number === store.current?.number)) fault(`revision ${number} in force?`);
      this.checkRevision(store, number, state, fault);
    }
    if (before < this.last) fault(`the last is ${before}, and ${this.last} was begun`);
    if (before > this.last + 1) fault(`the last is ${before}, and only ${this.last} was begun`);
    if (history.length > 22) fault(`${history.length} revisions are kept`);
    this.last = before;
  }

  private checkRevision(
    store: Store,
    number: number,
    state: string,
    fault: (text: string) => void,
  ): void {
    if (state === "damaged" || state === "begun" || state === "pending") {
      fault(`revision ${number} is ${state}`);
      return;
    }
    const key = keyOf(store.get(number).text);
    const known = this.keys.get(number) ?? this.beginning;
    if (key === undefined || key !== known) fault(`revision ${number} has the text of ${key}`);
    else this.keys.set(number, key);
    if (state === "confirmed" && this.ended.has(number)) fault(`revision ${number} had ended`);
    if (state === "confirmed" && number > this.confirmed && number !== this.confirming) {
      fault(`revision ${number} was never confirmed`);
    }
    if (state === "confirmed") return;
    if (number === this.confirmed) fault(`revision ${number} is ${state}`);
    this.ended.add(number);
  }
}
