/** Which conns: options in conntrack's words, made into the protocol's filter. */

import type { GivenParams } from "../../control/protocol/methods.js";
import { UsageError } from "../command.js";
import type { Values } from "../definition.js";
import { readStates } from "./state.js";

export type ConnFilter = NonNullable<GivenParams<"conns.query">["filter"]>;

const ADDRESS = "ADDRESS";
const PORT = "PORT";

export const FILTER_OPTIONS = {
  zone: {
    type: "string",
    short: "w",
    value: "ZONE",
    help: "the zone of either direction, by name or number",
  },
  "orig-zone": { type: "string", value: "ZONE", help: "the zone of the original direction" },
  "reply-zone": { type: "string", value: "ZONE", help: "the zone of the reply direction" },
  proto: {
    type: "string",
    short: "p",
    value: "PROTOCOL",
    help: "tcp, udp, icmp, sctp or a number",
  },
  src: {
    type: "string",
    short: "s",
    value: ADDRESS,
    help: "the source of the original direction; an address, or a prefix as 192.168.0.0/24",
  },
  dst: {
    type: "string",
    short: "d",
    value: ADDRESS,
    help: "the destination of the original direction",
  },
  sport: {
    type: "string",
    value: PORT,
    help: "the source port of the original direction, for ICMP the identifier; or a range as 8000-8010",
  },
  dport: { type: "string", value: PORT, help: "the destination port of the original direction" },
  "reply-src": {
    type: "string",
    short: "r",
    value: ADDRESS,
    help: "the source of the reply direction",
  },
  "reply-dst": {
    type: "string",
    short: "q",
    value: ADDRESS,
    help: "the destination of the reply direction",
  },
  "reply-port-src": { type: "string", value: PORT, help: "the source port of the reply direction" },
  "reply-port-dst": {
    type: "string",
    value: PORT,
    help: "the destination port of the reply direction",
  },
  "src-nat": {
    type: "string",
    short: "n",
    value: ADDRESS,
    help: "what the source was translated to",
  },
  "src-nat-port": { type: "string", value: PORT, help: "what the source's port was translated to" },
  address: { type: "string", value: ADDRESS, help: "any of the four addresses" },
  port: { type: "string", value: PORT, help: "any of the four ports" },
  state: {
    type: "string",
    multiple: true,
    value: "STATE",
    help:
      "a state, or several with commas: new, established, fin-original, fin-reply, closing, reset; or what conntrack " +
      "(SYN_SENT, FIN_WAIT, TIME_WAIT …) and Open vSwitch (FIN_WAIT_1 …) call it. Theirs are finer: one that is not told " +
      "apart here finds its neighbors, too",
  },
  nat: {
    type: "string",
    value: "WHAT",
    choices: ["source", "destination", "none"],
    help: "what of the original direction is translated",
  },
} as const;

type FilterValues = Values<typeof FILTER_OPTIONS>;

/** The protocol's name of an option's condition. */
const KEYS = {
  zone: "zone",
  "orig-zone": "originalZone",
  "reply-zone": "replyZone",
  proto: "protocol",
  src: "source",
  dst: "destination",
  sport: "sourcePort",
  dport: "destinationPort",
  "reply-src": "replySource",
  "reply-dst": "replyDestination",
  "reply-port-src": "replySourcePort",
  "reply-port-dst": "replyDestinationPort",
  "src-nat": "translated",
  "src-nat-port": "translatedPort",
  address: "address",
  port: "port",
  nat: "translation",
} as const satisfies Partial<Record<keyof FilterValues, keyof ConnFilter>>;

/** What options are called when the router refuses what they were made into. */
export const FILTER_PARAMETERS: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(KEYS).flatMap(([option, key]) => [
    [`filter.${key}`, `--${option}`],
    [key, `--${option}`],
  ]),
);

/** @throws UsageError */
export function filterOf(values: FilterValues): ConnFilter {
  const given = Object.entries(KEYS).flatMap(([option, key]) => {
    const value = values[option as keyof typeof KEYS];
    return value === undefined ? [] : [[key, value] as const];
  });
  const filter: ConnFilter = Object.fromEntries(given);
  if (values.state.length === 0) return filter;
  const { phases, isTcp } = readStates(values.state);
  if (!isTcp) return { ...filter, phase: [...phases] };
  const { protocol = "tcp" } = filter;
  if (protocol !== "tcp" && protocol !== "6") {
    throw new UsageError(`--state: ${values.state.join(",")} is of TCP, not of ${protocol}`);
  }
  return { ...filter, protocol, phase: [...phases] };
}
