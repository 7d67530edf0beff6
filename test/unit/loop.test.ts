/** How one turn shares its batch between interfaces. */
import t from "tap";
import { Limit } from "../../assembly/abi.js";
import { Datapath } from "../../host/datapath.js";
import type { Window } from "../../host/device/device.js";
import { Loopback, loopbackWindowBytes } from "../../host/device/loopback.js";
import { Loop } from "../../host/loop.js";

const SLOTS = 512;
const FRAME = new Uint8Array(60);

/** A loop over interfaces on which so many frames wait. */
function make(...waiting: readonly number[]) {
  const capacity = { conns: 16, neighbors: 16, poolAddresses: 1, imageBytes: 4096 };
  const windowBytes = waiting.length * loopbackWindowBytes(SLOTS);
  const datapath = new Datapath({ capacity, seed: new Uint8Array(16), windowBytes }, 0);
  const interfaces = waiting.map((frames, i) => {
    const window = datapath.window(loopbackWindowBytes(SLOTS));
    const device = new Loopback(`i${i}`, window, SLOTS);
    for (let n = 0; n < frames; n++) device.inject(FRAME);
    return device;
  });
  const loop = new Loop(datapath, interfaces);
  /** Frames that each interface brought in the next turn. */
  const turn = () => {
    const before = interfaces.map(({ arrived }) => arrived);
    loop.turn(0);
    return interfaces.map(({ arrived }, i) => (before[i] ?? 0) - arrived);
  };
  return { loop, turn };
}

t.test("one busy interface fills the batch, whatever its place", async (t) => {
  for (const waiting of [[400], [400, 0, 0], [0, 400, 0], [0, 3, 400]]) {
    const { turn } = make(...waiting);
    const brought = turn();
    t.equal(
      brought.reduce((sum, each) => sum + each),
      Limit.Batch,
      waiting.join(),
    );
  }
});

t.test("each has its share before one has more, and another begins each time", async (t) => {
  const { turn } = make(400, 400, 10);
  t.same(turn(), [182, 64, 10]);
  t.same(turn(), [64, 192, 0]);
});

t.test("among many each has its turn", async (t) => {
  const { turn } = make(400, 400, 400, 400, 400);
  t.same(turn(), [64, 64, 64, 64, 0]);
  t.same(turn(), [0, 64, 64, 64, 64]);
});

t.test("nothing to do is no work", async (t) => {
  t.equal(make().loop.turn(0), 0);
  t.equal(make(0, 0).loop.turn(0), 0);
});

/** An interface that takes what was sent when it is asked so often. */
class Reluctant extends Loopback {
  flushes = 0;

  constructor(
    window: Window,
    private readonly refusals: number,
  ) {
    super("reluctant", window, SLOTS);
  }

  get hasUnsent(): boolean {
    return this.flushes <= this.refusals;
  }

  override flush(): void {
    this.flushes++;
    super.flush();
  }
}

t.test(
  "what an interface does not take is offered again, and nobody sleeps long until then",
  async (t) => {
    const capacity = { conns: 16, neighbors: 16, poolAddresses: 1, imageBytes: 4096 };
    const windowBytes = loopbackWindowBytes(SLOTS);
    const datapath = new Datapath({ capacity, seed: new Uint8Array(16), windowBytes }, 0);
    const device = new Reluctant(datapath.window(windowBytes), 3);
    const loop = new Loop(datapath, [device]);
    const waits: number[] = [];
    for (let now = 0; now < 6; now++) {
      waits.push(loop.wait(now));
      t.equal(loop.turn(now), 0);
    }
    t.same(waits.slice(0, 4), [1, 1, 1, 1]);
    t.ok(
      waits.slice(4).every((ms) => ms > 1),
      `${waits}`,
    );
    t.equal(device.flushes, 4, "and then it is left alone");
  },
);
