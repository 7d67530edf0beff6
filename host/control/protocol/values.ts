/** Building blocks of the protocol's schemas: what an answer may hold, said once for checks and for docs/protocol.schema.json. */

import * as v from "valibot";

export function count(description: string) {
  return v.pipe(v.number(), v.integer(), v.minValue(0), v.description(description));
}

export function number(description: string) {
  return v.pipe(v.number(), v.description(description));
}

export function words(description: string) {
  return v.pipe(v.string(), v.description(description));
}

export function flag(description: string) {
  return v.pipe(v.boolean(), v.description(description));
}

/** What stands there only where there is something to say. */
export function maybe<const S extends v.GenericSchema>(schema: S) {
  return v.optional(schema);
}

/** Milliseconds since 1970. */
export const time = (description: string) => number(`${description} Milliseconds since 1970.`);

/** The number of a zone, by which `zones.list` names it. */
export const zoneNumber = () => count("Number of a zone; zones.list has its name.");

export function listOf<const S extends v.GenericSchema>(item: S, description: string) {
  return v.pipe(v.array(item), v.description(description));
}

/** By names that the configuration or the datapath gives. */
export function byName<const S extends v.GenericSchema>(value: S, description: string) {
  return v.pipe(v.record(v.string(), value), v.description(description));
}

/** Rows of one page, and where the next one begins. */
export function pageOf<const S extends v.GenericSchema>(row: S, description: string) {
  return v.strictObject({
    rows: listOf(row, description),
    matched: maybe(count("How many there are; left out where that ends with the page.")),
    cursor: maybe(words("`cursor` of the next page; left out behind the last row.")),
  });
}

export const NoParams = v.strictObject({}, "an object without keys");
export const Nothing = v.strictObject({});

/** One thing that is wrong. */
export const ProblemShape = v.strictObject({
  path: words("Where: `zones[2].interface`, or line and column of a text that is no JSON."),
  expected: words("What is expected there."),
  found: words("What was found."),
});
