/** crosszone as an operator runs it: the command, on real interfaces, pinned to its core. */

import { fileURLToPath } from "node:url";
import type { Child } from "../../../host/demo/child.js";
import type { Namespace } from "../../../host/demo/lab.js";
import { NamelessFile } from "../../../host/demo/nameless.js";
import {
  type Candidate,
  type Ends,
  type Running,
  stopAll,
  Unavailable,
  wireServer,
  wireTenant,
} from "./candidate.js";
import {
  CANDIDATE_CORE,
  EXTERNAL,
  GATEWAY,
  GENERATOR_MAC,
  HOSTS_PREFIX,
  LAN_MAC,
  onCore,
  PROVIDER,
  PUBLIC_ZONE,
  SINK_MAC,
  TENANT,
  TENANT_ZONE,
  UPLINK,
  WAN_MAC,
} from "./plan.js";

export type Driver = "afpacket" | "afxdp";

const MAIN = fileURLToPath(new URL("../../../host/main.js", import.meta.url));

/** More than any workload has. */
const CONNS = 70_000;

/** @param busyPoll  microseconds; undefined for the default */
export function configuration(driver: Driver, busyPoll?: number) {
  const device = (name: string, zone: string, mac: string, address: string) => ({
    name,
    zone,
    interface: name,
    driver,
    mac,
    addresses: [`${address}/24`],
  });
  return {
    version: 1,
    zones: [
      { id: TENANT_ZONE, name: "tenant" },
      { id: PUBLIC_ZONE, name: "public" },
    ],
    devices: [device("lan", "tenant", LAN_MAC, GATEWAY), device("wan", "public", WAN_MAC, UPLINK)],
    routes: [
      { zone: "tenant", to: HOSTS_PREFIX, via: TENANT },
      { zone: "public", to: "0.0.0.0/0", via: PROVIDER },
    ],
    neighbors: [
      { zone: "tenant", address: TENANT, mac: GENERATOR_MAC },
      { zone: "public", address: PROVIDER, mac: SINK_MAC },
    ],
    pools: [{ name: "p", zone: "public", addresses: [EXTERNAL] }],
    nat: [{ from: ["tenant"], to: "public", pool: "p" }],
    capacity: { conns: CONNS },
    ...(busyPoll === undefined ? {} : { busyPoll }),
  };
}

/** The first thing that the command says against it. */
function reasonOf(stderr: string, path: string): string {
  const [first = ""] = stderr.trim().split("\n");
  return first.replace(`${path}: `, "").trim() || "it ended without a word";
}

async function checkAccepted(at: Namespace, path: string): Promise<void> {
  const { status, stderr } = await at.run(process.execPath, [MAIN, "check", path]);
  if (status === 0) return;
  throw new Unavailable(`crosszone check refuses it: ${reasonOf(stderr, path)}`);
}

async function run(at: Namespace, path: string): Promise<Child> {
  const command = [process.execPath, MAIN, "run", path, "--socket", "none"] as const;
  const child = at.spawn(...onCore(CANDIDATE_CORE, ...command));
  try {
    await child.line("stderr", /^crosszone: running/);
    return child;
  } catch {
    throw new Unavailable(`crosszone run refuses it: ${reasonOf(child.stderr, path)}`);
  }
}

/** A line in the log says how each interface works; with AF_XDP it may be by AF_PACKET, which is measured by itself. */
async function checkDriver(child: Child): Promise<void> {
  for (const name of ["lan", "wan"]) {
    const line = await child.line("stderr", new RegExp(`^crosszone: afxdp ${name}: `));
    if (line.endsWith("works as afpacket")) throw new Unavailable(line);
  }
}

async function start(ends: Ends, driver: Driver, busyPoll?: number): Promise<Running> {
  const router = await ends.lab.namespace("router");
  const file = new NamelessFile(JSON.stringify(configuration(driver, busyPoll)));
  try {
    await checkAccepted(router, file.path);
    // It has MACs of its own: the kernel's are others, so that the kernel leaves its frames alone.
    await wireTenant(ends, router, true);
    await wireServer(ends, router, true);
    const child = await run(router, file.path);
    if (driver === "afxdp") await checkDriver(child);
    return {
      entry: router,
      needsGate: driver !== "afxdp",
      stop: () => stopAll([child]),
    };
  } finally {
    file.close();
  }
}

export function crosszone(driver: Driver, busyPoll?: number): Candidate {
  const isBusy = busyPoll !== undefined;
  return {
    name: `crosszone ${driver}${isBusy ? " busy" : ""}`,
    about: `crosszone run, driver ${driver}, on the other core${isBusy ? `; busyPoll ${busyPoll}` : ""}`,
    start: (ends) => start(ends, driver, busyPoll),
  };
}
