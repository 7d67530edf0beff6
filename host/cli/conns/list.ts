/** `crosszone list`: the conn table, page by page, so that its length costs neither end memory. */

import { Limit } from "../../../assembly/abi.js";
import type { Client } from "../../control/client.js";
import { Exit } from "../command.js";
import { askingVerb } from "../connection.js";
import { command, type Values, wholeNumber } from "../definition.js";
import { formOf, JsonArray, write } from "../output.js";
import { FILTER_OPTIONS, FILTER_PARAMETERS, filterOf, STRANGERS } from "./filter.js";
import { type Conn, CSV_HEADING, crosszoneLine, csvRow, extendedLine, ovsLine } from "./format.js";

const OPTIONS = {
  ...FILTER_OPTIONS,
  output: {
    type: "string",
    short: "o",
    value: "FORM",
    choices: ["extended", "extended,id", "ovs", "crosszone", "json", "csv"],
    help:
      "the form of a line: extended, if nothing is said, is that of conntrack -L -o extended, ovs that of ovs-appctl dpctl/dump-conntrack, " +
      "crosszone both tuples with an arrow between; json and csv are --json and --csv",
  },
  json: {
    type: "boolean",
    help: "an array of objects as docs/protocol.md has them, one on a line",
  },
  csv: { type: "boolean", help: "CSV (RFC 4180), the first line names the columns" },
  sort: {
    type: "string",
    value: "KEY",
    choices: ["table", "age", "expiry", "bytes", "packets", "source", "zone"],
    default: "table",
    help: "what is first; table is the order of the table itself, and the cheapest",
  },
  order: {
    type: "string",
    value: "ORDER",
    choices: ["asc", "desc"],
    default: "asc",
    help: "the youngest or the smallest first, or the other way round",
  },
  limit: { type: "string", value: "N", help: "at most so many" },
} as const;

type ListValues = Values<typeof OPTIONS>;

/** What is written in front of, for, and behind conns. */
interface Writing {
  readonly heading: string;
  row(conn: Conn): string;
  ending(): string;
}

export const list = command(
  "Look",
  askingVerb({
    name: "list",
    summary: "list conns, as conntrack, Open vSwitch or a program reads them",
    text:
      "Lists the conns that fit all of the conditions; without any, all conns. Lines have the form of conntrack -L -o " +
      "extended with the zones of both directions (zone-orig=, zone-reply=). The table goes on while it is listed: what " +
      "begins meanwhile may be missing; nothing is listed twice, except by --sort bytes, packets or expiry, which traffic " +
      "moves: there a conn may be listed twice, or be missing.",
    options: OPTIONS,
    usage: ["[CONDITION]... [-o FORM|--json|--csv] [--sort KEY] [--order ORDER] [--limit N]"],
    parameters: FILTER_PARAMETERS,
    strangers: STRANGERS,
    examples: [
      "list -w a -p tcp --state established",
      "list --src-nat 203.0.113.7 --src-nat-port 9553 -o crosszone",
      "list --json --sort bytes --order desc --limit 10",
    ],

    check({ values }) {
      writingOf(values);
      filterOf(values);
      limitOf(values);
    },

    async ask({ client, values }) {
      const writing = writingOf(values);
      const limit = limitOf(values);
      await write(writing.heading);
      for await (const conns of pages(client, values, limit)) {
        await write(conns.map((conn) => writing.row(conn)).join(""));
      }
      await write(writing.ending());
      return Exit.Ok;
    },
  }),
);

async function* pages(
  client: Client,
  values: ListValues,
  limit: number,
): AsyncGenerator<readonly Conn[]> {
  const query = { filter: filterOf(values), sort: values.sort, order: values.order };
  let cursor: string | undefined;
  let left = limit;
  do {
    const page = await client.call("conns.query", {
      ...query,
      limit: Math.min(left, Limit.SearchRows),
      ...(cursor === undefined ? {} : { cursor }),
    });
    yield page.rows;
    left -= page.rows.length;
    cursor = page.cursor;
  } while (cursor !== undefined && left > 0);
}

function limitOf({ limit }: ListValues): number {
  if (limit === undefined) return Number.POSITIVE_INFINITY;
  return wholeNumber("--limit", limit, 1, Number.MAX_SAFE_INTEGER);
}

function writingOf(values: ListValues): Writing {
  const form = formOf(values);
  if (form === "csv") return { heading: CSV_HEADING, row: csvRow, ending: () => "" };
  if (form === "json") {
    const array = new JsonArray();
    return { heading: "", row: (conn) => array.add(conn), ending: () => array.end() };
  }
  const line = lineOf(form);
  return { heading: "", row: (conn) => `${line(conn)}\n`, ending: () => "" };
}

function lineOf(output: ListValues["output"]): (conn: Conn) => string {
  switch (output) {
    case "ovs":
      return ovsLine;
    case "crosszone":
      return crosszoneLine;
    case "extended,id":
      return (conn) => extendedLine(conn, true);
    default:
      return (conn) => extendedLine(conn);
  }
}
