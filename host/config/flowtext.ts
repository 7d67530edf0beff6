/**
 * A flow: what it matches and what happens to a matching packet, in Open vSwitch's syntax. Names of
 * zones, devices and pools stand as they were written; rule.ts resolves them.
 *
 *     priority=50,in_port(1),udp,tp_dst=25 actions=drop
 */

import { ConnState } from "../../assembly/abi.js";
import {
  type AddressRange,
  formatAddress,
  formatPorts,
  formatPrefix,
  type PortRange,
  type Prefix,
} from "./address.js";
import type { StateMatch } from "./model.js";

/** Open vSwitch's, for a flow that names none. */
export const DEFAULT_PRIORITY = 32768;

/** Undefined: anything. */
export interface FlowMatch {
  /** Name or number of a device. */
  readonly inPort: string | undefined;
  /** Name or number. */
  readonly zone: string | undefined;
  /** IP protocol. */
  readonly protocol: number | undefined;
  readonly source: Prefix | undefined;
  readonly destination: Prefix | undefined;
  /** For ICMP the type, as in Open vSwitch. */
  readonly sourcePorts: PortRange | undefined;
  /** For ICMP the code. */
  readonly destinationPorts: PortRange | undefined;
  readonly state: StateMatch;
}

/** What masq= names: a pool, or addresses. */
export interface Masquerade {
  readonly text: string;
  /** Undefined where the text is the name of a pool. */
  readonly addresses: AddressRange | undefined;
}

/** What dst= names. */
export interface Endpoint {
  readonly address: number;
  /** Undefined: the port stays. Of a range of ports that is matched, the first one's. */
  readonly port: number | undefined;
}

export type FlowAction =
  | { readonly kind: "drop" | "reject" }
  | {
      readonly kind: "masquerade";
      readonly sourceZone: string;
      readonly targetZone: string;
      readonly masquerade: Masquerade;
    }
  | {
      readonly kind: "destination";
      readonly sourceZone: string | undefined;
      readonly targetZone: string;
      readonly endpoint: Endpoint;
    }
  | {
      readonly kind: "source";
      readonly sourceZone: string | undefined;
      readonly targetZone: string;
      readonly address: number;
    }
  | { readonly kind: "reverse"; readonly zone: string }
  /** Without a zone the packet stays in its own, and the flow has an output. */
  | { readonly kind: "route"; readonly zone: string | undefined };

export interface Flow {
  /** 0 to 65535, the highest wins. */
  readonly priority: number;
  readonly match: FlowMatch;
  readonly action: FlowAction;
  /** Name or number of the device to leave through. */
  readonly output: string | undefined;
}

/** Matches every packet. */
export const MATCH_ALL: FlowMatch = {
  inPort: undefined,
  zone: undefined,
  protocol: undefined,
  source: undefined,
  destination: undefined,
  sourcePorts: undefined,
  destinationPorts: undefined,
  state: { mask: 0, value: 0 },
};

/** IP protocols that have a word of their own. tp_src and tp_dst go with these only. */
export const PROTOCOLS: ReadonlyMap<string, number> = new Map([
  ["icmp", 1],
  ["tcp", 6],
  ["udp", 17],
  ["sctp", 132],
]);

/** Words of conn_state, in the order of printing. */
export const STATE_FLAGS: ReadonlyMap<string, ConnState> = new Map([
  ["tracked", ConnState.Tracked],
  ["new", ConnState.New],
  ["established", ConnState.Established],
  ["related", ConnState.Related],
  ["reply", ConnState.Reply],
  ["invalid", ConnState.Invalid],
  ["snat", ConnState.Snat],
  ["dnat", ConnState.Dnat],
]);

/** Whether the flow is for packets that a nat action has been applied to. */
export function isTracked(state: StateMatch): boolean {
  return (state.mask & state.value & ConnState.Tracked) !== 0;
}

/** The canonical text: parsing it gives the same flow, and formatting that the same text. */
export function formatFlow(flow: Flow): string {
  const match = matchWords(flow).join(",");
  return `${match === "" ? "ip" : match} actions=${actionWords(flow).join(",")}`;
}

function matchWords({ priority, match }: Flow): string[] {
  const words: string[] = [];
  if (priority !== DEFAULT_PRIORITY) words.push(`priority=${priority}`);
  if (match.inPort !== undefined) words.push(`in_port(${match.inPort})`);
  if (match.zone !== undefined) words.push(`zone=${match.zone}`);
  if (match.protocol !== undefined) words.push(protocolWord(match.protocol));
  if (match.source !== undefined) words.push(`nw_src=${prefixWord(match.source)}`);
  if (match.destination !== undefined) words.push(`nw_dst=${prefixWord(match.destination)}`);
  if (match.sourcePorts !== undefined) words.push(`tp_src=${formatPorts(match.sourcePorts)}`);
  if (match.destinationPorts !== undefined) {
    words.push(`tp_dst=${formatPorts(match.destinationPorts)}`);
  }
  if (match.state.mask !== 0) words.push(`conn_state=${stateWord(match.state)}`);
  return words;
}

function protocolWord(protocol: number): string {
  for (const [word, number] of PROTOCOLS) if (number === protocol) return word;
  return `nw_proto=${protocol}`;
}

function prefixWord(prefix: Prefix): string {
  return prefix.length === 32 ? formatAddress(prefix.address) : formatPrefix(prefix);
}

function stateWord(state: StateMatch): string {
  let word = "";
  for (const [flag, bit] of STATE_FLAGS) {
    if ((state.mask & bit) !== 0) word += `${(state.value & bit) !== 0 ? "+" : "-"}${flag}`;
  }
  return word;
}

function fromWord({ sourceZone }: { readonly sourceZone: string | undefined }): string {
  return sourceZone === undefined ? "" : `src_zone=${sourceZone},`;
}

function actionWords({ action, output }: Flow): string[] {
  const words: string[] = [];
  switch (action.kind) {
    case "masquerade":
      words.push(
        `nat(src_zone=${action.sourceZone},dst_zone=${action.targetZone},` +
          `masq=${action.masquerade.text})`,
      );
      break;
    case "source":
      words.push(
        `nat(${fromWord(action)}src=${formatAddress(action.address)},dst_zone=${action.targetZone})`,
      );
      break;
    case "destination": {
      const { address, port } = action.endpoint;
      const to = `dst=${formatAddress(address)}${port === undefined ? "" : `:${port}`}`;
      words.push(`nat(${fromWord(action)}${to},dst_zone=${action.targetZone})`);
      break;
    }
    case "reverse":
      words.push(`nat(reverse,zone=${action.zone})`);
      break;
    case "route":
      if (action.zone !== undefined) words.push(`route(zone=${action.zone})`);
      break;
    default:
      words.push(action.kind);
  }
  if (output !== undefined) words.push(`output(${output})`);
  return words;
}
