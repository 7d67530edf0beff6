/** Neighbors as people and programs read them. */

import { NeighborRowAt, NeighborState } from "../../assembly/abi.js";
import { formatAddress, formatMac, macFromBytes } from "../config/address.js";
import type { Config } from "../config/model.js";

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
