/**
 * What an operator asks for, checked at the boundary: from JSON (control) or from options that were made into the same
 * (the command line) to typed queries. Everything that is wrong is told at once, with its path.
 */

import type * as v from "valibot";
import { type ConnPhase, Limit, SearchKind, SearchSort } from "../../assembly/abi.js";
import {
  type PortRange,
  type Prefix,
  parseAddress,
  parseDecimal,
  parsePorts,
  parsePrefix,
} from "../config/address.js";
import { describe, type Problem, Problems, pathText } from "../config/error.js";
import type { Config } from "../config/model.js";
import { readShape } from "../config/shape.js";
import { type Cursor, readCursor } from "./cursor.js";
import {
  ADDRESSES,
  CONN_SORTS,
  ConnFilterSchema,
  ConnQuerySchema,
  FlushSchema,
  HOST_SORTS,
  HostQuerySchema,
  MappingQuerySchema,
  PageQuerySchema,
  PHASES,
  PORTS,
  PoolQuerySchema,
  PROTOCOL,
  PROTOCOLS,
} from "./filtershape.js";

/** A query that is refused. Its message has one line per problem. */
export class QueryError extends Error {
  override readonly name = "QueryError";

  constructor(readonly problems: readonly Problem[]) {
    super(problems.join("\n"));
  }
}

/** Undefined: anything. */
export interface TableFilter {
  readonly zone?: number | undefined;
  readonly originalZone?: number | undefined;
  readonly replyZone?: number | undefined;
  readonly protocol?: number | undefined;
  readonly source?: Prefix | undefined;
  readonly destination?: Prefix | undefined;
  readonly replySource?: Prefix | undefined;
  readonly replyDestination?: Prefix | undefined;
  readonly address?: Prefix | undefined;
  readonly sourcePort?: PortRange | undefined;
  readonly destinationPort?: PortRange | undefined;
  readonly replySourcePort?: PortRange | undefined;
  readonly replyDestinationPort?: PortRange | undefined;
  readonly port?: PortRange | undefined;
  /** Any of them. */
  readonly phases?: readonly ConnPhase[] | undefined;
  readonly translation?: "source" | "destination" | "none" | undefined;
}

/** A page of a table, as host/telemetry/searchrecord.ts writes it. */
export interface TableQuery {
  readonly kind: SearchKind;
  readonly filter: TableFilter;
  readonly sort: SearchSort;
  readonly descending: boolean;
  readonly limit: number;
  readonly cursor?: Cursor | undefined;
}

/** A page of what is not searched: where it begins is for the answerer to understand. */
export interface PageQuery {
  readonly limit: number;
  readonly cursor: string | undefined;
}

export function parseConnFilter(value: unknown, config: Config): TableFilter {
  return reading(
    ConnFilterSchema,
    value,
    (filter, reader) => connFilter(filter, reader, []),
    config,
  );
}

export function parseConnQuery(value: unknown, config: Config): TableQuery {
  return reading(
    ConnQuerySchema,
    value,
    ({ filter, sort, order, limit, cursor }, reader) =>
      reader.page({
        kind: SearchKind.Conns,
        filter: connFilter(filter, reader, ["filter"]),
        sort: CONN_SORTS[sort],
        descending: order === "desc" && sort !== "table",
        limit,
        cursor,
      }),
    config,
  );
}

export function parseHostQuery(value: unknown, config: Config): TableQuery {
  return reading(
    HostQuerySchema,
    value,
    ({ filter, sort, order, limit }, reader) => ({
      kind: SearchKind.Hosts,
      filter: {
        zone: reader.zone(filter.zone, ["filter", "zone"]),
        source: reader.addresses(filter.address, ["filter", "address"]),
      },
      sort: HOST_SORTS[sort],
      descending: order === "desc",
      limit,
    }),
    config,
  );
}

export function parseMappingQuery(value: unknown, config: Config): TableQuery {
  return reading(
    MappingQuerySchema,
    value,
    ({ filter, limit, cursor }, reader) => {
      const at = (key: keyof typeof filter) => ["filter", key];
      return reader.page({
        kind: SearchKind.Mappings,
        filter: {
          zone: reader.zone(filter.zone, at("zone")),
          originalZone: reader.zone(filter.insideZone, at("insideZone")),
          replyZone: reader.zone(filter.externalZone, at("externalZone")),
          protocol: reader.protocol(filter.protocol, at("protocol")),
          source: reader.addresses(filter.address, at("address")),
          sourcePort: reader.ports(filter.port, at("port")),
          replyDestination: reader.addresses(filter.external, at("external")),
          replyDestinationPort: reader.ports(filter.externalPort, at("externalPort")),
        },
        sort: SearchSort.Table,
        descending: false,
        limit,
        cursor,
      });
    },
    config,
  );
}

export function parsePageQuery(value: unknown, config: Config): PageQuery {
  return reading(PageQuerySchema, value, ({ limit, cursor }) => ({ limit, cursor }), config);
}

/** @returns also the index of the pool */
export function parsePoolQuery(value: unknown, config: Config): PageQuery & { pool: number } {
  return reading(
    PoolQuerySchema,
    value,
    ({ pool, limit, cursor }, reader) => ({ pool: reader.pool(pool, ["pool"]), limit, cursor }),
    config,
  );
}

/**
 * What to flush: everything, a zone, or one of its hosts, as filters that are to be applied one after the other. A host is
 * inside of the conns that it began, and of those that were forwarded to it.
 */
export function parseFlush(value: unknown, config: Config): readonly TableFilter[] {
  return reading(
    FlushSchema,
    value,
    (scope, reader) => {
      const zone = reader.zone(scope.zone, ["zone"]);
      const host = reader.addresses(scope.host, ["host"]);
      if (host === undefined) return [{ zone }];
      if (zone === undefined) reader.problems.add("zone", "the zone of the host", "nothing");
      return [
        { originalZone: zone, source: host },
        { replyZone: zone, replySource: host },
      ];
    },
    config,
  );
}

/** Whether a filter lets everything through. */
export function isEmpty(filter: TableFilter): boolean {
  return Object.values(filter).every((each) => each === undefined);
}

type Key = string | number;

/** Reads what the shape of a query leaves open. Undefined stays undefined. */
export class Reader {
  constructor(
    readonly config: Config,
    readonly problems: Problems,
  ) {}

  refuse(path: readonly Key[], expected: string, found: unknown): undefined {
    this.problems.add(pathText(path), expected, describe(found));
  }

  zone(value: string | number | undefined, path: readonly Key[]): number | undefined {
    if (value === undefined) return undefined;
    const text = String(value);
    const number = parseDecimal(text, Limit.Zones);
    const found = this.config.zones.find(({ id, name }) => id === number || name === text);
    return found?.id ?? this.refuse(path, "the name or number of a zone", value);
  }

  protocol(value: string | number | undefined, path: readonly Key[]): number | undefined {
    if (value === undefined || typeof value === "number") return value;
    const found = PROTOCOLS.get(value) ?? parseDecimal(value, 255);
    return found ?? this.refuse(path, PROTOCOL, value);
  }

  addresses(value: string | undefined, path: readonly Key[]): Prefix | undefined {
    if (value === undefined) return undefined;
    const address = parseAddress(value);
    if (address !== undefined) return { address, length: 32 };
    return parsePrefix(value) ?? this.refuse(path, ADDRESSES, value);
  }

  ports(value: string | number | undefined, path: readonly Key[]): PortRange | undefined {
    if (value === undefined) return undefined;
    return parsePorts(String(value), 0) ?? this.refuse(path, PORTS, value);
  }

  pool(value: string, path: readonly Key[]): number {
    const found = this.config.pools.find(({ name }) => name === value);
    if (found === undefined) this.refuse(path, "the name of a pool", value);
    return found?.index ?? 0;
  }

  /** With its cursor, which must be of the same query as far as it can tell. */
  page(query: Omit<TableQuery, "cursor"> & { cursor: string | undefined }): TableQuery {
    const { cursor: given, ...rest } = query;
    if (given === undefined) return rest;
    const cursor = readCursor(given, query);
    if (cursor === undefined) this.refuse(["cursor"], "a cursor of a page of this query", given);
    return { ...rest, cursor };
  }
}

type ConnFilterEntry = v.InferOutput<typeof ConnFilterSchema>;

function connFilter(entry: ConnFilterEntry, reader: Reader, path: readonly Key[]): TableFilter {
  const at = (key: keyof ConnFilterEntry) => [...path, key];
  const zone = (key: "zone" | "originalZone" | "replyZone") => reader.zone(entry[key], at(key));
  const addresses = (key: keyof ConnFilterEntry) =>
    reader.addresses(entry[key] as string | undefined, at(key));
  const ports = (key: keyof ConnFilterEntry) =>
    reader.ports(entry[key] as string | number | undefined, at(key));
  const { phase, translation } = entry;
  const filter: TableFilter = {
    zone: zone("zone"),
    originalZone: zone("originalZone"),
    replyZone: zone("replyZone"),
    protocol: reader.protocol(entry.protocol, at("protocol")),
    source: addresses("source"),
    destination: addresses("destination"),
    replySource: addresses("replySource"),
    replyDestination: addresses("replyDestination"),
    address: addresses("address"),
    sourcePort: ports("sourcePort"),
    destinationPort: ports("destinationPort"),
    replySourcePort: ports("replySourcePort"),
    replyDestinationPort: ports("replyDestinationPort"),
    port: ports("port"),
    phases: phase === undefined ? undefined : [phase].flat().map((each) => PHASES.indexOf(each)),
    translation,
  };
  if (entry.translated === undefined && entry.translatedPort === undefined) return filter;
  // What the source was translated to is the destination of the replies.
  for (const [given, other] of [
    ["translated", "replyDestination"],
    ["translatedPort", "replyDestinationPort"],
  ] as const) {
    if (entry[given] === undefined || entry[other] === undefined) continue;
    reader.problems.add(pathText(at(given)), `no ${other} beside it`, describe(entry[given]));
  }
  if (translation !== undefined && translation !== "source") {
    reader.problems.add(pathText(at("translation")), '"source"', describe(translation));
  }
  return {
    ...filter,
    translation: "source",
    replyDestination: addresses("translated") ?? filter.replyDestination,
    replyDestinationPort: ports("translatedPort") ?? filter.replyDestinationPort,
  };
}

/** Reads a value of a schema; throws a QueryError with everything that is wrong with it. */
export function reading<S extends v.GenericSchema, Result>(
  schema: S,
  value: unknown,
  read: (value: v.InferOutput<S>, reader: Reader) => Result,
  config: Config,
): Result {
  const problems = new Problems();
  const parsed = readShape(schema, value, problems);
  if (parsed === undefined) throw new QueryError(problems.list);
  const result = read(parsed, new Reader(config, problems));
  if (problems.list.length > 0) throw new QueryError(problems.list);
  return result;
}
