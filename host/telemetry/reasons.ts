/**
 * What every Reason means and what to do about it. docs/counters.md is made of this (`npm run docs`); `crosszone stats
 * --explain` prints it. Texts are Markdown as the page has it: code in backticks, links relative to docs/.
 */

import type { Reason } from "../../assembly/abi.js";

export type ReasonName = Exclude<keyof typeof Reason, "Count">;

export interface Explanation {
  readonly means: string;
  /** What to do, if anything. */
  readonly todo: string;
}

const CARRIED = {
  Forwarded: {
    means: "Sent on: translated, or routed without translation.",
    todo: "Nothing.",
  },
  Answered: {
    means:
      "An ARP request for an address of ours or of a pool, or an echo request or a PCP request " +
      "to an address of ours: answered.",
    todo: "Nothing.",
  },
  Learned: {
    means: "ARP that taught or confirmed a neighbor, or told us something, and needs no answer.",
    todo: "Nothing.",
  },
  HandedOff: {
    means:
      "With several `workers`: the packet belongs to another one than received it, or turned " +
      "round to one, and was handed to it. It ends there as any frame does; this is counted " +
      "beside.",
    todo:
      "Nothing. Where it is most of the traffic, the kernel cannot steer: `docs/config.md`, " +
      "workers.",
  },
  FragmentHeld: {
    means:
      "A fragment that came before the first one of its datagram, which alone says whose it " +
      "is: waits for it.",
    todo: "Nothing, while `HeldSent` follows it.",
  },
  Held: {
    means: "A translated packet that waits until ARP has resolved its next hop.",
    todo: "Nothing, while `HeldSent` follows it.",
  },
  HeldSent: {
    means: "A held packet that left after all. Counted beside `Held`.",
    todo: "Nothing.",
  },
} as const;

const LINK_LAYER = {
  FrameTruncated: {
    means: "Shorter than an Ethernet header, or than its tags or its ARP packet need.",
    todo: "Look at the sender, or at the capture that is replayed.",
  },
  FrameTooLong: {
    means: "Longer than 9238 bytes (a jumbo frame with two tags).",
    todo: "Lower the sender's MTU.",
  },
  VlanUnknown: {
    means:
      "The VLAN tag, or its absence, belongs to no device of the interface, or the outer tag " +
      "is of the other type (0x8100 instead of 0x88a8, or the reverse).",
    todo: "Compare the trunk with `vlan` of the devices.",
  },
  EtherTypeUnknown: {
    means: "Neither IPv4 nor ARP: IPv6, for example.",
    todo: "Nothing, unless IPv6 was meant to be carried: it is not.",
  },
  NotOurMac: {
    means: "IPv4 to another MAC than the device's, or ARP that is neither to it nor broadcast.",
    todo:
      "Usually another host's frame on a promiscuous interface. If senders mean us, their ARP " +
      "entry is old or `mac` changed.",
  },
  ArpBad: {
    means:
      "Malformed ARP, or a sender that cannot be: off the link, a group's MAC, or an address " +
      "of ours.",
    todo:
      "An address of ours as the sender means that somebody else uses it: look for a duplicate " +
      "address.",
  },
  ArpIgnored: {
    means: "Sound ARP between others.",
    todo: "Nothing.",
  },
} as const;

const NETWORK_LAYER = {
  IpBadHeader: {
    means: "Version, header length and total length contradict each other or the frame.",
    todo: "Look at the sender.",
  },
  IpBadChecksum: {
    means: "The IPv4 header checksum is wrong.",
    todo: "Look for a damaged link or card.",
  },
  IpBadSource: {
    means:
      "A source that no host may have: 0/8, 127/8, 169.254/16, multicast, broadcast, the " +
      "broadcast address of the device's network, or an address of our own; with several " +
      "`workers` also one of a pool.",
    todo: "Look for a misconfigured or spoofing host.",
  },
  IpBadDestination: {
    means:
      "A destination that is not forwarded to: 0/8, 127/8, 169.254/16, multicast, broadcast, " +
      "or the directed broadcast of the network it would leave to.",
    todo: "Nothing: discovery protocols do this all the time.",
  },
  FragmentTooShort: {
    means: "A first fragment without its whole transport header, or one that would overwrite it.",
    todo: "Nothing that means well sends such: look at the sender.",
  },
  FragmentOverlap: {
    means:
      "A fragment that covers bytes of its datagram that came before: an attack, or a duplicate.",
    todo: "A few: duplicates on the way. Many: look at the sender.",
  },
  FragmentTableFull: {
    means:
      "More datagrams in pieces, or more fragments that wait for their first, than the table " +
      "or the share of the zone holds ([bounds](../ARCHITECTURE.md#bounds)).",
    todo: "Let path MTU discovery work, or lower the senders' MTU.",
  },
  FragmentTimeout: {
    means: "A waiting fragment whose first one never came. Counted beside `FragmentHeld`.",
    todo: "Look for loss on the way, or for an attack with fragments.",
  },
  TtlExceeded: {
    means: "The TTL ran out here. The sender gets ICMP time exceeded.",
    todo: "A few: traceroute. Many: a routing loop.",
  },
  TooBig: {
    means:
      "Longer than the `mtu` of the device it would leave by, with the DF bit: the sender gets " +
      "ICMP fragmentation needed. Without it, the packet leaves in fragments.",
    todo: "Give both sides one MTU.",
  },
} as const;

const TRANSPORT_LAYER = {
  TcpBadHeader: {
    means: "The TCP header does not fit into the packet.",
    todo: "Look at the sender.",
  },
  UdpBadHeader: {
    means:
      "The UDP header or its length does not fit into the packet; for PCP: its checksum is wrong.",
    todo: "Look at the sender.",
  },
  IcmpBadHeader: {
    means: "Fewer than 8 bytes of ICMP.",
    todo: "Look at the sender.",
  },
  SctpBadHeader: {
    means: "The SCTP header does not fit into the packet.",
    todo: "Look at the sender.",
  },
  ProtocolUnsupported: {
    means: "DCCP or UDP-Lite: their checksums cover the addresses and are not translated.",
    todo: "Route such traffic around the translation.",
  },
  IcmpUnsupported: {
    means:
      "ICMP that is neither a query (echo, timestamp), nor its reply, nor an error: redirects, " +
      "for example.",
    todo: "Nothing.",
  },
  IcmpBadChecksum: {
    means: "An ICMP error whose checksum is wrong.",
    todo: "Look at the sender, or for a damaged link.",
  },
  IcmpBadEmbedded: {
    means: "An ICMP error that quotes less than a header and eight bytes, or a damaged header.",
    todo: "Look at the sender.",
  },
  IcmpUnrelated: {
    means:
      "An ICMP error about a packet of no conn, or that does not go to the sender of the " +
      "packet that it quotes.",
    todo: "A few come after their conn had ended. Many: somebody forges them.",
  },
} as const;

const DECISION = {
  LocalUnserved: {
    means:
      "For an address of our own that serves nothing but echo and, where the zone says so, " +
      "[PCP](pcp.md).",
    todo: "Nothing: somebody probes the router.",
  },
  Hairpin: {
    means:
      "For an external address of ours, by a port behind which nobody is, or where a flow of " +
      "the zone between would lead it on.",
    todo: "If a tenant reaches for a forward by its public address, look whether the forward is there.",
  },
  Filtered: {
    means: "For an external port that is in use, from a host that its `filtering` does not let in.",
    todo: "Nothing; for peer-to-peer applications `endpoint-independent` lets everybody in.",
  },
  NoFlow: {
    means: "No flow matches. In a public zone: traffic that nobody asked for.",
    todo: "In a tenant's zone: compare `nat` and `flows` with the zone of the device.",
  },
  FlowDrop: {
    means: "A flow says `drop`.",
    todo: "Nothing.",
  },
  FlowReject: {
    means: "A flow says `reject`; the sender gets ICMP 3/13.",
    todo: "Nothing.",
  },
  NoConn: {
    means:
      "A flow with `nat(reverse)` matched, but the packet belongs to no conn. In a public " +
      "zone: traffic that nobody asked for, or an answer that came after its conn had expired.",
    todo: "If answers come late, raise `timeouts`.",
  },
  ZoneMismatch: {
    means:
      "The flow names another zone than the one the packet is in or its conn leads to, or an " +
      "`output()` device of another zone.",
    todo: "Correct the flow. This is the counter of what was stopped between zones.",
  },
  TcpNotSyn: {
    means: "TCP without a conn that does not begin with a SYN.",
    todo:
      "After a restart of the router: old connections, which end by themselves. Otherwise " +
      "raise `timeouts.tcpEstablished`, or look for an asymmetric path.",
  },
  TcpOutOfWindow: {
    means:
      "A segment that its conn's receiver would not take: outside of the window, or a RST that " +
      "is not exact enough to end the conn.",
    todo:
      "If connections stall, another path carries half of them: make paths symmetric, or set " +
      "`tcp.window` to `liberal`.",
  },
  TcpUnsolicited: {
    means:
      "A SYN from outside for an external address where nothing waits for it. It is kept for " +
      "six seconds: if a host inside opens to its sender meanwhile nothing happens, else its " +
      "sender gets ICMP port unreachable.",
    todo: "Nothing: scans of a public address.",
  },
  EchoNotRequest: {
    means:
      "The reply to an ICMP query (echo, timestamp) without a conn, or one against the " +
      "direction of its conn.",
    todo: "A reply after its conn had expired, or a scan.",
  },
  ZoneConnLimit: {
    means: "The zone has as many conns as its `limits.conns` allows.",
    todo: "Raise the limit, or find the host that opens them.",
  },
  HostConnLimit: {
    means: "The host has as many conns as its zone's `limits.connsPerHost` allows.",
    todo: "Look at the host; raise the limit.",
  },
  HostPortLimit: {
    means:
      "The host has as many external ports of the protocol as its zone's `limits.portsPerHost` " +
      "allows, as many port blocks as the pool's `block.perHost`, or all the ports that a " +
      "deterministic pool gives it.",
    todo:
      "Look at the host; raise the limit, `portsPerHost` of the pool or its overflow; shorten " +
      "timeouts.",
  },
  ConnTableFull: {
    means: "`capacity.conns` is used up, or, rarer, the index found no place for both tuples.",
    todo:
      "Raise `capacity.conns` and restart; set `limits.conns` so that one zone cannot use up " +
      "what all share.",
  },
  MappingTableFull: {
    means: "No room for another mapping: as many as `capacity.conns` are there.",
    todo: "Raise `capacity.conns` and restart.",
  },
  HostTableFull: {
    means: "No room for another inside host: as many as `capacity.conns` are there.",
    todo: "Raise `capacity.conns` and restart; look for a host that forges sources.",
  },
  PoolExhausted: {
    means:
      "No address of the pool has a port free for this protocol, those that rest after their " +
      "use left out. The sender gets ICMP 3/13.",
    todo: "Add addresses to the pool, widen `ports`, or set limits per host.",
  },
  NotSubscriber: {
    means:
      "A deterministic pool has no ports for this host: it is in none of the prefixes of " +
      "`deterministic.hosts`.",
    todo: "Add its prefix.",
  },
  TupleInUse: {
    means: "A forward or a route would make a conn whose answers look like another conn's.",
    todo:
      "Rare. Two tenants whose addresses are the same were routed into one zone without " +
      "translation, or a host reuses a port towards the same server.",
  },
  ProtocolAmbiguous: {
    means:
      "A protocol without ports (GRE, ESP, SCTP …) towards a host with which another conn of " +
      "the same protocol already uses every address of the pool.",
    todo: "Give the pool more addresses: each serves one such conn per remote host.",
  },
  ConnRevoked: {
    means:
      "The packet's conn is no longer allowed by the configuration: the conn ended, this " +
      "packet with it (an ICMP error about it ends alone). The next one may begin a new conn.",
    todo: "Expected after a reload that removed or changed something.",
  },
  Astray: {
    means:
      "With several `workers`: handed to a worker that is not its own by the configuration in " +
      "force.",
    todo: "Expected for a moment at a reload.",
  },
} as const;

const WAY_OUT = {
  NoRoute: {
    means:
      "The zone that the packet goes to has no route to the destination. The sender gets ICMP " +
      "network unreachable.",
    todo: "Add a route in that zone.",
  },
  NeighborFailed: {
    means:
      "A held packet whose next hop never answered ARP, or whose neighbor was removed. Counted " +
      "beside `Held`.",
    todo: "Check that the next hop is up and on the VLAN it is expected on.",
  },
  NeighborTableFull: {
    means:
      "`capacity.neighbors` is used up, or the device has as many learned neighbors as one may " +
      "have ([bounds](../ARCHITECTURE.md#bounds)).",
    todo:
      "A scan of a directly connected network fills it. If the hosts are real, raise " +
      "`capacity.neighbors` or split the device.",
  },
  HoldQueueFull: {
    means:
      "A packet for an unresolved next hop, when as many wait already as may for one neighbor, " +
      "one device or in all, or one that is too long to wait " +
      "([bounds](../ARCHITECTURE.md#bounds)).",
    todo: "Nothing, when it happens as traffic begins. Otherwise see `NeighborFailed`.",
  },
  NoBuffer: {
    means:
      "A packet that had to be fragmented or had to grow, when all buffers of the call were in use.",
    todo: "A few are possible in a flood of large packets.",
  },
  OutputFull: {
    means: "More frames to send in one call than the host takes.",
    todo: "A few are possible when many held packets leave at once; otherwise it stays at 0.",
  },
} as const;

/** The headings of docs/counters.md, in its order. */
export const REASON_GROUPS: readonly {
  readonly title: string;
  readonly reasons: Readonly<Partial<Record<ReasonName, Explanation>>>;
}[] = [
  { title: "Carried", reasons: CARRIED },
  { title: "Link layer", reasons: LINK_LAYER },
  { title: "Network layer", reasons: NETWORK_LAYER },
  { title: "Transport layer", reasons: TRANSPORT_LAYER },
  { title: "Decision", reasons: DECISION },
  { title: "Way out", reasons: WAY_OUT },
];

/** Every Reason has one: the compiler holds that. */
export const EXPLANATIONS: Readonly<Record<ReasonName, Explanation>> = {
  ...CARRIED,
  ...LINK_LAYER,
  ...NETWORK_LAYER,
  ...TRANSPORT_LAYER,
  ...DECISION,
  ...WAY_OUT,
};

/** Whether an operator has nothing to do about it, however often it is counted. */
export function isCarried(reason: string): boolean {
  return reason in CARRIED;
}

/** A text without its Markdown: what a terminal shows. */
export function plainText(markdown: string): string {
  return markdown.replace(/\[([^\]]+)\]\([^)]+\)/g, "$1").replaceAll("`", "");
}
