/**
 * A config image as somebody reads it who has nothing else: the names behind the indices of counters and
 * conns, and what a host opens. A damaged image is an ImageError.
 */

import {
  Abi,
  AddressAt,
  DeviceAt,
  type Driver,
  FlowAt,
  ImageAt,
  InterfaceAt,
  NeighborAt,
  None,
  Policy,
  PoolAt,
  PortTimeoutAt,
  RouteAt,
  Section,
  SectionAt,
  Timeout,
  ZoneAt,
  ZoneFlag,
} from "../../assembly/abi.js";
import type { Prefix } from "./address.js";
import { PROTOCOLS } from "./flowtext.js";
import { at, ImageError, span } from "./imageerror.js";
import { type PoolTables, readPool, readPoolRange, readSubscriber } from "./imagepool.js";
import { fnv1a, RECORD_BYTES, type RecordSection } from "./layout.js";
import type { ConnTimeouts, Interface, Pool, Switches, Timeouts, Vlan, Zone } from "./model.js";

export { ImageError } from "./imageerror.js";

const TCP = PROTOCOLS.get("tcp");

export interface ImageDevice {
  readonly index: number;
  readonly name: string;
  readonly port: number;
  readonly zone: Zone;
  readonly interface: Interface;
  readonly vlan: Vlan | undefined;
  /** 48 bits; formatMac() and macBytes() show it. */
  readonly mac: number;
  readonly mtu: number;
  readonly addresses: readonly Prefix[];
}

export interface ImageRoute {
  readonly zone: Zone;
  readonly to: Prefix;
  readonly via: number | undefined;
  readonly device: ImageDevice;
}

export interface ImageNeighbor {
  readonly address: number;
  readonly device: ImageDevice;
  readonly mac: number;
}

export interface ImageFlow {
  readonly priority: number;
  /** As `flow list` prints it. */
  readonly text: string;
}

export interface ImageView extends Switches {
  /** The order of every list is that of the image's indices. */
  readonly zones: readonly Zone[];
  readonly interfaces: readonly Interface[];
  readonly devices: readonly ImageDevice[];
  readonly routes: readonly ImageRoute[];
  readonly neighbors: readonly ImageNeighbor[];
  readonly pools: readonly Pool[];
  readonly flows: readonly ImageFlow[];
  /** Seconds. */
  readonly timeouts: Timeouts;
  readonly connCapacity: number;
  readonly neighborCapacity: number;
}

/** Decodes an image; an ImageError says what is wrong with it. */
export function readImage(bytes: Uint8Array): ImageView {
  return new ImageReader(bytes).read();
}

class ImageReader {
  private readonly view: DataView;

  constructor(private readonly bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.checkHeader();
  }

  private checkHeader(): void {
    const { length } = this.bytes;
    if (length < ImageAt.Bytes) throw new ImageError(`truncated: ${length} bytes`);
    const word = (at: number) => this.view.getUint32(at, true);
    if (word(ImageAt.Magic) !== Abi.ImageMagic) throw new ImageError("not one: no CZIM in front");
    const version = word(ImageAt.Version);
    if (version !== Abi.Version) {
      throw new ImageError(`version ${version}, and only ${Abi.Version} is known`);
    }
    const total = word(ImageAt.TotalBytes);
    if (total !== length) throw new ImageError(`${length} bytes, and its header says ${total}`);
    if (word(ImageAt.Sum) !== fnv1a(this.bytes.subarray(ImageAt.Policy))) {
      throw new ImageError("damaged: its bytes do not have its sum");
    }
  }

  read(): ImageView {
    const sets = this.records(Section.TimeoutSets, readTimeouts);
    const zones = this.records(Section.Zones, (record, index) => this.zone(record, index, sets));
    const interfaces = this.records(Section.Interfaces, (record, index) => ({
      index,
      name: this.text(record, InterfaceAt.NameBytes, InterfaceAt.Name),
      driver: record.getUint16(InterfaceAt.Driver, true) as Driver,
    }));
    const devices = this.devices(zones, interfaces);
    return {
      zones,
      interfaces,
      devices,
      routes: this.records(Section.Routes, (record) => this.route(record, zones, devices)),
      neighbors: this.records(Section.Neighbors, (record) => ({
        address: record.getUint32(NeighborAt.Address, true),
        device: at(devices, record.getUint16(NeighborAt.Device, true), "device"),
        mac: readMac(record, NeighborAt.Mac),
      })),
      pools: this.pools(zones),
      flows: this.records(Section.Flows, (record) => ({
        priority: record.getInt32(FlowAt.Priority, true),
        text: this.text(record, FlowAt.TextBytes, FlowAt.Text),
      })),
      timeouts: this.timeouts(sets),
      ...readSwitches(this.view.getUint32(ImageAt.Policy, true)),
      connCapacity: this.view.getUint32(ImageAt.ConnCapacity, true),
      neighborCapacity: this.view.getUint32(ImageAt.NeighborCapacity, true),
    };
  }

  /** Where a section's bytes are, and how many records there are. */
  private place(section: Section, recordBytes: number): { offset: number; count: number } {
    const head = ImageAt.Sections + section * SectionAt.Bytes;
    const offset = this.view.getUint32(head + SectionAt.Offset, true);
    const count = this.view.getUint32(head + SectionAt.Count, true);
    if (offset < ImageAt.Bytes || offset + count * recordBytes > this.bytes.length) {
      throw new ImageError(`section ${Section[section]} lies outside it`);
    }
    return { offset, count };
  }

  private records<T>(section: RecordSection, read: (record: DataView, index: number) => T): T[] {
    const size = RECORD_BYTES[section];
    const { offset, count } = this.place(section, size);
    const start = this.bytes.byteOffset + offset;
    return Array.from({ length: count }, (_, index) =>
      read(new DataView(this.bytes.buffer, start + index * size, size), index),
    );
  }

  private text(record: DataView, sizeAt: number, placeAt: number): string {
    const strings = this.place(Section.Strings, 1);
    const size = record.getUint16(sizeAt, true);
    const place = record.getUint32(placeAt, true);
    if (place + size > strings.count) throw new ImageError("a name lies outside its strings");
    const start = strings.offset + place;
    return new TextDecoder().decode(this.bytes.slice(start, start + size));
  }

  private zone(record: DataView, index: number, sets: readonly ConnTimeouts[]): Zone {
    const long = (at: number) => record.getUint32(at, true);
    return {
      index,
      id: record.getUint16(ZoneAt.Number, true),
      name: this.text(record, ZoneAt.NameBytes, ZoneAt.Name),
      connsMax: long(ZoneAt.ConnsMax),
      connsPerHost: long(ZoneAt.ConnsPerHost),
      portsPerHost: {
        tcp: long(ZoneAt.TcpPortsPerHost),
        udp: long(ZoneAt.UdpPortsPerHost),
        icmp: long(ZoneAt.IcmpPortsPerHost),
      },
      timeouts: at(sets, record.getUint16(ZoneAt.Timeouts, true), "set of timeouts"),
      pcp: (record.getUint16(ZoneAt.Flags, true) & ZoneFlag.Pcp) !== 0,
    };
  }

  /** Everybody's; those by port from the sets behind the first. */
  private timeouts(sets: readonly ConnTimeouts[]): Timeouts {
    const seconds = (at: number) => this.view.getUint32(at, true) / 1000;
    return {
      ...at(sets, 0, "set of timeouts"),
      holdDown: seconds(ImageAt.HoldDown),
      fragment: seconds(ImageAt.FragmentTimeout),
      unsolicitedSyn: seconds(ImageAt.SynTimeout),
      ports: this.records(Section.PortTimeouts, (record, index) => {
        const protocol = record.getUint16(PortTimeoutAt.Protocol, true);
        const set = at(sets, 1 + index, "set of timeouts");
        return {
          protocol,
          ports: {
            low: record.getUint16(PortTimeoutAt.Low, true),
            high: record.getUint16(PortTimeoutAt.High, true),
          },
          seconds: protocol === TCP ? set.tcpEstablished : set.udp,
        };
      }),
    };
  }

  private pools(zones: readonly Zone[]): Pool[] {
    const tables: PoolTables = {
      zones,
      ranges: this.records(Section.PoolRanges, readPoolRange),
      subscribers: this.records(Section.PoolSubscribers, (record) => readSubscriber(record, zones)),
    };
    return this.records(Section.Pools, (record, index) => ({
      index,
      name: this.text(record, PoolAt.NameBytes, PoolAt.Name),
      ...readPool(record, tables),
    }));
  }

  private devices(zones: readonly Zone[], interfaces: readonly Interface[]): ImageDevice[] {
    const addresses = this.records(Section.Addresses, (record) => ({
      address: record.getUint32(AddressAt.Address, true),
      length: record.getUint16(AddressAt.PrefixLength, true),
    }));
    return this.records(Section.Devices, (record, index) => {
      const first = record.getUint32(DeviceAt.Addresses, true);
      const count = record.getUint16(DeviceAt.AddressCount, true);
      return {
        index,
        name: this.text(record, DeviceAt.NameBytes, DeviceAt.Name),
        port: record.getUint16(DeviceAt.Port, true),
        zone: at(zones, record.getUint16(DeviceAt.Zone, true), "zone"),
        interface: at(interfaces, record.getUint16(DeviceAt.Interface, true), "interface"),
        vlan: readVlan(record),
        mac: readMac(record, DeviceAt.Mac),
        mtu: record.getUint16(DeviceAt.Mtu, true),
        addresses: span(addresses, first, count, "addresses"),
      };
    });
  }

  private route(
    record: DataView,
    zones: readonly Zone[],
    devices: readonly ImageDevice[],
  ): ImageRoute {
    const via = record.getUint32(RouteAt.Via, true);
    return {
      zone: at(zones, record.getUint16(RouteAt.Zone, true), "zone"),
      to: {
        address: record.getUint32(RouteAt.Prefix, true),
        length: record.getUint16(RouteAt.PrefixLength, true),
      },
      via: via === 0 ? undefined : via,
      device: at(devices, record.getUint16(RouteAt.Device, true), "device"),
    };
  }
}

function readTimeouts(record: DataView): ConnTimeouts {
  const seconds = (which: Timeout) => record.getUint32(4 * which, true) / 1000;
  return {
    udp: seconds(Timeout.Udp),
    tcpEstablished: seconds(Timeout.TcpEstablished),
    tcpOpening: seconds(Timeout.TcpOpening),
    tcpClosing: seconds(Timeout.TcpClosing),
    icmp: seconds(Timeout.Icmp),
    other: seconds(Timeout.Other),
  };
}

function readSwitches(policy: number): Switches {
  const has = (bit: Policy) => (policy & bit) !== 0;
  return {
    tcp: { window: has(Policy.TcpLiberal) ? "liberal" : "strict" },
    icmp: { exhaustion: !has(Policy.SilentExhaustion), unsolicitedSyn: !has(Policy.SilentSyn) },
    gateways: { ftp: has(Policy.FtpGateway), tftp: has(Policy.TftpGateway) },
  };
}

function readMac(record: DataView, at: number): number {
  return record.getUint16(at, false) * 2 ** 32 + record.getUint32(at + 2, false);
}

function readVlan(record: DataView): Vlan | undefined {
  const outer = record.getUint16(DeviceAt.VlanOuter, true);
  const inner = record.getUint16(DeviceAt.VlanInner, true);
  if (outer === None.Short) return undefined;
  return { outer, inner: inner === None.Short ? undefined : inner };
}
