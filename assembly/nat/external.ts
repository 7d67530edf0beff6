/**
 * External addresses: addresses of ours in one zone that pools name. Each has a bitmap of the ports that
 * mappings hold, or that rest after one (nat/rest.ts), per protocol, and the owners of its port blocks. It
 * stays for as long as a configuration lists it or one of its ports is in use, and is shared by all pools
 * that name it.
 *
 * Where several workers share the configuration, ports of the others (nat/owner.ts) are taken from the beginning.
 */

import { Allocation, None } from "../abi";
import { active, pairKey } from "../config/configuration";
import { PoolRecord } from "../config/records";
import {
  arena,
  EXTERNAL_BITMAPS,
  EXTERNAL_BLOCKS,
  EXTERNAL_BYTES,
  externals,
  RecordBytes,
} from "../memory";
import { BITMAP_BYTES, Bitmap } from "../table/bitmap";
import { NONE } from "../table/none";
import { IpProtocol } from "../wire/ipv4";
import { MovedPort, notePort } from "./moved";
import { Tuple } from "./tuple";

/** What a PoolState counts beside the bitmaps: ports of blocks. */
export const BLOCKS: u32 = EXTERNAL_BITMAPS;

const BLOCKS_AT: usize = <usize>RecordBytes.ExternalHeader + <usize>EXTERNAL_BITMAPS * BITMAP_BYTES;

@final
@unmanaged
export class External {
  address: u32;
  /** Ports, and uses by protocols without ports, that mappings hold or that rest. */
  used: u32;
  /** Those that rest. */
  resting: u32;
  /** Ports of its blocks that hosts have. */
  blockPorts: u32;
  /** The last configuration that lists it, 0 for none yet. */
  listed: u32;
  /** By slot of the configuration, see `forwards` and `pool`. */
  private forwards0: u32;
  private forwards1: u32;
  private pool0: u16;
  private pool1: u16;
  /** Number of its zone. */
  zone: u16;
  /** Which row of a list is its, from 1 on; 0 while none is made (nat/usage.ts). */
  row: u16;
  private resting0: u32;
  private resting1: u32;
  private resting2: u32;

  static at(index: u32): External {
    return changetype<External>(externals + <usize>index * EXTERNAL_BYTES);
  }

  /** Index of the first of its forwards in the configuration in force, NONE for none (nat/forward.ts). */
  get forwards(): u32 {
    const at = changetype<usize>(this) + ((<usize>arena.activeSlot) << 2);
    return load<u32>(at, offsetof<External>("forwards0"));
  }
  set forwards(forwards: u32) {
    const at = changetype<usize>(this) + ((<usize>arena.activeSlot) << 2);
    store<u32>(at, forwards, offsetof<External>("forwards0"));
  }

  /** The first pool in force that has it, None.Short where none has it. */
  get pool(): u16 {
    const at = changetype<usize>(this) + ((<usize>arena.activeSlot) << 1);
    return load<u16>(at, offsetof<External>("pool0"));
  }
  set pool(pool: u16) {
    const at = changetype<usize>(this) + ((<usize>arena.activeSlot) << 1);
    store<u16>(at, pool, offsetof<External>("pool0"));
  }

  /** Nothing but ports that rest refers to it any more. */
  get isFree(): bool {
    return this.used == this.resting && (this.listed == 0 || this.listed != arena.configured);
  }

  /** Takes the place of whatever was here, of which nothing rests any more. `pool` is the first that has it. */
  begin(zone: u32, address: u32, pool: PoolRecord): void {
    this.address = address;
    this.zone = <u16>zone;
    this.pool0 = <u16>None.Short;
    this.pool1 = <u16>None.Short;
    this.used = 0;
    this.row = 0;
    this.resting = 0;
    this.resting0 = 0;
    this.resting1 = 0;
    this.resting2 = 0;
    this.blockPorts = 0;
    this.forwards0 = NONE;
    this.forwards1 = NONE;
    for (let which: u32 = 0; which < EXTERNAL_BITMAPS; which++) {
      this.bitmap(which).clear();
      if (arena.workers > 1) excludeOthers(this.bitmap(which), address, pool);
    }
    for (let i: u32 = 0; i < arena.movedPorts; i++) this.movePort(MovedPort.at(i));
    memory.fill(this.block(0), 0xff, EXTERNAL_BLOCKS * RecordBytes.Block);
  }

  bitmap(which: u32): Bitmap {
    return Bitmap.view(
      changetype<usize>(this) + RecordBytes.ExternalHeader + <usize>which * BITMAP_BYTES,
    );
  }

  /** Has, or has no more, a port of its that was left with another worker; nobody has got it yet. */
  movePort(moved: MovedPort): void {
    if (moved.address != this.address || moved.zone != this.zone) return;
    const port: u32 = moved.port;
    for (let which: u32 = 0; which < EXTERNAL_BITMAPS; which++) {
      const worker = moved.worker(which);
      if (worker == NONE) continue;
      if (worker == arena.worker) this.bitmap(which).include(port);
      else if (!this.bitmap(which).has(port)) this.bitmap(which).exclude(port, port);
    }
  }

  /** Where the record of a unit of ports stands (nat/block.ts). */
  block(unit: u32): usize {
    return changetype<usize>(this) + BLOCKS_AT + <usize>unit * RecordBytes.Block;
  }

  /** Counts a use by a protocol without ports more, or less. */
  countUse(change: i32): void {
    this.used += change;
  }

  /** Counts a port of the bitmap more, or less, which is taken or rests. Index of the pool that it counts for, or NONE. */
  countPort(which: u32, port: u32, change: i32): u32 {
    this.used += change;
    const pool = this.poolOf(port);
    if (pool != NONE) active.poolState(pool).countUse(which, change);
    return pool;
  }

  /**
   * Index of the pool that a port counts for: the first in force that has the address and the port. NONE where none has, as
   * of ports that were taken when a pool had a larger range.
   */
  poolOf(port: u32): u32 {
    const first: u32 = this.pool;
    if (first == <u32>None.Short) return NONE;
    if (active.pool(first).hasPorts(port, port)) return first;
    const zone = active.pool(first).zone;
    for (let index = first + 1; index < active.poolCount; index++) {
      const pool = active.pool(index);
      if (!pool.hasPorts(port, port) || pool.zone != zone) continue;
      if (active.hasAddress(pool, this.address)) return index;
    }
    return NONE;
  }

  /** Ports of the bitmap that rest. */
  restingOf(which: u32): u32 {
    return load<u32>(
      changetype<usize>(this) + ((<usize>which) << 2),
      offsetof<External>("resting0"),
    );
  }
  /** Counts a port of the bitmap that rests more, or less. */
  countResting(which: u32, change: i32): void {
    const at = changetype<usize>(this) + ((<usize>which) << 2);
    const resting = load<u32>(at, offsetof<External>("resting0")) + change;
    store<u32>(at, resting, offsetof<External>("resting0"));
    this.resting += change;
  }

  /** Counts a block that a host has got (`change` 1), or has given back (-1); also for the pool, where it has all of it. */
  countBlock(first: u32, last: u32, change: i32): void {
    const ports = change * <i32>(last - first + 1);
    this.blockPorts += ports;
    if (this.pool != None.Short && active.pool(this.pool).hasPorts(first, last)) {
      active.poolState(this.pool).countUse(BLOCKS, ports);
    }
  }
}
if (offsetof<External>() > <usize>RecordBytes.ExternalHeader)
  ERROR("an External outgrew its header");

/** Moves the ports of so many records at Exchange.Rows (abi: MovedPortAt), before anybody has got one of them. */
export function movePorts(count: u32): void {
  for (let n: u32 = 0; n < count; n++) {
    const index = notePort(n);
    if (index == NONE) continue;
    const moved = MovedPort.at(index);
    const zone = active.zoneIndex(moved.zone);
    const external =
      zone == NONE ? NONE : active.externalByAddress.get(pairKey(zone, moved.address));
    if (external != NONE) External.at(external).movePort(moved);
  }
}

/** Which worker's a port of an external address would be, unless it is a subscriber's. The same after every start. */
export function shareOf(address: u32, port: u32): u32 {
  return ((port >> arena.shareShift) + (address & 0xffff)) % arena.workers;
}

/** Takes what is other workers'. Ports of subscribers are nobody's but theirs: only the overflow is shared out. */
function excludeOthers(bitmap: Bitmap, address: u32, pool: PoolRecord): void {
  const isDeterministic = pool.allocation == <u8>Allocation.Deterministic;
  if (isDeterministic && pool.overflowLow == 0) return;
  const low: u32 = isDeterministic ? pool.overflowLow : 0;
  const size: u32 = 1 << arena.shareShift;
  for (let port: u32 = 0; port <= 0xffff; port += size) {
    const last = port + size - 1;
    if (last >= low && shareOf(address, port) != arena.worker) bitmap.exclude(max(port, low), last);
  }
}

/** Which bitmap of an external address is the protocol's; NONE for protocols without ports. */
export function bitmapOf(protocol: u32): u32 {
  if (protocol == IpProtocol.Tcp) return 0;
  if (protocol == IpProtocol.Udp) return 1;
  return protocol == IpProtocol.Icmp ? 2 : NONE;
}

/** Whether a mapping holds the port that a tuple in the zone with this index goes to. */
export function portInUse(zoneIndex: u32, tuple: Tuple): bool {
  const which = bitmapOf(tuple.protocol);
  const index = active.externalByAddress.get(pairKey(zoneIndex, tuple.destination));
  if (which == NONE || index == NONE) return false;
  return External.at(index).bitmap(which).has(tuple.destinationPort);
}

/** The protocol of a bitmap. */
export function protocolOf(which: u32): u32 {
  if (which == 0) return IpProtocol.Tcp;
  return which == 1 ? IpProtocol.Udp : IpProtocol.Icmp;
}

/** Whether conns of this protocol are told apart by ports (ICMP: by identifiers). */
export function hasPorts(protocol: u32): bool {
  return bitmapOf(protocol) != NONE;
}
