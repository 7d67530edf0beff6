/** A candidate between its two ends, ready to be measured; everything ends with `close`. */

import { Lab, type Namespace } from "../../../host/demo/lab.js";
import type { Candidate, Ends, Purpose, Running } from "./candidate.js";
import { completeChecksums, mergeReceived } from "./linux.js";
import {
  CANDIDATE_CORE,
  EXTERNAL,
  GATEWAY,
  GENERATOR_CORE,
  GENERATOR_MAC,
  LAN_MAC,
  PROVIDER,
  SERVER,
  SINK_MAC,
  TENANT,
  UPLINK,
  WAN_MAC,
} from "./plan.js";
import { Station } from "./station.js";

/** Frames that the kernel dropped at an interface of the candidate, on their way in or out. */
export interface Drops {
  readonly lan: number;
  readonly wan: number;
}

/** What `ip -json -statistics link` says of an interface, as far as it is read here. */
interface LinkStatistics {
  readonly stats64: { readonly rx: { readonly dropped: number }; readonly tx: { dropped: number } };
}

export class Site {
  private constructor(
    readonly lab: Lab,
    readonly tenant: Namespace,
    readonly server: Namespace,
    private readonly running: Running,
  ) {}

  /** @throws Unavailable when the candidate cannot run here */
  static async build(candidate: Candidate, purpose: Purpose): Promise<Site> {
    const lab = await openLab(purpose);
    try {
      const [tenant, server] = await Promise.all([
        lab.namespace("tenant"),
        lab.namespace("server"),
      ]);
      const ends = { lab, tenant, server, purpose };
      const running = await candidate.start(ends);
      await addressEnds(ends);
      if (purpose === "stacks") await helpEnds(ends);
      if (purpose === "frames" && running.needsGate) await openGate(running.entry, "pass");
      await running.placeWork?.();
      return new Site(lab, tenant, server, running);
    } catch (error) {
      await closeLab(lab);
      throw error;
    }
  }

  startGenerator(): Promise<Station> {
    return Station.start(this.tenant, GENERATOR_CORE, "generator", "eth0");
  }

  /** Its work is that of whoever sends: where the process is pinned does not matter. */
  startSink(kind: "sink" | "echo"): Promise<Station> {
    return Station.start(this.server, CANDIDATE_CORE, "sink", "eth0", kind);
  }

  /** Since the interfaces were made. Of a candidate whose ends stand in one namespace. */
  async drops(): Promise<Drops> {
    // A cable's end counts what its other end could not give it as dropped when sending, there.
    const [sender, lan, wan] = await Promise.all([
      linkStatistics(this.tenant, "eth0"),
      linkStatistics(this.running.entry, "lan"),
      linkStatistics(this.running.entry, "wan"),
    ]);
    return {
      lan: sender.tx.dropped + lan.rx.dropped,
      wan: wan.tx.dropped,
    };
  }

  async close(): Promise<void> {
    await this.running.stop();
    await closeLab(this.lab);
  }
}

async function linkStatistics(at: Namespace, name: string): Promise<LinkStatistics["stats64"]> {
  const text = await at.must("ip", ["-json", "-statistics", "link", "show", "dev", name]);
  const [link] = JSON.parse(text) as LinkStatistics[];
  if (link === undefined) throw new Error(`${name}: no counters`);
  return link.stats64;
}

export function openGate(at: Namespace, verdict: "pass" | "drop"): Promise<Station> {
  return Station.start(at, CANDIDATE_CORE, "gate", "lan", verdict);
}

/** What stacks at both ends need; the generator and the sink do without. */
async function addressEnds({ tenant, server }: Ends): Promise<void> {
  await tenant.ip(
    `addr add ${TENANT}/24 dev eth0`,
    `neigh replace ${GATEWAY} lladdr ${LAN_MAC} dev eth0 nud permanent`,
    `route add default via ${GATEWAY}`,
  );
  await server.ip(
    `addr add ${PROVIDER}/24 dev eth0`,
    `addr add ${SERVER}/32 dev lo`,
    `neigh replace ${EXTERNAL} lladdr ${WAN_MAC} dev eth0 nud permanent`,
    `neigh replace ${UPLINK} lladdr ${WAN_MAC} dev eth0 nud permanent`,
  );
}

/** Their frames are as long as the link allows and complete, as they are on a wire. */
async function helpEnds({ tenant, server }: Ends): Promise<void> {
  for (const end of [tenant, server]) {
    await completeChecksums(end, "eth0");
    await mergeReceived(end, "eth0");
  }
}

/** Labs that are up: a signal closes them. */
const labs = new Set<Lab>();
let interrupted = false;

/** After a signal nothing goes on: what fails then fails because it was ended. */
async function unlessInterrupted(): Promise<void> {
  if (interrupted) await new Promise(() => {});
}

/** Stacks may cut their segments at the last moment: cut earlier, the ends would be the limit. */
export async function openLab(purpose: Purpose): Promise<Lab> {
  await unlessInterrupted();
  const lab = await Lab.create({ senderOffload: purpose === "stacks" });
  labs.add(lab);
  return lab;
}

export async function closeLab(lab: Lab): Promise<void> {
  await lab.close();
  await unlessInterrupted();
  labs.delete(lab);
}

/** What SIGINT and SIGTERM do: nothing is left behind, and the exit code is the shell's for that signal. */
export function closeOnSignals(): void {
  for (const [signal, status] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const) {
    process.once(signal, async () => {
      interrupted = true;
      await Promise.all([...labs].map((lab) => lab.close()));
      process.exit(status);
    });
  }
}

/** The generator alone: its frames are dropped as soon as they arrive. */
export async function buildCeiling(): Promise<{ generator: Station; gate: Station; lab: Lab }> {
  const lab = await openLab("frames");
  try {
    const [tenant, router] = await Promise.all([lab.namespace("tenant"), lab.namespace("router")]);
    await lab.cables([
      { at: tenant, name: "eth0", link: `address ${GENERATOR_MAC}` },
      { at: router, name: "lan", link: `address ${SINK_MAC}` },
    ]);
    const gate = await openGate(router, "drop");
    const generator = await Station.start(tenant, GENERATOR_CORE, "generator", "eth0");
    return { generator, gate, lab };
  } catch (error) {
    await closeLab(lab);
    throw error;
  }
}
