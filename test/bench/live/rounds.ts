/** Candidates one after another, and what could not be measured, with the reason: nothing is left out in silence. */

import { type Candidate, type Purpose, Unavailable } from "./candidate.js";
import { crosszone } from "./crosszone.js";
import { doubleNat } from "./doublenat.js";
import { linuxZones } from "./linuxzones.js";
import { openVswitch } from "./openvswitch.js";
import { Site } from "./site.js";

/** What ratios are of, the first that can be measured. */
export const REFERENCES = ["crosszone afxdp", "crosszone afpacket"];

export function allCandidates(): Candidate[] {
  return [
    crosszone("afxdp"),
    crosszone("afpacket"),
    linuxZones("same"),
    linuxZones("rps"),
    linuxZones("threaded"),
    doubleNat("same"),
    doubleNat("rps"),
    openVswitch("afxdp"),
    openVswitch("afpacket"),
  ];
}

export interface Omission {
  readonly candidate: string;
  /** A workload; undefined where it is all of them. */
  readonly workload?: string;
  readonly reason: string;
}

export class Rounds {
  readonly omissions: Omission[] = [];
  private readonly unavailable = new Set<string>();

  /**
   * Builds the candidate's site, measures there and tears it down.
   * @returns undefined where it cannot be measured, which is noted
   */
  async measure<Answer>(
    candidate: Candidate,
    workload: string,
    purpose: Purpose,
    measure: (site: Site) => Promise<Answer>,
  ): Promise<Answer | undefined> {
    const { name } = candidate;
    if (this.unavailable.has(name)) return undefined;
    try {
      return await onSite(candidate, purpose, measure);
    } catch (error) {
      this.note(name, workload, error);
      return undefined;
    }
  }

  /** What ratios are of: the first that is not unavailable. */
  get reference(): string {
    return REFERENCES.find((name) => !this.unavailable.has(name)) ?? "";
  }

  private note(candidate: string, workload: string, error: unknown): void {
    const reason = error instanceof Error ? error.message.trim() : String(error);
    if (error instanceof Unavailable) {
      this.unavailable.add(candidate);
      this.omissions.push({ candidate, reason });
    } else this.omissions.push({ candidate, workload, reason });
    progress(`${candidate}: not measured: ${reason}`);
  }
}

async function onSite<Answer>(
  candidate: Candidate,
  purpose: Purpose,
  measure: (site: Site) => Promise<Answer>,
): Promise<Answer> {
  const site = await Site.build(candidate, purpose);
  try {
    return await measure(site);
  } finally {
    await site.close();
  }
}

/** Results go to standard output, everything else to standard error. */
export function progress(text: string): void {
  process.stderr.write(`${text}\n`);
}
