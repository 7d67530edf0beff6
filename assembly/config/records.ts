/**
 * The records of a config image as classes, field by field as abi.ts lists them; the assertions keep the
 * two from drifting apart.
 */

import {
  AddressAt,
  DeviceAt,
  FlowAt,
  InterfaceAt,
  NeighborAt,
  PoolAt,
  PoolRangeAt,
  PoolSubscriberAt,
  PortTimeoutAt,
  RouteAt,
  ZoneAt,
} from "../abi";

@final
@unmanaged
export class ZoneRecord {
  number: u16;
  nameBytes: u16;
  name: u32;
  connsMax: u32;
  connsPerHost: u32;
  tcpPortsPerHost: u32;
  udpPortsPerHost: u32;
  icmpPortsPerHost: u32;
  /** Index of its first set of timeouts. */
  timeouts: u16;
  /** Bits of ZoneFlag. */
  flags: u16;
  /** Index of the first flow that matches it and no device. */
  flows: u32;
}
if (offsetof<ZoneRecord>("connsMax") != ZoneAt.ConnsMax) ERROR("ZoneRecord is not ZoneAt");
if (offsetof<ZoneRecord>("timeouts") != ZoneAt.Timeouts) ERROR("ZoneRecord is not ZoneAt");
if (offsetof<ZoneRecord>("flags") != ZoneAt.Flags) ERROR("ZoneRecord is not ZoneAt");
if (offsetof<ZoneRecord>("flows") != ZoneAt.Flows) ERROR("ZoneRecord is not ZoneAt");
if (offsetof<ZoneRecord>() != ZoneAt.Bytes) ERROR("ZoneRecord is not ZoneAt");

@final
@unmanaged
export class InterfaceRecord {
  nameBytes: u16;
  driver: u16;
  name: u32;
}
if (offsetof<InterfaceRecord>() != InterfaceAt.Bytes) ERROR("InterfaceRecord is not InterfaceAt");

@final
@unmanaged
export class DeviceRecord {
  port: u16;
  zone: u16;
  /** Index of its interface. */
  interfaceIndex: u16;
  vlanOuter: u16;
  vlanInner: u16;
  serviceTag: u16;
  private mac0: u16;
  private mac2: u16;
  private mac4: u16;
  mtu: u16;
  addresses: u32;
  addressCount: u16;
  nameBytes: u16;
  name: u32;
  flows: u32;

  get mac(): usize {
    return changetype<usize>(this) + offsetof<DeviceRecord>("mac0");
  }
}
if (offsetof<DeviceRecord>("mac0") != DeviceAt.Mac) ERROR("DeviceRecord is not DeviceAt");
if (offsetof<DeviceRecord>("mtu") != DeviceAt.Mtu) ERROR("DeviceRecord is not DeviceAt");
if (offsetof<DeviceRecord>("flows") != DeviceAt.Flows) ERROR("DeviceRecord is not DeviceAt");

@final
@unmanaged
export class AddressRecord {
  address: u32;
  device: u16;
  prefixLength: u16;
}
if (offsetof<AddressRecord>() != AddressAt.Bytes) ERROR("AddressRecord is not AddressAt");

@final
@unmanaged
export class RouteRecord {
  zone: u16;
  prefixLength: u16;
  prefix: u32;
  via: u32;
  device: u16;
}
if (offsetof<RouteRecord>("device") != RouteAt.Device) ERROR("RouteRecord is not RouteAt");

@final
@unmanaged
export class NeighborRecord {
  address: u32;
  device: u16;
  private mac0: u16;
  private mac2: u16;
  private mac4: u16;

  get mac(): usize {
    return changetype<usize>(this) + offsetof<NeighborRecord>("mac0");
  }
}
if (offsetof<NeighborRecord>("mac0") != NeighborAt.Mac) ERROR("NeighborRecord is not NeighborAt");

@final
@unmanaged
export class PoolRecord {
  zone: u16;
  nameBytes: u16;
  name: u32;
  ranges: u32;
  rangeCount: u16;
  allocation: u8;
  /** Bits of PoolFlag. */
  flags: u8;
  private mapping0: u8;
  private mapping1: u8;
  private mapping2: u8;
  private filtering0: u8;
  private filtering1: u8;
  private filtering2: u8;
  portLow: u16;
  portHigh: u16;
  blockPorts: u16;
  addressCount: u32;
  subscribers: u32;
  subscriberCount: u16;
  blocksPerHost: u16;
  overflowLow: u16;
  private pad: u16;

  /** MappingBehaviour and FilteringBehaviour of the protocol with this bitmap: TCP, UDP, ICMP. */
  mapping(which: u32): u32 {
    return load<u8>(changetype<usize>(this) + which, offsetof<PoolRecord>("mapping0"));
  }
  filtering(which: u32): u32 {
    return load<u8>(changetype<usize>(this) + which, offsetof<PoolRecord>("filtering0"));
  }
  /** Whether all ports from `first` to `last` are in its range. */
  hasPorts(first: u32, last: u32): bool {
    return first >= <u32>this.portLow && last <= <u32>this.portHigh;
  }
}
if (offsetof<PoolRecord>("mapping0") != PoolAt.TcpMapping) ERROR("PoolRecord is not PoolAt");
if (offsetof<PoolRecord>("filtering0") != PoolAt.TcpFiltering) ERROR("PoolRecord is not PoolAt");
if (offsetof<PoolRecord>("portLow") != PoolAt.PortLow) ERROR("PoolRecord is not PoolAt");
if (offsetof<PoolRecord>("addressCount") != PoolAt.AddressCount) ERROR("PoolRecord is not PoolAt");
if (offsetof<PoolRecord>("overflowLow") != PoolAt.OverflowLow) ERROR("PoolRecord is not PoolAt");
if (offsetof<PoolRecord>() != PoolAt.Bytes) ERROR("PoolRecord is not PoolAt");

@final
@unmanaged
export class PoolSubscriberRecord {
  zone: u16;
  prefixLength: u16;
  prefix: u32;
  first: u32;
}
if (offsetof<PoolSubscriberRecord>() != PoolSubscriberAt.Bytes)
  ERROR("PoolSubscriberRecord is not PoolSubscriberAt");

@final
@unmanaged
export class PortTimeoutRecord {
  protocol: u16;
  low: u16;
  high: u16;
  private pad: u16;
}
if (offsetof<PortTimeoutRecord>() != PortTimeoutAt.Bytes)
  ERROR("PortTimeoutRecord is not PortTimeoutAt");

@final
@unmanaged
export class PoolRangeRecord {
  first: u32;
  last: u32;
}
if (offsetof<PoolRangeRecord>() != PoolRangeAt.Bytes) ERROR("PoolRangeRecord is not PoolRangeAt");

@final
@unmanaged
export class FlowRecord {
  priority: i32;
  match: u16;
  device: u16;
  zone: u16;
  protocol: u16;
  source: u32;
  sourceMask: u32;
  destination: u32;
  destinationMask: u32;
  sourcePortLow: u16;
  sourcePortHigh: u16;
  destinationPortLow: u16;
  destinationPortHigh: u16;
  stateMask: u16;
  stateValue: u16;
  action: u16;
  actionZone: u16;
  targetZone: u16;
  pool: u16;
  targetAddress: u32;
  targetPort: u16;
  output: u16;
  next: u32;
  textBytes: u16;
  private pad: u16;
  text: u32;
}
if (offsetof<FlowRecord>("stateMask") != FlowAt.StateMask) ERROR("FlowRecord is not FlowAt");
if (offsetof<FlowRecord>("targetAddress") != FlowAt.TargetAddress)
  ERROR("FlowRecord is not FlowAt");
if (offsetof<FlowRecord>("next") != FlowAt.Next) ERROR("FlowRecord is not FlowAt");
if (offsetof<FlowRecord>("text") != FlowAt.Text) ERROR("FlowRecord is not FlowAt");
