/**
 * What the tests need of `assembly/table` and `assembly/wire`, as plain functions: a table or view is named
 * by its address, which the test chooses; and the plan of the arena, for what a conn occupies. Built as
 * dist/internals.wasm; nothing but tests and benchmarks uses it.
 */

import {
  arenaBytes,
  connIndex,
  connSlab,
  conns,
  connWheel,
  events,
  filterIndex,
  grantIndex,
  grantSlab,
  grants,
  grantWheel,
  hostIndex,
  hostSlab,
  hosts,
  mappingIndex,
  mappingSlab,
  mappings,
  restingPorts,
  searchWorkspace,
  windows,
} from "../../assembly/memory";
import { Best } from "../../assembly/table/best";
import { Bitmap } from "../../assembly/table/bitmap";
import { tupleHash } from "../../assembly/table/hash";
import { Index } from "../../assembly/table/index";
import { Map64 } from "../../assembly/table/map";
import { Prefix } from "../../assembly/table/prefix";
import { Slab } from "../../assembly/table/slab";
import { Wheel } from "../../assembly/table/wheel";
import { Arp } from "../../assembly/wire/arp";
import { Be } from "../../assembly/wire/bytes";
import { sum as checksumSum } from "../../assembly/wire/checksum";
import { Ethernet } from "../../assembly/wire/ethernet";
import { Icmp } from "../../assembly/wire/icmp";
import { Ipv4 } from "../../assembly/wire/ipv4";
import { completeUnsure } from "../../assembly/wire/offload";
import { Tcp } from "../../assembly/wire/tcp";
import { Udp } from "../../assembly/wire/udp";
import { Vlan } from "../../assembly/wire/vlan";

export { expandSeed, mix64, sipHash, tupleHash } from "../../assembly/table/hash";
export { copyMac, isZeroMac, macWord } from "../../assembly/wire/bytes";
export {
  apply,
  applyUdp,
  checksumOf,
  delta16,
  delta32,
  fold,
  pseudoHeader,
  update16,
  update32,
} from "../../assembly/wire/checksum";
export { completeChecksum, segment } from "../../assembly/wire/offload";
export { arenaBytes };

export function unsureComplete(packet: usize): void {
  completeUnsure(Ipv4.view(packet));
}

// --- arena

/**
 * Where the i-th region begins of those that stand together because conns have parts of them, and the one behind them;
 * `arenaBytes` has laid them out. test/bench/connbytes.ts has their names.
 */
export function arenaRegion(i: u32): usize {
  switch (i) {
    case 0:
      return conns;
    case 1:
      return windows;
    case 2:
      return changetype<usize>(connSlab);
    case 3:
      return changetype<usize>(connIndex);
    case 4:
      return changetype<usize>(connWheel);
    case 5:
      return changetype<usize>(filterIndex);
    case 6:
      return mappings;
    case 7:
      return changetype<usize>(mappingSlab);
    case 8:
      return changetype<usize>(mappingIndex);
    case 9:
      return grants;
    case 10:
      return changetype<usize>(grantSlab);
    case 11:
      return changetype<usize>(grantIndex);
    case 12:
      return changetype<usize>(grantWheel);
    case 13:
      return hosts;
    case 14:
      return changetype<usize>(hostSlab);
    case 15:
      return changetype<usize>(hostIndex);
    case 16:
      return restingPorts;
    case 17:
      return events;
    case 18:
      return searchWorkspace;
    default:
      return <usize>arenaBytes();
  }
}

// --- checksum

export function sum(at: usize, bytes: u32, initial: u32): u32 {
  return checksumSum(at, bytes, initial);
}

// --- Best

export function bestCreate(at: usize, n: u32): void {
  Best.create(at, n);
}

export function bestBytes(n: u32): usize {
  return Best.bytes(n);
}

export function bestCount(at: usize): u32 {
  return Best.view(at).count;
}

export function bestAdd(at: usize, key: u64, index: u32, stamp: u32): void {
  Best.view(at).add(key, index, stamp);
}

export function bestSort(at: usize): void {
  Best.view(at).sort();
}

export function bestKey(at: usize, i: u32): u64 {
  return Best.view(at).key(i);
}

export function bestIndex(at: usize, i: u32): u32 {
  return Best.view(at).index(i);
}

export function bestStamp(at: usize, i: u32): u32 {
  return Best.view(at).stamp(i);
}

// --- Index

export function indexBytes(entriesMax: u32): usize {
  return Index.bytes(entriesMax);
}

export function indexCreate(at: usize, entriesMax: u32): void {
  Index.create(at, entriesMax);
}

export function indexCount(at: usize): u32 {
  return Index.view(at).count;
}

export function indexEntriesMax(at: usize): u32 {
  return Index.view(at).entriesMax;
}

export function indexTouch(at: usize, hash: u64): u32 {
  return Index.view(at).touch(hash);
}

export function indexBucket(at: usize, hash: u64, which: u32): usize {
  return Index.view(at).bucket(hash, which);
}

export function indexMatches(bucket: usize, hash: u64): u32 {
  return Index.matches(bucket, hash);
}

export function indexHandle(bucket: usize, slot: u32): u32 {
  return Index.handle(bucket, slot);
}

export function indexInsert(at: usize, hash: u64, handle: u32): bool {
  return Index.view(at).insert(hash, handle);
}

export function indexRemove(at: usize, hash: u64, handle: u32): bool {
  return Index.view(at).remove(hash, handle);
}

export function indexReplace(at: usize, hash: u64, handle: u32, by: u32): bool {
  return Index.view(at).replace(hash, handle, by);
}

/** How often `handle` is filed where `hash` would look for it. */
export function indexFind(at: usize, hash: u64, handle: u32): u32 {
  let found: u32 = 0;
  for (let which: u32 = 0; which < 2; which++) {
    const bucket = Index.view(at).bucket(hash, which);
    for (let fits = Index.matches(bucket, hash); fits; fits &= fits - 1) {
      if (Index.handle(bucket, ctz(fits)) == handle) found++;
    }
  }
  return found;
}

/**
 * Files the handles 0 to n - 1 under hashes that follow from `key` (24 bytes of it used, as by the datapath);
 * how many went in before the first refusal.
 */
export function indexFill(at: usize, key: usize, n: u32): u32 {
  for (let i: u32 = 0; i < n; i++) {
    if (!Index.view(at).insert(tupleHash(key, <u64>i, 0), i)) return i;
  }
  return n;
}

/** How many of the handles 0 to n - 1 are found again. */
export function indexFilled(at: usize, key: usize, n: u32): u32 {
  let found: u32 = 0;
  for (let i: u32 = 0; i < n; i++) {
    if (indexFind(at, tupleHash(key, <u64>i, 0), i) == 1) found++;
  }
  return found;
}

// --- Slab

export function slabBytes(n: u32): usize {
  return Slab.bytes(n);
}

export function slabCreate(at: usize, n: u32): void {
  Slab.create(at, n);
}

export function slabCount(at: usize): u32 {
  return Slab.view(at).count;
}

export function slabCapacity(at: usize): u32 {
  return Slab.view(at).capacity;
}

export function slabFresh(at: usize): u32 {
  return Slab.view(at).fresh;
}

export function slabTake(at: usize): u32 {
  return Slab.view(at).take();
}

export function slabGive(at: usize, i: u32): void {
  Slab.view(at).give(i);
}

export function slabHolds(at: usize, i: u32): bool {
  return Slab.view(at).holds(i);
}

// --- Wheel

export function wheelBytes(n: u32): usize {
  return Wheel.bytes(n);
}

export function wheelCreate(at: usize, n: u32, tickMs: u32, now: u32): void {
  Wheel.create(at, n, tickMs, now);
}

export function wheelCount(at: usize): u32 {
  return Wheel.view(at).count;
}

export function wheelAdd(at: usize, i: u32, deadline: u32): void {
  Wheel.view(at).add(i, deadline);
}

export function wheelRemove(at: usize, i: u32): void {
  Wheel.view(at).remove(i);
}

export function wheelHolds(at: usize, i: u32): bool {
  return Wheel.view(at).holds(i);
}

export function wheelDue(at: usize, now: u32): u32 {
  return Wheel.view(at).due(now);
}

export function wheelWait(at: usize, now: u32): u32 {
  return Wheel.view(at).wait(now);
}

// --- Bitmap

export function bitmapBytes(): usize {
  return Bitmap.BYTES;
}

export function bitmapCount(at: usize): u32 {
  return Bitmap.view(at).count;
}

export function bitmapClear(at: usize): void {
  Bitmap.view(at).clear();
}

export function bitmapHas(at: usize, i: u32): bool {
  return Bitmap.view(at).has(i);
}

export function bitmapSet(at: usize, i: u32): bool {
  return Bitmap.view(at).set(i);
}

export function bitmapGive(at: usize, i: u32): void {
  Bitmap.view(at).give(i);
}

export function bitmapTake(at: usize, start: u32, low: u32, high: u32): u32 {
  return Bitmap.view(at).take(start, low, high);
}

export function bitmapTakeParity(at: usize, start: u32, low: u32, high: u32, parity: u32): u32 {
  return Bitmap.view(at).takeParity(start, low, high, parity);
}

export function bitmapIsClear(at: usize, first: u32, count: u32): bool {
  return Bitmap.view(at).isClear(first, count);
}

export function bitmapCountWithin(at: usize, first: u32, last: u32): u32 {
  return Bitmap.view(at).countWithin(first, last);
}

// --- Map64

export function mapBytes(n: u32): usize {
  return Map64.bytes(n);
}

export function mapCreate(at: usize, n: u32, key: u64): void {
  Map64.create(at, n, key);
}

export function mapCount(at: usize): u32 {
  return Map64.view(at).count;
}

export function mapPut(at: usize, key: u64, value: u32): bool {
  return Map64.view(at).put(key, value);
}

export function mapGet(at: usize, key: u64): u32 {
  return Map64.view(at).get(key);
}

// --- Prefix

export function prefixBytes(zones: u32, n: u32): usize {
  return Prefix.bytes(zones, n);
}

export function prefixCreate(at: usize, zones: u32, n: u32, key: u64): void {
  Prefix.create(at, zones, n, key);
}

export function prefixCount(at: usize): u32 {
  return Prefix.view(at).count;
}

export function prefixPut(at: usize, zone: u32, prefix: u32, length: u32, value: u32): bool {
  return Prefix.view(at).put(zone, prefix, length, value);
}

export function prefixFind(at: usize, zone: u32, address: u32): u32 {
  return Prefix.view(at).find(zone, address);
}

// --- bytes

export function load16(at: usize): u32 {
  return Be.load16(at);
}

export function store16(at: usize, value: u32): void {
  Be.store16(at, value);
}

export function load32(at: usize): u32 {
  return Be.load32(at);
}

export function store32(at: usize, value: u32): void {
  Be.store32(at, value);
}

// --- Ethernet

export function ethernetFits(at: usize, available: u32): bool {
  return Ethernet.view(at).fits(available);
}

export function ethernetType(at: usize): u32 {
  return Ethernet.view(at).type;
}

export function ethernetSetType(at: usize, value: u32): void {
  Ethernet.view(at).type = value;
}

export function ethernetIsMulticast(at: usize): bool {
  return Ethernet.view(at).isMulticast;
}

export function ethernetIsBroadcast(at: usize): bool {
  return Ethernet.view(at).isBroadcast;
}

export function ethernetDestination(at: usize): usize {
  return Ethernet.view(at).destination;
}

export function ethernetSource(at: usize): usize {
  return Ethernet.view(at).source;
}

export function ethernetPayload(at: usize): usize {
  return Ethernet.view(at).payload;
}

// --- Vlan

export function vlanFits(at: usize, available: u32): bool {
  return Vlan.view(at).fits(available);
}

export function vlanTci(at: usize): u32 {
  return Vlan.view(at).tci;
}

export function vlanId(at: usize): u32 {
  return Vlan.view(at).id;
}

export function vlanInnerType(at: usize): u32 {
  return Vlan.view(at).innerType;
}

export function vlanSetTci(at: usize, value: u32): void {
  Vlan.view(at).tci = value;
}

export function vlanSetInnerType(at: usize, value: u32): void {
  Vlan.view(at).innerType = value;
}

export function vlanPayload(at: usize): usize {
  return Vlan.view(at).payload;
}

// --- Arp

export function arpFits(at: usize, available: u32): bool {
  return Arp.view(at).fits(available);
}

export function arpOperation(at: usize): u32 {
  return Arp.view(at).operation;
}

export function arpSenderAddress(at: usize): u32 {
  return Arp.view(at).senderAddress;
}

export function arpTargetAddress(at: usize): u32 {
  return Arp.view(at).targetAddress;
}

export function arpSetOperation(at: usize, value: u32): void {
  Arp.view(at).operation = value;
}

export function arpSetSenderAddress(at: usize, value: u32): void {
  Arp.view(at).senderAddress = value;
}

export function arpSetTargetAddress(at: usize, value: u32): void {
  Arp.view(at).targetAddress = value;
}

export function arpWellFormed(at: usize): bool {
  return Arp.view(at).wellFormed;
}

export function arpSenderMac(at: usize): usize {
  return Arp.view(at).senderMac;
}

export function arpTargetMac(at: usize): usize {
  return Arp.view(at).targetMac;
}

export function arpWrite(
  at: usize,
  operation: u32,
  senderMac: usize,
  senderAddress: u32,
  targetMac: usize,
  targetAddress: u32,
): void {
  Arp.write(at, operation, senderMac, senderAddress, targetMac, targetAddress);
}

// --- Ipv4

export function ipv4Fits(at: usize, available: u32): bool {
  return Ipv4.view(at).fits(available);
}

export function ipv4Version(at: usize): u32 {
  return Ipv4.view(at).version;
}

export function ipv4HeaderBytes(at: usize): u32 {
  return Ipv4.view(at).headerBytes;
}

export function ipv4TotalBytes(at: usize): u32 {
  return Ipv4.view(at).totalBytes;
}

export function ipv4Tos(at: usize): u32 {
  return Ipv4.view(at).tos;
}

export function ipv4Identification(at: usize): u32 {
  return Ipv4.view(at).identification;
}

export function ipv4Fragment(at: usize): u32 {
  return Ipv4.view(at).fragment;
}

export function ipv4FragmentOffset(at: usize): u32 {
  return Ipv4.view(at).fragmentOffset;
}

export function ipv4Ttl(at: usize): u32 {
  return Ipv4.view(at).ttl;
}

export function ipv4Protocol(at: usize): u32 {
  return Ipv4.view(at).protocol;
}

export function ipv4Checksum(at: usize): u32 {
  return Ipv4.view(at).checksum;
}

export function ipv4Source(at: usize): u32 {
  return Ipv4.view(at).source;
}

export function ipv4Destination(at: usize): u32 {
  return Ipv4.view(at).destination;
}

export function ipv4PayloadBytes(at: usize): u32 {
  return Ipv4.view(at).payloadBytes;
}

export function ipv4SetTotalBytes(at: usize, value: u32): void {
  Ipv4.view(at).totalBytes = value;
}

export function ipv4SetIdentification(at: usize, value: u32): void {
  Ipv4.view(at).identification = value;
}

export function ipv4SetFragment(at: usize, value: u32): void {
  Ipv4.view(at).fragment = value;
}

export function ipv4SetTtl(at: usize, value: u32): void {
  Ipv4.view(at).ttl = value;
}

export function ipv4SetChecksum(at: usize, value: u32): void {
  Ipv4.view(at).checksum = value;
}

export function ipv4SetSource(at: usize, value: u32): void {
  Ipv4.view(at).source = value;
}

export function ipv4SetDestination(at: usize, value: u32): void {
  Ipv4.view(at).destination = value;
}

export function ipv4DontFragment(at: usize): bool {
  return Ipv4.view(at).dontFragment;
}

export function ipv4MoreFragments(at: usize): bool {
  return Ipv4.view(at).moreFragments;
}

export function ipv4IsFragment(at: usize): bool {
  return Ipv4.view(at).isFragment;
}

export function ipv4Payload(at: usize): usize {
  return Ipv4.view(at).payload;
}

export function ipv4HeaderSumIsRight(at: usize): bool {
  return Ipv4.view(at).headerSumIsRight();
}

export function ipv4Write(
  at: usize,
  totalBytes: u32,
  identification: u32,
  ttl: u32,
  protocol: u32,
  source: u32,
  destination: u32,
): void {
  Ipv4.write(at, totalBytes, identification, ttl, protocol, source, destination);
}

// --- Tcp

export function tcpFits(at: usize, available: u32): bool {
  return Tcp.view(at).fits(available);
}

export function tcpSourcePort(at: usize): u32 {
  return Tcp.view(at).sourcePort;
}

export function tcpDestinationPort(at: usize): u32 {
  return Tcp.view(at).destinationPort;
}

export function tcpSequence(at: usize): u32 {
  return Tcp.view(at).sequence;
}

export function tcpAcknowledgment(at: usize): u32 {
  return Tcp.view(at).acknowledgment;
}

export function tcpHeaderBytes(at: usize): u32 {
  return Tcp.view(at).headerBytes;
}

export function tcpFlags(at: usize): u32 {
  return Tcp.view(at).flags;
}

export function tcpWindow(at: usize): u32 {
  return Tcp.view(at).window;
}

export function tcpChecksum(at: usize): u32 {
  return Tcp.view(at).checksum;
}

export function tcpSetSourcePort(at: usize, value: u32): void {
  Tcp.view(at).sourcePort = value;
}

export function tcpSetDestinationPort(at: usize, value: u32): void {
  Tcp.view(at).destinationPort = value;
}

export function tcpSetSequence(at: usize, value: u32): void {
  Tcp.view(at).sequence = value;
}

export function tcpSetAcknowledgment(at: usize, value: u32): void {
  Tcp.view(at).acknowledgment = value;
}

export function tcpSetFlags(at: usize, value: u32): void {
  Tcp.view(at).flags = value;
}

export function tcpSetChecksum(at: usize, value: u32): void {
  Tcp.view(at).checksum = value;
}

// --- Udp

export function udpFits(at: usize, available: u32): bool {
  return Udp.view(at).fits(available);
}

export function udpSourcePort(at: usize): u32 {
  return Udp.view(at).sourcePort;
}

export function udpDestinationPort(at: usize): u32 {
  return Udp.view(at).destinationPort;
}

export function udpLength(at: usize): u32 {
  return Udp.view(at).length;
}

export function udpChecksum(at: usize): u32 {
  return Udp.view(at).checksum;
}

export function udpSetSourcePort(at: usize, value: u32): void {
  Udp.view(at).sourcePort = value;
}

export function udpSetDestinationPort(at: usize, value: u32): void {
  Udp.view(at).destinationPort = value;
}

export function udpSetLength(at: usize, value: u32): void {
  Udp.view(at).length = value;
}

export function udpSetChecksum(at: usize, value: u32): void {
  Udp.view(at).checksum = value;
}

// --- Icmp

export function icmpFits(at: usize, available: u32): bool {
  return Icmp.view(at).fits(available);
}

export function icmpType(at: usize): u32 {
  return Icmp.view(at).type;
}

export function icmpCode(at: usize): u32 {
  return Icmp.view(at).code;
}

export function icmpChecksum(at: usize): u32 {
  return Icmp.view(at).checksum;
}

export function icmpIdentifier(at: usize): u32 {
  return Icmp.view(at).identifier;
}

export function icmpSequence(at: usize): u32 {
  return Icmp.view(at).sequence;
}

export function icmpSetType(at: usize, value: u32): void {
  Icmp.view(at).type = value;
}

export function icmpSetCode(at: usize, value: u32): void {
  Icmp.view(at).code = value;
}

export function icmpSetChecksum(at: usize, value: u32): void {
  Icmp.view(at).checksum = value;
}

export function icmpSetIdentifier(at: usize, value: u32): void {
  Icmp.view(at).identifier = value;
}

export function icmpSetSequence(at: usize, value: u32): void {
  Icmp.view(at).sequence = value;
}
