/** What the main thread and the forwarding thread say to each other. */

import type { ArenaCapacity } from "./datapath.js";
import type { LinkCounters, LinkEvent } from "./device/device.js";
import type { InterfaceOrder } from "./device/open.js";

/** What the thread begins with. */
export interface WorkerStart {
  readonly capacity: ArenaCapacity;
  readonly seed: Uint8Array;
  readonly image: Uint8Array;
  readonly interfaces: readonly InterfaceOrder[];
}

/** Main thread → forwarding thread. Answers carry the order's id. */
export type Order =
  | { kind: "stop" }
  | { kind: "configure"; id: number; image: Uint8Array; interfaces: InterfaceOrder[] }
  | { kind: "counters"; id: number; devices: number; flows: number }
  | { kind: "conns"; id: number; first: number };

/** Rows of counters as they stand in the arena, see abi.ts. */
export interface RawCounters {
  readonly reasons: readonly bigint[];
  readonly devices: readonly (readonly bigint[])[];
  readonly zones: readonly (readonly bigint[])[];
  readonly flows: readonly (readonly bigint[])[];
  /** One per open interface; none where there is no device. */
  readonly links: readonly NamedLinkCounters[];
}

export interface NamedLinkCounters extends LinkCounters {
  readonly name: string;
}

/** Forwarding thread → main thread. */
export type Answer =
  | { kind: "ready"; wakeFd: number }
  | { kind: "failed"; text: string; isImage: boolean }
  | { kind: "stopped" }
  | { kind: "done"; id: number; error: string | undefined }
  | { kind: "counters"; id: number; counters: RawCounters }
  | { kind: "conns"; id: number; rows: Uint8Array[] }
  | { kind: "link"; interface: string; event: LinkEvent }
  | { kind: "warning"; text: string };
