/** Says of each interface how the kernel is to share out what comes in by it, as far as the configuration tells. */

import { randomInt } from "node:crypto";
import type { Config, Zone } from "../config/model.js";
import { isShared } from "../config/shares.js";
import type { SteeredDevice, Steering } from "../device/steering.js";

/** Groups of packet sockets have numbers of 16 bits in their network namespace, which other programs use, too. */
const GROUPS = 1 << 16;

export class Steerer {
  private readonly firstGroup = randomInt(GROUPS);
  /** In the order in which interfaces were first seen. */
  private readonly ranks = new Map<string, number>();

  /** @param shareShift  of the start (config/shares.ts) */
  constructor(
    private readonly workers: number,
    private readonly shareShift: number,
  ) {}

  /** Undefined where one worker has all. */
  of(name: string, config: Config): Steering | undefined {
    const { workers, shareShift } = this;
    if (workers === 1) return undefined;
    const rank = this.ranks.get(name) ?? this.ranks.size;
    this.ranks.set(name, rank);
    return {
      workers,
      group: (this.firstGroup + rank) % GROUPS,
      xdpWorker: rank % workers,
      shareShift,
      devices: devicesOf(name, config),
    };
  }
}

/** A device with two tags is not told apart: its packets come to one worker, who hands them on. */
function devicesOf(name: string, { devices, pools }: Config): SteeredDevice[] {
  return devices
    .filter((device) => device.interface.name === name && device.vlan?.inner === undefined)
    .map(({ vlan, zone }) => ({
      vlan: vlan?.outer,
      zone: zone.id,
      externals: externalsOf(zone, pools),
    }));
}

function externalsOf(zone: Zone, pools: Config["pools"]) {
  return pools
    .filter((pool) => pool.zone === zone && isShared(pool))
    .flatMap(({ ranges }) => ranges.map(({ first, last }) => ({ first, last })));
}
