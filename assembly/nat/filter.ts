/**
 * Filtering: who may send to an external port before anything else of them is known (RFC 4787 section 5). A
 * packet from outside that belongs to no conn is let in where the port's mapping has a conn with the same
 * filter key. The behaviours differ only in how much of the sender the key keeps:
 *
 *     endpoint-independent           external endpoint ← anybody
 *     address-dependent              external endpoint ← the sender's address
 *     address-and-port-dependent     the reply tuple itself: nothing but its conn is let in
 *
 * Conns with one key are a ring, of which the index knows one.
 */

import { FilteringBehaviour } from "../abi";
import { filterIndex, keyScratch } from "../memory";
import { Index } from "../table/index";
import { NONE } from "../table/none";
import { IpProtocol } from "../wire/ipv4";
import { Conn } from "./conn";
import { Mapping } from "./mapping";
import { Tuple } from "./tuple";

/** The filter key of what comes from `source`:`sourcePort` to an external endpoint. */
function keyOf(from: Tuple, filtering: u32): Tuple {
  const key = Tuple.view(keyScratch);
  key.copy(from);
  if (filtering < <u32>FilteringBehaviour.AddressDependent) key.source = 0;
  key.sourcePort = 0;
  return key;
}

/** The key of a conn: its destination, seen from the external zone, is the sender. */
function keyOfConn(conn: Conn, mapping: Mapping): Tuple {
  const key = Tuple.view(keyScratch);
  const any = mapping.filtering < <u8>FilteringBehaviour.AddressDependent;
  key.source = any ? 0 : conn.original.destination;
  key.destination = conn.reply.destination;
  key.sourcePort = 0;
  key.destinationPort = conn.reply.destinationPort;
  key.zone = mapping.externalAddress.zone;
  key.protocol = conn.reply.protocol;
  return key;
}

/** Whether a conn's mapping lets in more than the conn. */
function isOpen(mapping: Mapping): bool {
  return mapping.filtering < <u8>FilteringBehaviour.AddressAndPortDependent;
}

/** The conn of which the key is, NONE when none has it. */
function find(key: Tuple, hash: u64): u32 {
  for (let which: u32 = 0; which < 2; which++) {
    const bucket = filterIndex.bucket(hash, which);
    for (let fits = Index.matches(bucket, hash); fits != 0; fits &= fits - 1) {
      const index = Index.handle(bucket, ctz(fits));
      if (hasKey(index, key)) return index;
    }
    if (Index.isWhole(bucket)) break;
  }
  return NONE;
}

function hasKey(index: u32, key: Tuple): bool {
  const conn = Conn.at(index);
  const mapping = Mapping.at(conn.mapping);
  return (
    key.destination == conn.reply.destination &&
    key.destinationPort == conn.reply.destinationPort &&
    key.protocol == conn.reply.protocol &&
    key.zone == mapping.externalAddress.zone &&
    key.source ==
      (mapping.filtering < <u8>FilteringBehaviour.AddressDependent ? 0 : conn.original.destination)
  );
}

/**
 * A conn of the mapping that a packet from outside is let in by; NONE when it is not. An ICMP query has no
 * port that it goes to: nobody is let in by one (RFC 5508 REQ-1).
 */
export function findPermit(from: Tuple): u32 {
  if (from.protocol == IpProtocol.Icmp) return NONE;
  for (
    let filtering: u32 = FilteringBehaviour.EndpointIndependent;
    filtering <= <u32>FilteringBehaviour.AddressDependent;
    filtering++
  ) {
    const key = keyOf(from, filtering);
    const index = find(key, key.hash);
    if (index != NONE) return index;
  }
  return NONE;
}

/** Lets in what a conn's mapping allows because of it. False when there is no room. */
export function openFilter(index: u32): bool {
  const conn = Conn.at(index);
  conn.ringNext = NONE;
  if (conn.mapping == NONE) return true;
  const mapping = Mapping.at(conn.mapping);
  if (!isOpen(mapping)) return true;
  const key = keyOfConn(conn, mapping);
  const hash = key.hash;
  const other = find(key, hash);
  if (other == NONE) {
    if (!filterIndex.insert(hash, index)) return false;
    conn.ringNext = index;
    conn.ringPrevious = index;
    return true;
  }
  const before = Conn.at(other);
  const behind = Conn.at(before.ringNext);
  conn.ringPrevious = other;
  conn.ringNext = before.ringNext;
  behind.ringPrevious = index;
  before.ringNext = index;
  return true;
}

/** What a conn let in stays allowed by the others of its ring only. */
export function closeFilter(index: u32): void {
  const conn = Conn.at(index);
  if (conn.ringNext == NONE) return;
  const hash = keyOfConn(conn, Mapping.at(conn.mapping)).hash;
  if (conn.ringNext == index) {
    filterIndex.remove(hash, index);
    return;
  }
  // Only one of the ring is in the index; for the others this finds nothing to replace.
  filterIndex.replace(hash, index, conn.ringNext);
  Conn.at(conn.ringNext).ringPrevious = conn.ringPrevious;
  Conn.at(conn.ringPrevious).ringNext = conn.ringNext;
}
