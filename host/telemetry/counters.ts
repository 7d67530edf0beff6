/** Counters by name, as `replay` writes them and `run --stats` prints them. */

import { DeviceCounterAt, FlowCounterAt, Reason, ZoneCounterAt } from "../../assembly/abi.js";
import type { Config } from "../config/model.js";
import type { Datapath } from "../datapath.js";
import type { LinkCounters } from "../device/device.js";
import type { RawCounters } from "../orders.js";

export interface Traffic {
  readonly rxPackets: number;
  readonly rxBytes: number;
  readonly txPackets: number;
  readonly txBytes: number;
}

export interface DeviceCounters extends Traffic {
  readonly dropped: number;
}

export interface ZoneCounters extends Traffic {
  /** Conns that began in the zone: now, and since the start. */
  readonly conns: number;
  readonly connsCreated: number;
  readonly dropped: number;
}

export interface FlowCounters {
  readonly flow: string;
  readonly packets: number;
  readonly bytes: number;
}

export interface Counters {
  /** By name of the Reason; those that never happened are left out. */
  readonly reasons: Readonly<Record<string, number>>;
  readonly devices: Readonly<Record<string, DeviceCounters>>;
  readonly zones: Readonly<Record<string, ZoneCounters>>;
  readonly flows: readonly FlowCounters[];
  /** Frames that the kernel or a driver could not carry, by interface. */
  readonly links: Readonly<Record<string, LinkCounters>>;
}

/** All that a running forwarder can be asked for at once; the configuration is the one that it is of. */
export interface Readings extends Pick<RawCounters, "tables" | "work" | "eventsLost"> {
  readonly config: Config;
  readonly counters: Counters;
}

/** Reads the counters of a datapath in which this configuration is in force. */
export function rawCounters(datapath: Datapath, config: Config): RawCounters {
  return {
    reasons: datapath.reasons(),
    devices: datapath.deviceCounters(config.devices.length),
    zones: datapath.zoneCounters(),
    flows: datapath.flowCounters(config.flows.length),
    links: [],
    tables: datapath.tables(),
    work: [],
    eventsLost: datapath.lostEvents,
  };
}

/** Gives them names. */
export function readCounters(raw: RawCounters, config: Config): Counters {
  const { devices, zones, flows, links } = raw;
  return {
    reasons: readReasons(raw.reasons),
    devices: byName(config.devices, (device) => readDevice(devices[device.index] ?? [])),
    zones: byName(config.zones, (zone) => readZone(zones[zone.index] ?? [])),
    flows: config.flows.map((flow, index) => ({
      flow: flow.text,
      packets: field(flows[index] ?? [], FlowCounterAt.Packets),
      bytes: field(flows[index] ?? [], FlowCounterAt.PacketBytes),
    })),
    links: Object.fromEntries(links.map(({ name, ...counters }) => [name, counters])),
  };
}

function byName<T extends { readonly name: string }, R>(all: readonly T[], read: (each: T) => R) {
  return Object.fromEntries(all.map((each) => [each.name, read(each)]));
}

/** Counts beyond 2^53 lose their last digits: after a year at 285 million packets a second. */
function field(row: readonly bigint[], offset: number): number {
  return Number(row[offset / 8] ?? 0n);
}

function readReasons(counts: readonly bigint[]): Record<string, number> {
  const named = counts.map((count, reason) => [Reason[reason] ?? String(reason), Number(count)]);
  return Object.fromEntries(named.filter(([, count]) => count !== 0));
}

function readDevice(row: readonly bigint[]): DeviceCounters {
  return { ...readTraffic(row), dropped: field(row, DeviceCounterAt.RxDropped) };
}

/** Devices and zones begin with the same four counters. */
function readTraffic(row: readonly bigint[]): Traffic {
  return {
    rxPackets: field(row, DeviceCounterAt.RxPackets),
    rxBytes: field(row, DeviceCounterAt.RxBytes),
    txPackets: field(row, DeviceCounterAt.TxPackets),
    txBytes: field(row, DeviceCounterAt.TxBytes),
  };
}

function readZone(row: readonly bigint[]): ZoneCounters {
  return {
    ...readTraffic(row),
    conns: field(row, ZoneCounterAt.Conns),
    connsCreated: field(row, ZoneCounterAt.ConnsCreated),
    dropped: field(row, ZoneCounterAt.Dropped),
  };
}
