/**
 * Packets that are longer than the link they leave by takes, and may be cut (RFC 791 section 3.2): pieces in
 * order (RFC 4787 REQ-13), none longer than the MTU nor than a buffer of our own. What is cut may be a piece
 * itself.
 *
 * The first piece stays where the packet is and keeps all options; the others have those whose copied bit
 * says so (RFC 791 section 3.1). All leave, or none.
 */

import { Limit, None, Reason } from "../abi";
import { RecordBytes } from "../memory";
import { FragmentBit, Ipv4 } from "../wire/ipv4";
import { hasHoldRoom, holdFor, Neighbor, sendTo } from "./neighbor";
import { hasOutputs, hasOwnFrames, NETWORK_OFFSET, takeOwnFrame } from "./output";

/** The longest piece: so that it fits a frame of our own, and can wait for its neighbor. */
const PIECE_BYTES_MAX: u32 = RecordBytes.OwnFrame - <u32>NETWORK_OFFSET;
if (PIECE_BYTES_MAX > <u32>Limit.HeldFrameBytes) ERROR("a piece is too long to wait");

/** Bits of an option's type. */
const COPIED: u8 = 0x80;
/** Options of one byte (RFC 791 section 3.1). */
const END_OF_OPTIONS: u8 = 0;
const NO_OPERATION: u8 = 1;

/** Payload is cut at multiples of eight bytes. */
function roomFor(bytes: u32, headerBytes: u32): u32 {
  return (bytes - headerBytes) & ~7;
}

/** Cuts the packet at `network` for the neighbor's link and sends it, or keeps it until that one answers. */
export function sendPieces(index: u32, network: usize, input: u32, now: u32): Reason {
  const ip = Ipv4.view(network);
  const neighbor = Neighbor.at(index);
  const most = min<u32>(neighbor.mtu, PIECE_BYTES_MAX);
  const first = roomFor(most, ip.headerBytes);
  const later = roomFor(most, Ipv4.BYTES + copiedOptions(network, 0));
  const laterCount = (ip.payloadBytes - first + later - 1) / later;
  if (!hasOwnFrames(laterCount)) return Reason.NoBuffer;
  const usable = neighbor.isUsable;
  if (!usable && !hasHoldRoom(index, laterCount + 1)) return Reason.HoldQueueFull;
  // One more: the first may ask whether the neighbor is still there.
  if (usable && !hasOutputs(laterCount + 2)) return Reason.OutputFull;
  const frames = writePieces(network, first, later);
  for (let n: u32 = 0; n <= laterCount; n++) {
    const isEnd = n == laterCount;
    // Frames of our own that are taken one after another stand one behind the other.
    const at = n == 0 ? network : frames + (n - 1) * RecordBytes.OwnFrame + NETWORK_OFFSET;
    const bytes = Ipv4.view(at).totalBytes;
    if (usable) sendTo(index, at, bytes, n == 0 ? input : <u32>None.Short, now);
    else holdFor(index, at, bytes, isEnd);
  }
  return usable ? Reason.Forwarded : Reason.Held;
}

/**
 * Writes all pieces but the first to frames of our own, then shortens the packet to the first. Returns the
 * first of the frames.
 */
function writePieces(network: usize, first: u32, later: u32): usize {
  const ip = Ipv4.view(network);
  const word = ip.fragment;
  const bytes = ip.payloadBytes;
  let frames: usize = 0;
  for (let done = first; done < bytes; done += later) {
    const frame = takeOwnFrame();
    if (frames == 0) frames = frame;
    const size = min(later, bytes - done);
    const more = done + size < bytes ? FragmentBit.MoreFragments : 0;
    writePiece(frame + NETWORK_OFFSET, network, done, size, (word + (done >> 3)) | more);
  }
  ip.totalBytes = ip.headerBytes + first;
  ip.fragment = word | FragmentBit.MoreFragments;
  ip.refreshChecksum();
  return frames;
}

/** Copies `size` bytes of payload, from `from` on, behind a header of their own. */
function writePiece(at: usize, network: usize, from: u32, size: u32, word: u32): void {
  memory.copy(at, network, Ipv4.BYTES);
  const piece = Ipv4.view(at);
  const options = copiedOptions(network, at + Ipv4.BYTES);
  piece.headerBytes = Ipv4.BYTES + options;
  piece.totalBytes = Ipv4.BYTES + options + size;
  piece.fragment = word;
  memory.copy(piece.payload, Ipv4.view(network).payload + from, size);
  piece.refreshChecksum();
}

/**
 * Writes the options that every piece carries to `into`, filled up to words with ends of options, and
 * returns how many bytes that are. With 0 for `into` it only counts. Options whose lengths are nonsense end
 * the list.
 */
function copiedOptions(network: usize, into: usize): u32 {
  const end = Ipv4.view(network).payload;
  let bytes: u32 = 0;
  for (let at = network + Ipv4.BYTES; at < end; ) {
    const type = load<u8>(at);
    if (type == END_OF_OPTIONS) break;
    if (type == NO_OPERATION) {
      at++;
      continue;
    }
    const length: u32 = at + 1 < end ? load<u8>(at, 1) : 0;
    if (length < 2 || at + length > end) break;
    if ((type & COPIED) != 0) {
      if (into != 0) memory.copy(into + bytes, at, length);
      bytes += length;
    }
    at += length;
  }
  const words = (bytes + 3) & ~3;
  if (into != 0) memory.fill(into + bytes, END_OF_OPTIONS, words - bytes);
  return words;
}
