/**
 * What becomes of a record of a snapshot (abi: Fate), and whose it is: its zones must be the tenants' still that had them when
 * it was saved, by number and name, and of several workers one takes it (nat/restore.ts).
 */

import { Exchange, Fate, Reason, RestoredAt, SavedZoneAt } from "../abi";
import { active } from "../config/configuration";
import { arena } from "../memory";
import { CONTINUE } from "../packet";
import { NONE } from "../table/none";

/** Beside the Fates: another worker's, or nobody's whom another one tells of. */
export const ELSEWHERE: u32 = Fate.Count;
/** The zone may have no more conns here, but the host can be asked for more. */
export const ASKS: u32 = Fate.Count + 1;

/** Nothing has been restored yet. */
export function startCounting(): void {
  memory.fill(Exchange.Restored, 0, 3 * (RestoredAt.Grants - RestoredAt.Conns));
}

/** Counts what became of a record of this kind. */
export function tell(kind: RestoredAt, fate: u32): void {
  if (fate >= <u32>Fate.Count) return;
  const place = <usize>Exchange.Restored + <usize>kind + ((<usize>fate) << 2);
  store<u32>(place, load<u32>(place) + 1);
}

/** The fate of what is no worker's: one of them tells. */
export function nobodys(fate: Fate): u32 {
  return arena.worker == 0 ? <u32>fate : ELSEWHERE;
}

/** Numbers of zones mean nothing before the records say which tenants had them. */
export function forgetZones(): void {
  for (let i: u32 = 0; i < active.zoneCount; i++) active.zoneState(i).isSaved = false;
}

/** A zone as it was called. */
export function meetZone(at: usize, length: u32): void {
  const bytes: u32 = load<u16>(at, SavedZoneAt.NameBytes);
  if (length < <u32>SavedZoneAt.Name || bytes > length - SavedZoneAt.Name) return;
  const zone = active.zoneIndex(load<u16>(at, SavedZoneAt.Number));
  if (zone == NONE) return;
  active.zoneState(zone).isSaved = active.isNamed(zone, at + SavedZoneAt.Name, bytes);
}

/** Index of the zone with this number where it is the tenant's that had it, else NONE. */
export function sameZone(number: u32): u32 {
  const zone = active.zoneIndex(number);
  return zone != NONE && active.zoneState(zone).isSaved ? zone : NONE;
}

/** How a step that begins a conn says no. */
export function fateOf(reason: u32): u32 {
  switch (reason) {
    case CONTINUE:
      return Fate.Restored;
    case Reason.ZoneConnLimit:
    case Reason.HostConnLimit:
    case Reason.HostPortLimit:
      return Fate.OverLimit;
    case Reason.ConnTableFull:
    case Reason.MappingTableFull:
    case Reason.HostTableFull:
      return Fate.TableFull;
    case Reason.PoolExhausted:
      return Fate.PortTaken;
    case Reason.TupleInUse:
      return Fate.Contradicted;
    default:
      return Fate.Refused;
  }
}
