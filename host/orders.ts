/** What the main thread and the forwarding thread say to each other. */

import type { ArenaCapacity } from "./datapath.js";
import type { LinkCounters, LinkEvent } from "./device/device.js";
import type { InterfaceOrder } from "./device/open.js";

/** What the thread begins with. */
export interface WorkerStart {
  readonly capacity: ArenaCapacity;
  readonly seed: Uint8Array;
  /** Ends its sleep when there are orders; the main thread's. */
  readonly wakeFd: number;
  readonly first: ConfigurationOrder;
}

/** A configuration as the thread takes it. */
export interface ConfigurationOrder {
  /** By which answers name it. */
  readonly number: number;
  readonly image: Uint8Array;
  readonly interfaces: readonly InterfaceOrder[];
  /** Microseconds, see host/patience.ts. */
  readonly busyPoll: number;
  /** Rows of counters that belong to it. */
  readonly devices: number;
  readonly flows: number;
}

/** Main thread → forwarding thread. Answers carry the order's id. */
export type Order =
  | { kind: "stop" }
  | { kind: "configure"; id: number; next: ConfigurationOrder }
  | { kind: "counters"; id: number }
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
  | { kind: "ready" }
  | { kind: "failed"; text: string; isImage: boolean }
  | { kind: "stopped" }
  | { kind: "done"; id: number; error: string | undefined }
  /** `configuration` is the number of the one whose counters they are. */
  | { kind: "counters"; id: number; configuration: number; counters: RawCounters }
  | { kind: "conns"; id: number; rows: Uint8Array[] }
  /** Rows of abi's EventAt, and the number of the configuration whose pools they name. */
  | { kind: "events"; configuration: number; rows: Uint8Array }
  | { kind: "link"; interface: string; event: LinkEvent }
  | { kind: "notice"; text: string };
