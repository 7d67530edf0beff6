/** Conns, mappings and inside hosts: what `conns.*`, `mappings.list` and `hosts.top` take and answer. */

import * as v from "valibot";
import {
  ConnFilterSchema,
  ConnQuerySchema,
  dryRun,
  FlushSchema,
  HostQuerySchema,
  MappingQuerySchema,
} from "../../telemetry/filtershape.js";
import { count, flag, listOf, number, pageOf, words, zoneNumber } from "./values.js";

const TupleShape = v.strictObject({
  zone: zoneNumber(),
  source: words("Address."),
  sourcePort: count("For ICMP the identifier of whoever asks."),
  destination: words("Address."),
  destinationPort: count("For ICMP 0 (echo) or 13 (timestamp)."),
});

const connEntries = {
  protocol: words("`tcp`, `udp`, `icmp`, `sctp`, or a number."),
  phase: words("`new`, `established`, `fin-original`, `fin-reply`, `closing` or `reset`."),
  original: TupleShape,
  reply: TupleShape,
  originalPackets: count("Packets of the original direction."),
  originalBytes: count("Bytes of it."),
  replyPackets: count("Packets of the reply direction."),
  replyBytes: count("Bytes of it."),
  expiresInMs: number("Milliseconds until it ends if nothing comes."),
  ageMs: number("Milliseconds since it began."),
};

export const ConnShape = v.strictObject(connEntries);

export const FoundConnShape = v.strictObject({
  id: words("No other conn has it while the router runs."),
  ...connEntries,
});

export const ConnsQuery = {
  params: ConnQuerySchema,
  result: pageOf(FoundConnShape, "Conns, sorted as asked."),
};

export const ConnsCount = {
  params: v.strictObject({ filter: v.optional(ConnFilterSchema, {}) }, "an object with filter"),
  result: v.strictObject({ conns: count("How many fit.") }),
};

export const ConnsDelete = {
  params: v.strictObject(
    {
      filter: ConnFilterSchema,
      dryRun: dryRun(),
    },
    "an object with filter, dryRun",
  ),
  result: v.strictObject({
    conns: count("How many ended, or would."),
    dryRun: flag("Nothing was ended."),
  }),
};

export const ConnsFlush = {
  params: FlushSchema,
  result: v.strictObject({
    conns: count("How many ended, or would have."),
    dryRun: flag("Nothing was ended."),
  }),
};

const PerProtocolShape = v.strictObject({
  tcp: count("TCP ports."),
  udp: count("UDP ports."),
  icmp: count("ICMP identifiers."),
});

const HostShape = v.strictObject({
  zone: zoneNumber(),
  address: words("Of the inside host."),
  conns: count("That it has."),
  ports: PerProtocolShape,
  blocks: count("Blocks of ports that it has."),
  packets: count("Of its conns, both directions."),
  bytes: count("Of its conns, both directions."),
});

export const HostsTop = {
  params: HostQuerySchema,
  result: v.strictObject({
    hosts: listOf(
      HostShape,
      "Sorted as asked; what they carried as it was at most two seconds ago.",
    ),
  }),
};

const MappingShape = v.strictObject({
  protocol: words("`tcp`, `udp`, `icmp`, or a number."),
  mapping: words("RFC 4787 section 4.1."),
  filtering: words("RFC 4787 section 5."),
  shared: flag("Conns of several endpoints use the port; then there is no inside to name."),
  zone: zoneNumber(),
  address: words("The inside endpoint's."),
  port: count("The inside endpoint's."),
  externalZone: zoneNumber(),
  external: words("External address."),
  externalPort: count("External port, or identifier."),
  conns: count("That use it."),
  ageMs: number("Milliseconds since it began."),
});

export const MappingsList = {
  params: MappingQuerySchema,
  result: pageOf(MappingShape, "In the order of the table."),
};
