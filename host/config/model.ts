/**
 * A checked configuration: defaults filled in, names resolved to records, translations and forwards
 * expanded to flows. Deeply frozen; nothing behind the check looks again. A record's `index` is its place
 * in its list and in the image.
 */

import type {
  Allocation,
  Driver,
  FilteringBehaviour,
  MappingBehaviour,
} from "../../assembly/abi.js";
import type { AddressRange, PortRange, Prefix } from "./address.js";
import type { SyslogFacility } from "./telemetryschema.js";

export interface Zone {
  readonly index: number;
  /** 16 bits. */
  readonly id: number;
  readonly name: string;
  /** Conns of the zone and of one of its hosts; 0 for no limit. */
  readonly connsMax: number;
  readonly connsPerHost: number;
  /** External ports of one host; 0 for no limit. */
  readonly portsPerHost: PerProtocol<number>;
  /** Those of the configuration where the zone has none of its own. */
  readonly timeouts: ConnTimeouts;
  /** Its hosts may ask for external ports by PCP. */
  readonly pcp: boolean;
}

/** A policy of its own for each protocol that has ports or identifiers. */
export interface PerProtocol<T> {
  readonly tcp: T;
  readonly udp: T;
  readonly icmp: T;
}

/** What a host opens. */
export interface Interface {
  readonly index: number;
  readonly name: string;
  readonly driver: Driver;
}

/** The tags of a device's frames. A pair has a service tag outside. */
export interface Vlan {
  readonly outer: number;
  readonly inner: number | undefined;
}

export interface Device {
  readonly index: number;
  readonly name: string;
  /** What in_port() means. */
  readonly port: number;
  readonly zone: Zone;
  readonly interface: Interface;
  readonly vlan: Vlan | undefined;
  /** 48 bits; undefined where it is derived from the interface. */
  readonly mac: number | undefined;
  /** With their host bits. */
  readonly addresses: readonly Prefix[];
  /** Longest IP packet, bytes. */
  readonly mtu: number;
}

/** Connected ones included. */
export interface Route {
  readonly zone: Zone;
  readonly to: Prefix;
  /** Undefined where the destination itself is the neighbor. */
  readonly via: number | undefined;
  readonly device: Device;
}

export interface Neighbor {
  readonly device: Device;
  readonly address: number;
  readonly mac: number;
}

export interface Pool {
  readonly index: number;
  /** The text of masq= for a pool that was made for a flow. */
  readonly name: string;
  readonly zone: Zone;
  /** Ascending, without overlap. */
  readonly ranges: readonly AddressRange[];
  readonly addressCount: number;
  readonly ports: PortRange;
  readonly mapping: PerProtocol<MappingBehaviour>;
  readonly filtering: PerProtocol<FilteringBehaviour>;
  readonly allocation: Allocation;
  readonly parity: boolean;
  readonly inboundRefresh: boolean;
  readonly pooling: "paired" | "arbitrary";
  /** With allocation "block". */
  readonly block: PortBlocks | undefined;
  /** With allocation "deterministic". */
  readonly deterministic: Subscribers | undefined;
}

export interface PortBlocks {
  /** A power of two; a block begins at a multiple of it. */
  readonly ports: number;
  readonly perHost: number;
}

/** Hosts of one zone that have ports of their own; the first has the number `first` in its pool. */
export interface HostPrefix {
  readonly zone: Zone;
  readonly prefix: Prefix;
  readonly first: number;
}

/** RFC 7422: deterministic.ts has the arithmetic. */
export interface Subscribers {
  /** In the order of their numbers, which have no gaps. */
  readonly hosts: readonly HostPrefix[];
  readonly portsPerHost: number;
  /** From here to the pool's last port anyone's; undefined where there are none. */
  readonly overflowLow: number | undefined;
}

/** What a matching packet meets. */
export type RuleAction =
  | { readonly kind: "drop" | "reject" }
  | {
      readonly kind: "masquerade";
      readonly sourceZone: Zone;
      readonly targetZone: Zone;
      readonly pool: Pool;
    }
  | {
      readonly kind: "destination";
      readonly sourceZone: Zone | undefined;
      readonly targetZone: Zone;
      readonly address: number;
      /** Undefined: the port stays. Of a range of ports the first one's. */
      readonly port: number | undefined;
    }
  | {
      readonly kind: "source";
      readonly sourceZone: Zone | undefined;
      readonly targetZone: Zone;
      readonly address: number;
    }
  | { readonly kind: "reverse"; readonly zone: Zone }
  /** Without a zone the packet stays in its own, and the rule has an output. */
  | { readonly kind: "route"; readonly zone: Zone | undefined };

/** Which flags of conn_state matter, and what they must be: bits of abi's ConnState. */
export interface StateMatch {
  readonly mask: number;
  readonly value: number;
}

/** A flow with its names resolved. Undefined in the match: anything. */
export interface FlowRule {
  readonly index: number;
  /** As `flow list` prints it: its identity. */
  readonly text: string;
  /** Where it comes from: `flows[0]`, `nat[0].from[1]`, `forwards[2]`. */
  readonly origin: string;
  readonly priority: number;
  readonly device: Device | undefined;
  readonly zone: Zone | undefined;
  readonly protocol: number | undefined;
  readonly source: Prefix | undefined;
  readonly destination: Prefix | undefined;
  readonly sourcePorts: PortRange | undefined;
  readonly destinationPorts: PortRange | undefined;
  readonly state: StateMatch;
  readonly action: RuleAction;
  readonly output: Device | undefined;
}

/** Seconds that a conn may be idle. */
export interface ConnTimeouts {
  readonly udp: number;
  readonly tcpEstablished: number;
  readonly tcpOpening: number;
  readonly tcpClosing: number;
  readonly icmp: number;
  readonly other: number;
}

/** Instead of tcpEstablished, or of udp, for conns to these ports. */
export interface PortTimeout {
  /** IP protocol. */
  readonly protocol: number;
  readonly ports: PortRange;
  readonly seconds: number;
}

export interface Timeouts extends ConnTimeouts {
  /** Seconds that a freed port rests, that fragments may be apart, that an unsolicited SYN waits. */
  readonly holdDown: number;
  readonly fragment: number;
  readonly unsolicitedSyn: number;
  readonly ports: readonly PortTimeout[];
}

/** What holds for all conns: abi's Policy. */
export interface Switches {
  readonly tcp: { readonly window: "strict" | "liberal" };
  /** Which of them are said. */
  readonly icmp: { readonly exhaustion: boolean; readonly unsolicitedSyn: boolean };
  readonly gateways: { readonly ftp: boolean; readonly tftp: boolean };
}

/** What the document says of it; capacityOf() fills in the rest. */
export interface RequestedCapacity {
  readonly conns: number | undefined;
  readonly neighbors: number | undefined;
  readonly poolAddresses: number | undefined;
  readonly imageBytes: number | undefined;
  /** Frames that the rings of an interface hold, each way. */
  readonly slots: number | undefined;
}

/** A collector that is reached by the network. */
export interface Collector {
  readonly transport: "udp" | "tcp";
  /** An IPv4 or IPv6 address. */
  readonly server: string;
  readonly port: number;
  /** Bytes of the longest IP packet. */
  readonly mtu: number;
}

interface LogBase {
  /** Bits of abi's EventClass. */
  readonly events: number;
  /** Events that may wait. */
  readonly queue: number;
  /** Events a second; undefined for no limit. */
  readonly rate: number | undefined;
}

export interface FileLog extends LogBase {
  readonly kind: "file";
  readonly path: string;
}

export interface SyslogLog extends LogBase {
  readonly kind: "syslog";
  readonly collector: Collector | { readonly transport: "local"; readonly path: string };
  readonly facility: SyslogFacility;
  /** Undefined for the machine's. */
  readonly hostname: string | undefined;
}

export interface IpfixLog extends LogBase {
  readonly kind: "ipfix";
  readonly collector: Collector;
  /** Observation domain ID. */
  readonly domain: number;
  readonly templateSeconds: number;
}

/** Where events go. */
export type LogTarget = FileLog | SyslogLog | IpfixLog;

export interface Telemetry {
  /** Bits of abi's EventClass: what the datapath notes. */
  readonly events: number;
  readonly logs: readonly LogTarget[];
}

export interface Config extends Switches {
  readonly version: 1;
  /** Ascending by id. */
  readonly zones: readonly Zone[];
  readonly interfaces: readonly Interface[];
  readonly devices: readonly Device[];
  readonly routes: readonly Route[];
  readonly neighbors: readonly Neighbor[];
  /** The document's, then those made for flows. */
  readonly pools: readonly Pool[];
  /** Highest priority first; among equals the document's flows, forwards, nat, each in its order. */
  readonly flows: readonly FlowRule[];
  readonly timeouts: Timeouts;
  readonly capacity: RequestedCapacity;
  /** Threads that forward. */
  readonly workers: number;
  /** Microseconds for which to look for the next frame before sleeping. */
  readonly busyPoll: number;
  readonly telemetry: Telemetry;
}

/** Freezes a value with everything that it leads to. */
export function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const member of Object.values(value)) deepFreeze(member);
  }
  return value;
}
