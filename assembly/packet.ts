/**
 * A received frame on its way through the pipeline: where its headers stand, what it is, what it hit.
 * One record per frame of a batch, overwritten by the next batch.
 */

import { DescriptorAt, Exchange, None } from "./abi";
import { packets, RecordBytes } from "./memory";
import { Tuple } from "./nat/tuple";
import { Ipv4 } from "./wire/ipv4";

/** What a packet hit: the conn's index, and which of its tuples. */
export enum Direction {
  Original,
  Reply,
}

export enum PacketKind {
  Ipv4,
  /** An ICMP error about a packet: its tuple is that of an answer to the quoted packet (nat/icmperror.ts). */
  IcmpError,
  Arp,
  /** The first fragment of a datagram: with its transport header, but not with all of its payload. */
  First,
  /** Any other: its tuple names the datagram (nat/fragment.ts) until that is found. */
  Fragment,
  /** Another worker's: its tuple is the one that this worker is asked about (nat/reservation.ts). */
  Question,
}

/** What steps of the pipeline return when the packet's way goes on; any smaller number is its Reason. */
export const CONTINUE: u32 = 0xff;

/** The packet is for the router itself. */
export const LOCAL: u32 = 0xfe;

/** What another worker has received, and counts. */
export const HEARD: u32 = 0xfd;

/** No worker has it but this one. */
export const NO_WORKER: u8 = 0xff;

/** A handle that hits nothing. */
export const NO_CONN: u32 = 0xffffffff;

@final
@unmanaged
export class Packet extends Tuple {
  /** Of the tuple; 0 for what has none. */
  hashed: u64;
  /** Where the frame begins, and its length. */
  frame: u32;
  frameBytes: u32;
  /** Where the IPv4 (or ARP) header begins, and what follows the IPv4 header. */
  network: u32;
  transport: u32;
  /** IPv4 total length. */
  totalBytes: u16;
  /** Index of the device it came in by, None.Short while unknown; the device's number and zone index. */
  device: u16;
  port: u16;
  zoneIndex: u16;
  /** Index of the flow that speaks for it, and of the device that the flow sends it to, or None.Short. */
  flow: u16;
  output: u16;
  /** Conn index << 1 | Direction, or NO_CONN. */
  handle: u32;
  /** Index of the neighbor it leaves to, once routed. */
  adjacency: u32;
  /** Index of its descriptor. */
  input: u16;
  /** CONTINUE, or the Reason it ended with. */
  reason: u8;
  kind: u8;
  /** TCP flags, ICMP type; of an ICMP error the type that an answer to the quoted message would have. */
  flags: u8;
  /** ICMP code; 0 for an ICMP error. */
  code: u8;
  /** IP identification: of a fragment as it came, or as it leaves once its datagram is found. */
  identification: u16;
  /** The worker that a fragment, or the first one of its datagram, was handed to; NO_WORKER for none. */
  worker: u8;

  static at(index: u32): Packet {
    return changetype<Packet>(packets + <usize>index * RecordBytes.Packet);
  }

  /** Begins as what its descriptor says, of which nothing is known. Whole words, as in `Tuple.fill`. */
  begin(input: u32, descriptor: usize): void {
    const at = changetype<usize>(this);
    store<u64>(at, load<u64>(descriptor, DescriptorAt.Frame), offsetof<Packet>("frame"));
    this.hashed = 0;
    this.place(NO_PLACE);
    store<u32>(at, 0xffffffff, offsetof<Packet>("flow"));
    this.handle = NO_CONN;
    this.input = <u16>input;
  }

  /** Passes over what stands in front of the frame. */
  enterBehind(bytes: u32): void {
    this.frame += bytes;
    this.frameBytes -= bytes;
  }

  /** Sets device, port and zone from what `placeOf` has put together. */
  place(place: u64): void {
    store<u64>(changetype<usize>(this), place, offsetof<Packet>("totalBytes"));
  }

  get ip(): Ipv4 {
    return Ipv4.view(this.network);
  }
  /** Whether it has turned round at an external address of ours, and so came in by no device. */
  get isTurned(): bool {
    return this.device == <u16>None.Short;
  }
  /** Bits of DescriptorFlag: how another worker handed it to this one. */
  get passage(): u32 {
    if (this.input == <u16>None.Short) return 0;
    const descriptor = <usize>Exchange.Inputs + <usize>this.input * DescriptorAt.Bytes;
    return load<u16>(descriptor, DescriptorAt.Flags);
  }
  get direction(): Direction {
    return this.handle & 1;
  }
  /** Whether its tuple, as it was parsed, is one that conns have. */
  get isWhole(): bool {
    return this.kind <= <u8>PacketKind.IcmpError;
  }
  /** Bytes of the message that follows the IPv4 header; 0 where the packet holds only its beginning. */
  get messageBytes(): u32 {
    return this.kind == PacketKind.First ? 0 : this.ip.payloadBytes;
  }
}
/** Device, its number and zone index as they stand in a Packet, behind a total length of 0. */
export function placeOf(device: u32, port: u32, zoneIndex: u32): u64 {
  return ((<u64>device) << 16) | ((<u64>port) << 32) | ((<u64>zoneIndex) << 48);
}
const NO_PLACE: u64 = 0xffff_0000_ffff_0000;

if (DescriptorAt.Size != DescriptorAt.Frame + 4) ERROR("frame and length are one word");
if (offsetof<Packet>("frameBytes") != offsetof<Packet>("frame") + 4)
  ERROR("so they are in a Packet");
if (offsetof<Packet>("zoneIndex") != offsetof<Packet>("totalBytes") + 6)
  ERROR("a place is one word");
if (offsetof<Packet>("output") != offsetof<Packet>("flow") + 2)
  ERROR("flow and output are one word");
if (offsetof<Packet>() > <usize>RecordBytes.Packet) ERROR("a Packet outgrew its place");
