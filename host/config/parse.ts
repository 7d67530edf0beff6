/**
 * From a configuration's text to a checked configuration: JSON, shape, names, and what the parts of a
 * document make of each other. All that is wrong is collected and thrown at once; what comes out is frozen
 * and needs no further check.
 */

import { Limit } from "../../assembly/abi.js";
import { checkCollisions } from "./collisions.js";
import { compileImage } from "./compile.js";
import { type Entry, readDocument, type Sections } from "./document.js";
import { ConfigError, Problems } from "./error.js";
import { expand } from "./expand.js";
import { parsePlacedFlow } from "./flow.js";
import { parseJson } from "./json.js";
import {
  type Config,
  deepFreeze,
  type FlowRule,
  type Pool,
  type RequestedCapacity,
} from "./model.js";
import { PoolBook } from "./pools.js";
import { readNeighbors, readRoutes } from "./routing.js";
import { resolveFlow, type UnsortedRule } from "./rule.js";
import { Scope } from "./scope.js";
import { checkShares } from "./shares.js";
import { checkSharing } from "./sharing.js";
import { readTelemetry } from "./telemetry.js";
import { checkSets, readTimeouts } from "./timeouts.js";
import { readDevices, readZones } from "./topology.js";

export type { Config } from "./model.js";

/** A configuration's text; `source` stands in front of every line of a ConfigError. */
export function parseConfig(text: string, source: string): Config {
  const value = parseJson(text, source);
  try {
    return checkConfig(value);
  } catch (error) {
    if (error instanceof ConfigError) throw new ConfigError(error.problems, source);
    throw error;
  }
}

/** A configuration as a value, as JSON would give it. */
export function checkConfig(value: unknown): Config {
  const problems = new Problems();
  const sections = readDocument(value, problems);
  const scope = new Scope(problems, sections.broken);
  const timeouts = readTimeouts(sections.timeouts, problems);
  const zones = readZones(sections.zones, timeouts, scope);
  const topology = readDevices(sections, scope);
  const pools = new PoolBook(scope, topology.devices);
  pools.readAll(sections.pools);
  const routes = readRoutes(sections.routes, topology, scope);
  const neighbors = readNeighbors(sections.neighbors, topology, scope);
  const written = readFlows(sections.flows, scope, pools);
  const expanded = expand(sections, { scope, pools, topology, routes });
  const config: Config = {
    version: 1,
    zones,
    interfaces: topology.interfaces,
    devices: topology.devices,
    routes,
    neighbors,
    pools: pools.list,
    flows: sortFlows(written, expanded, problems),
    timeouts,
    tcp: sections.tcp,
    icmp: sections.icmp,
    gateways: sections.gateways,
    capacity: requestedCapacity(sections),
    workers: sections.workers,
    busyPoll: sections.busyPoll,
    telemetry: readTelemetry(sections.telemetry, problems),
  };
  pools.checkTotal();
  const pathOf = (pool: Pool) => pools.pathOf(pool);
  checkCollisions(pools.list, pathOf, config, problems);
  checkSharing(pools.list, pathOf, problems);
  checkShares(config, pathOf, problems);
  checkSets(config, problems);
  checkCapacity(config, pools, problems);
  problems.throwIfAny();
  return deepFreeze(config);
}

function readFlows(
  entries: readonly Entry<string>[],
  scope: Scope,
  pools: PoolBook,
): UnsortedRule[] {
  const rules: UnsortedRule[] = [];
  for (const { path, value } of entries) {
    try {
      const parsed = parsePlacedFlow(value, path);
      scope.problems.addAll(parsed.contradictions);
      const rule = resolveFlow(parsed, path, scope, pools);
      if (rule !== undefined) rules.push(rule);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      scope.problems.addAll(error.problems);
    }
  }
  return rules;
}

/** Highest priority first, then in the order given; of flows with one match the first counts. */
function sortFlows(
  written: readonly UnsortedRule[],
  expanded: readonly UnsortedRule[],
  problems: Problems,
): FlowRule[] {
  const known = new Map<string, string>();
  const live: UnsortedRule[] = [];
  for (const rule of written) {
    const key = matchKey(rule);
    const other = known.get(key);
    if (other !== undefined) {
      const expected = "a match that no other flow of its priority has";
      problems.add(rule.origin, expected, `that of ${other}`);
    }
    known.set(key, other ?? rule.origin);
    live.push(rule);
  }
  live.push(...expanded.filter((rule) => !known.has(matchKey(rule))));
  if (live.length > Limit.Flows) {
    const expected = `at most ${Limit.Flows} flows, those of nat and forwards included`;
    problems.add("flows", expected, `${live.length}`);
  }
  live.sort((one, other) => other.priority - one.priority);
  return live.map((rule, index) => ({ index, ...rule }));
}

/** Equal for two flows that match the same packets by the same words. */
function matchKey(rule: UnsortedRule): string {
  return JSON.stringify([
    rule.priority,
    rule.device?.index,
    rule.zone?.id,
    rule.protocol,
    rule.source,
    rule.destination,
    rule.sourcePorts,
    rule.destinationPorts,
    rule.state,
  ]);
}

function requestedCapacity({ capacity }: Sections): RequestedCapacity {
  return {
    conns: capacity.conns,
    neighbors: capacity.neighbors,
    poolAddresses: capacity.poolAddresses,
    imageBytes: capacity.imageBytes,
    slots: capacity.slots,
  };
}

/** A capacity that is asked for holds at least this configuration. */
function checkCapacity(config: Config, pools: PoolBook, problems: Problems): void {
  const { imageBytes } = config.capacity;
  const needs = [
    ["neighbors", config.neighbors.length],
    ["poolAddresses", pools.addressCount],
    ["imageBytes", imageBytes === undefined ? 0 : compileImage(config).length],
  ] as const;
  for (const [key, need] of needs) {
    const given = config.capacity[key];
    if (given === undefined || given >= need) continue;
    problems.add(`capacity.${key}`, `at least ${need}, for this configuration alone`, `${given}`);
  }
}
