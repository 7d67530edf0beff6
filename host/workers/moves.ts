/**
 * External ports that a restart leaves with the worker of their host. A host is given ports of its own worker only
 * (assembly/nat/owner.ts); but what another process has saved was given out by other workers, or other shares, and so the
 * port of a host's mapping may be one of another worker than the host. Its conns can live with the host's worker alone,
 * where its packets come to, and so that one gets the port; all workers are told before the first frame.
 *
 * Who has a port is said by the first record that names it, and a port that its own worker's host has stays.
 */

import {
  Allocation,
  HOST_FACTOR,
  Limit,
  MovedPortAt,
  SavedAt,
  SavedConnAt,
  SavedGrantAt,
  SavedKind,
  SavedMappingAt,
  SavedPart,
  SavedWindowsAt,
  TupleAt,
  ZONE_FACTOR,
} from "../../assembly/abi.js";
import type { Config } from "../config/model.js";

/** The bitmaps of assembly/nat/external.ts, by protocol. */
const BITMAPS: ReadonlyMap<number, number> = new Map([
  [6, 0],
  [17, 1],
  [1, 2],
]);

const NOT_MOVED = 0xff;

/** An inside host's external port. */
interface Claim {
  readonly address: number;
  readonly zone: number;
  readonly port: number;
  readonly which: number;
  /** The worker of its host, and the one whose it would be. */
  readonly worker: number;
  readonly share: number;
}

/** All ports of one number. */
interface Place extends Pick<Claim, "address" | "zone" | "port"> {
  /** By bitmap. */
  readonly workers: [number, number, number];
}

/**
 * Records of abi's MovedPortAt, no more than Limit.MovedPorts.
 * @param records  gives all that was saved, each time from the beginning
 * @param shareShift  ports stand together in twos to this power
 */
export function movedPorts(
  records: () => Iterable<Uint8Array>,
  config: Config,
  shareShift: number,
): Uint8Array {
  if (config.workers === 1) return new Uint8Array();
  const places = new Map<string, Place>();
  const isShared = sharedIn(config);
  const all = () => claimsOf(records(), config.workers, shareShift, isShared);
  for (const claim of all()) if (claim.worker !== claim.share) note(places, claim);
  if (places.size === 0) return new Uint8Array();
  for (const { worker, share, which, ...claim } of all()) {
    const place = worker === share ? places.get(nameOf(claim)) : undefined;
    if (place !== undefined) place.workers[which] = NOT_MOVED;
  }
  const moved = [...places.values()].filter(({ workers }) => workers.some((w) => w !== NOT_MOVED));
  return write(moved);
}

function nameOf({ address, zone, port }: Pick<Claim, "address" | "zone" | "port">): string {
  return `${zone} ${address} ${port}`;
}

function note(places: Map<string, Place>, { which, worker, ...claim }: Claim): void {
  const name = nameOf(claim);
  const known = places.get(name);
  if (known === undefined && places.size === Limit.MovedPorts) return;
  const { address, zone, port } = claim;
  const place = known ?? { address, zone, port, workers: [NOT_MOVED, NOT_MOVED, NOT_MOVED] };
  if (place.workers[which] === NOT_MOVED) place.workers[which] = worker;
  places.set(name, place);
}

/** Whether ports of an external address go one by one: in blocks, and with their hosts, they go otherwise. */
function sharedIn({ pools }: Config): (zone: number, address: number) => boolean {
  return (zone, address) => {
    const pool = pools.find(
      (each) =>
        each.zone.id === zone &&
        each.ranges.some(({ first, last }) => first <= address && address <= last),
    );
    if (pool === undefined) return false;
    const { allocation } = pool;
    return allocation === Allocation.Random || allocation === Allocation.Preserve;
  };
}

function* claimsOf(
  pieces: Iterable<Uint8Array>,
  workers: number,
  shareShift: number,
  isShared: (zone: number, address: number) => boolean,
): Generator<Claim> {
  for (const piece of pieces) {
    const view = new DataView(piece.buffer, piece.byteOffset, piece.length);
    for (let at = 0; at < piece.length; at += view.getUint16(at + SavedAt.Length, true)) {
      const claim = claimAt(view, at, workers, shareShift);
      if (claim !== undefined && isShared(claim.zone, claim.address)) yield claim;
    }
  }
}

function claimAt(
  view: DataView,
  at: number,
  workers: number,
  shareShift: number,
): Claim | undefined {
  const kind = view.getUint8(at + SavedAt.Kind);
  const parts = view.getUint8(at + SavedAt.Parts);
  const isGrant = kind === SavedKind.Grant;
  const hasMapping = kind === SavedKind.Conn && (parts & SavedPart.Mapping) !== 0;
  if (!isGrant && !hasMapping) return undefined;
  const behind = SavedConnAt.Bytes + ((parts & SavedPart.Windows) !== 0 ? SavedWindowsAt.Bytes : 0);
  const inside = at + (isGrant ? SavedGrantAt.Inside : SavedConnAt.Original);
  const mapping = at + (isGrant ? SavedGrantAt.Mapping : behind);
  const end = at + view.getUint16(at + SavedAt.Length, true);
  if (mapping + SavedMappingAt.Bytes > end) return undefined;
  const which = BITMAPS.get(view.getUint8(inside + TupleAt.Protocol));
  if (which === undefined || view.getUint8(mapping + SavedMappingAt.Shared) !== 0) return undefined;
  const source = view.getUint32(inside + TupleAt.Source, true);
  const address = view.getUint32(mapping + SavedMappingAt.External, true);
  const port = view.getUint16(mapping + SavedMappingAt.ExternalPort, true);
  return {
    address,
    zone: view.getUint16(mapping + SavedMappingAt.ExternalZone, true),
    port,
    which,
    worker: ownerOfHost(view.getUint16(inside + TupleAt.Zone, true), source, workers),
    share: ((port >>> shareShift) + (address & 0xffff)) % workers,
  };
}

/** As assembly/nat/owner.ts has it. */
function ownerOfHost(zone: number, address: number, workers: number): number {
  const hash = Math.imul(address ^ Math.imul(zone, ZONE_FACTOR), HOST_FACTOR) >>> 0;
  return ((hash >>> 16) * workers) >>> 16;
}

function write(places: readonly Place[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(places.length * MovedPortAt.Bytes));
  for (const [i, { address, zone, port, workers }] of places.entries()) {
    const at = i * MovedPortAt.Bytes;
    view.setUint32(at + MovedPortAt.External, address, true);
    view.setUint16(at + MovedPortAt.ExternalZone, zone, true);
    view.setUint16(at + MovedPortAt.Port, port, true);
    for (const [which, worker] of workers.entries()) {
      view.setUint8(at + MovedPortAt.Workers + which, worker);
    }
  }
  return new Uint8Array(view.buffer);
}
