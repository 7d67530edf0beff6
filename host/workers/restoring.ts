/** A worker restores what another process has saved (assembly/nat/restore.ts), before it forwards anything. */

import { RestoredAt, SavedAt } from "../../assembly/abi.js";
import { type Datapath, RECORDS_BYTES } from "../datapath.js";
import type { RawFates, RestoreOrder } from "../orders.js";

/**
 * Hands all records of an order in.
 * @param lend  lets the zone with this index have more conns, where its limit is shared and allows that
 */
export function restoreRecords(
  datapath: Datapath,
  { records, elapsed, old }: Pick<RestoreOrder, "records" | "elapsed" | "old">,
  now: number,
  lend: (zone: number) => void,
): void {
  let insists = false;
  for (let at = 0; at < records.length; ) {
    const piece = records.subarray(at, at + RECORDS_BYTES);
    const { bytes, zone } = datapath.restore(piece, elapsed, now, old, insists);
    at += bytes;
    insists = zone !== undefined;
    if (zone !== undefined) lend(zone);
    else if (bytes < SavedAt.Bytes) throw new RangeError(`a record without an end at ${at}`);
  }
}

export function fatesOf(datapath: Datapath): RawFates {
  return {
    conns: datapath.restored(RestoredAt.Conns),
    grants: datapath.restored(RestoredAt.Grants),
    ports: datapath.restored(RestoredAt.Ports),
  };
}
