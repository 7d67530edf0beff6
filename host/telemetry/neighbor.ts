/** Neighbors as people and programs read them. */

import { NeighborRowAt, NeighborState } from "../../assembly/abi.js";
import { formatAddress, formatMac, macFromBytes } from "../config/address.js";
import type { Config } from "../config/model.js";
import { recordsOf } from "./rows.js";

export interface NeighborView {
  readonly address: string;
  readonly device: string;
  /** Number of the device's zone. */
  readonly zone: number;
  /** Undefined while it has not answered. */
  readonly mac: string | undefined;
  readonly state: string;
  /** Milliseconds since it was last confirmed. */
  readonly ageMs: number;
}

/** A row of abi's NeighborRowAt; `config` is the one in force. Undefined where it names no device. */
export function readNeighbor(row: DataView, config: Config): NeighborView | undefined {
  const device = config.devices[row.getUint16(NeighborRowAt.Device, true)];
  if (device === undefined) return undefined;
  const state = row.getUint8(NeighborRowAt.State);
  const mac = new Uint8Array(row.buffer, row.byteOffset + NeighborRowAt.Mac, 6);
  return {
    address: formatAddress(row.getUint32(NeighborRowAt.Address, true)),
    device: device.name,
    zone: device.zone.id,
    mac: state === NeighborState.Incomplete ? undefined : formatMac(macFromBytes(mac)),
    state: (NeighborState[state] ?? "").toLowerCase(),
    ageMs: row.getUint32(NeighborRowAt.Age, true),
  };
}

/** Of all workers, by zone, device and address. Of one that several know the latest confirmed is told. */
export function readNeighbors(pages: readonly Uint8Array[], config: Config): NeighborView[] {
  const found = new Map<string, NeighborView>();
  for (const row of recordsOf(pages, NeighborRowAt.Bytes)) {
    const neighbor = readNeighbor(row, config);
    if (neighbor === undefined) continue;
    const name = `${neighbor.device} ${neighbor.address}`;
    const known = found.get(name);
    if (known === undefined || isBetter(neighbor, known)) found.set(name, neighbor);
  }
  return [...found.values()].sort(compareNeighbors);
}

/** One that has a MAC is better than one that has not. */
function isBetter(one: NeighborView, other: NeighborView): boolean {
  if ((one.mac === undefined) !== (other.mac === undefined)) return one.mac !== undefined;
  return one.ageMs < other.ageMs;
}

function compareNeighbors(a: NeighborView, b: NeighborView): number {
  return (
    a.zone - b.zone ||
    compareTexts(a.device, b.device) ||
    addressKey(a.address) - addressKey(b.address)
  );
}

function compareTexts(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

function addressKey(address: string): number {
  return address.split(".").reduce((sum, byte) => sum * 256 + Number(byte), 0);
}
