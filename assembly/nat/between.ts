/**
 * A hairpinned packet between its two zones (nat/hairpin.ts): from the sender's external endpoint to another one
 * of ours, as the flows of the zone in between are asked about it.
 */

import { ConnState, None } from "../abi";
import { active } from "../config/configuration";
import { scratch } from "../memory";
import { Conn } from "./conn";
import { FlowQuery } from "./flow";
import { requestType } from "./query";

/** The packet as it looks between the zones: from the sender's external endpoint to another. */
export function seenBetween(conn: Conn, middle: u32): FlowQuery {
  const query = changetype<FlowQuery>(scratch);
  query.source = conn.reply.destination;
  query.sourcePort = conn.reply.destinationPort;
  query.destination = conn.original.destination;
  query.destinationPort = conn.original.destinationPort;
  query.protocol = conn.original.protocol;
  query.zone = active.zone(middle).number;
  query.zoneIndex = <u16>middle;
  query.device = <u16>None.Short;
  query.state = <u16>ConnState.New;
  query.icmpType = <u8>requestType(query.destinationPort);
  query.icmpCode = 0;
  return query;
}
