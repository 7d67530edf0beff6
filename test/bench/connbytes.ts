/**
 * What the bytes of a conn are, by the regions of the arena (assembly/memory.ts) that have more where there may be more
 * conns. Asked of the plan itself, at two capacities, so that the parts are all that a conn occupies.
 */

import { Exchange, StartAt } from "../../assembly/abi.js";
import type { ArenaCapacity } from "../../host/datapath.js";
import { type Internals, internals } from "../harness/internals.js";
import { round } from "./measure.js";

/** What does not grow with the conns. */
const FIXED = "";

/** In the order of the arena, each with the regions of test/unit/internals.ts that it has. */
const PARTS = [
  { name: "the conn", regions: 1 },
  { name: "TCP's windows", regions: 1 },
  { name: "its place in the slab", regions: 1 },
  { name: "two entries of the index", regions: 1 },
  { name: "its place in the wheel", regions: 1 },
  { name: "an entry of the filter index", regions: 1 },
  { name: "a mapping, slab and index", regions: 3 },
  { name: "an eighth of a grant, slab, index and wheel", regions: 4 },
  { name: "a host, slab and index", regions: 3 },
  { name: "a resting port", regions: 1 },
  { name: FIXED, regions: 1 },
  { name: "a place in a search", regions: 1 },
] as const;

export interface ConnPart {
  readonly name: string;
  readonly bytes: number;
}

/** What each part has more for one more conn, averaged from the one capacity to the other. */
export async function connParts(fewer: ArenaCapacity, more: ArenaCapacity): Promise<ConnPart[]> {
  const plan = await internals(1);
  const [small, large] = [partsOf(plan, fewer), partsOf(plan, more)];
  return PARTS.map(({ name }, i) => {
    const grown = (large[i] ?? Number.NaN) - (small[i] ?? Number.NaN);
    return { name, bytes: round(grown / (more.conns - fewer.conns)) };
  }).filter(({ name }) => name !== FIXED);
}

/** Bytes of each part in an arena of this capacity. */
function partsOf(plan: Internals, capacity: ArenaCapacity): number[] {
  const start = new DataView(plan.bytes.buffer, Exchange.Start, StartAt.Bytes);
  start.setUint32(StartAt.ConnCapacity, capacity.conns, true);
  start.setUint32(StartAt.NeighborCapacity, capacity.neighbors, true);
  start.setUint32(StartAt.PoolAddressCapacity, capacity.poolAddresses, true);
  start.setUint32(StartAt.ImageCapacity, capacity.imageBytes, true);
  if (plan.arenaBytes() === 0) throw new RangeError("more than a linear memory has");
  let region = 0;
  return PARTS.map(({ regions }) => {
    const began = plan.arenaRegion(region);
    region += regions;
    return plan.arenaRegion(region) - began;
  });
}
