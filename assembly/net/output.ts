/**
 * Frames on their way out: the list that a call hands to the host, and the buffers for frames that the
 * datapath makes itself. Both begin empty with each call and stay valid until the next.
 */

import {
  DescriptorAt,
  DescriptorFlag,
  DeviceCounterAt,
  Exchange,
  Limit,
  None,
  Reason,
} from "../abi";
import { active } from "../config/configuration";
import { count, ownFrames, RecordBytes } from "../memory";
import { EtherType } from "../wire/ethernet";
import { LINK_HEADER_BYTES, prependHeader, writeLinkHeader } from "./link";

/** Where the IP packet begins in a buffer: room for the longest link header, and the host's headroom. */
export const NETWORK_OFFSET: usize = 64;
if (NETWORK_OFFSET < 2 * LINK_HEADER_BYTES) ERROR("a header is made in front of where it goes");

/** Frames in the list now. */
export let produced: u32 = 0;
let own: u32 = 0;

export function beginOutputs(): void {
  produced = 0;
  own = 0;
}

/** Lists a frame to leave through a device. `input` is the index of the input it stands in, if any. */
export function output(frame: usize, bytes: u32, device: u32, input: u32): bool {
  if (produced == Limit.Outputs) {
    count(Reason.OutputFull);
    return false;
  }
  const at = <usize>Exchange.Outputs + produced * DescriptorAt.Bytes;
  store<u32>(at, <u32>frame, DescriptorAt.Frame);
  store<u32>(at, bytes, DescriptorAt.Size);
  store<u16>(at, active.device(device).interfaceIndex, DescriptorAt.Interface);
  store<u16>(at, <u16>input, DescriptorAt.Input);
  store<u16>(at, <u16>device, DescriptorAt.Device);
  produced++;
  const counters = active.deviceCounters + <usize>device * DeviceCounterAt.Bytes;
  store<u64>(
    counters,
    load<u64>(counters, DeviceCounterAt.TxPackets) + 1,
    DeviceCounterAt.TxPackets,
  );
  store<u64>(
    counters,
    load<u64>(counters, DeviceCounterAt.TxBytes) + bytes,
    DeviceCounterAt.TxBytes,
  );
  return true;
}

/**
 * Lists a frame for another worker: an Ethernet header and what it carries. `place` is the number of the device that it
 * came in by, or of its zone; `flags` are bits of DescriptorFlag, `input` as in `output` or what `Asked` asks for.
 */
export function outputHandOff(
  frame: usize,
  bytes: u32,
  worker: u32,
  place: u32,
  flags: u32,
  input: u32,
): bool {
  if (produced == Limit.Outputs) {
    count(Reason.OutputFull);
    return false;
  }
  const at = <usize>Exchange.Outputs + produced * DescriptorAt.Bytes;
  store<u32>(at, <u32>frame, DescriptorAt.Frame);
  store<u32>(at, bytes, DescriptorAt.Size);
  store<u16>(at, <u16>None.Short, DescriptorAt.Interface);
  store<u16>(at, <u16>place, DescriptorAt.VlanTci);
  store<u16>(at, <u16>(flags | DescriptorFlag.Handed), DescriptorAt.Flags);
  store<u16>(at, <u16>input, DescriptorAt.Input);
  store<u16>(at, <u16>worker, DescriptorAt.Device);
  produced++;
  return true;
}

/** Whether the list has room for so many frames more; counted, like each that finds none, where not. */
export function hasOutputs(frames: u32): bool {
  if (produced + frames <= <u32>Limit.Outputs) return true;
  count(Reason.OutputFull);
  return false;
}

/** Whether so many frames of our own can be taken. */
export function hasOwnFrames(frames: u32): bool {
  return own + frames <= <u32>Limit.OwnFrames;
}

/** A buffer for a frame of our own, whose IP (or ARP) packet begins NETWORK_OFFSET in; 0 when all are used. */
export function takeOwnFrame(): usize {
  if (own == Limit.OwnFrames) return 0;
  const index = own++;
  return ownFrames + <usize>index * RecordBytes.OwnFrame;
}

/**
 * Lists a frame of our own, whose packet of `bytes` bytes stands at its NETWORK_OFFSET, to leave through a
 * device towards the MAC at `to`.
 */
export function outputOwn(frame: usize, device: u32, to: usize, type: EtherType, bytes: u32): bool {
  const header = writeLinkHeader(frame, active.device(device), to, type);
  const start = prependHeader(frame + NETWORK_OFFSET, frame, header);
  return output(start, header + bytes, device, None.Short);
}
