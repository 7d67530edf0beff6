/** What all candidates share that are the Linux kernel: a router, and where its receive work is done. */

import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Namespace } from "../../../host/demo/lab.js";
import { CANDIDATE_CORE, NICENESS } from "./plan.js";

/**
 * Which core does the receive work of an interface:
 *
 *     same      the one that sent, here the generator's
 *     rps       another, by receive packet steering: a queue and an interrupt between the two
 *     threaded  a thread of the kernel for NAPI, pinned to the other core
 */
export type Placement = "same" | "rps" | "threaded";

export const PLACEMENTS: Record<Placement, string> = {
  same: "all work on the generator's core",
  rps: "receive work on the other core by RPS",
  threaded: "receive work on the other core by threaded NAPI",
};

const OFFLOAD = fileURLToPath(new URL("./offload.js", import.meta.url));

/** Generic receive offload, as network cards have it: what comes together is forwarded as one. */
export async function mergeReceived(at: Namespace, ...names: string[]): Promise<void> {
  await at.must(process.execPath, [OFFLOAD, "gro", ...names]);
}

/** Not every candidate finishes the checksum of a sender that left it to the network card. */
export async function completeChecksums(at: Namespace, ...names: string[]): Promise<void> {
  await at.must(process.execPath, [OFFLOAD, "checksum", ...names]);
}

/** Forwards, whatever a packet's source. */
export async function makeRouter(at: Namespace): Promise<void> {
  await at.must("sh", [
    "-c",
    "echo 1 > /proc/sys/net/ipv4/ip_forward; " +
      "for each in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $each; done",
  ]);
}

export async function place(at: Namespace, name: string, placement: Placement): Promise<void> {
  const mask = (1 << CANDIDATE_CORE).toString(16);
  if (placement === "rps") await write(at, `net/${name}/queues/rx-0/rps_cpus`, mask);
  if (placement === "threaded") {
    const before = pollers(name);
    await write(at, `net/${name}/threaded`, "1");
    const own = pollers(name).filter((pid) => !before.includes(pid));
    if (own.length === 0) throw new Error(`${name}: no thread for NAPI has begun`);
    for (const pid of own) {
      await at.must("taskset", ["-cp", String(CANDIDATE_CORE), pid]);
      await at.must("renice", ["-n", NICENESS, "-p", pid]);
    }
  }
}

/** sysfs shows the namespace that it was mounted in: mount it for this one command. */
async function write(at: Namespace, path: string, value: string): Promise<void> {
  const script = `mount -t sysfs sysfs /sys && echo ${value} > /sys/class/${path}`;
  await at.must("unshare", ["--mount", "sh", "-c", script]);
}

/** Threads of the kernel that poll an interface of this name. */
function pollers(name: string): string[] {
  return readdirSync("/proc").filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      return readFileSync(`/proc/${pid}/comm`, "utf8").startsWith(`napi/${name}-`);
    } catch {
      return false; // It has ended meanwhile.
    }
  });
}
