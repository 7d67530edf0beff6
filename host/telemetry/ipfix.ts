/**
 * Events as IPFIX: messages of RFC 7011 with the records of RFC 8158. A template for each shape of event; names of
 * zones and pools, and how many records were lost, are options (RFC 7011 section 4). Which elements a record has stands in
 * SHAPES; docs/telemetry.md prints the same table.
 *
 * Zones are VRFs: ingressVRFID the inside's, egressVRFID the outside's. Over UDP templates and options come again after
 * `templateMs` and after TEMPLATE_MESSAGES; over a stream once for each connection, and when names change.
 */

import { EventKind, Reason } from "../../assembly/abi.js";
import type { EventView } from "./event.js";
import type { Format, Message } from "./format.js";

/** Numbers of IANA's registry "IPFIX Information Elements". */
export enum Element {
  ProtocolIdentifier = 4,
  SourceTransportPort = 7,
  SourceIPv4Address = 8,
  DestinationTransportPort = 11,
  DestinationIPv4Address = 12,
  ExportedFlowRecordTotalCount = 42,
  ExportingProcessId = 144,
  NotSentFlowTotalCount = 166,
  PostNATSourceIPv4Address = 225,
  PostNATDestinationIPv4Address = 226,
  PostNAPTSourceTransportPort = 227,
  PostNAPTDestinationTransportPort = 228,
  NatEvent = 230,
  IngressVRFID = 234,
  EgressVRFID = 235,
  VRFname = 236,
  NatPoolId = 283,
  NatPoolName = 284,
  ObservationTimeMilliseconds = 323,
  PortRangeStart = 361,
  PortRangeEnd = 362,
  NatQuotaExceededEvent = 466,
  NatThresholdEvent = 467,
  MaxSessionEntries = 471,
  MaxBIBEntries = 472,
  MaxEntriesPerUser = 473,
  MaxSubscribers = 474,
  AddressPoolHighThreshold = 476,
  AddressPoolLowThreshold = 477,
  AddressPortMappingHighThreshold = 478,
  GlobalAddressMappingHighThreshold = 481,
}

/** A field of variable length (RFC 7011 section 7). */
const VARIABLE = 0xffff;

/** An element, its bytes in a record, and what of an event it is. */
type Part = readonly [element: Element, bytes: number, value: (event: EventView) => number];

export interface Shape {
  readonly template: number;
  readonly name: string;
  readonly parts: readonly Part[];
}

const TIME: Part = [Element.ObservationTimeMilliseconds, 8, (event) => event.time];
const EVENT: Part = [Element.NatEvent, 1, natEvent];
const PROTOCOL: Part = [Element.ProtocolIdentifier, 1, (event) => event.protocolNumber];
const INSIDE_ZONE: Part = [Element.IngressVRFID, 4, (event) => event.zone ?? 0];
const OUTSIDE_ZONE: Part = [Element.EgressVRFID, 4, (event) => event.externalZone ?? 0];
const INSIDE: Part = [Element.SourceIPv4Address, 4, (event) => event.addressNumber];
const OUTSIDE: Part = [Element.PostNATSourceIPv4Address, 4, (event) => event.externalNumber];
const INSIDE_PORT: Part = [Element.SourceTransportPort, 2, (event) => event.port];
const OUTSIDE_PORT: Part = [Element.PostNAPTSourceTransportPort, 2, (event) => event.externalPort];
const POOL: Part = [Element.NatPoolId, 4, (event) => event.poolIndex ?? 0];

/** RFC 8158 section 5.6. Percents are those of assembly/nat/event.ts. */
const SHAPES = {
  session: shape(256, "session", [
    ...[TIME, EVENT, PROTOCOL, INSIDE_ZONE, OUTSIDE_ZONE],
    ...[INSIDE, OUTSIDE, INSIDE_PORT, OUTSIDE_PORT],
    [Element.DestinationIPv4Address, 4, (event) => event.remoteNumber],
    [Element.PostNATDestinationIPv4Address, 4, (event) => event.targetNumber],
    [Element.DestinationTransportPort, 2, (event) => event.remotePort],
    [Element.PostNAPTDestinationTransportPort, 2, (event) => event.targetPort],
  ]),
  mapping: shape(257, "mapping (BIB)", [
    ...[TIME, EVENT, PROTOCOL, INSIDE_ZONE, OUTSIDE_ZONE],
    ...[INSIDE, OUTSIDE, INSIDE_PORT, OUTSIDE_PORT],
  ]),
  block: shape(258, "port block", [
    ...[TIME, EVENT, INSIDE_ZONE, OUTSIDE_ZONE, INSIDE, OUTSIDE],
    [Element.PortRangeStart, 2, (event) => event.externalPort],
    [Element.PortRangeEnd, 2, (event) => event.lastPort],
  ]),
  addresses: shape(259, "addresses exhausted", [TIME, EVENT, POOL, OUTSIDE_ZONE]),
  ports: shape(260, "ports exhausted", [TIME, EVENT, PROTOCOL, POOL, OUTSIDE_ZONE]),
  zoneQuota: shape(261, "quota of a zone", [
    ...[TIME, EVENT, quota(1)],
    [Element.MaxSessionEntries, 4, (event) => event.limit],
    INSIDE_ZONE,
  ]),
  hostQuota: shape(262, "quota of a host", [
    ...[TIME, EVENT, quota(3)],
    [Element.MaxEntriesPerUser, 4, (event) => event.limit],
    ...[INSIDE_ZONE, INSIDE, PROTOCOL],
  ]),
  tableFull: shape(263, "a table is full", [
    ...[TIME, EVENT],
    [Element.NatQuotaExceededEvent, 4, (event) => TABLE_QUOTAS.get(event.value) ?? 1],
  ]),
  poolHigh: shape(264, "threshold of a pool", [
    ...[TIME, EVENT, threshold(1)],
    [Element.AddressPoolHighThreshold, 4, (event) => Math.ceil(event.limit * 0.8)],
    ...[POOL, OUTSIDE_ZONE, PROTOCOL],
  ]),
  poolLow: shape(265, "below it again", [
    ...[TIME, EVENT, threshold(2)],
    [Element.AddressPoolLowThreshold, 4, (event) => Math.ceil(event.limit * 0.7)],
    ...[POOL, OUTSIDE_ZONE, PROTOCOL],
  ]),
  zoneHigh: shape(266, "threshold of a zone", [
    ...[TIME, EVENT, threshold(3)],
    [Element.AddressPortMappingHighThreshold, 4, (event) => Math.ceil(event.limit * 0.8)],
    INSIDE_ZONE,
  ]),
  tableHigh: shape(267, "threshold of the conn table", [
    ...[TIME, EVENT, threshold(5)],
    [Element.GlobalAddressMappingHighThreshold, 4, (event) => Math.ceil(event.limit * 0.8)],
  ]),
} as const;

export const ALL_SHAPES: readonly Shape[] = Object.values(SHAPES);

/** natQuotaExceededEvent: sessions, BIB entries, subscribers. */
const TABLE_QUOTAS: ReadonlyMap<number, number> = new Map([
  [Reason.ConnTableFull, 1],
  [Reason.MappingTableFull, 2],
  [Reason.HostTableFull, 4],
]);

function shape(template: number, name: string, parts: readonly Part[]): Shape {
  return { template, name, parts };
}

function quota(which: number): Part {
  return [Element.NatQuotaExceededEvent, 4, () => which];
}

function threshold(which: number): Part {
  return [Element.NatThresholdEvent, 4, () => which];
}

/** IANA's natEvent: numbers of EventKind, but for two that the registry does not tell from these. */
function natEvent({ kind }: EventView): number {
  if (kind === EventKind.TableFull) return EventKind.QuotaExceeded;
  return kind === EventKind.ThresholdCleared ? EventKind.ThresholdReached : kind;
}

/** Undefined for what RFC 8158 has no record for. */
function shapeOf(event: EventView): Shape | undefined {
  switch (event.kind) {
    case EventKind.SessionCreated:
    case EventKind.SessionDeleted:
      return SHAPES.session;
    case EventKind.MappingCreated:
    case EventKind.MappingDeleted:
      return SHAPES.mapping;
    case EventKind.BlockAllocated:
    case EventKind.BlockFreed:
      return SHAPES.block;
    case EventKind.AddressesExhausted:
      return SHAPES.addresses;
    case EventKind.PortsExhausted:
      return SHAPES.ports;
    case EventKind.QuotaExceeded:
      return event.value === Reason.ZoneConnLimit ? SHAPES.zoneQuota : SHAPES.hostQuota;
    case EventKind.TableFull:
      return SHAPES.tableFull;
    case EventKind.ThresholdReached:
      if (event.poolIndex !== undefined) return SHAPES.poolHigh;
      return event.zone === undefined ? SHAPES.tableHigh : SHAPES.zoneHigh;
    case EventKind.ThresholdCleared:
      return event.poolIndex === undefined ? undefined : SHAPES.poolLow;
    default:
      return undefined;
  }
}

/** Options: the first element is the scope. */
export const OPTIONS = {
  reliability: {
    template: 512,
    name: "records that were lost",
    fields: [
      [Element.ExportingProcessId, 4],
      [Element.NotSentFlowTotalCount, 8],
      [Element.ExportedFlowRecordTotalCount, 8],
    ],
  },
  zones: {
    template: 513,
    name: "names of zones",
    fields: [
      [Element.IngressVRFID, 4],
      [Element.VRFname, VARIABLE],
    ],
  },
  pools: {
    template: 514,
    name: "names of pools",
    fields: [
      [Element.NatPoolId, 4],
      [Element.NatPoolName, VARIABLE],
    ],
  },
} as const;

const VERSION = 10;
const HEADER_BYTES = 16;
const SET_BYTES = 4;
const TEMPLATE_SET = 2;
const OPTIONS_TEMPLATE_SET = 3;
/** Messages after which templates come again, over UDP. */
const TEMPLATE_MESSAGES = 1000;
/** Zones and pools whose names are told. */
const NAMES_MAX = 1024;
/** Milliseconds that a record waits for others. */
const LINGER_MS = 250;

/** Names by number. */
export interface Names {
  readonly zones: ReadonlyMap<number, string>;
  readonly pools: ReadonlyMap<number, string>;
}

export interface IpfixOptions {
  /** Observation domain ID. */
  readonly domain: number;
  readonly processId: number;
  /** Undefined over a stream, where templates do not come again. */
  readonly templateMs: number | undefined;
  readonly names: Names;
}

/** What a message holds beside its header. */
interface Body {
  readonly sets: readonly Buffer[];
  /** Data records, those of options included: what the sequence number counts. */
  readonly records: number;
  readonly events: number;
}

export class Ipfix implements Format {
  readonly lingerMs = LINGER_MS;
  private sequence = 0;
  /** Templates and options that are to go before the next record. */
  private preamble: Body[] = [];
  private announcedAt = Number.NEGATIVE_INFINITY;
  private messages = 0;
  private exported = 0;
  private missing = 0;
  private told = 0;
  private underWay: Body | undefined;
  private isPreamble = false;
  private names: Names;
  private toAnnounce = true;

  constructor(private readonly options: IpfixOptions) {
    this.names = options.names;
  }

  takes(event: EventView): boolean {
    return shapeOf(event) !== undefined;
  }

  /** The numbering begins anew with each transport session (RFC 7011 section 3.1). */
  begin(): void {
    this.sequence = 0;
    this.toAnnounce = true;
  }

  /** Templates that were sent to nobody, or to somebody who has been restarted. */
  repeat(): void {
    this.toAnnounce = true;
  }

  rename(names: Names): void {
    this.names = names;
    this.toAnnounce = true;
  }

  pack(events: readonly EventView[], bytes: number, now: number): Message | undefined {
    if (events.length === 0 && this.preamble.length === 0 && this.missing === this.told) {
      return undefined;
    }
    this.announceIfDue(bytes, now);
    this.isPreamble = this.preamble.length > 0;
    const body = this.preamble[0] ?? packRecords(events, bytes - HEADER_BYTES);
    this.underWay = body;
    return { bytes: this.message(body, now), events: body.events };
  }

  private announceIfDue(bytes: number, now: number): void {
    const { templateMs } = this.options;
    const isOld =
      templateMs !== undefined &&
      (now - this.announcedAt >= templateMs || this.messages >= TEMPLATE_MESSAGES);
    if (this.toAnnounce || isOld) {
      this.toAnnounce = false;
      this.announcedAt = now;
      this.messages = 0;
      this.preamble = preambleOf(this.names, bytes - HEADER_BYTES);
      this.preamble.push(this.reliability());
    } else if (this.missing !== this.told && this.preamble.length === 0) {
      this.preamble.push(this.reliability());
    }
  }

  private reliability(): Body {
    this.told = this.missing;
    const record = Buffer.alloc(20);
    record.writeUInt32BE(this.options.processId >>> 0);
    record.writeBigUInt64BE(BigInt(this.missing), 4);
    record.writeBigUInt64BE(BigInt(this.exported), 12);
    return { sets: [set(OPTIONS.reliability.template, [record])], records: 1, events: 0 };
  }

  private message({ sets }: Body, now: number): Buffer {
    const header = Buffer.alloc(HEADER_BYTES);
    header.writeUInt16BE(VERSION);
    header.writeUInt16BE(
      sets.reduce((sum, each) => sum + each.length, HEADER_BYTES),
      2,
    );
    header.writeUInt32BE(Math.floor(now / 1000) >>> 0, 4);
    header.writeUInt32BE(this.sequence, 8);
    header.writeUInt32BE(this.options.domain, 12);
    return Buffer.concat([header, ...sets]);
  }

  sent(): void {
    const body = this.underWay;
    if (body === undefined) return;
    this.underWay = undefined;
    if (this.isPreamble) this.preamble.shift();
    this.messages++;
    this.exported += body.events;
    this.sequence = (this.sequence + body.records) >>> 0;
  }

  lost(count: number): void {
    this.missing += count;
  }
}

/** As many as fit, those of one shape in one set. */
function packRecords(events: readonly EventView[], bytes: number): Body {
  const sets = new Map<Shape, Buffer[]>();
  let size = 0;
  let count = 0;
  for (const event of events) {
    const shape = shapeOf(event);
    if (shape !== undefined) {
      const record = recordOf(event, shape);
      const more = record.length + (sets.has(shape) ? 0 : SET_BYTES);
      if (size > 0 && size + more > bytes) break;
      size += more;
      const records = sets.get(shape) ?? [];
      records.push(record);
      sets.set(shape, records);
    }
    count++;
  }
  return {
    sets: [...sets].map(([{ template }, records]) => set(template, records)),
    records: [...sets.values()].reduce((sum, { length }) => sum + length, 0),
    events: count,
  };
}

function recordOf(event: EventView, { parts }: Shape): Buffer {
  const record = Buffer.alloc(parts.reduce((sum, [, bytes]) => sum + bytes, 0));
  let at = 0;
  for (const [, bytes, value] of parts) {
    if (bytes === 8) record.writeBigUInt64BE(BigInt(Math.max(0, Math.round(value(event)))), at);
    else record.writeUIntBE(value(event), at, bytes);
    at += bytes;
  }
  return record;
}

function set(id: number, records: readonly Buffer[]): Buffer {
  const header = Buffer.alloc(SET_BYTES);
  header.writeUInt16BE(id);
  header.writeUInt16BE(
    records.reduce((sum, each) => sum + each.length, SET_BYTES),
    2,
  );
  return Buffer.concat([header, ...records]);
}

/** Messages with all templates, then with all names, none longer than `bytes`. */
function preambleOf({ zones, pools }: Names, bytes: number): Body[] {
  const templates = ALL_SHAPES.map(({ template, parts }) => templateOf(template, parts, 0));
  const options = Object.values(OPTIONS).map((each) => templateOf(each.template, each.fields, 1));
  return [
    ...pages(TEMPLATE_SET, templates, bytes, false),
    ...pages(OPTIONS_TEMPLATE_SET, options, bytes, false),
    ...pages(OPTIONS.zones.template, namesOf(zones), bytes, true),
    ...pages(OPTIONS.pools.template, namesOf(pools), bytes, true),
  ];
}

type FieldOfTemplate = readonly [element: Element, bytes: number, ...rest: unknown[]];

function templateOf(id: number, fields: readonly FieldOfTemplate[], scopes: number): Buffer {
  const words = [id, fields.length, ...(scopes > 0 ? [scopes] : [])];
  for (const [element, bytes] of fields) words.push(element, bytes);
  return Buffer.from(words.flatMap((word) => [word >> 8, word & 0xff]));
}

function namesOf(names: ReadonlyMap<number, string>): Buffer[] {
  return [...names].slice(0, NAMES_MAX).map(([number, name]) => {
    // Names have at most 64 bytes, those of pools made for flows more: below 255 one byte of length will do.
    const text = Buffer.from(name).subarray(0, 254);
    const record = Buffer.alloc(5);
    record.writeUInt32BE(number);
    record.writeUInt8(text.length, 4);
    return Buffer.concat([record, text]);
  });
}

function pages(id: number, records: readonly Buffer[], bytes: number, areData: boolean): Body[] {
  const bodies: Body[] = [];
  let page: Buffer[] = [];
  const close = () => {
    if (page.length === 0) return;
    bodies.push({ sets: [set(id, page)], records: areData ? page.length : 0, events: 0 });
    page = [];
  };
  let size = SET_BYTES;
  for (const record of records) {
    if (size + record.length > bytes) {
      close();
      size = SET_BYTES;
    }
    page.push(record);
    size += record.length;
  }
  close();
  return bodies;
}
