/**
 * When a pending revision is rolled back. The monotonic clock decides, so that setting the wall clock neither
 * prolongs nor shortens the time; the wall clock is what people are told, and is corrected when it jumps.
 */

/** One moment by both clocks. */
export interface Now {
  /** Milliseconds since 1970. */
  readonly wallMs: number;
  /** Milliseconds of a clock that never jumps (`performance.now()`). */
  readonly monotonicMs: number;
}

/** A difference of the two clocks that is no drift. */
const JUMP_MS = 1000;

export interface Due {
  readonly isDue: boolean;
  /** By the monotonic clock; 0 when it is due. */
  readonly leftMs: number;
  /**
   * How far the wall clock has jumped since the last look, 0 for not. `deadline.wallMs` has moved as
   * far, and whoever was told the time should be told again.
   */
  readonly jumpMs: number;
}

export class Deadline {
  private at: Now;

  constructor(began: Now, seconds: number) {
    const ms = seconds * 1000;
    this.at = { wallMs: began.wallMs + ms, monotonicMs: began.monotonicMs + ms };
  }

  get wallMs(): number {
    return this.at.wallMs;
  }

  get monotonicMs(): number {
    return this.at.monotonicMs;
  }

  /** Looks without noticing a jump. */
  isOver(now: Now): boolean {
    // Also by a clock that says NaN: better early than never.
    return !(now.monotonicMs < this.at.monotonicMs);
  }

  look(now: Now): Due {
    const leftMs = Math.max(0, this.at.monotonicMs - now.monotonicMs);
    const moved = now.wallMs - now.monotonicMs - (this.at.wallMs - this.at.monotonicMs);
    const jumpMs = Math.abs(moved) > JUMP_MS ? moved : 0;
    if (jumpMs !== 0) this.at = { ...this.at, wallMs: this.at.wallMs + jumpMs };
    return { isDue: this.isOver(now), leftMs, jumpMs };
  }
}
