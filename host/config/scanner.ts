/** A place in a flow's text: takes words and values from it and names the column of what is wrong. */

import {
  formatAddress,
  formatRange,
  type PortRange,
  type Prefix,
  parseAddress,
  parseDecimal,
  parsePrefix,
  parseRange,
} from "./address.js";
import { ConfigError, describe, problem } from "./error.js";
import type { Endpoint, Masquerade } from "./flowtext.js";
import { NAME } from "./shapes.js";

const HEX = /^0[xX][0-9A-Fa-f]{1,8}$/;
const WORD = /[A-Za-z_][A-Za-z0-9_]*/y;
const VALUE = /[^\s,()]*/y;
const SPACE = /\s*/y;
const SHOWN = /[^\s,()]+|[\s\S]/y;

/** A decimal number, or a hexadecimal one with 0x. */
export function parseNumber(text: string, max: number): number | undefined {
  const value = HEX.test(text) ? Number.parseInt(text.slice(2), 16) : parseDecimal(text, max);
  return value !== undefined && value <= max ? value : undefined;
}

/** A value and where it began. */
export interface Placed<T> {
  readonly value: T;
  readonly at: number;
}

/** What of a flow has a place of its own in errors that are found later. */
export type FlowPart =
  | "in_port"
  | "zone"
  | "tp_src"
  | "tp_dst"
  | "action"
  | "src_zone"
  | "dst_zone"
  | "masq"
  | "dst"
  | "src"
  | "action_zone"
  | "output";

export class Scanner {
  at = 0;
  private readonly parts = new Map<FlowPart, number>();

  constructor(
    private readonly text: string,
    private readonly path: string,
  ) {}

  get atEnd(): boolean {
    return this.at >= this.text.length;
  }

  /** `flows[3] column 17` */
  place(at: number): string {
    return `${this.path} column ${at + 1}`;
  }

  /** Remembers where a part of the flow begins. */
  mark(part: FlowPart, at = this.at): void {
    this.parts.set(part, at);
  }

  placeOf(part: FlowPart): string {
    return this.place(this.parts.get(part) ?? 0);
  }

  /** Ends the parse: something else was expected at this place. */
  fail(expected: string, at = this.at, found = this.shown(at)): never {
    throw new ConfigError([problem(this.place(at), expected, found)]);
  }

  private shown(at: number): string {
    SHOWN.lastIndex = at;
    const rest = SHOWN.exec(this.text)?.[0];
    return rest === undefined ? "the end of the flow" : describe(rest);
  }

  private take(pattern: RegExp): string {
    pattern.lastIndex = this.at;
    const taken = pattern.exec(this.text)?.[0] ?? "";
    this.at += taken.length;
    return taken;
  }

  skipSpace(): void {
    this.take(SPACE);
  }

  skip(character: string): boolean {
    if (this.text[this.at] !== character) return false;
    this.at += 1;
    return true;
  }

  expect(character: string): void {
    if (!this.skip(character)) this.fail(describe(character));
  }

  /** A comma with any white space around it, or white space alone; "" where neither stands. */
  separator(): "," | " " | "" {
    const space = this.take(SPACE) !== "";
    const comma = this.skip(",");
    this.skipSpace();
    if (comma) return ",";
    return space ? " " : "";
  }

  /** A keyword in small letters, "" where none stands. */
  word(): Placed<string> {
    const at = this.at;
    return { at, value: this.take(WORD).toLowerCase() };
  }

  /** What stands up to the next separator or parenthesis, read by `parse`. */
  value<T>(expected: string, parse: (text: string) => T | undefined): T {
    const at = this.at;
    const value = parse(this.take(VALUE));
    return value === undefined ? this.fail(expected, at) : value;
  }

  number(expected: string, max: number): number {
    return this.value(`${expected} from 0 to ${max}`, (text) => parseNumber(text, max));
  }

  /** The name or number of a zone or device, marked as a part; numbers come out decimal. */
  reference(part: FlowPart, kind: "zone" | "device"): string {
    this.mark(part);
    return this.value(`the name or number of a ${kind}`, (text) => {
      const number = parseNumber(text, 65535);
      if (number !== undefined) return String(number);
      return NAME.test(text) ? text : undefined;
    });
  }

  prefix(): Prefix {
    return this.value('an address or a prefix without host bits, as "10.0.0.0/8"', (text) => {
      const address = parseAddress(text);
      return address === undefined ? parsePrefix(text) : { address, length: 32 };
    });
  }

  /** `80` or `1024-2047` */
  ports(): PortRange {
    return this.value("a port from 0 to 65535 or an ascending range a-b", (text) => {
      const [lowText = "", highText, ...rest] = text.split("-");
      const low = parseNumber(lowText, 65535);
      const high = highText === undefined ? low : parseNumber(highText, 65535);
      if (rest.length > 0 || low === undefined || high === undefined) return undefined;
      return low <= high ? { low, high } : undefined;
    });
  }

  /** `203.0.113.7`, `203.0.113.7-203.0.113.9` or the name of a pool. */
  masquerade(): Masquerade {
    this.mark("masq");
    return this.value("an address, an ascending range a-b or the name of a pool", (text) => {
      if (NAME.test(text)) return { text, addresses: undefined };
      const range = parseRange(text);
      if (range !== undefined) return { text: formatRange(range), addresses: range };
      const address = parseAddress(text);
      if (address === undefined) return undefined;
      return { text: formatAddress(address), addresses: { first: address, last: address } };
    });
  }

  /** `203.0.113.50`, marked as a part. */
  address(part: FlowPart): number {
    this.mark(part);
    return this.value("an address", parseAddress);
  }

  /** `192.168.0.10` or `192.168.0.10:80` */
  endpoint(): Endpoint {
    this.mark("dst");
    return this.value('an address or an address and port, as "192.168.0.10:80"', (text) => {
      const [addressText = "", portText, ...rest] = text.split(":");
      const address = parseAddress(addressText);
      const port = portText === undefined ? undefined : parseNumber(portText, 65535);
      if (rest.length > 0 || address === undefined) return undefined;
      if (portText !== undefined && (port === undefined || port === 0)) return undefined;
      return { address, port };
    });
  }
}
