/**
 * A configuration's text in one form: keys in order, one value a line. Two texts that differ only in white
 * space and in the order of keys have the same.
 */

import { parseJson } from "../config/json.js";

/** The value of a configuration's text; undefined when it is no JSON. */
export function jsonOf(text: string): unknown {
  try {
    return parseJson(text);
  } catch {
    return undefined;
  }
}

/**
 * Without a line end. Of what is no JSON the text itself.
 * @param value  of the text, where it is known
 */
export function canonicalText(text: string, value = jsonOf(text)): string {
  return value === undefined ? text : JSON.stringify(sorted(value), undefined, 2);
}

/** Equal for equal values, on one line. */
export function canonicalKey(value: unknown): string {
  return JSON.stringify(sorted(value)) ?? "";
}

/** With the keys of all objects in order. parseJson bounds the depth. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isRecord(value)) return value;
  const copy: Record<string, unknown> = Object.create(null);
  for (const key of Object.keys(value).sort()) copy[key] = sorted(value[key]);
  return copy;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
