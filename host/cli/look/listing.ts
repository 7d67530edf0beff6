/** What the commands share that print a table of the router's, as a table or as JSON. */

import { Limit } from "../../../assembly/abi.js";
import type { Client } from "../../control/client.js";
import type { GivenParams, Result } from "../../control/protocol/methods.js";
import { Exit } from "../command.js";
import { JsonArray, write } from "../output.js";
import { type Cell, Table } from "../table.js";

export const JSON_OPTION = {
  json: { type: "boolean", help: "an array of objects as docs/protocol.md has them" },
} as const;

type PagedMethod = "mappings.list" | "neighbors.list" | "flows.list" | "pools.addresses";

/** All rows, a page at a time. */
export async function* pagesOf<M extends PagedMethod>(
  client: Client,
  method: M,
  params: GivenParams<M>,
): AsyncGenerator<Result<M>["rows"]> {
  let cursor: string | undefined;
  do {
    const going = cursor === undefined ? {} : { cursor };
    const page: Result<M> = await client.call(method, {
      ...params,
      limit: Limit.SearchRows,
      ...going,
    });
    yield page.rows;
    cursor = page.cursor;
  } while (cursor !== undefined);
}

export interface Form<Row> {
  readonly json: boolean;
  readonly heading: readonly string[];
  cells(row: Row): readonly Cell[];
}

/** Prints pages of rows as they come. */
export async function printPages<Row>(
  pages: AsyncIterable<readonly Row[]> | Iterable<readonly Row[]>,
  { json, heading, cells }: Form<Row>,
): Promise<Exit> {
  const array = new JsonArray();
  const table = new Table(heading);
  for await (const rows of pages) {
    if (json) await write(rows.map((row) => array.add(row)).join(""));
    else await write(table.add(rows.map(cells)));
  }
  if (json) await write(array.end());
  return Exit.Ok;
}

/** From the number of a zone to its name; the number where it has none any more. */
export async function zoneNames(client: Client): Promise<(zone: number) => string> {
  const { zones } = await client.call("zones.list", {});
  const names = new Map(zones.map(({ id, name }) => [id, name]));
  return (zone) => names.get(zone) ?? String(zone);
}
