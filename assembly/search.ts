/**
 * Searches: what an operator asks of the tables, answered where they are. A search is begun, then goes on in slices between
 * two batches, each of a bounded number of records, until it says that it is done; its rows are read behind that. There is
 * one at a time, its state stands in the arena, and nothing of it is known to packets.
 *
 *     Conns      the best rows by a rank, kept in a bounded heap (table/best.ts)
 *     Count      how many, and how many of them in each phase
 *     Delete     ends them, at most ENDS a slice
 *     Hosts      empties the sums of all hosts, adds up the traffic of all conns by host, then as Conns over the hosts;
 *                takes the sums of the search before where those are young enough
 *     Mappings   in the order of the table, until there are enough rows
 *     Uses       empties the counts of pools by zone, then adds up all mappings
 *     Lapses     empties the counts of zones, then asks each conn whether the staged configuration would make it again,
 *                at most LOOKS a slice: that configuration is supposed to be in force for the length of one
 *
 * Tables change between slices. A record that is there throughout is looked at once; one that comes or goes may be
 * missed. What has ended by the time rows are read is left out (readout.ts).
 *
 * A rank is (key, index), lowest first; where the largest are wanted, of the key's complement. A page begins behind the last
 * rank of the one before. What changes its rank in between may be on two pages, or on none; index, age, source and zone
 * do not change.
 */

import {
  ConnPhase,
  Exchange,
  FoundAt,
  Lapse,
  Limit,
  None,
  SearchAt,
  SearchKind,
  SearchSort,
} from "./abi";
import { active, resume, suppose } from "./config/configuration";
import {
  arena,
  connSlab,
  hostSlab,
  mappingSlab,
  RecordBytes,
  searching,
  searchWorkspace,
  workspaceEntries,
} from "./memory";
import { lapseOf } from "./nat/allowed";
import { Conn, ConnFlag } from "./nat/conn";
import { Host } from "./nat/host";
import { endConn } from "./nat/lifetime";
import { hostOfConn } from "./nat/limit";
import { Mapping, MappingFlag } from "./nat/mapping";
import { MATCH_BYTES, Match } from "./nat/match";
import { Direction } from "./packet";
import { Best } from "./table/best";
import { NONE } from "./table/none";

/** Conns that a slice ends: each may make three events, and a batch has room for them before they are told. */
const ENDS: u32 = 128;

/** One place for each number that a zone may have. */
export const ZONE_PLACES: u32 = Limit.Zones + 1;

/** Conns that a slice asks the flows about: as many as the sweep after a configuration does (host/loop.ts). */
const LOOKS: u32 = 256;

/** Conns whose hosts are looked up at once; in place of the mapping of one that is not there. */
const AHEAD: u32 = 32;
const FREE: u32 = 0xfffffffe;

/** Milliseconds for which sums of hosts' traffic may be kept at most. */
const SUMS_MS_MAX: u32 = 60_000;

/** Keys of times begin here, so that they are never below zero. */
const MIDDLE: i64 = 1 << 32;

/** What Hosts, Uses and Lapses go through. */
enum Phase {
  Empty,
  Sum,
  Choose,
}

@final
@unmanaged
export class Search {
  matched: u32;
  kind: u8;
  sort: u8;
  descending: bool;
  phase: u8;
  /** The next record to be looked at, of `end`; backwards as many are left. */
  next: u32;
  end: u32;
  isDone: bool;
  private pad0: u8;
  private pad1: u16;
  /** Ranks from here on. */
  fromIndex: u32;
  fromKey: u64;
  /** Milliseconds of the clock, see SearchAt.Reference. */
  reference: u32;
  /** Rows wanted. */
  rows: u32;
  /** Of Hosts: how many the sums are of, whether they are complete, and when they were begun (milliseconds). */
  hosts: u32;
  summed: u32;
  isSummed: bool;
  private pad2: u8;
  private pad3: u16;
  /** Of Uses: the first pool, how many, how many zones, and the configuration that has them. */
  firstPool: u32;
  pools: u32;
  zones: u32;
  configured: u32;
  /** Of Lapses: the configuration that is supposed, by `arena.stagings`. */
  staged: u32;

  get match(): Match {
    return Match.view(changetype<usize>(this) + offsetof<Search>());
  }
  get best(): Best {
    return Best.view(changetype<usize>(this) + BEST_AT);
  }

  /** Whether it was begun under the configuration in force. */
  get isOfThis(): bool {
    return this.configured == arena.configured;
  }

  /** Of Hosts: the mapping, then the host, of the i-th conn ahead. */
  ahead(i: u32): usize {
    return changetype<usize>(this) + AHEAD_AT + ((<usize>i) << 2);
  }

  /** Of Hosts: packets and bytes (u64) of the one with this index, nothing where it has come since they were added up. */
  traffic(host: u32): v128 {
    return Host.at(host).isSummed ? v128.load(this.place(host)) : i64x2.splat(0);
  }

  /** Hosts, Uses and Lapses count in places of 16 bytes. */
  place(i: u32): usize {
    return searchWorkspace + ((<usize>i) << 4);
  }

  /**
   * Whether the table is looked through from its end: the youngest stand rather there. So whatever is looked at is rarely
   * better than what was before.
   */
  get isBackwards(): bool {
    return this.sort == <u8>SearchSort.Age && !this.descending && this.kind == <u8>SearchKind.Conns;
  }

  /** Among equal keys what is looked at first is the best: it need not make room for all of the others. */
  offer(key: u64, index: u32, stamp: u32): void {
    const rank = this.descending ? ~key : key;
    const rankIndex = this.isBackwards ? ~index : index;
    if (rank < this.fromKey || (rank == this.fromKey && rankIndex < this.fromIndex)) return;
    this.best.add(rank, rankIndex, stamp);
  }
  /** Index of the record of a row. */
  indexOf(row: u32): u32 {
    return this.isBackwards ? ~this.best.index(row) : this.best.index(row);
  }
}
const BEST_AT: usize = (offsetof<Search>() + MATCH_BYTES + 63) & ~63;
const AHEAD_AT: usize = BEST_AT + 64 + <usize>Limit.SearchRows * 16;
if (AHEAD_AT + <usize>AHEAD * 4 > <usize>RecordBytes.Search) ERROR("a Search outgrew its place");

/** The search under way, or the last one. */
export function theSearch(): Search {
  return changetype<Search>(searching);
}

/** Begins the search that stands at Exchange.Search; the one before is forgotten. */
export function startSearch(): void {
  const search = theSearch();
  const match = search.match;
  match.prepare(Exchange.Search);
  const record = match.record;
  const sums = search.isSummed ? search.hosts : 0;
  const summed = search.summed;
  memory.fill(searching, 0, offsetof<Search>());
  search.kind = load<u8>(record, SearchAt.Kind);
  search.sort = load<u8>(record, SearchAt.Sort);
  search.descending = load<u8>(record, SearchAt.Descending) != 0;
  search.fromIndex = match.word(SearchAt.FromIndex);
  search.fromKey = load<u64>(record, SearchAt.FromKey);
  search.reference = match.word(SearchAt.Reference);
  search.rows = min<u32>(match.word(SearchAt.Rows), Limit.SearchRows);
  search.staged = arena.stagings;
  memory.fill(Exchange.Search + SearchAt.Bytes, 0, FoundAt.Bytes);
  if (search.kind == <u8>SearchKind.Mappings || search.kind == <u8>SearchKind.Lapses) {
    search.sort = <u8>SearchSort.Table;
  }
  if (search.sort == <u8>SearchSort.Table) search.descending = false;
  if (sums > 0) keepSums(search, sums, summed);
  Best.create(changetype<usize>(search.best), search.rows);
  enter(search, Phase.Empty);
}

/**
 * The sums of hosts stand until another search needs the place that they have. One for Hosts takes them as they are where
 * they were begun after its reference. Hosts that have come since begin with nothing, whosever place they have.
 */
function keepSums(search: Search, hosts: u32, summed: u32): void {
  const kind = search.kind;
  if (kind == <u8>SearchKind.Uses || kind == <u8>SearchKind.Lapses) return;
  // Differences wrap around, so that also what is much too old may look as if it were later.
  const later = summed - search.reference;
  if (kind == <u8>SearchKind.Hosts && (later == 0 || later > SUMS_MS_MAX)) return;
  search.hosts = hosts;
  search.summed = summed;
  search.isSummed = true;
}

/** Begins a phase; those that a kind does not have are passed over. */
function enter(search: Search, phase: Phase): void {
  search.phase = <u8>phase;
  search.next = 0;
  const kind = search.kind;
  if (kind == <u8>SearchKind.Hosts) {
    if (phase == Phase.Empty) {
      search.next = search.hosts;
      search.end = hostSlab.fresh;
    } else {
      search.end = phase == Phase.Sum ? connSlab.fresh : search.hosts;
    }
  } else if (kind == <u8>SearchKind.Uses) {
    if (phase == Phase.Empty) choosePools(search);
    search.end = phase == Phase.Empty ? search.pools * search.zones : mappingSlab.fresh;
  } else if (kind == <u8>SearchKind.Lapses) {
    search.end = phase == Phase.Empty ? ZONE_PLACES : connSlab.fresh;
  } else {
    search.phase = <u8>Phase.Choose;
    search.end = kind == <u8>SearchKind.Mappings ? mappingSlab.fresh : connSlab.fresh;
    // In the order of the table it begins where the page does.
    if (search.sort != <u8>SearchSort.Table) return;
    search.next = search.fromKey == 0 ? search.fromIndex : search.end;
  }
}

/** As many pools as there is room to count for. */
function choosePools(search: Search): void {
  search.firstPool = search.match.half(SearchAt.Pool);
  search.configured = arena.configured;
  search.pools = 0;
  search.matched = 0;
  if (arena.configured == 0 || search.firstPool >= active.poolCount) return;
  search.zones = active.zoneCount;
  search.pools = min(active.poolCount - search.firstPool, workspaceEntries() / search.zones);
}

/** Looks at no more than `limit` records more. Whether the search is done; it then has rows to be read. */
export function continueSearch(limit: u32, now: u32): bool {
  const search = theSearch();
  if (search.isDone) return true;
  arena.now = now;
  const kind = search.kind;
  // Pools and zones have other places now: it begins again.
  if (kind == <u8>SearchKind.Uses && !search.isOfThis) enter(search, Phase.Empty);
  const first = search.next;
  const to = <u32>min<u64>(<u64>first + limit, search.end);
  if (kind == <u8>SearchKind.Hosts) continueHosts(search, first, to);
  else if (kind == <u8>SearchKind.Uses) continueUses(search, first, to);
  else if (kind == <u8>SearchKind.Lapses) continueLapses(search, first, to);
  else if (kind == <u8>SearchKind.Mappings) findMappings(search, first, to);
  else if (kind == <u8>SearchKind.Delete) endConns(search, first, to);
  else if (kind == <u8>SearchKind.Count) countConns(search, first, to);
  else findConns(search, first, to, now);
  report(search);
  return search.isDone;
}

/** Notes how far a phase has come, and begins the next one behind it. */
function advance(search: Search, to: u32): void {
  search.next = to;
  if (to < search.end) return;
  const isHosts = search.kind == <u8>SearchKind.Hosts;
  if (search.phase == <u8>Phase.Empty) {
    // Hosts that come later are not among the sums.
    if (isHosts) search.hosts = search.end;
    enter(search, search.isSummed ? Phase.Choose : Phase.Sum);
  } else if (search.phase == <u8>Phase.Sum && isHosts) {
    search.isSummed = true;
    enter(search, Phase.Choose);
  } else finish(search);
}

function finish(search: Search): void {
  search.best.sort();
  search.isDone = true;
}

function report(search: Search): void {
  const at = <usize>Exchange.Search + SearchAt.Bytes;
  store<u32>(at, search.matched, FoundAt.Matched);
  store<u32>(at, search.best.count, FoundAt.Rows);
  store<u32>(at, search.pools, FoundAt.Pools);
}

function findConns(search: Search, first: u32, to: u32, now: u32): void {
  const match = search.match;
  const byTable = search.sort == <u8>SearchSort.Table;
  const backwards = search.isBackwards;
  const end = search.end;
  for (let n = first; n < to; n++) {
    const index = backwards ? end - 1 - n : n;
    if (!connSlab.holds(index)) continue;
    const conn = Conn.at(index);
    if (!match.hasConn(conn)) continue;
    search.matched++;
    search.offer(keyOf(search, conn, now), index, conn.created);
    if (byTable && search.best.count == search.rows) {
      finish(search);
      return;
    }
  }
  advance(search, to);
}

/** What a conn is ranked by. */
function keyOf(search: Search, conn: Conn, now: u32): u64 {
  const original = conn.original;
  switch (<u32>search.sort) {
    case SearchSort.Age:
      return <u64>(MIDDLE + <i64>(<u32>(now - conn.created)) - passed(search, now));
    case SearchSort.Expiry:
      return <u64>(MIDDLE + <i64>(<i32>(conn.expiry - now)) + passed(search, now));
    case SearchSort.Bytes:
      return conn.bytes(Direction.Original) + conn.bytes(Direction.Reply);
    case SearchSort.Packets:
      return conn.packets(Direction.Original) + conn.packets(Direction.Reply);
    case SearchSort.Source:
      return ((<u64>original.source) << 16) | <u64>original.zone;
    case SearchSort.Zone:
      return ((<u64>original.zone) << 32) | <u64>original.source;
    default:
      return 0;
  }
}

/** Milliseconds since the reference; a clock of another thread may be ahead by one. */
function passed(search: Search, now: u32): i64 {
  return <i64>(<i32>(now - search.reference));
}

function countConns(search: Search, first: u32, to: u32): void {
  const match = search.match;
  for (let index = first; index < to; index++) {
    if (!connSlab.holds(index)) continue;
    const conn = Conn.at(index);
    if (!match.hasConn(conn)) continue;
    search.matched++;
    // A phase of a snapshot may be any.
    const phase = min<u32>(conn.phase, ConnPhase.Reset);
    addOne(<usize>Exchange.Search + SearchAt.Bytes + FoundAt.Phases + ((<usize>phase) << 2));
  }
  advance(search, to);
}

function endConns(search: Search, first: u32, to: u32): void {
  const match = search.match;
  let ended: u32 = 0;
  let index = first;
  for (; index < to && ended < ENDS; index++) {
    if (!connSlab.holds(index) || !match.hasConn(Conn.at(index))) continue;
    endConn(index);
    ended++;
  }
  search.matched += ended;
  advance(search, index);
}

function findMappings(search: Search, first: u32, to: u32): void {
  const match = search.match;
  for (let index = first; index < to; index++) {
    if (!mappingSlab.holds(index)) continue;
    const mapping = Mapping.at(index);
    if (!match.hasMapping(mapping)) continue;
    search.matched++;
    search.offer(0, index, mapping.created);
    if (search.best.count == search.rows) {
      finish(search);
      return;
    }
  }
  advance(search, to);
}

/** A place counts packets and bytes of a host. */
function continueHosts(search: Search, first: u32, to: u32): void {
  if (search.phase == <u8>Phase.Empty) {
    if (!search.isSummed) search.summed = arena.now;
    memory.fill(search.place(first), 0, (<usize>(to - first)) << 4);
    for (let index = first; index < to; index++) Host.at(index).isSummed = 1;
  } else if (search.phase == <u8>Phase.Sum) {
    addTraffic(search, first, to);
  } else {
    for (let index = first; index < to; index++) {
      if (hostSlab.holds(index)) offerHost(search, index, Host.at(index));
    }
  }
  advance(search, to);
}

/**
 * Adds up what conns have carried by their hosts: of some conns first the mappings, then their hosts, then the traffic, so
 * that each of these short loops has many cache misses on their way at once.
 */
function addTraffic(search: Search, first: u32, to: u32): void {
  for (let from = first; from < to; from += AHEAD) {
    const count = min(AHEAD, to - from);
    for (let i: u32 = 0; i < count; i++) {
      const conn = Conn.at(from + i);
      const counts = connSlab.holds(from + i) && conn.has(ConnFlag.Counted);
      store<u32>(search.ahead(i), counts ? conn.mapping : FREE);
    }
    for (let i: u32 = 0; i < count; i++) {
      const mapping = load<u32>(search.ahead(i));
      let host = mapping < FREE ? Mapping.at(mapping).host : mapping;
      // Without a mapping, or one that many hosts share.
      if (host == NONE) host = hostOfConn(Conn.at(from + i));
      if (host < search.hosts) load<u8>(search.place(host));
      store<u32>(search.ahead(i), host);
    }
    for (let i: u32 = 0; i < count; i++) {
      const host = load<u32>(search.ahead(i));
      if (host >= search.hosts) continue;
      const place = search.place(host);
      v128.store(place, i64x2.add(v128.load(place), Conn.at(from + i).traffic));
    }
  }
}

function offerHost(search: Search, index: u32, host: Host): void {
  if (!search.match.hasHost(host)) return;
  search.matched++;
  search.offer(hostKey(search, index, host), index, host.born);
}

function hostKey(search: Search, index: u32, host: Host): u64 {
  switch (<u32>search.sort) {
    case SearchSort.Conns:
      return host.conns;
    case SearchSort.Ports:
      return <u64>host.ports(0) + <u64>host.ports(1) + <u64>host.ports(2);
    case SearchSort.Packets:
      return v128.extract_lane<u64>(search.traffic(index), 0);
    case SearchSort.Bytes:
      return v128.extract_lane<u64>(search.traffic(index), 1);
    case SearchSort.Source:
      return ((<u64>host.address) << 16) | <u64>host.zone;
    case SearchSort.Zone:
      return ((<u64>host.zone) << 32) | <u64>host.address;
    default:
      return 0;
  }
}

/** A place counts ports of the three protocols and uses by others, of a pool's use by a zone. */
function continueUses(search: Search, first: u32, to: u32): void {
  if (search.phase == <u8>Phase.Empty) {
    memory.fill(search.place(first), 0, (<usize>(to - first)) << 4);
  } else {
    for (let index = first; index < to; index++) {
      if (mappingSlab.holds(index)) addUse(search, Mapping.at(index));
    }
  }
  advance(search, to);
}

function addUse(search: Search, mapping: Mapping): void {
  if (mapping.has(MappingFlag.Shared)) return;
  const external = mapping.externalAddress;
  const isPort = mapping.which != <u16>None.Short;
  const pool = (isPort ? external.poolOf(mapping.port) : <u32>external.pool) - search.firstPool;
  if (pool >= search.pools) return;
  const zone = active.zoneIndex(mapping.zone);
  if (zone == NONE || mapping.born < active.zoneState(zone).born) return;
  search.matched++;
  const which: u32 = isPort ? mapping.which : 3;
  const at = search.place(pool * search.zones + zone) + ((<usize>which) << 2);
  store<u32>(at, load<u32>(at) + 1);
}

function continueLapses(search: Search, first: u32, to: u32): void {
  if (search.staged != arena.stagings) {
    store<u32>(Exchange.Search + SearchAt.Bytes, 1, FoundAt.Void);
    finish(search);
  } else if (search.phase == <u8>Phase.Empty) {
    memory.fill(search.place(first), 0, (<usize>(to - first)) << 4);
    advance(search, to);
  } else {
    suppose();
    const next = findLapses(search, first, to);
    resume();
    advance(search, next);
  }
}

/** Where to go on: it looks at so many conns, and any number of places without one. */
function findLapses(search: Search, first: u32, to: u32): u32 {
  const found = <usize>Exchange.Search + SearchAt.Bytes;
  let index = first;
  let looked: u32 = 0;
  for (; index < to && looked < LOOKS; index++) {
    if (!connSlab.holds(index)) continue;
    looked++;
    const conn = Conn.at(index);
    const lapse = lapseOf(conn);
    if (lapse == Lapse.None) continue;
    search.matched++;
    addOne(search.place(conn.original.zone));
    addOne(found + FoundAt.Lapses + ((<usize>lapse) << 2));
    if (search.best.count < search.rows) search.best.add(lapse, index, conn.created);
  }
  store<u32>(found, load<u32>(found, FoundAt.Looked) + looked, FoundAt.Looked);
  return index;
}

function addOne(at: usize): void {
  store<u32>(at, load<u32>(at) + 1);
}
