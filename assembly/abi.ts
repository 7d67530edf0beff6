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
  Version = 1,
  /** "CZIM", the first word of a config image. */
  ImageMagic = 0x4d495a43,
  /** "CZAR", the first word of an arena. */
  ArenaMagic = 0x52415a43,
  /** Of the arena's layout: a module attaches only to an arena of its own version. */
  ArenaVersion = 1,
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
  /** Addresses of all pools together; each owns 24.6 KiB of bitmaps. */
  PoolAddresses = 65534,
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
  /** An ARP or ICMP echo request of ours: answered. */
  Answered,
  /** ARP that taught or told us something and needs no answer. */
  Learned,
  /** Waits until its next hop's address is resolved; ends later as HeldSent or NeighborFailed. */
  Held,
  /** A held frame was sent after all (counted beside Held, not a frame's own end). */
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
  /** A fragment: reassembly is not supported yet. */
  Fragment,
  TtlExceeded,
  /** Longer than the egress device's MTU. */
  TooBig,

  // transport layer
  TcpBadHeader,
  UdpBadHeader,
  IcmpBadHeader,
  SctpBadHeader,
  /** ICMP that is neither echo request nor reply. */
  IcmpUnsupported,
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
  /** A conn must begin with an echo request. */
  EchoNotRequest,
  /** It would go on to an address of the router's own, or of a pool: hairpin is not supported yet. */
  Hairpin,
  /** The zone has as many conns as its limit allows. */
  ZoneConnLimit,
  ConnTableFull,
  PoolExhausted,
  /** The tuple its answers would carry belongs to another conn. */
  TupleInUse,
  /** A protocol without ports, towards a host that another conn of the protocol already uses. */
  ProtocolAmbiguous,
  /** The configuration no longer allows the conn that it belonged to. */
  ConnRevoked,

  // way out
  NoRoute,
  /** The next hop did not answer to ARP (counted beside Held, not a frame's own end). */
  NeighborFailed,
  NeighborTableFull,
  HoldQueueFull,
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
  /** u16, index of the interface in the image: it came from there, or goes there. */
  Interface = 8,
  /** u16, tag control information of a tag that travels beside the frame (in: with a VlanBeside flag). */
  VlanTci = 10,
  /** u16, DescriptorFlag. */
  Flags = 12,
  /** u16, out: index of the input whose buffer this is, None.Short for a frame of the datapath's own. */
  Input = 14,
  /** u16, out: the device (index in the image) it leaves through. */
  Device = 16,
  Bytes = 20,
}

export enum DescriptorFlag {
  /** In: the outer tag was taken off by the kernel and stands in VlanTci. */
  VlanBeside = 1,
  /** In: that tag is a service tag (0x88a8), not a customer tag (0x8100). */
  ServiceTag = 2,
}

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
  Flows,
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
  /** Timeout.Count × u32, milliseconds. */
  Timeouts = 16,
  /** u32 each: what the arena must have room for. */
  ConnCapacity = 48,
  NeighborCapacity = 52,
  /** u32, index of the first flow without in_port in the first pass; None.Word for none. */
  FlowsAnyDevice = 56,
  /** u32, index of the first flow that matches +tracked, the second pass; None.Word for none. */
  FlowsTracked = 60,
  /** Section.Count × SectionAt.Bytes. */
  Sections = 64,
  Bytes = 144,
}

/** Indices of the timeouts in the image. Milliseconds there, seconds in the configuration. */
export enum Timeout {
  Udp,
  TcpEstablished,
  TcpTransitory,
  Icmp,
  /** Protocols known by address only. */
  Other,
  Count = 8,
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
  /** u32, ports of one host; 0 for no limit. */
  PortsPerHost = 16,
  Bytes = 24,
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

export enum PoolAt {
  /** u16, index of the zone its addresses are in. */
  Zone = 0,
  /** u16 bytes and u32 offset in Strings; a pool made for a flow's masq= has the text as its name. */
  NameBytes = 2,
  Name = 4,
  /** u32, index of its first range, and u16, how many. */
  Ranges = 8,
  RangeCount = 12,
  /** u8 each: MappingBehaviour, FilteringBehaviour, Allocation. */
  Mapping = 14,
  Filtering = 15,
  Allocation = 16,
  /** u16 each, 1 to 65535, low ≤ high. */
  PortLow = 18,
  PortHigh = 20,
  /** u32, addresses of all its ranges. */
  AddressCount = 24,
  Bytes = 32,
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
  /** An ICMP error about a conn. */
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
  /** u32, new destination. */
  TargetAddress = 48,
  /** u16, new destination port, 0 to keep it. */
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
  /** A FIN or RST has been seen. */
  Closing,
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
  /** u16 ports (ICMP: the identifier on the side of the asker, 0 on the other). */
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
  /** u64 each */
  OriginalPackets = 48,
  OriginalBytes = 56,
  ReplyPackets = 64,
  ReplyBytes = 72,
  Bytes = 80,
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
  Bytes = 32,
}

/** Fixed places in the linear memory, in front of the arena: how host and datapath hand each other things. */
export enum Exchange {
  /** StartAt record. */
  Start = 1024,
  /** Limit.Batch descriptors in. */
  Inputs = 2048,
  /** Limit.Outputs descriptors out. */
  Outputs = 8192,
  /** Limit.Rows rows of a listing. */
  Rows = 40960,
  /** Where the arena begins. */
  Arena = 65536,
}
