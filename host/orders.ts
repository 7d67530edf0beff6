/** What the main thread and the workers say to each other. */

import type { ArenaCapacity, TraceModule, WorkerShare } from "./datapath.js";
import type { LinkCounters, LinkEvent } from "./device/device.js";
import type { InterfaceOrder } from "./device/open.js";
import type { ClockSample } from "./telemetry/event.js";
import type { RawTrace } from "./trace/tracer.js";
import type { Leg } from "./trace/way.js";
import type { ZoneLimit } from "./workers/allowances.js";
import type { BoardBuffers } from "./workers/board.js";
import type { Work } from "./workload.js";

/** What a worker begins with. */
export interface WorkerStart {
  readonly share: WorkerShare;
  readonly capacity: ArenaCapacity;
  readonly seed: Uint8Array;
  /** By worker: ends its sleep. The main thread's to close. */
  readonly wakeFds: readonly number[];
  readonly board: BoardBuffers;
  readonly first: ConfigurationOrder;
  /** It forwards nothing before it is told to: what another process has saved comes first. */
  readonly awaits: boolean;
}

/** A configuration as a worker takes it. */
export interface ConfigurationOrder {
  /** By which answers name it. */
  readonly number: number;
  readonly image: Uint8Array;
  readonly interfaces: readonly InterfaceOrder[];
  /** The one that it follows, and the numbers of the devices that are in it what they were in that. */
  readonly before: number;
  readonly kept: readonly number[];
  /** Zones with a limit of conns, which all workers share. */
  readonly limits: readonly ZoneLimit[];
  /** Microseconds, see host/patience.ts. */
  readonly busyPoll: number;
  /** Bits of abi's EventClass: which events are noted. */
  readonly events: number;
  /** Rows of counters that belong to it. */
  readonly devices: number;
  readonly flows: number;
}

/**
 * Main thread → worker. Answers carry the order's id. A configuration is prepared, which may fail, by all workers before
 * any is told to commit it.
 */
export type Order =
  | { kind: "stop" }
  | { kind: "prepare"; id: number; next: ConfigurationOrder }
  | { kind: "commit"; id: number }
  | { kind: "abandon"; id: number }
  /** Notes events of these classes (bits of abi's EventClass), too, whatever the configuration asks for. */
  | { kind: "watch"; classes: number }
  /** Is answered, and does nothing. */
  | { kind: "ping"; id: number }
  | { kind: "counters"; id: number }
  | { kind: "conns"; id: number; first: number }
  | SearchOrder
  | ExamineOrder
  | TraceOrder
  | ExternalsOrder
  | NeighborsOrder
  | SaveOrder
  | RestoreOrder
  /** External ports that stay with the workers of their hosts: records of abi's MovedPortAt. */
  | { kind: "movePorts"; id: number; ports: Uint8Array }
  /** Forwards from now on; the PCP server's time goes on from so many seconds ago, or begins. */
  | { kind: "begin"; id: number; epoch: number | undefined }
  /** Forwards nothing any more. What it knows can still be asked for. */
  | { kind: "halt"; id: number };

/** What is to go on in another process, a piece at a time. */
export interface SaveOrder {
  readonly kind: "save";
  readonly id: number;
  /** From the beginning. */
  readonly begins: boolean;
}

/** Whole records that were saved, in their order. */
export interface RestoreOrder {
  readonly kind: "restore";
  readonly id: number;
  readonly records: Uint8Array;
  /** Milliseconds since they were written. */
  readonly elapsed: number;
  /** Frames may have been forwarded since. */
  readonly old: boolean;
}

/** At least `count` addresses, from the `first`-th on, of the pool with this index in the configuration in force. */
export interface ExternalsOrder {
  readonly kind: "externals";
  readonly id: number;
  readonly pool: number;
  readonly first: number;
  readonly count: number;
}

/** All neighbors. */
export interface NeighborsOrder {
  readonly kind: "neighbors";
  readonly id: number;
}

/** Something to be found in slices, see assembly/search.ts; answered by `found`. */
export interface SearchOrder {
  readonly kind: "search";
  readonly id: number;
  /** Of abi's SearchAt, without the reference. */
  readonly record: Uint8Array;
  /** The reference: milliseconds since the epoch, as performance.timeOrigin counts them. */
  readonly reference: number;
}

/** Which conns an image would end, see abi's SearchKind.Lapses; answered by `examined`. */
export interface ExamineOrder {
  readonly kind: "examine";
  readonly id: number;
  readonly image: Uint8Array;
  /** Of abi's SearchAt. */
  readonly record: Uint8Array;
}

/** What would become of a frame; answered by `traced`. */
export interface TraceOrder {
  readonly kind: "trace";
  readonly id: number;
  /** The trace build. */
  readonly module: TraceModule;
  readonly leg: Leg;
}

/** Rows of counters as they stand in the arena, see abi.ts. */
export interface RawCounters {
  readonly reasons: readonly bigint[];
  readonly devices: readonly (readonly bigint[])[];
  readonly zones: readonly (readonly bigint[])[];
  readonly flows: readonly (readonly bigint[])[];
  /** One per open interface; none where there is no device. */
  readonly links: readonly NamedLinkCounters[];
  /** By abi's Table: entries in use, and places. */
  readonly tables: readonly TableUse[];
  /** One per worker; none where there is none. */
  readonly work: readonly Work[];
  /** Events that found no place. */
  readonly eventsLost: number;
}

export interface TableUse {
  readonly used: number;
  readonly capacity: number;
}

export interface NamedLinkCounters extends LinkCounters {
  readonly name: string;
}

/** Worker → main thread. */
export type Answer =
  | { kind: "ready" }
  | { kind: "failed"; text: string; isImage: boolean }
  | { kind: "stopped" }
  | { kind: "done"; id: number; error: string | undefined }
  /** `configuration` is the number of the one whose counters they are. */
  | { kind: "counters"; id: number; configuration: number; counters: RawCounters }
  | { kind: "conns"; id: number; rows: Uint8Array[] }
  | Found
  | Examined
  | { kind: "traced"; id: number; configuration: number; trace: RawTrace | Error }
  /** Pages of abi's ExternalRowAt, NeighborRowAt rows, and the number of the configuration that they are of. */
  | { kind: "externals"; id: number; configuration: number; rows: Uint8Array[] }
  | { kind: "neighbors"; id: number; configuration: number; rows: Uint8Array[] }
  /** Records that were written just before `wall`, milliseconds since 1970. */
  | { kind: "saved"; id: number; records: Uint8Array; wall: number; isDone: boolean }
  /** What has become of all records so far: by abi's Fate. */
  | { kind: "restored"; id: number; fates: RawFates }
  /** Rows of abi's EventAt, the number of the configuration whose pools they name, and both clocks behind them. */
  | { kind: "events"; configuration: number; rows: Uint8Array; sample: ClockSample }
  /** So many events found no place. */
  | { kind: "eventsLost"; events: number }
  | { kind: "link"; interface: string; event: LinkEvent }
  | { kind: "notice"; text: string };

/** How many records of each kind had which Fate. */
export interface RawFates {
  readonly conns: readonly number[];
  readonly grants: readonly number[];
  readonly ports: readonly number[];
}

/** What a search has found. */
export interface Found {
  readonly kind: "found";
  readonly id: number;
  readonly configuration: number;
  /** Fields of abi's FoundAt. */
  readonly matched: number;
  readonly count: number;
  readonly pools: number;
  /** By ConnPhase. */
  readonly phases: readonly number[];
  /** Pages of abi's SearchRowAt rows. */
  readonly rows: readonly Uint8Array[];
}

/** What an image would do to a worker's conns. */
export interface Examined {
  readonly kind: "examined";
  readonly id: number;
  /** Why the image is refused; then nothing else counts. */
  readonly error: string | undefined;
  /** Whether another image came meanwhile, be it by a switch: then nothing else counts either. */
  readonly isVoid: boolean;
  readonly looked: number;
  /** By abi's Lapse. */
  readonly lapses: readonly number[];
  /** Pages of abi's SearchRowAt rows. */
  readonly rows: readonly Uint8Array[];
}
