/**
 * How several workers share what a configuration has (docs/adr/0021-workers.md): external ports in stretches of one size,
 * in turn and beginning with another worker at each address. Ports of subscribers go with their hosts instead.
 */

import { Allocation, Limit } from "../../assembly/abi.js";
import type { Problems } from "./error.js";
import type { Config, Pool } from "./model.js";

const SHIFT_MIN = Math.log2(Limit.BlockPortsMin);

/** Twos to which power external ports stand together that belong to one worker: so no block is of two. */
export function shareShiftOf({ pools }: Pick<Config, "pools">): number {
  return Math.max(SHIFT_MIN, ...pools.map(({ block }) => Math.log2(block?.ports ?? 1)));
}

/** Whether all of a pool's ports are shared out, and none goes with its host. */
export function isShared({ allocation }: Pool): boolean {
  return allocation !== Allocation.Deterministic;
}

/** Each worker must have ports of each pool: the hosts that are its own would have none. */
export function checkShares(
  config: Config,
  pathOf: (pool: Pool) => string,
  problems: Problems,
): void {
  const { workers, pools } = config;
  if (workers === 1) return;
  const shift = shareShiftOf(config);
  for (const pool of pools.filter(isShared)) {
    const served = workersWithPorts(pool, workers, shift);
    if (served === workers) continue;
    const expected = `ports for each of ${workers} workers, which have ${2 ** shift} in a row in turn`;
    problems.add(pathOf(pool), expected, `ports for ${served} of them`);
  }
}

/** How many workers have a whole block, or any port where it has no blocks. */
function workersWithPorts(pool: Pool, workers: number, shift: number): number {
  const { ports, block, ranges } = pool;
  const size = block?.ports ?? 1;
  const found = new Set<number>();
  const first = Math.ceil(ports.low / size) * size;
  for (const range of ranges) {
    for (let address = range.first; address <= range.last; address++) {
      for (let port = first; port + size - 1 <= ports.high; port = nextStretch(port, shift)) {
        found.add(((port >>> shift) + (address & 0xffff)) % workers);
        if (found.size === workers) return workers;
      }
    }
  }
  return found.size;
}

function nextStretch(port: number, shift: number): number {
  return ((port >>> shift) + 1) << shift;
}

/**
 * How several workers have shared out ports since the start. An address that a configuration leaves out is still
 * remembered by whoever had conns on it, whose ports rest: when it comes back, its ports are the same workers' as before.
 */
export class Shares {
  /** Ports stand together in twos to this power, whatever later configurations say. */
  readonly shift: number;
  private readonly workers: number;
  /** One pool of each kind that has been in force. */
  private readonly pools = new Map<string, Pool>();

  /** @param first  the configuration of the start */
  constructor(first: Config) {
    this.shift = shareShiftOf(first);
    this.workers = first.workers;
    this.adopt(first);
  }

  /** A configuration is in force. */
  adopt({ pools }: Config): void {
    if (this.workers === 1) return;
    for (const pool of pools) this.pools.set(kindOf(pool), pool);
  }

  /** What keeps a configuration from following those that have been in force; one line each. */
  refuse(config: Config): string[] {
    const { workers, shift } = this;
    const wrong: string[] = [];
    if (config.workers !== workers) {
      wrong.push(
        `workers: ${config.workers} wanted, ${workers} since the start; a restart with this configuration changes that`,
      );
    }
    if (workers === 1) return wrong;
    if (shareShiftOf(config) > shift) {
      wrong.push(
        `pools: blocks of ${2 ** shareShiftOf(config)} ports wanted, ports are shared out by ${2 ** shift} since the start; ` +
          "a restart with this configuration changes that",
      );
    }
    for (const pool of config.pools.filter(isShared)) {
      const served = workersWithPorts(pool, workers, shift);
      if (served === workers) continue;
      wrong.push(
        `pools: ${pool.name} has ports for ${served} of ${workers} workers, which have ${2 ** shift} in a row ` +
          "since the start; a restart with this configuration changes that",
      );
    }
    for (const pool of config.pools) {
      const other = [...this.pools.values()].find((each) => isMoved(each, pool));
      if (other === undefined) continue;
      wrong.push(
        `pools: ports of ${pool.name} would change their workers: its addresses or ports, deterministic or not, are ` +
          `not those of ${other.name}, now or before; a restart with this configuration changes that`,
      );
    }
    return wrong;
  }
}

/** All that the owners of a pool's ports follow from. */
function kindOf(pool: Pool): string {
  const { zone, ranges } = pool;
  return JSON.stringify([zone.id, zone.name, isShared(pool) ? ranges : planOf(pool)]);
}

/** Whether two pools have an address in common, and ports of it go with their hosts in one but otherwise in the other. */
function isMoved(one: Pool, other: Pool): boolean {
  if (isShared(one) && isShared(other)) return false;
  const meets = one.ranges.some((a) =>
    other.ranges.some((b) => a.first <= b.last && b.first <= a.last),
  );
  const isSameZone = one.zone.id === other.zone.id && one.zone.name === other.zone.name;
  return meets && isSameZone && planOf(one) !== planOf(other);
}

/** All that a subscriber's ports follow from. */
function planOf({ ports, ranges, deterministic }: Pool): string {
  const hosts = deterministic?.hosts.map(({ zone, prefix, first }) => [
    zone.id,
    prefix.address,
    prefix.length,
    first,
  ]);
  const rest = deterministic && { ...deterministic, hosts };
  return JSON.stringify([ports, ranges, rest ?? null]);
}
