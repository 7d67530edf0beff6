/**
 * How long the loop looks for the next frame before it sleeps. A sleeper is woken in tens of microseconds, on a
 * virtual machine in fifty: too long between the question and the answer of one exchange. Who never sleeps burns a
 * core. So after a frame the loop looks on for a while (`busyPoll`), as long as that pays: when it was in vain several
 * times in a row it sleeps at once, until a sleep turns out to have been shorter than the while.
 */

/** In vain so often in a row, looking on is given up. */
const MISSES_MAX = 8;

export class Patience {
  /** When the last frame was found, milliseconds. */
  private foundAt = Number.NEGATIVE_INFINITY;
  private misses = 0;

  /** @param whileMs  how long to look on after a frame; 0 to sleep at once */
  constructor(private readonly whileMs: number) {}

  /** Frames were found. */
  found(nowMs: number): void {
    if (nowMs - this.foundAt < this.whileMs) this.misses = 0;
    this.foundAt = nowMs;
  }

  /** Nothing was found: whether to look again instead of going to sleep. */
  looksOn(nowMs: number): boolean {
    if (this.misses >= MISSES_MAX) return false;
    if (nowMs - this.foundAt < this.whileMs) return true;
    this.misses++;
    return false;
  }
}
