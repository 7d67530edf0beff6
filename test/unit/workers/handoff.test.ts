/** Frames that cross between two threads, here both sides in one. */

import t from "tap";
import { DescriptorFlag, Exchange, Limit } from "../../../assembly/abi.js";
import { Datapath } from "../../../host/datapath.js";
import { Allowances } from "../../../host/workers/allowances.js";
import { Board, makeBoard } from "../../../host/workers/board.js";
import { HandOff, handOffWindowBytes } from "../../../host/workers/handoff.js";
import { CrossingRing, ringBytes } from "../../../host/workers/ring.js";

const CAPACITY = { conns: 16, neighbors: 16, poolAddresses: 1, imageBytes: 4096 };

/** Bytes that say which frame they are of. */
function frame(n: number, size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, i) => (n * 31 + i) & 0xff);
}

t.test("what is put in comes out, whatever its length and wherever it stood", async (t) => {
  const ring = new SharedArrayBuffer(ringBytes());
  const from = new CrossingRing(ring);
  const to = new CrossingRing(ring);
  const source = new Uint8Array(16384);
  const target = new Uint8Array(16384);
  // Several times round the ring.
  for (let n = 0; n < 2000; n++) {
    const size = 14 + ((n * 7919) % (Limit.FrameBytes - 14));
    const at = 64 + (n % 4);
    const bytes = frame(n, size);
    source.set(bytes, at);
    if (!from.put(new Int32Array(source.buffer), at, size, n, n & 0xffff, 0x18)) t.fail("full");
    if (to.waiting) t.fail("seen before it was published");
    from.publish();
    if (!to.waiting) t.fail("not seen");
    t.same([to.configuration, to.place, to.flags, to.size], [n, n & 0xffff, 0x18, size]);
    const found = to.copy(new Int32Array(target.buffer), 128);
    if (Buffer.compare(target.subarray(found, found + size), bytes) !== 0) t.fail(`frame ${n}`);
    to.take();
    to.release();
  }
  t.equal(to.waiting, false);
});

t.test("a full ring takes no more and loses nothing that it has", async (t) => {
  const ring = new SharedArrayBuffer(ringBytes());
  const from = new CrossingRing(ring);
  const to = new CrossingRing(ring);
  const memory = new Int32Array(4096);
  let put = 0;
  while (from.put(memory, 64, 1000, put, 0, 0)) put++;
  from.publish();
  t.ok(put > 900, `${put} frames of 1000 bytes`);
  for (let n = 0; n < put; n++) {
    if (!to.waiting || to.configuration !== n) t.fail(`frame ${n}`);
    to.take();
  }
  t.equal(to.waiting, false);
  t.equal(from.put(memory, 64, 1000, 0, 0, 0), false, "not before the places are given back");
  to.release();
  t.equal(from.put(memory, 64, 1000, 0, 0, 0), true);
});

/** A worker that receives, and the ring by which the other one reaches it. */
function receiver() {
  const windowBytes = handOffWindowBytes();
  const datapath = new Datapath({ capacity: CAPACITY, seed: new Uint8Array(16), windowBytes }, 0);
  const board = new Board(makeBoard(2));
  const handOff = new HandOff({
    worker: 1,
    workers: 2,
    board,
    datapath,
    allowances: new Allowances(datapath, board.lent),
    window: datapath.window(windowBytes),
    wake: () => {},
  });
  const from = board.ring(0, 1);
  const memory = new Int32Array(4096);
  const send = (configuration: number, place: number, flags = DescriptorFlag.Handed) => {
    const put = from.put(memory, 64, 1000, configuration, place, flags);
    from.publish();
    return put;
  };
  /** How many frames one turn lends. */
  const receive = () => {
    const { inputs } = datapath;
    inputs.count = 0;
    inputs.limit = Limit.Batch;
    handOff.receive(inputs);
    if (inputs.count > 0) handOff.release();
    return inputs.count;
  };
  return { handOff, send, receive };
}

t.test("a frame of a later configuration waits, and so does what came behind it", async (t) => {
  const { handOff, send, receive } = receiver();
  handOff.standing = { number: 4, before: 3, kept: new Set([7]) };
  send(4, 7);
  send(5, 7);
  send(5, 8);
  t.equal(receive(), 1);
  t.equal(handOff.waiting, false, "it does not keep the worker awake");
  t.equal(receive(), 0);
  handOff.standing = { number: 5, before: 4, kept: new Set() };
  t.equal(handOff.waiting, true);
  t.equal(receive(), 2);
});

t.test("one of the configuration before counts where its device is still the same", async (t) => {
  const { handOff, send, receive } = receiver();
  handOff.standing = { number: 4, before: 3, kept: new Set([7]) };
  send(3, 7);
  t.equal(receive(), 1);
  send(3, 8);
  send(2, 7);
  send(3, 7, DescriptorFlag.Handed | DescriptorFlag.Turned);
  t.equal(receive(), 0);
  t.equal(handOff.counters.rxMissed, 3);
});

t.test("a ring full of what is passed over has room again", async (t) => {
  const { handOff, send, receive } = receiver();
  handOff.standing = { number: 9, before: 8, kept: new Set() };
  while (send(1, 7));
  t.equal(receive(), 0);
  t.equal(send(9, 7), true);
  t.equal(receive(), 1);
});

t.test("a turn lends no more than a batch", async (t) => {
  const { send, receive } = receiver();
  for (let n = 0; n < Limit.Batch + 10; n++) send(0, 7);
  t.equal(receive(), Limit.Batch);
  t.equal(receive(), 10);
});

t.test(
  "windows of devices stand behind the arena, of how many workers it may be one",
  async (t) => {
    const sizes = [1, 2, 3].map((workers) => {
      const share = { workers, worker: 0, shareShift: 10 };
      const options = { capacity: CAPACITY, seed: new Uint8Array(16), windowBytes: 65536 };
      const datapath = new Datapath({ ...options, share }, 0);
      // The header's third word: how far the arena reaches (assembly/memory.ts).
      const arenaBytes = new DataView(datapath.memory.buffer).getUint32(Exchange.Arena + 8, true);
      t.ok(datapath.window(65536).at >= arenaBytes, `${workers}: ${arenaBytes} bytes`);
      return arenaBytes;
    });
    t.ok((sizes[1] ?? 0) > (sizes[0] ?? 0), "several workers have more to keep");
  },
);
