/** A conn as hosts read it (abi: ConnRowAt). */

import { ConnRowAt } from "../abi";
import { Direction } from "../packet";
import { Conn } from "./conn";
import { Tuple } from "./tuple";

/** Writes the row of the conn with this index. */
export function writeConnRow(at: usize, index: u32, now: u32): void {
  const conn = Conn.at(index);
  const original = conn.original;
  const reply = conn.reply;
  store<u32>(at, index, ConnRowAt.Index);
  store<u8>(at, original.protocol, ConnRowAt.Protocol);
  store<u8>(at, <u8>conn.phase, ConnRowAt.Phase);
  store<u16>(at, original.zone, ConnRowAt.OriginalZone);
  store<u16>(at, reply.zone, ConnRowAt.ReplyZone);
  writeEnds(at, original, ConnRowAt.OriginalSourcePort, ConnRowAt.OriginalSource);
  writeEnds(at, reply, ConnRowAt.ReplySourcePort, ConnRowAt.ReplySource);
  store<u32>(at, <u32>max<i32>(0, <i32>(conn.expiry - now)), ConnRowAt.ExpiresIn);
  store<u32>(at, now - conn.created, ConnRowAt.Age);
  store<u32>(at, conn.created, ConnRowAt.Created);
  store<u64>(at, conn.packets(Direction.Original), ConnRowAt.OriginalPackets);
  store<u64>(at, conn.bytes(Direction.Original), ConnRowAt.OriginalBytes);
  store<u64>(at, conn.packets(Direction.Reply), ConnRowAt.ReplyPackets);
  store<u64>(at, conn.bytes(Direction.Reply), ConnRowAt.ReplyBytes);
}

function writeEnds(at: usize, tuple: Tuple, ports: usize, addresses: usize): void {
  store<u16>(at + ports, tuple.sourcePort);
  store<u16>(at + ports, tuple.destinationPort, 2);
  store<u32>(at + addresses, tuple.source);
  store<u32>(at + addresses, tuple.destination, 4);
}
