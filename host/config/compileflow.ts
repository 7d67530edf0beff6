/** Flows in the image: their records, and the lists in which the datapath finds them. */

import { FlowAction, FlowAt, FlowMatch, None } from "../../assembly/abi.js";
import { type PortRange, type Prefix, prefixMask } from "./address.js";
import { isTracked } from "./flowtext.js";
import type { Strings } from "./layout.js";
import type { Config, Device, FlowRule, RuleAction, Zone } from "./model.js";

/** Heads of the lists, and each flow's successor in its own; None.Word where there is none. */
export interface FlowLists {
  /** First pass: flows with in_port, those without that match a zone, and the others. */
  readonly byDevice: ReadonlyMap<Device, number>;
  readonly byZone: ReadonlyMap<Zone, number>;
  readonly anyDevice: number;
  /** Second pass: flows that match +tracked. */
  readonly tracked: number;
  readonly next: readonly number[];
}

/** Every flow is in one list; the lists are in the order of the flows. */
export function linkFlows({ flows }: Config): FlowLists {
  const byDevice = new Map<Device, number>();
  const byZone = new Map<Zone, number>();
  const others = new Map<"any" | "tracked", number>();
  const next = new Array<number>(flows.length).fill(None.Word);
  const put = <Key>(heads: Map<Key, number>, key: Key, index: number): void => {
    next[index] = heads.get(key) ?? None.Word;
    heads.set(key, index);
  };
  for (const { index, state, device, zone } of flows.toReversed()) {
    if (isTracked(state)) put(others, "tracked", index);
    else if (device !== undefined) put(byDevice, device, index);
    else if (zone !== undefined) put(byZone, zone, index);
    else put(others, "any", index);
  }
  const head = (list: "any" | "tracked") => others.get(list) ?? None.Word;
  return { byDevice, byZone, anyDevice: head("any"), tracked: head("tracked"), next };
}

export function writeFlow(
  view: DataView,
  flow: FlowRule,
  lists: FlowLists,
  strings: Strings,
): void {
  view.setInt32(FlowAt.Priority, flow.priority, true);
  writeMatch(view, flow);
  writeAction(view, flow.action);
  view.setUint16(FlowAt.Output, flow.output?.index ?? None.Short, true);
  view.setUint32(FlowAt.Next, lists.next[flow.index] ?? None.Word, true);
  strings.refer(view, flow.text, FlowAt.TextBytes, FlowAt.Text);
}

function writeMatch(view: DataView, flow: FlowRule): void {
  const match =
    (flow.device === undefined ? 0 : FlowMatch.Device) |
    (flow.zone === undefined ? 0 : FlowMatch.Zone) |
    (flow.protocol === undefined ? 0 : FlowMatch.Protocol) |
    (flow.sourcePorts === undefined ? 0 : FlowMatch.SourcePorts) |
    (flow.destinationPorts === undefined ? 0 : FlowMatch.DestinationPorts);
  view.setUint16(FlowAt.Match, match, true);
  view.setUint16(FlowAt.Device, flow.device?.index ?? None.Short, true);
  view.setUint16(FlowAt.Zone, flow.zone?.index ?? None.Short, true);
  view.setUint16(FlowAt.Protocol, flow.protocol ?? 0, true);
  writePrefix(view, flow.source, FlowAt.Source, FlowAt.SourceMask);
  writePrefix(view, flow.destination, FlowAt.Destination, FlowAt.DestinationMask);
  writePorts(view, flow.sourcePorts, FlowAt.SourcePortLow, FlowAt.SourcePortHigh);
  writePorts(view, flow.destinationPorts, FlowAt.DestinationPortLow, FlowAt.DestinationPortHigh);
  view.setUint16(FlowAt.StateMask, flow.state.mask, true);
  view.setUint16(FlowAt.StateValue, flow.state.value, true);
}

function writePrefix(view: DataView, prefix: Prefix | undefined, at: number, maskAt: number): void {
  view.setUint32(at, prefix?.address ?? 0, true);
  view.setUint32(maskAt, prefixMask(prefix?.length ?? 0), true);
}

function writePorts(
  view: DataView,
  ports: PortRange | undefined,
  lowAt: number,
  highAt: number,
): void {
  view.setUint16(lowAt, ports?.low ?? 0, true);
  view.setUint16(highAt, ports?.high ?? 0xffff, true);
}

const ACTIONS: Readonly<Record<RuleAction["kind"], FlowAction>> = {
  drop: FlowAction.Drop,
  reject: FlowAction.Reject,
  masquerade: FlowAction.Masquerade,
  destination: FlowAction.Destination,
  source: FlowAction.Source,
  reverse: FlowAction.Reverse,
  route: FlowAction.Route,
};

function writeAction(view: DataView, action: RuleAction): void {
  let actionZone: number | undefined;
  let targetZone: number | undefined;
  let pool: number | undefined;
  switch (action.kind) {
    case "masquerade":
      actionZone = action.sourceZone.index;
      targetZone = action.targetZone.index;
      pool = action.pool.index;
      break;
    case "destination":
    case "source":
      actionZone = action.sourceZone?.index;
      targetZone = action.targetZone.index;
      view.setUint32(FlowAt.TargetAddress, action.address, true);
      if (action.kind === "destination") view.setUint16(FlowAt.TargetPort, action.port ?? 0, true);
      break;
    case "reverse":
      actionZone = action.zone.index;
      break;
    case "route":
      targetZone = action.zone?.index;
  }
  view.setUint16(FlowAt.Action, ACTIONS[action.kind], true);
  view.setUint16(FlowAt.ActionZone, actionZone ?? None.Short, true);
  view.setUint16(FlowAt.TargetZone, targetZone ?? None.Short, true);
  view.setUint16(FlowAt.Pool, pool ?? None.Short, true);
}
