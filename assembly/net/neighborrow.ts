/** A neighbor as hosts read it (abi: NeighborRowAt). */

import { NeighborRowAt, NeighborState } from "../abi";
import { copyMac } from "../wire/bytes";
import { Neighbor } from "./neighbor";

/** Writes the row of the neighbor with this index. */
export function writeNeighborRow(at: usize, index: u32, now: u32): void {
  const neighbor = Neighbor.at(index);
  memory.fill(at, 0, NeighborRowAt.Bytes);
  store<u32>(at, neighbor.address, NeighborRowAt.Address);
  store<u16>(at, neighbor.device, NeighborRowAt.Device);
  if (neighbor.state != NeighborState.Incomplete) {
    copyMac(at + NeighborRowAt.Mac, neighbor.header);
  }
  store<u8>(at, neighbor.state, NeighborRowAt.State);
  store<u32>(at, index, NeighborRowAt.Index);
  store<u32>(at, now - neighbor.confirmed, NeighborRowAt.Age);
}
