/** Counters of several workers under one configuration as one's, what each did with its time excepted. */

import type { NamedLinkCounters, RawCounters, TableUse } from "../orders.js";

type Rows = readonly (readonly bigint[])[];

/** @param all  at least one, whose rows are of the same devices, zones and flows */
export function sumCounters(all: readonly RawCounters[]): RawCounters {
  const [first, ...others] = all;
  if (first === undefined) throw new RangeError("counters of no worker");
  return others.reduce(
    (sum, each) => ({
      reasons: addRow(sum.reasons, each.reasons),
      devices: addRows(sum.devices, each.devices),
      zones: addRows(sum.zones, each.zones),
      flows: addRows(sum.flows, each.flows),
      links: addLinks(sum.links, each.links),
      tables: addTables(sum.tables, each.tables),
      work: [...sum.work, ...each.work],
      eventsLost: sum.eventsLost + each.eventsLost,
    }),
    first,
  );
}

function addRow(one: readonly bigint[], other: readonly bigint[]): bigint[] {
  return one.map((count, i) => count + (other[i] ?? 0n));
}

function addRows(one: Rows, other: Rows): bigint[][] {
  return one.map((row, i) => addRow(row, other[i] ?? []));
}

function addTables(one: readonly TableUse[], other: readonly TableUse[]): TableUse[] {
  return one.map(({ used, capacity }, i) => ({
    used: used + (other[i]?.used ?? 0),
    capacity: capacity + (other[i]?.capacity ?? 0),
  }));
}

/** By name: each worker has sockets of its own on the same interfaces. */
function addLinks(
  one: readonly NamedLinkCounters[],
  other: readonly NamedLinkCounters[],
): NamedLinkCounters[] {
  const byName = new Map(one.map((link) => [link.name, link]));
  for (const link of other) {
    const known = byName.get(link.name);
    byName.set(
      link.name,
      known === undefined
        ? link
        : {
            name: link.name,
            rxMissed: known.rxMissed + link.rxMissed,
            rxRefused: known.rxRefused + link.rxRefused,
            txDropped: known.txDropped + link.txDropped,
          },
    );
  }
  return [...byName.values()];
}
