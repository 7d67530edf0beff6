/**
 * What a configuration that comes later must fit into. The arena is made at the start and does not grow; the
 * datapath refuses what is too large without a name for it, so it is asked here first.
 */

import { type Capacity, capacityOf } from "./config/compile.js";
import type { Config } from "./config/model.js";

/**
 * One line per capacity that is too small, naming it, what is wanted and what is there.
 * @param present  the configurations that may be in force: a pool's new address is there before its old one goes
 */
export function outgrown(
  config: Config,
  imageBytes: number,
  running: Capacity,
  present: readonly Config[],
): string[] {
  const { conns, neighbors } = capacityOf(config);
  const { capacity } = config;
  const wanted: Capacity = {
    conns,
    neighbors: Math.max(neighbors, config.neighbors.length),
    poolAddresses: Math.max(capacity.poolAddresses ?? 0, poolAddresses([config, ...present])),
    imageBytes: Math.max(capacity.imageBytes ?? 0, imageBytes),
  };
  return (Object.keys(wanted) as (keyof Capacity)[])
    .filter((name) => wanted[name] > running[name])
    .map(
      (name) =>
        `capacity.${name}: ${wanted[name]} wanted, ${running[name]} set aside at the start; ` +
        "a restart with this configuration sets aside more",
    );
}

/** Of all of them together; one that a zone has in two configurations counts once. */
function poolAddresses(configs: readonly Config[]): number {
  const found = new Set<string>();
  for (const { pools } of configs) {
    for (const { zone, ranges } of pools) {
      for (const { first, last } of ranges) {
        for (let address = first; address <= last; address++) {
          found.add(`${zone.id} ${zone.name} ${address}`);
        }
      }
    }
  }
  return found.size;
}
