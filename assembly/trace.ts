/**
 * What the trace build (docs/adr/0028-trace.md) tells its host of a packet on its way. Of the release build nothing of this
 * is part: it does not define TRACING.
 */

import { Exchange, None, Step, TraceAt, TupleIs, Verdict } from "./abi";
import { active } from "./config/configuration";
import { arena } from "./memory";
import { Conn } from "./nat/conn";
import { writeConnRow } from "./nat/connrow";
import { writeNeighborRow } from "./net/neighborrow";
import { CONTINUE, HEARD, LOCAL, NO_CONN, Packet, PacketKind } from "./packet";

if (<u32>Verdict.Continue != CONTINUE || <u32>Verdict.Local != LOCAL || <u32>Verdict.Heard != HEARD)
  ERROR("hosts know verdicts by these numbers");

/** The host's: a step was taken, and its record (abi: TraceAt) stands at Exchange.Search. */
declare function step(step: Step, verdict: u32): void;

/** Tells the host where a packet stands. */
export function note(which: Step, packet: Packet, verdict: u32): void {
  const at = <usize>Exchange.Search;
  memory.fill(at, 0, TraceAt.Bytes);
  if (packet.zoneIndex != None.Short) {
    store<u16>(at, active.zone(packet.zoneIndex).number, TraceAt.Zone);
  }
  const tupleIs = which == Step.Parse && verdict != CONTINUE ? TupleIs.Unknown : tupleOf(packet);
  store<u8>(at, <u8>tupleIs, TraceAt.TupleIs);
  if (tupleIs != TupleIs.Unknown) {
    store<u32>(at, packet.source, TraceAt.Source);
    store<u32>(at, packet.destination, TraceAt.Destination);
    store<u16>(at, packet.sourcePort, TraceAt.SourcePort);
    store<u16>(at, packet.destinationPort, TraceAt.DestinationPort);
    store<u8>(at, packet.protocol, TraceAt.Protocol);
    store<u16>(at, packet.totalBytes, TraceAt.TotalBytes);
  }
  store<u16>(at, packet.device, TraceAt.Device);
  store<u16>(at, packet.flow, TraceAt.Flow);
  store<u16>(at, packet.output, TraceAt.Output);
  store<u16>(at, packet.input, TraceAt.Input);
  store<u8>(at, packet.flags, TraceAt.Flags);
  store<u8>(at, packet.code, TraceAt.Code);
  store<u32>(at, packet.network, TraceAt.Network);
  store<u32>(at, packet.handle, TraceAt.Handle);
  store<u32>(at, packet.adjacency, TraceAt.Adjacency);
  store<u16>(at, <u16>None.Short, TraceAt.Tracked);
  if (which != Step.Parse && packet.handle != NO_CONN) {
    const conn = Conn.of(packet.handle);
    store<u16>(at, <u16>conn.tracked(packet.direction), TraceAt.Tracked);
    if (which == Step.Recall) store<u16>(at, <u16>conn.flow(packet.direction), TraceAt.Flow);
    writeConnRow(at + TraceAt.Conn, packet.handle >> 1, arena.now);
  }
  if (knowsWay(which, verdict))
    writeNeighborRow(at + TraceAt.Neighbor, packet.adjacency, arena.now);
  step(which, verdict);
}

function tupleOf(packet: Packet): TupleIs {
  switch (<u32>packet.kind) {
    case PacketKind.Arp:
      return TupleIs.Unknown;
    case PacketKind.IcmpError:
      return TupleIs.Quoted;
    case PacketKind.Fragment:
      return TupleIs.Portless;
    default:
      return TupleIs.Whole;
  }
}

/** Whether a packet at this step is on its way to a neighbor: then its record tells of that one. */
function knowsWay(which: Step, verdict: u32): bool {
  if (which == Step.Route) return verdict == CONTINUE;
  return which == Step.Follow || which == Step.Translate || which == Step.Translated;
}
