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
import { ForwardBook, type Surroundings } from "./forwards.js";
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

/** One side of a forward. */
interface End {
  readonly zone: Zone;
  readonly address: number;
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
    const { problems } = this.scope;
    const zone = this.scope.zone(entry.zone, `${path}.zone`);
    const address = readHostAddress(`${path}.address`, entry.address, problems);
    const target = this.scope.zone(entry.to.zone, `${path}.to.zone`);
    const targetAddress = readHostAddress(`${path}.to.address`, entry.to.address, problems);
    const ports = entry.protocol === "any" ? undefined : this.forwards.readPorts(path, entry);
    if (entry.protocol === "any") this.forwards.checkPortless(path, entry);
    if (zone !== undefined && address !== undefined) {
      if (ports !== undefined) this.forwards.claimPorts(path, entry, zone, address, ports.outside);
      else if (entry.protocol === "any") this.forwards.claimAddress(path, entry, zone, address);
    }
    if (target === undefined || targetAddress === undefined) return;
    this.forwards.checkTarget(path, target, targetAddress);
    if (entry.protocol === "any") this.forwards.claimInside(path, target, targetAddress);
    if (zone === undefined || address === undefined) return;
    if (entry.protocol === "any") {
      this.addWholeAddress(path, { zone, address }, { zone: target, address: targetAddress });
    } else if (ports !== undefined) {
      this.addForward(
        path,
        { zone, address },
        { zone: target, address: targetAddress },
        { protocol: PROTOCOLS.get(entry.protocol), destinationPorts: ports.outside },
        ports.inside,
      );
    }
    this.addReplies(path, target);
  }

  /** What comes in for one end goes to the other. */
  private addForward(
    path: string,
    outside: End,
    inside: End,
    match: Partial<FlowMatch>,
    port: number | undefined,
  ): void {
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
        targetZone: inside.zone.name,
        endpoint: { address: inside.address, port },
      },
    );
  }

  /** Both ways, and an address for which ARP is answered. */
  private addWholeAddress(path: string, outside: End, inside: End): void {
    this.around.pools.forAddress(`${path}.address`, outside.zone, outside.address);
    this.addForward(path, outside, inside, {}, undefined);
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
    this.addReplies(path, outside.zone);
  }
}
