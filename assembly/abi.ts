/**
 * The contract between the datapath and its hosts: counters, verdicts, records and their layouts.
 *
 * This file compiles under both asc and tsc, so a number stands here once. Only enums are used: their
 * members are constants in both languages. All integers in records are little-endian and naturally
 * aligned; addresses are in host order (192.168.0.10 = 0xC0A8000A).
 *
 * Naming: `XAt` lists the byte offsets of a record and ends with `Bytes`, its size.
 */

/** What both sides must agree on before anything else is believed. */
export enum Abi {
  /** Of the exports and the records below. */
  Version = 6,
  /** "CZIM", the first word of a config image. */
  ImageMagic = 0x4d495a43,
  /** "CZAR", the first word of an arena. */
  ArenaMagic = 0x52415a43,
  /** Of the arena's layout: a module attaches only to an arena of its own version. */
  ArenaVersion = 5,
  /** Of a snapshot's records. */
  SnapshotVersion = 1,
}

/** Every bound that host and datapath share. */
export enum Limit {
  /** Frames in one call of `process`. */
  Batch = 256,
  /**
   * Frames that one call of `process` or `expire` may hand out: a batch, all that waits for neighbors and
   * all frames of the datapath's own. Beyond it they would be dropped and counted.
   */
  Outputs = 1536,
  /** Writable bytes a host leaves in front of every frame, for a longer link header. */
  Headroom = 32,
  /** The longest frame that the datapath accepts: a jumbo frame with two tags. */
  FrameBytes = 9238,
  /** The longest frame that can wait for a neighbor; longer ones are dropped and counted. */
  HeldFrameBytes = 1984,
  /**
   * Frames that wait for one neighbor (RFC 1122 section 2.3.2.2 asks for at least one). Many tenants may
   * begin at once towards the same next hop.
   */
  HeldPerNeighbor = 128,
  /** Frames that wait for the neighbors of one device. */
  HeldPerDevice = 256,
  /** Frames that wait for neighbors in all. */
  Held = 1024,
  /** Frames of its own (ARP requests, ICMP errors) that the datapath makes in one call. */
  OwnFrames = 256,
  /** Neighbors that one device may have in the table: an even share of it, but within these two. */
  NeighborsPerDevice = 1024,
  NeighborsPerDeviceMin = 64,
  /** Neighbors of one device that have not answered yet; the next hop of a route comes in all the same. */
  IncompletePerDevice = 256,
  /** Rows that one call of `listConns` hands out. */
  Rows = 256,
  /** Zone numbers are 16 bits. */
  Zones = 65535,
  /** Bytes of a name of a zone, device, interface or pool. */
  NameBytes = 64,
  /** Bytes of one flow's text. */
  FlowTextBytes = 1024,
  /** Flows in a configuration: a conn remembers its flow in 16 bits. */
  Flows = 65534,
  Devices = 65534,
  /** Addresses of all pools together; each owns 36.6 KiB of bitmaps and port blocks. */
  PoolAddresses = 65534,
  /** The smallest port block; all have a power of two of ports and begin at a multiple of their size. */
  BlockPortsMin = 64,
  /** Datagrams of which fragments are on their way, in all and of one zone. */
  Datagrams = 2048,
  DatagramsPerZone = 256,
  /** Pieces of one datagram that have come, counted where they do not join. */
  FragmentRanges = 8,
  /** Fragments that wait for their datagram's first one, in all and of one zone. */
  HeldFragments = 512,
  HeldFragmentsPerZone = 64,
  /** Unsolicited SYNs that wait for their six seconds, in all and of one zone they came in from. */
  HeldSyns = 256,
  HeldSynsPerZone = 64,
  /** Bytes of a held SYN that its error quotes. */
  HeldSynBytes = 120,
  /** Conns that application gateways foresee, and conns whose sequence numbers they shift. */
  Expectations = 1024,
  ShiftedConns = 1024,
  /** Events that wait for the host. */
  Events = 1024,
  /** Alarms that are remembered so that they are not said again within a second. */
  Alarms = 256,
  /** Hosts of one zone of which a second's alarms are said. */
  AlarmsPerZone = 8,
  /** Sets of timeouts: zones and ports that have their own. */
  TimeoutSets = 65535,
  /** Timeouts by protocol and port. */
  PortTimeouts = 64,
  /** Workers that share one configuration. */
  Workers = 16,
  /** Reply tuples that other workers are being asked about: a power of two. */
  Reservations = 64,
  /** Rows that one search finds. */
  SearchRows = 500,
  /** External ports that a restart leaves with other workers than whose they would be. */
  MovedPorts = 65536,
}

/** "None" where an index is meant, of 16 and of 32 bits. */
export enum None {
  Short = 0xffff,
  Word = -1,
}

/**
 * Why a frame went where it went. Each received frame ends with exactly one Reason; the member is the
 * counter's index, the metric's label and the dashboard's word.
 */
export enum Reason {
  /** Sent on: translated or routed. */
  Forwarded,
  /** An ARP, ICMP echo or PCP request of ours: answered. */
  Answered,
  /** ARP that taught or told us something and needs no answer. */
  Learned,
  /** Another worker's: handed to it, where it ends as any frame does (counted beside that). */
  HandedOff,
  /** Waits for the first fragment of its datagram; ends later as HeldSent or FragmentTimeout. */
  FragmentHeld,
  /** Waits until its next hop's address is resolved; ends later as HeldSent or NeighborFailed. */
  Held,
  /** A held frame was sent after all (counted beside Held and FragmentHeld, not a frame's own end). */
  HeldSent,

  // link layer
  /** Shorter than its headers say, or longer than the datapath accepts. */
  FrameTruncated,
  FrameTooLong,
  /** The tag (or its absence) belongs to no device of the interface. */
  VlanUnknown,
  /** Neither ARP nor IPv4. */
  EtherTypeUnknown,
  /** Its destination MAC is neither ours nor, for ARP, broadcast. */
  NotOurMac,
  /** ARP that is malformed, or about addresses that are not ours. */
  ArpBad,
  ArpIgnored,

  // network layer
  /** Version, header length or total length contradict themselves or the frame (RFC 1812 section 5.2.2). */
  IpBadHeader,
  IpBadChecksum,
  /** A source that no host may have: multicast, broadcast, loopback, zero (RFC 1812 section 5.3.7). */
  IpBadSource,
  /** A destination that no router forwards to: multicast, broadcast, loopback, link-local, zero. */
  IpBadDestination,
  /** A first fragment without its whole transport header, or one that would overwrite it (RFC 3128). */
  FragmentTooShort,
  /** It covers bytes of its datagram that have come before (RFC 1858 section 4). */
  FragmentOverlap,
  /** More fragments on their way than the table, or the share of the zone, holds. */
  FragmentTableFull,
  /** The first fragment of its datagram did not come in time (counted beside FragmentHeld). */
  FragmentTimeout,
  TtlExceeded,
  /** Longer than the egress device's MTU. */
  TooBig,

  // transport layer
  TcpBadHeader,
  UdpBadHeader,
  IcmpBadHeader,
  SctpBadHeader,
  /** ICMP that is neither a query nor its reply nor an error (RFC 5508 REQ-11). */
  IcmpUnsupported,
  /** An ICMP error whose checksum, or whose embedded IPv4 header, is wrong (RFC 5508 REQ-3). */
  IcmpBadChecksum,
  IcmpBadEmbedded,
  /** An ICMP error about nothing that is known here (RFC 5508 REQ-4). */
  IcmpUnrelated,
  /** A protocol whose checksum covers the addresses and that is not translated: DCCP, UDP-Lite. */
  ProtocolUnsupported,

  // decision
  /** For an address of our own, where nothing serves it. */
  LocalUnserved,
  /** No flow matches. */
  NoFlow,
  FlowDrop,
  FlowReject,
  /** A nat(reverse) flow, but the packet belongs to no conn. */
  NoConn,
  /** The flow names another zone than the one the packet, or its conn, is in. */
  ZoneMismatch,
  /** A conn must begin with a TCP SYN. */
  TcpNotSyn,
  /** A segment outside of its conn's window (RFC 5961; RFC 7857 section 2.2 for RST). */
  TcpOutOfWindow,
  /** A SYN that nobody asked for: kept for six seconds, then answered (RFC 5382 REQ-4). */
  TcpUnsolicited,
  /** A conn of ICMP must begin with a query's request (echo or timestamp). */
  EchoNotRequest,
  /** Towards an external address of ours, by a port that leads nowhere from there. */
  Hairpin,
  /** The external port is in use, but its filtering does not let this sender in (RFC 4787 REQ-8). */
  Filtered,
  /** The zone has as many conns as its limit allows. */
  ZoneConnLimit,
  /** The host has as many conns, or external ports of the protocol, as the limits of its zone allow. */
  HostConnLimit,
  HostPortLimit,
  ConnTableFull,
  MappingTableFull,
  HostTableFull,
  PoolExhausted,
  /** A deterministic pool has no ports for this host: it is in none of its prefixes (RFC 7422). */
  NotSubscriber,
  /** The tuple its answers would carry belongs to another conn. */
  TupleInUse,
  /** A protocol without ports, towards a host that another conn of the protocol already uses. */
  ProtocolAmbiguous,
  /** The configuration no longer allows the conn that it belonged to. */
  ConnRevoked,
  /** Handed to this worker under another configuration, by which it would be another's. */
  Astray,

  // way out
  NoRoute,
  /** The next hop did not answer to ARP (counted beside Held, not a frame's own end). */
  NeighborFailed,
  NeighborTableFull,
  HoldQueueFull,
  /** No buffer for the pieces of a packet that must be fragmented, or for one that grows. */
  NoBuffer,
  /** More frames to send in one call than the host takes. */
  OutputFull,

  /** How many there are; not a Reason. */
  Count,
}

/** What a call of `configure` says; everything but Ok leaves the running configuration untouched. */
export enum ImageStatus {
  Ok,
  /** Shorter than its header, or than its header says. */
  Truncated,
  BadMagic,
  /** Made for another version of the datapath. */
  BadVersion,
  /** Its bytes do not have the sum that its header says. */
  BadSum,
  /** A section lies outside the image. */
  BadSection,
  /** A record names something that is not in the image, or is out of its range. */
  BadRecord,
  /** Two records say the same thing. */
  Duplicate,
  /** It does not fit the memory that was set aside at the start. */
  TooLarge,
}

// ---------------------------------------------------------------------------------------------------
// Frames

/** A frame that the host hands in, or takes out. */
export enum DescriptorAt {
  /** u32, where the frame begins in the linear memory. */
  Frame = 0,
  /** u32, its length. */
  Size = 4,
  /** u16, index of the interface in the image: it came from there, or goes there; out: None.Short for a hand-off. */
  Interface = 8,
  /**
   * u16, tag control information of a tag that travels beside the frame (in: with a VlanBeside flag); of a hand-off
   * the number of the device that it came in by or, turned round, of the zone that it is in.
   */
  VlanTci = 10,
  /** u16, DescriptorFlag. */
  Flags = 12,
  /**
   * u16, out: index of the input whose buffer this is, None.Short for a frame of the datapath's own. Of a hand-off with
   * Asked: index of the zone that may have no more conns.
   */
  Input = 14,
  /** u16, out: the device (index in the image) it leaves through; of a hand-off the worker that it goes to. */
  Device = 16,
  Bytes = 20,
}

export enum DescriptorFlag {
  /** In: the outer tag was taken off by the kernel and stands in VlanTci. */
  VlanBeside = 1,
  /** In: that tag is a service tag (0x88a8), not a customer tag (0x8100). */
  ServiceTag = 2,
  /** In: its sender may have left the checksum of TCP or UDP to a network card, and nobody says so (AF_XDP). */
  ChecksumUnsure = 4,
  /** In and out: a hand-off between workers. Such a frame has an Ethernet header and no tags. */
  Handed = 8,
  /** Beside it: to the worker that its addresses and ports belong to. */
  Owned = 16,
  /** Beside it: to the worker that the answers of the conn belong to which it is to begin. */
  Placed = 32,
  /** Beside it: it has turned round at an external address of ours, and is in that zone without a device. */
  Turned = 64,
  /** Beside it: its zone has as many conns as the worker may let it have. Out: may it have more? In: it was asked. */
  Asked = 128,
  /**
   * Beside it: the reply tuple that its conn is to have stands in front of it, and another worker is asked whether a conn
   * has that (nat/reservation.ts). Which worker, says the number from HANDED_TO_SHIFT on.
   */
  Reserves = 256,
}

/** Where the worker's number stands among a hand-off's DescriptorFlag that Reserves. */
export const HANDED_TO_SHIFT = 12;

/** In front of such a frame. */
export const RESERVATION_BYTES = 20;

// ---------------------------------------------------------------------------------------------------
// Config image

/** A section: where its first record stands in the image, and how many there are. */
export enum SectionAt {
  Offset = 0,
  Count = 4,
  Bytes = 8,
}

export enum Section {
  Zones,
  Interfaces,
  Devices,
  Addresses,
  Routes,
  Neighbors,
  Pools,
  PoolRanges,
  /** Hosts of deterministic pools, by pool and in order. */
  PoolSubscribers,
  Flows,
  TimeoutSets,
  PortTimeouts,
  /** Bytes of UTF-8, not records. */
  Strings,
  Count,
}

export enum ImageAt {
  /** u32 Abi.ImageMagic */
  Magic = 0,
  /** u32 Abi.Version */
  Version = 4,
  /** u32, of the whole image, a multiple of 8. */
  TotalBytes = 8,
  /** u32, FNV-1a (32 bits) over all bytes behind this field. */
  Sum = 12,
  /** u32, bits of Policy. */
  Policy = 16,
  /** u32, milliseconds that a freed port rests (RFC 6888 REQ-8). */
  HoldDown = 20,
  /** u32, milliseconds that fragments of a datagram may be apart (RFC 791 section 3.2). */
  FragmentTimeout = 24,
  /** u32, milliseconds that an unsolicited SYN waits (RFC 5382 REQ-4). */
  SynTimeout = 28,
  /** u32 each: what the arena must have room for. */
  ConnCapacity = 48,
  NeighborCapacity = 52,
  /** u32, index of the first flow without in_port in the first pass; None.Word for none. */
  FlowsAnyDevice = 56,
  /** u32, index of the first flow that matches +tracked, the second pass; None.Word for none. */
  FlowsTracked = 60,
  /** Section.Count × SectionAt.Bytes. */
  Sections = 64,
  /** Behind Section.Count sections. */
  Bytes = 168,
}

/** Switches that hold for the whole configuration. */
export enum Policy {
  /** Segments outside of the window pass; sequence numbers are not judged. */
  TcpLiberal = 1,
  /** No ICMP 3/3 for an unsolicited SYN (RFC 5382 REQ-4a). */
  SilentSyn = 2,
  /** No ICMP 3/13 where a limit, a pool or a table is reached (RFC 5508 REQ-9). */
  SilentExhaustion = 4,
  /** Application gateways (RFC 4787 REQ-10). */
  FtpGateway = 8,
  TftpGateway = 16,
}

/** Idle timeouts of a conn. Milliseconds in the image, seconds in the configuration. */
export enum Timeout {
  Udp,
  /** RFC 7857 section 2.1 keeps three of TCP apart. */
  TcpEstablished,
  TcpOpening,
  TcpClosing,
  Icmp,
  /** Protocols known by address only, SCTP among them. */
  Other,
  Count = 8,
}

/** A set of timeouts: Timeout.Count × u32, milliseconds. The first set is everybody's. */
export enum TimeoutSetAt {
  Bytes = 32,
}

/**
 * Conns to a well-known port have timeouts of their own. The set of a conn is that of its zone plus the
 * number (from 1) of the first of these that fits its original destination, plus 0 where none does.
 */
export enum PortTimeoutAt {
  /** u16 each: IP protocol; ports, both included. */
  Protocol = 0,
  Low = 2,
  High = 4,
  Bytes = 8,
}

/** Sorted by number. */
export enum ZoneAt {
  /** u16, the zone's number. */
  Number = 0,
  /** u16 bytes and u32 offset in Strings. */
  NameBytes = 2,
  Name = 4,
  /** u32, conns that the zone may have at once; 0 for no limit. */
  ConnsMax = 8,
  /** u32, conns of one host; 0 for no limit. */
  ConnsPerHost = 12,
  /** u32 each, external ports of one host: TCP, UDP, ICMP (identifiers); 0 for no limit. */
  TcpPortsPerHost = 16,
  UdpPortsPerHost = 20,
  IcmpPortsPerHost = 24,
  /** u16, index of the first of its sets in TimeoutSets. */
  Timeouts = 28,
  /** u16, bits of ZoneFlag. */
  Flags = 30,
  /** u32, the first of the flows that match this zone and no device, None.Word for none. */
  Flows = 32,
  Bytes = 36,
}

export enum ZoneFlag {
  /** Its hosts may ask for external ports by PCP (RFC 6887). */
  Pcp = 1,
}

export enum Driver {
  Afpacket,
  Afxdp,
  Sdk,
  Pcap,
  Loopback,
}

/** What a host opens. A device is an interface, or one VLAN of it. */
export enum InterfaceAt {
  /** u16 bytes and u32 offset in Strings. */
  NameBytes = 0,
  /** u16 Driver */
  Driver = 2,
  Name = 4,
  Bytes = 8,
}

export enum DeviceAt {
  /** u16, the number that in_port() means. Unique. */
  Port = 0,
  /** u16, index of its zone. */
  Zone = 2,
  /** u16, index of its interface. */
  Interface = 4,
  /** u16, identifier of the outer (or only) tag, None.Short for an untagged device. */
  VlanOuter = 6,
  /** u16, identifier of the inner tag, None.Short for none. */
  VlanInner = 8,
  /** u16, 1 where the outer tag is a service tag (0x88a8). */
  ServiceTag = 10,
  /** 6 bytes */
  Mac = 12,
  /** u16, longest IP packet. */
  Mtu = 18,
  /** u32, index of its first address in Addresses; its addresses stand together. */
  Addresses = 20,
  /** u16 */
  AddressCount = 24,
  /** u16 bytes and u32 offset in Strings. */
  NameBytes = 26,
  Name = 28,
  /** u32, index of the first flow with in_port of this device; None.Word for none. */
  Flows = 32,
  Bytes = 40,
}

/** An address of a device: answered for by ARP, pingable. */
export enum AddressAt {
  /** u32 */
  Address = 0,
  /** u16, index of the device. */
  Device = 4,
  /** u16, 0 to 32. */
  PrefixLength = 6,
  Bytes = 8,
}

/** All routes, the connected ones (one per device address) included. Unique by zone and prefix. */
export enum RouteAt {
  /** u16, index of the zone. */
  Zone = 0,
  /** u16, 0 to 32. */
  PrefixLength = 2,
  /** u32, the bits behind the prefix are zero. */
  Prefix = 4,
  /** u32, the next hop, 0 where the destination itself is the neighbor. */
  Via = 8,
  /** u16, index of the egress device, which is of the same zone. */
  Device = 12,
  Bytes = 16,
}

/** A static neighbor: replaces ARP for its address on its device. */
export enum NeighborAt {
  /** u32 */
  Address = 0,
  /** u16, index of the device. */
  Device = 4,
  /** 6 bytes */
  Mac = 6,
  Bytes = 12,
}

/** RFC 4787 section 4.1 */
export enum MappingBehaviour {
  EndpointIndependent,
  AddressDependent,
  AddressAndPortDependent,
}

/** RFC 4787 section 5 */
export enum FilteringBehaviour {
  EndpointIndependent,
  AddressDependent,
  AddressAndPortDependent,
}

export enum Allocation {
  Random,
  Preserve,
  Block,
  Deterministic,
}

/** Bits of a pool. */
export enum PoolFlag {
  /** An even port gets an even one, an odd an odd, while there are such (RFC 4787 REQ-4). */
  Parity = 1,
  /** Packets from outside prolong conns, too (RFC 4787 REQ-6). */
  InboundRefresh = 2,
  /** A host's conns may have any of the addresses (RFC 4787 section 4.1, "arbitrary"). */
  ArbitraryPooling = 4,
}

export enum PoolAt {
  /** u16, index of the zone its addresses are in. */
  Zone = 0,
  /** u16 bytes and u32 offset in Strings; a pool made for a flow's masq= has the text as its name. */
  NameBytes = 2,
  Name = 4,
  /** u32, index of its first range, and u16, how many. */
  Ranges = 8,
  RangeCount = 12,
  /** u8 each: Allocation; bits of PoolFlag. */
  Allocation = 14,
  Flags = 15,
  /** u8 each, MappingBehaviour and FilteringBehaviour of TCP, UDP, ICMP. */
  TcpMapping = 16,
  UdpMapping = 17,
  IcmpMapping = 18,
  TcpFiltering = 19,
  UdpFiltering = 20,
  IcmpFiltering = 21,
  /** u16 each, 1 to 65535, low ≤ high. */
  PortLow = 22,
  PortHigh = 24,
  /** u16, ports of a block, or of a subscriber (deterministic); 0 for the other allocations. */
  BlockPorts = 26,
  /** u32, addresses of all its ranges. */
  AddressCount = 28,
  /** u32, index of its first subscriber, and u16, how many prefixes (deterministic). */
  Subscribers = 32,
  SubscriberCount = 36,
  /** u16, blocks that one host may have. */
  BlocksPerHost = 38,
  /** u16, the first port behind the subscribers' (deterministic): from there to PortHigh anyone's; 0 none. */
  OverflowLow = 40,
  Bytes = 44,
}

/** Hosts that a deterministic pool has ports for (RFC 7422 section 2). */
export enum PoolSubscriberAt {
  /** u16, index of the zone. */
  Zone = 0,
  /** u16, 0 to 32. */
  PrefixLength = 2,
  /** u32, the bits behind the prefix are zero. */
  Prefix = 4,
  /** u32, the number of its first address among the pool's subscribers. */
  First = 8,
  Bytes = 12,
}

/** Ranges of one pool stand together, ascending, without overlap. */
export enum PoolRangeAt {
  /** u32 each, both included. */
  First = 0,
  Last = 4,
  Bytes = 8,
}

/** Bits of a flow's conn_state. */
export enum ConnState {
  /** A nat action has been applied to the packet in this pass. */
  Tracked = 1,
  /** Belongs to no conn, or to one that no answer has been seen of. */
  New = 2,
  /** Belongs to a conn that an answer has been seen of. */
  Established = 4,
  /** An ICMP error about a conn, or the first packet of one that an application gateway has foreseen. */
  Related = 8,
  /** Hits the reply tuple of its conn. */
  Reply = 16,
  /** Cannot belong to, nor begin, a conn. */
  Invalid = 32,
  /** The conn changes the source, the destination, of its original direction. */
  Snat = 64,
  Dnat = 128,
}

/** Which of a flow's fields must match; a field whose bit is clear matches everything. */
export enum FlowMatch {
  Device = 1,
  Zone = 2,
  Protocol = 4,
  SourcePorts = 8,
  DestinationPorts = 16,
}

export enum FlowAction {
  Drop,
  /** Drop and answer with ICMP 3/13. */
  Reject,
  /** nat(src_zone=,dst_zone=,masq=) */
  Masquerade,
  /** nat(dst=ADDRESS:PORT,dst_zone=) */
  Destination,
  /** nat(reverse,zone=) */
  Reverse,
  /** route(zone=), or output() alone: another zone, the same addresses. */
  Route,
  /** nat(src=ADDRESS,dst_zone=): a source of its own, ports stay (the way out of a whole forwarded address). */
  Source,
}

/** Sorted: highest priority first, then in the order of writing. */
export enum FlowAt {
  /** i32 */
  Priority = 0,
  /** u16 each: bits of FlowMatch; index of the device; index of the zone; IP protocol. */
  Match = 4,
  Device = 6,
  Zone = 8,
  Protocol = 10,
  /** u32 each; a packet matches where address & mask == value. */
  Source = 12,
  SourceMask = 16,
  Destination = 20,
  DestinationMask = 24,
  /** u16 each, both ends included. For ICMP (as in Open vSwitch) tp_src is the type, tp_dst the code. */
  SourcePortLow = 28,
  SourcePortHigh = 30,
  DestinationPortLow = 32,
  DestinationPortHigh = 34,
  /** u16 each, bits of ConnState: a packet matches where state & mask == value. */
  StateMask = 36,
  StateValue = 38,
  /** u16 FlowAction */
  Action = 40,
  /** u16, index of the zone the packet must be in (src_zone=, or zone= of reverse); None.Short for any. */
  ActionZone = 42,
  /** u16, index of the zone it goes to; None.Short: it stays in its zone (Route) or does not apply. */
  TargetZone = 44,
  /** u16, index of the pool. */
  Pool = 46,
  /** u32, new destination; for Source the new source. */
  TargetAddress = 48,
  /** u16, new destination port of DestinationPortLow, and so on for the ports behind it; 0 to keep them. */
  TargetPort = 52,
  /** u16, index of the device of output(); None.Short to route. */
  Output = 54,
  /** u32, index of the next flow of the same list, always larger than its own; None.Word at the end. */
  Next = 56,
  /** u16 bytes and u32 offset in Strings: the flow as `flow list` prints it, which is its identity. */
  TextBytes = 60,
  Text = 64,
  Bytes = 72,
}

// ---------------------------------------------------------------------------------------------------
// Read-out

/** Per device, u64 each. In the order of the image's devices. */
export enum DeviceCounterAt {
  RxPackets = 0,
  RxBytes = 8,
  TxPackets = 16,
  TxBytes = 24,
  /** Frames received that ended as neither Forwarded, Answered, Learned nor Held. */
  RxDropped = 32,
  Bytes = 40,
}

/** Per zone, u64 each. In the order of the image's zones. */
export enum ZoneCounterAt {
  /** Sums over the zone's devices, those that are gone included. */
  RxPackets = 0,
  RxBytes = 8,
  TxPackets = 16,
  TxBytes = 24,
  /** Conns whose original direction is of the zone: now, since the start. */
  Conns = 32,
  ConnsCreated = 40,
  Dropped = 48,
  Bytes = 64,
}

/** Per flow, u64 each. In the order of the image's flows. */
export enum FlowCounterAt {
  Packets = 0,
  PacketBytes = 8,
  Bytes = 16,
}

/** State of a conn's TCP, RFC 7857 section 2. Protocols without states stay in New and Established. */
export enum ConnPhase {
  /** No answer yet. */
  New,
  Established,
  /** A FIN has been seen, of the original, of the reply direction, of both. */
  FinOriginal,
  FinReply,
  Closing,
  /** A RST has been seen. */
  Reset,
}

/** What happened: numbers of RFC 8158 (IANA natEvent) as far as it has them. */
export enum EventKind {
  /** No address of the pool has anything left. */
  AddressesExhausted = 3,
  SessionCreated = 4,
  SessionDeleted = 5,
  MappingCreated = 8,
  MappingDeleted = 9,
  /** No port of the protocol is left in the pool for this host. */
  PortsExhausted = 12,
  /** A limit of a zone or a host is reached; `Value` is the Reason. */
  QuotaExceeded = 13,
  BlockAllocated = 16,
  BlockFreed = 17,
  /** 80 % of a pool, a table or a zone's conns are in use; `Value` is percent. */
  ThresholdReached = 18,
  /** And fewer than 70 % again. */
  ThresholdCleared = 256,
  /** A table is full; `Value` is the Reason. */
  TableFull = 257,
  /** Of the host, never of the datapath: the wall clock was set; `Value` is milliseconds, signed. */
  ClockJumped = 258,
  /** Of the host: an interface is gone, its link down, or it is back. */
  InterfaceLost = 259,
  InterfaceBack = 260,
  /** Of the host: events that found no place, `Value` of them. */
  EventsLost = 261,
  /** A route's next hop does not answer ARP; `Value` is the index of its device. */
  NeighborUnresolved = 262,
}

/** Which events are noted: the first are noted always. */
export enum EventClass {
  Alarms = 1,
  Blocks = 2,
  Mappings = 4,
  Sessions = 8,
}

/** Which zones an event names: every number is some zone's, so none of them can say "none". */
export enum EventFlag {
  Zone = 1,
  ExternalZone = 2,
}

/** One row of `takeEvents`. What does not apply is 0, or None.Short for an index. */
export enum EventAt {
  /** u16 EventKind; u8 IP protocol; u8 EventFlag */
  Kind = 0,
  Protocol = 2,
  Flags = 3,
  /** u32 milliseconds of the clock */
  Time = 4,
  /** u16 zone numbers, of the inside and of the outside, see Flags */
  Zone = 8,
  ExternalZone = 10,
  /** u32 addresses: inside, outside, of the other end */
  Address = 12,
  External = 16,
  Remote = 20,
  /** u16 ports; of a block the first and last */
  Port = 24,
  ExternalPort = 26,
  RemotePort = 28,
  LastPort = 30,
  /** u32, see EventKind */
  Value = 32,
  /** u16, index of the pool in the image in force */
  Pool = 36,
  /** u16, alarms for the same reason in the same zone, pool or table that were left out since the last one */
  Repeats = 38,
  /** u32, u16: of a session, what its first packet's destination became. */
  Target = 40,
  TargetPort = 44,
  Bytes = 48,
}

/** Tables of a fixed size, in the order of `listTables`. */
export enum Table {
  Conns,
  Mappings,
  Hosts,
  Grants,
  Neighbors,
  Datagrams,
  RestingPorts,
  Count,
}

/** One row of `listTables`: u32 each. */
export enum TableRowAt {
  Used = 0,
  Capacity = 4,
  Bytes = 8,
}

/** One row of `listConns`. */
export enum ConnRowAt {
  /** u32, the conn's index. */
  Index = 0,
  /** u8 each: IP protocol, ConnPhase. */
  Protocol = 4,
  Phase = 5,
  /** u16 zone numbers, as in the tuples below. */
  OriginalZone = 6,
  ReplyZone = 8,
  /** u16 ports (ICMP: the identifier on the side of the asker; on the other 0 for echo, 13 for timestamp). */
  OriginalSourcePort = 10,
  OriginalDestinationPort = 12,
  ReplySourcePort = 14,
  ReplyDestinationPort = 16,
  /** u32 addresses */
  OriginalSource = 20,
  OriginalDestination = 24,
  ReplySource = 28,
  ReplyDestination = 32,
  /** u32 milliseconds: until it expires, since it was made. */
  ExpiresIn = 36,
  Age = 40,
  /** u32 milliseconds of the clock when it was made: with the index it names the conn. */
  Created = 44,
  /** u64 each */
  OriginalPackets = 48,
  OriginalBytes = 56,
  ReplyPackets = 64,
  ReplyBytes = 72,
  Bytes = 80,
}

/** One row of `listMappings`: an inside endpoint and the external port that is its own. */
export enum MappingRowAt {
  /** u32, the mapping's index. */
  Index = 0,
  /** u8 each: IP protocol, MappingBehaviour, FilteringBehaviour. */
  Protocol = 4,
  Mapping = 5,
  Filtering = 6,
  /** u8, 1 where conns of several endpoints share the port. */
  Shared = 7,
  /** u16 zone numbers, u16 ports */
  Zone = 8,
  ExternalZone = 10,
  Port = 12,
  ExternalPort = 14,
  /** u32 addresses */
  Address = 16,
  External = 20,
  /** u32, what it is good for: a destination where its behaviour depends on one, else 0. */
  Destination = 24,
  /** u32 conns, u32 milliseconds since it was made */
  Conns = 28,
  Age = 32,
  Bytes = 40,
}

/** One row of `listHosts`: what an inside address has in use. */
export enum HostRowAt {
  /** u32, the host's index. */
  Index = 0,
  /** u32 */
  Address = 4,
  /** u16 zone number */
  Zone = 8,
  /** u32 each */
  Conns = 12,
  TcpPorts = 16,
  UdpPorts = 20,
  IcmpPorts = 24,
  Blocks = 28,
  Bytes = 32,
}

/** Behind a HostRowAt record where a search for hosts has counted: u64 each, of all its conns, both directions. */
export enum HostTrafficAt {
  Packets = 32,
  PacketBytes = 40,
  Bytes = 48,
}

/** What a zone's inside endpoints have of a pool, counted by a search for Uses; without those that many share. */
export enum UseRowAt {
  /** u32, for nobody but `listSearch`. */
  Index = 0,
  /** u16 index of the pool, u16 zone number */
  Pool = 4,
  Zone = 6,
  /** u32 each: external ports (identifiers); uses by protocols without ports */
  TcpPorts = 8,
  UdpPorts = 12,
  IcmpPorts = 16,
  Others = 20,
  Bytes = 24,
}

/** One row of `listExternals`: an address of a pool. */
export enum ExternalRowAt {
  /** u32, which of the pool's addresses it is. */
  Place = 0,
  /** u32 */
  Address = 4,
  /** u32 each, of the ports in the pool's range those that are taken, by a mapping or to rest. */
  TcpTaken = 8,
  UdpTaken = 12,
  IcmpTaken = 16,
  /** u32 each, those of them that rest. */
  TcpResting = 20,
  UdpResting = 24,
  IcmpResting = 28,
  /** u32 each: blocks that hosts have, and that one could be given; 0 without blocks. */
  BlocksUsed = 32,
  BlocksFree = 36,
  Bytes = 40,
}

/** What a search looks at, and what becomes of what it finds. */
export enum SearchKind {
  /** Conns: the best of them as rows. */
  Conns,
  /** Conns: how many, and how many of them in each phase. */
  Count,
  /** Conns: ends them. */
  Delete,
  /** Inside hosts, with what their conns have carried. */
  Hosts,
  /** Mappings, in the order of the table. */
  Mappings,
  /** Mappings: how many each zone has of each pool, from pool `SearchAt.Pool` on as far as there is room to count. */
  Uses,
  /**
   * Conns: those that the configuration which `rehearse` has staged would end, by Lapse and by zone. Rows: the first of
   * them, SearchRowAt.Key their Lapse; then, with Key 0, LapseRowAt.
   */
  Lapses,
}

/** Why a configuration would not make a conn again (nat/allowed.ts). */
export enum Lapse {
  /** It would. */
  None,
  /** One of its zones is gone, or its number is another tenant's. */
  ZoneGone,
  OtherTenant,
  /** No flow speaks for it, or one that drops, rejects or lets in answers only. */
  NoFlow,
  FlowDrop,
  /** The flow that speaks for it leads to another zone, to another address, or translates otherwise. */
  OtherWay,
  /** It goes to an address of the router, or of a pool. */
  OwnAddress,
  /** It would not turn round at an external address any more. */
  Hairpin,
  /** Its external address is no longer the pool's. */
  AddressGone,
  /** Its external port is a forward's, or another host's. */
  PortGone,
  /** It came from outside, and the filter or the mapping by PCP that let it in does so no longer. */
  Filtered,
  Count,
}

/** By what rows are sorted. Equal ones stand in the order in which the table is looked through. */
export enum SearchSort {
  /** By index alone: ends as soon as it has found its rows. */
  Table,
  Age,
  Expiry,
  Bytes,
  Packets,
  /** Source of the original direction, or address of the host; then the zone. */
  Source,
  /** Zone of the original direction, or of the host; then the address. */
  Zone,
  /** Of hosts alone. */
  Conns,
  Ports,
}

/** Which of a search's fields must match; one whose bit is clear matches everything. */
export enum SearchMatch {
  Protocol = 1,
  /** Either of the zones; the zone of the original direction; of the reply direction. */
  Zone = 2,
  OriginalZone = 4,
  ReplyZone = 8,
  /** The conn changes the source; the destination; neither. */
  Snat = 16,
  Dnat = 32,
  Untranslated = 64,
  /** One of the phases. */
  Phase = 128,
  /** One of the four ports. Other ports and all addresses match anything where they are 0 to 65535, or have no mask. */
  Port = 256,
}

/**
 * What a search asks for. Of a host: Zone and Source; of a mapping: Zone, OriginalZone (inside), ReplyZone (outside),
 * Protocol, Source with its ports (inside) and ReplyDestination with its ports (the external endpoint).
 */
export enum SearchAt {
  /** u8 each: SearchKind, SearchSort, 1 for the largest first */
  Kind = 0,
  Sort = 1,
  Descending = 2,
  /** u8 IP protocol */
  Protocol = 3,
  /** u16 bits of SearchMatch */
  Match = 4,
  /** u16, a bit for each ConnPhase */
  Phases = 6,
  /** u16 zone numbers */
  Zone = 8,
  OriginalZone = 10,
  ReplyZone = 12,
  /** u16, index of the first pool (Uses) */
  Pool = 14,
  /** u32 each: address and mask; of each direction, then any of the four addresses */
  Source = 16,
  SourceMask = 20,
  Destination = 24,
  DestinationMask = 28,
  ReplySource = 32,
  ReplySourceMask = 36,
  ReplyDestination = 40,
  ReplyDestinationMask = 44,
  Address = 48,
  AddressMask = 52,
  /** u16 each, both ends included; then any of the four ports */
  SourcePortLow = 56,
  SourcePortHigh = 58,
  DestinationPortLow = 60,
  DestinationPortHigh = 62,
  ReplySourcePortLow = 64,
  ReplySourcePortHigh = 66,
  ReplyDestinationPortLow = 68,
  ReplyDestinationPortHigh = 70,
  PortLow = 72,
  PortHigh = 74,
  /** u32, rows wanted: at most Limit.SearchRows. */
  Rows = 76,
  /**
   * u32 milliseconds of the clock: ages and expiries are ranked as they are seen from there. Of Hosts: sums of traffic
   * that were begun later are taken again.
   */
  Reference = 80,
  /** u32 and u64: rows of a lower rank are passed over. Ranks ascend in the order of the rows, SearchRowAt. */
  FromIndex = 84,
  FromKey = 88,
  Bytes = 96,
}

/** What a search has come to, behind its SearchAt record. */
export enum FoundAt {
  /** u32, how many have matched so far; of Table, Mappings and Uses only those that were looked at. */
  Matched = 0,
  /** u32, rows that `listSearch` hands out, as far as their records are still there. */
  Rows = 4,
  /** u32, of Uses: how many pools were counted. */
  Pools = 8,
  /** u32, of Lapses: how many conns were looked at; 1 where another configuration was staged meanwhile: nothing counts. */
  Looked = 12,
  Void = 16,
  /** u32 for each Lapse: how many conns would end so. */
  Lapses = 20,
  /** u32 for each ConnPhase, of Count: how many of those that match are in it. */
  Phases = 64,
  Bytes = 88,
}

/** A row of Lapses: how many conns of a zone would end. */
export enum LapseRowAt {
  /** u32 number of the zone of the original direction */
  Zone = 0,
  /** u32 */
  Conns = 4,
  Bytes = 8,
}

/** One row of `listSearch`. */
export enum SearchRowAt {
  /** u64 and u32, its rank. */
  Key = 0,
  RankIndex = 8,
  /** ConnRowAt, HostRowAt with HostTrafficAt, MappingRowAt, UseRowAt or LapseRowAt, by the kind. */
  Row = 16,
  Bytes = 96,
}

/** One row of `listNeighbors`. */
export enum NeighborRowAt {
  /** u32 */
  Address = 0,
  /** u16, index of the device. */
  Device = 4,
  /** 6 bytes */
  Mac = 6,
  /** u8 NeighborState */
  State = 12,
  /** u32 milliseconds since it was last confirmed. */
  Age = 16,
  /** u32, the neighbor's index. */
  Index = 20,
  Bytes = 24,
}

/** RFC 4861 section 7.3.2 names the states; ARP is run through the same ones, as Linux does. */
export enum NeighborState {
  /** The slot is free. */
  Free,
  /** Asked, not answered yet. */
  Incomplete,
  Reachable,
  /** Not confirmed for a while; used and asked again at the next packet. */
  Stale,
  /** Asked again, still used. */
  Probe,
  /** From the configuration. */
  Permanent,
}

// ---------------------------------------------------------------------------------------------------
// Snapshots: what goes on in another process, as meanings. Nothing in them depends on seed, addresses or workers.

/** What a record of a snapshot is about. */
export enum SavedKind {
  /** Zone numbers mean from here on what the zones behind it say. */
  Begin = 1,
  Zone,
  Grant,
  Conn,
  RestingPort,
}

/** How each begins. */
export enum SavedAt {
  /** u8 SavedKind; u8 bits of SavedPart; u16 bytes of the record, a multiple of 4. */
  Kind = 0,
  Parts = 1,
  Length = 2,
  Bytes = 4,
}

/** In a Tuple (nat/tuple.ts), where the host reads one. */
export enum TupleAt {
  /** u32 */
  Source = 0,
  /** u16 */
  Zone = 12,
  /** u8 */
  Protocol = 14,
  Bytes = 16,
}

/** The windows of TCP (nat/window.ts). */
export enum SavedWindowsAt {
  Bytes = 32,
}

/** What stands behind a conn's record, in this order; the last says something of the conn itself. */
export enum SavedPart {
  /** SavedWindowsAt */
  Windows = 1,
  /** SavedMappingAt: its mapping; the one that it is hairpinned to. */
  Mapping = 2,
  Target = 4,
  /** 64 bytes: how a gateway has shifted its numbers (nat/shift.ts). */
  Shift = 8,
  /** It came in by a grant. */
  Granted = 16,
}

export enum SavedBeginAt {
  /** u32 seconds that the PCP server has been there. */
  Epoch = 4,
  Bytes = 8,
}

/** A zone of the configuration at that time. */
export enum SavedZoneAt {
  /** u16 number; u16 bytes of the name, which follows. */
  Number = 4,
  NameBytes = 6,
  Name = 8,
}

export enum SavedConnAt {
  /** u32 milliseconds: until it ends, since it was made. */
  ExpiresIn = 4,
  Age = 8,
  /** u16 number of the device of its original direction; u16 Conn.gateway. */
  Ingress = 12,
  Gateway = 14,
  /** Tuples (nat/tuple.ts), whose tags are the ConnPhase and bits of ConnFlag. */
  Original = 16,
  Reply = 32,
  /** u64 each: packets of both directions, then bytes. */
  Traffic = 48,
  Bytes = 80,
}

/** A mapping; its inside endpoint is the conn's, or the grant's. */
export enum SavedMappingAt {
  /** u32 */
  External = 0,
  /** u32, u16: what of a destination it is good for. */
  Destination = 4,
  /** u16 each */
  ExternalZone = 8,
  ExternalPort = 10,
  DestinationPort = 12,
  /** u8 each: MappingBehaviour, FilteringBehaviour */
  Mapping = 14,
  Filtering = 15,
  /** u32 milliseconds since it was made */
  Age = 16,
  /** u8, 1 where conns of several endpoints share the port. */
  Shared = 20,
  Bytes = 24,
}

export enum SavedGrantAt {
  ExpiresIn = 4,
  /** u64, u32 */
  NonceLow = 8,
  NonceHigh = 16,
  /** u16 number of the device */
  Ingress = 20,
  /** A Tuple, of which the source counts. */
  Inside = 24,
  /** SavedMappingAt */
  Mapping = 40,
  Bytes = 64,
}

export enum SavedPortAt {
  /** u32 */
  External = 4,
  /** u16 each */
  ExternalZone = 8,
  Port = 10,
  /** u32 milliseconds */
  Rested = 12,
  /** u32, u16: the host that has its block, where the next but one is 1. */
  Host = 16,
  HostZone = 20,
  /** u8 each: which bitmap; whether the port is of a block. */
  Which = 22,
  InBlock = 23,
  Bytes = 24,
}

/** External ports of one number that are other workers' than whose they would be (nat/moved.ts). */
export enum MovedPortAt {
  /** u32 */
  External = 0,
  /** u16 each */
  ExternalZone = 4,
  Port = 6,
  /** u8 each: the worker of TCP, UDP, ICMP; 255 where it is whose it would be. The fourth is 0. */
  Workers = 8,
  Bytes = 12,
}

/**
 * Multipliers of the hash of a host (nat/owner.ts), by which the host steers, too: odd, the second one 2^32 by the golden
 * ratio (D. Knuth, 1973).
 */
export const ZONE_FACTOR = 0x85ebca6b;
export const HOST_FACTOR = 0x9e3779b1;

/** What became of a record of a snapshot. */
export enum Fate {
  Restored,
  /** Its time came before it was restored. */
  Expired,
  /** A zone of it is gone, or another tenant's. */
  ZoneGone,
  /** The configuration in force would not make it again. */
  Refused,
  /** Its external port is somebody else's, or kept for a forward, or not its host's to have. */
  PortTaken,
  /** Its external port is one of another worker than its host. */
  PortElsewhere,
  /** It says otherwise than what was restored before it. */
  Contradicted,
  /** A limit of its zone or host is reached. */
  OverLimit,
  TableFull,
  /** No such record can have been saved. */
  Unsound,
  Count,
}

/** Where the fates of records are counted, u32 for each Fate, of three kinds. */
export enum RestoredAt {
  Conns = 0,
  Grants = 64,
  Ports = 128,
}

/** `start`'s record of what the arena must hold and how it begins. */
export enum StartAt {
  /** u32 each */
  ConnCapacity = 0,
  NeighborCapacity = 4,
  /** Addresses of pools, those of a configuration on its way out included. */
  PoolAddressCapacity = 8,
  /** Bytes of the largest config image to come. */
  ImageCapacity = 12,
  /** 16 bytes: the secret of the hash and of the port allocation. */
  Seed = 16,
  /** u32, how many workers share the configuration, 0 or 1 for one alone; u32, which of them this is. */
  Workers = 32,
  Worker = 36,
  /** u32, external ports that belong to one worker stand together in twos to this power; at least 6. */
  ShareShift = 40,
  Bytes = 48,
}

/** Where a packet stands when the trace build tells of it (assembly/trace.ts), with the verdict of what was done last. */
export enum Step {
  /** Its device and tuple are known, or it ends. */
  Parse,
  /** Its conn was looked for. */
  Lookup,
  /** Several workers: whose it is. */
  Claim,
  /** A fragment: its datagram. */
  Datagram,
  /** What its conn remembers. */
  Recall,
  /** What the flows say; its conn is made. */
  Decide,
  Route,
  /** Its conn has followed it: phase and expiry. */
  Follow,
  /** It is about to be translated; it is. */
  Translate,
  Translated,
  /** It is for the router itself. */
  Serve,
  /** Its end. */
  Finish,
}

/** Verdicts beside a Reason. */
export enum Verdict {
  /** Another worker's, who counts it. */
  Heard = 0xfd,
  /** For the router itself. */
  Local = 0xfe,
  Continue = 0xff,
}

/** What is known of a traced packet's tuple. */
export enum TupleIs {
  /** It is ARP, or was not taken in. */
  Unknown,
  Whole,
  /** Of an answer to the packet that an ICMP error quotes. */
  Quoted,
  /** A fragment's: without ports. */
  Portless,
}

/** The record at Exchange.Search behind each Step. */
export enum TraceAt {
  /** u32 addresses, u16 ports, u16 zone number, u8 protocol, u8 TupleIs. The zone is known before the others. */
  Source = 0,
  Destination = 4,
  SourcePort = 8,
  DestinationPort = 10,
  Zone = 12,
  Protocol = 14,
  TupleIs = 15,
  /** u16 indices, None.Short for none: its device, the flow that speaks for it, the device that one names. */
  Device = 16,
  Flow = 18,
  Output = 20,
  /** u16, index of its descriptor, None.Short of a fragment that has waited; u8 each, TCP flags or ICMP type, ICMP code */
  Input = 22,
  Flags = 24,
  Code = 25,
  /** u16 IPv4 total length; u32 where its IPv4 header stands */
  TotalBytes = 26,
  Network = 28,
  /** u32 conn << 1 | direction, None.Word for none; u32 neighbor that it leaves to, where it is routed */
  Handle = 32,
  Adjacency = 36,
  /** u16 flow of the second pass, None.Short for none */
  Tracked = 40,
  /** ConnRowAt and NeighborRowAt, where Handle and Adjacency say that there is one */
  Conn = 48,
  Neighbor = 128,
  Bytes = 152,
}

/** Fixed places in the linear memory, in front of the arena: how host and datapath hand each other things. */
export enum Exchange {
  /** StartAt record. */
  Start = 1024,
  /** Limit.Batch descriptors in. */
  Inputs = 2048,
  /** Limit.Outputs descriptors out. */
  Outputs = 8192,
  /** Limit.Rows rows of a listing; fewer where they are longer. */
  Rows = 40960,
  /** SearchAt record, and the FoundAt record behind it. */
  Search = 64512,
  /** RestoredAt records. */
  Restored = 65024,
  /** Where the arena begins. */
  Arena = 65536,
}
