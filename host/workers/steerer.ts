/** Says of each interface how the kernel is to share out what comes in by it, as far as the configuration tells. */

import { Driver } from "../../assembly/abi.js";
import type { Config, Zone } from "../config/model.js";
import { isShared } from "../config/shares.js";
import { createSocketMap } from "../device/afxdp.js";
import { makeGroup, type Sharing } from "../device/fanout.js";
import { libc } from "../device/libc.js";
import { buildSteering, type SteeredDevice, type Steering } from "../device/steering.js";

export class Steerer {
  /** In the order in which interfaces were first seen. */
  private readonly ranks = new Map<string, number>();
  /** Maps of AF_XDP sockets, by interface. */
  private readonly maps = new Map<string, number>();

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
    const { workers } = this;
    const xdpWorker = rank % workers;
    const sockets = this.mapOf(name, config);
    return { group: makeGroup(), program: buildSteering(steering), workers, xdpWorker, sockets };
  }

  /** Forgets interfaces that are in none of these. */
  retain(configs: Iterable<Config>): void {
    const names = new Set([...configs].flatMap(({ interfaces }) => interfaces.map(nameOf)));
    for (const [name, fd] of this.maps) {
      if (names.has(name)) continue;
      libc().close(fd);
      this.maps.delete(name);
    }
  }

  /** One for all workers; -1 where the kernel refuses it: they will say why. */
  private mapOf(name: string, { interfaces }: Config): number {
    const { driver } = interfaces.find((each) => each.name === name) ?? {};
    const known = this.maps.get(name);
    if (driver !== Driver.Afxdp || known !== undefined) return known ?? -1;
    try {
      const made = createSocketMap(`afxdp ${name}`);
      this.maps.set(name, made);
      return made;
    } catch {
      return -1;
    }
  }

  /** What that program follows from. */
  of(name: string, config: Config): Steering | undefined {
    const { workers, shareShift } = this;
    if (workers === 1) return undefined;
    return { workers, shareShift, devices: devicesOf(name, config) };
  }
}

function nameOf({ name }: { readonly name: string }): string {
  return name;
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
