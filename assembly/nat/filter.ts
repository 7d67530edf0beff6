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

/** Fills in the filter key of what comes from a sender to an external endpoint; returns its hash. */
function fillKey(key: Tuple, from: Tuple, filtering: u32): u64 {
  const source = filtering < <u32>FilteringBehaviour.AddressDependent ? 0 : from.source;
  return key.fill(source, from.destination, 0, from.destinationPort, from.zone, from.protocol);
}

/** That of a conn: its destination, seen from the external zone, is the sender. */
function fillKeyOf(key: Tuple, conn: Conn, mapping: Mapping): u64 {
  const any = mapping.filtering < <u8>FilteringBehaviour.AddressDependent;
  const source = any ? 0 : conn.original.destination;
  const to = conn.reply;
  const zone = mapping.externalAddress.zone;
  return key.fill(source, to.destination, 0, to.destinationPort, zone, to.protocol);
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
    const key = Tuple.view(keyScratch);
    const index = find(key, fillKey(key, from, filtering));
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
  const key = Tuple.view(keyScratch);
  const hash = fillKeyOf(key, conn, mapping);
  // The key names the mapping's port: who else has it has the mapping.
  const other = mapping.conns == 1 ? NONE : find(key, hash);
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
  const hash = fillKeyOf(Tuple.view(keyScratch), conn, Mapping.at(conn.mapping));
  if (conn.ringNext == index) {
    filterIndex.remove(hash, index);
    return;
  }
  // Only one of the ring is in the index; for the others this finds nothing to replace.
  filterIndex.replace(hash, index, conn.ringNext);
  Conn.at(conn.ringNext).ringPrevious = conn.ringPrevious;
  Conn.at(conn.ringPrevious).ringNext = conn.ringNext;
}
