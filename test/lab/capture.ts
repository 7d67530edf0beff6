/**
 * What tcpdump saw on an interface, and what may be said of it. The checks of addresses and payloads are
 * made here, by a reader that shares nothing with crosszone; checksums are tshark's business.
 */
import { spawnSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import type { Child } from "../../host/demo/child.js";
import type { Namespace } from "../../host/demo/lab.js";
import { NamelessFile } from "../../host/demo/nameless.js";

/** pcap(3PCAP) file format: the file's header, then a header per frame. */
const FILE_HEADER_BYTES = 24;
const FRAME_HEADER_BYTES = 16;
const SNAP_BYTES = 2048;
/** A busy machine may not get round to one of a hundred for a while. */
const QUIET_MS = 1000;

/** Larger than everything that one tenant, one server sees: a busy machine must not lose a frame. */
const BUFFER_KIB = { tenant: 4096, server: 131072 };

export class Capture {
  private constructor(private readonly child: Child) {}

  /** Resolves when frames are being kept. Immediate mode: what is in no full block yet is not lost. */
  static async start(at: Namespace, size: keyof typeof BUFFER_KIB, filter = ""): Promise<Capture> {
    const options = `-i eth0 -n -w - --immediate-mode -Z root -s ${SNAP_BYTES}`.split(" ");
    const buffer = ["-B", String(BUFFER_KIB[size])];
    const child = at.spawn("tcpdump", [...options, ...buffer, ...(filter === "" ? [] : [filter])]);
    await child.line("stderr", /listening on/);
    return new Capture(child);
  }

  /**
   * The capture file; throws when it is not whole. Waits until nothing more comes: the signal would
   * interrupt tcpdump in the middle of a frame while its output is being read.
   */
  async stop(): Promise<Buffer> {
    for (let before = -1; before !== this.child.written; await sleep(QUIET_MS)) {
      before = this.child.written;
    }
    await this.child.stop("SIGINT");
    if (!/^0 packets dropped by kernel/m.test(this.child.stderr)) {
      throw new Error(`the capture is not whole: ${this.child.stderr}`);
    }
    const file = this.child.stdout;
    const bytes = [...frames(file)].reduce(
      (sum, frame) => sum + FRAME_HEADER_BYTES + frame.length,
      0,
    );
    if (FILE_HEADER_BYTES + bytes !== file.length) throw new Error("the capture is cut off");
    return file;
  }
}

/** The frames of a capture file, little-endian as tcpdump writes it here. */
export function* frames(file: Buffer): Generator<Buffer> {
  let at = FILE_HEADER_BYTES;
  while (at + FRAME_HEADER_BYTES <= file.length) {
    const bytes = file.readUInt32LE(at + 8);
    at += FRAME_HEADER_BYTES;
    yield file.subarray(at, at + bytes);
    at += bytes;
  }
}

/** One capture file of many. */
export function merge(files: Buffer[]): Buffer {
  const header = files[0]?.subarray(0, FILE_HEADER_BYTES) ?? Buffer.alloc(0);
  return Buffer.concat([header, ...files.map((file) => file.subarray(FILE_HEADER_BYTES))]);
}

/** How many frames of each protocol have which checksum status. */
export type ChecksumCount = Record<"ip" | "icmp" | "udp" | "tcp", { good: number; other: number }>;

/** tshark's words for the status "good" of a checksum: the number in version 3 and later. */
const GOOD = "1";

/** Asks tshark about the checksums of the frames that come from one of the MACs. */
export function checksums(file: Buffer, macs: string[]): ChecksumCount {
  const protocols = ["ip", "icmp", "udp", "tcp"] as const;
  const options = [
    ...["ip", "udp", "tcp"].map((protocol) => `${protocol}.check_checksum:TRUE`),
    // The tenants' conversations look alike: do not put them together.
    "tcp.analyze_sequence_numbers:FALSE",
    "tcp.desegment_tcp_streams:FALSE",
  ];
  const whole = new NamelessFile(file);
  const args = ["-n", "-r", whole.path, "-T", "fields"];
  args.push("-Y", `eth.src in {${macs.join(", ")}} && ip`);
  for (const option of options) args.push("-o", option);
  for (const protocol of protocols) args.push("-e", `${protocol}.checksum.status`);
  const run = spawnSync("tshark", args, { encoding: "utf8", maxBuffer: 1 << 30 });
  whole.close();
  if (run.status !== 0) throw new Error(`tshark: ${run.stderr}`);
  const count: ChecksumCount = {
    ip: { good: 0, other: 0 },
    icmp: { good: 0, other: 0 },
    udp: { good: 0, other: 0 },
    tcp: { good: 0, other: 0 },
  };
  for (const line of run.stdout.split("\n").slice(0, -1)) {
    line.split("\t").forEach((status, index) => {
      const protocol = protocols[index];
      if (status === "" || protocol === undefined) return;
      count[protocol][status === GOOD ? "good" : "other"]++;
    });
  }
  return count;
}

/** Of a frame, as far as the lab needs it; undefined for anything but IPv4. */
export function dissect(frame: Buffer) {
  if (frame.readUInt16BE(12) !== 0x0800) return undefined;
  const ip = frame.subarray(14, 14 + frame.readUInt16BE(16));
  const protocol = ip[9] ?? 0;
  const above = ip.subarray(((ip[0] ?? 0) & 15) * 4);
  const address = (at: number) => [...ip.subarray(at, at + 4)].join(".");
  const headerBytes = protocol === 6 ? ((above[12] ?? 0) >> 4) * 4 : 8;
  return {
    protocol,
    source: address(12),
    destination: address(16),
    header: above.subarray(0, headerBytes),
    payload: above.subarray(headerBytes),
  };
}
