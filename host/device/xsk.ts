/** The numbers and records of AF_XDP sockets: linux/if_xdp.h; Documentation/networking/af_xdp.rst of the kernel. */

export const FAMILY_XDP = 44;

/** SOL_XDP */
export const LEVEL_XDP = 283;

/** Options of SOL_XDP. */
export enum XskOption {
  MmapOffsets = 1,
  ReceiveRing = 2,
  TransmitRing = 3,
  Umem = 4,
  FillRing = 5,
  CompletionRing = 6,
  Statistics = 7,
  /** Frames that one call sends in copy mode; Linux 6.17. */
  TransmitBudget = 9,
}

export enum BindFlag {
  SharedUmem = 1,
  Copy = 2,
  NeedWakeup = 8,
}

/** struct sockaddr_xdp: u16 family, u16 BindFlag, then u32 each. */
export enum AddressAt {
  Family = 0,
  Flags = 2,
  Interface = 4,
  Queue = 8,
  SharedFd = 12,
  Bytes = 16,
}

/** struct xdp_umem_reg: u64 address, u64 length, then u32 each. */
export enum UmemAt {
  Address = 0,
  Length = 8,
  ChunkBytes = 16,
  Headroom = 20,
  Flags = 24,
  Bytes = 32,
}

/** struct xdp_mmap_offsets: for each ring four u64, the offsets in its mapping. */
export enum OffsetsAt {
  Receive = 0,
  Transmit = 32,
  Fill = 64,
  Completion = 96,
  Bytes = 128,
}

/** struct xdp_ring_offset */
export enum RingOffsetAt {
  Producer = 0,
  Consumer = 8,
  Descriptors = 16,
  Flags = 24,
}

/** Where each ring begins for mmap(2): XDP_PGOFF_RX_RING and the others. */
export enum PageOffset {
  Receive = 0,
  Transmit = 0x80000000,
  Fill = 0x100000000,
  Completion = 0x180000000,
}

/** struct xdp_desc, of the receive and transmit rings: u64 address in the UMEM, u32 length, u32 options. */
export enum DescriptorBytes {
  Frame = 16,
  /** Of the fill and completion rings: the address alone. */
  Address = 8,
}

/** struct xdp_statistics, u64 each. */
export enum XskStatisticsAt {
  ReceiveDropped = 0,
  ReceiveRingFull = 24,
  Bytes = 48,
}

/** XDP_PACKET_HEADROOM: what the kernel leaves in front of each received frame (linux/bpf.h). */
export const XDP_HEADROOM = 256;
