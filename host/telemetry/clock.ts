/**
 * Notices that somebody sets the wall clock: it then moves otherwise than the clock that only counts on. Slewing (NTP
 * moves a clock by half a millisecond a second at most) is no jump.
 */

const JUMP_MS = 1000;

export class ClockWatch {
  private offset: number | undefined;

  /** By how many milliseconds the wall clock was set since the last call; 0 for not. */
  look(wall: number, monotonic: number): number {
    const offset = wall - monotonic;
    const before = this.offset ?? offset;
    this.offset = offset;
    const jump = Math.round(offset - before);
    return Math.abs(jump) >= JUMP_MS ? jump : 0;
  }
}
