/**
 * The clock that benchmarks measure by: the wall's; or, for a machine that others use, that of the CPU time of the
 * thread, which stands still while the thread waits for its turn. On an idle machine both run alike.
 */

import { createRequire } from "node:module";
import { addressOfView } from "../../host/device/libc.js";

export type ClockName = "wall" | "cpu";

/** linux/time.h */
const CLOCK_THREAD_CPUTIME_ID = 3;

let name: ClockName = "wall";
let read: () => number = wall;

/** Nanoseconds since some moment. */
export function nowNs(): number {
  return read();
}

export function clockName(): ClockName {
  return name;
}

/** What `nowNs` reads from now on. */
export function useClock(next: ClockName): void {
  name = next;
  read = next === "wall" ? wall : openThreadClock();
}

function wall(): number {
  return Number(process.hrtime.bigint());
}

/** A reading is a system call through koffi, half a microsecond. */
function openThreadClock(): () => number {
  const koffi = createRequire(import.meta.url)("koffi") as typeof import("koffi");
  const getTime = koffi.load(null).func("int clock_gettime(int clock, uintptr_t into)");
  // struct timespec: seconds and nanoseconds.
  const time = new BigInt64Array(2);
  const at = addressOfView(time);
  return () => {
    if (getTime(CLOCK_THREAD_CPUTIME_ID, at) !== 0) throw new Error("clock_gettime failed");
    return Number(time[0]) * 1e9 + Number(time[1]);
  };
}
