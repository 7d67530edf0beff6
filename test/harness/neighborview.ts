/** Neighbors as tests read them. */

import { NeighborRowAt, NeighborState } from "../../assembly/abi.js";
import { formatAddress } from "../../host/config/address.js";
import type { Config } from "../../host/config/model.js";
import { macText } from "./frame.js";

export interface NeighborView {
  readonly device: string;
  readonly address: string;
  readonly mac: string;
  readonly state: string;
}

export function readNeighbor(row: DataView, config: Config): NeighborView {
  const bytes = Buffer.from(row.buffer, row.byteOffset, row.byteLength);
  return {
    device: config.devices[row.getUint16(NeighborRowAt.Device, true)]?.name ?? "none",
    address: formatAddress(row.getUint32(NeighborRowAt.Address, true)),
    mac: macText(bytes, NeighborRowAt.Mac),
    state: (NeighborState[row.getUint8(NeighborRowAt.State)] ?? "").toLowerCase(),
  };
}
