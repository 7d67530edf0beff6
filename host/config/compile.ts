/**
 * From a checked configuration to the config image, as abi.ts lays it out: a header, then the sections in
 * their order, every number little-endian, every section at a multiple of 8 bytes.
 */

import {
  Abi,
  AddressAt,
  DeviceAt,
  ImageAt,
  InterfaceAt,
  NeighborAt,
  None,
  Policy,
  PortTimeoutAt,
  RouteAt,
  Section,
  SectionAt,
  Timeout,
  ZoneAt,
  ZoneFlag,
} from "../../assembly/abi.js";
import { macBytes } from "./address.js";
import { type FlowLists, linkFlows, writeFlow } from "./compileflow.js";
import { poolSections } from "./compilepool.js";
import { align, fnv1a, type SectionBytes, Strings, section } from "./layout.js";
import { type MacOf, virtualMac } from "./mac.js";
import type { Config, ConnTimeouts, Device, Route, Switches, Zone } from "./model.js";
import { timeoutSets } from "./timeouts.js";

export interface CompileOptions {
  /** The kernel's MACs, from which those of devices without one are derived. */
  readonly macOf?: MacOf;
}

/** What the arena must hold: the numbers of abi's StartAt. */
export interface Capacity {
  readonly conns: number;
  readonly neighbors: number;
  readonly poolAddresses: number;
  /** Bytes of the largest image to come. */
  readonly imageBytes: number;
}

const CONNS = 65536;
const NEIGHBORS = 4096;
const POOL_ADDRESSES = 64;
const IMAGE_BYTES = 1 << 20;

/** The document's capacities, with defaults that leave room for the configuration to grow. */
export function capacityOf(config: Config): Capacity {
  const { capacity, pools } = config;
  const poolAddresses = pools.reduce((sum, pool) => sum + pool.addressCount, 0);
  return {
    ...tableCapacity(config),
    poolAddresses: capacity.poolAddresses ?? Math.max(POOL_ADDRESSES, 2 * poolAddresses),
    imageBytes: capacity.imageBytes ?? Math.max(IMAGE_BYTES, 4 * compileImage(config).length),
  };
}

export function tableCapacity({ capacity, devices, neighbors }: Config) {
  const room = Math.max(NEIGHBORS, 16 * devices.length, 2 * neighbors.length);
  return { conns: capacity.conns ?? CONNS, neighbors: capacity.neighbors ?? room };
}

/** The image of a configuration. */
export function compileImage(config: Config, options: CompileOptions = {}): Uint8Array {
  const strings = new Strings();
  const lists = linkFlows(config);
  const timeouts = timeoutSets(config);
  const sections = [
    section(Section.Zones, config.zones, (view, zone) => {
      writeZone(view, zone, strings);
      view.setUint16(ZoneAt.Timeouts, timeouts.firstOf(zone), true);
      view.setUint32(ZoneAt.Flows, lists.byZone.get(zone) ?? None.Word, true);
    }),
    ...topologySections(config, options.macOf, lists, strings),
    ...poolSections(config, strings),
    section(Section.Flows, config.flows, (view, flow) => writeFlow(view, flow, lists, strings)),
    section(Section.TimeoutSets, timeouts.sets, writeTimeouts),
    section(Section.PortTimeouts, config.timeouts.ports, (view, { protocol, ports }) => {
      view.setUint16(PortTimeoutAt.Protocol, protocol, true);
      view.setUint16(PortTimeoutAt.Low, ports.low, true);
      view.setUint16(PortTimeoutAt.High, ports.high, true);
    }),
  ];
  const text = strings.bytes();
  sections.push({ bytes: text, count: text.length });
  return assemble(sections, config, lists);
}

function topologySections(
  config: Config,
  macOf: MacOf | undefined,
  lists: FlowLists,
  strings: Strings,
): SectionBytes[] {
  let addresses = 0;
  return [
    section(Section.Interfaces, config.interfaces, (view, each) => {
      strings.refer(view, each.name, InterfaceAt.NameBytes, InterfaceAt.Name);
      view.setUint16(InterfaceAt.Driver, each.driver, true);
    }),
    section(Section.Devices, config.devices, (view, device) => {
      writeDevice(view, device, macOf, strings);
      view.setUint32(DeviceAt.Addresses, addresses, true);
      view.setUint32(DeviceAt.Flows, lists.byDevice.get(device) ?? None.Word, true);
      addresses += device.addresses.length;
    }),
    section(
      Section.Addresses,
      config.devices.flatMap((device) => device.addresses.map((prefix) => ({ device, prefix }))),
      (view, { device, prefix }) => {
        view.setUint32(AddressAt.Address, prefix.address, true);
        view.setUint16(AddressAt.Device, device.index, true);
        view.setUint16(AddressAt.PrefixLength, prefix.length, true);
      },
    ),
    section(Section.Routes, config.routes, writeRoute),
    section(Section.Neighbors, config.neighbors, (view, neighbor) => {
      view.setUint32(NeighborAt.Address, neighbor.address, true);
      view.setUint16(NeighborAt.Device, neighbor.device.index, true);
      writeMac(view, NeighborAt.Mac, neighbor.mac);
    }),
  ];
}

function writeZone(view: DataView, zone: Zone, strings: Strings): void {
  view.setUint16(ZoneAt.Number, zone.id, true);
  strings.refer(view, zone.name, ZoneAt.NameBytes, ZoneAt.Name);
  view.setUint32(ZoneAt.ConnsMax, zone.connsMax, true);
  view.setUint32(ZoneAt.ConnsPerHost, zone.connsPerHost, true);
  view.setUint32(ZoneAt.TcpPortsPerHost, zone.portsPerHost.tcp, true);
  view.setUint32(ZoneAt.UdpPortsPerHost, zone.portsPerHost.udp, true);
  view.setUint32(ZoneAt.IcmpPortsPerHost, zone.portsPerHost.icmp, true);
  view.setUint16(ZoneAt.Flags, zone.pcp ? ZoneFlag.Pcp : 0, true);
}

function writeDevice(
  view: DataView,
  device: Device,
  macOf: MacOf | undefined,
  strings: Strings,
): void {
  view.setUint16(DeviceAt.Port, device.port, true);
  view.setUint16(DeviceAt.Zone, device.zone.index, true);
  view.setUint16(DeviceAt.Interface, device.interface.index, true);
  view.setUint16(DeviceAt.VlanOuter, device.vlan?.outer ?? None.Short, true);
  view.setUint16(DeviceAt.VlanInner, device.vlan?.inner ?? None.Short, true);
  view.setUint16(DeviceAt.ServiceTag, device.vlan?.inner === undefined ? 0 : 1, true);
  writeMac(view, DeviceAt.Mac, device.mac ?? virtualMac(device.interface.name, macOf));
  view.setUint16(DeviceAt.Mtu, device.mtu, true);
  view.setUint16(DeviceAt.AddressCount, device.addresses.length, true);
  strings.refer(view, device.name, DeviceAt.NameBytes, DeviceAt.Name);
}

function writeMac(view: DataView, at: number, mac: number): void {
  for (const [index, byte] of macBytes(mac).entries()) view.setUint8(at + index, byte);
}

function writeRoute(view: DataView, route: Route): void {
  view.setUint16(RouteAt.Zone, route.zone.index, true);
  view.setUint16(RouteAt.PrefixLength, route.to.length, true);
  view.setUint32(RouteAt.Prefix, route.to.address, true);
  view.setUint32(RouteAt.Via, route.via ?? 0, true);
  view.setUint16(RouteAt.Device, route.device.index, true);
}

function writeTimeouts(view: DataView, timeouts: ConnTimeouts): void {
  const seconds = new Map([
    [Timeout.Udp, timeouts.udp],
    [Timeout.TcpEstablished, timeouts.tcpEstablished],
    [Timeout.TcpOpening, timeouts.tcpOpening],
    [Timeout.TcpClosing, timeouts.tcpClosing],
    [Timeout.Icmp, timeouts.icmp],
    [Timeout.Other, timeouts.other],
  ]);
  for (const [which, value] of seconds) view.setUint32(4 * which, value * 1000, true);
}

function assemble(sections: readonly SectionBytes[], config: Config, lists: FlowLists): Uint8Array {
  const total = sections.reduce(
    (sum, { bytes }) => sum + align(bytes.length),
    align(ImageAt.Bytes),
  );
  const image = new Uint8Array(total);
  const view = new DataView(image.buffer);
  let offset = align(ImageAt.Bytes);
  for (const [index, { bytes, count }] of sections.entries()) {
    const head = ImageAt.Sections + index * SectionAt.Bytes;
    view.setUint32(head + SectionAt.Offset, offset, true);
    view.setUint32(head + SectionAt.Count, count, true);
    image.set(bytes, offset);
    offset += align(bytes.length);
  }
  writeHeader(view, config, lists);
  view.setUint32(ImageAt.Sum, fnv1a(image.subarray(ImageAt.Policy)), true);
  return image;
}

function writeHeader(view: DataView, config: Config, lists: FlowLists): void {
  const { conns, neighbors } = tableCapacity(config);
  view.setUint32(ImageAt.Magic, Abi.ImageMagic, true);
  view.setUint32(ImageAt.Version, Abi.Version, true);
  view.setUint32(ImageAt.TotalBytes, view.byteLength, true);
  view.setUint32(ImageAt.Policy, policyOf(config), true);
  view.setUint32(ImageAt.HoldDown, config.timeouts.holdDown * 1000, true);
  view.setUint32(ImageAt.FragmentTimeout, config.timeouts.fragment * 1000, true);
  view.setUint32(ImageAt.SynTimeout, config.timeouts.unsolicitedSyn * 1000, true);
  // Of each worker.
  view.setUint32(ImageAt.ConnCapacity, Math.ceil(conns / config.workers), true);
  view.setUint32(ImageAt.NeighborCapacity, neighbors, true);
  view.setUint32(ImageAt.FlowsAnyDevice, lists.anyDevice, true);
  view.setUint32(ImageAt.FlowsTracked, lists.tracked, true);
}

function policyOf({ tcp, icmp, gateways }: Switches): number {
  return (
    (tcp.window === "liberal" ? Policy.TcpLiberal : 0) |
    (icmp.unsolicitedSyn ? 0 : Policy.SilentSyn) |
    (icmp.exhaustion ? 0 : Policy.SilentExhaustion) |
    (gateways.ftp ? Policy.FtpGateway : 0) |
    (gateways.tftp ? Policy.TftpGateway : 0)
  );
}
