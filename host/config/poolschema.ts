/** The shape of a pool: its addresses and how they are given out. */

import * as v from "valibot";
import { Limit } from "../../assembly/abi.js";
import {
  array,
  flag,
  listed,
  name,
  oneOf,
  perProtocol,
  text,
  whole,
  zoneReference,
} from "./shapes.js";

/** RFC 4787 sections 4.1 and 5, in the order of abi's MappingBehaviour and FilteringBehaviour. */
export const BEHAVIOURS = [
  "endpoint-independent",
  "address-dependent",
  "address-and-port-dependent",
] as const;

export type Behaviour = (typeof BEHAVIOURS)[number];

function behaviours(description: string) {
  const word = () => v.picklist(BEHAVIOURS, listed(BEHAVIOURS));
  return v.optional(perProtocol(word, listed(BEHAVIOURS), description));
}

/** In the order of abi's Allocation. */
export const ALLOCATIONS = ["random", "preserve", "block", "deterministic"] as const;

/** Powers of two, from abi's Limit.BlockPortsMin on. */
const BLOCK_PORTS = [64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768] as const;

export const BlockSchema = v.strictObject(
  {
    ports: v.optional(
      v.pipe(
        v.picklist(BLOCK_PORTS, `a power of two from ${Limit.BlockPortsMin} to 32768`),
        v.description("Ports of a block. Blocks begin at multiples of their size."),
      ),
      512,
    ),
    perHost: v.optional(whole("a number of blocks", 1, 65535, "Blocks that one host may have."), 4),
  },
  "an object with ports and perHost",
);

export const DeterministicSchema = v.strictObject(
  {
    hosts: v.pipe(
      array(
        v.strictObject(
          {
            zone: zoneReference("Zone of the hosts."),
            prefix: text("a prefix without host bits", 'As "10.0.0.0/24".'),
          },
          "an object with zone and prefix",
        ),
        "prefixes of hosts",
        "Subscribers, numbered in this order.",
      ),
      v.minLength(1, "at least one prefix of hosts"),
      v.maxLength(65535, "at most 65535 prefixes of hosts"),
    ),
    portsPerHost: v.optional(
      whole("a number of ports", 1, 65535, "Ports of one subscriber. Default: as many as fit."),
    ),
    overflowPorts: v.optional(
      whole(
        "a number of ports",
        0,
        65535,
        "Ports at the top of every address that are anyone's of the pool.",
      ),
      0,
    ),
  },
  "an object with hosts, portsPerHost and overflowPorts",
);

export const PoolSchema = v.strictObject(
  {
    name: name("a pool name", "Unique."),
    zone: zoneReference("Zone of the addresses."),
    addresses: v.pipe(
      array(
        text("an address, a prefix or a range", 'As "203.0.113.7", "203.0.113.16/28", "a-b".'),
        "addresses",
        "External addresses, answered for by ARP on the devices of the zone.",
      ),
      v.minLength(1, "at least one address"),
    ),
    ports: v.optional(
      text(
        "a range of ports",
        'External ports, as "1024-65535". TCP and UDP each have all of them.',
      ),
      "1024-65535",
    ),
    mapping: behaviours('RFC 4787 section 4.1. Default: "endpoint-independent".'),
    filtering: behaviours('RFC 4787 section 5. Default: "address-dependent".'),
    allocation: v.optional(oneOf(ALLOCATIONS, "How a port is chosen."), "random"),
    parity: flag(false, "An even port gets an even one, an odd an odd (RFC 4787 REQ-4)."),
    inboundRefresh: flag(true, "Packets from outside prolong conns, too (RFC 4787 REQ-6)."),
    pooling: v.optional(
      oneOf(
        ["paired", "arbitrary"],
        "Whether all conns of a host have one external address (RFC 4787 REQ-2).",
      ),
      "paired",
    ),
    block: v.optional(BlockSchema),
    deterministic: v.optional(DeterministicSchema),
  },
  "an object that describes a pool",
);
