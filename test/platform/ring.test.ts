/** What driver `afpacket` takes for granted of kernel rings in linear memory (packet(7), packet_mmap.rst). */
import { readFileSync } from "node:fs";
import { instantiate } from "@assemblyscript/loader";
import t, { type Test } from "tap";
import { DescriptorFlag } from "../../assembly/abi.js";
import { Lab, labSupport } from "../../host/demo/lab.js";
import { afpacketWindowBytes } from "../../host/device/afpacket.js";
import type { InputBatch, Offload } from "../../host/device/device.js";
import { addressOf, poll } from "../../host/device/libc.js";
import { inside } from "../harness/inside.js";
import { Arena, etherFrame, KernelUdp, macOf } from "../harness/interface.js";
import { sumIsRight } from "../harness/offload.js";

const NEAR = macOf("02:00:5e:00:00:01");
const FAR = macOf("02:00:5e:00:00:02");
const OTHER = macOf("02:00:5e:00:00:03");
const IPV4 = 0x0800;

const reason = labSupport();

/** A cable with an interface of ours on both ends. */
async function cable(t: Test) {
  const lab = await Lab.create();
  t.teardown(() => lab.close());
  const near = await lab.namespace("near");
  const far = await lab.namespace("far");
  await lab.veth(near, "eth0", far, "eth0");
  const arena = await Arena.create();
  const ours = arena.open(near, {
    name: "eth0",
    macs: [NEAR],
    receiveSlots: 64,
    transmitSlots: 64,
  });
  const theirs = arena.open(far, { name: "eth0", macs: [FAR] });
  t.teardown(() => {
    ours.close();
    theirs.close();
  });
  return { arena, ours, theirs, near, far };
}

function payload(bytes: number, first = 0): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, i) => first + i);
}

/** The datapath's helpers, working in this memory. */
async function offloadIn(memory: WebAssembly.Memory): Promise<Offload> {
  type Helpers = Omit<Offload, "completeChecksum"> & {
    completeChecksum(...where: Parameters<Offload["completeChecksum"]>): number;
  };
  const wasm = readFileSync(new URL("../../internals.wasm", import.meta.url));
  const { exports } = await instantiate<Helpers>(wasm, { env: { memory } });
  return {
    completeChecksum: (...where) => exports.completeChecksum(...where) !== 0,
    segment: (...what) => exports.segment(...what) >>> 0,
  };
}

/** Mappings of sockets inside the memory, as the kernel lists them. */
function socketMappings(memory: WebAssembly.Memory): number {
  const begin = addressOf(memory);
  const end = begin + memory.buffer.byteLength;
  const lines = readFileSync("/proc/self/maps", "utf8").split("\n");
  return lines.filter((line) => {
    const at = Number.parseInt(line, 16);
    return at >= begin && at < end && line.includes("socket:");
  }).length;
}

t.test("rings in linear memory", { skip: reason ?? false }, async (t) => {
  t.test("the rings stand in the memory, and close makes it plain memory again", async (t) => {
    const { arena, ours, theirs } = await cable(t);
    t.ok(socketMappings(arena.memory) >= 2);
    arena.send(theirs, etherFrame(NEAR, FAR, [], IPV4, payload(46)));
    const [frame] = arena.receive(ours);
    t.ok(frame);
    ours.close();
    theirs.close();
    t.equal(socketMappings(arena.memory), 0);
    const window = arena.bytes.subarray(1 << 20, 5 << 20);
    t.ok(window.every((byte) => byte === 0));
    window.fill(0xa5);
    t.ok(window.every((byte) => byte === 0xa5));
  });

  t.test("a window may stand above 2 GiB, where an address has its highest bit set", async (t) => {
    const { arena, theirs, near, far } = await cable(t);
    const size = { name: "eth0", receiveSlots: 64, transmitSlots: 64 };
    const memory = new WebAssembly.Memory({ initial: 40_000, maximum: 40_000 });
    const bytes = inside(near.pid, () => afpacketWindowBytes(size));
    const at = 2 ** 31 + 2 ** 20;
    const scratch = at - 65536;
    const offload = await offloadIn(memory);
    const high = arena.open(near, {
      ...size,
      macs: [OTHER],
      window: { memory, at, bytes },
      offload,
    });
    t.teardown(() => high.close());
    const heap = new Uint8Array(memory.buffer);
    const receive = (wanted: number) => {
      const frames: Uint8Array[] = [];
      const batch: InputBatch = {
        room: 64,
        push(frame, size) {
          if (frame < at) t.fail(`frame at ${frame}`);
          frames.push(heap.slice(frame, frame + size));
        },
      };
      while (frames.length < wanted && poll(high.fds, 5000) > 0) {
        high.receive(batch);
        high.release();
      }
      return frames;
    };

    for (let i = 0; i < 200; i++) {
      const frame = etherFrame(OTHER, FAR, [], IPV4, payload(100, i));
      arena.send(theirs, frame);
      if (Buffer.compare(receive(1)[0] ?? new Uint8Array(), frame) !== 0) t.fail(`received ${i}`);
      const answer = etherFrame(FAR, OTHER, [], IPV4, payload(100, i));
      heap.set(answer, scratch);
      high.send(scratch, answer.length);
      high.flush();
      if (Buffer.compare(arena.receive(theirs)[0]?.bytes ?? frame, answer) !== 0) {
        t.fail(`sent ${i}`);
      }
    }
    t.same(high.counters, { rxMissed: 0, rxRefused: 0, txDropped: 0 });

    await far.ip(
      "link set eth0 gso_max_segs 65535",
      "address add 10.0.0.1/24 dev eth0",
      "neighbor add 10.0.0.2 lladdr 02:00:5e:00:00:03 dev eth0 nud permanent",
    );
    const udp = new KernelUdp(far, "10.0.0.2", 9);
    t.teardown(() => udp.close());
    udp.send(new Uint8Array(40_000), 1400);
    const pieces = receive(29);
    t.equal(pieces.length, 29);
    t.ok(pieces.every(sumIsRight), "a whole frame is fetched, cut and completed there");
  });

  t.test("frames that were not given back stay untouched, the others wait", async (t) => {
    const { arena, ours, theirs } = await cable(t);
    for (let i = 0; i < 6; i++) arena.send(theirs, etherFrame(NEAR, FAR, [], IPV4, payload(46, i)));
    const taken: number[] = [];
    const room = { room: 2, push: (at: number) => taken.push(arena.bytes[at + 14] ?? -1) };
    for (let turn = 0; turn < 3; turn++) {
      ours.receive({
        get room() {
          return 2 * (turn + 1) - taken.length;
        },
        push: room.push,
      });
    }
    t.same(taken, [0, 1, 2, 3, 4, 5]);
    t.equal(poll(ours.fds, 0), 1, "the ring can be read until its slots are given back");
    ours.release();
    t.equal(poll(ours.fds, 0), 0);
  });

  t.test("a tag arrives beside the frame and leaves inside it", async (t) => {
    const { arena, ours, theirs } = await cable(t);
    const body = payload(46);
    const plain = etherFrame(NEAR, FAR, [], IPV4, body);
    const rows: [tags: [number, number][], frame: Uint8Array, tci: number, flags: number][] = [
      [[], plain, 0, 0],
      [[[0x8100, 0x600a]], plain, 0x600a, DescriptorFlag.VlanBeside],
      [[[0x8100, 0]], plain, 0, DescriptorFlag.VlanBeside],
      [[[0x88a8, 100]], plain, 100, DescriptorFlag.VlanBeside | DescriptorFlag.ServiceTag],
      [
        [
          [0x88a8, 100],
          [0x8100, 10],
        ],
        etherFrame(NEAR, FAR, [[0x8100, 10]], IPV4, body),
        100,
        DescriptorFlag.VlanBeside | DescriptorFlag.ServiceTag,
      ],
    ];
    for (const [tags, frame, tci, flags] of rows) {
      // What left inside at their end arrives beside at ours: the tag was on the wire.
      arena.send(theirs, etherFrame(NEAR, FAR, tags, IPV4, body));
      const [received] = arena.receive(ours);
      t.same(received?.bytes, frame);
      t.equal(received?.vlanTci, tci);
      t.equal(received?.flags, flags);
    }
  });

  t.test("what does not fit a slot is not sent, and is counted", async (t) => {
    const { arena, ours, theirs } = await cable(t);
    arena.send(theirs, new Uint8Array(2007));
    t.equal(theirs.counters.txDropped, 1);
    // Longer than the MTU: refused by the interface, and nothing behind it is held up.
    arena.send(theirs, etherFrame(NEAR, FAR, [], IPV4, payload(1900)));
    t.equal(theirs.counters.txDropped, 2);
    arena.send(theirs, etherFrame(NEAR, FAR, [], IPV4, payload(46)));
    t.equal(arena.receiveAndMore(ours, 1).length, 1);
    // The same for many in one flush, good and bad ones mixed.
    for (let i = 0; i < 60; i++) {
      const frame = etherFrame(NEAR, FAR, [], IPV4, payload(i % 3 === 0 ? 46 : 1900, i));
      arena.bytes.set(frame, 4096);
      theirs.send(4096, frame.length);
    }
    theirs.flush();
    t.same(
      arena.receiveAndMore(ours, 20).map(({ bytes }) => bytes[14]),
      Array.from({ length: 20 }, (_, i) => 3 * i),
    );
    t.equal(theirs.counters.txDropped, 42);
  });
});
