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
  PoolAt,
  PoolRangeAt,
  RouteAt,
  Section,
  SectionAt,
  Timeout,
  ZoneAt,
} from "../../assembly/abi.js";
import type { AddressRange, PortRange, Prefix } from "./address.js";
import { fnv1a, RECORD_BYTES, type RecordSection } from "./layout.js";
import type { Interface, Timeouts, Vlan, Zone } from "./model.js";

/** An image that is truncated, damaged, of another version, or contradicts itself. */
export class ImageError extends Error {
  constructor(message: string) {
    super(`config image: ${message}`);
    this.name = "ImageError";
  }
}

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

export interface ImagePool {
  readonly name: string;
  readonly zone: Zone;
  readonly ranges: readonly AddressRange[];
  readonly ports: PortRange;
  readonly addressCount: number;
}

export interface ImageFlow {
  readonly priority: number;
  /** As `flow list` prints it. */
  readonly text: string;
}

export interface ImageView {
  /** The order of every list is that of the image's indices. */
  readonly zones: readonly Zone[];
  readonly interfaces: readonly Interface[];
  readonly devices: readonly ImageDevice[];
  readonly routes: readonly ImageRoute[];
  readonly neighbors: readonly ImageNeighbor[];
  readonly pools: readonly ImagePool[];
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
    const zones = this.records(Section.Zones, (record, index) => this.zone(record, index));
    const interfaces = this.records(Section.Interfaces, (record, index) => ({
      index,
      name: this.text(record, InterfaceAt.NameBytes, InterfaceAt.Name),
      driver: record.getUint16(InterfaceAt.Driver, true) as Driver,
    }));
    const devices = this.devices(zones, interfaces);
    const sets = this.place(Section.TimeoutSets, RECORD_BYTES[Section.TimeoutSets]);
    const timeout = (which: Timeout) => this.view.getUint32(sets.offset + 4 * which, true) / 1000;
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
      timeouts: {
        udp: timeout(Timeout.Udp),
        tcpEstablished: timeout(Timeout.TcpEstablished),
        tcpTransitory: timeout(Timeout.TcpOpening),
        icmp: timeout(Timeout.Icmp),
        other: timeout(Timeout.Other),
      },
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

  private zone(record: DataView, index: number): Zone {
    return {
      index,
      id: record.getUint16(ZoneAt.Number, true),
      name: this.text(record, ZoneAt.NameBytes, ZoneAt.Name),
      connsMax: record.getUint32(ZoneAt.ConnsMax, true),
    };
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

  private pools(zones: readonly Zone[]): ImagePool[] {
    const ranges = this.records(Section.PoolRanges, (record) => ({
      first: record.getUint32(PoolRangeAt.First, true),
      last: record.getUint32(PoolRangeAt.Last, true),
    }));
    return this.records(Section.Pools, (record) => {
      const first = record.getUint32(PoolAt.Ranges, true);
      const count = record.getUint16(PoolAt.RangeCount, true);
      return {
        name: this.text(record, PoolAt.NameBytes, PoolAt.Name),
        zone: at(zones, record.getUint16(PoolAt.Zone, true), "zone"),
        ranges: span(ranges, first, count, "ranges"),
        ports: {
          low: record.getUint16(PoolAt.PortLow, true),
          high: record.getUint16(PoolAt.PortHigh, true),
        },
        addressCount: record.getUint32(PoolAt.AddressCount, true),
      };
    });
  }
}

function at<T>(records: readonly T[], index: number, kind: string): T {
  const record = records[index];
  if (record === undefined)
    throw new ImageError(`a record names ${kind} ${index}, which is not there`);
  return record;
}

function span<T>(records: readonly T[], first: number, count: number, kind: string): readonly T[] {
  if (first + count > records.length)
    throw new ImageError(`a record names ${kind} that are not there`);
  return records.slice(first, first + count);
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
