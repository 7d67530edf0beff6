/** What the configuration names, with what became of it: zones, pools, flows, devices, neighbors. */

import * as v from "valibot";
import { PageQuerySchema, PoolQuerySchema } from "../../telemetry/filtershape.js";
import {
  count,
  flag,
  listOf,
  maybe,
  NoParams,
  number,
  pageOf,
  words,
  zoneNumber,
} from "./values.js";

const traffic = {
  rxPackets: count("Frames received."),
  rxBytes: count("Bytes received."),
  txPackets: count("Frames sent."),
  txBytes: count("Bytes sent."),
};

const ZoneShape = v.strictObject({
  id: count("Its number."),
  name: words("Its name."),
  ...traffic,
  dropped: count("Frames received and dropped."),
  conns: count("Conns that began in it and go on."),
  connsCreated: count("Conns that began in it."),
  connsMax: maybe(count("Conns that it may have.")),
});

export const ZonesList = {
  params: NoParams,
  result: v.strictObject({ zones: listOf(ZoneShape, "By number.") }),
};

const PortUseShape = v.strictObject({
  used: count("Held by mappings."),
  resting: count("Given up, and not to be given again yet: in hold-down."),
  free: count("What is left."),
});

const PortsShape = v.strictObject({ tcp: PortUseShape, udp: PortUseShape, icmp: PortUseShape });

const BlocksShape = v.strictObject({
  ports: count("Ports of a block."),
  used: count("Blocks that hosts have."),
  free: count("Blocks that are left."),
});

const PoolShape = v.strictObject({
  name: words("Its name."),
  zone: zoneNumber(),
  allocation: words("How ports are given."),
  addresses: count("External addresses."),
  ports: PortsShape,
  blocks: maybe(BlocksShape),
  zones: listOf(
    v.strictObject({
      zone: zoneNumber(),
      tcp: count("TCP ports."),
      udp: count("UDP ports."),
      icmp: count("ICMP identifiers."),
      others: count("Uses by protocols without ports."),
    }),
    "What zones have of it.",
  ),
});

export const PoolsList = {
  params: NoParams,
  result: v.strictObject({ pools: listOf(PoolShape, "In the order of the configuration.") }),
};

export const PoolsAddresses = {
  params: PoolQuerySchema,
  result: pageOf(
    v.strictObject({
      address: words("External address."),
      ports: PortsShape,
      blocks: maybe(BlocksShape),
    }),
    "Ascending.",
  ),
};

const FlowShape = v.strictObject({
  flow: words("Its text."),
  origin: words("Where in the configuration it comes from: `flows[2]`, `nat[0]`."),
  priority: number("The highest is asked first."),
  packets: count(
    "Packets that it spoke for: all of a conn's in its direction, and those without one.",
  ),
  bytes: count("Bytes of them."),
});

export const FlowsList = {
  params: PageQuerySchema,
  result: pageOf(FlowShape, "In the order in which they are asked."),
};

const DeviceShape = v.strictObject({
  port: count("Its number."),
  name: words("Its name."),
  zone: zoneNumber(),
  interface: words("The interface of the system that carries it."),
  driver: words("`afpacket` or `afxdp`."),
  vlan: listOf(count("A VLAN id."), "Outer, then inner; empty without tags."),
  mac: maybe(words("Where the configuration gives one.")),
  mtu: count("Bytes of a packet."),
  addresses: listOf(words("`192.168.0.1/24`"), "Of the router on it."),
  ...traffic,
  dropped: count("Frames received and dropped."),
});

const InterfaceShape = v.strictObject({
  name: words("Of the system."),
  isUp: flag("False while it is lost or down."),
  rxMissed: count("Frames lost before they were seen."),
  rxRefused: count("Frames that the driver refused."),
  txDropped: count("Frames that were not sent."),
});

export const DevicesList = {
  params: NoParams,
  result: v.strictObject({
    devices: listOf(DeviceShape, "In the order of the configuration."),
    interfaces: listOf(InterfaceShape, "Those that carry them."),
  }),
};

export const NeighborShape = v.strictObject({
  address: words("On the link."),
  device: words("Its device."),
  zone: zoneNumber(),
  mac: maybe(words("Left out while it has not answered.")),
  state: words("As in RFC 4861 section 7.3.2, and `permanent`."),
  ageMs: number("Milliseconds since it was last confirmed."),
});

export const NeighborsList = {
  params: PageQuerySchema,
  result: pageOf(NeighborShape, "By zone, device and address."),
};
