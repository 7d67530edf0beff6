/**
 * Loads dist/internals.wasm: the datapath's tables and views as functions over a memory of the test's own.
 *
 * Wasm knows no unsigned results, so every number comes back through `>>> 0` and every bigint through
 * BigInt.asUintN: a test sees u32 and u64 as they were meant. A bool is 0 or 1.
 */

import { readFileSync } from "node:fs";
import { instantiate } from "@assemblyscript/loader";

/** What a table answers for "nothing". */
export const NONE = 0xffffffff;
/** A place for tables and packets: 64-byte aligned, and not 0, which can mean "no pointer". */
export const AT = 1024;

type Getters<View extends string, Field extends string> = {
  [Name in `${View}${Capitalize<Field>}`]: (at: number) => number;
};
type Setters<View extends string, Field extends string> = {
  [Name in `${View}Set${Capitalize<Field>}`]: (at: number, value: number) => void;
};
type Fits<View extends string> = {
  [Name in `${View}Fits`]: (at: number, available: number) => number;
};

type Views = Fits<"ethernet" | "vlan" | "arp" | "ipv4" | "tcp" | "udp" | "icmp"> &
  Getters<"ethernet", "type" | "isMulticast" | "isBroadcast"> &
  Getters<"ethernet", "destination" | "source" | "payload"> &
  Setters<"ethernet", "type"> &
  Getters<"vlan", "tci" | "id" | "innerType" | "payload"> &
  Setters<"vlan", "tci" | "innerType"> &
  Getters<"arp", "operation" | "senderAddress" | "targetAddress"> &
  Getters<"arp", "wellFormed" | "senderMac" | "targetMac"> &
  Setters<"arp", "operation" | "senderAddress" | "targetAddress"> &
  Getters<"ipv4", "version" | "headerBytes" | "totalBytes" | "tos" | "identification" | "ttl"> &
  Getters<"ipv4", "fragment" | "fragmentOffset" | "dontFragment" | "moreFragments"> &
  Getters<"ipv4", "isFragment" | "protocol" | "checksum" | "source" | "destination"> &
  Getters<"ipv4", "payload" | "payloadBytes" | "headerSumIsRight"> &
  Setters<"ipv4", "totalBytes" | "identification" | "fragment" | "ttl" | "checksum"> &
  Setters<"ipv4", "source" | "destination"> &
  Getters<"tcp", "sourcePort" | "destinationPort" | "sequence" | "acknowledgment"> &
  Getters<"tcp", "headerBytes" | "flags" | "window" | "checksum"> &
  Setters<"tcp", "sourcePort" | "destinationPort" | "sequence" | "acknowledgment"> &
  Setters<"tcp", "flags" | "checksum"> &
  Getters<"udp", "sourcePort" | "destinationPort" | "length" | "checksum"> &
  Setters<"udp", "sourcePort" | "destinationPort" | "length" | "checksum"> &
  Getters<"icmp", "type" | "code" | "checksum" | "identifier" | "sequence"> &
  Setters<"icmp", "type" | "code" | "checksum" | "identifier" | "sequence">;

interface Tables {
  tupleHash(key: number, word0: bigint, word1: bigint): bigint;
  mix64(value: bigint): bigint;
  sipHash(key: number, message: bigint): bigint;
  expandSeed(seed: number, into: number, bytes: number): void;

  arenaBytes(): number;
  arenaRegion(i: number): number;

  bestBytes(n: number): number;
  bestCreate(at: number, n: number): void;
  bestCount(at: number): number;
  bestAdd(at: number, key: bigint, index: number, stamp: number): void;
  bestSort(at: number): void;
  bestKey(at: number, i: number): bigint;
  bestIndex(at: number, i: number): number;
  bestStamp(at: number, i: number): number;

  indexBytes(entriesMax: number): number;
  indexCreate(at: number, entriesMax: number): void;
  indexCount(at: number): number;
  indexEntriesMax(at: number): number;
  indexTouch(at: number, hash: bigint): number;
  indexBucket(at: number, hash: bigint, which: number): number;
  indexMatches(bucket: number, hash: bigint): number;
  indexHandle(bucket: number, slot: number): number;
  indexInsert(at: number, hash: bigint, handle: number): number;
  indexRemove(at: number, hash: bigint, handle: number): number;
  indexReplace(at: number, hash: bigint, handle: number, by: number): number;
  indexFind(at: number, hash: bigint, handle: number): number;
  indexFill(at: number, key: number, n: number): number;
  indexFilled(at: number, key: number, n: number): number;

  slabBytes(n: number): number;
  slabCreate(at: number, n: number): void;
  slabCount(at: number): number;
  slabCapacity(at: number): number;
  slabFresh(at: number): number;
  slabTake(at: number): number;
  slabGive(at: number, i: number): void;
  slabHolds(at: number, i: number): number;

  wheelBytes(n: number): number;
  wheelCreate(at: number, n: number, tickMs: number, now: number): void;
  wheelCount(at: number): number;
  wheelAdd(at: number, i: number, deadline: number): void;
  wheelRemove(at: number, i: number): void;
  wheelHolds(at: number, i: number): number;
  wheelDue(at: number, now: number): number;
  wheelWait(at: number, now: number): number;

  bitmapBytes(): number;
  bitmapCount(at: number): number;
  bitmapClear(at: number): void;
  bitmapHas(at: number, i: number): number;
  bitmapSet(at: number, i: number): number;
  bitmapGive(at: number, i: number): void;
  bitmapTake(at: number, start: number, low: number, high: number): number;
  bitmapTakeParity(at: number, start: number, low: number, high: number, parity: number): number;
  bitmapIsClear(at: number, first: number, count: number): number;
  bitmapCountWithin(at: number, first: number, last: number): number;

  mapBytes(n: number): number;
  mapCreate(at: number, n: number, key: bigint): void;
  mapCount(at: number): number;
  mapPut(at: number, key: bigint, value: number): number;
  mapGet(at: number, key: bigint): number;

  prefixBytes(zones: number, n: number): number;
  prefixCreate(at: number, zones: number, n: number, key: bigint): void;
  prefixCount(at: number): number;
  prefixPut(at: number, zone: number, prefix: number, length: number, value: number): number;
  prefixFind(at: number, zone: number, address: number): number;
}

interface Wire {
  load16(at: number): number;
  load32(at: number): number;
  store16(at: number, value: number): void;
  store32(at: number, value: number): void;
  copyMac(to: number, from: number): void;
  macWord(at: number): bigint;
  isZeroMac(at: number): number;

  sum(at: number, bytes: number, initial: number): number;
  fold(sum: number): number;
  checksumOf(at: number, bytes: number): number;
  pseudoHeader(source: number, destination: number, protocol: number, bytes: number): number;
  delta16(from: number, to: number): number;
  delta32(from: number, to: number): number;
  apply(checksum: number, delta: number): number;
  applyUdp(checksum: number, delta: number): number;
  update16(checksum: number, from: number, to: number): number;
  update32(checksum: number, from: number, to: number): number;

  arpWrite(
    at: number,
    operation: number,
    senderMac: number,
    senderAddress: number,
    targetMac: number,
    targetAddress: number,
  ): void;
  ipv4Write(
    at: number,
    totalBytes: number,
    identification: number,
    ttl: number,
    protocol: number,
    source: number,
    destination: number,
  ): void;
  unsureComplete(packet: number): void;
  completeChecksum(frame: number, size: number, start: number, offset: number): number;
  segment(
    frame: number,
    size: number,
    segmentBytes: number,
    into: number,
    stride: number,
    max: number,
  ): number;
}

export interface Internals extends Tables, Wire, Views {
  /** The whole memory. */
  readonly bytes: Uint8Array;
}

type Plain = (...values: (number | bigint)[]) => number | bigint | undefined;

function unsigned(call: Plain): Plain {
  return (...values) => {
    const result = call(...values);
    if (typeof result === "number") return result >>> 0;
    return typeof result === "bigint" ? BigInt.asUintN(64, result) : result;
  };
}

/** A fresh instance over a zeroed memory of `pages` × 64 KiB. */
export async function internals(pages = 4): Promise<Internals> {
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  const wasm = readFileSync(new URL("../../internals.wasm", import.meta.url));
  const { instance } = await instantiate(wasm, { env: { memory } });
  const functions = Object.entries(instance.exports)
    .filter(([, value]) => typeof value === "function")
    .map(([name, value]) => [name, unsigned(value as Plain)]);
  return Object.assign(Object.fromEntries(functions), { bytes: new Uint8Array(memory.buffer) });
}
