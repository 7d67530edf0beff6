/**
 * pcapng capture files, draft-ietf-opsawg-pcapng: sections of either order of bytes, several interfaces,
 * Enhanced, Simple and (obsolete) Packet Blocks. All other blocks are passed over.
 *
 * A Simple Packet Block has no timestamp: it gets that of the packet before it.
 */
import { type CapturedPacket, LINKTYPE_ETHERNET, SNAP_BYTES_MAX, type Source } from "./capture.js";

enum BlockType {
  /** The same in both orders of bytes. */
  Section = 0x0a0d0d0a,
  Interface = 1,
  /** Obsolete, appendix A of the draft. */
  Packet = 2,
  SimplePacket = 3,
  EnhancedPacket = 6,
}

/** Every block: u32 type, u32 length of all of it, its body, and the length once more. */
enum BlockAt {
  Type = 0,
  Length = 4,
  Body = 8,
}
const BLOCK_BYTES_MIN = 12;

enum SectionAt {
  ByteOrder = 8,
  Major = 12,
  Options = 24,
}
const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
const VERSION_MAJOR = 1;

enum InterfaceAt {
  LinkType = 8,
  SnapBytes = 12,
  Options = 16,
}

/** Of the Enhanced Packet Block, and of the obsolete one, whose interface has 16 bits. */
enum PacketAt {
  Interface = 8,
  TimeHigh = 12,
  TimeLow = 16,
  Captured = 20,
  Original = 24,
  Data = 28,
}

enum SimplePacketAt {
  Original = 8,
  Data = 12,
}

enum Option {
  End = 0,
  TimeResolution = 9,
  TimeOffset = 14,
}

interface CaptureInterface {
  readonly linkType: number;
  readonly snapBytes: number;
  /** A timestamp counts seconds / divisor. */
  readonly divisor: bigint;
  readonly offsetNs: bigint;
}

interface Block {
  readonly at: number;
  readonly type: number;
  /** Of the whole block. */
  readonly bytes: number;
}

const NS_PER_SECOND = 1_000_000_000n;

export function isPcapng(source: Source): boolean {
  return source.length >= 4 && source.u32(0) === BlockType.Section;
}

/** Checks the first section's header. */
export function readPcapng(source: Source): Iterable<CapturedPacket> {
  readBlock(source, 0);
  return { [Symbol.iterator]: () => packets(source) };
}

function* packets(source: Source): Generator<CapturedPacket> {
  let interfaces: CaptureInterface[] = [];
  let timestampNs = 0n;
  for (let at = 0; at < source.length; ) {
    const block = readBlock(source, at);
    at += block.bytes;
    let packet: CapturedPacket | undefined;
    if (block.type === BlockType.Section) interfaces = [];
    else if (block.type === BlockType.Interface) interfaces.push(readInterface(source, block));
    else if (block.type === BlockType.SimplePacket) {
      packet = readSimplePacket(source, block, interfaces, timestampNs);
    } else if (block.type === BlockType.EnhancedPacket || block.type === BlockType.Packet) {
      packet = readPacket(source, block, interfaces);
    }
    if (packet === undefined) continue;
    timestampNs = packet.timestampNs;
    yield packet;
  }
}

/** Checks a block's frame; the header of a section also sets the order of bytes. */
function readBlock(source: Source, at: number): Block {
  source.need(at, BLOCK_BYTES_MIN, "a block");
  const type = source.u32(at + BlockAt.Type);
  if (type === BlockType.Section) readByteOrder(source, at);
  const bytes = source.u32(at + BlockAt.Length);
  const bytesMin = type === BlockType.Section ? SectionAt.Options + 4 : BLOCK_BYTES_MIN;
  if (bytes < bytesMin || bytes % 4 !== 0) {
    source.fail(at, `block length: a multiple of 4 from ${bytesMin} on expected, found ${bytes}`);
  }
  source.need(at, bytes, "a block");
  const again = source.u32(at + bytes - 4);
  if (again !== bytes) {
    source.fail(at + bytes - 4, `block length ${bytes} once more expected, found ${again}`);
  }
  if (type === BlockType.Section && source.u16(at + SectionAt.Major) !== VERSION_MAJOR) {
    const found = source.u16(at + SectionAt.Major);
    source.fail(at + SectionAt.Major, `version ${VERSION_MAJOR} expected, found ${found}`);
  }
  return { at, type, bytes };
}

function readByteOrder(source: Source, at: number): void {
  for (const littleEndian of [true, false]) {
    source.littleEndian = littleEndian;
    if (source.u32(at + SectionAt.ByteOrder) === BYTE_ORDER_MAGIC) return;
  }
  source.fail(at + SectionAt.ByteOrder, "byte-order magic 1a2b3c4d expected");
}

function readInterface(source: Source, block: Block): CaptureInterface {
  need(source, block, InterfaceAt.Options, "an interface block");
  let divisor = 1_000_000n;
  let offsetNs = 0n;
  for (const [option, at, bytes] of options(source, block, InterfaceAt.Options)) {
    if (option === Option.TimeResolution) {
      if (bytes !== 1) source.fail(at, `if_tsresol of 1 byte expected, found ${bytes}`);
      const exponent = source.u8(at);
      divisor = (exponent & 0x80 ? 2n : 10n) ** BigInt(exponent & 0x7f);
    } else if (option === Option.TimeOffset) {
      if (bytes !== 8) source.fail(at, `if_tsoffset of 8 bytes expected, found ${bytes}`);
      offsetNs = source.i64(at) * NS_PER_SECOND;
    }
  }
  const linkType = source.u16(block.at + InterfaceAt.LinkType);
  const snapBytes = source.u32(block.at + InterfaceAt.SnapBytes);
  return { linkType, snapBytes: snapBytes || SNAP_BYTES_MAX, divisor, offsetNs };
}

/** Each option's code, where its value begins, and the value's length. */
function* options(
  source: Source,
  block: Block,
  first: number,
): Generator<[number, number, number]> {
  const end = block.at + block.bytes - 4;
  for (let at = block.at + first; at + 4 <= end; ) {
    const code = source.u16(at);
    const bytes = source.u16(at + 2);
    if (code === Option.End) return;
    if (at + 4 + bytes > end) {
      source.fail(at, `option claims ${bytes} bytes, its block has ${end - at - 4} left`);
    }
    yield [code, at + 4, bytes];
    at += 4 + Math.ceil(bytes / 4) * 4;
  }
}

function readPacket(
  source: Source,
  block: Block,
  interfaces: readonly CaptureInterface[],
): CapturedPacket {
  const { at } = block;
  need(source, block, PacketAt.Data, "a packet block");
  const obsolete = block.type === BlockType.Packet;
  const index = obsolete
    ? source.u16(at + PacketAt.Interface)
    : source.u32(at + PacketAt.Interface);
  const from = interfaceOf(source, block, interfaces, index);
  const units =
    (BigInt(source.u32(at + PacketAt.TimeHigh)) << 32n) | BigInt(source.u32(at + PacketAt.TimeLow));
  const timestampNs = (units * NS_PER_SECOND) / from.divisor + from.offsetNs;
  const captured = source.u32(at + PacketAt.Captured);
  const original = source.u32(at + PacketAt.Original);
  return cut(source, block, PacketAt.Data, captured, original, timestampNs);
}

function readSimplePacket(
  source: Source,
  block: Block,
  interfaces: readonly CaptureInterface[],
  timestampNs: bigint,
): CapturedPacket {
  need(source, block, SimplePacketAt.Data, "a simple packet block");
  const from = interfaceOf(source, block, interfaces, 0);
  const original = source.u32(block.at + SimplePacketAt.Original);
  const captured = Math.min(original, from.snapBytes);
  return cut(source, block, SimplePacketAt.Data, captured, original, timestampNs);
}

function interfaceOf(
  source: Source,
  block: Block,
  interfaces: readonly CaptureInterface[],
  index: number,
): CaptureInterface {
  const found = interfaces[index];
  if (found === undefined) {
    source.fail(block.at, `packet of interface ${index}, ${interfaces.length} are described`);
  }
  if (found.linkType !== LINKTYPE_ETHERNET) {
    source.fail(
      block.at,
      `link type 1 (Ethernet) expected, interface ${index} has ${found.linkType}`,
    );
  }
  return found;
}

function cut(
  source: Source,
  block: Block,
  first: number,
  captured: number,
  originalBytes: number,
  timestampNs: bigint,
): CapturedPacket {
  const room = block.bytes - first - 4;
  if (captured > room) {
    source.fail(block.at, `packet claims ${captured} bytes, its block has room for ${room}`);
  }
  if (captured > originalBytes) {
    source.fail(block.at, `packet claims ${captured} bytes captured of ${originalBytes}`);
  }
  const data = block.at + first;
  return {
    timestampNs,
    bytes: source.bytes.subarray(data, data + captured),
    originalBytes,
    truncated: captured < originalBytes,
  };
}

/** Checks that a block holds its fixed fields and the closing length. */
function need(source: Source, block: Block, fixed: number, what: string): void {
  if (block.bytes < fixed + 4) {
    source.fail(block.at, `${what} of at least ${fixed + 4} bytes expected, found ${block.bytes}`);
  }
}
