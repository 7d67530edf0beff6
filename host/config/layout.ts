/** What writer and reader of a config image share beside abi.ts: record sizes, sum, alignment, strings. */

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
  Section,
  TimeoutSetAt,
  ZoneAt,
} from "../../assembly/abi.js";

export type RecordSection = Exclude<Section, Section.Strings | Section.Count>;

/** Bytes of one record of each section. */
export const RECORD_BYTES: Readonly<Record<RecordSection, number>> = {
  [Section.Zones]: ZoneAt.Bytes,
  [Section.Interfaces]: InterfaceAt.Bytes,
  [Section.Devices]: DeviceAt.Bytes,
  [Section.Addresses]: AddressAt.Bytes,
  [Section.Routes]: RouteAt.Bytes,
  [Section.Neighbors]: NeighborAt.Bytes,
  [Section.Pools]: PoolAt.Bytes,
  [Section.PoolRanges]: PoolRangeAt.Bytes,
  [Section.PoolSubscribers]: PoolSubscriberAt.Bytes,
  [Section.Flows]: FlowAt.Bytes,
  [Section.TimeoutSets]: TimeoutSetAt.Bytes,
  [Section.PortTimeouts]: PortTimeoutAt.Bytes,
};

export interface SectionBytes {
  readonly bytes: Uint8Array;
  readonly count: number;
}

/** The records of a section; `write` gets a view of one record. */
export function section<T>(
  which: RecordSection,
  items: readonly T[],
  write: (view: DataView, item: T) => void,
): SectionBytes {
  const size = RECORD_BYTES[which];
  const bytes = new Uint8Array(items.length * size);
  for (const [index, item] of items.entries()) {
    write(new DataView(bytes.buffer, index * size, size), item);
  }
  return { bytes, count: items.length };
}

/** Sections begin and end at multiples of 8 bytes. */
export function align(bytes: number): number {
  return Math.ceil(bytes / 8) * 8;
}

/** FNV-1a, 32 bits, with its authors' offset basis and prime. */
export function fnv1a(bytes: Uint8Array): number {
  let sum = 0x811c9dc5;
  for (const byte of bytes) sum = Math.imul(sum ^ byte, 0x01000193);
  return sum >>> 0;
}

/** The section of strings while it grows: UTF-8, every text once. */
export class Strings {
  private readonly places = new Map<string, { readonly at: number; readonly size: number }>();
  private readonly parts: Uint8Array[] = [];
  private end = 0;

  /** Writes a u16 with the text's bytes and a u32 with its place into a record. */
  refer(record: DataView, text: string, sizeAt: number, placeAt: number): void {
    let place = this.places.get(text);
    if (place === undefined) {
      const bytes = new TextEncoder().encode(text);
      place = { at: this.end, size: bytes.length };
      this.places.set(text, place);
      this.parts.push(bytes);
      this.end += bytes.length;
    }
    record.setUint16(sizeAt, place.size, true);
    record.setUint32(placeAt, place.at, true);
  }

  bytes(): Uint8Array {
    const all = new Uint8Array(this.end);
    let at = 0;
    for (const part of this.parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }
}
