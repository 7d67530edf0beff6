/**
 * Saving: what goes on in another process, written as records (abi: SavedKind) into the exchange area, a bounded number a
 * call, between two batches. Each record is whole: a conn says all of its mapping that a restart needs, so no two
 * of them have to be read together, and what changes between two calls contradicts nothing but what is older.
 *
 *     Begin · zones ── grants ── conns ── conns that are hairpinned to a mapping ── ports at rest
 *        ▲                │
 *        └── a switch ────┘   numbers of zones may mean other tenants behind it: they are written again
 *
 * The order is that of restoring (nat/restore.ts): a grant lets conns in, a hairpin needs its receiver's mapping. What is
 * not the tenants' any more that its zones' numbers mean is left out, and so is what waits for its receiver.
 */

import {
  Allocation,
  Exchange,
  None,
  SavedAt,
  SavedBeginAt,
  SavedConnAt,
  SavedGrantAt,
  SavedKind,
  SavedMappingAt,
  SavedPart,
  SavedPortAt,
  SavedZoneAt,
} from "../abi";
import { active } from "../config/configuration";
import { arena, connSlab, grantSlab, RecordBytes, saving } from "../memory";
import { NONE } from "../table/none";
import { IpProtocol } from "../wire/ipv4";
import { Block } from "./block";
import { Conn, ConnFlag } from "./conn";
import { External } from "./external";
import { Grant, isGood } from "./grant";
import { isWaiting } from "./hairpin";
import { Host } from "./host";
import { Mapping, MappingFlag } from "./mapping";
import { externalAtRest, portAtRest, restedAt, whichAtRest } from "./rest";
import { hasShift, Shift } from "./shift";
import { Windows } from "./window";

enum Stage {
  Grants,
  Conns,
  Hairpins,
  RestingPorts,
  Done,
}

/** The longest record: a conn with all of its parts. */
const RECORD_MAX: usize =
  SavedConnAt.Bytes + RecordBytes.Window + 2 * SavedMappingAt.Bytes + RecordBytes.Shift;
const END: usize = <usize>Exchange.Search - RECORD_MAX;

@final
@unmanaged
class Saving {
  stage: u32;
  /** The next record of its table. */
  next: u32;
  /** The configuration whose zones have been written, up to `zone`. */
  configured: u32;
  zone: u32;
  /** Conns that were left for their own stage. */
  hairpins: u32;
  /** Where the oldest port at rest stood when `next` was counted from it. */
  restFirst: u32;
}
if (offsetof<Saving>() > <usize>RecordBytes.Saving) ERROR("a Saving outgrew its place");

function theSaving(): Saving {
  return changetype<Saving>(saving);
}

/** Where the next record is to stand. */
let to: usize = 0;

/** Begins anew. */
export function startSaving(): void {
  memory.fill(saving, 0, offsetof<Saving>());
}

/** Writes records at Exchange.Rows, of no more than `limit` places of a table; returns how many bytes. */
export function continueSaving(limit: u32, now: u32): u32 {
  arena.now = now;
  to = Exchange.Rows;
  if (arena.configured == 0) return 0;
  const state = theSaving();
  if (state.configured != arena.configured) begin(state);
  for (let left = limit; left > 0 && to <= END && state.stage < <u32>Stage.Done; left--)
    step(state);
  return <u32>(to - <usize>Exchange.Rows);
}

/** Whether everything has been written. */
export function isSaved(): bool {
  return theSaving().stage == Stage.Done;
}

function begin(state: Saving): void {
  state.configured = arena.configured;
  state.zone = 0;
  arena.advanceEpoch();
  write(SavedKind.Begin, 0, SavedBeginAt.Bytes);
  store<u32>(written, arena.epochSeconds, SavedBeginAt.Epoch);
}

/** One record, or one place of a table where there is none. */
function step(state: Saving): void {
  if (state.zone < active.zoneCount) saveZone(state.zone++);
  else if (state.stage == Stage.Grants) saveGrants(state);
  else if (state.stage == Stage.RestingPorts) savePorts(state);
  else saveConns(state);
}

/** Where the record stands that `write` has begun. */
let written: usize = 0;

function write(kind: SavedKind, parts: u32, bytes: u32): void {
  written = to;
  memory.fill(written, 0, bytes);
  store<u8>(written, <u8>kind, SavedAt.Kind);
  store<u8>(written, <u8>parts, SavedAt.Parts);
  store<u16>(written, <u16>bytes, SavedAt.Length);
  to += bytes;
}

function saveZone(index: u32): void {
  const zone = active.zone(index);
  const bytes = (SavedZoneAt.Name + <u32>zone.nameBytes + 3) & ~3;
  write(SavedKind.Zone, 0, bytes);
  store<u16>(written, zone.number, SavedZoneAt.Number);
  store<u16>(written, zone.nameBytes, SavedZoneAt.NameBytes);
  memory.copy(written + SavedZoneAt.Name, active.strings + zone.name, zone.nameBytes);
}

/** Goes to the next place of a table, or behind its end to the next stage. */
function advance(state: Saving, end: u32): u32 {
  if (state.next < end) return state.next++;
  state.stage++;
  state.next = 0;
  // Another look at all conns is for those that were left alone.
  if (state.stage == Stage.Hairpins && state.hairpins == 0) state.stage++;
  return NONE;
}

function saveGrants(state: Saving): void {
  const index = advance(state, grantSlab.fresh);
  if (index == NONE || !grantSlab.holds(index) || !isGood(index)) return;
  const grant = Grant.at(index);
  const mapping = Mapping.at(grant.mapping);
  write(SavedKind.Grant, 0, SavedGrantAt.Bytes);
  store<u32>(written, leftUntil(grant.expiry), SavedGrantAt.ExpiresIn);
  store<u64>(written, grant.nonceLow, SavedGrantAt.NonceLow);
  store<u32>(written, grant.nonceHigh, SavedGrantAt.NonceHigh);
  store<u16>(written, grant.ingress, SavedGrantAt.Ingress);
  memory.copy(written + SavedGrantAt.Inside, changetype<usize>(mapping), 16);
  writeMapping(written + SavedGrantAt.Mapping, mapping);
}

function saveConns(state: Saving): void {
  const isLast = state.stage == Stage.Hairpins;
  const index = advance(state, connSlab.fresh);
  if (index == NONE || !connSlab.holds(index)) return;
  const conn = Conn.at(index);
  if ((conn.target != NONE) != isLast) {
    if (!isLast) state.hairpins++;
    return;
  }
  if (isTenants(conn)) saveConn(index, conn);
}

/**
 * Milliseconds that a conn or grant has left. One whose time is up, and whom nothing has swept yet, is saved with none: it
 * does not go on, but its port is to rest (nat/restore.ts).
 */
function leftUntil(expiry: u32): u32 {
  return max(0, <i32>(expiry - arena.now));
}

/** Whether all zones of a conn are the tenants' still that had them when it began. */
function isTenants(conn: Conn): bool {
  return (
    isOf(conn.original.zone, conn.born) &&
    isOf(conn.reply.zone, conn.born) &&
    (conn.mapping == NONE || isMappingOf(Mapping.at(conn.mapping))) &&
    (conn.target == NONE || isMappingOf(Mapping.at(conn.target)))
  );
}

function isMappingOf(mapping: Mapping): bool {
  return isOf(mapping.externalAddress.zone, mapping.born);
}

function isOf(zone: u32, born: u32): bool {
  const index = active.zoneIndex(zone);
  return index != NONE && active.zoneState(index).born <= born;
}

function saveConn(index: u32, conn: Conn): void {
  const isTcp = conn.original.protocol == IpProtocol.Tcp;
  const parts: u32 =
    (isTcp ? <u32>SavedPart.Windows : 0) |
    (conn.mapping != NONE ? <u32>SavedPart.Mapping : 0) |
    (conn.target != NONE ? <u32>SavedPart.Target : 0) |
    (hasShift(conn) ? <u32>SavedPart.Shift : 0) |
    (conn.isGranted ? <u32>SavedPart.Granted : 0);
  write(SavedKind.Conn, parts, connBytes(parts));
  // One that waits to turn round does not go on either: as a conn that goes straight it has a port.
  const waits = isWaiting(conn);
  store<u32>(written, waits ? 0 : leftUntil(conn.expiry), SavedConnAt.ExpiresIn);
  store<u32>(written, arena.now - conn.created, SavedConnAt.Age);
  store<u16>(written, <u16>conn.ingress(0), SavedConnAt.Ingress);
  store<u16>(written, hasShift(conn) ? 0 : conn.gateway, SavedConnAt.Gateway);
  memory.copy(written + SavedConnAt.Original, changetype<usize>(conn.original), 16);
  memory.copy(written + SavedConnAt.Reply, changetype<usize>(conn.reply), 16);
  store<u8>(written + SavedConnAt.Original, <u8>conn.phase, 15);
  if (waits) {
    store<u8>(written + SavedConnAt.Reply, conn.reply.tag & ~(<u8>ConnFlag.Hairpin), 15);
  }
  conn.copyTraffic(written + SavedConnAt.Traffic);
  let at = written + SavedConnAt.Bytes;
  if (isTcp) {
    memory.copy(at, changetype<usize>(Windows.at(index)), RecordBytes.Window);
    at += RecordBytes.Window;
  }
  if (conn.mapping != NONE) at = writeMapping(at, Mapping.at(conn.mapping));
  if (conn.target != NONE) at = writeMapping(at, Mapping.at(conn.target));
  if (hasShift(conn)) {
    memory.copy(at, changetype<usize>(Shift.at(conn.gateway)), RecordBytes.Shift);
  }
}

/** Bytes of a conn's record with these parts. */
export function connBytes(parts: u32): u32 {
  let bytes: u32 = SavedConnAt.Bytes;
  if ((parts & SavedPart.Windows) != 0) bytes += RecordBytes.Window;
  if ((parts & SavedPart.Mapping) != 0) bytes += SavedMappingAt.Bytes;
  if ((parts & SavedPart.Target) != 0) bytes += SavedMappingAt.Bytes;
  return (parts & SavedPart.Shift) != 0 ? bytes + RecordBytes.Shift : bytes;
}

/** Returns where it ends. */
function writeMapping(at: usize, mapping: Mapping): usize {
  const external = mapping.externalAddress;
  store<u32>(at, external.address, SavedMappingAt.External);
  store<u16>(at, external.zone, SavedMappingAt.ExternalZone);
  store<u16>(at, mapping.port, SavedMappingAt.ExternalPort);
  store<u8>(at, mapping.behaviour, SavedMappingAt.Mapping);
  store<u8>(at, mapping.filtering, SavedMappingAt.Filtering);
  store<u32>(at, arena.now - mapping.created, SavedMappingAt.Age);
  const isShared = mapping.has(MappingFlag.Shared);
  store<u8>(at, <u8>isShared, SavedMappingAt.Shared);
  if (!isShared) {
    store<u32>(at, mapping.destination, SavedMappingAt.Destination);
    store<u16>(at, mapping.destinationPort, SavedMappingAt.DestinationPort);
  }
  return at + SavedMappingAt.Bytes;
}

/** Those that have been freed meanwhile were in front. */
function followQueue(state: Saving): void {
  const first = arena.restFirst;
  const before = state.restFirst;
  const freed = first >= before ? first - before : first + arena.connCapacity - before;
  state.next = state.next > freed ? state.next - freed : 0;
  state.restFirst = first;
}

function savePorts(state: Saving): void {
  followQueue(state);
  const n = advance(state, arena.restCount);
  if (n == NONE) return;
  const index = externalAtRest(n);
  if (index == <u32>None.Short) return;
  const external = External.at(index);
  // Where it is no pool's any more, nobody can get it.
  if (external.pool == <u16>None.Short) return;
  const port = portAtRest(n);
  write(SavedKind.RestingPort, 0, SavedPortAt.Bytes);
  store<u32>(written, external.address, SavedPortAt.External);
  store<u16>(written, external.zone, SavedPortAt.ExternalZone);
  store<u16>(written, <u16>port, SavedPortAt.Port);
  store<u32>(written, restedAt(n), SavedPortAt.Rested);
  store<u8>(written, <u8>whichAtRest(n), SavedPortAt.Which);
  if (active.pool(external.pool).allocation == <u8>Allocation.Block) saveBlock(index, port);
}

function saveBlock(external: u32, port: u32): void {
  const owner = Block.withPort(external, port).host;
  if (owner == NONE || !isOf(Host.at(owner).zone, Host.at(owner).born)) return;
  store<u32>(written, Host.at(owner).address, SavedPortAt.Host);
  store<u16>(written, Host.at(owner).zone, SavedPortAt.HostZone);
  store<u8>(written, 1, SavedPortAt.InBlock);
}
