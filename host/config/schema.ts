/**
 * The shape of a configuration document: keys, types, bounds, defaults and their descriptions. A schema's
 * message is what an error says after "expected". What depends on another part of the document is
 * checked behind it, in parse.ts. What this version does not do yet is refused here, by name. Pools are in
 * poolschema.ts; timeouts and what holds for all conns in policyschema.ts; where events go in telemetryschema.ts.
 */

import { toJsonSchema } from "@valibot/to-json-schema";
import * as v from "valibot";
import { Limit } from "../../assembly/abi.js";
import {
  GatewaysSchema,
  IcmpSchema,
  TcpSchema,
  TimeoutsSchema,
  ZoneTimeoutsSchema,
} from "./policyschema.js";
import { PoolSchema } from "./poolschema.js";
import {
  address,
  array,
  deviceReference,
  flag,
  mac,
  name,
  perProtocol,
  port,
  portOrRange,
  supported,
  text,
  whole,
  zoneReference,
} from "./shapes.js";
import { TelemetrySchema } from "./telemetryschema.js";

export { GatewaysSchema, IcmpSchema, TcpSchema, TimeoutsSchema } from "./policyschema.js";
export { PoolSchema } from "./poolschema.js";
export { TelemetrySchema } from "./telemetryschema.js";

/** Linux: IFNAMSIZ less the final zero. */
const INTERFACE_NAME_BYTES = 15;
/** RFC 791: every host takes 68 bytes. The other end is the longest frame less its link headers. */
const MTU_MIN = 68;
const MTU_MAX = Limit.FrameBytes - 22;
/** The image counts a device's addresses in 16 bits; nobody needs more than a few. */
const DEVICE_ADDRESSES = 1024;

/** Of conns, and of external ports: what 32 bits hold. */
const LIMIT_MAX = 0xffffffff;
const portLimit = () =>
  whole("a number of ports", 1, LIMIT_MAX, "External ports (ICMP: identifiers) of one host.");

export const ZoneSchema = v.strictObject(
  {
    id: whole("a zone number", 0, Limit.Zones, "Unique."),
    name: v.optional(name("a zone name", "Default: the number. Unique.")),
    limits: v.optional(
      v.strictObject(
        {
          conns: v.optional(
            whole("a number of conns", 1, LIMIT_MAX, "Conns the zone may have. Default: no limit."),
          ),
          connsPerHost: v.optional(
            whole(
              "a number of conns",
              1,
              LIMIT_MAX,
              "Conns one host of the zone may have. Default: no limit.",
            ),
          ),
          portsPerHost: v.optional(
            perProtocol(
              portLimit,
              `a number of ports from 1 to ${LIMIT_MAX}`,
              "External ports one host of the zone may have, of each protocol. Default: no limit.",
            ),
          ),
        },
        "an object of limits",
      ),
      {},
    ),
    timeouts: v.optional(ZoneTimeoutsSchema, {}),
    pcp: flag(false, "Hosts of the zone may ask for external ports by PCP (RFC 6887)."),
  },
  "an object that describes a zone",
);

const VLAN = "a VLAN identifier";
const VLAN_RANGE = "IEEE 802.1Q: 1 to 4094.";
const vlanIdentifier = () => whole(VLAN, 1, 4094, VLAN_RANGE);

export const DeviceSchema = v.strictObject(
  {
    name: name("a device name", "Unique."),
    port: v.optional(
      whole(
        "a port number",
        1,
        Limit.Devices,
        "What in_port() means. Unique. Default: the lowest number that is free.",
      ),
    ),
    zone: zoneReference("Zone of every frame that comes in here."),
    interface: v.pipe(
      v.string("an interface name"),
      v.regex(/^(?!\.{1,2}$)[^\s/]+$/, "an interface name without white space and /"),
      v.maxBytes(
        INTERFACE_NAME_BYTES,
        `an interface name of at most ${INTERFACE_NAME_BYTES} bytes`,
      ),
      v.description("The host's interface. Several devices share it when their VLANs differ."),
    ),
    vlan: v.optional(
      v.pipe(
        v.union(
          [
            vlanIdentifier(),
            v.strictTuple(
              [vlanIdentifier(), vlanIdentifier()],
              "a pair of VLAN identifiers [outer, inner]",
            ),
          ],
          `${VLAN} or a pair [outer, inner]`,
        ),
        v.description(
          "A number: one customer tag (0x8100). A pair [outer, inner]: a service tag (0x88a8) around " +
            "a customer tag. Default: untagged frames.",
        ),
      ),
    ),
    driver: v.optional(
      supported(
        ["afpacket", "afxdp", "pcap", "loopback"],
        ["sdk"],
        "How the host moves its frames.",
      ),
      "afpacket",
    ),
    mac: v.optional(
      mac("What the device answers with. Default: derived from the interface, see docs/config.md."),
    ),
    addresses: v.optional(
      v.pipe(
        array(
          text("an IPv4 address with its prefix", 'As "192.168.0.1/24".'),
          "addresses",
          "The device's own: answered for by ARP, pingable; their prefixes are on-link.",
        ),
        v.maxLength(DEVICE_ADDRESSES, `at most ${DEVICE_ADDRESSES} addresses`),
      ),
      [],
    ),
    mtu: v.optional(whole("an MTU", MTU_MIN, MTU_MAX, "Longest IP packet, bytes."), 1500),
  },
  "an object that describes a device",
);

export const RouteSchema = v.strictObject(
  {
    zone: zoneReference("Zone of the destination."),
    to: text("a prefix without host bits", 'As "10.0.0.0/8"; "0.0.0.0/0" is the default route.'),
    via: v.optional(address("Next hop, on-link of a device of the zone. Default: on-link itself.")),
    device: v.optional(
      deviceReference(
        "Egress device; with it, via need not be on-link. Default: the device of via.",
      ),
    ),
  },
  "an object that describes a route",
);

export const NeighborSchema = v.strictObject(
  {
    zone: zoneReference("Zone of the address."),
    address: address("Replaces ARP for this address."),
    mac: mac("Where packets for it are sent."),
    device: v.optional(deviceReference("Default: the device whose prefix has the address.")),
  },
  "an object that describes a neighbor",
);

export const NatSchema = v.strictObject(
  {
    from: v.pipe(
      array(zoneReference("A zone of tenants."), "zones", "Zones whose packets are translated."),
      v.minLength(1, "at least one zone"),
    ),
    to: zoneReference("Zone in which the packets leave."),
    pool: v.pipe(v.string("the name of a pool"), v.description("Pool of that zone.")),
  },
  "an object that describes a translation",
);

export const ForwardSchema = v.strictObject(
  {
    protocol: supported(
      ["tcp", "udp", "sctp", "any"],
      [],
      'Protocol. "any" forwards the whole address, one to one.',
    ),
    zone: zoneReference("Zone in which the packets come in."),
    address: address("Destination that they have there."),
    port: v.optional(
      portOrRange(
        'Destination port that they have there, or a range as "8000-8010". Not with protocol "any".',
      ),
    ),
    to: v.strictObject(
      {
        zone: zoneReference("Zone that they are sent to."),
        address: address("Their new destination."),
        port: v.optional(
          port(
            "Their new destination port; of a range the first. Default: the ports stay. SCTP keeps " +
              "its ports always.",
          ),
        ),
      },
      "an object with zone, address and port",
    ),
  },
  "an object that describes a forward",
);

export const FlowSchema = text("a flow", "A flow in the syntax of docs/config.md.");

export const WORKERS = 1;

export const WorkersSchema = whole(
  "a number of workers",
  1,
  Limit.Workers,
  "Threads that forward, each with hosts, conns and external ports of its own.",
);

/** Microseconds: longer than a server near by takes for its answer; what waking costs on a slow machine, many times over. */
export const BUSY_POLL = 300;
const BUSY_POLL_MAX = 1000;

export const BusyPollSchema = whole(
  "microseconds",
  0,
  BUSY_POLL_MAX,
  "How long to look for the next frame before sleeping, as long as that pays; 0: not at all.",
);

const SLOTS = [64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768] as const;

export const CapacitySchema = v.strictObject(
  {
    conns: v.optional(whole("a number of conns", 1, 1 << 24, "Conns in all. Default: 65536.")),
    neighbors: v.optional(
      whole("a number of neighbors", 1, 1 << 20, "Default: 4096, or 16 per device if more."),
    ),
    poolAddresses: v.optional(
      whole(
        "a number of addresses",
        1,
        Limit.PoolAddresses,
        "Addresses of all pools, an address of two pools counted twice. Default: 64, or twice what " +
          "this configuration has if more.",
      ),
    ),
    imageBytes: v.optional(
      whole(
        "a number of bytes",
        4096,
        1 << 26,
        "Bytes of the largest image to come. Default: 1 MiB, or four times this configuration's.",
      ),
    ),
    slots: v.optional(
      v.pipe(
        v.picklist(SLOTS, `a power of two from ${SLOTS[0]} to ${SLOTS.at(-1)}`),
        v.description(
          "Frames that the rings of an interface hold, each way. Default: 4096 with up to four " +
            "interfaces, fewer with more.",
        ),
      ),
    ),
  },
  "an object of capacities",
);

export const DocumentSchema = v.pipe(
  v.strictObject(
    {
      $schema: v.optional(text("the address of a schema", "For editors; not used.")),
      version: v.pipe(v.literal(1, "1"), v.description("Of this format.")),
      zones: array(
        ZoneSchema,
        "zones",
        "Address spaces: equal addresses of two zones are different.",
      ),
      devices: array(DeviceSchema, "devices", "An interface, or one VLAN of it, in a zone."),
      routes: v.optional(array(RouteSchema, "routes", "Beside the on-link prefixes."), []),
      neighbors: v.optional(array(NeighborSchema, "neighbors", "Static neighbors."), []),
      pools: v.optional(array(PoolSchema, "pools", "External addresses and ports."), []),
      nat: v.optional(
        array(NatSchema, "translations", "Zones behind a pool; expand to flows."),
        [],
      ),
      forwards: v.optional(array(ForwardSchema, "forwards", "Inbound ports; expand to flows."), []),
      flows: v.optional(
        array(FlowSchema, "flows", "Match and action, before nat and forwards."),
        [],
      ),
      timeouts: v.optional(TimeoutsSchema, {}),
      tcp: v.optional(TcpSchema, {}),
      icmp: v.optional(IcmpSchema, {}),
      gateways: v.optional(GatewaysSchema, {}),
      capacity: v.optional(CapacitySchema, {}),
      workers: v.optional(WorkersSchema, WORKERS),
      busyPoll: v.optional(BusyPollSchema, BUSY_POLL),
      telemetry: v.optional(TelemetrySchema, {}),
    },
    "an object",
  ),
  v.title("crosszone configuration, version 1"),
);

export type ZoneEntry = v.InferOutput<typeof ZoneSchema>;
export type DeviceEntry = v.InferOutput<typeof DeviceSchema>;
export type RouteEntry = v.InferOutput<typeof RouteSchema>;
export type NeighborEntry = v.InferOutput<typeof NeighborSchema>;
export type PoolEntry = v.InferOutput<typeof PoolSchema>;
export type NatEntry = v.InferOutput<typeof NatSchema>;
export type ForwardEntry = v.InferOutput<typeof ForwardSchema>;
export type ZoneTimeoutsEntry = v.InferOutput<typeof ZoneTimeoutsSchema>;
export type TimeoutsEntry = v.InferOutput<typeof TimeoutsSchema>;
export type TcpEntry = v.InferOutput<typeof TcpSchema>;
export type IcmpEntry = v.InferOutput<typeof IcmpSchema>;
export type GatewaysEntry = v.InferOutput<typeof GatewaysSchema>;
export type { TelemetryEntry } from "./telemetryschema.js";
export type CapacityEntry = v.InferOutput<typeof CapacitySchema>;
export type ConfigDocument = v.InferOutput<typeof DocumentSchema>;

/** The document's shape as JSON Schema, draft 2020-12. */
export function configSchemaJson(): object {
  return toJsonSchema(DocumentSchema, {
    target: "draft-2020-12",
    typeMode: "input",
    // JSON Schema counts characters; the bytes of a name are checked by crosszone itself.
    ignoreActions: ["max_bytes"],
  });
}

/** docs/config.schema.json, to the byte. */
export function configSchemaText(): string {
  return `${JSON.stringify(configSchemaJson(), null, 2)}\n`;
}
