/**
 * Classic capture files, draft-ietf-opsawg-pcap: read in both orders of bytes and with micro- or
 * nanoseconds; written little-endian with nanoseconds, so that the same packets give the same file.
 */
import { closeSync, openSync, writeSync } from "node:fs";
import { type CapturedPacket, LINKTYPE_ETHERNET, SNAP_BYTES_MAX, type Source } from "./capture.js";

/** The first word of the file says the unit of the timestamps, and by its order that of all the others. */
const MAGIC_MICROSECONDS = 0xa1b2c3d4;
const MAGIC_NANOSECONDS = 0xa1b23c4d;

const VERSION_MAJOR = 2;
const VERSION_MINOR = 4;

enum HeaderAt {
  Magic = 0,
  Major = 4,
  Minor = 6,
  SnapBytes = 16,
  LinkType = 20,
  Bytes = 24,
}

enum RecordAt {
  Seconds = 0,
  Fraction = 4,
  Captured = 8,
  Original = 12,
  Bytes = 16,
}

const NS_PER_SECOND = 1_000_000_000n;

/** How many nanoseconds the file's unit has; undefined when it is no classic capture. Sets the byte order. */
export function pcapUnitNs(source: Source): number | undefined {
  if (source.length < 4) return undefined;
  for (const littleEndian of [true, false]) {
    source.littleEndian = littleEndian;
    const magic = source.u32(HeaderAt.Magic);
    if (magic === MAGIC_MICROSECONDS) return 1000;
    if (magic === MAGIC_NANOSECONDS) return 1;
  }
  return undefined;
}

/** @param unitNs  of pcapUnitNs */
export function readPcap(source: Source, unitNs: number): Iterable<CapturedPacket> {
  source.need(0, HeaderAt.Bytes, "a file header");
  const major = source.u16(HeaderAt.Major);
  if (major !== VERSION_MAJOR) {
    source.fail(HeaderAt.Major, `version ${VERSION_MAJOR} expected, found ${major}`);
  }
  const linkType = source.u32(HeaderAt.LinkType);
  if (linkType !== LINKTYPE_ETHERNET) {
    source.fail(HeaderAt.LinkType, `link type 1 (Ethernet) expected, found ${linkType}`);
  }
  // 0 and larger values mean "no limit" to those who write them.
  const snapBytes = Math.min(source.u32(HeaderAt.SnapBytes) || SNAP_BYTES_MAX, SNAP_BYTES_MAX);
  return { [Symbol.iterator]: () => records(source, unitNs, snapBytes) };
}

function* records(source: Source, unitNs: number, snapBytes: number): Generator<CapturedPacket> {
  const unitsPerSecond = 1e9 / unitNs;
  for (let at: number = HeaderAt.Bytes; at < source.length; ) {
    source.need(at, RecordAt.Bytes, "a packet header");
    const fraction = source.u32(at + RecordAt.Fraction);
    const captured = source.u32(at + RecordAt.Captured);
    const originalBytes = source.u32(at + RecordAt.Original);
    if (captured > snapBytes) {
      source.fail(at, `packet claims ${captured} bytes, snap length is ${snapBytes}`);
    }
    if (captured > originalBytes) {
      source.fail(at, `packet claims ${captured} bytes captured of ${originalBytes}`);
    }
    if (fraction >= unitsPerSecond) {
      source.fail(at, `fraction of a second below ${unitsPerSecond} expected, found ${fraction}`);
    }
    const data = at + RecordAt.Bytes;
    source.need(data, captured, "a packet");
    const seconds = BigInt(source.u32(at + RecordAt.Seconds));
    yield {
      timestampNs: seconds * NS_PER_SECOND + BigInt(fraction * unitNs),
      bytes: source.bytes.subarray(data, data + captured),
      originalBytes,
      truncated: captured < originalBytes,
    };
    at = data + captured;
  }
}

/** Written together; a system call costs more than the copy. */
const BUFFER_BYTES = 1 << 20;

/** Writes a capture file; the file is complete after `close`. */
export class CaptureWriter {
  private readonly fd: number;
  private readonly buffer = Buffer.alloc(BUFFER_BYTES);
  private used = 0;

  /** Replaces what stands there. @throws the error of the file system */
  constructor(readonly path: string) {
    this.fd = openSync(path, "w");
    this.buffer.writeUInt32LE(MAGIC_NANOSECONDS, HeaderAt.Magic);
    this.buffer.writeUInt16LE(VERSION_MAJOR, HeaderAt.Major);
    this.buffer.writeUInt16LE(VERSION_MINOR, HeaderAt.Minor);
    this.buffer.writeUInt32LE(SNAP_BYTES_MAX, HeaderAt.SnapBytes);
    this.buffer.writeUInt32LE(LINKTYPE_ETHERNET, HeaderAt.LinkType);
    this.used = HeaderAt.Bytes;
  }

  /** @throws RangeError for a time before 1970 or after 2106, and for more than 256 KiB */
  write(timestampNs: bigint, bytes: Uint8Array): void {
    if (timestampNs < 0n || timestampNs / NS_PER_SECOND > 0xffffffffn) {
      throw new RangeError(`${this.path}: a capture file cannot say the time ${timestampNs} ns`);
    }
    if (bytes.length > SNAP_BYTES_MAX) {
      throw new RangeError(
        `${this.path}: packet of ${bytes.length} bytes, limit is ${SNAP_BYTES_MAX}`,
      );
    }
    if (this.used + RecordAt.Bytes + bytes.length > BUFFER_BYTES) this.flush();
    const at = this.used;
    this.buffer.writeUInt32LE(Number(timestampNs / NS_PER_SECOND), at + RecordAt.Seconds);
    this.buffer.writeUInt32LE(Number(timestampNs % NS_PER_SECOND), at + RecordAt.Fraction);
    this.buffer.writeUInt32LE(bytes.length, at + RecordAt.Captured);
    this.buffer.writeUInt32LE(bytes.length, at + RecordAt.Original);
    this.buffer.set(bytes, at + RecordAt.Bytes);
    this.used = at + RecordAt.Bytes + bytes.length;
  }

  close(): void {
    try {
      this.flush();
    } finally {
      closeSync(this.fd);
    }
  }

  private flush(): void {
    for (let done = 0; done < this.used; ) {
      done += writeSync(this.fd, this.buffer, done, this.used - done);
    }
    this.used = 0;
  }
}
