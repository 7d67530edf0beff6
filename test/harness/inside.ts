/**
 * Runs something in another network namespace, without a process of its own: setns(2) moves the calling
 * thread alone, and a socket stays in the namespace where it was made.
 */
import { closeSync, openSync } from "node:fs";
import koffi from "koffi";

/** linux/sched.h */
const CLONE_NEWNET = 0x40000000;

let setns: ((fd: number, type: number) => number) | undefined;

function enter(fd: number): void {
  setns ??= koffi.load(null).func("int setns(int fd, int type)");
  if (setns(fd, CLONE_NEWNET) !== 0) throw new Error(`setns: errno ${koffi.errno()}`);
}

/** @param pid  a process of that namespace */
export function inside<Result>(pid: number, action: () => Result): Result {
  const home = openSync("/proc/thread-self/ns/net", "r");
  const there = openSync(`/proc/${pid}/ns/net`, "r");
  try {
    enter(there);
    return action();
  } finally {
    enter(home);
    closeSync(there);
    closeSync(home);
  }
}
