/**
 * What is to be reached, in one place: docs/performance.md has a row for each in this order, which a test holds against
 * this table. Where a target has several figures (two directions, several sizes), the worst of them counts.
 */

import type { CoreRow } from "../core.js";
import { crosszone } from "../live/crosszone.js";
import { doubleNat } from "../live/doublenat.js";
import { KERNEL } from "../live/latency.js";
import { linuxZones } from "../live/linuxzones.js";
import { openVswitch } from "../live/openvswitch.js";
import type { Row } from "../live/result.js";
import type { Part, Parts } from "./parts.js";

export type Comparison = "≥" | "≤" | "=";
export type Unit = "" | "×" | "ns" | "µs" | "ms" | "bytes" | "frames";

export interface Target {
  /** As the page has it. */
  readonly name: string;
  readonly comparison: Comparison;
  readonly bound: number;
  readonly unit: Unit;
  /** The benchmark that measures it. */
  readonly by: Part;
  /** Of one run; NaN where it has no figure for it. */
  figure(parts: Parts): number;
}

const AFXDP = crosszone("afxdp").name;
const AFPACKET = crosszone("afpacket").name;
const ZONES = [linuxZones("same"), linuxZones("rps"), linuxZones("threaded")].map(nameOf);
const DOUBLE = [doubleNat("same"), doubleNat("rps")].map(nameOf);
const OVS = [openVswitch("afxdp"), openVswitch("afpacket")].map(nameOf);

/** Latency's workloads. */
const ALONE = "nothing beside";
const BESIDE = "20,000 frames/s beside";

export const TARGETS: readonly Target[] = [
  {
    name: `60,000 conns, \`${AFXDP}\` by the kernel's zones at their best`,
    ...{ comparison: "≥", bound: 1.2, unit: "×", by: "live" },
    figure: ({ live }) => best(live?.rows, [AFXDP]) / best(live?.rows, ZONES),
  },
  {
    name: `60,000 conns, \`${AFXDP}\` by double NAT at its best`,
    ...{ comparison: "≥", bound: 2, unit: "×", by: "live" },
    figure: ({ live }) => best(live?.rows, [AFXDP]) / best(live?.rows, DOUBLE),
  },
  {
    name: `60,000 conns, \`${AFXDP}\` by Open vSwitch in user space, its best driver`,
    ...{ comparison: "≥", bound: 1.5, unit: "×", by: "live" },
    figure: ({ live }) => best(live?.rows, [AFXDP]) / best(live?.rows, OVS),
  },
  {
    name: `60,000 conns, \`${AFPACKET}\` by \`ovs afpacket\``,
    ...{ comparison: "≥", bound: 2, unit: "×", by: "live" },
    figure: ({ live }) => best(live?.rows, [AFPACKET]) / best(live?.rows, ["ovs afpacket"]),
  },
  {
    name: `lost at half of the highest rate, 60 s, \`${AFXDP}\``,
    ...{ comparison: "=", bound: 0, unit: "frames", by: "live" },
    figure: ({ live }) => held(live?.rows, AFXDP),
  },
  {
    name: `lost at half of the highest rate, 60 s, \`${AFPACKET}\``,
    ...{ comparison: "=", bound: 0, unit: "frames", by: "live" },
    figure: ({ live }) => held(live?.rows, AFPACKET),
  },
  {
    name: "Wasm by the same module compiled natively, steady",
    ...{ comparison: "≤", bound: 1.15, unit: "", by: "native" },
    figure: ({ native }) =>
      highest((native?.rows ?? []).filter(isSteady).map(({ ratio }) => ratio)),
  },
  {
    name: "a steady packet, 1,000 conns",
    ...{ comparison: "≤", bound: 30, unit: "ns", by: "core" },
    figure: ({ core }) => steadyNs(core, 1000),
  },
  {
    name: "a steady packet, 60,000 conns",
    ...{ comparison: "≤", bound: 90, unit: "ns", by: "core" },
    figure: ({ core }) => steadyNs(core, 60_000),
  },
  {
    name: "a steady packet, 1,000,000 conns",
    ...{ comparison: "≤", bound: 250, unit: "ns", by: "core" },
    figure: ({ core }) => steadyNs(core, 1_000_000),
  },
  {
    name: "set-up of a conn, 1,000 conns",
    ...{ comparison: "≤", bound: 300, unit: "ns", by: "core" },
    figure: ({ core = [] }) =>
      highest(
        core
          .filter(({ name, conns }) => name === "set-up" && conns === 1000)
          .map(({ nsPerPacket }) => nsPerPacket),
      ),
  },
  {
    name: "a steady packet with 10,000 flows by one flow",
    ...{ comparison: "≤", bound: 1.05, unit: "", by: "scale" },
    figure: ({ scale }) =>
      highest(
        (scale?.rows ?? [])
          .filter((row) => row.dimension === "flows" && row.size === 10_000 && isSteady(row))
          .map(({ byFirst }) => byFirst),
      ),
  },
  {
    name: "added p50 beyond the kernel's zones, nothing beside",
    ...{ comparison: "≤", bound: 15, unit: "µs", by: "latency" },
    figure: ({ latency }) => added(latency?.rows, ALONE),
  },
  {
    name: "added p50 beyond the kernel's zones, 20,000 frames/s beside",
    ...{ comparison: "≤", bound: 15, unit: "µs", by: "latency" },
    figure: ({ latency }) => added(latency?.rows, BESIDE),
  },
  {
    name: "bytes of a conn",
    ...{ comparison: "≤", bound: 160, unit: "bytes", by: "memory" },
    figure: ({ memory }) =>
      memory?.shares.find(({ what }) => what === "conns")?.bytes ?? Number.NaN,
  },
  {
    name: "two threads by one",
    ...{ comparison: "≥", bound: 1.8, unit: "×", by: "scale" },
    figure: ({ scale }) =>
      lowest(
        (scale?.workers ?? [])
          .filter((row) => row.workers === 2 && isSteady(row))
          .map(({ byFirst }) => byFirst),
      ),
  },
  {
    name: "start to the first forwarded packet",
    ...{ comparison: "≤", bound: 400, unit: "ms", by: "memory" },
    figure: ({ memory }) => memory?.starts.find(({ part }) => part === "total")?.ms ?? Number.NaN,
  },
];

function nameOf({ name }: { readonly name: string }): string {
  return name;
}

function isSteady({ name }: { readonly name: string }): boolean {
  return name === "steady-out" || name === "steady-in";
}

/** NaN of none, as `lowest`. */
function highest(values: readonly number[]): number {
  return values.length === 0 ? Number.NaN : Math.max(...values);
}

function lowest(values: readonly number[]): number {
  return values.length === 0 ? Number.NaN : Math.min(...values);
}

/** The most that one of the candidates delivered, with hardly any loss or under overload. */
function best(rows: readonly Row[] | undefined, candidates: readonly string[]): number {
  return highest(
    (rows ?? [])
      .filter(({ candidate }) => candidates.includes(candidate))
      .flatMap(({ median: { highest = 0, overload = 0 } }) => [highest, overload]),
  );
}

function held(rows: readonly Row[] | undefined, candidate: string): number {
  return rows?.find((row) => row.candidate === candidate)?.median.heldLost ?? Number.NaN;
}

function steadyNs(rows: readonly CoreRow[] | undefined, conns: number): number {
  return highest(
    (rows ?? [])
      .filter((row) => row.conns === conns && isSteady(row))
      .map(({ nsPerPacket }) => nsPerPacket),
  );
}

function added(rows: readonly Row[] | undefined, workload: string): number {
  const p50 = (name: string) =>
    rows?.find((row) => row.workload === workload && row.candidate === name)?.median.p50;
  return (p50(AFXDP) ?? Number.NaN) - (p50(KERNEL) ?? Number.NaN);
}
