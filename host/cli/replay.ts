import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import type { Config, Device } from "../config/model.js";
import { CaptureWriter, readCapture } from "../device/pcapfile.js";
import { Replay, type ReplayInput, type ReplayResult, seedBytes } from "../replay.js";
import { Exit, log, print, UsageError } from "./command.js";
import { CONFIG_ARGUMENT, loadConfig } from "./configfile.js";
import { verb } from "./definition.js";

export const replay = verb({
  name: "replay",
  summary: "run captures through the datapath, the same way each time",
  text:
    "Reads captures (pcap or pcapng), merges them by timestamp, and runs them through the datapath with their own " +
    "timestamps as the clock. What it writes, byte for byte the same each time, see below.",
  args: [CONFIG_ARGUMENT],
  options: {
    in: {
      type: "string",
      multiple: true,
      value: "DEVICE=FILE",
      help: "a capture of what arrived on a device, or on an interface with all its VLANs, tags included; repeat it",
    },
    out: {
      type: "string",
      value: "DIR",
      names: "folder",
      help: "where to write; made if it does not exist",
    },
    seed: {
      type: "string",
      value: "N",
      default: "0",
      help: "another seed gives other ports and nothing else",
    },
    json: { type: "boolean", help: "print a summary as JSON" },
  },
  usage: ["CONFIG --in DEVICE=FILE... --out DIR [--seed N] [--json]"],
  sections: [
    {
      title: "Files",
      rows: [
        ["DIR/DEVICE.pcap", "what left through each device, for those through which something did"],
        ["DIR/counters.json", "reasons, devices, zones and flows"],
        ["DIR/conns.json", "the conn table at the end"],
      ],
    },
  ],
  examples: ["replay edge.json --in lan-a=a.pcap --in wan=wan.pcap --out result"],

  async act({ values, args }) {
    if (values.out === undefined) throw new UsageError("--out DIR is missing");
    const seed = readSeed(values.seed);
    const config = loadConfig(args[0] ?? "");
    const inputs = readInputs(config, values.in);
    const { result, sent } = replayInto(values.out, config, inputs, seed);
    const strangers = result.counters.reasons.NotOurMac ?? 0;
    if (strangers > 0) {
      log(
        `${strangers} frames are for other MACs: set "mac" of the devices to that of the capture`,
      );
    }
    if (result.truncated > 0) log(`${result.truncated} frames are only partly in their captures`);
    if (values.json) print(JSON.stringify({ frames: result.frames, sent, ...result.counters }));
    else print(summary(result, sent));
    return Exit.Ok;
  },
});

function readSeed(text: string): bigint {
  if (!/^\d{1,20}$/.test(text) || BigInt(text) >= 1n << 64n) {
    throw new UsageError(`--seed: expected a number from 0 to 2^64 - 1, found '${text}'`);
  }
  return BigInt(text);
}

function readInputs(config: Config, given: readonly string[]): ReplayInput[] {
  if (given.length === 0) throw new UsageError("--in DEVICE=FILE is missing");
  return given.map((text) => {
    const equals = text.indexOf("=");
    if (equals <= 0) throw new UsageError(`--in: expected DEVICE=FILE, found '${text}'`);
    const name = text.slice(0, equals);
    const named = (each: Device) => each.name === name;
    const carried = (each: Device) => each.interface.name === name;
    const device = config.devices.find(named) ?? config.devices.find(carried);
    if (device === undefined) {
      const known = config.devices.map((each) => each.name).join(", ");
      throw new UsageError(`--in: no device '${name}' in the configuration, which has ${known}`);
    }
    return { device, packets: readCapture(text.slice(equals + 1)).packets };
  });
}

function replayInto(dir: string, config: Config, inputs: ReplayInput[], seed: bigint) {
  makeFolder(resolve(dir));
  for (const device of config.devices) rmSync(captureOf(dir, device), { force: true });
  const writers = new Map<Device, CaptureWriter>();
  const sent: Record<string, number> = {};
  try {
    const replay = new Replay(config, seedBytes(seed), (device, timestampNs, bytes) => {
      const writer = writers.get(device) ?? new CaptureWriter(captureOf(dir, device));
      writers.set(device, writer);
      writer.write(timestampNs, bytes);
      sent[device.name] = (sent[device.name] ?? 0) + 1;
    });
    const result = replay.run(inputs);
    writeJson(join(dir, "counters.json"), result.counters);
    writeJson(join(dir, "conns.json"), result.conns);
    return { result, sent };
  } catch (error) {
    // What was written so far is no result.
    for (const device of writers.keys()) rmSync(captureOf(dir, device), { force: true });
    throw error;
  } finally {
    for (const writer of writers.values()) writer.close();
  }
}

/** Node's own recursive mkdir never ends where the kernel refuses a folder with ENOENT, as below /proc. */
function makeFolder(path: string): void {
  if (existsSync(path)) return;
  makeFolder(dirname(path));
  mkdirSync(path);
}

function captureOf(dir: string, device: Device): string {
  return join(dir, `${device.name}.pcap`);
}

function writeJson(path: string, value: unknown): void {
  writeFileSync(path, `${JSON.stringify(value, null, 2)}\n`);
}

function summary(result: ReplayResult, sent: Record<string, number>): string {
  const lines = [`${result.frames} frames read, ${result.conns.length} conns at the end`];
  for (const [device, frames] of Object.entries(sent))
    lines.push(`${device}: ${frames} frames sent`);
  for (const [reason, count] of Object.entries(result.counters.reasons)) {
    lines.push(`${reason}: ${count}`);
  }
  return lines.join("\n");
}
