/**
 * Capture files for `crosszone replay`: pcap or pcapng, told apart by their first bytes.
 *
 *     for (const { timestampNs, bytes } of readCapture("in.pcap").packets) writer.write(timestampNs, bytes);
 *
 * A file is read at once (limit: 2 GiB, Node's for one buffer); packets are parts of it and not copied.
 */

import { readFileSync } from "node:fs";
import { messageOf } from "../errortext.js";
import { type Capture, Source } from "./capture.js";
import { pcapUnitNs, readPcap } from "./pcap.js";
import { isPcapng, readPcapng } from "./pcapng.js";

export { type Capture, type CapturedPacket, CaptureError } from "./capture.js";
export { CaptureWriter } from "./pcap.js";

/**
 * Opens a capture; its header is checked here, its packets while they are read.
 * @throws CaptureError where the file is damaged, Error when it cannot be read
 */
export function readCapture(path: string): Capture {
  return parseCapture(path, readFile(path));
}

/** @param name  stands in errors */
export function parseCapture(name: string, bytes: Uint8Array): Capture {
  const source = new Source(name, bytes);
  const unitNs = pcapUnitNs(source);
  if (unitNs !== undefined) return { packets: readPcap(source, unitNs) };
  if (isPcapng(source)) return { packets: readPcapng(source) };
  return source.fail(0, `a pcap or pcapng file expected, found ${beginning(bytes)}`);
}

function beginning(bytes: Uint8Array): string {
  if (bytes.length === 0) return "an empty file";
  return Buffer.from(bytes.subarray(0, 4)).toString("hex");
}

function readFile(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    const reason = messageOf(error);
    throw new Error(`${path}: cannot be read: ${reason}`, { cause: error });
  }
}
