/**
 * Inside hosts: what one address of one zone has in use, for the limits that its zone sets on each (RFC 6888
 * REQ-4 and REQ-5) and for the port blocks that it was given. A host is (zone, address): the same address
 * of two tenants is two hosts. It is known while it has a conn, a port or a block.
 */

import { active, pairKey } from "../config/configuration";
import { arena, clear, hostIndex, hostSlab, hosts, RecordBytes } from "../memory";
import { tupleHash } from "../table/hash";
import { Index } from "../table/index";
import { NONE } from "../table/none";

@final
@unmanaged
export class Host {
  address: u32;
  /** The zone's number. */
  zone: u16;
  /** 1 where it was there when the sums of hosts' traffic began (search.ts). */
  isSummed: u16;
  conns: u32;
  private ports0: u32;
  private ports1: u32;
  private ports2: u32;
  /** Its first port block (nat/block.ts), NONE for none. */
  blocks: u32;
  /** The generation in which the zone's number got the name that the host belongs to. */
  born: u32;

  static at(index: u32): Host {
    return changetype<Host>(hosts + <usize>index * RecordBytes.Host);
  }

  /** External ports that it has of the protocol with this bitmap. */
  ports(which: u32): u32 {
    return load<u32>(changetype<usize>(this) + ((<usize>which) << 2), offsetof<Host>("ports0"));
  }
  /** Counts one port more, or less. */
  countPort(which: u32, change: i32): void {
    const at = changetype<usize>(this) + ((<usize>which) << 2);
    const ports = load<u32>(at, offsetof<Host>("ports0")) + change;
    store<u32>(at, ports, offsetof<Host>("ports0"));
  }

  get isIdle(): bool {
    return (
      this.conns == 0 && (this.ports(0) | this.ports(1) | this.ports(2)) == 0 && this.blocks == NONE
    );
  }
  get hash(): u64 {
    return hashOf(this.zone, this.address);
  }
}
if (offsetof<Host>() != RecordBytes.Host) ERROR("a Host is 32 bytes");

function hashOf(zone: u32, address: u32): u64 {
  return tupleHash(arena.tupleKey, pairKey(zone, address), 0);
}

/**
 * The youngest host with this address that was there in generation `generation`; NONE when there is none.
 * A zone's number may have had another name before: those hosts are another tenant's.
 */
export function findHost(zone: u32, address: u32, generation: u32): u32 {
  return find(hashOf(zone, address), zone, address, generation);
}

function find(hash: u64, zone: u32, address: u32, generation: u32): u32 {
  let best = NONE;
  for (let which: u32 = 0; which < 2; which++) {
    const bucket = hostIndex.bucket(hash, which);
    for (let fits = Index.matches(bucket, hash); fits != 0; fits &= fits - 1) {
      const index = Index.handle(bucket, ctz(fits));
      const host = Host.at(index);
      if (host.address != address || host.zone != zone || host.born > generation) continue;
      if (best == NONE || host.born > Host.at(best).born) best = index;
    }
    if (Index.isWhole(bucket)) break;
  }
  return best;
}

/** The host of the zone with this index, made if it is new; NONE when the table is full. */
export function takeHost(zoneIndex: u32, address: u32): u32 {
  const zone = active.zone(zoneIndex).number;
  const born = active.zoneState(zoneIndex).born;
  const hash = hashOf(zone, address);
  const known = find(hash, zone, address, arena.generation);
  if (known != NONE && Host.at(known).born == born) return known;
  const index = hostSlab.take();
  if (index == NONE) return NONE;
  const host = Host.at(index);
  clear(changetype<usize>(host), RecordBytes.Host);
  host.address = address;
  host.zone = zone;
  host.born = born;
  host.blocks = NONE;
  if (hostIndex.insert(hash, index)) return index;
  hostSlab.give(index);
  return NONE;
}

/** Forgets a host that has nothing any more. */
export function releaseHost(index: u32): void {
  const host = Host.at(index);
  if (!host.isIdle) return;
  hostIndex.remove(host.hash, index);
  hostSlab.give(index);
}
