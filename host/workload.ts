/** What a forwarding thread does with its time: counted in place, once a turn, without garbage. */

import { Limit } from "../assembly/abi.js";

/** As it is read out. */
export interface Work {
  /** Turns of the loop, and those of them that found nothing. */
  readonly turns: number;
  readonly emptyTurns: number;
  /** Frames that turns brought, those that other workers handed off included. */
  readonly frames: number;
  readonly sleeps: number;
  /** Milliseconds of turns that brought frames. */
  readonly busyMs: number;
  /** Turns that brought 1, 2, 3 to 4, 5 to 8 … up to Limit.Batch frames. */
  readonly batches: readonly number[];
}

/** Batches are counted by powers of two: this many classes. */
export const BATCH_CLASSES = 33 - Math.clz32(Limit.Batch - 1);

enum At {
  Turns,
  EmptyTurns,
  Frames,
  Sleeps,
  BusyMs,
  /** When the turn began, and whether it brought something. */
  BeganMs,
  IsBusy,
  Batches,
}

export class Workload {
  /** Numbers that are no small integers would each be an object of their own elsewhere. */
  private readonly row = new Float64Array(At.Batches + BATCH_CLASSES);

  /** A turn begins, and with it the one before has ended. */
  begin(nowMs: number): void {
    const { row } = this;
    if (row[At.IsBusy] === 1) this.add(At.BusyMs, nowMs - (row[At.BeganMs] as number));
    row[At.BeganMs] = nowMs;
  }

  /** It has brought so many frames. */
  end(received: number): void {
    this.row[At.IsBusy] = received > 0 ? 1 : 0;
    this.add(At.Turns, 1);
    if (received === 0) this.add(At.EmptyTurns, 1);
    else {
      this.add(At.Frames, received);
      this.add(At.Batches + 32 - Math.clz32(received - 1), 1);
    }
  }

  sleep(): void {
    this.add(At.Sleeps, 1);
  }

  read(): Work {
    const at = (place: At) => this.row[place] ?? 0;
    return {
      turns: at(At.Turns),
      emptyTurns: at(At.EmptyTurns),
      frames: at(At.Frames),
      sleeps: at(At.Sleeps),
      busyMs: at(At.BusyMs),
      batches: [...this.row.subarray(At.Batches)],
    };
  }

  private add(place: number, more: number): void {
    this.row[place] = (this.row[place] as number) + more;
  }
}
