/**
 * A process that starts as `crosszone run` does, but over the loopback driver, forwards one frame, makes conns and
 * ends. Prints when it got how far, and how much memory was resident. memory.ts runs it.
 *
 *     node dist/test/bench/startup.js CONFIG CONNS FRAME
 *
 * CONNS is how many it makes, FRAME the first one's, in hexadecimal. As in `run`, the main thread reads the
 * configuration and a second thread has the datapath. Of the host nothing is imported before `main` begins: that
 * is where Node itself has started.
 */

import { readFileSync } from "node:fs";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import type { ArenaCapacity } from "../../host/datapath.js";
import type { Marks, Started } from "./memory.js";

interface ThreadStart {
  readonly capacity: ArenaCapacity;
  readonly image: Uint8Array;
  readonly conns: number;
  readonly frame: Uint8Array;
}

/** In an untagged frame whose IP header has no options. */
enum FrameAt {
  Ip = 14,
  IpChecksum = 24,
  Source = 26,
  SourcePort = 34,
  UdpChecksum = 40,
}

type InThread = Pick<Marks, "thread" | "module" | "arena" | "image" | "frame">;

function clock(): number {
  return Number(process.hrtime.bigint());
}

/** VmRSS of the process, bytes. */
function resident(): number {
  const [, kib = "0"] = /^VmRSS:\s+(\d+)/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  return Number(kib) * 1024;
}

async function main(path: string, conns: number, frame: Uint8Array): Promise<void> {
  const node = clock();
  // What `run` loads, commands that it does not need and the library of system calls included.
  await import("../../host/cli/main.js");
  await import("../../host/cli/run.js");
  const { libc } = await import("../../host/device/libc.js");
  libc();
  const { loadConfig } = await import("../../host/cli/configfile.js");
  const { capacityOf, compileImage } = await import("../../host/config/compile.js");
  const code = clock();
  const config = loadConfig(path);
  const image = compileImage(config);
  const start: ThreadStart = { capacity: capacityOf(config), image, conns, frame };
  const configured = clock();
  const worker = new Worker(new URL(import.meta.url), { workerData: start });
  worker.on("message", ({ marks, ...rest }: Omit<Started, "marks"> & { marks: InThread }) => {
    const all: Started = { marks: { node, code, config: configured, ...marks }, ...rest };
    console.log(JSON.stringify(all));
  });
}

async function inThread({ capacity, image, conns, frame }: ThreadStart): Promise<void> {
  const { Datapath, loadModule } = await import("../../host/datapath.js");
  const { Loop } = await import("../../host/loop.js");
  const { Loopback, loopbackWindowBytes } = await import("../../host/device/loopback.js");
  const { libc } = await import("../../host/device/libc.js");
  await import("../../host/device/open.js");
  libc();
  const thread = clock();
  const module = loadModule();
  const compiled = clock();
  const bytes = loopbackWindowBytes();
  const options = { capacity, seed: new Uint8Array(16), windowBytes: 2 * bytes, module };
  const datapath = new Datapath(options, 0);
  const arena = clock();
  const lan = new Loopback("lan", datapath.window(bytes));
  const wan = new Loopback("wan", datapath.window(bytes));
  datapath.configure(image, 0);
  const loop = new Loop(datapath, [lan, wan]);
  const inForce = clock();
  const forward = () => {
    lan.inject(frame);
    loop.turn(0);
    if (wan.take() === undefined) throw new Error("a frame was not forwarded");
  };
  forward();
  const forwarded = clock();
  const residentAtStart = resident();
  for (let conn = 1; conn < conns; conn++) {
    toConn(frame, conn);
    forward();
  }
  const marks = { thread, module: compiled, arena, image: inForce, frame: forwarded };
  const arenaBytes = datapath.memory.buffer.byteLength - 2 * bytes;
  parentPort?.postMessage({ marks, residentAtStart, residentFull: resident(), arenaBytes });
}

/** Rewrites the first conn's frame to another's where it stands: memory that filling takes would be counted. */
function toConn(frame: Uint8Array, conn: number): void {
  const view = new DataView(frame.buffer, frame.byteOffset);
  view.setUint32(FrameAt.Source, 0x0a000000 + (conn >>> 4));
  view.setUint16(FrameAt.SourcePort, 1024 + (conn & 15));
  view.setUint16(FrameAt.UdpChecksum, 0);
  view.setUint16(FrameAt.IpChecksum, 0);
  let sum = 0;
  for (let at = FrameAt.Ip; at < FrameAt.SourcePort; at += 2) sum += view.getUint16(at);
  sum = (sum & 0xffff) + (sum >>> 16);
  view.setUint16(FrameAt.IpChecksum, ~(sum + (sum >>> 16)));
}

if (isMainThread) {
  const [, , path = "", conns = "1", frame = ""] = process.argv;
  await main(path, Number(conns), Uint8Array.from(Buffer.from(frame, "hex")));
} else {
  await inThread(workerData as ThreadStart);
}
