/**
 * How threads are timed together: all begin at one moment, and all stop when the first of them is through, so that each
 * runs during the whole of what is timed. Nobody sleeps: to be woken takes longer than some of what is measured.
 */

import { type ClockName, nowNs } from "./clock.js";

/** Words: threads that have come, how often all had, and how often someone was through. Each on a line of its own. */
const ARRIVED = 0;
const ROUND = 16;
const OVER = 32;
const WORDS = 48;

/** One that has failed never comes. */
const PATIENCE_MS = 60_000;
/** Looks between two readings of the clock. */
const LOOKS = 10_000;

/** What one thread did from the common start on, by its clock. */
export interface Stint {
  readonly packets: number;
  readonly beganNs: number;
  readonly endedNs: number;
}

export class Barrier {
  private readonly words: Int32Array;
  /** Races so far. */
  private races = 0;

  static make(): SharedArrayBuffer {
    return new SharedArrayBuffer(WORDS * 4);
  }

  /** @param parties  how many threads have one on the same buffer; each calls the same methods in the same order */
  constructor(
    buffer: SharedArrayBuffer,
    private readonly parties: number,
  ) {
    this.words = new Int32Array(buffer);
  }

  /** Returns when all have come here. */
  wait(): void {
    const { words, parties } = this;
    const round = Atomics.load(words, ROUND);
    if (Atomics.add(words, ARRIVED, 1) + 1 === parties) {
      Atomics.store(words, ARRIVED, 0);
      Atomics.add(words, ROUND, 1);
      return;
    }
    const deadline = performance.now() + PATIENCE_MS;
    for (let looks = 1; Atomics.load(words, ROUND) === round; looks++) {
      if (looks % LOOKS === 0 && performance.now() > deadline) throw new Error("a thread is lost");
    }
  }

  /**
   * Works side by side with the others until the first of them is through.
   * @param work  does a little, and says whether there is more
   * @param packets  how many have been done so far
   */
  race(work: () => boolean, packets: () => number): Stint {
    this.races++;
    const before = packets();
    this.wait();
    const beganNs = nowNs();
    while (Atomics.load(this.words, OVER) < this.races) {
      if (!work()) Atomics.store(this.words, OVER, this.races);
    }
    const endedNs = nowNs();
    const stint = { packets: packets() - before, beganNs, endedNs };
    this.wait();
    return stint;
  }
}

/**
 * Packets a second of all together. By the wall's clock, which all threads share: from the first one's start to the last
 * one's end. By the CPU's, of which each has its own: the sum of what each does in a second that it works.
 */
export function together(stints: readonly Stint[], clock: ClockName): number {
  if (clock === "cpu") {
    return stints.reduce(
      (sum, stint) => sum + rate(stint.packets, stint.beganNs, stint.endedNs),
      0,
    );
  }
  const packets = stints.reduce((sum, stint) => sum + stint.packets, 0);
  const began = Math.min(...stints.map(({ beganNs }) => beganNs));
  return rate(packets, began, Math.max(...stints.map(({ endedNs }) => endedNs)));
}

function rate(packets: number, beganNs: number, endedNs: number): number {
  return (packets * 1e9) / (endedNs - beganNs);
}
