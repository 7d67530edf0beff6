/**
 * A new configuration: checked whole, built beside the one in force, then switched to in one step between
 * two calls. What goes on from the old one: conns that the new one still allows, neighbors of devices that
 * stay, the ports that conns hold, and the counters of what keeps its name.
 */

import {
  ConnState,
  DeviceCounterAt,
  FlowCounterAt,
  ImageAt,
  ImageStatus,
  NeighborAt,
  NeighborState,
  None,
} from "./abi";
import { checkImage, checkRecords } from "./config/check";
import {
  activate,
  active,
  Configuration,
  pairKey,
  resume,
  suppose,
  tagKey,
  ZoneState,
} from "./config/configuration";
import { NeighborRecord } from "./config/records";
import { arena, EXTERNAL_BITMAPS, neighborSlab, slotBytes } from "./memory";
import { forgetDatagrams } from "./nat/datagram";
import { BLOCKS, External } from "./nat/external";
import { linkForwards } from "./nat/forward";
import { recountGrants } from "./nat/grant";
import { forgetResting } from "./nat/rest";
import { blockPortsFor, countedFor } from "./nat/usage";
import { addPermanent, findNeighbor, moveNeighbor, Neighbor, removeNeighbor } from "./net/neighbor";
import { beginOutputs } from "./net/output";
import { fillErrorBudget } from "./net/responder";
import { NONE } from "./table/none";

/** Which slot the next image goes to. */
function nextSlot(): u32 {
  return arena.configured == 0 ? 0 : arena.activeSlot ^ 1;
}

/** Where the host writes an image before it calls `configure`. */
export function stagingAt(): usize {
  return Configuration.imageOf(nextSlot());
}

/** Takes the image at `stagingAt` into force, or says why not and leaves everything as it is. */
export function configureArena(bytes: u32, now: u32): ImageStatus {
  beginOutputs();
  arena.now = now;
  const status = prepare(bytes, true);
  const which = nextSlot();
  if (status == ImageStatus.Ok) switchTo(Configuration.slot(which), which, now);
  return status;
}

/** Whether `configureArena` would take the image, now or later: what is in use of former ones only becomes less. */
export function checkArena(bytes: u32): ImageStatus {
  return prepare(bytes, false);
}

/**
 * As `checkArena`; an image that would be taken can be supposed to be in force, to ask what would become of conns, until
 * another one is staged.
 */
export function rehearseArena(bytes: u32): ImageStatus {
  const status = prepare(bytes, false);
  if (status != ImageStatus.Ok || arena.configured == 0) return status;
  const next = Configuration.slot(nextSlot());
  // Nothing is of a tenant that is yet to come.
  for (let i: u32 = 0; i < next.zoneCount; i++) next.zoneState(i).born = NONE;
  carryZones(active, next);
  suppose();
  listExternals(next);
  linkForwards(next);
  resume();
  return status;
}

/** Nothing in force changes; Externals begin anew where that is meant (`begins`). */
function prepare(bytes: u32, begins: bool): ImageStatus {
  const status = prepareImage(bytes);
  return status == ImageStatus.Ok ? placeExternals(Configuration.slot(nextSlot()), begins) : status;
}

/** Checks the image at `stagingAt` and builds what follows from it alone. */
function prepareImage(bytes: u32): ImageStatus {
  arena.stagings++;
  const which = nextSlot();
  const image = Configuration.imageOf(which);
  const next = Configuration.slot(which);
  let status = checkImage(image, bytes, arena.imageCapacity);
  if (status != ImageStatus.Ok) return status;
  next.openSections(image);
  status = checkRecords(next);
  if (status != ImageStatus.Ok) return status;
  status = checkCapacity(next);
  if (status != ImageStatus.Ok) return status;
  if (!next.placeTables(changetype<usize>(next) + slotBytes)) return ImageStatus.TooLarge;
  return fillTables(next);
}

/** The arena was made for so many; they do not grow. */
function checkCapacity(next: Configuration): ImageStatus {
  if (load<u32>(next.image + ImageAt.ConnCapacity) > arena.connCapacity)
    return ImageStatus.TooLarge;
  if (load<u32>(next.image + ImageAt.NeighborCapacity) > arena.neighborCapacity) {
    return ImageStatus.TooLarge;
  }
  return next.neighborCount > arena.neighborCapacity ? ImageStatus.TooLarge : ImageStatus.Ok;
}

/** The tables that follow from the image alone. */
function fillTables(next: Configuration): ImageStatus {
  for (let i: u32 = 0; i < next.zoneCount; i++) {
    if (!next.zoneByNumber.put(next.zone(i).number, i)) return ImageStatus.Duplicate;
  }
  for (let i: u32 = 0; i < next.deviceCount; i++) {
    const device = next.device(i);
    const tags = tagKey(device.interfaceIndex, device.vlanOuter, device.vlanInner);
    if (!next.deviceByTags.put(tags, i)) return ImageStatus.Duplicate;
    if (!next.deviceByPort.put(device.port, i)) return ImageStatus.Duplicate;
  }
  for (let i: u32 = 0; i < next.addressCount; i++) {
    const address = next.address(i);
    const key = pairKey(next.device(address.device).zone, address.address);
    if (!next.deviceByAddress.put(key, address.device)) return ImageStatus.Duplicate;
  }
  for (let i: u32 = 0; i < next.routeCount; i++) {
    const route = next.route(i);
    if (!next.prefixes.put(route.zone, route.prefix, route.prefixLength, i)) {
      return ImageStatus.Duplicate;
    }
  }
  next.hasRelatedFlows = false;
  for (let i: u32 = 0; i < next.flowCount; i++) {
    if ((next.flow(i).stateMask & ConnState.Related) != 0) next.hasRelatedFlows = true;
  }
  return ImageStatus.Ok;
}

/**
 * Gives each pool address its External: the one it has or had, or a free one, rather one where nothing rests.
 * Changes nothing that is in force: a free External is reserved by the new table alone until the switch
 * lists it.
 */
function placeExternals(next: Configuration, begins: bool): ImageStatus {
  if (arena.configured != 0) {
    keepExternals(next);
    regainExternals(next);
  }
  let unused: u32 = 0;
  let resting: u32 = 0;
  for (let p: u32 = 0; p < next.poolCount; p++) {
    const pool = next.pool(p);
    for (let n: u32 = 0; n < pool.addressCount; n++) {
      const address = next.poolAddress(pool, n);
      const key = pairKey(pool.zone, address);
      if (next.externalByAddress.get(key) != NONE) continue;
      if (unused != NONE) unused = freeExternal(next, unused, false);
      if (unused == NONE) resting = freeExternal(next, resting, true);
      const index = unused == NONE ? resting : unused;
      if (index == NONE) return ImageStatus.TooLarge;
      if (unused == NONE) resting++;
      else unused++;
      if (begins) {
        forgetResting(index);
        External.at(index).begin(next.zone(pool.zone).number, address, pool);
      }
      next.externalByAddress.put(key, index);
    }
  }
  return ImageStatus.Ok;
}

/** Lists the Externals of addresses that the same tenant's zone has in the configuration in force. */
function keepExternals(next: Configuration): void {
  for (let p: u32 = 0; p < next.poolCount; p++) {
    const pool = next.pool(p);
    const old = active.zoneIndex(next.zone(pool.zone).number);
    if (old == NONE || !next.sameZone(pool.zone, active, old)) continue;
    for (let n: u32 = 0; n < pool.addressCount; n++) {
      const address = next.poolAddress(pool, n);
      const index = active.externalByAddress.get(pairKey(old, address));
      if (index != NONE) next.externalByAddress.put(pairKey(pool.zone, address), index);
    }
  }
}

/** Lists those of addresses that left and come back while ports of them are in use, or rest. */
function regainExternals(next: Configuration): void {
  for (let i: u32 = 0; i < arena.poolAddressCapacity; i++) {
    const external = External.at(i);
    if (external.used == 0 || external.listed == arena.configured) continue;
    const old = active.zoneIndex(external.zone);
    // One that was listed before the zone's number became this tenant's is another's.
    if (old == NONE || external.listed < active.zoneState(old).born) continue;
    const zone = next.zoneIndex(external.zone);
    if (zone == NONE || !next.sameZone(zone, active, old)) continue;
    const key = pairKey(zone, external.address);
    if (next.externalByAddress.get(key) != NONE || !next.hasPoolAddress(zone, external.address)) {
      continue;
    }
    next.externalByAddress.put(key, i);
  }
}

/** Index of the first External from `from` on that nobody has, and of which ports rest or none does; NONE for none. */
function freeExternal(next: Configuration, from: u32, rests: bool): u32 {
  for (let i = from; i < arena.poolAddressCapacity; i++) {
    const external = External.at(i);
    if (external.isFree && (external.used != 0) == rests && !isPlaced(next, i)) return i;
  }
  return NONE;
}

function isPlaced(next: Configuration, index: u32): bool {
  const external = External.at(index);
  const zone = next.zoneIndex(external.zone);
  return zone != NONE && next.externalByAddress.get(pairKey(zone, external.address)) == index;
}

/** The one step: nothing can fail from here on. */
function switchTo(next: Configuration, which: u32, now: u32): void {
  const old = active;
  const first = arena.configured == 0;
  if (!first) {
    forgetDatagrams();
    dropNeighbors(next);
  }
  arena.generation++;
  arena.configured = arena.generation;
  arena.activeSlot = which;
  arena.sweepCursor = 0;
  arena.grantCursor = 0;
  activate();
  for (let i: u32 = 0; i < next.zoneCount; i++) next.zoneState(i).born = arena.generation;
  for (let i: u32 = 0; i < next.deviceCount; i++) fillErrorBudget(i, now);
  if (!first) {
    carryZones(old, next);
    carryDevices(old, next);
    carryFlows(old, next);
    keepNeighbors(old, next);
  }
  recountGrants();
  listExternals(next);
  linkForwards(next);
  addStaticNeighbors(next, now);
}

function carryZones(old: Configuration, next: Configuration): void {
  for (let i: u32 = 0; i < next.zoneCount; i++) {
    const index = old.zoneIndex(next.zone(i).number);
    if (index == NONE || !next.sameZone(i, old, index)) continue;
    memory.copy(
      changetype<usize>(next.zoneState(i)),
      changetype<usize>(old.zoneState(index)),
      offsetof<ZoneState>(),
    );
  }
}

/** The device of `next` that is what device `index` of `old` was, or NONE. */
function successor(old: Configuration, index: u32, next: Configuration): u32 {
  const found = next.deviceByPort.get(old.device(index).port);
  return found != NONE && next.sameDevice(found, old, index) ? found : NONE;
}

/** Counters go on where the device does; those of one that is gone stay in its zone's sum. */
function carryDevices(old: Configuration, next: Configuration): void {
  for (let i: u32 = 0; i < old.deviceCount; i++) {
    const counters = old.deviceCounters + <usize>i * DeviceCounterAt.Bytes;
    const to = successor(old, i, next);
    if (to != NONE) {
      memory.copy(
        next.deviceCounters + <usize>to * DeviceCounterAt.Bytes,
        counters,
        DeviceCounterAt.Bytes,
      );
      next.deviceState(to).icmpTokens = old.deviceState(i).icmpTokens;
      next.deviceState(to).icmpFilled = old.deviceState(i).icmpFilled;
      continue;
    }
    const zone = next.zoneIndex(old.zone(old.device(i).zone).number);
    if (zone == NONE || !next.sameZone(zone, old, old.device(i).zone)) continue;
    next.zoneState(zone).addDevice(counters);
  }
}

/** A flow's text is its identity. Both lists are searched in step, since most flows keep their order. */
function carryFlows(old: Configuration, next: Configuration): void {
  let from: u32 = 0;
  for (let i: u32 = 0; i < next.flowCount && old.flowCount > 0; i++) {
    const flow = next.flow(i);
    for (let tried: u32 = 0; tried < min<u32>(old.flowCount, FLOW_SEARCH_MAX); tried++) {
      const index = from + tried < old.flowCount ? from + tried : from + tried - old.flowCount;
      const was = old.flow(index);
      if (was.textBytes != flow.textBytes) continue;
      if (memory.compare(next.strings + flow.text, old.strings + was.text, flow.textBytes))
        continue;
      memory.copy(
        next.flowCounters + <usize>i * FlowCounterAt.Bytes,
        old.flowCounters + <usize>index * FlowCounterAt.Bytes,
        FlowCounterAt.Bytes,
      );
      from = index + 1 == old.flowCount ? 0 : index + 1;
      break;
    }
  }
}

/** Old flows that are looked at for one new flow: a bound on the time that a configuration takes. */
const FLOW_SEARCH_MAX: u32 = 4096;

/** Forgets, while the old configuration is in force, the neighbors that the new one has no place for. */
function dropNeighbors(next: Configuration): void {
  for (let i: u32 = 0; i < neighborSlab.fresh; i++) {
    if (!neighborSlab.holds(i)) continue;
    const neighbor = Neighbor.at(i);
    const gone = successor(active, neighbor.device, next) == NONE;
    if (gone || neighbor.state == NeighborState.Permanent) removeNeighbor(i);
  }
}

function keepNeighbors(old: Configuration, next: Configuration): void {
  for (let i: u32 = 0; i < neighborSlab.fresh; i++) {
    if (neighborSlab.holds(i)) moveNeighbor(i, successor(old, Neighbor.at(i).device, next));
  }
}

function listExternals(next: Configuration): void {
  for (let i: u32 = 0; i < arena.poolAddressCapacity; i++) External.at(i).pool = <u16>None.Short;
  for (let p: u32 = 0; p < next.poolCount; p++) {
    const pool = next.pool(p);
    for (let n: u32 = 0; n < pool.addressCount; n++) {
      const key = pairKey(pool.zone, next.poolAddress(pool, n));
      listExternal(next, p, External.at(next.externalByAddress.get(key)));
    }
  }
}

function listExternal(next: Configuration, pool: u32, external: External): void {
  if (external.pool == None.Short) external.pool = <u16>pool;
  external.forwards = NONE;
  // One that is only supposed keeps no address, and nothing is given by it.
  if (arena.configured == 0) return;
  external.listed = arena.configured;
  const state = next.poolState(pool);
  for (let which: u32 = 0; which < EXTERNAL_BITMAPS; which++) {
    state.countUse(which, countedFor(external, which, pool));
  }
  state.countUse(BLOCKS, blockPortsFor(external, next.pool(pool)));
}

/** A static neighbor takes the place of a learned one. Room was checked. */
function addStaticNeighbors(next: Configuration, now: u32): void {
  for (let i: u32 = 0; i < next.neighborCount; i++) {
    const at = next.neighbors + <usize>i * NeighborAt.Bytes;
    const neighbor = changetype<NeighborRecord>(at);
    const learned = findNeighbor(neighbor.device, neighbor.address);
    if (learned != NONE) removeNeighbor(learned);
    addPermanent(neighbor.device, neighbor.address, neighbor.mac, now);
  }
}
