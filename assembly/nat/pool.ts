/**
 * Pools: external addresses and their ports (RFC 4787 section 4).
 *
 * An external address is one of ours in one zone. It has a record and a bitmap of ports per protocol, kept
 * for as long as a configuration lists it or a conn holds one of its ports, and shared by all pools that
 * name it. A free port is found whenever there is one (but for a run of 64 that conns of forwards hold): the bitmap is searched from a keyed random place
 * (RFC 6056 section 3.3.1), all addresses of the pool are tried, beginning with the one that the host is
 * paired with (RFC 4787 REQ-2).
 */

import { active, pairKey } from "../config/configuration";
import { PoolRecord } from "../config/records";
import { arena, EXTERNAL_BYTES, externals, RecordBytes } from "../memory";
import { BITMAP_BYTES, Bitmap } from "../table/bitmap";
import { mix64, sipHash } from "../table/hash";
import { NONE } from "../table/none";
import { IpProtocol } from "../wire/ipv4";
import { isFree } from "./conn";
import { Tuple } from "./tuple";

@final
@unmanaged
export class External {
  address: u32;
  /** Ports, and uses by protocols without ports, that conns hold. */
  used: u32;
  /** The last configuration that lists it, 0 for none yet. */
  listed: u32;

  static at(index: u32): External {
    return changetype<External>(externals + <usize>index * EXTERNAL_BYTES);
  }

  /** Nothing refers to it any more. */
  get isFree(): bool {
    return this.used == 0 && (this.listed == 0 || this.listed != arena.configured);
  }

  /** Takes the place of whatever was here. */
  begin(address: u32): void {
    this.address = address;
    this.used = 0;
    for (let which: u32 = 0; which < 3; which++) this.bitmap(which).clear();
  }

  bitmap(which: u32): Bitmap {
    return Bitmap.view(
      changetype<usize>(this) + RecordBytes.ExternalHeader + <usize>which * BITMAP_BYTES,
    );
  }
}
if (offsetof<External>() > <usize>RecordBytes.ExternalHeader)
  ERROR("an External outgrew its header");

/** Which bitmap of an external address is the protocol's; NONE for protocols without ports. */
function bitmapOf(protocol: u32): u32 {
  if (protocol == IpProtocol.Tcp) return 0;
  if (protocol == IpProtocol.Udp) return 1;
  return protocol == IpProtocol.Icmp ? 2 : NONE;
}

/** Whether conns of this protocol are told apart by ports (ICMP: by identifiers). */
export function hasPorts(protocol: u32): bool {
  return bitmapOf(protocol) != NONE;
}

/** Whether this external address is one of the pool's. */
export function poolHas(pool: PoolRecord, address: u32): bool {
  for (let r: u32 = 0; r < pool.rangeCount; r++) {
    const range = active.poolRange(pool.ranges + r);
    if (address >= range.first && address <= range.last) return true;
  }
  return false;
}

/** 64 bits that nobody without the seed can guess. */
function draw(): u64 {
  return sipHash(arena.portKey, ++arena.draws);
}

/** A number below `bound`, as even as 32 random bits make it. */
function below(bound: u32, random: u64): u32 {
  return <u32>(((random >> 32) * <u64>bound) >> 32);
}

/** Which of the pool's addresses a host is paired with: the same one after every start, so no secret. */
function pairedWith(pool: PoolRecord, host: Tuple): u32 {
  return below(pool.addressCount, mix64(pairKey(host.zone, host.source)));
}

/**
 * Takes an external address and port for a conn whose reply tuple `reply` is complete but for them, and
 * writes them there. `original` says which host asks. Returns the index of the external address, NONE when
 * nothing of the pool is left.
 */
export function takeExternal(pool: PoolRecord, original: Tuple, reply: Tuple): u32 {
  const bitmap = bitmapOf(reply.protocol);
  const first = pairedWith(pool, original);
  for (let n: u32 = 0; n < pool.addressCount; n++) {
    const sum = first + n;
    const which = sum >= pool.addressCount ? sum - pool.addressCount : sum;
    const address = active.poolAddress(pool, which);
    const index = active.externalByAddress.get(pairKey(pool.zone, address));
    reply.destination = address;
    if (bitmap == NONE ? isFree(reply) : takePort(index, bitmap, pool, reply)) {
      External.at(index).used++;
      return index;
    }
  }
  return NONE;
}

/**
 * Takes a port that no other conn uses towards the same remote endpoint. A port that is free in the bitmap
 * may still be in use by a conn that came in through a static mapping; then the next one is tried.
 */
function takePort(index: u32, which: u32, pool: PoolRecord, reply: Tuple): bool {
  const bitmap = External.at(index).bitmap(which);
  let start = <u32>pool.portLow + below(<u32>pool.portHigh - pool.portLow + 1, draw());
  let refused: u32 = NONE;
  let port: u32 = NONE;
  for (let tries = 0; tries < TRIES; tries++) {
    port = bitmap.take(start, pool.portLow, pool.portHigh);
    if (refused != NONE) bitmap.give(refused);
    if (port == NONE) return false;
    reply.destinationPort = <u16>port;
    if (isFree(reply)) return true;
    refused = port;
    start = port == pool.portHigh ? pool.portLow : port + 1;
  }
  bitmap.give(port);
  return false;
}

/** Ports that conns of static mappings may occupy in one run before a search gives up. */
const TRIES: i32 = 64;

/** Gives back what a conn held. */
export function giveExternal(index: u32, protocol: u32, port: u32): void {
  const external = External.at(index);
  const which = bitmapOf(protocol);
  if (which != NONE) external.bitmap(which).give(port);
  external.used--;
}
