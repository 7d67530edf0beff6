/**
 * What a deterministic pool gives to whom (RFC 7422 section 2): told from the configuration, without a
 * daemon, so that a report of an external port leads to a host even where nothing was logged.
 */

import { formatAddress, formatPorts, parseAddress, parsePorts } from "../config/address.js";
import { externalOf, ownerOf, type Plan, planOf } from "../config/deterministic.js";
import type { Config, Pool, Zone } from "../config/model.js";
import { Exit, print, UsageError } from "./command.js";
import { CONFIG_ARGUMENT, loadConfig } from "./configfile.js";
import { type Command, choose, type Given, read, verb } from "./definition.js";

/** A line of the answer: as text, and as --json has it. */
interface Answer {
  readonly text: string;
  readonly json: Readonly<Record<string, string | number>>;
}

/** A deterministic pool with its arithmetic. */
interface Planned {
  readonly pool: Pool;
  readonly plan: Plan;
}

const MAP = {
  name: "map",
  summary: "whose external ports are whose",
  text:
    'Says what pools with allocation "deterministic" give to whom (RFC 7422), from the configuration alone: nothing has ' +
    "to run. The first form prints the external address and the ports of a host; where several zones have the address, " +
    "those of all. The second prints the host that has an external port, or that it is anyone's of the pool " +
    '("overflow"), or nobody\'s ("unassigned"). It is the same for TCP, UDP and ICMP.',
  args: [CONFIG_ARGUMENT, { name: "ADDRESS", help: "an inside host's address", isOptional: true }],
  options: {
    external: { type: "string", value: "ADDRESS:PORT", help: "an external address and port" },
    zone: { type: "string", value: "ZONE", help: "the host's zone, by name or number" },
    pool: { type: "string", value: "NAME", help: "this pool only" },
    json: { type: "boolean", help: "an array of objects" },
  },
  usage: [
    "CONFIG ADDRESS [--zone ZONE] [--pool NAME] [--json]",
    "CONFIG --external ADDRESS:PORT [--pool NAME] [--json]",
  ],
  examples: ["pool map edge.json --external 203.0.113.7:2048"],
} as const;

const map = verb({
  ...MAP,
  act(given) {
    print(answerText(given));
    return Exit.Ok;
  },
});

export const pool: Command = {
  name: "pool",
  group: "Tools",
  summary: "say which external ports a host of a deterministic pool has, or whose one is",
  verbs: [map],
};

/** What the command prints; a UsageError for anything that cannot be told. */
export function mapText(args: readonly string[]): string {
  const { rest } = choose(pool, args);
  return answerText(read(MAP, rest));
}

function answerText({ values, args }: Given<typeof MAP.options>): string {
  const [path = "", address] = args;
  const isInverse = values.external !== undefined;
  if (isInverse && address !== undefined) throw new UsageError(`unexpected argument '${address}'`);
  if (!isInverse && address === undefined) throw new UsageError("ADDRESS is missing");
  if (isInverse && values.zone !== undefined) {
    throw new UsageError("--zone goes with an inside address, not with --external");
  }
  const config = loadConfig(path);
  const pools = plannedPools(config, values.pool);
  const answers =
    values.external === undefined
      ? hostAnswers(config, pools, address ?? "", values.zone)
      : portAnswers(pools, values.external);
  if (values.json) return JSON.stringify(answers.map(({ json }) => json));
  return answers.map(({ text }) => text).join("\n");
}

/** The pool of that name, or all that are deterministic. */
function plannedPools({ pools }: Config, name: string | undefined): Planned[] {
  const chosen = name === undefined ? pools : pools.filter((each) => each.name === name);
  if (chosen.length === 0 && name !== undefined) throw new UsageError(`no pool '${name}'`);
  const planned = chosen.flatMap((each) => {
    const plan = planOf(each);
    return plan === undefined ? [] : [{ pool: each, plan }];
  });
  if (planned.length > 0) return planned;
  throw new UsageError(
    name === undefined ? "no pool is deterministic" : `pool '${name}' is not deterministic`,
  );
}

function hostAnswers(
  config: Config,
  pools: readonly Planned[],
  text: string,
  zoneText: string | undefined,
): Answer[] {
  const address = parseAddress(text);
  if (address === undefined) throw new UsageError(`an IPv4 address expected, found '${text}'`);
  const zones = zoneText === undefined ? config.zones : [zoneOf(config, zoneText)];
  const answers = pools.flatMap(({ pool, plan }) =>
    zones.flatMap((zone) => {
      const has = externalOf(plan, zone, address);
      if (has === undefined) return [];
      const host = `zone ${zone.name} ${text}`;
      const external = `${formatAddress(has.external)} ports ${formatPorts(has.ports)}`;
      return [
        {
          text: `${host} -> ${external} (pool ${pool.name})`,
          json: {
            pool: pool.name,
            zone: zone.name,
            address: text,
            external: formatAddress(has.external),
            firstPort: has.ports.low,
            lastPort: has.ports.high,
          },
        },
      ];
    }),
  );
  if (answers.length > 0) return answers;
  const where = zoneText === undefined ? text : `${text} of zone ${zoneText}`;
  throw new UsageError(`${where} is in no prefix of ${listed(pools)}`);
}

function zoneOf({ zones }: Config, text: string): Zone {
  const zone = zones.find(({ name, id }) => name === text || String(id) === text);
  if (zone === undefined) throw new UsageError(`no zone '${text}'`);
  return zone;
}

function portAnswers(pools: readonly Planned[], text: string): Answer[] {
  const [addressText = "", portText = "", ...rest] = text.split(":");
  const address = parseAddress(addressText);
  const ports = parsePorts(portText);
  if (rest.length > 0 || address === undefined || ports === undefined || ports.low < ports.high) {
    throw new UsageError(`--external: an address and port expected, found '${text}'`);
  }
  const answers = pools.flatMap(({ pool, plan }) => {
    const answer = portAnswer(pool, plan, address, ports.low);
    return answer === undefined ? [] : [answer];
  });
  if (answers.length > 0) return answers;
  throw new UsageError(`${addressText} is no address of ${listed(pools)}`);
}

function portAnswer(pool: Pool, plan: Plan, address: number, port: number): Answer | undefined {
  const owner = ownerOf(plan, address, port);
  if (owner === undefined) return undefined;
  const external = formatAddress(address);
  const asked = `${external}:${port}`;
  const json = { pool: pool.name, external, port, kind: owner.kind };
  const from = `(pool ${pool.name})`;
  if (owner.kind === "unassigned") return { text: `${asked} -> unassigned ${from}`, json };
  const ports = { firstPort: owner.ports.low, lastPort: owner.ports.high };
  const range = `ports ${formatPorts(owner.ports)}`;
  if (owner.kind === "overflow") {
    return { text: `${asked} -> overflow, ${range} ${from}`, json: { ...json, ...ports } };
  }
  const host = { zone: owner.zone.name, address: formatAddress(owner.address) };
  return {
    text: `${asked} -> zone ${host.zone} ${host.address}, ${range} ${from}`,
    json: { ...json, ...host, ...ports },
  };
}

function listed(pools: readonly Planned[]): string {
  const names = pools.map(({ pool }) => pool.name);
  return names.length === 1 ? `pool ${names[0]}` : `the pools ${names.join(", ")}`;
}
