/** What of an external address is in use, counted from its bitmaps and blocks (abi: ExternalRowAt). */

import { Allocation, ExternalRowAt } from "../abi";
import { active } from "../config/configuration";
import { PoolRecord } from "../config/records";
import { arena, EXTERNAL_BITMAPS, EXTERNAL_BLOCKS } from "../memory";
import { NONE } from "../table/none";
import { Block, isNobodys } from "./block";
import { External, shareOf } from "./external";

/** Writes the row of the pool's `place`-th address, which is the external address with this index. */
export function writeUsage(at: usize, pool: PoolRecord, place: u32, index: u32): void {
  const external = External.at(index);
  memory.fill(at, 0, ExternalRowAt.Bytes);
  store<u32>(at, place, ExternalRowAt.Place);
  store<u32>(at, external.address, ExternalRowAt.Address);
  for (let which: u32 = 0; which < EXTERNAL_BITMAPS; which++) {
    const offset = (<usize>which) << 2;
    store<u32>(at + offset, takenOf(external, which, pool), ExternalRowAt.TcpTaken);
    store<u32>(at + offset, external.restingOf(which), ExternalRowAt.TcpResting);
  }
  if (pool.allocation != <u8>Allocation.Block) return;
  countBlocks(at, pool, index);
}

/** Ports of the pool's range that are taken. Where several workers share them, others' are taken from the beginning. */
function takenOf(external: External, which: u32, pool: PoolRecord): u32 {
  const bitmap = external.bitmap(which);
  if (arena.workers == 1) return bitmap.countWithin(pool.portLow, pool.portHigh);
  const shared = sharedFrom(external);
  const size: u32 = 1 << arena.shareShift;
  let taken: u32 = 0;
  for (let port: u32 = pool.portLow & ~(size - 1); port <= pool.portHigh; port += size) {
    const low = max<u32>(port, pool.portLow);
    let high = min<u32>(port + size - 1, pool.portHigh);
    if (shareOf(external.address, port) != arena.worker) {
      // Only what is left of them to subscribers.
      if (shared <= low) continue;
      high = min<u32>(high, shared - 1);
    }
    taken += bitmap.countWithin(low, high);
  }
  return taken;
}

/** The first port that is one worker's (nat/external.ts); 65536 where all are of subscribers. */
function sharedFrom(external: External): u32 {
  const pool = active.pool(external.pool);
  if (pool.allocation != <u8>Allocation.Deterministic) return 0;
  return pool.overflowLow == 0 ? 65536 : pool.overflowLow;
}

function countBlocks(at: usize, pool: PoolRecord, index: u32): void {
  const ports: u32 = pool.blockPorts;
  const end = (<u32>pool.portHigh + 1) / ports;
  let used: u32 = 0;
  let free: u32 = 0;
  for (let n = (<u32>pool.portLow + ports - 1) / ports; n < end; n++) {
    if (isNobodys(index, n * ports, ports)) free++;
  }
  for (let unit: u32 = 0; unit < EXTERNAL_BLOCKS; unit++) {
    const block = Block.of(index, unit);
    if (block.host != NONE && block.first == <u16>unit) used++;
  }
  store<u32>(at, used, ExternalRowAt.BlocksUsed);
  store<u32>(at, free, ExternalRowAt.BlocksFree);
}
