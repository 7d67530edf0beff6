/**
 * The check of a config image: whole, before any of it is believed. An image that passes cannot make the
 * datapath read or write outside its tables. Ends at the first fault and says where it is.
 */

import {
  Abi,
  AddressAt,
  Allocation,
  DeviceAt,
  FilteringBehaviour,
  FlowAction,
  FlowAt,
  FlowMatch,
  ImageAt,
  ImageStatus,
  InterfaceAt,
  Limit,
  MappingBehaviour,
  NeighborAt,
  None,
  PoolAt,
  PoolRangeAt,
  PoolSubscriberAt,
  PortTimeoutAt,
  RouteAt,
  Section,
  SectionAt,
  Timeout,
  TimeoutSetAt,
  ZoneAt,
} from "../abi";
import { NONE } from "../table/none";
import { prefixMask } from "../table/prefix";
import { Configuration } from "./configuration";
import { DeviceRecord, FlowRecord, NeighborRecord, PoolRecord } from "./records";

/** Byte offset in the image of the record that a check refused, 0 where it is none of them. */
export let faultAt: u32 = 0;

/** RFC 2131 names no maximum; 2^30 ms (12 days) keeps a deadline far from the wrap of the clock. */
const TIMEOUT_MS_MAX: u32 = 1 << 30;
/** RFC 791: every host must take 68 bytes. */
const MTU_MIN: u32 = 68;

function fault(config: Configuration, record: usize, status: ImageStatus): ImageStatus {
  faultAt = <u32>(record - config.image);
  return status;
}

/** Everything about the image as a whole. `bytes` is what the host wrote, `room` what its slot holds. */
export function checkImage(image: usize, bytes: u32, room: u32): ImageStatus {
  faultAt = 0;
  if (bytes < <u32>ImageAt.Bytes) return ImageStatus.Truncated;
  if (bytes > room) return ImageStatus.TooLarge;
  if (load<u32>(image + ImageAt.Magic) != Abi.ImageMagic) return ImageStatus.BadMagic;
  if (load<u32>(image + ImageAt.Version) != Abi.Version) return ImageStatus.BadVersion;
  if (load<u32>(image + ImageAt.TotalBytes) != bytes) return ImageStatus.Truncated;
  const sum = fnv1a(image + ImageAt.Policy, image + bytes);
  if (load<u32>(image + ImageAt.Sum) != sum) return ImageStatus.BadSum;
  for (let section: u32 = 0; section < <u32>Section.Count; section++) {
    const head = ImageAt.Sections + section * SectionAt.Bytes;
    const offset = load<u32>(image + head + SectionAt.Offset);
    const count = load<u32>(image + head + SectionAt.Count);
    faultAt = head;
    if (offset < <u32>ImageAt.Bytes || offset > bytes || (offset & 3) != 0)
      return ImageStatus.BadSection;
    if (<u64>count * recordBytes(section) > bytes - offset) return ImageStatus.BadSection;
  }
  faultAt = 0;
  const sound =
    load<u32>(image + ImageAt.HoldDown) <= TIMEOUT_MS_MAX &&
    load<u32>(image + ImageAt.FragmentTimeout) <= TIMEOUT_MS_MAX &&
    load<u32>(image + ImageAt.SynTimeout) <= TIMEOUT_MS_MAX;
  return sound ? ImageStatus.Ok : ImageStatus.BadRecord;
}

function fnv1a(from: usize, to: usize): u32 {
  let sum: u32 = 0x811c9dc5;
  for (let at = from; at < to; at++) sum = (sum ^ load<u8>(at)) * 0x01000193;
  return sum;
}

function recordBytes(section: u32): u32 {
  switch (section) {
    case Section.Zones:
      return ZoneAt.Bytes;
    case Section.Interfaces:
      return InterfaceAt.Bytes;
    case Section.Devices:
      return DeviceAt.Bytes;
    case Section.Addresses:
      return AddressAt.Bytes;
    case Section.Routes:
      return RouteAt.Bytes;
    case Section.Neighbors:
      return NeighborAt.Bytes;
    case Section.Pools:
      return PoolAt.Bytes;
    case Section.PoolRanges:
      return PoolRangeAt.Bytes;
    case Section.PoolSubscribers:
      return PoolSubscriberAt.Bytes;
    case Section.TimeoutSets:
      return TimeoutSetAt.Bytes;
    case Section.PortTimeouts:
      return PortTimeoutAt.Bytes;
    case Section.Flows:
      return FlowAt.Bytes;
    default:
      return 1;
  }
}

/** Every record of an image whose sections are sound. Also counts the pool addresses. */
export function checkRecords(config: Configuration): ImageStatus {
  let status = checkTimeouts(config);
  if (status == ImageStatus.Ok) status = checkZones(config);
  if (status == ImageStatus.Ok) status = checkInterfaces(config);
  if (status == ImageStatus.Ok) status = checkDevices(config);
  if (status == ImageStatus.Ok) status = checkAddresses(config);
  if (status == ImageStatus.Ok) status = checkRoutes(config);
  if (status == ImageStatus.Ok) status = checkNeighbors(config);
  if (status == ImageStatus.Ok) status = checkPools(config);
  if (status == ImageStatus.Ok) status = checkFlows(config);
  return status;
}

function isText(config: Configuration, at: u32, bytes: u32, most: u32): bool {
  return bytes <= most && <u64>at + bytes <= config.stringBytes;
}

/** There is a first set, for everybody. */
function checkTimeouts(config: Configuration): ImageStatus {
  if (config.timeoutSetCount == 0) return ImageStatus.BadRecord;
  if (
    config.timeoutSetCount > <u32>Limit.TimeoutSets ||
    config.portTimeoutCount > <u32>Limit.PortTimeouts
  ) {
    return ImageStatus.TooLarge;
  }
  for (let i: u32 = 0; i < config.timeoutSetCount * Timeout.Count; i++) {
    const at = config.timeoutSets + ((<usize>i) << 2);
    if (load<u32>(at) > TIMEOUT_MS_MAX) return fault(config, at, ImageStatus.BadRecord);
  }
  return ImageStatus.Ok;
}

function checkZones(config: Configuration): ImageStatus {
  if (config.zoneCount > <u32>Limit.Zones) return ImageStatus.TooLarge;
  let last: i32 = -1;
  for (let i: u32 = 0; i < config.zoneCount; i++) {
    const zone = config.zone(i);
    if (
      <i32>zone.number <= last ||
      <u32>zone.timeouts + config.portTimeoutCount >= config.timeoutSetCount ||
      !isFlow(config, zone.flows) ||
      !isText(config, zone.name, zone.nameBytes, Limit.NameBytes)
    ) {
      return fault(config, changetype<usize>(zone), ImageStatus.BadRecord);
    }
    last = zone.number;
  }
  return ImageStatus.Ok;
}

function checkInterfaces(config: Configuration): ImageStatus {
  if (config.interfaceCount > <u32>Limit.Devices) return ImageStatus.TooLarge;
  for (let i: u32 = 0; i < config.interfaceCount; i++) {
    const each = config.networkInterface(i);
    if (!isText(config, each.name, each.nameBytes, Limit.NameBytes)) {
      return fault(config, changetype<usize>(each), ImageStatus.BadRecord);
    }
  }
  return ImageStatus.Ok;
}

function checkDevices(config: Configuration): ImageStatus {
  if (config.deviceCount > <u32>Limit.Devices) return ImageStatus.TooLarge;
  for (let i: u32 = 0; i < config.deviceCount; i++) {
    const device = config.device(i);
    if (!isSoundDevice(config, device)) {
      return fault(config, changetype<usize>(device), ImageStatus.BadRecord);
    }
    for (let a: u32 = 0; a < device.addressCount; a++) {
      if (config.address(device.addresses + a).device != i) {
        return fault(config, changetype<usize>(device), ImageStatus.BadRecord);
      }
    }
  }
  return ImageStatus.Ok;
}

function isSoundDevice(config: Configuration, device: DeviceRecord): bool {
  return (
    device.zone < config.zoneCount &&
    device.interfaceIndex < config.interfaceCount &&
    isTag(device.vlanOuter) &&
    isTag(device.vlanInner) &&
    (device.vlanInner == None.Short || device.vlanOuter != None.Short) &&
    isUnicastMac(device.mac) &&
    device.mtu >= MTU_MIN &&
    device.mtu <= <u32>Limit.FrameBytes - 22 &&
    <u64>device.addresses + device.addressCount <= config.addressCount &&
    isText(config, device.name, device.nameBytes, Limit.NameBytes) &&
    isFlow(config, device.flows)
  );
}

/** IEEE 802.1Q: 0 is no VLAN and 4095 is reserved. */
function isTag(id: u16): bool {
  return id == None.Short || (id > 0 && id < 4095);
}

function isUnicastMac(mac: usize): bool {
  return (load<u8>(mac) & 1) == 0 && (load<u32>(mac) | <u32>load<u16>(mac, 4)) != 0;
}

function checkAddresses(config: Configuration): ImageStatus {
  for (let i: u32 = 0; i < config.addressCount; i++) {
    const address = config.address(i);
    if (address.device >= config.deviceCount || address.prefixLength > 32 || address.address == 0) {
      return fault(config, changetype<usize>(address), ImageStatus.BadRecord);
    }
  }
  return ImageStatus.Ok;
}

function checkRoutes(config: Configuration): ImageStatus {
  for (let i: u32 = 0; i < config.routeCount; i++) {
    const route = config.route(i);
    const sound =
      route.zone < config.zoneCount &&
      route.prefixLength <= 32 &&
      (route.prefix & ~prefixMask(route.prefixLength)) == 0 &&
      route.device < config.deviceCount &&
      config.device(route.device).zone == route.zone;
    if (!sound) return fault(config, changetype<usize>(route), ImageStatus.BadRecord);
  }
  return ImageStatus.Ok;
}

function checkNeighbors(config: Configuration): ImageStatus {
  for (let i: u32 = 0; i < config.neighborCount; i++) {
    const neighbor = changetype<NeighborRecord>(config.neighbors + <usize>i * NeighborAt.Bytes);
    if (
      neighbor.device >= config.deviceCount ||
      !isUnicastMac(neighbor.mac) ||
      neighbor.address == 0
    ) {
      return fault(config, changetype<usize>(neighbor), ImageStatus.BadRecord);
    }
  }
  return ImageStatus.Ok;
}

function checkPools(config: Configuration): ImageStatus {
  let total: u64 = 0;
  for (let i: u32 = 0; i < config.poolCount; i++) {
    const pool = config.pool(i);
    let addresses: u64 = 0;
    let sound =
      pool.zone < config.zoneCount &&
      pool.portLow > 0 &&
      pool.portLow <= pool.portHigh &&
      pool.rangeCount > 0 &&
      <u64>pool.ranges + pool.rangeCount <= config.poolRangeCount &&
      hasSoundPolicy(config, pool) &&
      isText(config, pool.name, pool.nameBytes, Limit.FlowTextBytes);
    let last: i64 = -1;
    for (let r: u32 = 0; sound && r < pool.rangeCount; r++) {
      const range = config.poolRange(pool.ranges + r);
      sound = <i64>range.first > last && range.first <= range.last;
      last = range.last;
      addresses += <u64>range.last - range.first + 1;
    }
    if (!sound || addresses != pool.addressCount || addresses > <u64>Limit.PoolAddresses) {
      return fault(config, changetype<usize>(pool), ImageStatus.BadRecord);
    }
    total += addresses;
  }
  if (total > <u64>Limit.PoolAddresses) return ImageStatus.TooLarge;
  config.poolAddressCount = <u32>total;
  return ImageStatus.Ok;
}

/** Behaviours, allocation and what the allocation needs. */
function hasSoundPolicy(config: Configuration, pool: PoolRecord): bool {
  for (let which: u32 = 0; which < 3; which++) {
    if (pool.mapping(which) > <u32>MappingBehaviour.AddressAndPortDependent) return false;
    if (pool.filtering(which) > <u32>FilteringBehaviour.AddressAndPortDependent) return false;
  }
  const ports: u32 = pool.blockPorts;
  switch (<u32>pool.allocation) {
    case Allocation.Random:
    case Allocation.Preserve:
      return true;
    case Allocation.Block:
      return ports >= <u32>Limit.BlockPortsMin && (ports & (ports - 1)) == 0;
    case Allocation.Deterministic:
      return hasSoundSubscribers(config, pool);
    default:
      return false;
  }
}

/** Every subscriber has its ports: the last one's end in front of the overflow, on an address of the pool. */
function hasSoundSubscribers(config: Configuration, pool: PoolRecord): bool {
  if (<u64>pool.subscribers + pool.subscriberCount > config.poolSubscriberCount) return false;
  const ports: u32 = pool.blockPorts;
  const overflow: u32 = pool.overflowLow;
  if (overflow != 0 && (overflow <= pool.portLow || overflow > pool.portHigh)) return false;
  const end: u32 = overflow == 0 ? <u32>pool.portHigh + 1 : overflow;
  if (ports == 0 || ports > end - pool.portLow) return false;
  const perAddress = (end - pool.portLow) / ports;
  let next: u64 = 0;
  for (let i: u32 = 0; i < pool.subscriberCount; i++) {
    const each = config.poolSubscriber(pool.subscribers + i);
    const sound =
      each.zone < config.zoneCount &&
      each.prefixLength <= 32 &&
      (each.prefix & ~prefixMask(each.prefixLength)) == 0 &&
      each.first == next;
    if (!sound) return false;
    next += (<u64>1) << (32 - <u64>each.prefixLength);
  }
  return next <= <u64>perAddress * pool.addressCount;
}

function checkFlows(config: Configuration): ImageStatus {
  if (config.flowCount > <u32>Limit.Flows) return ImageStatus.TooLarge;
  if (!isFlow(config, config.flowsAnyDevice) || !isFlow(config, config.flowsTracked)) {
    return ImageStatus.BadRecord;
  }
  for (let i: u32 = 0; i < config.flowCount; i++) {
    const flow = config.flow(i);
    const inOrder =
      (flow.next == NONE || (flow.next > i && flow.next < config.flowCount)) &&
      (i == 0 || config.flow(i - 1).priority >= flow.priority);
    if (!inOrder || !isSoundMatch(config, flow) || !isSoundAction(config, flow)) {
      return fault(config, changetype<usize>(flow), ImageStatus.BadRecord);
    }
  }
  return ImageStatus.Ok;
}

function isFlow(config: Configuration, index: u32): bool {
  return index == NONE || index < config.flowCount;
}

function isZone(config: Configuration, index: u32): bool {
  return index < config.zoneCount;
}

function isSoundMatch(config: Configuration, flow: FlowRecord): bool {
  if ((flow.match & FlowMatch.Device) != 0 && flow.device >= config.deviceCount) return false;
  if ((flow.match & FlowMatch.Zone) != 0 && !isZone(config, flow.zone)) return false;
  return (
    flow.sourcePortLow <= flow.sourcePortHigh &&
    flow.destinationPortLow <= flow.destinationPortHigh &&
    isText(config, flow.text, flow.textBytes, Limit.FlowTextBytes)
  );
}

function isSoundAction(config: Configuration, flow: FlowRecord): bool {
  if (flow.output != None.Short && flow.output >= config.deviceCount) return false;
  if (flow.actionZone != None.Short && !isZone(config, flow.actionZone)) return false;
  if (flow.targetZone != None.Short && !isZone(config, flow.targetZone)) return false;
  switch (<u32>flow.action) {
    case FlowAction.Drop:
    case FlowAction.Reject:
    case FlowAction.Reverse:
      return true;
    case FlowAction.Masquerade:
      return flow.pool < config.poolCount && config.pool(flow.pool).zone == flow.targetZone;
    case FlowAction.Destination:
      return flow.targetZone != None.Short && flow.targetAddress != 0;
    case FlowAction.Source:
      return flow.targetZone != None.Short && flow.targetAddress != 0;
    case FlowAction.Route:
      return flow.targetZone != None.Short || flow.output != None.Short;
    default:
      return false;
  }
}
