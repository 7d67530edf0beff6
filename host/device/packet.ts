/**
 * The numbers and records of packet sockets: linux/if_packet.h, linux/if_ether.h, linux/virtio_net.h.
 *
 * Only TPACKET_V2 is here; docs/adr/0002-tpacket-version.md says why.
 */

/** asm-generic/socket.h, linux/socket.h, linux/net.h */
export enum Socket {
  FamilyUnix = 1,
  FamilyInet = 2,
  FamilyPacket = 17,
  Stream = 1,
  Datagram = 2,
  Raw = 3,
  CloseOnExec = 0o2000000,
  NonBlock = 0o4000,
  LevelSocket = 1,
  LevelPacket = 263,
  Error = 4,
  PeerCredentials = 17,
  AttachFilter = 26,
  SendBufferForce = 32,
  ReceiveBufferForce = 33,
  /** MSG_DONTWAIT, MSG_TRUNC */
  DontWait = 0x40,
  Truncated = 0x20,
}

/** Options of SOL_PACKET. */
export enum PacketOption {
  AddMembership = 1,
  DropMembership = 2,
  ReceiveRing = 5,
  Statistics = 6,
  CopyThreshold = 7,
  Version = 10,
  Reserve = 12,
  TransmitRing = 13,
  Loss = 14,
  VnetHeader = 15,
  Fanout = 18,
  FanoutData = 22,
  IgnoreOutgoing = 23,
}

/** How a group of packet sockets shares what comes in, in the upper half of PACKET_FANOUT's argument. */
export enum Fanout {
  ClassicBpf = 6,
  /** The kernel chooses the number of the group that begins. */
  UniqueId = 0x2000,
  IgnoreOutgoing = 0x4000,
}

export enum Membership {
  Promiscuous = 1,
  Unicast = 3,
}

/** struct packet_mreq: int ifindex, u16 type, u16 address length, u8 address[8]. */
export enum MembershipAt {
  Index = 0,
  Type = 4,
  AddressBytes = 6,
  Address = 8,
  Bytes = 16,
}

/** struct sockaddr_ll */
export enum LinkAddressAt {
  Family = 0,
  Protocol = 2,
  Index = 4,
  Bytes = 20,
}

/** ETH_P_ALL in network order, as sockaddr_ll wants it. */
export const ETHERTYPE_ALL = 0x0300;

/** TPACKET_V2 of enum tpacket_versions. */
export const TPACKET_V2 = 1;

/** struct tpacket_req: what PACKET_RX_RING and PACKET_TX_RING take. */
export enum RingRequestAt {
  BlockBytes = 0,
  Blocks = 4,
  SlotBytes = 8,
  Slots = 12,
  Bytes = 16,
}

/** struct tpacket2_hdr, at the beginning of every slot of both rings. */
export enum SlotAt {
  Status = 0,
  /** Of the frame; on transmit the virtio_net_hdr included. */
  Size = 4,
  /** How much of the frame is in the slot. */
  Captured = 8,
  /** u16, where the frame begins in the slot. */
  Frame = 12,
  /** u16 each */
  VlanTci = 24,
  VlanProtocol = 26,
  /** Where the kernel expects what is to be sent: TPACKET2_HDRLEN - sizeof(struct sockaddr_ll). */
  Transmit = 32,
  /** Behind the struct sockaddr_ll, which stands aligned to 16 behind the header: TPACKET2_HDRLEN. */
  Reserve = 52,
}

/** tp_status on receive. */
export enum ReceiveStatus {
  Kernel = 0,
  User = 1,
  /** The slot was too small; the whole frame waits in the socket's receive queue. */
  Copy = 2,
  VlanValid = 16,
  VlanProtocolValid = 64,
}

/** tp_status on transmit. */
export enum TransmitStatus {
  Available = 0,
  SendRequest = 1,
  Sending = 2,
}

/** struct virtio_net_hdr, directly in front of the frame. */
export enum VnetAt {
  /** u8 VnetFlag */
  Flags = 0,
  /** u8 VnetGso */
  Gso = 1,
  /** u16: on transmit, how many bytes the kernel copies instead of referring to the ring's pages. */
  HeaderBytes = 2,
  /** u16, payload of one segment. */
  SegmentBytes = 4,
  /** u16 each: the checksum begins there, and is stored that far behind. */
  ChecksumStart = 6,
  ChecksumOffset = 8,
  Bytes = 10,
}

export enum VnetFlag {
  NeedsChecksum = 1,
  DataValid = 2,
}

export enum VnetGso {
  None = 0,
  Tcp4 = 1,
  Udp = 5,
  /** A bit beside the type: the first segment alone carries TCP's CWR (RFC 3168 section 6.1.2). */
  Ecn = 0x80,
}

/** struct tpacket_stats; reading them sets them to zero. */
export enum StatisticsAt {
  Packets = 0,
  Drops = 4,
  Bytes = 8,
}

export enum EtherType {
  Arp = 0x0806,
  Vlan = 0x8100,
  ServiceVlan = 0x88a8,
}
