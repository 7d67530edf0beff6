/** What hosts read: counters, conns and neighbors, written as rows into the exchange area. */

import {
  ConnRowAt,
  DeviceCounterAt,
  EventAt,
  Exchange,
  HostRowAt,
  HostTrafficAt,
  LapseRowAt,
  Limit,
  MappingRowAt,
  NeighborRowAt,
  SearchKind,
  SearchRowAt,
  Table,
  TableRowAt,
  UseRowAt,
  ZoneCounterAt,
} from "./abi";
import { active, ZoneState } from "./config/configuration";
import {
  arena,
  connSlab,
  datagramSlab,
  grantSlab,
  hostSlab,
  mappingSlab,
  neighborSlab,
} from "./memory";
import { blocksOf } from "./nat/block";
import { Conn } from "./nat/conn";
import { writeConnRow } from "./nat/connrow";
import { takeEvent } from "./nat/event";
import { Host } from "./nat/host";
import { Mapping, MappingFlag } from "./nat/mapping";
import { writeUsages } from "./nat/usage";
import { writeNeighborRow } from "./net/neighborrow";
import { Search, theSearch, ZONE_PLACES } from "./search";
import { NONE } from "./table/none";
import { Slab } from "./table/slab";

/**
 * Writes the counters of up to Limit.Rows zones from index `first` on as rows (abi: ZoneCounterAt) and
 * returns how many: what the zone keeps, and the sums over its devices.
 */
export function listZoneCounters(first: u32): u32 {
  if (arena.configured == 0 || first >= active.zoneCount) return 0;
  const rows = min<u32>(active.zoneCount - first, Limit.Rows);
  const at = <usize>Exchange.Rows;
  memory.fill(at, 0, <usize>rows * ZoneCounterAt.Bytes);
  for (let row: u32 = 0; row < rows; row++) {
    const state = changetype<usize>(active.zoneState(first + row));
    memory.copy(at + <usize>row * ZoneCounterAt.Bytes, state, offsetof<ZoneState>("born"));
  }
  for (let i: u32 = 0; i < active.deviceCount; i++) {
    const row = <u32>active.device(i).zone - first;
    if (row >= rows) continue;
    const zone = changetype<ZoneState>(at + <usize>row * ZoneCounterAt.Bytes);
    zone.addDevice(active.deviceCounters + <usize>i * DeviceCounterAt.Bytes);
  }
  return rows;
}

/** Writes rows (abi: ConnRowAt) of conns whose index is `first` or more; returns how many, 0 at the end. */
export function listConnRows(first: u32, now: u32): u32 {
  let rows: u32 = 0;
  for (let i = first; i < connSlab.fresh && rows < <u32>Limit.Rows; i++) {
    if (!connSlab.holds(i)) continue;
    writeConnRow(<usize>Exchange.Rows + <usize>rows * ConnRowAt.Bytes, i, now);
    rows++;
  }
  return rows;
}

/** Writes rows (abi: MappingRowAt) of mappings from index `first` on; returns how many, 0 at the end. */
export function listMappingRows(first: u32): u32 {
  let rows: u32 = 0;
  for (let i = first; i < mappingSlab.fresh && rows < <u32>Limit.Rows; i++) {
    if (!mappingSlab.holds(i)) continue;
    writeMappingRow(<usize>Exchange.Rows + <usize>rows * MappingRowAt.Bytes, i);
    rows++;
  }
  return rows;
}

function writeMappingRow(at: usize, index: u32): void {
  const mapping = Mapping.at(index);
  const external = mapping.externalAddress;
  const shared = mapping.has(MappingFlag.Shared);
  memory.fill(at, 0, MappingRowAt.Bytes);
  store<u32>(at, index, MappingRowAt.Index);
  store<u8>(at, mapping.protocol, MappingRowAt.Protocol);
  store<u8>(at, mapping.behaviour, MappingRowAt.Mapping);
  store<u8>(at, mapping.filtering, MappingRowAt.Filtering);
  store<u8>(at, <u8>shared, MappingRowAt.Shared);
  store<u16>(at, external.zone, MappingRowAt.ExternalZone);
  store<u16>(at, mapping.port, MappingRowAt.ExternalPort);
  store<u32>(at, external.address, MappingRowAt.External);
  // A grant holds it like a conn does.
  const held: u32 = mapping.grant == NONE ? 0 : 1;
  store<u32>(at, mapping.conns - held, MappingRowAt.Conns);
  store<u32>(at, arena.now - mapping.created, MappingRowAt.Age);
  if (shared) return;
  store<u16>(at, mapping.zone, MappingRowAt.Zone);
  store<u16>(at, mapping.sourcePort, MappingRowAt.Port);
  store<u32>(at, mapping.source, MappingRowAt.Address);
  store<u32>(at, mapping.destination, MappingRowAt.Destination);
}

/** Writes rows (abi: HostRowAt) of inside hosts from index `first` on; returns how many, 0 at the end. */
export function listHostRows(first: u32): u32 {
  let rows: u32 = 0;
  for (let i = first; i < hostSlab.fresh && rows < <u32>Limit.Rows; i++) {
    if (!hostSlab.holds(i)) continue;
    writeHostRow(<usize>Exchange.Rows + <usize>rows * HostRowAt.Bytes, i);
    rows++;
  }
  return rows;
}

function writeHostRow(at: usize, index: u32): void {
  const host = Host.at(index);
  store<u32>(at, index, HostRowAt.Index);
  store<u32>(at, host.address, HostRowAt.Address);
  store<u32>(at, host.zone, HostRowAt.Zone);
  store<u32>(at, host.conns, HostRowAt.Conns);
  store<u32>(at, host.ports(0), HostRowAt.TcpPorts);
  store<u32>(at, host.ports(1), HostRowAt.UdpPorts);
  store<u32>(at, host.ports(2), HostRowAt.IcmpPorts);
  store<u32>(at, blocksOf(host), HostRowAt.Blocks);
}

/** Moves the oldest events, up to Limit.Rows, to the rows (abi: EventAt); returns how many. */
export function takeEventRows(): u32 {
  let rows: u32 = 0;
  while (rows < <u32>Limit.Rows && takeEvent(<usize>Exchange.Rows + <usize>rows * EventAt.Bytes)) {
    rows++;
  }
  return rows;
}

/** Writes rows (abi: NeighborRowAt) of neighbors from index `first` on; returns how many, 0 at the end. */
export function listNeighborRows(first: u32, now: u32): u32 {
  let rows: u32 = 0;
  for (let i = first; i < neighborSlab.fresh && rows < <u32>Limit.Rows; i++) {
    if (!neighborSlab.holds(i)) continue;
    writeNeighborRow(<usize>Exchange.Rows + <usize>rows * NeighborRowAt.Bytes, i, now);
    rows++;
  }
  return rows;
}

/** Rows that fit in front of the search's record. */
const SEARCH_ROWS: u32 = (Exchange.Search - Exchange.Rows) / SearchRowAt.Bytes;
/** Counts that a call looks through for ones that are not zero. */
const USES_A_CALL: u32 = 65536;
/** External addresses of a call: each has three bitmaps and a thousand blocks to be counted. */
const EXTERNALS_A_CALL: u32 = 8;

/** Where the next call of `listSearchRows` is to go on; NONE behind the last row. */
export let searchNext: u32 = NONE;

/**
 * Writes rows (abi: SearchRowAt) of the search that is done, from its row `first` on; returns how many, and leaves in
 * `searchNext` where to go on. A row whose record has ended, or no longer fits, is left out.
 */
export function listSearchRows(first: u32, now: u32): u32 {
  const search = theSearch();
  searchNext = NONE;
  if (!search.isDone) return 0;
  arena.now = now;
  if (search.kind == <u8>SearchKind.Uses) return listUses(search, first);
  if (search.kind == <u8>SearchKind.Lapses && first >= search.best.count) {
    return listLapses(search, first - search.best.count);
  }
  const to = min(search.best.count, first + SEARCH_ROWS);
  let rows: u32 = 0;
  for (let i = first; i < to; i++) {
    const at = <usize>Exchange.Rows + <usize>rows * SearchRowAt.Bytes;
    store<u64>(at, search.best.key(i), SearchRowAt.Key);
    store<u32>(at, search.best.index(i), SearchRowAt.RankIndex);
    if (writeFound(at + SearchRowAt.Row, search, i, now)) rows++;
  }
  if (to < search.best.count || search.kind == <u8>SearchKind.Lapses) searchNext = to;
  return rows;
}

/** False where what was found is no longer there. */
function writeFound(at: usize, search: Search, i: u32, now: u32): bool {
  const index = search.indexOf(i);
  const stamp = search.best.stamp(i);
  switch (<u32>search.kind) {
    case SearchKind.Hosts:
      if (!hostSlab.holds(index) || !search.match.hasHost(Host.at(index))) return false;
      writeHostRow(at, index);
      v128.store(at + HostTrafficAt.Packets, search.traffic(index));
      return true;
    case SearchKind.Mappings: {
      const mapping = Mapping.at(index);
      if (!mappingSlab.holds(index) || mapping.created != stamp) return false;
      if (!search.match.hasMapping(mapping)) return false;
      writeMappingRow(at, index);
      return true;
    }
    default: {
      const conn = Conn.at(index);
      if (!connSlab.holds(index) || conn.created != stamp) return false;
      if (!search.match.hasConn(conn)) return false;
      writeConnRow(at, index, now);
      return true;
    }
  }
}

/** Those that are not zero. */
function listUses(search: Search, first: u32): u32 {
  if (!search.isOfThis) return 0;
  const count = search.pools * search.zones;
  const to = min(count, first + USES_A_CALL);
  let rows: u32 = 0;
  let i = first;
  for (; i < to && rows < SEARCH_ROWS; i++) {
    const place = search.place(i);
    if (!v128.any_true(v128.load(place))) continue;
    const at = <usize>Exchange.Rows + <usize>rows * SearchRowAt.Bytes;
    store<u64>(at, i, SearchRowAt.Key);
    store<u32>(at, 0, SearchRowAt.RankIndex);
    const row = at + SearchRowAt.Row;
    store<u32>(row, i, UseRowAt.Index);
    store<u16>(row, <u16>(search.firstPool + i / search.zones), UseRowAt.Pool);
    store<u16>(row, active.zone(i % search.zones).number, UseRowAt.Zone);
    memory.copy(row + UseRowAt.TcpPorts, place, 16);
    rows++;
  }
  if (i < count) searchNext = i;
  return rows;
}

/** Zones of which a conn would end, from the one with this number on. */
function listLapses(search: Search, first: u32): u32 {
  const to = min(ZONE_PLACES, first + USES_A_CALL);
  let rows: u32 = 0;
  let zone = first;
  for (; zone < to && rows < SEARCH_ROWS; zone++) {
    const conns = load<u32>(search.place(zone));
    if (conns == 0) continue;
    const at = <usize>Exchange.Rows + <usize>rows * SearchRowAt.Bytes;
    store<u64>(at, 0, SearchRowAt.Key);
    store<u32>(at, zone, SearchRowAt.RankIndex);
    store<u32>(at + SearchRowAt.Row, zone, LapseRowAt.Zone);
    store<u32>(at + SearchRowAt.Row, conns, LapseRowAt.Conns);
    rows++;
  }
  if (zone < ZONE_PLACES) searchNext = search.best.count + zone;
  return rows;
}

/** Writes rows (abi: ExternalRowAt) of a pool's addresses from its n-th on; returns how many, 0 at the end. */
export function listExternalRows(poolIndex: u32, first: u32): u32 {
  if (arena.configured == 0 || poolIndex >= active.poolCount) return 0;
  const pool = active.pool(poolIndex);
  if (first >= pool.addressCount) return 0;
  const rows = min<u32>(pool.addressCount - first, EXTERNALS_A_CALL);
  writeUsages(Exchange.Rows, pool, first, rows);
  return rows;
}

/** Writes a row (abi: TableRowAt) for every Table. */
export function listTableRows(): void {
  writeTable(Table.Conns, connSlab);
  writeTable(Table.Mappings, mappingSlab);
  writeTable(Table.Hosts, hostSlab);
  writeTable(Table.Grants, grantSlab);
  writeTable(Table.Neighbors, neighborSlab);
  writeTable(Table.Datagrams, datagramSlab);
  writeTableRow(Table.RestingPorts, arena.restCount, arena.connCapacity);
}

function writeTable(table: Table, slab: Slab): void {
  writeTableRow(table, slab.count, slab.capacity);
}

function writeTableRow(table: Table, used: u32, capacity: u32): void {
  const at = <usize>Exchange.Rows + <usize>table * TableRowAt.Bytes;
  store<u32>(at, used, TableRowAt.Used);
  store<u32>(at, capacity, TableRowAt.Capacity);
}
