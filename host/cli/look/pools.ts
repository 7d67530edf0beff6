/** `crosszone pools`, `hosts` and `mappings`: who has how much of what is shared. */

import type { Result } from "../../control/protocol/methods.js";
import { Exit } from "../command.js";
import { askingVerb } from "../connection.js";
import { PROTOCOL_WORDS, protocolOf } from "../conns/protocol.js";
import { command, wholeNumber } from "../definition.js";
import { duration } from "../numbers.js";
import type { Cell } from "../table.js";
import { JSON_OPTION, pagesOf, printPages, zoneNames } from "./listing.js";

type Pool = Result<"pools.list">["pools"][number];
type PoolAddress = Result<"pools.addresses">["rows"][number];

const PROTOCOLS = ["tcp", "udp", "icmp"] as const;

export const pools = command(
  "Look",
  askingVerb({
    name: "pools",
    summary: "print what is used and left of pools",
    text:
      "Prints of each pool, protocol by protocol, the ports that are used, that rest before they are given again, and that " +
      "are free. With a pool's name: the same of each of its addresses.",
    args: [{ name: "POOL", help: "a pool's name", isOptional: true }],
    options: JSON_OPTION,
    parameters: { pool: "POOL" },
    examples: ["pools", "pools p1"],

    async ask({ client, values: { json }, args: [pool] }) {
      if (pool !== undefined) {
        return await printEach(
          pagesOf(client, "pools.addresses", { pool }),
          json,
          "ADDRESS",
          (row) => [row.address],
        );
      }
      const { pools } = await client.call("pools.list", {});
      const nameOf = await zoneNames(client);
      if (json) return await printPages([pools], { json, heading: [], cells: () => [] });
      await printEach([pools], false, "POOL", ({ name }) => [name]);
      const shares = pools.flatMap(({ name, zones }) => zones.map((zone) => ({ name, ...zone })));
      if (shares.length === 0) return Exit.Ok;
      process.stdout.write("\n");
      return await printPages([shares], {
        json: false,
        heading: ["POOL", "ZONE", "TCP", "UDP", "ICMP", "OTHERS"],
        cells: ({ name, zone, tcp, udp, icmp, others }) => {
          return [name, nameOf(zone), tcp, udp, icmp, others];
        },
      });
    },
  }),
);

/** A line for each protocol, and one for blocks where there are any. */
async function printEach<Row extends Pool | PoolAddress>(
  pages: AsyncIterable<readonly Row[]> | Iterable<readonly Row[]>,
  json: boolean,
  title: string,
  named: (row: Row) => readonly Cell[],
): Promise<Exit> {
  if (json) return await printPages(pages, { json, heading: [], cells: () => [] });
  return await printPages(lines(pages, named), {
    json,
    heading: [title, "OF", "USED", "RESTING", "FREE", "USED %"],
    cells: (line) => line,
  });
}

async function* lines<Row extends Pool | PoolAddress>(
  pages: AsyncIterable<readonly Row[]> | Iterable<readonly Row[]>,
  named: (row: Row) => readonly Cell[],
): AsyncGenerator<(readonly Cell[])[]> {
  for await (const rows of pages) {
    yield rows.flatMap((row) => {
      const ports = PROTOCOLS.map((protocol): readonly Cell[] => {
        const { used, resting, free } = row.ports[protocol];
        return [...named(row), protocol, used, resting, free, percent(used, used + resting + free)];
      });
      const { blocks } = row;
      if (blocks === undefined) return ports;
      const { used, free } = blocks;
      return [...ports, [...named(row), "blocks", used, 0, free, percent(used, used + free)]];
    });
  }
}

function percent(part: number, whole: number): string {
  return whole === 0 ? "-" : ((part * 100) / whole).toFixed(1);
}

const HOST_SORTS = ["bytes", "packets", "conns", "ports", "address", "zone"] as const;

export const hosts = command(
  "Look",
  askingVerb({
    name: "hosts",
    summary: "print the inside hosts with the most of something",
    text: "Prints inside hosts with their conns, their external ports, and what their conns have carried.",
    options: {
      zone: { type: "string", short: "w", value: "ZONE", help: "of this zone, by name or number" },
      address: { type: "string", value: "ADDRESS", help: "this one, or those of a prefix" },
      sort: {
        type: "string",
        value: "KEY",
        choices: HOST_SORTS,
        default: "bytes",
        help: "the most of what first",
      },
      order: {
        type: "string",
        value: "ORDER",
        choices: ["asc", "desc"],
        help: "the least first, or the most; by address and zone asc if not given, else desc",
      },
      limit: { type: "string", value: "N", default: "20", help: "at most so many, up to 500" },
      ...JSON_OPTION,
    },
    parameters: { "filter.zone": "--zone", "filter.address": "--address" },
    examples: ["hosts --sort conns", "hosts -w a --limit 5"],

    check({ values }) {
      wholeNumber("--limit", values.limit, 1, 500);
    },

    async ask({ client, values: { zone, address, sort, order, limit, json } }) {
      const standard = sort === "address" || sort === "zone" ? "asc" : "desc";
      const { hosts } = await client.call("hosts.top", {
        filter: {
          ...(zone === undefined ? {} : { zone }),
          ...(address === undefined ? {} : { address }),
        },
        sort,
        order: order ?? standard,
        limit: Number(limit),
      });
      const nameOf = await zoneNames(client);
      return await printPages([hosts], {
        json,
        heading: ["ZONE", "ADDRESS", "CONNS", "TCP", "UDP", "ICMP", "BLOCKS", "PACKETS", "BYTES"],
        cells: ({ zone, address, conns, ports, blocks, packets, bytes }) => {
          const { tcp, udp, icmp } = ports;
          return [nameOf(zone), address, conns, tcp, udp, icmp, blocks, packets, bytes];
        },
      });
    },
  }),
);

export const mappings = command(
  "Look",
  askingVerb({
    name: "mappings",
    summary: "print inside endpoints with their external ports",
    text:
      "Prints which external address and port an inside endpoint has, and how many conns use it. Where conns of several " +
      "endpoints share a port there is no inside to name.",
    options: {
      zone: { type: "string", short: "w", value: "ZONE", help: "the zone inside or outside" },
      proto: {
        type: "string",
        short: "p",
        value: "PROTOCOL",
        words: PROTOCOL_WORDS,
        help: "tcp, udp, icmp or a number",
      },
      address: { type: "string", value: "ADDRESS", help: "the inside endpoint's" },
      port: { type: "string", value: "PORT", help: "the inside endpoint's" },
      external: { type: "string", value: "ADDRESS", help: "the external one" },
      "external-port": { type: "string", value: "PORT", help: "the external one" },
      ...JSON_OPTION,
    },
    parameters: {
      "filter.zone": "--zone",
      "filter.protocol": "--proto",
      "filter.address": "--address",
      "filter.port": "--port",
      "filter.external": "--external",
      "filter.externalPort": "--external-port",
    },
    examples: ["mappings --external 203.0.113.7 --external-port 9553"],

    async ask({ client, values: { zone, proto, address, port, external, json, ...others } }) {
      const { "external-port": externalPort } = others;
      const nameOf = await zoneNames(client);
      const filter = {
        ...(zone === undefined ? {} : { zone }),
        ...(proto === undefined ? {} : { protocol: protocolOf(proto) }),
        ...(address === undefined ? {} : { address }),
        ...(port === undefined ? {} : { port }),
        ...(external === undefined ? {} : { external }),
        ...(externalPort === undefined ? {} : { externalPort }),
      };
      return await printPages(pagesOf(client, "mappings.list", { filter }), {
        json,
        heading: ["PROTO", "ZONE", "INSIDE", "OUTSIDE", "EXTERNAL", "CONNS", "AGE"],
        cells: (row) => [
          row.protocol,
          row.shared ? "-" : nameOf(row.zone),
          row.shared ? "(shared)" : `${row.address}:${row.port}`,
          nameOf(row.externalZone),
          `${row.external}:${row.externalPort}`,
          row.conns,
          duration(row.ageMs),
        ],
      });
    },
  }),
);
