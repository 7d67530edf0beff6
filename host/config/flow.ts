/**
 * Flows: the parser of their text. Accepts Open vSwitch's habits: letters of any case in keywords, fields in any
 * order, commas or white space between them, hexadecimal numbers, ct_state and its short flags.
 */

import { ConnState } from "../../assembly/abi.js";
import { parseActions } from "./actionparser.js";
import { isUnicastAddress } from "./address.js";
import { ConfigError, describe, type Problem, Problems } from "./error.js";
import {
  DEFAULT_PRIORITY,
  type Flow,
  type FlowAction,
  type FlowMatch,
  isTracked,
  MATCH_ALL,
  PROTOCOLS,
  STATE_FLAGS,
} from "./flowtext.js";
import type { StateMatch } from "./model.js";
import { type FlowPart, type Placed, Scanner } from "./scanner.js";

export type { Endpoint, Flow, FlowAction, FlowMatch, Masquerade } from "./flowtext.js";
export { DEFAULT_PRIORITY, formatFlow } from "./flowtext.js";

export interface ParsedFlow {
  readonly flow: Flow;
  /** What is well written but cannot be meant. */
  readonly contradictions: readonly Problem[];
  /** The path of a part with its column: `flows[3] column 17`. */
  readonly placeOf: (part: FlowPart) => string;
}

/** A flow's text; a ConfigError names what is wrong and its column behind `path`. */
export function parseFlow(text: string, path = "flow"): Flow {
  const { flow, contradictions } = parsePlacedFlow(text, path);
  if (contradictions.length > 0) throw new ConfigError(contradictions);
  return flow;
}

/** The same with the places of its parts, for who has more to say; throws at what cannot be read. */
export function parsePlacedFlow(text: string, path: string): ParsedFlow {
  const scan = new Scanner(text, path);
  const { priority, match } = new MatchParser(scan).parse();
  const flow = { priority, match, ...parseActions(scan) };
  const contradictions = contradictionsOf(flow, scan);
  return { flow, contradictions, placeOf: (part) => scan.placeOf(part) };
}

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

/** Open vSwitch's words for the flags. */
const SHORT_FLAGS: ReadonlyMap<string, ConnState> = new Map([
  ["trk", ConnState.Tracked],
  ["est", ConnState.Established],
  ["rel", ConnState.Related],
  ["rpl", ConnState.Reply],
  ["inv", ConnState.Invalid],
]);

type Field =
  | "priority"
  | "in_port"
  | "zone"
  | "protocol"
  | "nw_src"
  | "nw_dst"
  | "tp_src"
  | "tp_dst"
  | "conn_state";

/** Words that have a value, and the field that they set. */
const FIELDS: ReadonlyMap<string, Field> = new Map<string, Field>([
  ["priority", "priority"],
  ["in_port", "in_port"],
  ["zone", "zone"],
  ["nw_proto", "protocol"],
  ["nw_src", "nw_src"],
  ["nw_dst", "nw_dst"],
  ["tp_src", "tp_src"],
  ["tp_dst", "tp_dst"],
  ["conn_state", "conn_state"],
  ["ct_state", "conn_state"],
]);

const EXPECTED =
  "a match field (priority=, in_port(), zone=, ip, tcp, udp, icmp, sctp, nw_proto=, nw_src=, " +
  "nw_dst=, tp_src=, tp_dst=, conn_state=) or actions=";

/** Everything up to and including `actions=`. */
class MatchParser {
  private readonly seen = new Set<string>();
  private readonly match: Mutable<FlowMatch> = { ...MATCH_ALL };
  private priority = DEFAULT_PRIORITY;

  constructor(private readonly scan: Scanner) {}

  parse(): { priority: number; match: FlowMatch } {
    this.scan.skipSpace();
    for (;;) {
      const word = this.scan.word();
      if (word.value === "actions") break;
      this.readField(word);
      if (this.scan.separator() === "" && !this.scan.atEnd) this.scan.fail('"," or white space');
    }
    this.scan.expect("=");
    this.scan.skipSpace();
    return { priority: this.priority, match: this.match };
  }

  private readField(word: Placed<string>): void {
    const protocol = PROTOCOLS.get(word.value);
    const field = protocol === undefined ? FIELDS.get(word.value) : "protocol";
    if (field === undefined && word.value !== "ip") this.scan.fail(EXPECTED, word.at);
    const key = field ?? word.value;
    if (this.seen.has(key)) {
      this.scan.fail("every field once", word.at, `${describe(word.value)} again`);
    }
    this.seen.add(key);
    if (protocol !== undefined) this.match.protocol = protocol;
    else if (field === "in_port" && this.scan.skip("(")) {
      this.match.inPort = this.scan.reference("in_port", "device");
      this.scan.expect(")");
    } else if (field !== undefined) {
      this.scan.expect("=");
      this.readValue(field);
    }
  }

  private readValue(field: Field): void {
    const { match, scan } = this;
    switch (field) {
      case "priority":
        this.priority = scan.number("a priority", 65535);
        break;
      case "in_port":
        match.inPort = scan.reference("in_port", "device");
        break;
      case "zone":
        match.zone = scan.reference("zone", "zone");
        break;
      case "protocol":
        match.protocol = scan.number("an IP protocol", 255);
        break;
      case "nw_src":
        match.source = scan.prefix();
        break;
      case "nw_dst":
        match.destination = scan.prefix();
        break;
      case "tp_src":
        scan.mark("tp_src");
        match.sourcePorts = scan.ports();
        break;
      case "tp_dst":
        scan.mark("tp_dst");
        match.destinationPorts = scan.ports();
        break;
      case "conn_state":
        match.state = this.readState();
    }
  }

  /** `+established-reply` */
  private readState(): StateMatch {
    let mask = 0;
    let value = 0;
    for (;;) {
      const at = this.scan.at;
      const set = this.scan.skip("+");
      if (!set && !this.scan.skip("-")) {
        if (mask === 0) this.scan.fail('"+" or "-" and a flag');
        return { mask, value };
      }
      const word = this.scan.word();
      const bit = STATE_FLAGS.get(word.value) ?? SHORT_FLAGS.get(word.value);
      if (bit === undefined) {
        return this.scan.fail(`one of ${[...STATE_FLAGS.keys()].join(", ")}`, word.at);
      }
      const sign = set ? "+" : "-";
      if ((mask & bit) !== 0) this.scan.fail("every flag once", at, `"${sign}${word.value}" again`);
      mask |= bit;
      if (set) value |= bit;
      const both = ConnState.New | ConnState.Established;
      if ((value & both) === both) this.scan.fail("one of +new and +established", at, "both");
    }
  }
}

function contradictionsOf({ match, action }: Flow, scan: Scanner): readonly Problem[] {
  const problems = new Problems();
  const ported = match.protocol !== undefined && [...PROTOCOLS.values()].includes(match.protocol);
  for (const part of ["tp_src", "tp_dst"] as const) {
    const ports = part === "tp_src" ? match.sourcePorts : match.destinationPorts;
    if (ports === undefined) continue;
    if (!ported) {
      problems.add(scan.placeOf(part), `tcp, udp, icmp or sctp beside ${part}`, "no such protocol");
    } else if (match.protocol === PROTOCOLS.get("icmp") && ports.high > 255) {
      problems.add(scan.placeOf(part), "an ICMP type or code from 0 to 255", `${ports.high}`);
    }
  }
  if (action.kind === "destination") {
    checkAddress("dst", action.endpoint.address, scan, problems);
    checkTargetPorts(match, action.endpoint.port, scan, problems);
  }
  if (action.kind === "source") checkAddress("src", action.address, scan, problems);
  if (isTracked(match.state) && changesZone(action)) {
    const expected = "output(), drop or reject for +tracked: a packet changes its zone once";
    problems.add(scan.placeOf("action"), expected, action.kind === "route" ? "route()" : "nat()");
  }
  return problems.list;
}

function checkAddress(
  part: "src" | "dst",
  address: number,
  scan: Scanner,
  problems: Problems,
): void {
  if (isUnicastAddress(address)) return;
  problems.add(scan.placeOf(part), "an address that a host may have", "none that one may have");
}

/** A range of ports becomes another of the same size, which ends at 65535 at the latest. */
function checkTargetPorts(
  { protocol, destinationPorts }: FlowMatch,
  port: number | undefined,
  scan: Scanner,
  problems: Problems,
): void {
  if (port === undefined || destinationPorts === undefined) return;
  // For ICMP they are codes.
  if (protocol === PROTOCOLS.get("icmp")) return;
  const most = 65535 - (destinationPorts.high - destinationPorts.low);
  if (port <= most) return;
  const expected = `a port up to ${most}, the first of as many as tp_dst= has`;
  problems.add(scan.placeOf("dst"), expected, `${port}`);
}

function changesZone(action: FlowAction): boolean {
  switch (action.kind) {
    case "drop":
    case "reject":
      return false;
    case "route":
      return action.zone !== undefined;
    default:
      return true;
  }
}
