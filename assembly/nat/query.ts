/**
 * ICMP queries as connections (RFC 5508 section 3): the identifier is the port of whoever asks. The port of
 * whoever answers says which kind of query it is, so that each kind is a conn of its own: 0 for echo, 13 for
 * timestamp.
 */

import { Direction, Packet } from "../packet";
import { IcmpType, isRequest } from "../wire/icmp";

/** The port of whoever answers, for messages of this type. */
export function answererPort(type: u32): u32 {
  const isTimestamp = type == IcmpType.TimestampRequest || type == IcmpType.TimestampReply;
  return isTimestamp ? <u32>IcmpType.TimestampRequest : 0;
}

/** The type of messages to this port of whoever answers. */
export function requestType(port: u32): IcmpType {
  return port == IcmpType.TimestampRequest ? IcmpType.TimestampRequest : IcmpType.EchoRequest;
}

/** The type of the message that a request or a reply of this type is answered, or was asked, by. */
export function counterpart(type: u32): IcmpType {
  switch (type) {
    case IcmpType.EchoRequest:
      return IcmpType.EchoReply;
    case IcmpType.TimestampRequest:
      return IcmpType.TimestampReply;
    case IcmpType.TimestampReply:
      return IcmpType.TimestampRequest;
    default:
      return IcmpType.EchoRequest;
  }
}

/** A query's request and reply can have one tuple (identifier 0); only the asker sends requests. */
export function fitsQuery(packet: Packet): bool {
  return isRequest(packet.flags) == (packet.direction == Direction.Original);
}
