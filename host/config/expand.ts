/**
 * The `nat` and `forwards` of a configuration, as flows. Their priorities are low, so that a written flow
 * comes first whether it names a priority or not:
 *
 *     30  forwards       zone=public,tcp,nw_dst=…,tp_dst=…,conn_state=-reply   nat(dst=…)
 *     20  replies        zone=…,conn_state=+reply                              nat(reverse)
 *     10  translations   zone=a,conn_state=-tracked                            nat(masq=…)
 *
 * Replies come before translations because a zone may have both: answers of a forward's target leave
 * the tenant's zone as packets of a new conn would. A forward leaves replies alone because its port may
 * also be one that the pool has given to a conn.
 */

import { ConnState } from "../../assembly/abi.js";
import { formatAddress } from "./address.js";
import type { Entry, Sections } from "./document.js";
import { describe } from "./error.js";
import { type Flow, type FlowAction, type FlowMatch, MATCH_ALL, PROTOCOLS } from "./flowtext.js";
import type { Pool, Route, Zone } from "./model.js";
import type { PoolBook } from "./pools.js";
import { readHostAddress } from "./routing.js";
import { checkPoolZone, resolveFlow, type UnsortedRule } from "./rule.js";
import type { ForwardEntry, NatEntry } from "./schema.js";
import type { Scope } from "./scope.js";
import { contains, type Topology } from "./topology.js";

export enum ExpandedPriority {
  Translation = 10,
  Reply = 20,
  Forward = 30,
}

/** What a translation or forward may refer to. */
export interface Surroundings {
  readonly scope: Scope;
  readonly pools: PoolBook;
  readonly topology: Topology;
  readonly routes: readonly Route[];
}

/** The rules of all forwards and translations, in that order, and of the replies to both. */
export function expand(sections: Sections, around: Surroundings): UnsortedRule[] {
  const expander = new Expander(around);
  for (const { path, value } of sections.forwards) expander.forward(path, value);
  for (const entry of sections.nat) expander.translation(entry);
  return expander.rules;
}

class Expander {
  readonly rules: UnsortedRule[] = [];
  /** Zones whose replies have their rule. */
  private readonly replies = new Set<Zone>();
  private readonly translated = new Map<Zone, string>();
  private readonly forwarded = new Map<string, string>();
  private readonly scope: Scope;

  constructor(private readonly around: Surroundings) {
    this.scope = around.scope;
  }

  private add(
    origin: string,
    priority: number,
    match: Partial<FlowMatch>,
    action: FlowAction,
  ): void {
    const flow: Flow = {
      priority,
      match: { ...MATCH_ALL, ...match },
      action,
      output: undefined,
    };
    const parsed = { flow, contradictions: [], placeOf: () => origin };
    const rule = resolveFlow(parsed, origin, this.scope, this.around.pools);
    if (rule !== undefined) this.rules.push(rule);
  }

  private addReplies(origin: string, zone: Zone): void {
    if (this.replies.has(zone)) return;
    this.replies.add(zone);
    const match = { zone: zone.name, state: { mask: ConnState.Reply, value: ConnState.Reply } };
    this.add(origin, ExpandedPriority.Reply, match, { kind: "reverse", zone: zone.name });
  }

  translation({ path, value }: Entry<NatEntry>): void {
    const to = this.scope.zone(value.to, `${path}.to`);
    const pool = this.scope.pool(value.pool, `${path}.pool`);
    checkPoolZone(this.scope, `${path}.pool`, pool, to);
    for (const [index, reference] of value.from.entries()) {
      const at = `${path}.from[${index}]`;
      const from = this.scope.zone(reference, at);
      if (from === undefined) continue;
      const other = this.translated.get(from);
      if (from === to) {
        this.scope.problems.add(at, 'a zone other than that of "to"', describe(reference));
      } else if (other !== undefined) {
        const found = `${describe(reference)}, as in ${other}`;
        this.scope.problems.add(at, "a zone that is translated once", found);
      }
      this.translated.set(from, other ?? at);
      if (to !== undefined && pool?.zone === to) this.addTranslation(at, from, to, pool);
    }
    if (to !== undefined) this.addReplies(path, to);
  }

  private addTranslation(origin: string, from: Zone, to: Zone, pool: Pool): void {
    this.add(
      origin,
      ExpandedPriority.Translation,
      { zone: from.name, state: { mask: ConnState.Tracked, value: 0 } },
      {
        kind: "masquerade",
        sourceZone: from.name,
        targetZone: to.name,
        masquerade: { text: pool.name, addresses: undefined },
      },
    );
  }

  forward(path: string, entry: ForwardEntry): void {
    const { problems } = this.scope;
    const zone = this.scope.zone(entry.zone, `${path}.zone`);
    const address = readHostAddress(`${path}.address`, entry.address, problems);
    const target = this.scope.zone(entry.to.zone, `${path}.to.zone`);
    const targetAddress = readHostAddress(`${path}.to.address`, entry.to.address, problems);
    if (zone !== undefined && address !== undefined) this.checkOutside(path, entry, zone, address);
    if (target === undefined || targetAddress === undefined) return;
    this.checkTarget(path, target, targetAddress);
    if (zone === undefined || address === undefined) return;
    this.add(
      path,
      ExpandedPriority.Forward,
      {
        zone: zone.name,
        protocol: PROTOCOLS.get(entry.protocol),
        destination: { address, length: 32 },
        destinationPorts: { low: entry.port, high: entry.port },
        state: { mask: ConnState.Reply, value: 0 },
      },
      {
        kind: "destination",
        sourceZone: undefined,
        targetZone: target.name,
        endpoint: { address: targetAddress, port: entry.to.port ?? entry.port },
      },
    );
    this.addReplies(path, target);
  }

  /** The outside of a forward belongs to no other, and somebody answers ARP for it. */
  private checkOutside(path: string, entry: ForwardEntry, zone: Zone, address: number): void {
    const key = `${zone.id} ${entry.protocol} ${address} ${entry.port}`;
    const other = this.forwarded.get(key);
    if (other !== undefined) {
      const found = `${entry.protocol} ${formatAddress(address)}:${entry.port}, as in ${other}`;
      this.scope.problems.add(path, "an address and port that no other forward has", found);
    }
    this.forwarded.set(key, other ?? path);
    const { links } = this.around.topology;
    const foreign =
      links.deviceOf(zone, address) !== undefined &&
      !links.isOwn(zone, address) &&
      !this.isPooled(zone, address);
    if (!foreign || !links.isSure(zone) || this.scope.problems.isAbout("pools")) return;
    const expected = `an address of a device or pool of zone ${zone.name}, as it is on-link there`;
    this.scope.problems.add(`${path}.address`, expected, describe(entry.address));
  }

  private isPooled(zone: Zone, address: number): boolean {
    return this.around.pools.list.some(
      (pool) =>
        pool.zone === zone &&
        pool.ranges.some(({ first, last }) => first <= address && address <= last),
    );
  }

  private checkTarget(path: string, zone: Zone, address: number): void {
    const { topology, routes, scope } = this.around;
    if (topology.links.isOwn(zone, address) || this.isPooled(zone, address)) {
      const found = `${describe(formatAddress(address))}, our own`;
      scope.problems.add(`${path}.to.address`, "the address of a host", found);
    }
    const reached = routes.some((route) => route.zone === zone && contains(route.to, address));
    if (reached || !topology.links.isSure(zone) || scope.problems.isAbout("routes")) return;
    const expected = `an address that zone ${zone.name} has a route to`;
    scope.problems.add(`${path}.to.address`, expected, describe(formatAddress(address)));
  }
}
