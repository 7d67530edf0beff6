/** TCP in bulk: one stream of iperf3 from the tenant to the server, in segments that fit the link. */

import { GENERATOR_CORE, onCore, SERVER } from "./plan.js";
import type { Site } from "./site.js";
import { versionOf } from "./support.js";

const PORT = "5201";

interface Report {
  readonly error?: string;
  readonly end?: {
    readonly sum_received: { readonly bits_per_second: number };
    readonly sum_sent: { readonly retransmits: number };
  };
}

/** One repetition. */
export interface Bulk {
  /** Of payload, as the server got it. */
  readonly bitsPerSecond: number;
  readonly retransmits: number;
}

/** Both ends on the generator's core: the candidate has its own for itself. */
export async function measureBulk(site: Site, seconds: number): Promise<Bulk> {
  if (versionOf("iperf3") === undefined) {
    throw new Error("`iperf3` is missing (Debian package iperf3)");
  }
  const iperf3 = (...args: string[]) => onCore(GENERATOR_CORE, "iperf3", "-p", PORT, ...args);
  const service = site.server.spawn(...iperf3("-s", "-1", "--forceflush"));
  await service.line("stdout", /listening/);
  const options = ["-c", SERVER, "-t", String(seconds), "-J", "--connect-timeout", "5000"];
  const { stdout } = await site.tenant.run(...iperf3(...options));
  await service.stop();
  return bulkOf(JSON.parse(stdout) as Report);
}

function bulkOf({ error, end }: Report): Bulk {
  if (end === undefined || error !== undefined) throw new Error(`iperf3: ${error ?? "no report"}`);
  return {
    bitsPerSecond: end.sum_received.bits_per_second,
    retransmits: end.sum_sent.retransmits,
  };
}
