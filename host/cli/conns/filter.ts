/** Which conns: options in conntrack's words, made into the protocol's filter. */

import { parseAddress, parsePrefix } from "../../config/address.js";
import type { GivenParams } from "../../control/protocol/methods.js";
import { ADDRESSES } from "../../telemetry/filtershape.js";
import { UsageError } from "../command.js";
import type { Values } from "../definition.js";
import { PROTOCOL_WORDS, protocolOf } from "./protocol.js";
import { readStates, STATE_WORDS } from "./state.js";

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
    aliases: ["protonum"],
    value: "PROTOCOL",
    words: PROTOCOL_WORDS,
    help: "tcp, udp, icmp, sctp, gre or a number",
  },
  family: {
    type: "string",
    short: "f",
    value: "FAMILY",
    choices: ["ipv4"],
    help: "for scripts that say it: there is no other",
  },
  src: {
    type: "string",
    short: "s",
    aliases: ["orig-src"],
    value: ADDRESS,
    help: "the source of the original direction; an address, or a prefix as 192.168.0.0/24",
  },
  dst: {
    type: "string",
    short: "d",
    aliases: ["orig-dst"],
    value: ADDRESS,
    help: "the destination of the original direction",
  },
  sport: {
    type: "string",
    aliases: ["orig-port-src"],
    value: PORT,
    help: "the source port of the original direction, for ICMP the identifier; or a range as 8000-8010",
  },
  dport: {
    type: "string",
    aliases: ["orig-port-dst"],
    value: PORT,
    help: "the destination port of the original direction",
  },
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
    isLone: true,
    value: ADDRESS,
    help: "what the source was translated to; without ADDRESS, that it is translated",
  },
  "src-nat-port": { type: "string", value: PORT, help: "what the source's port was translated to" },
  "dst-nat": {
    type: "string",
    short: "g",
    isLone: true,
    value: ADDRESS,
    help: "what the destination was translated to; without ADDRESS, that it is translated",
  },
  address: { type: "string", value: ADDRESS, help: "any of the four addresses" },
  port: { type: "string", value: PORT, help: "any of the four ports" },
  state: {
    type: "string",
    multiple: true,
    value: "STATE",
    words: STATE_WORDS,
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

/** Conditions of conntrack that conns here have nothing for. */
export const STRANGERS: Readonly<Record<string, string>> = Object.fromEntries([
  ...stranger("j", "any-nat", "say --src-nat or --dst-nat, one at a time"),
  ...stranger("u", "status", "say --state"),
  ...stranger("m", "mark", "conns have no marks"),
  ...stranger("l", "label", "conns have no labels"),
  ...stranger("c", "secmark", "conns have no security marks"),
  ...stranger("z", "zero", "counters of conns are never put back to 0"),
  ...["src", "dst"].map((end) => [`--mask-${end}`, `say --${end} with a prefix: 10.0.0.0/8`]),
]);

function stranger(short: string, long: string, text: string) {
  return [`-${short}`, `--${long}`].map((each) => [each, text] as const);
}

type FilterValues = Values<typeof FILTER_OPTIONS>;

/** The protocol's name of an option's condition. */
const KEYS = {
  zone: "zone",
  "orig-zone": "originalZone",
  "reply-zone": "replyZone",
  src: "source",
  dst: "destination",
  sport: "sourcePort",
  dport: "destinationPort",
  "reply-src": "replySource",
  "reply-dst": "replyDestination",
  "reply-port-src": "replySourcePort",
  "reply-port-dst": "replyDestinationPort",
  "src-nat-port": "translatedPort",
  address: "address",
  port: "port",
} as const satisfies Partial<Record<keyof FilterValues, keyof ConnFilter>>;

/** What options are called when the router refuses what they were made into. */
export const FILTER_PARAMETERS: Readonly<Record<string, string>> = Object.fromEntries(
  [
    ...Object.entries(KEYS),
    ["proto", "protocol"] as const,
    ["src-nat", "translated"] as const,
    ["nat", "translation"] as const,
  ].flatMap(([option, key]) => [
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
  const filter: ConnFilter = {
    ...Object.fromEntries(given),
    ...(values.proto === undefined ? {} : { protocol: protocolOf(values.proto) }),
    ...natOf(values),
  };
  if (values.state.length === 0) return filter;
  const { phases, isTcp } = readStates(values.state);
  if (!isTcp) return { ...filter, phase: [...phases] };
  const { protocol = "tcp" } = filter;
  if (protocol !== "tcp" && protocol !== "6") {
    throw new UsageError(`--state: ${values.state.join(",")} is of TCP, not of ${protocol}`);
  }
  return { ...filter, protocol, phase: [...phases] };
}

/** What --src-nat, --dst-nat and --nat say together. @throws UsageError where they contradict each other */
function natOf(values: FilterValues): Partial<ConnFilter> {
  const { nat, "src-nat": source, "dst-nat": destination } = values;
  const said = new Map<string, string>();
  if (nat !== undefined) said.set(nat, `--nat ${nat}`);
  if (source !== undefined) said.set("source", "--src-nat");
  if (destination !== undefined) said.set("destination", "--dst-nat");
  const [one, other] = said.values();
  if (other !== undefined) throw new UsageError(`${one} and ${other} are of different conns`);
  if (destination === undefined) {
    const isOnly = source === "" || nat !== undefined;
    return {
      ...(source === undefined || source === "" ? {} : { translated: source }),
      ...(isOnly ? { translation: nat ?? "source" } : {}),
    };
  }
  if (destination === "") return { translation: "destination" };
  if (values["reply-src"] !== undefined) {
    throw new UsageError("--dst-nat and --reply-src are the same address; say one");
  }
  if (parseAddress(destination) === undefined && parsePrefix(destination) === undefined) {
    throw new UsageError(`--dst-nat: ${ADDRESSES} expected, found '${destination}'`);
  }
  return { translation: "destination", replySource: destination };
}
