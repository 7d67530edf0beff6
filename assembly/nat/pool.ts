/**
 * Pools: external addresses and how their ports are chosen (RFC 4787 section 4).
 *
 *     random          anywhere in the range, from a keyed random place on (RFC 6056 section 3.3.1)
 *     preserve        the inside port where it is free, else random
 *     block           in a block that is the host's alone (nat/block.ts)
 *     deterministic   in the ports that follow from the host's address (nat/deterministic.ts)
 *
 * A port is found whenever there is one: the bitmap of an external address (nat/external.ts) knows the free
 * ones, and all addresses of the pool are tried, beginning with the one that the host is paired with (RFC
 * 4787 REQ-2) unless pooling is arbitrary. What is kept where possible, and given up when nothing else is
 * left: first the parity (REQ-4), then the class, below 1024 or not (REQ-3a).
 */

import { Allocation, PoolFlag, Reason } from "../abi";
import { active, pairKey } from "../config/configuration";
import { PoolRecord } from "../config/records";
import { arena } from "../memory";
import { CONTINUE } from "../packet";
import { Bitmap } from "../table/bitmap";
import { mix64, sipHash } from "../table/hash";
import { NONE } from "../table/none";
import {
  Block,
  blockWith,
  externalOf,
  firstPort,
  giveBack,
  lastPort,
  retakeBlock,
  takeBlock,
  takeBlockPort,
} from "./block";
import { isFree } from "./conn";
import {
  hasOverflow,
  mayHave,
  ordinalOf,
  subscriberAddress,
  subscriberPort,
} from "./deterministic";
import { watchPool } from "./event";
import { External } from "./external";
import { forwardedUpTo } from "./forward";
import { Host } from "./host";
import { Tuple } from "./tuple";

/** The first port that is not a well-known one: the border of the two classes. */
const CLASS_BORDER: u32 = 1024;

/** 64 bits that nobody without the seed can guess. */
function draw(): u64 {
  return sipHash(arena.portKey, ++arena.draws);
}

/** A number below `bound`, as even as 32 random bits make it. */
function below(bound: u32, random: u64): u32 {
  return <u32>(((random >> 32) * <u64>bound) >> 32);
}

/** Which of the pool's addresses is tried first: a host's own is the same after every start, so no secret. */
function firstAddress(pool: PoolRecord, host: Tuple): u32 {
  if ((pool.flags & PoolFlag.ArbitraryPooling) != 0) return below(pool.addressCount, draw());
  return below(pool.addressCount, mix64(pairKey(host.zone, host.source)));
}

/** Index of the pool's n-th external address, counted from `first` on and round. */
function externalFrom(pool: PoolRecord, first: u32, n: u32): u32 {
  const sum = first + n;
  const which = sum >= pool.addressCount ? sum - pool.addressCount : sum;
  return active.externalByAddress.get(pairKey(pool.zone, active.poolAddress(pool, which)));
}

/** Index of the external address that `takePort` and `takeAddress` have found. */
export let taken: u32 = NONE;

/**
 * Takes an external port that is nobody's for the endpoint `original` of host `host` (index), and writes it
 * into the conn's `reply` tuple, which is complete but for it. CONTINUE, with `taken` set, or a Reason.
 */
export function takePort(
  pool: PoolRecord,
  which: u32,
  host: u32,
  original: Tuple,
  reply: Tuple,
): u32 {
  switch (<u32>pool.allocation) {
    case Allocation.Block:
      return takeFromBlocks(pool, which, host, original, reply);
    case Allocation.Deterministic:
      return takeDetermined(pool, which, original, reply);
    default: {
      const first = firstAddress(pool, original);
      for (let n: u32 = 0; n < pool.addressCount; n++) {
        const external = externalFrom(pool, first, n);
        if (takeWithin(external, which, pool, pool.portLow, pool.portHigh, original, reply)) {
          return CONTINUE;
        }
      }
      return Reason.PoolExhausted;
    }
  }
}

/**
 * Takes the very port, of the very address or (0) of the one that the host would have, that was wished for; false
 * where it is not the pool's, not the host's to have, or not free. An address that is wished for goes before
 * pairing.
 */
export function takeWanted(
  pool: PoolRecord,
  which: u32,
  host: u32,
  original: Tuple,
  reply: Tuple,
  address: u32,
  port: u32,
): bool {
  if (port < pool.portLow || port > pool.portHigh) return false;
  const external = wantedAddress(pool, host, original, address, port);
  if (external == NONE || !mayWant(pool, external, host, original, port)) return false;
  if (!search(external, which, pool, port, port, NONE, reply)) return false;
  watchPool(External.at(external).countPort(which, port, 1), which, reply.protocol);
  if (pool.allocation == <u8>Allocation.Block) takeBlockPort(blockWith(host, external, port));
  taken = external;
  return true;
}

/**
 * Takes the very port that an inside endpoint had before a restart (`host` NONE: that it shared); false where the pool would
 * not let it keep the port, or it is not free.
 */
export function retakePort(
  pool: PoolRecord,
  which: u32,
  host: u32,
  inside: Tuple,
  external: u32,
  port: u32,
): bool {
  const address = External.at(external);
  if (port == 0 || forwardedUpTo(external, pool.zone, inside.protocol, port) != NONE) return false;
  if (pool.allocation == <u8>Allocation.Deterministic) {
    const zoneIndex = active.zoneIndex(inside.zone);
    if (!mayHave(pool, zoneIndex, inside.source, address.address, port)) return false;
  }
  const isBlocked = pool.allocation == <u8>Allocation.Block;
  const name = isBlocked ? blockFor(pool, host, external, port) : NONE;
  if (isBlocked && name == NONE) return false;
  if (!address.bitmap(which).set(port)) {
    if (name != NONE && Block.named(name).used == 0) giveBack(name);
    return false;
  }
  watchPool(address.countPort(which, port, 1), which, inside.protocol);
  if (name != NONE) takeBlockPort(name);
  return true;
}

/** The host's block with this port, which it has or gets back; NONE when it may not have it. */
export function blockFor(pool: PoolRecord, host: u32, external: u32, port: u32): u32 {
  if (host == NONE) return NONE;
  const known = blockWith(host, external, port);
  if (known != NONE) return known;
  const ports: u32 = pool.blockPorts;
  const at = (port / ports) * ports;
  // One outside of the pool's range is kept, as ports are, and does not count.
  const counts = at >= <u32>pool.portLow && at + ports - 1 <= <u32>pool.portHigh;
  let blocks: u32 = 0;
  for (let name = Host.at(host).blocks; name != NONE; name = Block.named(name).next) {
    if (isOf(pool, name)) blocks++;
  }
  if (counts && blocks >= <u32>pool.blocksPerHost) return NONE;
  return retakeBlock(host, external, at, ports);
}

/** Index of the pool's external address that is meant, NONE when it is not the pool's. */
function wantedAddress(pool: PoolRecord, host: u32, original: Tuple, address: u32, port: u32): u32 {
  if (address != 0) {
    const external = active.externalByAddress.get(pairKey(pool.zone, address));
    return external != NONE && active.hasExternal(pool, external, address) ? external : NONE;
  }
  if (pool.allocation == <u8>Allocation.Block) {
    const name = blockWith(host, NONE, port);
    return name != NONE && isOf(pool, name) ? externalOf(name) : NONE;
  }
  if (pool.allocation != <u8>Allocation.Deterministic) {
    return externalFrom(pool, firstAddress(pool, original), 0);
  }
  const ordinal = ordinalOf(pool, active.zoneIndex(original.zone), original.source);
  return ordinal == NONE ? NONE : externalFrom(pool, subscriberAddress(pool, ordinal), 0);
}

/** Whether a port is one that the host may have: its block's, or what follows from its address. */
function mayWant(pool: PoolRecord, external: u32, host: u32, original: Tuple, port: u32): bool {
  if (pool.allocation == <u8>Allocation.Block) return blockWith(host, external, port) != NONE;
  if (pool.allocation != <u8>Allocation.Deterministic) return true;
  const zoneIndex = active.zoneIndex(original.zone);
  return mayHave(pool, zoneIndex, original.source, External.at(external).address, port);
}

/** Takes an address for a conn of a protocol without ports: no other conn has the remote end there. */
export function takeAddress(pool: PoolRecord, original: Tuple, reply: Tuple): u32 {
  const first = firstAddress(pool, original);
  for (let n: u32 = 0; n < pool.addressCount; n++) {
    const external = externalFrom(pool, first, n);
    reply.destination = External.at(external).address;
    if (forwardedUpTo(external, pool.zone, reply.protocol, 0) != NONE || !isFree(reply)) continue;
    External.at(external).countUse(1);
    taken = external;
    return CONTINUE;
  }
  return Reason.ProtocolAmbiguous;
}

/**
 * Takes a port of an external address from `low` to `high`, in the order of the file's head: parity and
 * class, class alone, parity alone, any.
 */
function takeWithin(
  external: u32,
  which: u32,
  pool: PoolRecord,
  low: u32,
  high: u32,
  original: Tuple,
  reply: Tuple,
): bool {
  const address = External.at(external);
  // An echo's identifier is the port of its asker.
  const inside: u32 = original.sourcePort;
  const isLow = inside < CLASS_BORDER;
  const classLow = isLow ? low : max(low, CLASS_BORDER);
  const classHigh = isLow ? min(high, CLASS_BORDER - 1) : high;
  const wants = (pool.flags & PoolFlag.Parity) != 0 ? inside & 1 : NONE;
  const found =
    (pool.allocation == Allocation.Preserve &&
      inside >= low &&
      inside <= high &&
      search(external, which, pool, inside, inside, NONE, reply)) ||
    (wants != NONE && search(external, which, pool, classLow, classHigh, wants, reply)) ||
    search(external, which, pool, classLow, classHigh, NONE, reply) ||
    (wants != NONE && search(external, which, pool, low, high, wants, reply)) ||
    search(external, which, pool, low, high, NONE, reply);
  if (!found) return false;
  watchPool(address.countPort(which, reply.destinationPort, 1), which, reply.protocol);
  taken = external;
  return true;
}

/**
 * Takes a port that is nobody's: neither held by a mapping, nor resting, nor kept for a forward, nor that of
 * a conn that came in by one from the same remote endpoint. Goes round the range once.
 */
function search(
  external: u32,
  which: u32,
  pool: PoolRecord,
  low: u32,
  high: u32,
  parity: u32,
  reply: Tuple,
): bool {
  if (low > high) return false;
  const address = External.at(external);
  const bitmap = address.bitmap(which);
  const size = high - low + 1;
  let start = low + below(size, draw());
  for (let passed: u32 = 0; passed < size; ) {
    const port = takeNext(bitmap, start, low, high, parity);
    if (port == NONE) return false;
    reply.leadTo(address.address, port);
    const forwarded = forwardedUpTo(external, pool.zone, reply.protocol, port);
    if (forwarded == NONE && isFree(reply)) return true;
    bitmap.give(port);
    const next = (forwarded == NONE ? port : min(forwarded, high)) + 1;
    passed += (port >= start ? 0 : size) + next - start;
    start = next > high ? low : next;
  }
  return false;
}

function takeNext(bitmap: Bitmap, start: u32, low: u32, high: u32, parity: u32): u32 {
  if (parity == NONE) return bitmap.take(start, low, high);
  return bitmap.takeParity(start, low, high, parity);
}

/** From the host's blocks; else from another one, beside those it has or where it is paired. */
function takeFromBlocks(
  pool: PoolRecord,
  which: u32,
  host: u32,
  original: Tuple,
  reply: Tuple,
): u32 {
  const owner = Host.at(host);
  let blocks: u32 = 0;
  for (let name = owner.blocks; name != NONE; name = Block.named(name).next) {
    if (!isOf(pool, name)) continue;
    blocks++;
    if (takeOf(pool, which, name, original, reply)) return CONTINUE;
  }
  if (blocks >= pool.blocksPerHost) return Reason.HostPortLimit;
  const name = anotherBlock(pool, host, original);
  if (name == NONE) return Reason.PoolExhausted;
  if (takeOf(pool, which, name, original, reply)) return CONTINUE;
  // Conns that came in by forwards have what is left of it.
  giveBack(name);
  return Reason.PoolExhausted;
}

function takeOf(pool: PoolRecord, which: u32, name: u32, original: Tuple, reply: Tuple): bool {
  const low = firstPort(name);
  const high = lastPort(name);
  if (!takeWithin(externalOf(name), which, pool, low, high, original, reply)) return false;
  takeBlockPort(name);
  return true;
}

/** Whether a block is of an address, and within the ports, of the pool. */
function isOf(pool: PoolRecord, name: u32): bool {
  const external = externalOf(name);
  return (
    active.hasExternal(pool, external, External.at(external).address) &&
    firstPort(name) >= pool.portLow &&
    lastPort(name) <= pool.portHigh
  );
}

function anotherBlock(pool: PoolRecord, host: u32, original: Tuple): u32 {
  const first = firstAddress(pool, original);
  const random = <u32>draw();
  for (let n: u32 = 0; n < pool.addressCount; n++) {
    const external = externalFrom(pool, first, n);
    const name = takeBlock(host, external, pool, original.protocol, random);
    if (name != NONE) return name;
  }
  return NONE;
}

/** From the ports that follow from the host's address, else from those behind all hosts' (RFC 7422). */
function takeDetermined(pool: PoolRecord, which: u32, original: Tuple, reply: Tuple): u32 {
  const zoneIndex = active.zoneIndex(original.zone);
  const ordinal = ordinalOf(pool, zoneIndex, original.source);
  if (ordinal == NONE) return Reason.NotSubscriber;
  const external = externalFrom(pool, subscriberAddress(pool, ordinal), 0);
  const low = subscriberPort(pool, ordinal);
  const high = low + pool.blockPorts - 1;
  if (takeWithin(external, which, pool, low, high, original, reply)) return CONTINUE;
  const overflow: u32 = pool.overflowLow;
  if (!hasOverflow(pool)) return Reason.HostPortLimit;
  for (let n: u32 = 0; n < pool.addressCount; n++) {
    const other = externalFrom(pool, subscriberAddress(pool, ordinal), n);
    if (takeWithin(other, which, pool, overflow, pool.portHigh, original, reply)) return CONTINUE;
  }
  return Reason.PoolExhausted;
}
