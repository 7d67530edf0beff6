/**
 * The site that the benchmarks of the datapath work on: tenants behind one pool, as large as a benchmark asks for.
 * One tenant's frames are untagged, unless a number of tenants is given: then each is behind a VLAN of its own.
 */

import { compileImage } from "../../host/config/compile.js";
import { checkConfig } from "../../host/config/parse.js";
import { shareShiftOf } from "../../host/config/shares.js";
import type { ArenaCapacity } from "../../host/datapath.js";
import { capacityOfEach } from "../../host/workers/share.js";

export const ROUTER_MAC = "02:00:5e:00:00:01";
export const LAN_MAC = "02:00:00:00:0a:01";
const WAN_MAC = "02:00:00:00:14:01";
export const SERVER = "198.51.100.10";
export const UDP_SECONDS = 300;
/** Conns beyond the measured ones, so that the last is not made in a full table. */
const SPARE = 1024;
const POOL_ADDRESSES = 128;
const NEIGHBORS = 64;
const IMAGE_BYTES = 65536;

export interface EdgeShape {
  readonly conns: number;
  /** Of the pool. */
  readonly addresses?: string;
  /** Zones that use it, with the same addresses in each. */
  readonly tenants?: number;
  /** What leads out of the tenants' zones: `nat`, or for each a flow that only its own device meets. */
  readonly rules?: "nat" | "in_port";
  /** Flows that match no measured packet and are asked before the one that does. */
  readonly flowsBefore?: number;
  /** That share the conns; one by default. */
  readonly workers?: number;
}

/** A configuration with its image and the capacity of each worker, made once for all repetitions. */
export class EdgePlan {
  readonly image: Uint8Array;
  readonly capacity: ArenaCapacity;
  /** In the image: those before, and those that `rules` needs. */
  readonly flows: number;
  /** Where several workers share its ports. */
  readonly shareShift: number;

  constructor(readonly shape: EdgeShape) {
    const conns = shape.conns + SPARE;
    const neighbors = Math.max(NEIGHBORS, 2 * (shape.tenants ?? 1));
    const config = checkConfig(documentOf(shape, { conns, neighbors }));
    this.flows = config.flows.length;
    this.shareShift = shareShiftOf(config);
    this.image = compileImage(config);
    const imageBytes = Math.max(IMAGE_BYTES, this.image.length);
    const capacity = { conns, neighbors, poolAddresses: POOL_ADDRESSES, imageBytes };
    this.capacity = capacityOfEach(capacity, config.workers);
  }
}

/** A tenant's zone, device and tag; the tag is undefined where its frames have none. */
interface Tenant {
  readonly zone: string;
  readonly device: string;
  readonly tag: number | undefined;
}

function tenantsOf({ tenants }: EdgeShape): Tenant[] {
  if (tenants === undefined) return [{ zone: "tenant", device: "lan", tag: undefined }];
  return Array.from({ length: tenants }, (_, i) => {
    return { zone: `t${i + 1}`, device: `lan${i + 1}`, tag: i + 1 };
  });
}

/** @param capacity  as a configuration has it */
export function documentOf(shape: EdgeShape, capacity: { conns: number; neighbors?: number }) {
  const tenants = tenantsOf(shape);
  const device = { driver: "loopback", mac: ROUTER_MAC };
  const wan = { ...device, name: "wan", zone: "public", interface: "wan" };
  return {
    version: 1,
    zones: [
      ...tenants.map(({ zone, tag }) => ({ id: 100 + (tag ?? 0), name: zone })),
      { id: 20, name: "public" },
    ],
    devices: [
      ...tenants.map(({ zone, device: name, tag }) => {
        const vlan = tag === undefined ? {} : { vlan: tag };
        return { ...device, ...vlan, name, zone, interface: "lan", addresses: ["192.168.0.1/24"] };
      }),
      { ...wan, addresses: ["203.0.113.2/24"] },
    ],
    routes: [
      ...tenants.map(({ zone }) => ({ zone, to: "10.0.0.0/8", via: "192.168.0.2" })),
      { zone: "public", to: "0.0.0.0/0", via: "203.0.113.1" },
    ],
    neighbors: [
      ...tenants.map(({ zone }) => ({ zone, address: "192.168.0.2", mac: LAN_MAC })),
      { zone: "public", address: "203.0.113.1", mac: WAN_MAC },
    ],
    pools: [{ name: "p", zone: "public", addresses: [shape.addresses ?? "203.0.113.64/26"] }],
    ...rulesOf(shape, tenants),
    timeouts: { udp: UDP_SECONDS },
    capacity,
    ...(shape.workers === undefined ? {} : { workers: shape.workers }),
  };
}

function rulesOf({ rules = "nat", flowsBefore = 0 }: EdgeShape, tenants: readonly Tenant[]) {
  const before = Array.from({ length: flowsBefore }, (_, i) => {
    return `priority=100,udp,nw_dst=172.16.${i >>> 8}.${i & 255} actions=drop`;
  });
  if (rules === "nat") {
    const from = tenants.map(({ zone }) => zone);
    return { flows: before, nat: [{ from, to: "public", pool: "p" }] };
  }
  const outward = tenants.map(({ zone, device }) => {
    const action = `nat(src_zone=${zone},dst_zone=public,masq=p)`;
    return `in_port(${device}),conn_state=-tracked actions=${action}`;
  });
  const back = "in_port(wan),conn_state=+reply actions=nat(reverse,zone=public)";
  return { flows: [...before, ...outward, back] };
}
