/** What `crosszone top` shows: a picture of two samples, as lines that fit a terminal. */

import type { Notification, Result } from "../../control/protocol/methods.js";
import { isCarried } from "../../telemetry/reasons.js";
import { momentText, short } from "../numbers.js";
import type { Paint } from "../output.js";
import { plain } from "../plain.js";
import { type Cell, tableText } from "../table.js";

export type Sample = Notification<"metrics.sample">;
export type Host = Result<"hosts.top">["hosts"][number];

export interface Scene {
  readonly now: Sample;
  /** Rates are from it on; without it there are none. */
  readonly before: Sample | undefined;
  readonly hosts: readonly Host[];
  zoneName(zone: number): string;
}

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** The least that a list gets, its heading and the empty line in front of it included. */
const LIST_ROWS = 3;

/** Per second; undefined where there is no sample before. */
type Rate = (read: (sample: Sample) => number) => number | undefined;

interface List {
  readonly heading: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
}

export function draw(scene: Scene, { columns, rows }: Size, paint: Paint): string[] {
  const rate = rateOf(scene);
  const head = headLines(scene, rate);
  const lists = [reasonList(scene, rate), zoneList(scene, rate), hostList(scene)];
  const lines = head.map((line, i) =>
    shownLine(line, columns, i === 0 ? "bold" : undefined, paint),
  );
  let left = rows - head.length;
  for (const [i, list] of lists.entries()) {
    // Each has its part, and what those before it did not need.
    const part = Math.floor(left / (lists.length - i));
    if (part < LIST_ROWS) break;
    const most = part - (LIST_ROWS - 1);
    const text = tableText(list.heading, list.rows.slice(0, most)).split("\n");
    lines.push("");
    lines.push(
      ...text.map((line, j) => shownLine(line, columns, j === 0 ? "dim" : undefined, paint)),
    );
    left -= text.length + 1;
  }
  return lines.slice(0, rows);
}

function shownLine(
  line: string,
  columns: number,
  colour: "bold" | "dim" | undefined,
  paint: Paint,
): string {
  const cut = plain(line).slice(0, columns);
  return colour === undefined ? cut : paint(colour, cut);
}

function rateOf({ now, before }: Scene): Rate {
  if (before === undefined) return () => undefined;
  const seconds = Math.max(0.001, (now.time - before.time) / 1000);
  // A counter that went back is another's of the same name.
  return (read) => Math.max(0, (read(now) - read(before)) / seconds);
}

function headLines({ now }: Scene, rate: Rate): string[] {
  const of = (key: "rxPackets" | "txPackets" | "rxBytes" | "txBytes" | "dropped") =>
    rate(({ devices }) => Object.values(devices).reduce((sum, device) => sum + device[key], 0));
  const bits = (bytes: number | undefined) => (bytes === undefined ? undefined : bytes * 8);
  const { conns } = now.tables;
  const busy = now.busyMs.map((_, worker) => rate(({ busyMs }) => busyMs[worker] ?? 0));
  const used = conns === undefined ? "?" : `${conns.used} of ${conns.capacity}`;
  return [
    `crosszone top  ${momentText(now.time)}  revision ${now.revision}`,
    `frames in ${shown(of("rxPackets"))}/s  out ${shown(of("txPackets"))}/s  ` +
      `dropped ${shown(of("dropped"))}/s   bits in ${shown(bits(of("rxBytes")))}/s  ` +
      `out ${shown(bits(of("txBytes")))}/s`,
    `conns ${used}${percentText(conns)}   new ${shown(rate(createdOf))}/s   busy ${busy.map(share).join(" ")}`,
  ];
}

function createdOf({ zones }: Sample): number {
  return Object.values(zones).reduce((sum, zone) => sum + zone.connsCreated, 0);
}

function percentText(
  use: { readonly used: number; readonly capacity: number } | undefined,
): string {
  if (use === undefined || use.capacity === 0) return "";
  return ` (${((use.used * 100) / use.capacity).toFixed(1)} %)`;
}

/** Milliseconds in a second of the wall are a share of it. */
function share(busyMs: number | undefined): string {
  return busyMs === undefined ? "- %" : `${Math.min(100, busyMs / 10).toFixed(0)} %`;
}

function shown(rate: number | undefined): string {
  return rate === undefined ? "-" : short(rate);
}

/** What was not carried: what comes most often now is first, and behind it what once came. */
function reasonList({ now }: Scene, rate: Rate): List {
  const rows = Object.entries(now.reasons)
    .filter(([reason, count]) => count > 0 && !isCarried(reason))
    .map(([reason, count]) => ({ reason, count, now: rate(({ reasons }) => reasons[reason] ?? 0) }))
    .sort((one, other) => (other.now ?? 0) - (one.now ?? 0) || other.count - one.count);
  return {
    heading: ["DROPPED", "PER SECOND", "FRAMES"],
    rows: rows.map(({ reason, count, now }) => [reason, shown(now), count]),
  };
}

function zoneList({ now }: Scene, rate: Rate): List {
  const rows = Object.entries(now.zones).map(([name, zone]) => {
    const of = (key: "rxBytes" | "txBytes" | "dropped" | "connsCreated") =>
      rate(({ zones }) => zones[name]?.[key] ?? 0);
    return {
      name,
      zone,
      received: of("rxBytes"),
      sent: of("txBytes"),
      dropped: of("dropped"),
      created: of("connsCreated"),
    };
  });
  const bytes = (row: (typeof rows)[number]) => (row.received ?? 0) + (row.sent ?? 0);
  rows.sort((one, other) => bytes(other) - bytes(one) || other.zone.conns - one.zone.conns);
  const bits = (bytes: number | undefined) => shown(bytes === undefined ? undefined : bytes * 8);
  return {
    heading: ["ZONE", "CONNS", "NEW/S", "BITS IN/S", "BITS OUT/S", "DROPPED/S"],
    rows: rows.map(({ name, zone, received, sent, dropped, created }) => {
      return [name, zone.conns, shown(created), bits(received), bits(sent), shown(dropped)];
    }),
  };
}

function hostList({ hosts, zoneName }: Scene): List {
  return {
    heading: ["HOST", "ZONE", "CONNS", "PORTS", "PACKETS", "BYTES"],
    rows: hosts.map(({ address, zone, conns, ports, packets, bytes }) => {
      const used = ports.tcp + ports.udp + ports.icmp;
      return [address, zoneName(zone), conns, used, short(packets), short(bytes)];
    }),
  };
}
