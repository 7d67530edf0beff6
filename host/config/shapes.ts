/** Building blocks of the schema: each says in one place what a value is, for errors and for export. */

import * as v from "valibot";
import { Limit } from "../../assembly/abi.js";

/** A whole number; `what` is its name in errors, `description` is for the exported schema. */
export function whole(what: string, min: number, max: number, description: string) {
  const message = `${what} from ${min} to ${max}`;
  return v.pipe(
    v.number(message),
    v.integer(message),
    v.minValue(min, message),
    v.maxValue(max, message),
    v.description(description),
  );
}

/** Letters first: a name is never taken for a number or an address. */
export const NAME = /^[A-Za-z_][A-Za-z0-9_.:@-]*$/;

export function name(what: string, description: string) {
  const message = `${what}: a letter or "_", then letters, digits or _ . : @ -, at most ${Limit.NameBytes} bytes`;
  return v.pipe(
    v.string(message),
    v.regex(NAME, message),
    v.maxLength(Limit.NameBytes, message),
    v.description(description),
  );
}

/** Text whose form parse.ts checks. */
export function text(what: string, description: string) {
  return v.pipe(v.string(what), v.description(description));
}

/** Values of which this version knows some only. */
export function supported<const Now extends readonly string[]>(
  now: Now,
  later: readonly string[],
  description: string,
) {
  const list = (values: readonly string[]) => values.map((value) => `"${value}"`).join(", ");
  const note = later.length > 0 ? ` (not supported yet: ${list(later)})` : "";
  return v.pipe(
    v.picklist(now, `${now.length > 1 ? "one of " : ""}${list(now)}${note}`),
    v.description(`${description}${note}`),
  );
}

export function notYet(what: string, description: string) {
  return v.pipe(
    v.never(`no ${what} (not supported yet)`),
    v.description(`${description} Not supported yet.`),
  );
}

export function array<const Item extends v.GenericSchema>(
  item: Item,
  what: string,
  description: string,
) {
  return v.pipe(v.array(item, `an array of ${what}`), v.description(description));
}
