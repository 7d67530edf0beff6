/** What is done, or refused, for each virtio_net_hdr; the fetching of whole frames is a platform test. */
import t from "tap";
import { Limit } from "../../../assembly/abi.js";
import type { InputBatch } from "../../../host/device/device.js";
import { VnetAt, VnetFlag, VnetGso } from "../../../host/device/packet.js";
import { layOut } from "../../../host/device/ring.js";
import { Outcome, Staging } from "../../../host/device/staging.js";

const AT = 65536;
const FRAME = 4096;
const IN_SLOT = -1;

interface Header {
  flags?: number;
  gso?: number;
  segmentBytes?: number;
  start?: number;
  offset?: number;
}

/** A staging area whose offload makes frames of 100 bytes and remembers what it was asked. */
function make(header: Header, made = 1, completed = true) {
  const layout = layOut(AT, 1500, 64, 64);
  const pages = (AT + layout.bytes) / 65536;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  const view = new DataView(memory.buffer);
  const set = (fields: Header): void => {
    const at = FRAME - VnetAt.Bytes;
    view.setUint8(at + VnetAt.Flags, fields.flags ?? 0);
    view.setUint8(at + VnetAt.Gso, fields.gso ?? 0);
    view.setUint16(at + VnetAt.SegmentBytes, fields.segmentBytes ?? 0, true);
    view.setUint16(at + VnetAt.ChecksumStart, fields.start ?? 34, true);
    view.setUint16(at + VnetAt.ChecksumOffset, fields.offset ?? 6, true);
  };
  set(header);
  const calls: string[] = [];
  const staging = new Staging(memory, layout, {
    completeChecksum(frame, size, start, offset) {
      calls.push(`checksum ${frame} ${size} ${start} ${offset}`);
      return completed;
    },
    segment(frame, size, segmentBytes, into, stride, max) {
      calls.push(`segment ${frame} ${size} ${segmentBytes} max ${max}`);
      if (made > max) return 0;
      for (let i = 0; i < made; i++) view.setUint32(into + i * stride, 100, true);
      return made;
    },
  });
  return { staging, calls, set, layout };
}

class Batch implements InputBatch {
  readonly frames: [at: number, size: number][] = [];
  constructor(readonly places = 256) {}
  get room(): number {
    return this.places - this.frames.length;
  }
  push(at: number, size: number): void {
    this.frames.push([at, size]);
  }
}

t.test("a partial checksum is completed where the frame stands", async (t) => {
  const { staging, calls } = make({ flags: VnetFlag.NeedsChecksum, start: 34, offset: 16 });
  const batch = new Batch();
  t.equal(staging.lend(IN_SLOT, FRAME, 60, 0, 0, batch), Outcome.Lent);
  t.same(batch.frames, [[FRAME, 60]]);
  t.same(calls, [`checksum ${FRAME} 60 34 16`]);
});

t.test("a checksum outside the frame is refused", async (t) => {
  const { staging } = make({ flags: VnetFlag.NeedsChecksum }, 1, false);
  const batch = new Batch();
  t.equal(staging.lend(IN_SLOT, FRAME, 60, 0, 0, batch), Outcome.Refused);
  t.same(batch.frames, []);
});

t.test("TCP, with ECN or without, and UDP are cut; nothing else is", async (t) => {
  for (const gso of [VnetGso.Tcp4, VnetGso.Tcp4 | VnetGso.Ecn, VnetGso.Udp]) {
    const { staging, layout } = make({ gso, segmentBytes: 700 }, 2);
    const batch = new Batch();
    t.equal(staging.lend(IN_SLOT, FRAME, 1434, 0, 0, batch), Outcome.Lent);
    const first = layout.segmentsAt + Limit.Headroom;
    t.same(batch.frames, [
      [first, 100],
      [first + layout.slotBytes, 100],
    ]);
  }
  // UFO, TCP over IPv6, one that nobody has defined, and one without a length.
  for (const header of [
    { gso: 3, segmentBytes: 700 },
    { gso: 4, segmentBytes: 700 },
    { gso: 6, segmentBytes: 700 },
    { gso: VnetGso.Tcp4 },
  ]) {
    const { staging } = make(header);
    t.equal(staging.lend(IN_SLOT, FRAME, 1434, 0, 0, new Batch()), Outcome.Refused);
  }
});

t.test("what a turn has no room for is lent in the next ones", async (t) => {
  const { staging, calls } = make({ gso: VnetGso.Udp, segmentBytes: 100 }, 10);
  const places: number[] = [];
  const turn = (room: number, begin = false): Outcome => {
    const batch = new Batch(room);
    const outcome = begin ? staging.lend(IN_SLOT, FRAME, 1034, 0, 0, batch) : staging.resume(batch);
    places.push(...batch.frames.map(([at]) => at));
    staging.clear();
    return outcome;
  };
  t.same([turn(4, true), turn(4), turn(4)], [Outcome.Wait, Outcome.Wait, Outcome.Lent]);
  t.equal(new Set(places).size, 10);
  t.equal(calls.length, 1, "cut once");
  t.equal(staging.unfinished, false);
  t.equal(turn(4, true), Outcome.Wait);
  staging.discard();
  t.equal(staging.unfinished, false, "an interface that is lost forgets the rest");
});

t.test("too many for any turn are refused", async (t) => {
  const udp = { gso: VnetGso.Udp, segmentBytes: 8 };
  const { staging, calls, set } = make(udp, 300);
  t.equal(staging.lend(IN_SLOT, FRAME, 4000, 0, 0, new Batch()), Outcome.Refused);
  t.same(calls, [`segment ${FRAME} 4000 8 max 256`]);
  // The start of the checksum is what the sender says: it may lie anywhere.
  set({ ...udp, start: 65535 });
  t.equal(staging.lend(IN_SLOT, FRAME, 4000, 0, 0, new Batch()), Outcome.Refused);
});

t.test("frames of one turn do not share places; the next turn begins anew", async (t) => {
  const { staging, layout } = make({ gso: VnetGso.Tcp4, segmentBytes: 100, start: 34 }, 100);
  const batch = new Batch();
  const lend = () => staging.lend(IN_SLOT, FRAME, 10_034, 0, 0, batch);
  t.same([lend(), lend(), lend()], [Outcome.Lent, Outcome.Lent, Outcome.Wait]);
  t.equal(staging.unfinished, false, "the third was not begun");
  t.equal(new Set(batch.frames.map(([at]) => at)).size, 200);
  const last = Math.max(...batch.frames.map(([at]) => at));
  t.ok(last + layout.slotBytes <= AT + layout.bytes);
  staging.clear();
  t.equal(staging.lend(IN_SLOT, FRAME, 10_034, 0, 0, new Batch()), Outcome.Lent);
});

t.test("a window is divided into whole pages, for every MTU", async (t) => {
  for (const [mtu, slotBytes] of [
    [68, 2048],
    [1500, 2048],
    [1918, 2048],
    [1919, 4096],
    [9000, 16384],
    [65536, 16384],
  ] as const) {
    const layout = layOut(AT, mtu, 1024, 512);
    t.equal(layout.slotBytes, slotBytes, `MTU ${mtu}`);
    t.equal(layout.ringBytes, 1536 * slotBytes);
    t.equal(layout.bytes % 65536, 0);
    t.ok(layout.segmentsAt + 256 * slotBytes <= AT + layout.bytes);
  }
  for (const slots of [0, 32, 100, 131_072, 1.5]) {
    t.throws(() => layOut(AT, 1500, slots, 64), RangeError);
  }
});
