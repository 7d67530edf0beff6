/**
 * Port blocks (RFC 6888 REQ-14, RFC 7422 section 1): a host of a block pool gets ports a block at a time, for all
 * protocols, so that one line of a log says who had them. Another block follows when the ones it has are
 * full, up to the pool's limit. A block goes back when the last of its ports has rested.
 *
 * A block has a power of two of ports and begins at a multiple of its size. Its records stand with the
 * external address, one for each unit of 64 ports:
 *
 *     u32  host that has it, NONE for nobody    u32  the host's next block     u32  ports in use
 *     u16  first unit of its block
 *
 * A block is named by external address << 10 | first unit.
 */

import { EventKind, Limit } from "../abi";
import { PoolRecord } from "../config/records";
import { EXTERNAL_BLOCKS } from "../memory";
import { NONE } from "../table/none";
import { noteBlock, watchPool } from "./event";
import { BLOCKS, External } from "./external";
import { hasAllForwarded } from "./forward";
import { Host, releaseHost } from "./host";

export const UNIT_SHIFT: u32 = 6;
const NAME_SHIFT: u32 = 10;
if (1 << UNIT_SHIFT != Limit.BlockPortsMin) ERROR("a unit is the smallest block");
if (1 << NAME_SHIFT != EXTERNAL_BLOCKS) ERROR("a block's name holds its unit");

@final
@unmanaged
export class Block {
  host: u32;
  next: u32;
  used: u32;
  first: u16;

  static of(external: u32, unit: u32): Block {
    return changetype<Block>(External.at(external).block(unit));
  }
  /** The unit that a port is in. */
  static withPort(external: u32, port: u32): Block {
    return Block.of(external, port >> UNIT_SHIFT);
  }
  static named(name: u32): Block {
    return Block.of(externalOf(name), name & (EXTERNAL_BLOCKS - 1));
  }
}

/** Index of the external address that a block is of. */
export function externalOf(name: u32): u32 {
  return name >> NAME_SHIFT;
}

/** The block's first port. */
export function firstPort(name: u32): u32 {
  return (name & (EXTERNAL_BLOCKS - 1)) << UNIT_SHIFT;
}

/** The block's last port: units that belong to it follow each other. */
export function lastPort(name: u32): u32 {
  const external = externalOf(name);
  const first = name & (EXTERNAL_BLOCKS - 1);
  let unit = first;
  while (unit + 1 < EXTERNAL_BLOCKS && isPartOf(external, unit + 1, first)) unit++;
  return ((unit + 1) << UNIT_SHIFT) - 1;
}

function isPartOf(external: u32, unit: u32, first: u32): bool {
  const block = Block.of(external, unit);
  return block.host != NONE && block.first == <u16>first;
}

/**
 * Gives a host a block of `ports` ports within `low` to `high` of an external address, of those that are
 * nobody's, and not all kept for forwards of this protocol, the first from a random place on. Its name, or
 * NONE.
 */
export function takeBlock(
  host: u32,
  external: u32,
  pool: PoolRecord,
  protocol: u32,
  random: u32,
): u32 {
  const ports: u32 = pool.blockPorts;
  const low: u32 = pool.portLow;
  const high: u32 = pool.portHigh;
  const first = (low + ports - 1) / ports;
  const end = (high + 1) / ports;
  if (first >= end) return NONE;
  const count = end - first;
  const start = random % count;
  for (let n: u32 = 0; n < count; n++) {
    const sum = start + n;
    const at = (first + (sum >= count ? sum - count : sum)) * ports;
    if (!isNobodys(external, at, ports)) continue;
    if (hasAllForwarded(external, pool.zone, protocol, at, at + ports - 1)) continue;
    return give(host, external, at, ports);
  }
  return NONE;
}

/** Gives a host the block of so many ports from `at` on, which it had before, if it is nobody's. Its name, or NONE. */
export function retakeBlock(host: u32, external: u32, at: u32, ports: u32): u32 {
  return isNobodys(external, at, ports) ? give(host, external, at, ports) : NONE;
}

/** Whether no unit of a range of ports has an owner, and none of its ports is in use. */
export function isNobodys(external: u32, at: u32, ports: u32): bool {
  for (let unit = at >> UNIT_SHIFT; unit < (at + ports) >> UNIT_SHIFT; unit++) {
    if (Block.of(external, unit).host != NONE) return false;
  }
  const address = External.at(external);
  for (let which: u32 = 0; which < 3; which++) {
    if (!address.bitmap(which).isClear(at, ports)) return false;
  }
  return true;
}

function give(host: u32, external: u32, at: u32, ports: u32): u32 {
  const first = at >> UNIT_SHIFT;
  const owner = Host.at(host);
  for (let unit = first; unit < (at + ports) >> UNIT_SHIFT; unit++) {
    const block = Block.of(external, unit);
    block.host = host;
    block.next = owner.blocks;
    block.used = 0;
    block.first = <u16>first;
  }
  owner.blocks = (external << NAME_SHIFT) | first;
  const address = External.at(external);
  address.countBlock(at, at + ports - 1, 1);
  noteBlock(EventKind.BlockAllocated, owner.zone, owner.address, address, at, at + ports - 1);
  watchPool(address.pool, BLOCKS, 0);
  return owner.blocks;
}

/** The host's block that has a port of an external address (NONE: of any); NONE when none has. */
export function blockWith(host: u32, external: u32, port: u32): u32 {
  for (let name = Host.at(host).blocks; name != NONE; name = Block.named(name).next) {
    if (external != NONE && externalOf(name) != external) continue;
    if (firstPort(name) <= port && port <= lastPort(name)) return name;
  }
  return NONE;
}

/** How many blocks a host has. */
export function blocksOf(host: Host): u32 {
  let count: u32 = 0;
  for (let name = host.blocks; name != NONE; name = Block.named(name).next) count++;
  return count;
}

/** Counts a port of a block as taken. */
export function takeBlockPort(name: u32): void {
  Block.named(name).used++;
}

/** A port has become free: its block, if it is of one, may go back. */
export function giveBlockPort(external: u32, port: u32): void {
  const unit = Block.of(external, port >> UNIT_SHIFT);
  if (unit.host == NONE) return;
  const block = Block.of(external, unit.first);
  if (block.used > 0) block.used--;
  if (block.used == 0) giveBack((external << NAME_SHIFT) | unit.first);
}

/** Gives up a block of which nothing was taken, or is in use any more. */
export function giveBack(name: u32): void {
  const external = externalOf(name);
  const index = Block.named(name).host;
  const owner = Host.at(index);
  const last = lastPort(name);
  unlink(owner, name);
  for (let unit = firstPort(name) >> UNIT_SHIFT; unit <= last >> UNIT_SHIFT; unit++) {
    Block.of(external, unit).host = NONE;
  }
  const address = External.at(external);
  address.countBlock(firstPort(name), last, -1);
  noteBlock(EventKind.BlockFreed, owner.zone, owner.address, address, firstPort(name), last);
  watchPool(address.pool, BLOCKS, 0);
  releaseHost(index);
}

function unlink(owner: Host, name: u32): void {
  const next = Block.named(name).next;
  if (owner.blocks == name) {
    owner.blocks = next;
    return;
  }
  for (let each = owner.blocks; each != NONE; each = Block.named(each).next) {
    if (Block.named(each).next == name) {
      Block.named(each).next = next;
      return;
    }
  }
}
