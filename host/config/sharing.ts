/**
 * Addresses of two pools. They share their ports, which goes well as long as both take single ports; blocks
 * and ports that are subscribers' must not be given away by anybody else (docs/adr/0011).
 */

import { Allocation } from "../../assembly/abi.js";
import { formatAddress } from "./address.js";
import type { Problems } from "./error.js";
import type { Pool, Zone } from "./model.js";
import { ALLOCATIONS } from "./poolschema.js";

interface Owned {
  readonly first: number;
  readonly last: number;
  readonly pool: Pool;
}

/** `pathOf` says where a pool's addresses stand. */
export function checkSharing(
  pools: readonly Pool[],
  pathOf: (pool: Pool) => string,
  problems: Problems,
): void {
  for (const owned of rangesByZone(pools).values()) {
    owned.sort((one, other) => one.first - other.first);
    /** Ranges that may reach the next one: the one that ends last, alone and of all. */
    let open: Owned | undefined;
    let openAlone: Owned | undefined;
    for (const range of owned) {
      const rival = isAlone(range.pool) ? open : openAlone;
      if (rival !== undefined && rival.last >= range.first && rival.pool !== range.pool) {
        report(range, rival, pathOf, problems);
      }
      open = further(open, range);
      if (isAlone(range.pool)) openAlone = further(openAlone, range);
    }
  }
}

function isAlone({ allocation }: Pool): boolean {
  return allocation === Allocation.Block || allocation === Allocation.Deterministic;
}

function further(one: Owned | undefined, other: Owned): Owned {
  return one === undefined || other.last > one.last ? other : one;
}

function rangesByZone(pools: readonly Pool[]): Map<Zone, Owned[]> {
  const byZone = new Map<Zone, Owned[]>();
  for (const pool of pools) {
    const owned = byZone.get(pool.zone) ?? [];
    owned.push(...pool.ranges.map((range) => ({ ...range, pool })));
    byZone.set(pool.zone, owned);
  }
  return byZone;
}

function report(
  one: Owned,
  other: Owned,
  pathOf: (pool: Pool) => string,
  problems: Problems,
): void {
  const [earlier, later] =
    one.pool.index < other.pool.index ? [one.pool, other.pool] : [other.pool, one.pool];
  const exclusive = isAlone(earlier) ? earlier : later;
  const expected = `addresses of one pool alone, as ${exclusive.name} is ${wordOf(exclusive)}`;
  const found = `${formatAddress(one.first)}, also of ${pathOf(earlier)}`;
  problems.add(pathOf(later), expected, found);
}

function wordOf({ allocation }: Pool): string {
  return `"${ALLOCATIONS[allocation]}"`;
}
