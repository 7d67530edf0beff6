/** What hosts read: counters, conns and neighbors, written as rows into the exchange area. */

import {
  ConnRowAt,
  DeviceCounterAt,
  EventAt,
  Exchange,
  HostRowAt,
  Limit,
  MappingRowAt,
  NeighborRowAt,
  NeighborState,
  Table,
  TableRowAt,
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
import { takeEvent } from "./nat/event";
import { Host } from "./nat/host";
import { Mapping, MappingFlag } from "./nat/mapping";
import { Tuple } from "./nat/tuple";
import { Neighbor } from "./net/neighbor";
import { Direction } from "./packet";
import { NONE } from "./table/none";
import { Slab } from "./table/slab";
import { copyMac } from "./wire/bytes";

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

function writeConnRow(at: usize, index: u32, now: u32): void {
  const conn = Conn.at(index);
  const original = conn.original;
  const reply = conn.reply;
  store<u32>(at, index, ConnRowAt.Index);
  store<u8>(at, original.protocol, ConnRowAt.Protocol);
  store<u8>(at, <u8>conn.phase, ConnRowAt.Phase);
  store<u16>(at, original.zone, ConnRowAt.OriginalZone);
  store<u16>(at, reply.zone, ConnRowAt.ReplyZone);
  writeEnds(at, original, ConnRowAt.OriginalSourcePort, ConnRowAt.OriginalSource);
  writeEnds(at, reply, ConnRowAt.ReplySourcePort, ConnRowAt.ReplySource);
  store<u32>(at, <u32>max<i32>(0, <i32>(conn.expiry - now)), ConnRowAt.ExpiresIn);
  store<u32>(at, now - conn.created, ConnRowAt.Age);
  store<u64>(at, conn.packets(Direction.Original), ConnRowAt.OriginalPackets);
  store<u64>(at, conn.bytes(Direction.Original), ConnRowAt.OriginalBytes);
  store<u64>(at, conn.packets(Direction.Reply), ConnRowAt.ReplyPackets);
  store<u64>(at, conn.bytes(Direction.Reply), ConnRowAt.ReplyBytes);
}

function writeEnds(at: usize, tuple: Tuple, ports: usize, addresses: usize): void {
  store<u16>(at + ports, tuple.sourcePort);
  store<u16>(at + ports, tuple.destinationPort, 2);
  store<u32>(at + addresses, tuple.source);
  store<u32>(at + addresses, tuple.destination, 4);
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
    const host = Host.at(i);
    const at = <usize>Exchange.Rows + <usize>rows * HostRowAt.Bytes;
    store<u32>(at, i, HostRowAt.Index);
    store<u32>(at, host.address, HostRowAt.Address);
    store<u32>(at, host.zone, HostRowAt.Zone);
    store<u32>(at, host.conns, HostRowAt.Conns);
    store<u32>(at, host.ports(0), HostRowAt.TcpPorts);
    store<u32>(at, host.ports(1), HostRowAt.UdpPorts);
    store<u32>(at, host.ports(2), HostRowAt.IcmpPorts);
    store<u32>(at, blocksOf(host), HostRowAt.Blocks);
    rows++;
  }
  return rows;
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
    const neighbor = Neighbor.at(i);
    const at = <usize>Exchange.Rows + <usize>rows * NeighborRowAt.Bytes;
    memory.fill(at, 0, NeighborRowAt.Bytes);
    store<u32>(at, neighbor.address, NeighborRowAt.Address);
    store<u16>(at, neighbor.device, NeighborRowAt.Device);
    if (neighbor.state != NeighborState.Incomplete) {
      copyMac(at + NeighborRowAt.Mac, neighbor.header);
    }
    store<u8>(at, neighbor.state, NeighborRowAt.State);
    store<u32>(at, i, NeighborRowAt.Index);
    store<u32>(at, now - neighbor.confirmed, NeighborRowAt.Age);
    rows++;
  }
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
