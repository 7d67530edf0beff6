/**
 * TFTP (RFC 1350): a client asks port 69, and the server answers from another port (section 4). Where the
 * filtering tells ports apart, that answer is let in because of the request (RFC 4787 REQ-10). Nothing is
 * rewritten: a request names no address.
 */

import { FilteringBehaviour } from "../abi";
import { Direction, Packet } from "../packet";
import { NONE } from "../table/none";
import { Be } from "../wire/bytes";
import { Udp } from "../wire/udp";
import { Conn, ConnFlag } from "./conn";
import { expect } from "./expectation";
import { Mapping } from "./mapping";

export const TFTP_PORT: u16 = 69;

/** RFC 1350 section 5: operation codes of the requests. */
enum Operation {
  Read = 1,
  Write = 2,
}

/** Takes note of a request; RFC 1350 sections 4 and 5. */
export function followTftp(conn: Conn, packet: Packet): void {
  if (packet.direction != Direction.Original || conn.mapping == NONE) return;
  // A first fragment may end behind the UDP header.
  const data = packet.transport + Udp.BYTES;
  if (data + 2 > packet.network + packet.totalBytes) return;
  const operation = Be.load16(data);
  if (operation != Operation.Read && operation != Operation.Write) return;
  const mapping = Mapping.at(conn.mapping);
  // Any other filtering lets the server in already.
  if (mapping.filtering < <u8>FilteringBehaviour.AddressAndPortDependent) return;
  mapping.conns++;
  const isExpected = expect(
    packet.handle >> 1,
    conn.original,
    conn.mapping,
    mapping.externalAddress.zone,
    conn.reply.destination,
    conn.reply.destinationPort,
    <u16>conn.ingress(Direction.Original),
    conn.flags & <u8>ConnFlag.KeepsExpiry,
  );
  if (!isExpected) mapping.conns--;
}
