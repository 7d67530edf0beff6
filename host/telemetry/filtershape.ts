/** The shapes of what an operator asks for, as JSON: docs/protocol-reference.md is made from them, filter.ts reads them. */

import * as v from "valibot";
import { ConnPhase, Limit, SearchSort } from "../../assembly/abi.js";
import { flag, listed, oneOf, text, whole, zoneReference } from "../config/shapes.js";
import { word } from "./words.js";

export const PHASES = Object.values(ConnPhase)
  .filter((each) => typeof each === "string")
  .map((each) => word(each));

/** IANA's numbers of the names that conns are shown with. */
export const PROTOCOLS: ReadonlyMap<string, number> = new Map([
  ["icmp", 1],
  ["tcp", 6],
  ["udp", 17],
  ["sctp", 132],
]);

export const ADDRESSES = 'an IPv4 address, or a prefix as "192.168.0.0/24"';
export const PORTS = 'a port from 0 to 65535 or an ascending range, as "8000-8010"';
export const PROTOCOL = `a protocol from 0 to 255, or ${listed([...PROTOCOLS.keys()])}`;
const PHASE = `${listed(PHASES)}, or an array of them`;

const addresses = (description: string) => v.optional(text(ADDRESSES, description));
const zone = (description: string) => v.optional(zoneReference(description));

function ports(description: string) {
  const number = whole(PORTS, 0, 65535, description);
  return v.optional(v.pipe(v.union([number, v.string(PORTS)], PORTS), v.description(description)));
}

export const protocol = () =>
  v.optional(
    v.pipe(
      v.union([whole(PROTOCOL, 0, 255, ""), v.string(PROTOCOL)], PROTOCOL),
      v.description("IP protocol, by number or by name."),
    ),
  );

/** All of it must fit; what is left out fits everything. */
export const ConnFilterSchema = v.strictObject(
  {
    zone: zone("The zone of either direction."),
    originalZone: zone("The zone of the original direction."),
    replyZone: zone("The zone of the reply direction."),
    protocol: protocol(),
    source: addresses("Source of the original direction."),
    destination: addresses("Destination of the original direction."),
    replySource: addresses("Source of the reply direction."),
    replyDestination: addresses("Destination of the reply direction."),
    translated: addresses("What the source was translated to."),
    address: addresses("Any of the four."),
    sourcePort: ports("Source port of the original direction; for ICMP the identifier."),
    destinationPort: ports("Destination port of the original direction."),
    replySourcePort: ports("Source port of the reply direction."),
    replyDestinationPort: ports("Destination port of the reply direction."),
    translatedPort: ports("What the source's port was translated to."),
    port: ports("Any of the four."),
    phase: v.optional(
      v.pipe(
        v.union([v.picklist(PHASES, PHASE), v.array(v.picklist(PHASES, PHASE), PHASE)], PHASE),
        v.description("One of the phases."),
      ),
    ),
    translation: v.optional(
      oneOf(["source", "destination", "none"], "What of the original direction is translated."),
    ),
  },
  "an object of conditions",
);

const HostFilterSchema = v.strictObject(
  { zone: zone("The host's zone."), address: addresses("Its address.") },
  "an object of conditions",
);

const MappingFilterSchema = v.strictObject(
  {
    zone: zone("The zone inside or outside."),
    insideZone: zone("The zone of the inside endpoint."),
    externalZone: zone("The zone of the external address."),
    protocol: protocol(),
    address: addresses("The inside endpoint's address."),
    port: ports("The inside endpoint's port."),
    external: addresses("The external address."),
    externalPort: ports("The external port."),
  },
  "an object of conditions",
);

export const dryRun = () => flag(false, "Only counts them.");

export const FlushSchema = v.strictObject(
  {
    zone: zone("The zone of either direction."),
    host: addresses("Its inside host."),
    dryRun: dryRun(),
  },
  "an object with zone, or zone and host, and dryRun",
);

/** Rows of a page where nothing else is said. */
const ROWS = 50;

const limit = () =>
  v.optional(whole("a number of rows", 1, Limit.SearchRows, "Rows of a page."), ROWS);
const cursor = () => v.optional(text("a cursor", "`cursor` of the page before."));
const order = (standard: "asc" | "desc", description: string) =>
  v.optional(oneOf(["asc", "desc"], description), standard);

/** `table` is the order of the table itself: cheap, for whoever wants all of it. */
export const CONN_SORTS = {
  table: SearchSort.Table,
  age: SearchSort.Age,
  expiry: SearchSort.Expiry,
  bytes: SearchSort.Bytes,
  packets: SearchSort.Packets,
  source: SearchSort.Source,
  zone: SearchSort.Zone,
} as const;

export const HOST_SORTS = {
  conns: SearchSort.Conns,
  ports: SearchSort.Ports,
  packets: SearchSort.Packets,
  bytes: SearchSort.Bytes,
  address: SearchSort.Source,
  zone: SearchSort.Zone,
} as const;

function sort<Sort extends string>(
  sorts: Readonly<Record<Sort, SearchSort>>,
  standard: NoInfer<Sort>,
) {
  return v.optional(oneOf(Object.keys(sorts) as Sort[], "What rows are sorted by."), standard);
}

export const ConnQuerySchema = v.strictObject(
  {
    filter: v.optional(ConnFilterSchema, {}),
    sort: sort(CONN_SORTS, "age"),
    order: order("asc", "The youngest, or the smallest, first; or the other way round."),
    limit: limit(),
    cursor: cursor(),
  },
  "an object with filter, sort, order, limit, cursor",
);

export const HostQuerySchema = v.strictObject(
  {
    filter: v.optional(HostFilterSchema, {}),
    sort: sort(HOST_SORTS, "bytes"),
    order: order("desc", "The largest first, or the smallest."),
    limit: limit(),
  },
  "an object with filter, sort, order, limit",
);

export const MappingQuerySchema = v.strictObject(
  { filter: v.optional(MappingFilterSchema, {}), limit: limit(), cursor: cursor() },
  "an object with filter, limit, cursor",
);

export const PageQuerySchema = v.strictObject(
  { limit: limit(), cursor: cursor() },
  "an object with limit, cursor",
);

export const PoolQuerySchema = v.strictObject(
  { pool: text("the name of a pool", "Whose addresses."), limit: limit(), cursor: cursor() },
  "an object with pool, limit, cursor",
);
