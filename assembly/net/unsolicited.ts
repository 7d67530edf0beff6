/**
 * SYNs that nobody asked for (RFC 5382 REQ-4): one that comes in for an external address and finds nothing is
 * kept in silence for six seconds. If a host inside opens to its sender meanwhile, which then sends it again,
 * both open at once; else its sender is told that the port is unreachable.
 *
 * A ring in order of arrival, bounded in all and per zone; beyond that, nobody is told. What waits for a
 * configuration that is no longer in force is forgotten: its device and its address may be others'.
 *
 *     record   0  tuple    16  HeldSyn    50  Ethernet header    64  the first bytes of the IP packet
 */

import { ImageAt, Limit, Policy } from "../abi";
import { active } from "../config/configuration";
import { arena, heldSyns, RecordBytes } from "../memory";
import { Packet, PacketKind } from "../packet";
import { NONE } from "../table/none";
import { Ethernet } from "../wire/ethernet";

/** Where the kept packet begins in its record: behind its link header, whose MACs are kept. */
const NETWORK: usize = 64;
const FRAME: usize = NETWORK - Ethernet.BYTES;

@final
@unmanaged
export class HeldSyn {
  private tupleAddresses: u64;
  private tupleRest: u64;
  /** Of the tuple. */
  hashed: u64;
  /** When its sender is told, milliseconds of the clock. */
  due: u32;
  /** The configuration that it came in under; indices below are of that one. */
  configured: u32;
  device: u16;
  zoneIndex: u16;
  /** How much of it is kept. */
  bytes: u16;

  /** The n-th oldest. */
  static at(n: u32): HeldSyn {
    const place = (arena.synFirst + n) % <u32>Limit.HeldSyns;
    return changetype<HeldSyn>(heldSyns + <usize>place * RecordBytes.HeldSyn);
  }
}
if (offsetof<HeldSyn>() > FRAME) ERROR("a HeldSyn reaches into the frame that it keeps");
if (<i32>NETWORK + Limit.HeldSynBytes > RecordBytes.HeldSyn) ERROR("a HeldSyn keeps HeldSynBytes");

/** Keeps what is needed to answer a SYN later, where there is room and the policy is to answer at all. */
export function holdSyn(packet: Packet, now: u32): void {
  if ((active.policy & Policy.SilentSyn) != 0 || !hasRoom(packet)) return;
  const syn = HeldSyn.at(arena.synCount++);
  const at = changetype<usize>(syn);
  memory.copy(at, changetype<usize>(packet), 16);
  syn.hashed = packet.hashed;
  syn.due = now + active.delay(ImageAt.SynTimeout);
  syn.configured = arena.configured;
  syn.device = packet.device;
  syn.zoneIndex = packet.zoneIndex;
  syn.bytes = min<u16>(packet.totalBytes, <u16>Limit.HeldSynBytes);
  memory.copy(at + FRAME, packet.frame, Ethernet.BYTES);
  memory.copy(at + NETWORK, packet.network, syn.bytes);
}

/** Whether there is room for one more; one that is sent again waits since its first time. */
function hasRoom(packet: Packet): bool {
  forgetOld();
  if (arena.synCount == <u32>Limit.HeldSyns) return false;
  let ofZone: u32 = 0;
  for (let n: u32 = 0; n < arena.synCount; n++) {
    const syn = HeldSyn.at(n);
    if (syn.zoneIndex != packet.zoneIndex) continue;
    if (syn.hashed == packet.hashed) return false;
    ofZone++;
  }
  return ofZone < <u32>Limit.HeldSynsPerZone;
}

/** Makes `packet` the next SYN whose time has come, as it came in; false when there is none. */
export function takeDueSyn(packet: Packet, now: u32): bool {
  if (synWait(now) != 0) return false;
  const syn = HeldSyn.at(0);
  dropFirst();
  const at = changetype<usize>(syn);
  memory.copy(changetype<usize>(packet), at, 16);
  packet.kind = <u8>PacketKind.Ipv4;
  packet.hashed = syn.hashed;
  packet.device = syn.device;
  packet.zoneIndex = syn.zoneIndex;
  packet.frame = <u32>(at + FRAME);
  packet.frameBytes = Ethernet.BYTES + syn.bytes;
  packet.network = <u32>(at + NETWORK);
  packet.totalBytes = syn.bytes;
  packet.transport = <u32>packet.ip.payload;
  return true;
}

/** Milliseconds until a SYN is due: 0 when one is, NONE when none waits. */
export function synWait(now: u32): u32 {
  forgetOld();
  if (arena.synCount == 0) return NONE;
  const left = <i32>(HeldSyn.at(0).due - now);
  return left > 0 ? <u32>left : 0;
}

/** Those of older configurations are the oldest. */
function forgetOld(): void {
  while (arena.synCount > 0 && HeldSyn.at(0).configured != arena.configured) dropFirst();
}

function dropFirst(): void {
  arena.synFirst = (arena.synFirst + 1) % <u32>Limit.HeldSyns;
  arena.synCount--;
}
