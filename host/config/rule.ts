/**
 * From a flow's text to a rule: names become records, and what the rest of the configuration makes
 * impossible is refused. A flow that changes the zone must name both: that nothing else joins two zones
 * is the property that the product stands on.
 */

import { describe } from "./error.js";
import type { ParsedFlow } from "./flow.js";
import { type Flow, type FlowAction, formatFlow, isTracked } from "./flowtext.js";
import type { Device, FlowRule, Pool, RuleAction, Zone } from "./model.js";
import type { PoolBook } from "./pools.js";
import type { FlowPart } from "./scanner.js";
import type { Scope } from "./scope.js";

/** A rule that has no place in the order yet. */
export type UnsortedRule = Omit<FlowRule, "index">;

/** Where the packets that a flow matches are, as far as its match says. */
interface Home {
  readonly zone: Zone | undefined;
  /** The match names something that does not exist: nothing more can be said. */
  readonly isBroken: boolean;
}

/** The rule of a flow; undefined, with problems, where it names what does not exist. */
export function resolveFlow(
  parsed: ParsedFlow,
  origin: string,
  scope: Scope,
  pools: PoolBook,
): UnsortedRule | undefined {
  return new Resolver(parsed, scope, pools).resolve(origin);
}

class Resolver {
  private readonly flow: Flow;

  constructor(
    private readonly parsed: ParsedFlow,
    private readonly scope: Scope,
    private readonly pools: PoolBook,
  ) {
    this.flow = parsed.flow;
  }

  resolve(origin: string): UnsortedRule | undefined {
    const { match, priority } = this.flow;
    const device =
      match.inPort === undefined
        ? undefined
        : this.scope.device(match.inPort, this.parsed.placeOf("in_port"));
    const zone = match.zone === undefined ? undefined : this.zone(match.zone, "zone");
    const isBroken =
      (match.inPort !== undefined && device === undefined) ||
      (match.zone !== undefined && zone === undefined);
    const home = { zone: this.homeZone(device, zone), isBroken };
    const action = this.action(this.flow.action, home);
    const output = this.output(action, home);
    if (isBroken || action === undefined) return undefined;
    if (this.flow.output !== undefined && output === undefined) return undefined;
    return {
      text: formatFlow(this.flow),
      origin,
      priority,
      device,
      zone,
      protocol: match.protocol,
      source: match.source,
      destination: match.destination,
      sourcePorts: match.sourcePorts,
      destinationPorts: match.destinationPorts,
      state: match.state,
      action,
      output,
    };
  }

  private complain(part: FlowPart, expected: string, found: string): void {
    this.scope.problems.add(this.parsed.placeOf(part), expected, found);
  }

  private zone(reference: string, part: FlowPart): Zone | undefined {
    return this.scope.zone(reference, this.parsed.placeOf(part));
  }

  /** Once translated, a packet has left the zone that it came in. */
  private homeZone(device: Device | undefined, zone: Zone | undefined): Zone | undefined {
    if (device === undefined || isTracked(this.flow.match.state)) return zone;
    if (zone !== undefined && zone !== device.zone) {
      this.complain("zone", `zone ${device.zone.name}, that of in_port`, `zone ${zone.name}`);
    }
    return device.zone;
  }

  /** Whether the zone that an action names is the one that the packets are in. */
  private checkHome(home: Home, zone: Zone | undefined, part: FlowPart): void {
    if (home.isBroken || home.zone === undefined || zone === undefined || home.zone === zone)
      return;
    this.complain(part, `zone ${home.zone.name}, that of the match`, `zone ${zone.name}`);
  }

  /** An action that says itself to which zone, but not from which. */
  private needHome(home: Home): void {
    if (home.isBroken || home.zone !== undefined) return;
    const tracked = isTracked(this.flow.match.state);
    const expected = tracked ? "zone= in the match" : "zone= or in_port() in the match";
    this.complain("action", `${expected}, to say where the packets come from`, "none");
  }

  private action(action: FlowAction, home: Home): RuleAction | undefined {
    switch (action.kind) {
      case "masquerade":
        return this.masquerade(action, home);
      case "destination":
      case "source":
        return this.oneToOne(action, home);
      case "reverse": {
        const zone = this.zone(action.zone, "action_zone");
        this.checkHome(home, zone, "action_zone");
        return zone === undefined ? undefined : { kind: "reverse", zone };
      }
      case "route": {
        this.needHome(home);
        if (action.zone === undefined) return { kind: "route", zone: undefined };
        const zone = this.zone(action.zone, "action_zone");
        return zone === undefined ? undefined : { kind: "route", zone };
      }
      default:
        return { kind: action.kind };
    }
  }

  private masquerade(
    action: FlowAction & { kind: "masquerade" },
    home: Home,
  ): RuleAction | undefined {
    const sourceZone = this.zone(action.sourceZone, "src_zone");
    const targetZone = this.zone(action.targetZone, "dst_zone");
    this.checkHome(home, sourceZone, "src_zone");
    const pool = this.pool(action, targetZone);
    if (sourceZone === undefined || targetZone === undefined || pool === undefined)
      return undefined;
    return { kind: "masquerade", sourceZone, targetZone, pool };
  }

  private pool(action: FlowAction & { kind: "masquerade" }, zone: Zone | undefined) {
    const { text, addresses } = action.masquerade;
    const place = this.parsed.placeOf("masq");
    if (addresses !== undefined) {
      return zone === undefined ? undefined : this.pools.forFlow(place, zone, addresses, text);
    }
    const pool = this.scope.pool(text, place);
    checkPoolZone(this.scope, place, pool, zone);
    return pool;
  }

  /** dst= or src=: one address for another. */
  private oneToOne(
    action: FlowAction & { kind: "destination" | "source" },
    home: Home,
  ): RuleAction | undefined {
    const targetZone = this.zone(action.targetZone, "dst_zone");
    let sourceZone: Zone | undefined;
    if (action.sourceZone === undefined) this.needHome(home);
    else {
      sourceZone = this.zone(action.sourceZone, "src_zone");
      this.checkHome(home, sourceZone, "src_zone");
      if (sourceZone === undefined) return undefined;
    }
    if (targetZone === undefined) return undefined;
    if (action.kind === "destination") {
      return { kind: "destination", sourceZone, targetZone, ...action.endpoint };
    }
    return { kind: "source", sourceZone, targetZone, address: action.address };
  }

  /** The device of output(), which is of the zone that the packet is in by then. */
  private output(action: RuleAction | undefined, home: Home): Device | undefined {
    if (this.flow.output === undefined) return undefined;
    const device = this.scope.device(this.flow.output, this.parsed.placeOf("output"));
    const zone = zoneAfter(action, home);
    if (device !== undefined && zone !== undefined && device.zone !== zone) {
      const found = `${describe(device.name)} of zone ${device.zone.name}`;
      this.complain("output", `a device of zone ${zone.name}`, found);
    }
    return device;
  }
}

/** Undefined where only the packet's conn knows, or where the action is broken. */
function zoneAfter(action: RuleAction | undefined, home: Home): Zone | undefined {
  switch (action?.kind) {
    case "masquerade":
    case "destination":
    case "source":
      return action.targetZone;
    case "route":
      return action.zone ?? home.zone;
    default:
      return undefined;
  }
}

/** A pool serves packets that leave in its own zone. */
export function checkPoolZone(
  scope: Scope,
  path: string,
  pool: Pool | undefined,
  zone: Zone | undefined,
): void {
  if (pool === undefined || zone === undefined || pool.zone === zone) return;
  const found = `${describe(pool.name)}, a pool of zone ${pool.zone.name}`;
  scope.problems.add(path, `a pool of zone ${zone.name}`, found);
}
