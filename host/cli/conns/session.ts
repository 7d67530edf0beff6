/** A conn as an event tells of it, and conntrack's conditions on that. */

import { type AddressRange, parseAddresses, parsePorts } from "../../config/address.js";
import type { Notification } from "../../control/protocol/methods.js";
import { UsageError } from "../command.js";
import type { Values } from "../definition.js";
import { FILTER_OPTIONS } from "./filter.js";
import type { Tuple } from "./format.js";
import { numberOf, protocolOf } from "./protocol.js";

export type Told = Notification<"events.told">["events"][number];

interface Session {
  readonly protocol: string;
  readonly original: Tuple;
  readonly reply: Tuple;
}

/** Whose first packet went where, and what became of both: docs/telemetry.md, Events. */
export function sessionOf(fields: Told["fields"]): Session {
  const word = (name: string) => String(fields[name] ?? "");
  const number = (name: string) => Number(fields[name] ?? 0);
  const isForwarded = fields.target !== undefined;
  return {
    protocol: word("protocol"),
    original: {
      zone: number("zoneId"),
      source: word("address"),
      sourcePort: number("port"),
      destination: word("remote"),
      destinationPort: number("remotePort"),
    },
    reply: {
      zone: number("externalZoneId"),
      source: word(isForwarded ? "target" : "remote"),
      sourcePort: number(isForwarded ? "targetPort" : "remotePort"),
      destination: word("external"),
      destinationPort: number("externalPort"),
    },
  };
}

const { family, proto, src, dst, sport, dport } = FILTER_OPTIONS;

/** Of those of `list` what an event tells of a conn. */
export const SESSION_OPTIONS = { family, proto, src, dst, sport, dport } as const;

type SessionValues = Values<typeof SESSION_OPTIONS>;

/** Whether an event's conn fits all of the conditions; undefined where there are none. @throws UsageError */
export function sessionFilter(
  values: SessionValues,
): ((fields: Told["fields"]) => boolean) | undefined {
  const tests: ((session: Session) => boolean)[] = [];
  if (values.proto !== undefined) {
    const wanted = numberOf(protocolOf(values.proto));
    if (!(wanted <= 255))
      throw unexpected("proto", "tcp, udp, icmp, sctp, gre or a number", values);
    tests.push(({ protocol }) => numberOf(protocol) === wanted);
  }
  for (const [name, end] of [
    ["src", "source"],
    ["dst", "destination"],
  ] as const) {
    const text = values[name];
    if (text === undefined) continue;
    const range = parseAddresses(text);
    if (range === undefined) throw unexpected(name, "an address or a prefix", values);
    tests.push(({ original }) => isWithin(original[end], range));
  }
  for (const [name, end] of [
    ["sport", "sourcePort"],
    ["dport", "destinationPort"],
  ] as const) {
    const text = values[name];
    if (text === undefined) continue;
    const range = parsePorts(text, 0);
    if (range === undefined) throw unexpected(name, "a port or a range of ports", values);
    tests.push(({ original }) => range.low <= original[end] && original[end] <= range.high);
  }
  if (tests.length === 0) return undefined;
  return (fields) => {
    const session = sessionOf(fields);
    return tests.every((fits) => fits(session));
  };
}

function isWithin(address: string, { first, last }: AddressRange): boolean {
  const found = parseAddresses(address)?.first ?? Number.NaN;
  return first <= found && found <= last;
}

function unexpected(
  name: keyof SessionValues,
  expected: string,
  values: SessionValues,
): UsageError {
  return new UsageError(`--${name}: ${expected} expected, found '${values[name]}'`);
}
