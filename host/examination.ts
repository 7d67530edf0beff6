/** What a switch to another configuration would do to live conns: what the workers say of it, added up. */

import { Lapse, LapseRowAt, SearchRowAt } from "../assembly/abi.js";
import type { Config } from "./config/model.js";
import type { Examined } from "./orders.js";
import { type FoundConn, inner, readFoundConn } from "./tables.js";
import { recordsOf } from "./telemetry/rows.js";

/** Conns that are told one by one. */
export const FIRST_CONNS = 20;

/** Why a conn would end, in words for people. */
const LAPSES: Readonly<Record<Exclude<Lapse, Lapse.None | Lapse.Count>, string>> = {
  [Lapse.ZoneGone]: "one of its zones is gone",
  [Lapse.OtherTenant]: "the number of one of its zones is another tenant's",
  [Lapse.NoFlow]: "no flow leads it any more",
  [Lapse.FlowDrop]: "a flow drops or rejects it",
  [Lapse.OtherWay]: "another flow leads it elsewhere, or translates it otherwise",
  [Lapse.OwnAddress]: "it goes to an address that is the router's own or a pool's",
  [Lapse.Hairpin]: "it would not turn round at an external address any more",
  [Lapse.AddressGone]: "its external address is no longer its pool's",
  [Lapse.PortGone]: "its external port is a forward's, or another host's",
  [Lapse.Filtered]: "it came from outside, and would not be let in any more",
};

export interface EndingConn extends FoundConn {
  /** Name of abi's Lapse. */
  readonly reason: string;
}

export interface Examination {
  /** Live conns that were looked at, and how many of them would end. */
  readonly conns: number;
  readonly ending: number;
  /** Name of abi's Lapse and what it means; those of which there is none are left out. */
  readonly reasons: readonly { reason: string; text: string; conns: number }[];
  /** By the zone of the original direction, ascending; with the name that its number has now, if any. */
  readonly zones: readonly { zone: number; name: string | undefined; conns: number }[];
  /** Some of them. */
  readonly first: readonly EndingConn[];
}

/** @param config  the one in force */
export function sumExamined(answers: readonly Examined[], config: Config): Examination {
  const lapses = Array.from({ length: Lapse.Count }, (_, lapse) =>
    sum(answers.map((each) => each.lapses[lapse] ?? 0)),
  );
  const zones = new Map<number, number>();
  const first: EndingConn[] = [];
  for (const [worker, { rows }] of answers.entries()) {
    for (const row of recordsOf(rows, SearchRowAt.Bytes)) {
      const lapse = Number(row.getBigUint64(SearchRowAt.Key, true));
      if (lapse === Lapse.None) addZone(zones, inner(row));
      else first.push({ ...readFoundConn(inner(row), worker), reason: nameOf(lapse) });
    }
  }
  return {
    conns: sum(answers.map(({ looked }) => looked)),
    ending: sum(lapses),
    reasons: Object.entries(LAPSES)
      .map(([lapse, text]) => ({ reason: nameOf(+lapse), text, conns: lapses[+lapse] ?? 0 }))
      .filter(({ conns }) => conns > 0),
    zones: [...zones]
      .map(([zone, conns]) => {
        const name = config.zones.find(({ id }) => id === zone)?.name;
        return { zone, name, conns };
      })
      .sort((a, b) => a.zone - b.zone),
    first: first.slice(0, FIRST_CONNS),
  };
}

function addZone(zones: Map<number, number>, row: DataView): void {
  const zone = row.getUint32(LapseRowAt.Zone, true);
  zones.set(zone, (zones.get(zone) ?? 0) + row.getUint32(LapseRowAt.Conns, true));
}

function nameOf(lapse: Lapse): string {
  return Lapse[lapse] ?? String(lapse);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((all, each) => all + each, 0);
}
