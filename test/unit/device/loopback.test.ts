import t from "tap";
import { DescriptorFlag, Limit } from "../../../assembly/abi.js";
import type { InputBatch } from "../../../host/device/device.js";
import { Loopback, loopbackWindowBytes } from "../../../host/device/loopback.js";

const SLOTS = 4;
const AT = 65536;

function make() {
  const bytes = loopbackWindowBytes(SLOTS);
  const pages = (AT + bytes) / 65536 + 1;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  const view = new Uint8Array(memory.buffer);
  view.fill(0xee);
  const device = new Loopback("lo0", { memory, at: AT, bytes }, SLOTS);
  return { device, view, end: AT + bytes };
}

class Batch implements InputBatch {
  readonly frames: [at: number, size: number, vlanTci: number, flags: number][] = [];
  constructor(private readonly places = 256) {}
  get room(): number {
    return this.places - this.frames.length;
  }
  push(at: number, size: number, vlanTci: number, flags: number): void {
    this.frames.push([at, size, vlanTci, flags]);
  }
}

const frame = (mark: number, bytes = 60) => new Uint8Array(bytes).fill(mark);

t.test("a frame goes in, is rewritten where it stands, and comes out", async (t) => {
  const { device, view } = make();
  t.equal(device.inject(frame(1), 0x600a, DescriptorFlag.VlanBeside), true);
  const batch = new Batch();
  device.receive(batch);
  const [[at, size, vlanTci, flags] = [0, 0, 0, 0]] = batch.frames;
  t.same([size, vlanTci, flags], [60, 0x600a, DescriptorFlag.VlanBeside]);
  view.fill(2, at - Limit.Headroom, at);
  device.send(at - 4, size + 4);
  t.equal(device.take(), undefined, "not before flush");
  device.flush();
  device.release();
  t.same(device.take(), Uint8Array.from([2, 2, 2, 2, ...frame(1)]));
  t.equal(device.take(), undefined);
  t.same(device.counters, { rxMissed: 0, rxRefused: 0, txDropped: 0 });
});

t.test("a lent frame keeps its place until release", async (t) => {
  const { device, view } = make();
  for (let i = 0; i < SLOTS; i++) device.inject(frame(i));
  const batch = new Batch(2);
  device.receive(batch);
  device.receive(new Batch(0));
  t.equal(device.arrived, 2);
  t.equal(device.inject(frame(9)), false);
  t.equal(device.counters.rxMissed, 1);
  t.same(
    batch.frames.map(([at]) => view[at]),
    [0, 1],
  );
  device.release();
  t.equal(device.inject(frame(4)), true);
  const rest = new Batch();
  device.receive(rest);
  t.same(
    rest.frames.map(([at]) => view[at]),
    [2, 3, 4],
  );
});

t.test("both queues are bounded, keep their order and go round", async (t) => {
  const { device, view } = make();
  for (let turn = 0; turn < 3 * SLOTS; turn++) {
    device.inject(frame(turn));
    const batch = new Batch();
    device.receive(batch);
    for (const [at, size] of batch.frames) device.send(at, size);
    device.flush();
    device.release();
    t.equal(device.take()?.[0], turn);
  }
  view.set(frame(7), 0);
  for (let i = 0; i <= SLOTS; i++) device.send(0, 60);
  device.flush();
  t.equal(device.sent, SLOTS);
  t.equal(device.counters.txDropped, 1);
});

t.test("the longest frame fits, a longer one is refused, nothing outside is written", async (t) => {
  const { device, view, end } = make();
  for (let i = 0; i < SLOTS; i++) t.equal(device.inject(frame(1, Limit.FrameBytes)), true);
  const batch = new Batch();
  device.receive(batch);
  for (const [at, size] of batch.frames) device.send(at, size);
  device.flush();
  device.release();
  t.equal(device.take()?.length, Limit.FrameBytes);
  t.equal(device.inject(frame(1, Limit.FrameBytes + 64)), false);
  t.equal(device.counters.rxRefused, 1);
  device.send(0, Limit.FrameBytes + 64);
  t.equal(device.counters.txDropped, 1);
  t.ok(view.subarray(0, AT).every((byte) => byte === 0xee));
  t.ok(view.subarray(end).every((byte) => byte === 0xee));
});

t.test("an event is returned once; a short window is refused", async (t) => {
  const { device } = make();
  device.announce("down");
  t.equal(device.check(), "down");
  t.equal(device.check(), undefined);
  const memory = new WebAssembly.Memory({ initial: 2, maximum: 2 });
  t.throws(() => new Loopback("lo0", { memory, at: AT, bytes: 65536 }, 64), RangeError);
});
