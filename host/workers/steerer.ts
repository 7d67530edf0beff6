/** Says of each interface how the kernel is to share out what comes in by it, as far as the configuration tells. */

import type { Config, Zone } from "../config/model.js";
import { isShared } from "../config/shares.js";
import { makeGroup, type Sharing } from "../device/fanout.js";
import { buildSteering, type SteeredDevice, type Steering } from "../device/steering.js";

export class Steerer {
  /** In the order in which interfaces were first seen. */
  private readonly ranks = new Map<string, number>();

  /** @param shareShift  of the start (config/shares.ts) */
  constructor(
    private readonly workers: number,
    private readonly shareShift: number,
  ) {}

  /**
   * What the workers' sockets on an interface have in common under a configuration: those that are opened for it are a
   * group of their own. Undefined where one worker has all.
   */
  sharingOf(name: string, config: Config): Sharing | undefined {
    const steering = this.of(name, config);
    if (steering === undefined) return undefined;
    const rank = this.ranks.get(name) ?? this.ranks.size;
    this.ranks.set(name, rank);
    const xdpWorker = rank % this.workers;
    return { group: makeGroup(), program: buildSteering(steering), xdpWorker };
  }

  /** What that program follows from. */
  of(name: string, config: Config): Steering | undefined {
    const { workers, shareShift } = this;
    if (workers === 1) return undefined;
    return { workers, shareShift, devices: devicesOf(name, config) };
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
