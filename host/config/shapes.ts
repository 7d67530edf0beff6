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

/** The name or number of something that another section defines. */
function reference(what: string, max: number, description: string) {
  const message = `the name or number of a ${what}`;
  const number = v.pipe(
    v.number(message),
    v.integer(message),
    v.minValue(0, message),
    v.maxValue(max, message),
  );
  return v.pipe(v.union([number, v.string(message)], message), v.description(description));
}

export const zoneReference = (description: string) => reference("zone", Limit.Zones, description);
export const deviceReference = (description: string) =>
  reference("device", Limit.Devices, description);

const PORT_MAX = 65535;
export const port = (description: string) => whole("a port", 1, PORT_MAX, description);
export const address = (description: string) => text("an IPv4 address", description);
export const mac = (description: string) => text("a unicast MAC", description);

export const PORT_OR_RANGE = 'a port from 1 to 65535 or an ascending range, as "8000-8010"';

/** A port, or a range as text, whose form readPorts() checks. */
export function portOrRange(description: string) {
  const number = v.pipe(
    v.number(PORT_OR_RANGE),
    v.integer(PORT_OR_RANGE),
    v.minValue(1, PORT_OR_RANGE),
    v.maxValue(PORT_MAX, PORT_OR_RANGE),
  );
  const either = v.union([number, v.string(PORT_OR_RANGE)], PORT_OR_RANGE);
  return v.pipe(either, v.description(description));
}

/** One value for all protocols, or an object with one for each; `Value` is made afresh for each place. */
export function perProtocol<const Value extends v.GenericSchema>(
  value: () => Value,
  what: string,
  description: string,
) {
  const each = v.strictObject(
    { tcp: v.optional(value()), udp: v.optional(value()), icmp: v.optional(value()) },
    `${what}, or an object of them with tcp, udp, icmp`,
  );
  const message = `${what}, or an object of them with tcp, udp, icmp`;
  return v.pipe(v.union([value(), each], message), v.description(description));
}

/** One of some words; `what` stands in errors. */
export function oneOf<const Words extends readonly string[]>(words: Words, description: string) {
  return v.pipe(v.picklist(words, listed(words)), v.description(description));
}

/** `one of "a", "b"` */
export function listed(words: readonly string[]): string {
  const list = words.map((word) => `"${word}"`).join(", ");
  return words.length > 1 ? `one of ${list}` : list;
}

export function flag(standard: boolean, description: string) {
  return v.optional(v.pipe(v.boolean("true or false"), v.description(description)), standard);
}

/** Values of which this version knows some only. */
export function supported<const Now extends readonly string[]>(
  now: Now,
  later: readonly string[],
  description: string,
) {
  const list = later.map((value) => `"${value}"`).join(", ");
  const note = later.length > 0 ? ` (not supported yet: ${list})` : "";
  return v.pipe(v.picklist(now, `${listed(now)}${note}`), v.description(`${description}${note}`));
}

export function array<const Item extends v.GenericSchema>(
  item: Item,
  what: string,
  description: string,
) {
  return v.pipe(v.array(item, `an array of ${what}`), v.description(description));
}
