/** An interface that comes and goes, refuses, or idles; and what the driver leaves behind. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import t, { type Test } from "tap";
import { Lab, labSupport, type Namespace } from "../../host/demo/lab.js";
import { afpacketWindowBytes } from "../../host/device/afpacket.js";
import type { Interface, LinkEvent } from "../../host/device/device.js";
import { poll, ready } from "../../host/device/libc.js";
import { inside } from "../harness/inside.js";
import { Arena, etherFrame, macOf } from "../harness/interface.js";

const NEAR = macOf("02:00:5e:00:00:01");
const FAR = macOf("02:00:5e:00:00:02");
const HOLD = fileURLToPath(new URL("../harness/hold.js", import.meta.url));

const reason = labSupport();

async function cable(t: Test) {
  const lab = await Lab.create();
  t.teardown(() => lab.close());
  const near = await lab.namespace("near");
  const far = await lab.namespace("far");
  await lab.veth(near, "eth0", far, "eth0");
  return { lab, near, far, arena: await Arena.create() };
}

function frame(mark: number): Uint8Array {
  return etherFrame(NEAR, FAR, [], 0x0800, new Uint8Array(46).fill(mark));
}

/** Frames arrive, in one piece and from now. */
function carries(arena: Arena, from: Interface, to: Interface, mark: number): boolean {
  arena.send(from, frame(mark));
  const frames = arena.receiveAll(to, 1, 500);
  return frames.length === 1 && frames[0]?.bytes[14] === mark;
}

/** `check`, in the namespace where a lost interface is opened again, until something has happened. */
async function nextEvent(at: Namespace, device: Interface): Promise<LinkEvent | undefined> {
  for (let i = 0; i < 100; i++) {
    const event = inside(at.pid, () => device.check());
    if (event !== undefined) return event;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return undefined;
}

/** How often a loop that waits for a frame is woken within `ms`. */
function wakeUps(device: Interface, ms: number): number {
  let count = 0;
  for (const end = performance.now() + ms; performance.now() < end; ) {
    if (poll(device.fds, 50) === 0) continue;
    count++;
    device.receive({ room: 256, push: () => {} });
    device.release();
  }
  return count;
}

async function promiscuity(at: Namespace): Promise<number> {
  const text = await at.must("ip", ["-d", "-o", "link", "show", "eth0"]);
  return Number(/promiscuity (\d+)/.exec(text)?.[1]);
}

t.test("an interface that comes and goes", { skip: reason ?? false }, async (t) => {
  t.test("down and up again: the same socket goes on, nothing stale is sent", async (t) => {
    const { near, far, arena } = await cable(t);
    const ours = arena.open(near, { name: "eth0", macs: [NEAR] });
    const theirs = arena.open(far, { name: "eth0", macs: [FAR] });
    t.teardown(() => {
      ours.close();
      theirs.close();
    });
    t.ok(carries(arena, theirs, ours, 1));
    await near.ip("link set eth0 down");
    t.ok(wakeUps(ours, 300) <= 20, "the error that the kernel reports does not spin the loop");
    // Before and after anybody has noticed: the kernel refuses the frame, and we take it back.
    arena.send(ours, frame(2));
    t.equal(await nextEvent(near, ours), "down");
    t.equal(ours.check(), undefined, "an event is returned once");
    arena.send(ours, frame(2));
    t.equal(ours.counters.txDropped, 2);
    t.equal(await nextEvent(far, theirs), "down", "no carrier at the other end");
    await near.ip("link set eth0 up");
    t.equal(await nextEvent(near, ours), "up");
    t.equal(await nextEvent(far, theirs), "up");
    t.ok(carries(arena, theirs, ours, 3));
    const back = etherFrame(FAR, NEAR, [], 0x0800, new Uint8Array(46).fill(4));
    arena.send(ours, back);
    const frames = arena.receiveAll(theirs, 2, 100);
    t.same(
      frames.map(({ bytes }) => bytes),
      [back],
    );
  });

  t.test("deleted and made again: lost, then returned over the same window", async (t) => {
    const { lab, near, far, arena } = await cable(t);
    const warnings: string[] = [];
    const onWarning = (text: string) => warnings.push(text);
    const ours = arena.open(near, { name: "eth0", macs: [NEAR], onWarning });
    t.teardown(() => ours.close());
    for (let turn = 0; turn < 3; turn++) {
      await near.ip("link delete eth0");
      t.ok(wakeUps(ours, 200) <= 20);
      arena.send(ours, frame(0));
      t.equal(await nextEvent(near, ours), "lost");
      t.same(ours.fds, []);
      t.equal(ours.check(), undefined);
      const dropped = ours.counters.txDropped;
      arena.send(ours, frame(0));
      t.equal(ours.counters.txDropped, dropped + 1);
      t.same(arena.receive(ours, 256, 10), []);
      await lab.veth(near, "eth0", far, "eth0");
      t.equal(await nextEvent(near, ours), "returned");
      const theirs = arena.open(far, { name: "eth0", macs: [FAR] });
      t.ok(carries(arena, theirs, ours, turn + 1));
      theirs.close();
    }
    t.same(warnings, []);
  });

  t.test("gone and back between two looks, with another index", async (t) => {
    const { lab, near, far, arena } = await cable(t);
    const ours = arena.open(near, { name: "eth0", macs: [NEAR] });
    t.teardown(() => ours.close());
    await near.ip("link delete eth0", "link add spare type veth peer name other");
    await lab.veth(near, "eth0", far, "eth0");
    t.equal(await nextEvent(near, ours), "lost");
    t.equal(await nextEvent(near, ours), "returned");
    const theirs = arena.open(far, { name: "eth0", macs: [FAR] });
    t.teardown(() => theirs.close());
    t.ok(carries(arena, theirs, ours, 9));
  });

  t.test("down from the start: opens, and receives once it is up", async (t) => {
    const { near, far, arena } = await cable(t);
    await near.ip("link set eth0 down");
    const ours = arena.open(near, { name: "eth0", macs: [NEAR] });
    const theirs = arena.open(far, { name: "eth0", macs: [FAR] });
    t.teardown(() => {
      ours.close();
      theirs.close();
    });
    t.equal(await nextEvent(near, ours), "down");
    t.equal(await nextEvent(far, theirs), "down");
    t.equal(wakeUps(ours, 200), 0);
    await near.ip("link set eth0 up");
    t.equal(await nextEvent(near, ours), "up");
    t.equal(await nextEvent(far, theirs), "up");
    t.ok(carries(arena, theirs, ours, 1));
  });

  t.test("idle: nobody is woken", async (t) => {
    const { near, arena } = await cable(t);
    const ours = arena.open(near, { name: "eth0", macs: [NEAR] });
    t.teardown(() => ours.close());
    t.equal(wakeUps(ours, 500), 0);
    t.equal(ready(0), false);
    near.run("ip", ["link", "set", "eth0", "down"]);
    t.equal(poll([-1, ...ours.fds], 5000), 1);
    t.same([ready(0), ready(1)], [false, true]);
  });

  t.test(
    "what the kernel does for our MACs ends with the socket, also after SIGKILL",
    async (t) => {
      const { near, arena } = await cable(t);
      t.equal(await promiscuity(near), 0);
      const ours = arena.open(near, { name: "eth0", macs: [NEAR] });
      t.equal(
        await promiscuity(near),
        1,
        "veth filters no addresses: one is added by receiving all",
      );
      ours.close();
      t.equal(await promiscuity(near), 0);

      const child = near.spawn(process.execPath, [HOLD]);
      await child.line("stdout", /open/);
      t.equal(await promiscuity(near), 1);
      child.signal("SIGKILL");
      await child.exited;
      t.equal(await promiscuity(near), 0);
    },
  );

  t.test("works in a worker thread", async (t) => {
    const { near } = await cable(t);
    const child = near.spawn(process.execPath, [HOLD, "--worker"]);
    t.equal(await child.line("stdout", /open/), "open");
    child.end();
    t.equal(await child.exited, 0);
    t.equal(await promiscuity(near), 0);
  });

  t.test("errors name interface, call and reason", async (t) => {
    const { near, arena } = await cable(t);
    t.throws(() => arena.open(near, { name: "eth9" }), {
      message: "afpacket eth9: no such interface",
    });
    t.throws(() => afpacketWindowBytes({ name: "sixteen-bytes-xx" }), {
      message: "afpacket sixteen-bytes-xx: an interface's name has 1 to 15 bytes",
    });
    t.throws(() => arena.open(near, { name: "eth0", receiveSlots: 100 }), {
      message: /power of two/,
    });
    const window = { memory: arena.memory, at: 1 << 20, bytes: 65536 };
    t.throws(() => arena.open(near, { name: "eth0", window }), {
      message: /^afpacket eth0: window/,
    });
    const open = () => readFileSync("/proc/self/net/packet", "utf8").split("\n").length;
    t.equal(open(), 2, "a failed opening leaves no socket");

    const bound = ["--bounding-set", "-net_raw,-net_admin", process.execPath, HOLD];
    const child = near.spawn("setpriv", bound);
    t.equal(await child.exited, 1);
    t.match(child.stderr, /^afpacket eth0: socket\(AF_PACKET\) needs CAP_NET_RAW .*run as root/);
  });
});
