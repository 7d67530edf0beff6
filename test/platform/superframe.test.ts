/** What a kernel leaves undone for its network card is done before a frame is lent (linux/virtio_net.h). */
import { createHash } from "node:crypto";
import t, { type Test } from "tap";
import { Lab, labSupport, type Namespace } from "../../host/demo/lab.js";
import type { InputBatch, Interface } from "../../host/device/device.js";
import { poll } from "../../host/device/libc.js";
import {
  Arena,
  DRIVERS,
  type DriverName,
  etherFrame,
  KernelUdp,
  macOf,
} from "../harness/interface.js";
import { sumIsRight } from "../harness/offload.js";

const OURS = macOf("02:00:5e:00:00:01");
const A = "02:00:00:00:0a:01";
const B = "02:00:00:00:0b:01";

const reason = labSupport();

/** A kernel with address 10.0.0.1 that leaves everything to its card, and our interface. */
async function sender(t: Test, driver: DriverName) {
  const lab = await Lab.create();
  t.teardown(() => lab.close());
  const kernel = await lab.namespace("kernel");
  const near = await lab.namespace("near");
  await lab.veth(kernel, "eth0", near, "eth0");
  await leaveAllToTheCard(kernel, "10.0.0.1", "10.0.0.2");
  const arena = await Arena.create();
  const ours = arena.open(near, { driver, name: "eth0", macs: [OURS] });
  const udp = new KernelUdp(kernel, "10.0.0.2", 9);
  t.teardown(() => {
    ours.close();
    udp.close();
  });
  return { arena, ours, udp, kernel, near };
}

async function leaveAllToTheCard(kernel: Namespace, own: string, other: string): Promise<void> {
  await kernel.ip(
    "link set eth0 gso_max_segs 65535",
    `address add ${own}/24 dev eth0`,
    `neighbor add ${other} lladdr 02:00:5e:00:00:01 dev eth0 nud permanent`,
  );
}

function payloadBytes(frame: Uint8Array): number {
  return frame.length - 42;
}

for (const driver of DRIVERS) {
  t.test(`frames whose sender left work to its card, ${driver}`, { skip: reason ?? false }, (t) =>
    suite(t, driver),
  );
}

async function suite(t: Test, driver: DriverName): Promise<void> {
  t.test("a partial checksum is completed", async (t) => {
    const { arena, ours, udp } = await sender(t, driver);
    for (const bytes of [1, 2, 47, 1472]) {
      udp.send(new Uint8Array(bytes).fill(bytes));
      const [frame] = arena.receive(ours);
      t.ok(frame && sumIsRight(frame.bytes), `${bytes} bytes`);
    }
    t.equal(arena.completed, 4, "the kernel had left them all to its card");
  });

  t.test("one frame of many datagrams becomes as many frames", async (t) => {
    const { arena, ours, udp } = await sender(t, driver);
    // The first fits into a slot, the second comes through the receive queue.
    for (const [bytes, segmentBytes, count] of [
      [1000, 400, 3],
      [60_000, 1400, 43],
    ] as const) {
      udp.send(
        Uint8Array.from({ length: bytes }, (_, i) => i / segmentBytes),
        segmentBytes,
      );
      const frames = arena.receiveAll(ours, count);
      t.equal(frames.length, count);
      t.ok(frames.every(({ bytes }, i) => sumIsRight(bytes) && bytes[42] === i));
      t.equal(
        frames.reduce((sum, frame) => sum + payloadBytes(frame.bytes), 0),
        bytes,
      );
    }
    t.equal(ours.counters.rxRefused, 0);
  });

  t.test("what does not fit into a turn follows in the next, in order", async (t) => {
    const { arena, ours, udp } = await sender(t, driver);
    udp.send(new Uint8Array(10).fill(1));
    udp.send(new Uint8Array(60_000).fill(2), 1400);
    udp.send(new Uint8Array(10).fill(3));
    const turns = [40, 1, 2, 256].map((room) => arena.receive(ours, room));
    t.same(
      turns.map((frames) => frames.length),
      [40, 1, 2, 2],
    );
    t.same(
      turns.flat().map(({ bytes }) => bytes[42]),
      [1, ...new Array(43).fill(2), 3],
    );
    t.ok(turns.flat().every(({ bytes }) => sumIsRight(bytes)));
    t.equal(ours.counters.rxRefused, 0);
    t.equal(poll(ours.fds, 0), 0);
  });

  t.test("the rest of a frame keeps the loop awake, also when nothing else comes", async (t) => {
    const { arena, ours, udp } = await sender(t, driver);
    udp.send(new Uint8Array(60_000).fill(2), 1400);
    for (let left = 43; left > 0; left--) {
      if (poll(ours.fds, 0) !== 1) t.fail(`${left} are left, nobody is woken`);
      t.equal(arena.receive(ours, 1).length, 1);
    }
    t.equal(poll(ours.fds, 0), 0);
  });

  t.test("many at once do not write over each other within a turn", async (t) => {
    const { arena, ours, udp } = await sender(t, driver);
    for (let i = 1; i <= 16; i++) udp.send(new Uint8Array(56_000).fill(i), 1400);
    const frames = [100, 256, 64, 256].flatMap((room) => arena.receive(ours, room));
    frames.push(...arena.receiveAll(ours, 640 - frames.length));
    t.equal(frames.length, 640);
    t.equal(poll(ours.fds, 0), 0);
    t.ok(frames.every(({ bytes }, i) => sumIsRight(bytes) && bytes[42] === 1 + Math.floor(i / 40)));
  });

  // A virtual cable with an XDP program carries no jumbo frames, and its sender's kernel cuts what was merged.
  if (driver === "afpacket") {
    t.test("what cannot be undone is refused and counted, and what follows arrives", async (t) => {
      const { arena, udp, near } = await sender(t, driver);
      const offload = { completeChecksum: () => false, segment: () => 0 };
      const helpless = arena.open(near, { name: "eth0", macs: [OURS], offload });
      t.teardown(() => helpless.close());
      udp.send(new Uint8Array(10));
      poll(helpless.fds, 1000);
      helpless.receive({ room: 256, push: () => t.fail("lent") });
      t.equal(poll(helpless.fds, 0), 0, "nothing was lent, so nothing waits for release");
      udp.send(new Uint8Array(1000), 400);
      udp.send(new Uint8Array(60_000), 1400);
      // A datagram in fragments has no checksum that a card could complete.
      udp.send(new Uint8Array(2000));
      const frames = arena.receiveAndMore(helpless, 2);
      t.equal(frames.length, 2);
      t.equal(helpless.counters.rxRefused, 3);
    });

    t.test("an interface whose MTU grew still receives, frame by frame and in order", async (t) => {
      const { arena, ours, udp, kernel, near } = await sender(t, driver);
      for (const at of [kernel, near]) await at.ip("link set eth0 mtu 9000");
      const sizes = [100, 5000, 200, 8972, 8000, 300];
      for (const bytes of sizes) udp.send(new Uint8Array(bytes).fill(7));
      const frames = arena.receiveAll(ours, sizes.length);
      t.same(
        frames.map(({ bytes }) => payloadBytes(bytes)),
        sizes,
      );
      t.ok(frames.every(({ bytes }) => sumIsRight(bytes)));
    });

    t.test("jumbo frames have slots of their own size when the MTU is there first", async (t) => {
      const { arena, kernel, near, udp } = await sender(t, driver);
      for (const at of [kernel, near]) await at.ip("link set eth0 mtu 9000");
      const options = { name: "eth0", macs: [OURS], receiveSlots: 64, transmitSlots: 64 };
      const jumbo = arena.open(near, options);
      t.teardown(() => jumbo.close());
      for (let i = 0; i < 3; i++) udp.send(new Uint8Array(8972).fill(i));
      const frames = arena.receiveAll(jumbo, 3);
      t.same(
        frames.map(({ bytes }) => bytes.length),
        [9014, 9014, 9014],
      );
      arena.send(jumbo, etherFrame(macOf(A), OURS, [], 0x88b5, new Uint8Array(9000)));
      t.equal(jumbo.counters.txDropped, 0);
    });
  }

  t.test("TCP between two kernels: every frame is one that a cable would carry", async (t) => {
    const lab = await Lab.create();
    t.teardown(() => lab.close());
    const [client, router, server] = await Promise.all([
      lab.namespace("client"),
      lab.namespace("router"),
      lab.namespace("server"),
    ]);
    await lab.cables(
      [
        { at: client, name: "eth0", link: `address ${A}` },
        { at: router, name: "west" },
      ],
      [
        { at: server, name: "eth0", link: `address ${B}` },
        { at: router, name: "east" },
      ],
    );
    await leaveAllToTheCard(client, "10.0.0.1", "10.0.0.2");
    await leaveAllToTheCard(server, "10.0.0.2", "10.0.0.1");
    const arena = await Arena.create();
    const west = arena.open(router, { driver, name: "west", macs: [OURS] });
    const east = arena.open(router, { driver, name: "east", macs: [OURS] });
    t.teardown(() => {
      west.close();
      east.close();
    });

    const listen = `require("net").createServer((c) => {
      const hash = require("crypto").createHash("sha256");
      c.on("data", (d) => hash.update(d));
      c.on("end", () => { c.end(hash.digest("hex")); process.exit(0); });
    }).listen(5001, () => console.log("ready"))`;
    const connect = `const c = require("net").connect(5001, "10.0.0.2", () => process.stdin.pipe(c));
      c.pipe(process.stdout)`;
    const payload = Buffer.alloc(8 << 20, "one translation ");
    const accepting = server.spawn(process.execPath, ["-e", listen]);
    await accepting.line("stdout", /ready/);
    const sending = client.run(process.execPath, ["-e", connect], { input: payload });

    const tally = { frames: 0, wrong: 0, bytesMax: 0 };
    let over = false;
    sending.then(() => {
      over = true;
    });
    while (!over) {
      poll([...west.fds, ...east.fds], 1);
      for (const [from, to, mac] of [
        [west, east, macOf(B)],
        [east, west, macOf(A)],
      ] as const) {
        forward(arena, from, to, mac, tally);
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    t.equal((await sending).stdout, createHash("sha256").update(payload).digest("hex"));
    t.equal(tally.wrong, 0, "every checksum is right");
    t.equal(tally.bytesMax, 1514);
    t.ok(tally.frames > payload.length / 1448);
    for (const { counters } of [west, east]) t.same(counters.rxRefused, 0);
  });
}

/** One turn in one direction: every frame is checked and gets the address of its receiver. */
function forward(
  arena: Arena,
  from: Interface,
  to: Interface,
  mac: Uint8Array,
  tally: { frames: number; wrong: number; bytesMax: number },
): void {
  const batch: InputBatch & { room: number } = {
    room: 256,
    push(at, size, _vlanTci, flags) {
      batch.room--;
      arena.complete(at, flags);
      const frame = arena.bytes.subarray(at, at + size);
      tally.frames++;
      tally.bytesMax = Math.max(tally.bytesMax, size);
      if (!sumIsRight(frame)) tally.wrong++;
      frame.set(mac);
      to.send(at, size);
    },
  };
  from.receive(batch);
  to.flush();
  from.release();
}
