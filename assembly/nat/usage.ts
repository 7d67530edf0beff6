/**
 * What of external addresses is in use, counted from their bitmaps and blocks (abi: ExternalRowAt), and what of that counts
 * for which pool.
 */

import { Allocation, ExternalRowAt, None } from "../abi";
import { active, pairKey } from "../config/configuration";
import { PoolRecord } from "../config/records";
import { arena, EXTERNAL_BITMAPS, EXTERNAL_BLOCKS } from "../memory";
import { NONE } from "../table/none";
import { Block, isNobodys, UNIT_SHIFT } from "./block";
import { External, shareOf } from "./external";
import { MovedPort, movedTo } from "./moved";
import { externalAtRest, portAtRest, whichAtRest } from "./rest";

/** Writes the rows of so many of the pool's addresses from its `first` on. */
export function writeUsages(at: usize, pool: PoolRecord, first: u32, rows: u32): void {
  let asksRest = false;
  for (let n: u32 = 0; n < rows; n++) {
    const index = indexOf(pool, first + n);
    if (writeUsage(at + <usize>n * ExternalRowAt.Bytes, pool, first + n, index)) continue;
    External.at(index).row = <u16>(n + 1);
    asksRest = true;
  }
  if (!asksRest) return;
  countResting(at, pool);
  for (let n: u32 = 0; n < rows; n++) External.at(indexOf(pool, first + n)).row = 0;
}

function indexOf(pool: PoolRecord, place: u32): u32 {
  return active.externalByAddress.get(pairKey(pool.zone, active.poolAddress(pool, place)));
}

/**
 * Writes the row of the pool's `place`-th address, which is the external address with this index. False where not all that
 * is taken or rests is in the pool's range: what rests is then left out.
 */
function writeUsage(at: usize, pool: PoolRecord, place: u32, index: u32): bool {
  const external = External.at(index);
  let isWhole = true;
  memory.fill(at, 0, ExternalRowAt.Bytes);
  store<u32>(at, place, ExternalRowAt.Place);
  store<u32>(at, external.address, ExternalRowAt.Address);
  for (let which: u32 = 0; which < EXTERNAL_BITMAPS; which++) {
    const taken = takenOf(external, which, pool);
    store<u32>(at + ((<usize>which) << 2), taken, ExternalRowAt.TcpTaken);
    if (external.restingOf(which) != 0 && taken != external.bitmap(which).count) isWhole = false;
  }
  for (let which: u32 = 0; isWhole && which < EXTERNAL_BITMAPS; which++) {
    store<u32>(at + ((<usize>which) << 2), external.restingOf(which), ExternalRowAt.TcpResting);
  }
  if (pool.allocation == <u8>Allocation.Block) countBlocks(at, pool, index);
  return isWhole;
}

/** Counts the pool's ports that rest, of addresses that have a row: looks at all that rest, as many as conns at most. */
function countResting(at: usize, pool: PoolRecord): void {
  for (let n: u32 = 0; n < arena.restCount; n++) {
    const index = externalAtRest(n);
    const row: u32 = index == <u32>None.Short ? 0 : External.at(index).row;
    if (row == 0 || !pool.hasPorts(portAtRest(n), portAtRest(n))) continue;
    const place = at + <usize>(row - 1) * ExternalRowAt.Bytes + ((<usize>whichAtRest(n)) << 2);
    store<u32>(place, load<u32>(place, ExternalRowAt.TcpResting) + 1, ExternalRowAt.TcpResting);
  }
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
  return taken + movedWithin(external, which, pool, shared);
}

/**
 * What a restart has moved (nat/moved.ts) and the shares do not tell: ports of others' that are ours, less ours that are
 * taken for good since they are others'.
 */
function movedWithin(external: External, which: u32, pool: PoolRecord, shared: u32): i32 {
  let more: i32 = 0;
  for (let i: u32 = 0; i < arena.movedPorts; i++) {
    const moved = MovedPort.at(i);
    if (moved.address != external.address || moved.zone != external.zone) continue;
    const port: u32 = moved.port;
    const worker = moved.worker(which);
    if (worker == NONE || !pool.hasPorts(port, port) || !external.bitmap(which).has(port)) continue;
    const isOurs = worker == arena.worker;
    const seems = port < shared || shareOf(external.address, port) == arena.worker;
    if (isOurs != seems) more += isOurs ? 1 : -1;
  }
  return more;
}

/** The first port that is one worker's (nat/external.ts); 65536 where all are of subscribers. */
function sharedFrom(external: External): u32 {
  const pool = active.pool(external.pool);
  if (pool.allocation != <u8>Allocation.Deterministic) return 0;
  return pool.overflowLow == 0 ? 65536 : pool.overflowLow;
}

/** Ports of the bitmap that count for the pool with this index (External.poolOf). */
export function countedFor(external: External, which: u32, index: u32): u32 {
  const bitmap = external.bitmap(which);
  if (bitmap.count == 0) return 0;
  const pool = active.pool(index);
  if (index == external.pool) return takenOf(external, which, pool);
  if (active.pool(external.pool).hasPorts(pool.portLow, pool.portHigh)) return 0;
  let counted: u32 = 0;
  for (let word: u32 = pool.portLow & ~63; word <= pool.portHigh; word += 64) {
    if (bitmap.isClear(word, 64)) continue;
    const last = min<u32>(pool.portHigh, word | 63);
    for (let port = max<u32>(pool.portLow, word); port <= last; port++) {
      const counts = bitmap.has(port) && isOwn(external, which, port);
      if (counts && external.poolOf(port) == index) counted++;
    }
  }
  return counted;
}

/** Whether a port is this worker's. No address of several pools has subscribers' ports. */
function isOwn(external: External, which: u32, port: u32): bool {
  if (arena.workers == 1) return true;
  const moved = movedTo(external.zone, external.address, which, port);
  return (moved == NONE ? shareOf(external.address, port) : moved) == arena.worker;
}

/** Ports of the address's blocks that are in the pool's range. */
export function blockPortsFor(external: External, pool: PoolRecord): u32 {
  if (external.blockPorts == 0) return 0;
  let ports: u32 = 0;
  for (let unit: u32 = 0; unit < EXTERNAL_BLOCKS; unit++) {
    if (changetype<Block>(external.block(unit)).host != NONE && hasUnit(pool, unit)) ports += UNIT;
  }
  return ports;
}

const UNIT: u32 = 1 << UNIT_SHIFT;

function hasUnit(pool: PoolRecord, unit: u32): bool {
  return pool.hasPorts(unit << UNIT_SHIFT, ((unit + 1) << UNIT_SHIFT) - 1);
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
    if (block.host != NONE && block.first == <u16>unit && hasUnit(pool, unit)) used++;
  }
  store<u32>(at, used, ExternalRowAt.BlocksUsed);
  store<u32>(at, free, ExternalRowAt.BlocksFree);
}
