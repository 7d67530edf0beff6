/**
 * How long the loop looks for the next frame before it sleeps. A sleeper is woken in tens of microseconds, on a
 * virtual machine in fifty: too long between the question and the answer of one exchange. Who never sleeps burns a
 * core. So after a frame the loop looks on for a while (`busyPoll`), as long as that pays: when frames that came
 * too late for it get ahead of those that came in time it sleeps at once, until that has turned round.
 */

/** So far ahead one kind must be. */
const MARGIN = 8;

export class Patience {
  /** When the last frame was found, milliseconds. */
  private foundAt = Number.NEGATIVE_INFINITY;
  /** How far those too late are ahead of those in time, from 0 to MARGIN. */
  private late = 0;
  private hasGivenUp = false;

  /** @param whileMs  how long to look on after a frame; 0 to sleep at once */
  constructor(private readonly whileMs: number) {}

  /** Frames were found, in a look or after a sleep. */
  found(nowMs: number): void {
    if (nowMs - this.foundAt >= this.whileMs) {
      if (this.late < MARGIN) this.late++;
      else this.hasGivenUp = true;
    } else if (this.late > 0) this.late--;
    else this.hasGivenUp = false;
    this.foundAt = nowMs;
  }

  /** Nothing was found: whether to look again instead of going to sleep. */
  looksOn(nowMs: number): boolean {
    return !this.hasGivenUp && nowMs - this.foundAt < this.whileMs;
  }
}
