/** Events of the datapath, and the host's own beside them, as people and programs read them. */

import { EventAt, EventClass, EventFlag, EventKind, None, Reason } from "../../assembly/abi.js";
import { formatAddress } from "../config/address.js";
import { tableCapacity } from "../config/compile.js";
import type { Config, PerProtocol, Zone } from "../config/model.js";
import { protocolName } from "./conn.js";
import { word } from "./words.js";

/** Two clocks, read at one moment: the datapath's milliseconds, which wrap, and the wall's since 1970. */
export interface ClockSample {
  readonly clock: number;
  readonly wall: number;
}

/** What does not apply is 0, "" or undefined; addresses are numbers, and as text. */
export interface EventView {
  readonly kind: EventKind;
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly protocol: string;
  readonly protocolNumber: number;
  /** A zone's number and name. */
  readonly zone: number | undefined;
  readonly zoneName: string;
  readonly address: string;
  readonly addressNumber: number;
  readonly port: number;
  readonly externalZone: number | undefined;
  readonly externalZoneName: string;
  readonly external: string;
  readonly externalNumber: number;
  readonly externalPort: number;
  readonly lastPort: number;
  /** Where a session's first packet went, and what that became: the same, unless a forward changed it. */
  readonly remote: string;
  readonly remoteNumber: number;
  readonly remotePort: number;
  readonly target: string;
  readonly targetNumber: number;
  readonly targetPort: number;
  /** Percent, milliseconds, a count or a Reason; see abi's EventKind. */
  readonly value: number;
  /** The limit that is reached, or what 100 % is, where the configuration says it. */
  readonly limit: number;
  /** Its number in the configuration, and its name. */
  readonly poolIndex: number | undefined;
  readonly pool: string;
  readonly interface: string;
  /** Alarms for the same reason that were left out since the last one. */
  readonly repeats: number;
}

const NO_ADDRESS = formatAddress(0);

const NOTHING: Omit<EventView, "kind" | "time"> = {
  protocol: protocolName(0),
  protocolNumber: 0,
  zone: undefined,
  zoneName: "",
  address: NO_ADDRESS,
  addressNumber: 0,
  port: 0,
  externalZone: undefined,
  externalZoneName: "",
  external: NO_ADDRESS,
  externalNumber: 0,
  externalPort: 0,
  lastPort: 0,
  remote: NO_ADDRESS,
  remoteNumber: 0,
  remotePort: 0,
  target: NO_ADDRESS,
  targetNumber: 0,
  targetPort: 0,
  value: 0,
  limit: 0,
  poolIndex: undefined,
  pool: "",
  interface: "",
  repeats: 0,
};

/** One that the host has to tell. */
export function hostEvent(
  kind: EventKind,
  time: number,
  what: Partial<Pick<EventView, "value" | "interface">> = {},
): EventView {
  return { ...NOTHING, kind, time, ...what };
}

/** Rows of abi's EventAt; `config` is the one in force when they happened, `sample` was taken behind them. */
export function readEvents(rows: Uint8Array, config: Config, sample: ClockSample): EventView[] {
  const zones = zonesOf(config);
  return Array.from({ length: rows.length / EventAt.Bytes }, (_, i) => {
    const at = rows.byteOffset + i * EventAt.Bytes;
    return readEvent(new DataView(rows.buffer, at, EventAt.Bytes), config, zones, sample);
  });
}

type ZonesByNumber = ReadonlyMap<number, Zone>;

/** Made once for each configuration. */
const ZONES = new WeakMap<Config, ZonesByNumber>();

function zonesOf(config: Config): ZonesByNumber {
  const known = ZONES.get(config);
  if (known !== undefined) return known;
  const zones = new Map(config.zones.map((zone) => [zone.id, zone]));
  ZONES.set(config, zones);
  return zones;
}

function readEvent(
  row: DataView,
  config: Config,
  zones: ZonesByNumber,
  { clock, wall }: ClockSample,
): EventView {
  const u16 = (at: EventAt) => row.getUint16(at, true);
  const u32 = (at: EventAt) => row.getUint32(at, true);
  const flags = row.getUint8(EventAt.Flags);
  const zone = (flags & EventFlag.Zone) === 0 ? undefined : u16(EventAt.Zone);
  const hasExternal = (flags & EventFlag.ExternalZone) !== 0;
  const externalZone = hasExternal ? u16(EventAt.ExternalZone) : undefined;
  const pool = u16(EventAt.Pool);
  const kind = u16(EventAt.Kind) as EventKind;
  const protocolNumber = row.getUint8(EventAt.Protocol);
  const value = u32(EventAt.Value);
  const poolIndex = pool === None.Short ? undefined : pool;
  return {
    kind,
    // The datapath's clock wraps; a difference does not care.
    time: wall - ((clock - u32(EventAt.Time)) >>> 0),
    protocol: protocolName(protocolNumber),
    protocolNumber,
    zone,
    zoneName: nameOf(zone, zones),
    address: formatAddress(u32(EventAt.Address)),
    addressNumber: u32(EventAt.Address),
    port: u16(EventAt.Port),
    externalZone,
    externalZoneName: nameOf(externalZone, zones),
    external: formatAddress(u32(EventAt.External)),
    externalNumber: u32(EventAt.External),
    externalPort: u16(EventAt.ExternalPort),
    lastPort: u16(EventAt.LastPort),
    remote: formatAddress(u32(EventAt.Remote)),
    remoteNumber: u32(EventAt.Remote),
    remotePort: u16(EventAt.RemotePort),
    target: formatAddress(u32(EventAt.Target)),
    targetNumber: u32(EventAt.Target),
    targetPort: u16(EventAt.TargetPort),
    value,
    limit: limitOf({ kind, value, zone, protocolNumber, poolIndex }, config, zones),
    poolIndex,
    pool: poolIndex === undefined ? "" : (config.pools[poolIndex]?.name ?? ""),
    interface: "",
    repeats: u16(EventAt.Repeats),
  };
}

function nameOf(zone: number | undefined, zones: ZonesByNumber): string {
  return zone === undefined ? "" : (zones.get(zone)?.name ?? String(zone));
}

/** What is reached, or what a threshold is a part of; 0 where the configuration does not say. */
function limitOf(
  event: Pick<EventView, "kind" | "value" | "zone" | "protocolNumber" | "poolIndex">,
  config: Config,
  zones: ZonesByNumber,
): number {
  const zone = event.zone === undefined ? undefined : zones.get(event.zone);
  switch (event.kind) {
    case EventKind.QuotaExceeded:
      if (event.value === Reason.ZoneConnLimit) return zone?.connsMax ?? 0;
      if (event.value === Reason.HostConnLimit) return zone?.connsPerHost ?? 0;
      return portLimit(zone?.portsPerHost, protocolName(event.protocolNumber));
    case EventKind.ThresholdReached:
    case EventKind.ThresholdCleared:
      if (event.poolIndex !== undefined) return config.pools[event.poolIndex]?.addressCount ?? 0;
      if (event.zone !== undefined) return zone?.connsMax ?? 0;
      return Math.ceil(tableCapacity(config).conns / config.workers);
    default:
      return 0;
  }
}

function portLimit(limits: PerProtocol<number> | undefined, protocol: string): number {
  return limits?.[protocol as keyof PerProtocol<number>] ?? 0;
}

const CLASSES: ReadonlyMap<EventKind, EventClass> = new Map([
  [EventKind.SessionCreated, EventClass.Sessions],
  [EventKind.SessionDeleted, EventClass.Sessions],
  [EventKind.MappingCreated, EventClass.Mappings],
  [EventKind.MappingDeleted, EventClass.Mappings],
  [EventKind.BlockAllocated, EventClass.Blocks],
  [EventKind.BlockFreed, EventClass.Blocks],
]);

export function classOf(kind: EventKind): EventClass {
  return CLASSES.get(kind) ?? EventClass.Alarms;
}

/** SessionCreated → session-created: its name wherever events are written. */
export function kindName(kind: EventKind): string {
  return word(EventKind[kind] ?? `event${kind}`);
}

/** One line for a log. */
export function describeEvent(event: EventView): string {
  const again = event.repeats > 0 ? ` (and ${event.repeats} more since the last)` : "";
  const host = `${event.address} of zone ${event.zoneName}`;
  switch (event.kind) {
    case EventKind.AddressesExhausted:
    case EventKind.PortsExhausted:
      return `pool ${event.pool}: nothing left for ${event.protocol} of ${host}${again}`;
    case EventKind.QuotaExceeded:
      return `zone ${event.zoneName}: ${Reason[event.value]} reached by ${event.address}, ${event.protocol}${again}`;
    case EventKind.TableFull:
      return `${Reason[event.value]}: ${host} was refused${again}`;
    case EventKind.ThresholdReached:
      return `${subject(event)}: ${event.value} % in use`;
    case EventKind.ThresholdCleared:
      return `${subject(event)}: ${event.value} % in use, the alarm is over`;
    case EventKind.BlockAllocated:
    case EventKind.BlockFreed: {
      const what = event.kind === EventKind.BlockAllocated ? "has" : "gave back";
      return `${host} ${what} ${event.external} ports ${event.externalPort}-${event.lastPort}`;
    }
    case EventKind.ClockJumped:
      return `the clock was set by ${event.value} ms`;
    case EventKind.InterfaceLost:
      return `interface ${event.interface} is lost or down`;
    case EventKind.InterfaceBack:
      return `interface ${event.interface} is back`;
    case EventKind.EventsLost:
      return `${event.value} events found no place and are lost`;
    default:
      return describeTranslation(event);
  }
}

/** `session-created udp 192.168.0.10:4562 of zone a by 203.0.113.7:9553 of zone public to 8.8.8.8:53` */
function describeTranslation(event: EventView): string {
  const inside = `${event.address}:${event.port} of zone ${event.zoneName}`;
  const outside = `${event.external}:${event.externalPort} of zone ${event.externalZoneName}`;
  const text = `${kindName(event.kind)} ${event.protocol} ${inside} by ${outside}`;
  if (classOf(event.kind) !== EventClass.Sessions) return text;
  const changed = isForwarded(event) ? `, which is ${event.target}:${event.targetPort}` : "";
  return `${text} to ${event.remote}:${event.remotePort}${changed}`;
}

/** Whether a session's destination was changed. */
export function isForwarded(event: EventView): boolean {
  return event.targetNumber !== event.remoteNumber || event.targetPort !== event.remotePort;
}

/** What a threshold is about: a pool's ports of a protocol, its blocks, a zone's limit of conns, or the table. */
function subject(event: EventView): string {
  if (event.pool !== "") {
    return `pool ${event.pool}, ${event.protocol === "0" ? "blocks" : event.protocol}`;
  }
  return event.zone === undefined ? "the conn table" : `conns of zone ${event.zoneName}`;
}
