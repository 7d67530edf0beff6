/** The part of a flow behind `actions=`: one verdict, and for nat() and route() an output() behind it. */

import { describe } from "./error.js";
import type { Endpoint, FlowAction, Masquerade } from "./flowtext.js";
import type { Placed, Scanner } from "./scanner.js";

const ACTIONS = "nat(), route(), output(), drop or reject";

export interface ParsedActions {
  readonly action: FlowAction;
  readonly output: string | undefined;
}

/** Reads up to the end of the flow. */
export function parseActions(scan: Scanner): ParsedActions {
  const first = scan.word();
  scan.mark("action", first.at);
  if (first.value === "output") {
    return atEnd(scan, { action: { kind: "route", zone: undefined }, output: parseOutput(scan) });
  }
  const action = parseVerdict(scan, first);
  if (action.kind === "drop" || action.kind === "reject") {
    return atEnd(scan, { action, output: undefined });
  }
  const separator = scan.separator();
  if (scan.atEnd && separator !== ",") return { action, output: undefined };
  const next = scan.word();
  if (separator === "" || next.value !== "output") {
    scan.fail("output(DEVICE) or the end of the flow", next.at);
  }
  return atEnd(scan, { action, output: parseOutput(scan) });
}

function atEnd(scan: Scanner, actions: ParsedActions): ParsedActions {
  if (scan.separator() === "," || !scan.atEnd) scan.fail("the end of the flow");
  return actions;
}

function parseVerdict(scan: Scanner, word: Placed<string>): FlowAction {
  switch (word.value) {
    case "drop":
      return { kind: "drop" };
    case "reject":
      return { kind: "reject" };
    case "nat":
      return parseNat(scan);
    case "route":
      return parseRoute(scan);
    default:
      return scan.fail(ACTIONS, word.at);
  }
}

function parseOutput(scan: Scanner): string {
  scan.expect("(");
  scan.skipSpace();
  const device = scan.reference("output", "device");
  scan.skipSpace();
  scan.expect(")");
  return device;
}

function parseRoute(scan: Scanner): FlowAction {
  scan.expect("(");
  scan.skipSpace();
  const word = scan.word();
  if (word.value !== "zone") scan.fail("zone=", word.at);
  scan.expect("=");
  const zone = scan.reference("action_zone", "zone");
  scan.skipSpace();
  scan.expect(")");
  return { kind: "route", zone };
}

/** What stands between the parentheses of nat(). */
interface NatArguments {
  /** Where each begins. */
  readonly places: Map<string, number>;
  sourceZone?: string;
  targetZone?: string;
  zone?: string;
  masquerade?: Masquerade;
  endpoint?: Endpoint;
  source?: number;
}

/** The arguments in any order; which of them there are says what kind of translation it is. */
function parseNat(scan: Scanner): FlowAction {
  const start = scan.at;
  const args: NatArguments = { places: new Map() };
  scan.expect("(");
  do {
    scan.skipSpace();
    const word = scan.word();
    if (args.places.has(word.value)) {
      scan.fail("every argument once", word.at, `${describe(word.value)} again`);
    }
    args.places.set(word.value, word.at);
    parseNatArgument(scan, word, args);
    scan.skipSpace();
  } while (scan.skip(","));
  scan.expect(")");
  return natAction(scan, args, start);
}

const NAT_ARGUMENTS: readonly string[] = ["src_zone", "dst_zone", "masq", "dst", "src", "zone"];

function parseNatArgument(scan: Scanner, word: Placed<string>, args: NatArguments): void {
  if (word.value === "reverse") return;
  if (!NAT_ARGUMENTS.includes(word.value)) {
    scan.fail("reverse, src_zone=, masq=, src=, dst=, dst_zone= or zone=", word.at);
  }
  scan.expect("=");
  if (word.value === "masq") args.masquerade = scan.masquerade();
  else if (word.value === "dst") args.endpoint = scan.endpoint();
  else if (word.value === "src") args.source = scan.address("src");
  else if (word.value === "src_zone") args.sourceZone = scan.reference("src_zone", "zone");
  else if (word.value === "dst_zone") args.targetZone = scan.reference("dst_zone", "zone");
  else args.zone = scan.reference("action_zone", "zone");
}

function natAction(scan: Scanner, args: NatArguments, start: number): FlowAction {
  const missing = (what: string) => scan.fail(`${what} in nat()`, start, "none");
  const { sourceZone, targetZone, zone, masquerade, endpoint, source } = args;
  if (args.places.has("reverse")) {
    only(scan, args, ["reverse", "zone"]);
    return zone === undefined ? missing("zone=") : { kind: "reverse", zone };
  }
  if (masquerade !== undefined) {
    only(scan, args, ["src_zone", "dst_zone", "masq"]);
    if (sourceZone === undefined) return missing("src_zone=");
    if (targetZone === undefined) return missing("dst_zone=");
    return { kind: "masquerade", sourceZone, targetZone, masquerade };
  }
  if (source !== undefined) {
    only(scan, args, ["src_zone", "dst_zone", "src"]);
    if (targetZone === undefined) return missing("dst_zone=");
    return { kind: "source", sourceZone, targetZone, address: source };
  }
  if (endpoint === undefined) return missing("reverse, masq=, src= or dst=");
  only(scan, args, ["src_zone", "dst_zone", "dst"]);
  if (targetZone === undefined) return missing("dst_zone=");
  return { kind: "destination", sourceZone, targetZone, endpoint };
}

/** Arguments of another kind of nat() contradict this one. */
function only(scan: Scanner, args: NatArguments, allowed: readonly string[]): void {
  for (const [key, at] of args.places) {
    if (!allowed.includes(key)) scan.fail(`nothing in nat() but ${allowed.join(", ")}`, at);
  }
}
