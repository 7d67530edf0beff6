/**
 * TPACKET_V2 against TPACKET_V3, side by side: what docs/adr/0002-tpacket-version.md rests on.
 *
 *     node dist/test/bench/tpacket.js [--runs 7] [--json]
 *
 * Two namespaces and a cable; a generator in one, the receiver in the other, each a process of its own. The
 * versions take turns, so that a disturbance of the machine hits all of them. Three situations:
 *     flood   as many frames of 60 bytes as the generator can make, for a second
 *     steady  20,000 frames a second: what a received frame costs, and how often the receiver is woken
 *     echo    one frame at a time there and back: the round trip
 * V2 is the driver itself; V3 exists here only, with the same options and the same work per frame.
 */
import { parseArgs } from "node:util";
import { Lab, type Namespace } from "../../host/demo/lab.js";
import { openAfpacket } from "../../host/device/afpacket.js";
import type { InputBatch, Interface, Offload } from "../../host/device/device.js";
import { buildFilter } from "../../host/device/filter.js";
import { check, libc, poll } from "../../host/device/libc.js";
import { Link } from "../../host/device/link.js";
import { PacketOption, ReceiveStatus, Socket, VnetAt } from "../../host/device/packet.js";
import { mapRings } from "../../host/device/ring.js";
import { attachFilter, joinMacs, startReceiving } from "../../host/device/socket.js";

const MAC = Uint8Array.from([0x02, 0, 0x5e, 0, 0, 1]);
const GENERATOR_MAC = Uint8Array.from([0x02, 0, 0x5e, 0, 0, 2]);
const FRAME_BYTES = 60;
const BATCH = 64;
const FLOOD_MS = 1000;
const STEADY_PER_SECOND = 20_000;
const ECHOES = 500;

const PAGE = 65536;
/** In front of the first window: the generator's frame. */
const SCRATCH = 32768;

type Situation = "flood" | "steady" | "echo";

/** 64 KiB blocks hold about 700 such frames, 4 KiB blocks about 40; a block is handed over after 1 ms. */
const CANDIDATES = ["v2", "v3 64K blocks", "v3 4K blocks"] as const;
type Candidate = (typeof CANDIDATES)[number];

const UNDONE: Offload = { completeChecksum: () => false, segment: () => 0 };

/** The frames of one turn. */
class Batch implements InputBatch {
  count = 0;
  readonly frames = new Int32Array(BATCH);
  readonly sizes = new Int32Array(BATCH);

  get room(): number {
    return BATCH - this.count;
  }

  push(frame: number, size: number): void {
    this.frames[this.count] = frame;
    this.sizes[this.count++] = size;
  }
}

interface Receiver {
  readonly fds: readonly number[];
  receive(batch: Batch): void;
  release(): void;
  missed(): number;
}

/** struct tpacket_block_desc with its tpacket_hdr_v1, and struct tpacket3_hdr. */
enum BlockAt {
  Status = 8,
  Packets = 12,
  First = 16,
}
enum Slot3At {
  Next = 0,
  Captured = 12,
  Size = 16,
  Status = 20,
  Frame = 24,
}
const TPACKET_V3 = 2;

class ReceiverV3 implements Receiver {
  readonly fds: readonly number[];
  private readonly words: Int32Array;
  private readonly halves: Uint16Array;
  private readonly fd: number;
  private block = 0;
  private lent = 0;
  private left = 0;
  private slot = 0;

  constructor(
    memory: WebAssembly.Memory,
    private readonly at: number,
    private readonly blockBytes: number,
    private readonly blocks: number,
  ) {
    this.words = new Int32Array(memory.buffer);
    this.halves = new Uint16Array(memory.buffer);
    const who = "v3";
    this.fd = check(libc().socket(Socket.FamilyPacket, Socket.Raw, 0), who, "socket");
    const set = (option: PacketOption, ...values: number[]): void => {
      const array = new Uint32Array(values);
      const result = libc().setsockopt(
        this.fd,
        Socket.LevelPacket,
        option,
        array,
        array.byteLength,
      );
      check(result, who, `option ${option}`);
    };
    set(PacketOption.Version, TPACKET_V3);
    set(PacketOption.Reserve, 32);
    set(PacketOption.VnetHeader, 1);
    set(PacketOption.IgnoreOutgoing, 1);
    attachFilter(this.fd, who, buildFilter([MAC]));
    const ringBytes = blockBytes * blocks;
    // struct tpacket_req3: the last three are the timeout in ms, private bytes and features.
    set(PacketOption.ReceiveRing, blockBytes, blocks, 2048, ringBytes / 2048, 1, 0, 0);
    mapRings(who, memory, at, ringBytes, this.fd);
    const link = new Link(who, "eth0");
    startReceiving(this.fd, who, link.index(), { macs: [MAC] });
    joinMacs(this.fd, who, link.index(), [MAC]);
    this.fds = [this.fd];
  }

  receive(batch: Batch): void {
    while (batch.room > 0) {
      if (this.left === 0 && !this.open()) return;
      const { slot, words, halves } = this;
      const size = words[(slot + Slot3At.Size) >> 2] ?? 0;
      const frame = slot + (halves[(slot + Slot3At.Frame) >> 1] ?? 0);
      const offloads = halves[(frame - VnetAt.Bytes) >> 1] ?? 0;
      const status = words[(slot + Slot3At.Status) >> 2] ?? 0;
      const whole = words[(slot + Slot3At.Captured) >> 2] === size;
      if (whole && (offloads & ~2) === 0 && (status & ReceiveStatus.VlanValid) === 0) {
        batch.push(frame, size);
      }
      this.slot += words[(slot + Slot3At.Next) >> 2] ?? 0;
      if (--this.left === 0) this.done();
    }
  }

  release(): void {
    for (; this.lent > 0; this.lent--) {
      const index = (this.block - this.lent + this.blocks) % this.blocks;
      Atomics.store(this.words, (this.at + index * this.blockBytes + BlockAt.Status) >> 2, 0);
    }
  }

  missed(): number {
    return readMissed(this.fd);
  }

  private open(): boolean {
    if (this.lent === this.blocks) return false;
    const block = this.at + this.block * this.blockBytes;
    const status = Atomics.load(this.words, (block + BlockAt.Status) >> 2);
    if ((status & ReceiveStatus.User) === 0) return false;
    this.left = this.words[(block + BlockAt.Packets) >> 2] ?? 0;
    this.slot = block + (this.words[(block + BlockAt.First) >> 2] ?? 0);
    if (this.left > 0) return true;
    this.done();
    return this.open();
  }

  private done(): void {
    this.block = (this.block + 1) % this.blocks;
    this.lent++;
  }
}

class ReceiverV2 implements Receiver {
  constructor(private readonly device: Interface) {}

  get fds(): readonly number[] {
    return this.device.fds;
  }

  receive(batch: Batch): void {
    this.device.receive(batch);
  }

  release(): void {
    this.device.release();
  }

  missed(): number {
    this.device.check();
    return this.device.counters.rxMissed;
  }
}

function readMissed(fd: number): number {
  const statistics = new Uint32Array(3);
  const bytes = new Uint32Array([12]);
  libc().getsockopt(fd, Socket.LevelPacket, PacketOption.Statistics, statistics, bytes);
  return statistics[1] ?? 0;
}

function newMemory(): WebAssembly.Memory {
  return new WebAssembly.Memory({ initial: 512, maximum: 512 });
}

function openDevice(memory: WebAssembly.Memory, at: number, macs: Uint8Array[]): Interface {
  const window = { memory, at, bytes: 128 * PAGE };
  return openAfpacket({ name: "eth0", macs, window, offload: UNDONE });
}

function openReceiver(memory: WebAssembly.Memory, candidate: Candidate): Receiver {
  // The same 2 MiB of ring for all.
  if (candidate === "v3 64K blocks") return new ReceiverV3(memory, PAGE, 65536, 32);
  if (candidate === "v3 4K blocks") return new ReceiverV3(memory, PAGE, 4096, 512);
  return new ReceiverV2(openDevice(memory, PAGE, [MAC]));
}

/** Receives until its standard input ends, then prints what it saw. Sends frames back for `echo`. */
async function receiver(candidate: Candidate, situation: Situation): Promise<void> {
  const memory = newMemory();
  const bytes = new Uint8Array(memory.buffer);
  const source = openReceiver(memory, candidate);
  const sink = openDevice(memory, 256 * PAGE, []);
  const batch = new Batch();
  let received = 0;
  let wakeUps = 0;
  const turn = (): void => {
    batch.count = 0;
    source.receive(batch);
    received += batch.count;
    for (let i = 0; situation === "echo" && i < batch.count; i++) {
      const frame = batch.frames[i] ?? 0;
      bytes.set(GENERATOR_MAC, frame);
      sink.send(frame, batch.sizes[i] ?? 0);
    }
    sink.flush();
    source.release();
  };
  // The end of standard input is polled for like a frame.
  const fds = [...source.fds, 0];
  const closed = [0];
  console.log("ready");
  poll(fds, 10_000);
  const begin = process.cpuUsage();
  for (let over = false; !over; ) {
    poll(fds, 1000);
    wakeUps++;
    do turn();
    while (batch.count > 0);
    over = poll(closed, 0) > 0;
  }
  const { user, system } = process.cpuUsage(begin);
  console.log(JSON.stringify({ received, wakeUps, missed: source.missed(), cpuUs: user + system }));
  process.exit(0);
}

/** Sends, prints what it sent, and ends. */
function generator(situation: Situation): void {
  const memory = newMemory();
  const bytes = new Uint8Array(memory.buffer);
  bytes.set(MAC, SCRATCH);
  bytes.set(GENERATOR_MAC, SCRATCH + 6);
  bytes.set([0x08, 0x00], SCRATCH + 12);
  const device = openDevice(memory, PAGE, [GENERATOR_MAC]);
  const send = (frames: number): void => {
    for (let i = 0; i < frames; i++) device.send(SCRATCH, FRAME_BYTES);
    device.flush();
  };
  let sent = 0;
  const rounds: number[] = [];
  const begin = performance.now();
  if (situation === "flood") {
    for (; performance.now() - begin < FLOOD_MS; sent += BATCH) send(BATCH);
  } else if (situation === "steady") {
    while (performance.now() - begin < FLOOD_MS) {
      const due = ((performance.now() - begin) * STEADY_PER_SECOND) / 1000;
      for (; sent < due; sent++) send(1);
    }
  } else {
    const batch = new Batch();
    for (; sent < ECHOES; sent++) {
      const left = performance.now();
      send(1);
      batch.count = 0;
      while (batch.count === 0 && poll(device.fds, 1000) > 0) device.receive(batch);
      device.release();
      if (batch.count > 0) rounds.push((performance.now() - left) * 1000);
    }
  }
  const ms = performance.now() - begin;
  console.log(
    JSON.stringify({ sent: sent - device.counters.txDropped, ms, roundUs: median(rounds) }),
  );
  process.exit(0);
}

interface Row {
  readonly situation: Situation;
  readonly candidate: Candidate;
  readonly sentKpps: number;
  readonly receivedKpps: number;
  readonly lostPercent: number;
  readonly cpuUsPerFrame: number;
  readonly framesPerWakeUp: number;
  readonly roundTripUs: number;
}

async function measure(
  from: Namespace,
  to: Namespace,
  situation: Situation,
  candidate: Candidate,
): Promise<Row> {
  const self = process.argv[1] ?? "";
  const dut = to.spawn(process.execPath, [self, "receiver", candidate, situation]);
  await dut.line("stdout", /ready/);
  const sent = JSON.parse(await from.must(process.execPath, [self, "generator", situation]));
  await new Promise((resolve) => setTimeout(resolve, 50));
  dut.end();
  const got = JSON.parse(await dut.line("stdout", /received/));
  await dut.exited;
  return {
    situation,
    candidate,
    sentKpps: sent.sent / sent.ms,
    receivedKpps: got.received / sent.ms,
    lostPercent: (100 * (sent.sent - got.received)) / sent.sent,
    cpuUsPerFrame: got.cpuUs / got.received,
    framesPerWakeUp: got.received / got.wakeUps,
    roundTripUs: sent.roundUs,
  };
}

function median(values: readonly number[]): number {
  if (values.length === 0) return 0;
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;
}

const FIGURES = [
  "sentKpps",
  "receivedKpps",
  "lostPercent",
  "cpuUsPerFrame",
  "framesPerWakeUp",
  "roundTripUs",
] as const;

function summarise(rows: readonly Row[]): void {
  console.log(`| situation | candidate | ${FIGURES.join(" | ")} |`);
  console.log(`|---|---|${"--:|".repeat(FIGURES.length)}`);
  for (const situation of ["flood", "steady", "echo"] as const) {
    for (const candidate of CANDIDATES) {
      const own = rows.filter((r) => r.situation === situation && r.candidate === candidate);
      const cells = FIGURES.map((figure) => median(own.map((row) => row[figure])).toFixed(1));
      console.log(`| ${situation} | ${candidate} | ${cells.join(" | ")} |`);
    }
  }
}

async function main(runs: number, json: boolean): Promise<void> {
  const lab = await Lab.create();
  try {
    const from = await lab.namespace("generator");
    const to = await lab.namespace("receiver");
    await lab.veth(from, "eth0", to, "eth0");
    const rows: Row[] = [];
    for (let run = 0; run < runs; run++) {
      for (const situation of ["flood", "steady", "echo"] as const) {
        for (const candidate of CANDIDATES) {
          const row = await measure(from, to, situation, candidate);
          rows.push(row);
          if (json) console.log(JSON.stringify(row));
        }
      }
    }
    summarise(rows);
  } finally {
    await lab.close();
  }
}

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { runs: { type: "string", default: "7" }, json: { type: "boolean", default: false } },
});
const [role, first, second] = positionals;
if (role === "receiver") await receiver(first as Candidate, second as Situation);
else if (role === "generator") generator(first as Situation);
else await main(Number(values.runs), values.json);
