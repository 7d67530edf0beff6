/**
 * The `nat` and `forwards` of a configuration, as flows. Their priorities are low, so that a written flow
 * comes first whether it names a priority or not:
 *
 *     30  forwards       zone=public,tcp,nw_dst=…,tp_dst=…,conn_state=-reply   nat(dst=…)
 *     30  whole address  zone=public,nw_dst=…,conn_state=-reply                nat(dst=…)
 *     20  replies        zone=…,conn_state=+reply                              nat(reverse)
 *     15  its way out    zone=a,nw_src=…,conn_state=-tracked                   nat(src=…)
 *     10  translations   zone=a,conn_state=-tracked                            nat(masq=…)
 *
 * Replies come before translations because a zone may have both: answers of a forward's target leave
 * the tenant's zone as packets of a new conn would. A forward leaves replies alone because its port may
 * also be one that the pool has given to a conn.
 */

import { ConnState } from "../../assembly/abi.js";
import type { Entry, Sections } from "./document.js";
import { describe } from "./error.js";
import { type Flow, type FlowAction, type FlowMatch, MATCH_ALL, PROTOCOLS } from "./flowtext.js";
import { type End, ForwardBook, type Surroundings } from "./forwards.js";
import type { Pool, Zone } from "./model.js";
import { readHostAddress } from "./routing.js";
import { checkPoolZone, resolveFlow, type UnsortedRule } from "./rule.js";
import type { ForwardEntry, NatEntry } from "./schema.js";
import type { Scope } from "./scope.js";

export enum ExpandedPriority {
  Translation = 10,
  WayOut = 15,
  Reply = 20,
  Forward = 30,
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
  private readonly forwards: ForwardBook;
  private readonly scope: Scope;

  constructor(private readonly around: Surroundings) {
    this.scope = around.scope;
    this.forwards = new ForwardBook(around);
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
    const outside = this.end(path, entry);
    const inside = this.end(`${path}.to`, entry.to);
    if (entry.protocol === "any") this.forwardAddress(path, entry, outside, inside);
    else this.forwardPorts(path, entry, outside, inside);
  }

  /** Undefined, with problems, where zone or address is none. */
  private end(path: string, entry: Pick<ForwardEntry, "zone" | "address">): End | undefined {
    const zone = this.scope.zone(entry.zone, `${path}.zone`);
    const address = readHostAddress(`${path}.address`, entry.address, this.scope.problems);
    return zone === undefined || address === undefined ? undefined : { zone, address };
  }

  private forwardPorts(
    path: string,
    entry: ForwardEntry,
    outside: End | undefined,
    inside: End | undefined,
  ): void {
    const ports = this.forwards.readPorts(path, entry);
    if (outside !== undefined && ports !== undefined) {
      this.forwards.claimPorts(path, entry, outside, ports.outside);
    }
    if (inside === undefined) return;
    this.forwards.checkTarget(path, inside);
    if (outside === undefined || ports === undefined) return;
    const protocol = PROTOCOLS.get(entry.protocol);
    const match = { protocol, destinationPorts: ports.outside };
    this.addForward(path, match, outside, { ...inside, port: ports.inside });
    this.addReplies(path, inside.zone);
  }

  /** Both ways, and an address for which ARP is answered. */
  private forwardAddress(
    path: string,
    entry: ForwardEntry,
    outside: End | undefined,
    inside: End | undefined,
  ): void {
    this.forwards.checkPortless(path, entry);
    const isOurs = outside !== undefined && this.forwards.claimAddress(path, entry, outside);
    if (inside === undefined) return;
    this.forwards.checkTarget(path, inside);
    this.forwards.claimInside(path, inside);
    if (outside === undefined || !isOurs) return;
    this.around.pools.forAddress(`${path}.address`, outside.zone, outside.address);
    this.addForward(path, {}, outside, { ...inside, port: undefined });
    this.addWayOut(path, inside, outside);
    this.addReplies(path, inside.zone);
    this.addReplies(path, outside.zone);
  }

  /** What comes in for one end goes to the other. */
  private addForward(
    path: string,
    match: Partial<FlowMatch>,
    outside: End,
    inside: End & { readonly port: number | undefined },
  ): void {
    const { address, port, zone } = inside;
    this.add(
      path,
      ExpandedPriority.Forward,
      {
        ...match,
        zone: outside.zone.name,
        destination: { address: outside.address, length: 32 },
        state: { mask: ConnState.Reply, value: 0 },
      },
      {
        kind: "destination",
        sourceZone: undefined,
        targetZone: zone.name,
        endpoint: { address, port },
      },
    );
  }

  /** What the host begins leaves with the address that is forwarded to it. */
  private addWayOut(path: string, inside: End, outside: End): void {
    this.add(
      path,
      ExpandedPriority.WayOut,
      {
        zone: inside.zone.name,
        source: { address: inside.address, length: 32 },
        state: { mask: ConnState.Tracked, value: 0 },
      },
      {
        kind: "source",
        sourceZone: undefined,
        targetZone: outside.zone.name,
        address: outside.address,
      },
    );
  }
}
