/**
 * Pages. Those of a search go on at a rank (cursor.ts); those of what has an order of its own under one configuration go on
 * at a place, and their cursor names both.
 */

import type { PageQuery } from "./filter.js";

/** A page, and where the next one begins: undefined behind the last. It may have fewer rows than were wanted. */
export interface Page<Row> {
  readonly rows: readonly Row[];
  /** How many there are; of what is read in the order of its table undefined, since that ends with the page. */
  readonly matched: number | undefined;
  readonly cursor: string | undefined;
}

/** A page cannot go on where the one before ended. */
export class CursorError extends Error {
  override readonly name = "CursorError";
}

/** Where a page begins of what has an order of its own under one configuration. */
export function placeIn({ cursor }: PageQuery, configuration: number): number {
  if (cursor === undefined) return 0;
  const [, number, place] = /^(\d{1,15})\.(\d{1,15})$/.exec(cursor) ?? [];
  if (number !== String(configuration)) {
    throw new CursorError("cursor: expected one of the configuration in force");
  }
  return Number(place);
}

export function pageOf<Row>(
  rows: readonly Row[],
  first: number,
  matched: number,
  configuration: number,
): Page<Row> {
  const next = first + rows.length;
  return { rows, matched, cursor: next < matched ? `${configuration}.${next}` : undefined };
}
