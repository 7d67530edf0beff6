/** Plays the cases of the golden traces and runs them through `crosszone replay`. */

import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { replay } from "../../host/cli/replay.js";
import { CaptureWriter } from "../../host/device/pcapfile.js";
import { type Document, Router } from "../harness/router.js";
import type { TraceCase } from "./cases.js";

/** Of the sources, not of what is built from them. */
export const TRACES = fileURLToPath(new URL("../../../test/trace", import.meta.url));

/** The seed with which the expected outputs were made. */
export const SEED = 1;

/** 2024-01-01, so that captures look like captures. */
const EPOCH_NS = 1_704_067_200_000_000_000n;
const NS_PER_MS = 1_000_000n;

/** Writes a case's configuration and what it sends: config.json and in.DEVICE.pcap. */
export function record(into: string, each: TraceCase, seed = SEED): void {
  mkdirSync(into, { recursive: true });
  writeFileSync(join(into, "config.json"), `${JSON.stringify(each.config, null, 2)}\n`);
  const router = new RecordingRouter(each.config, into, seed);
  try {
    each.play(router);
  } finally {
    router.close();
  }
}

/**
 * A router that writes down what is sent into it. Its clock begins with the first frame, as replay's, and
 * every call takes a millisecond, so that replay, which merges by time, keeps the order.
 */
class RecordingRouter extends Router {
  private readonly writers = new Map<string, CaptureWriter>();

  constructor(
    document: Document,
    private readonly into: string,
    seed: number,
  ) {
    super(document, { seed, now: 0 });
  }

  override send(device: string, ...frames: readonly Uint8Array[]) {
    const writer =
      this.writers.get(device) ?? new CaptureWriter(join(this.into, `in.${device}.pcap`));
    this.writers.set(device, writer);
    for (const bytes of frames) writer.write(EPOCH_NS + BigInt(this.now) * NS_PER_MS, bytes);
    return [...super.send(device, ...frames), ...this.wait(1)];
  }

  close(): void {
    for (const writer of this.writers.values()) writer.close();
  }
}

/** Replays what stands in a case's folder, as the command line does, and returns what it says. */
export async function replayCase(from: string, out: string, seed = SEED): Promise<string> {
  const inputs = readdirSync(from)
    .filter((file) => /^in\..*\.pcap$/.test(file))
    .sort()
    .flatMap((file) => ["--in", `${file.slice(3, -5)}=${join(from, file)}`]);
  const { write } = process.stdout;
  let said = "";
  process.stdout.write = (text) => {
    said += text;
    return true;
  };
  try {
    const args = [join(from, "config.json"), ...inputs, "--out", out, "--seed", `${seed}`];
    await replay.run(args, "replay");
  } finally {
    process.stdout.write = write;
  }
  return said;
}

/** The files of a folder by name. */
export function filesOf(folder: string): Map<string, Buffer> {
  return new Map(
    readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ name }) => name)
      .sort()
      .map((file) => [file, readFileSync(join(folder, file))]),
  );
}

/** Puts what replay wrote where the expected results are: out/DEVICE.pcap, counters.json, conns.json. */
export function arrange(folder: string, out: string): void {
  const outputs = join(folder, "out");
  rmSync(outputs, { recursive: true, force: true });
  mkdirSync(outputs, { recursive: true });
  for (const [file, bytes] of filesOf(out)) {
    writeFileSync(join(file.endsWith(".pcap") ? outputs : folder, file), bytes);
  }
}
