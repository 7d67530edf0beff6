/**
 * Grants: mappings that an inside host has asked for by PCP (RFC 6887 section 11, RFC 6888 REQ-9). A grant holds
 * the endpoint's own mapping for as long as was agreed, whether or not it has conns, and lets in anybody who
 * sends to its external port. It is the host's who knows its nonce.
 *
 *     asked   made or found the mapping, and holds it    again: the same nonce, and it lives on
 *     ends    at its expiry, at the host's wish, or when the configuration would not make it again;
 *             conns through it go on, and behind the last one the port rests (nat/rest.ts)
 *
 * A grant is in the index under its external endpoint: nothing → external address and port; external zone.
 * There are an eighth as many as conns, shared by the zones (nat/share.ts); a zone has no more of them than it
 * may have conns.
 */

import { ConnState, FlowAction, MappingBehaviour, None, PoolFlag, Reason, ZoneFlag } from "../abi";
import { active } from "../config/configuration";
import { PoolRecord } from "../config/records";
import {
  arena,
  grantIndex,
  grantSlab,
  grants,
  grantWheel,
  keyScratch,
  RecordBytes,
  scratch,
} from "../memory";
import { CONTINUE } from "../packet";
import { Index } from "../table/index";
import { NONE } from "../table/none";
import { PcpMap, PcpResult } from "../wire/pcp";
import { ConnFlag } from "./conn";
import { notePoolExhausted, noteQuota, noteTableFull } from "./event";
import { bitmapOf } from "./external";
import { FlowQuery, findGeneralFlow } from "./flow";
import { Host, releaseHost, takeHost } from "./host";
import { mayTakePort } from "./limit";
import { abandonMapping, findOwn, leaveMapping, Mapping, makeOwn, mayKeep } from "./mapping";
import { taken, takePort, takeWanted } from "./pool";
import { free } from "./rest";
import { isBeyond, mayTake, placesBeyond } from "./share";
import { Tuple } from "./tuple";

/** Where the question about an endpoint stands in the scratch: in front of it may be a packet's. */
const QUERY_AT: usize = 32;

@final
@unmanaged
export class Grant {
  nonceLow: u64;
  nonceHigh: u32;
  /** Index of the mapping that it holds. */
  mapping: u32;
  /** Milliseconds of the clock. */
  expiry: u32;
  /** The configuration that was last found to allow it. */
  validated: u32;
  /** Number of the device by which it was asked for. */
  ingress: u16;
  /** Bits of ConnFlag for conns that come in by it. */
  flags: u16;
  private pad: u32;

  static at(index: u32): Grant {
    return changetype<Grant>(grants + <usize>index * RecordBytes.Grant);
  }

  isOf(ask: PcpMap): bool {
    return this.nonceLow == ask.nonceLow && this.nonceHigh == ask.nonceHigh;
  }
}
if (offsetof<Grant>() != RecordBytes.Grant) ERROR("a Grant is 32 bytes");

/** The key of an external endpoint, whoever sends to it. */
function keyOf(mapping: Mapping): Tuple {
  const external = mapping.externalAddress;
  const key = Tuple.view(keyScratch);
  key.fill(0, external.address, 0, mapping.port, external.zone, mapping.protocol);
  return key;
}

/** The grant that lets in a packet from outside, NONE when none does. */
export function findGrant(from: Tuple): u32 {
  if (grantSlab.count == 0) return NONE;
  const key = Tuple.view(keyScratch);
  const hash = key.fill(0, from.destination, 0, from.destinationPort, from.zone, from.protocol);
  for (let which: u32 = 0; which < 2; which++) {
    const bucket = grantIndex.bucket(hash, which);
    for (let fits = Index.matches(bucket, hash); fits != 0; fits &= fits - 1) {
      const index = Index.handle(bucket, ctz(fits));
      if (leadsFrom(Mapping.at(Grant.at(index).mapping), from)) {
        return isGood(index) ? index : NONE;
      }
    }
    if (Index.isWhole(bucket)) break;
  }
  return NONE;
}

function leadsFrom(mapping: Mapping, from: Tuple): bool {
  const external = mapping.externalAddress;
  return (
    mapping.port == from.destinationPort &&
    external.address == from.destination &&
    external.zone == from.zone &&
    mapping.protocol == from.protocol
  );
}

/** Whether the configuration in force allows a grant; asked once after each switch. */
export function isGood(index: u32): bool {
  const grant = Grant.at(index);
  if (grant.validated == arena.configured) return true;
  if (!stillGranted(grant, Mapping.at(grant.mapping))) return false;
  // What is only supposed (config/configuration.ts) is not remembered.
  if (arena.configured != 0) grant.validated = arena.configured;
  return true;
}

/** Whether it would be made again, with this external endpoint, for the same tenants. */
function stillGranted(grant: Grant, mapping: Mapping): bool {
  const inside = active.zoneIndex(mapping.zone);
  if (inside == NONE || active.zoneState(inside).born > mapping.born) return false;
  if ((active.zone(inside).flags & <u16>ZoneFlag.Pcp) == 0) return false;
  const device = active.deviceByPort.get(grant.ingress);
  const query = queryFor(inside, device, mapping.source, mapping.sourcePort, mapping.protocol);
  const index = poolFor(query);
  if (index == NONE) return false;
  const pool = active.pool(index);
  return (
    active.zoneState(pool.zone).born <= mapping.born &&
    mayKeep(mapping, pool, inside, mapping.source)
  );
}

/** An inside endpoint as the flows are asked about it, wherever it may send to. */
function queryFor(zoneIndex: u32, device: u32, source: u32, port: u32, protocol: u32): FlowQuery {
  const query = changetype<FlowQuery>(scratch + QUERY_AT);
  query.fill(source, 0, port, 0, active.zone(zoneIndex).number, protocol);
  const inPlace = device != NONE && active.device(device).zone == <u16>zoneIndex;
  query.device = inPlace ? <u16>device : <u16>None.Short;
  query.zoneIndex = <u16>zoneIndex;
  query.state = <u16>ConnState.New;
  query.icmpType = 0;
  query.icmpCode = 0;
  return query;
}

/** The pool that gives an inside endpoint one port for all destinations; NONE where there is none. */
function poolFor(query: FlowQuery): u32 {
  const index = findGeneralFlow(query);
  if (index == NONE) return NONE;
  const flow = active.flow(index);
  if (flow.action != <u16>FlowAction.Masquerade) return NONE;
  if (flow.actionZone != <u16>None.Short && flow.actionZone != query.zoneIndex) return NONE;
  const behaviour = active.pool(flow.pool).mapping(bitmapOf(query.protocol));
  return behaviour == <u32>MappingBehaviour.EndpointIndependent ? <u32>flow.pool : NONE;
}

/** Index of the grant that `ask` has made or found. */
export let granted: u32 = NONE;

/**
 * Grants host `source` of the zone with this index, on the device with index `device`, what it asks for (TCP or
 * UDP), for so many seconds. With `exact` it is what was suggested or nothing. Success, with `granted` set, or
 * why not.
 */
export function grant(
  zoneIndex: u32,
  device: u32,
  source: u32,
  ask: PcpMap,
  exact: bool,
  seconds: u32,
): PcpResult {
  if (active.isOurs(zoneIndex, source)) return PcpResult.NotAuthorized;
  const query = queryFor(zoneIndex, device, source, ask.internalPort, ask.protocol);
  const index = poolFor(query);
  if (index == NONE) return PcpResult.NotAuthorized;
  const pool = active.pool(index);
  let mapping = findOwn(pool, bitmapOf(query.protocol), zoneIndex, query);
  let held = mapping == NONE ? NONE : Mapping.at(mapping).grant;
  if (held != NONE && !Grant.at(held).isOf(ask)) return PcpResult.NotAuthorized;
  if (mapping != NONE && exact && !isAsWanted(Mapping.at(mapping), ask)) {
    return PcpResult.CannotProvideExternal;
  }
  if (held == NONE) {
    const verdict = hasRoom(zoneIndex, query);
    if (verdict != PcpResult.Success) return verdict;
  }
  if (mapping == NONE) {
    const verdict = map(pool, zoneIndex, query, ask, exact);
    if (verdict != PcpResult.Success) return verdict;
    mapping = made;
  }
  if (held == NONE) held = hold(mapping, ask.nonceLow, ask.nonceHigh);
  if (held == NONE) return PcpResult.NoResources;
  const given = Grant.at(held);
  given.ingress = active.device(device).port;
  given.flags = flagsOf(pool);
  given.validated = arena.configured;
  given.expiry = arena.now + seconds * 1000;
  grantWheel.add(held, given.expiry);
  granted = held;
  return PcpResult.Success;
}

/** Bits of ConnFlag that conns have which come in by a grant of the pool. */
function flagsOf(pool: PoolRecord): u16 {
  return (pool.flags & PoolFlag.InboundRefresh) == 0 ? <u16>ConnFlag.KeepsExpiry : 0;
}

/** The pool (index) that would give an inside endpoint, behind the device with this number, what it asks for; NONE. */
export function poolForGrant(inside: Tuple, ingress: u32): u32 {
  const zone = active.zoneIndex(inside.zone);
  if (zone == NONE || (active.zone(zone).flags & <u16>ZoneFlag.Pcp) == 0) return NONE;
  const device = active.deviceByPort.get(ingress);
  return poolFor(queryFor(zone, device, inside.source, inside.sourcePort, inside.protocol));
}

/** Holds a mapping as it was held before a restart, for so many milliseconds more. The grant, or NONE. */
export function holdAgain(
  mapping: u32,
  pool: PoolRecord,
  zoneIndex: u32,
  nonceLow: u64,
  nonceHigh: u32,
  ingress: u32,
  left: u32,
): u32 {
  const held = Mapping.at(mapping);
  if (held.grant != NONE || hasRoom(zoneIndex, held) != PcpResult.Success) return NONE;
  const index = hold(mapping, nonceLow, nonceHigh);
  if (index == NONE) return NONE;
  const given = Grant.at(index);
  given.ingress = <u16>ingress;
  given.flags = flagsOf(pool);
  given.validated = arena.configured;
  given.expiry = arena.now + left;
  grantWheel.add(index, given.expiry);
  return index;
}

function isAsWanted(mapping: Mapping, ask: PcpMap): bool {
  const address = ask.external;
  return (
    !ask.wantsIpv6 &&
    <u32>mapping.port == ask.externalPort &&
    (address == 0 || address == mapping.externalAddress.address)
  );
}

/** What this worker may have of so many; all workers together have as many. */
function evenShare(all: u32): u32 {
  return all / arena.workers + <u32>(arena.worker < all % arena.workers);
}

/** Whether there may be one grant more, and one more of the zone. */
function hasRoom(zoneIndex: u32, query: Tuple): PcpResult {
  const most = active.zone(zoneIndex).connsMax;
  if (most != 0 && active.zoneState(zoneIndex).grants >= evenShare(most)) {
    noteQuota(zoneIndex, query, Reason.ZoneConnLimit);
    return PcpResult.UserExceedsQuota;
  }
  const capacity = grantSlab.capacity;
  const has = active.zoneState(zoneIndex).grants;
  if (grantSlab.count < capacity && mayTake(capacity, capacity, has, arena.grantsBeyond)) {
    return PcpResult.Success;
  }
  noteTableFull(query, Reason.MappingTableFull);
  return PcpResult.NoResources;
}

/** Index of the mapping that `map` has made. */
let made: u32 = NONE;

/** Makes the endpoint's mapping, with the suggested external endpoint where that is nobody's. */
function map(
  pool: PoolRecord,
  zoneIndex: u32,
  query: FlowQuery,
  ask: PcpMap,
  exact: bool,
): PcpResult {
  const host = takeHost(zoneIndex, query.source);
  if (host == NONE) return refuse(Reason.HostTableFull, pool, query);
  const verdict = mapHost(pool, zoneIndex, host, query, ask, exact);
  if (verdict == CONTINUE) return PcpResult.Success;
  releaseHost(host);
  return refuse(verdict, pool, query);
}

function mapHost(
  pool: PoolRecord,
  zoneIndex: u32,
  host: u32,
  query: FlowQuery,
  ask: PcpMap,
  exact: bool,
): u32 {
  const which = bitmapOf(query.protocol);
  if (!mayTakePort(zoneIndex, Host.at(host), which, query)) return Reason.HostPortLimit;
  const reply = Tuple.view(scratch);
  reply.fill(0, 0, 0, 0, active.zone(pool.zone).number, query.protocol);
  if (
    ask.wantsIpv6 ||
    !takeWanted(pool, which, host, query, reply, ask.external, ask.externalPort)
  ) {
    if (exact) return Reason.TupleInUse;
    const verdict = takePort(pool, which, host, query, reply);
    if (verdict == Reason.HostPortLimit) noteQuota(zoneIndex, query, verdict);
    if (verdict != CONTINUE) return verdict;
  }
  made = makeOwn(pool, which, host, query, taken, reply.destinationPort);
  if (made != NONE) return CONTINUE;
  free(taken, which, reply.destinationPort);
  return Reason.MappingTableFull;
}

/** The protocol's word for what stood in the way, of which the operator hears as for any packet. */
function refuse(reason: u32, pool: PoolRecord, query: FlowQuery): PcpResult {
  switch (reason) {
    case Reason.HostPortLimit:
      return PcpResult.UserExceedsQuota;
    case Reason.NotSubscriber:
      return PcpResult.NotAuthorized;
    case Reason.TupleInUse:
      return PcpResult.CannotProvideExternal;
    case Reason.PoolExhausted:
      notePoolExhausted(pool, query, true);
      return PcpResult.NoResources;
    default:
      noteTableFull(query, reason);
      return PcpResult.NoResources;
  }
}

/** Makes the grant that holds a mapping. NONE, and a mapping that nobody else uses is gone, without room. */
function hold(index: u32, nonceLow: u64, nonceHigh: u32): u32 {
  const mapping = Mapping.at(index);
  mapping.conns++;
  const place = grantSlab.take();
  if (place == NONE || !grantIndex.insert(keyOf(mapping).hash, place)) {
    if (place != NONE) grantSlab.give(place);
    abandonMapping(index);
    return NONE;
  }
  mapping.grant = place;
  const given = Grant.at(place);
  given.mapping = index;
  given.nonceLow = nonceLow;
  given.nonceHigh = nonceHigh;
  countZone(mapping, 1);
  return place;
}

function countZone(mapping: Mapping, change: i32): void {
  const zone = active.zoneIndex(mapping.zone);
  if (zone == NONE) return;
  const state = active.zoneState(zone);
  if (state.born > mapping.born) return;
  if (change < 0) state.grants--;
  if (isBeyond(grantSlab.capacity, grantSlab.capacity, state.grants)) arena.grantsBeyond += change;
  if (change > 0) state.grants++;
}

/** Even shares are others when there are other zones. */
export function recountGrants(): void {
  arena.grantsBeyond = 0;
  for (let zone: u32 = 0; zone < active.zoneCount; zone++) {
    const has = active.zoneState(zone).grants;
    arena.grantsBeyond += placesBeyond(grantSlab.capacity, grantSlab.capacity, has);
  }
}

/** Ends the grant of an inside endpoint. Success also where there is none: it may be asked twice. */
export function revoke(zoneIndex: u32, device: u32, source: u32, ask: PcpMap): PcpResult {
  const query = queryFor(zoneIndex, device, source, ask.internalPort, ask.protocol);
  const index = poolFor(query);
  if (index == NONE) return PcpResult.Success;
  const mapping = findOwn(active.pool(index), bitmapOf(query.protocol), zoneIndex, query);
  const held = mapping == NONE ? NONE : Mapping.at(mapping).grant;
  if (held == NONE) return PcpResult.Success;
  if (!Grant.at(held).isOf(ask)) return PcpResult.NotAuthorized;
  endGrant(held);
  return PcpResult.Success;
}

function endGrant(index: u32): void {
  const held = Grant.at(index).mapping;
  const mapping = Mapping.at(held);
  grantWheel.remove(index);
  grantIndex.remove(keyOf(mapping).hash, index);
  mapping.grant = NONE;
  countZone(mapping, -1);
  grantSlab.give(index);
  leaveMapping(held);
}

/** Ends at most `limit` grants whose time has come. */
export function expireGrants(now: u32, limit: u32): void {
  for (let n: u32 = 0; n < limit; n++) {
    const index = grantWheel.due(now);
    if (index == NONE) return;
    const grant = Grant.at(index);
    if (<i32>(grant.expiry - now) > 0) grantWheel.add(index, grant.expiry);
    else endGrant(index);
  }
}

/** Looks at no more than `limit` grants for ones that the configuration in force no longer allows. */
export function sweepGrants(limit: u32): void {
  if (arena.grantsSwept == arena.configured) return;
  const to = <u32>min<u64>(<u64>arena.grantCursor + limit, grantSlab.fresh);
  for (let index = arena.grantCursor; index < to; index++) {
    if (grantSlab.holds(index) && !isGood(index)) endGrant(index);
  }
  arena.grantCursor = to;
  if (to == grantSlab.fresh) arena.grantsSwept = arena.configured;
}

/** Milliseconds until there is a grant to end, or to look at: 0 now, NONE never. */
export function grantWait(now: u32): u32 {
  return arena.grantsSwept == arena.configured ? grantWheel.wait(now) : 0;
}
