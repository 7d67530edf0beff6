/** What is measured: something between `lan` and `wan` that translates. */

import type { Child } from "../../../host/demo/child.js";
import type { Lab, Namespace } from "../../../host/demo/lab.js";
import { GENERATOR_MAC, LAN_MAC, SINK_MAC, WAN_MAC } from "./plan.js";

/** Who is at the ends: the generator and the sink, or the stacks of a tenant and a server. */
export type Purpose = "frames" | "stacks";

/** Cannot be measured here; the message says what is missing. */
export class Unavailable extends Error {}

/** The network without what is in its middle. */
export interface Ends {
  readonly lab: Lab;
  readonly tenant: Namespace;
  readonly server: Namespace;
  readonly purpose: Purpose;
}

export interface Running {
  /** Where the tenant's cable ends, as the interface `lan`. */
  readonly entry: Namespace;
  /** Whether `lan` needs a program of ours to take the generator's frames. */
  readonly needsGate: boolean;
  /** Puts its work on its core; called when all programs are attached, for some of that is for NAPI. */
  placeWork?(): Promise<void>;
  stop(): Promise<void>;
}

export interface Candidate {
  readonly name: string;
  /** One line for people: what runs, and how it is set up. */
  readonly about: string;
  /**
   * Wires it to both ends; resolves when it forwards.
   * @throws Unavailable when it cannot run on this machine
   */
  start(ends: Ends): Promise<Running>;
}

/** The cable to the tenant. The end's address is what the generator's frames ask for, unless `foreign`. */
export function wireTenant({ lab, tenant }: Ends, at: Namespace, foreign = false): Promise<void> {
  return lab.cables([
    { at: tenant, name: "eth0", link: `address ${GENERATOR_MAC}` },
    { at, name: "lan", ...(foreign ? {} : { link: `address ${LAN_MAC}` }) },
  ]);
}

export function wireServer({ lab, server }: Ends, at: Namespace, foreign = false): Promise<void> {
  return lab.cables([
    { at: server, name: "eth0", link: `address ${SINK_MAC}` },
    { at, name: "wan", ...(foreign ? {} : { link: `address ${WAN_MAC}` }) },
  ]);
}

/** A command that runs to its end there, or says that it is missing. */
export async function need(at: Namespace, command: string, packageName: string): Promise<string> {
  const { status, stdout } = await at.run(command, ["--version"]);
  if (status !== 0) throw new Unavailable(`${command} is missing (Debian package ${packageName})`);
  return stdout.split("\n")[0] ?? "";
}

export async function stopAll(children: readonly Child[]): Promise<void> {
  await Promise.all(children.map((child) => child.stop()));
}
