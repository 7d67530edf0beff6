/**
 * The exports of the datapath, and nothing else. Addresses are byte offsets in the linear memory, times are
 * milliseconds of any clock that does not run backwards, in 32 bits that wrap.
 *
 * A host's first calls: write the start record, `arenaBytes`, make a memory that large and instantiate in
 * it, `start`, write an image to `imageAt`, `configure`. Then `process` and `expire` for ever.
 */

import { Abi, ImageStatus } from "./abi";
import { faultAt } from "./config/check";
import { activate, active } from "./config/configuration";
import { checkArena, configureArena, rehearseArena, stagingAt } from "./configure";
import { arena, arenaBytes as arenaBytesWanted, attachArena, reasons, startArena } from "./memory";
import { announceAll } from "./net/announce";
import { forgetNeighbors } from "./net/neighbor";
import { processBatch } from "./pipeline";
import {
  listConnRows,
  listExternalRows,
  listHostRows,
  listMappingRows,
  listNeighborRows,
  listSearchRows,
  listTableRows,
  listZoneCounters,
  searchNext,
  takeEventRows,
} from "./readout";
import { continueSearch, startSearch } from "./search";
import {
  continueEpoch,
  continueSaving,
  finishRestoring,
  isSaved,
  movePorts as moveAll,
  restoreRecords,
  startRestoring,
  startSaving,
  stoppedFor,
} from "./snapshot";
import { expireTimers, startQueues, timerWait } from "./timers";
import { completeChecksum as complete, segment as cut } from "./wire/offload";

export function abiVersion(): u32 {
  return Abi.Version;
}

/** Bytes of memory that the start record asks for; 0 when it asks for more than there can be. */
export function arenaBytes(): u32 {
  return arenaBytesWanted();
}

/** Lays out an empty arena as the start record says. */
export function start(now: u32): void {
  startArena(now);
  startQueues();
}

/** Goes on with the arena that stands in this memory; false when there is none of this version. */
export function attach(): bool {
  if (!attachArena()) return false;
  activate();
  return true;
}

/** Where the next image must stand; changes with every `configure` that is accepted. */
export function imageAt(): usize {
  return stagingAt();
}

/** Takes the image into force, whole or not at all. */
export function configure(bytes: u32, now: u32): ImageStatus {
  return configureArena(bytes, now);
}

/** Says whether `configure` would take the image, now and later on; changes nothing. */
export function check(bytes: u32): ImageStatus {
  return checkArena(bytes);
}

/** As `check`; then a search for Lapses (abi: SearchKind) can be begun, which asks what `configure` would end. */
export function rehearse(bytes: u32): ImageStatus {
  return rehearseArena(bytes);
}

/** Offset in the refused image of what was wrong, 0 where it is the image as a whole. */
export function imageFault(): u32 {
  return faultAt;
}

/** Tells the neighbors of all devices our addresses, with the following calls of `expire`. */
export function announce(): void {
  announceAll();
}

/** Forgets the neighbors behind an interface (index in the image in force) whose link was down. */
export function linkLost(interfaceIndex: u32): void {
  if (arena.configured != 0) forgetNeighbors(interfaceIndex);
}

/** Takes in `received` descriptors at Exchange.Inputs; returns how many stand at Exchange.Outputs. */
export function process(received: u32, now: u32): u32 {
  return processBatch(received, now);
}

/** Does what is due, at most `limit` of each kind; returns how many descriptors stand at Exchange.Outputs. */
export function expire(now: u32, limit: u32): u32 {
  return expireTimers(now, limit);
}

/** Milliseconds until `expire` has work: 0 now, 0xffffffff never. */
export function wait(now: u32): u32 {
  return timerWait(now);
}

/** Where Reason.Count counters stand, u64 each. */
export function reasonCounters(): usize {
  return reasons;
}

/** Where the counters of the devices, of the flows stand, in the order of the image in force. */
export function deviceCounters(): usize {
  return active.deviceCounters;
}
export function flowCounters(): usize {
  return active.flowCounters;
}

/**
 * Where several workers share the limits of zones: the conns that began in the zone with this index in the image in
 * force, how many of them it may have here, and how many the other workers have. What `allow` has said goes on in a later image where the zone does.
 */
export function zoneConns(index: u32): u32 {
  return <u32>active.zoneState(index).conns;
}
export function allow(index: u32, conns: u32, elsewhere: u32): void {
  const state = active.zoneState(index);
  state.allowance = conns;
  state.elsewhere = elsewhere;
}

/** Rows at Exchange.Rows, see readout.ts. */
export function listZones(first: u32): u32 {
  return listZoneCounters(first);
}
export function listConns(first: u32, now: u32): u32 {
  return listConnRows(first, now);
}
export function listNeighbors(first: u32, now: u32): u32 {
  return listNeighborRows(first, now);
}

export function listMappings(first: u32): u32 {
  return listMappingRows(first);
}
export function listHosts(first: u32): u32 {
  return listHostRows(first);
}

/** Rows of the addresses of the pool with this index in the image in force, from its n-th on (abi: ExternalRowAt). */
export function listExternals(pool: u32, first: u32): u32 {
  return listExternalRows(pool, first);
}

/** Begins the search whose record stands at Exchange.Search, see search.ts; there is one at a time. */
export function beginSearch(): void {
  startSearch();
}
/** Goes on with it for at most `limit` records; whether it is done. Its FoundAt record stands behind the other one. */
export function search(limit: u32, now: u32): bool {
  return continueSearch(limit, now);
}
/** Rows of the search that is done (abi: SearchRowAt), from `first` on, which is 0 or what `searchGoesOn` said. */
export function listSearch(first: u32, now: u32): u32 {
  return listSearchRows(first, now);
}
/** Where the next call of `listSearch` goes on; 0xffffffff behind the last row. */
export function searchGoesOn(): u32 {
  return searchNext;
}

/** Begins to save what can go on in another process, see nat/save.ts; there is one such at a time. */
export function beginSave(): void {
  startSaving();
}
/** Writes records (abi: SavedAt) of at most `limit` places of a table to Exchange.Rows; returns how many bytes. */
export function save(limit: u32, now: u32): u32 {
  return continueSaving(limit, now);
}
/** Whether all has been written. */
export function saved(): bool {
  return isSaved();
}

/** Leaves ports with other workers than whose they would be, `count` records at Exchange.Rows (abi: MovedPortAt). */
export function movePorts(count: u32): void {
  moveAll(count);
}
/** Begins to restore what another process has saved, before the first frame, see nat/restore.ts. */
export function beginRestore(): void {
  startRestoring();
}
/**
 * Restores records at Exchange.Rows that were written `elapsed` milliseconds ago, and counts what became of them (abi:
 * RestoredAt). Returns how many bytes it is through with; with `old`, frames may have been forwarded since.
 */
export function restore(bytes: u32, elapsed: u32, now: u32, old: bool, insists: bool): u32 {
  return restoreRecords(bytes, elapsed, now, old, insists);
}
/** Index of the zone that may have more conns only if the host allows it, and for which `restore` has stopped; else 0xffffffff. */
export function restoreAsks(): u32 {
  return stoppedFor;
}
/** All has been restored. */
export function endRestore(now: u32): void {
  finishRestoring(now);
}
/** The PCP server's time goes on: all was restored that was saved so many seconds ago. */
export function keepEpoch(elapsed: u32): void {
  continueEpoch(elapsed);
}

/** How full each Table is. */
export function listTables(): void {
  listTableRows();
}

/** Moves the oldest events to Exchange.Rows (abi: EventAt); returns how many. */
export function takeEvents(): u32 {
  return takeEventRows();
}

/** Events that found no place since the start. */
export function lostEvents(): u32 {
  return arena.eventsLost;
}

/** Which events are noted from now on: bits of EventClass. */
export function watchEvents(classes: u32): void {
  arena.eventMask = classes;
}

/** For frames whose sender left work to a network card, see wire/offload.ts. */
export function completeChecksum(frame: usize, size: u32, from: u32, offset: u32): bool {
  return complete(frame, size, from, offset);
}
export function segment(
  frame: usize,
  size: u32,
  segmentBytes: u32,
  into: usize,
  stride: u32,
  max: u32,
): u32 {
  return cut(frame, size, segmentBytes, into, stride, max);
}
