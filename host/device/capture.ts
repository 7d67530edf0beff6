/** What the readers of capture files share: the packet, the error, and reads that name where they fail. */

export interface CapturedPacket {
  /** Since 1970, as the file says it. */
  readonly timestampNs: bigint;
  /** A part of the file's own bytes: copy it before writing to it. */
  readonly bytes: Uint8Array;
  /** Length of the frame on the wire. */
  readonly originalBytes: number;
  /** The file holds only the beginning of the frame. */
  readonly truncated: boolean;
}

export interface Capture {
  /** In the order of the file. Throws CaptureError where the file is damaged. */
  readonly packets: Iterable<CapturedPacket>;
}

/** LINKTYPE_ETHERNET of https://www.tcpdump.org/linktypes.html, the only one that is read and written. */
export const LINKTYPE_ETHERNET = 1;

/** The largest snap length of libpcap (MAXIMUM_SNAPLEN of pcap-int.h). */
export const SNAP_BYTES_MAX = 262144;

/** A file that is no capture or is damaged: says where, and what was expected there. */
export class CaptureError extends Error {
  constructor(
    readonly file: string,
    readonly offset: number,
    problem: string,
  ) {
    super(`${file}: byte ${offset}: ${problem}`);
    this.name = "CaptureError";
  }
}

/** The bytes of a file in the order of bytes that it declares. */
export class Source {
  littleEndian = true;
  private readonly view: DataView;

  constructor(
    readonly file: string,
    readonly bytes: Uint8Array,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get length(): number {
    return this.bytes.length;
  }

  u8(at: number): number {
    return this.view.getUint8(at);
  }

  u16(at: number): number {
    return this.view.getUint16(at, this.littleEndian);
  }

  u32(at: number): number {
    return this.view.getUint32(at, this.littleEndian);
  }

  i64(at: number): bigint {
    return this.view.getBigInt64(at, this.littleEndian);
  }

  fail(at: number, problem: string): never {
    throw new CaptureError(this.file, at, problem);
  }

  /** Checks that `count` bytes from `at` on are there before they are read. */
  need(at: number, count: number, what: string): void {
    const left = this.length - at;
    if (left < count)
      this.fail(at, `${what} of ${count} bytes expected, the file ends after ${left}`);
  }
}
