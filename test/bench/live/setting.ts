/** Settings of the whole system, which no namespace has for itself: raised where they are too low, and put back. */

import { readFileSync, writeFileSync } from "node:fs";

const undos = new Set<() => void>();
process.once("exit", undoAll);

/**
 * @returns puts it back as it was; the end of the process does so as well
 */
export function raiseSetting(path: string, least: number): () => void {
  const before = current(path);
  if (before === undefined || Number(before) >= least) return () => {};
  writeFileSync(path, String(least));
  const undo = () => {
    if (undos.delete(undo)) writeFileSync(path, before);
  };
  undos.add(undo);
  return undo;
}

function undoAll(): void {
  for (const undo of undos) undo();
}

/** Undefined where the kernel has no such setting. */
function current(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return undefined;
  }
}

const CONNTRACK_MAX = "/proc/sys/net/netfilter/nf_conntrack_max";
const CONNTRACK_BUCKETS = "/sys/module/nf_conntrack/parameters/hashsize";
/** Two for each conn of the largest workload, which double NAT needs, and some to spare. */
const CONNTRACK_ENTRIES = 262_144;
const CONNTRACK_BUCKETS_MIN = 131_072;

/** Room for all conns in the kernel's table. @returns puts it back */
export function makeConntrackRoom(): () => void {
  const settings = [
    raiseSetting(CONNTRACK_MAX, CONNTRACK_ENTRIES),
    raiseSetting(CONNTRACK_BUCKETS, CONNTRACK_BUCKETS_MIN),
  ];
  return () => {
    for (const undo of settings) undo();
  };
}
