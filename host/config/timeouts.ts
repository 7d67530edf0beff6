/**
 * Timeouts: those of everybody, of zones and of ports, and the sets of them that the image has. A conn's set
 * is the first of its zone's block plus the number of the port's rule (abi.ts, PortTimeoutAt), so every
 * block has one set for each rule behind its own:
 *
 *     everybody | rule 1 | rule 2 | … | zone b's | rule 1 | rule 2 | …
 */

import { Limit } from "../../assembly/abi.js";
import { formatPorts } from "./address.js";
import { RangeClaims } from "./claims.js";
import { describe, type Problems } from "./error.js";
import { PROTOCOLS } from "./flowtext.js";
import type { Config, ConnTimeouts, PortTimeout, Timeouts, Zone } from "./model.js";
import { readPorts } from "./ports.js";
import type { TimeoutsEntry, ZoneTimeoutsEntry } from "./schema.js";

export function readTimeouts(entry: TimeoutsEntry, problems: Problems): Timeouts {
  const { holdDown, fragment, unsolicitedSyn, udp, tcpEstablished, icmp, other } = entry;
  return {
    udp,
    tcpEstablished,
    tcpOpening: entry.tcpOpening ?? entry.tcpTransitory,
    tcpClosing: entry.tcpClosing ?? entry.tcpTransitory,
    icmp,
    other,
    holdDown,
    fragment,
    unsolicitedSyn,
    ports: readPortTimeouts(entry, problems),
  };
}

function readPortTimeouts(entry: TimeoutsEntry, problems: Problems): PortTimeout[] {
  const claims = new RangeClaims();
  const rules: PortTimeout[] = [];
  for (const [index, { protocol, port, seconds }] of entry.ports.entries()) {
    const path = `timeouts.ports[${index}]`;
    const ports = readPorts(`${path}.port`, port, problems);
    if (ports === undefined) continue;
    const other = claims.claim(protocol, { ...ports, path });
    if (other !== undefined) {
      const found = `${describe(port)}, while ${other.path} has ${formatPorts(other)}`;
      problems.add(`${path}.port`, `ports that no other timeout of ${protocol} has`, found);
    }
    rules.push({ protocol: PROTOCOLS.get(protocol) ?? 0, ports, seconds });
  }
  return rules;
}

/** A zone's own, filled up with everybody's. */
export function zoneTimeouts(own: ZoneTimeoutsEntry, everybody: ConnTimeouts): ConnTimeouts {
  return {
    udp: own.udp ?? everybody.udp,
    tcpEstablished: own.tcpEstablished ?? everybody.tcpEstablished,
    tcpOpening: own.tcpOpening ?? own.tcpTransitory ?? everybody.tcpOpening,
    tcpClosing: own.tcpClosing ?? own.tcpTransitory ?? everybody.tcpClosing,
    icmp: own.icmp ?? everybody.icmp,
    other: own.other ?? everybody.other,
  };
}

export interface TimeoutSets {
  readonly sets: readonly ConnTimeouts[];
  /** The first set of a zone's block. */
  readonly firstOf: (zone: Zone) => number;
}

/** Zones with equal timeouts share a block; the first one is everybody's. */
export function timeoutSets({ timeouts, zones }: Pick<Config, "timeouts" | "zones">): TimeoutSets {
  const sets: ConnTimeouts[] = [];
  const blocks = new Map<string, number>();
  for (const each of [timeouts, ...zones.map((zone) => zone.timeouts)]) {
    const key = keyOf(each);
    if (blocks.has(key)) continue;
    blocks.set(key, sets.length);
    sets.push(each, ...timeouts.ports.map((rule) => withRule(each, rule)));
  }
  return { sets, firstOf: (zone) => blocks.get(keyOf(zone.timeouts)) ?? 0 };
}

function keyOf(timeouts: ConnTimeouts): string {
  const { udp, tcpEstablished, tcpOpening, tcpClosing, icmp, other } = timeouts;
  return [udp, tcpEstablished, tcpOpening, tcpClosing, icmp, other].join(" ");
}

function withRule(base: ConnTimeouts, { protocol, seconds }: PortTimeout): ConnTimeouts {
  const isTcp = protocol === PROTOCOLS.get("tcp");
  return isTcp ? { ...base, tcpEstablished: seconds } : { ...base, udp: seconds };
}

/** The image numbers sets with 16 bits. */
export function checkSets(config: Pick<Config, "timeouts" | "zones">, problems: Problems): void {
  const { length } = timeoutSets(config).sets;
  if (length <= Limit.TimeoutSets) return;
  const expected =
    `at most ${Limit.TimeoutSets} sets of timeouts, of which every zone with timeouts of its own ` +
    "needs one, and one for each of timeouts.ports";
  problems.add("zones", expected, `${length}`);
}
