/** What of a configuration each worker has, and what all of them have to know alike. */

import type { Capacity } from "../config/compile.js";
import type { Config, Device } from "../config/model.js";
import type { ZoneLimit } from "./allowances.js";

/** Conns are shared out evenly; everything else each needs whole. */
export function capacityOfEach(capacity: Capacity, workers: number): Capacity {
  return { ...capacity, conns: Math.ceil(capacity.conns / workers) };
}

/** A secret of its own for each, from one that nobody can guess. */
export function seedOf(seed: Uint8Array, worker: number): Uint8Array {
  return seed.map((byte, i) => (i === 0 ? byte ^ worker : byte));
}

/** Zones with a limit of conns. */
export function limitsOf({ zones }: Config): ZoneLimit[] {
  return zones
    .filter(({ connsMax }) => connsMax > 0)
    .map(({ index, id, connsMax }) => ({ index, zone: id, conns: connsMax }));
}

/** Numbers of the devices of a configuration that are what they were in the one before. */
export function keptDevices(before: Config | undefined, config: Config): number[] {
  const known = new Set((before?.devices ?? []).map(identityOf));
  return config.devices.filter((device) => known.has(identityOf(device))).map(({ port }) => port);
}

function identityOf({ port, name, zone, interface: carrier, vlan }: Device): string {
  return JSON.stringify([port, name, zone.id, zone.name, carrier.name, vlan]);
}
