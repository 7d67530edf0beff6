import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import t, { type Test } from "tap";
import { DescriptorFlag, Limit } from "../../assembly/abi.js";
import { Lab, labSupport, type Namespace } from "../../host/demo/lab.js";
import { afpacketWindowBytes } from "../../host/device/afpacket.js";
import type { Interface, LinkEvent } from "../../host/device/device.js";
import { poll, ready } from "../../host/device/libc.js";
import { inside } from "../harness/inside.js";
import {
  Arena,
  DRIVERS,
  type DriverName,
  etherFrame,
  macOf,
  type Received,
} from "../harness/interface.js";

const NEAR = macOf("02:00:5e:00:00:01");
const FAR = macOf("02:00:5e:00:00:02");
const OTHER = macOf("02:00:5e:00:00:03");
const BROADCAST = macOf("ff:ff:ff:ff:ff:ff");
const IPV4 = 0x0800;
const ARP = 0x0806;
const HOLD = fileURLToPath(new URL("../harness/hold.js", import.meta.url));

// Longer than the limit of a file, for a machine that does other things as well.
t.setTimeout(300_000);

const reason = labSupport();

/** A cable, not yet opened at either end. */
async function cable(t: Test) {
  const lab = await Lab.create();
  t.teardown(() => lab.close());
  const near = await lab.namespace("near");
  const far = await lab.namespace("far");
  await lab.veth(near, "eth0", far, "eth0");
  return { lab, near, far, arena: await Arena.create() };
}

/** A cable with the driver on one end and a packet socket on the other. */
async function line(t: Test, driver: DriverName, slots = 1024) {
  const { arena, near, far, lab } = await cable(t);
  const options = { driver, name: "eth0", macs: [NEAR] };
  const ours = arena.open(near, { ...options, receiveSlots: slots, transmitSlots: slots });
  const theirs = arena.open(far, { name: "eth0", macs: [FAR] });
  t.teardown(() => {
    ours.close();
    theirs.close();
  });
  return { arena, ours, theirs, near, far, lab };
}

function payload(bytes: number, first = 0): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, i) => first + i);
}

/** The frame as it was on the wire: with the tag that travelled beside it. */
function whole({ bytes, vlanTci, flags }: Received): Uint8Array {
  if ((flags & DescriptorFlag.VlanBeside) === 0) return bytes;
  const type = (flags & DescriptorFlag.ServiceTag) === 0 ? 0x8100 : 0x88a8;
  const tag = [type >> 8, type & 0xff, vlanTci >> 8, vlanTci & 0xff];
  return Uint8Array.from([...bytes.subarray(0, 12), ...tag, ...bytes.subarray(12)]);
}

function frame(mark: number): Uint8Array {
  return etherFrame(NEAR, FAR, [], IPV4, new Uint8Array(46).fill(mark));
}

/** Frames arrive, in one piece and from now. */
function carries(arena: Arena, from: Interface, to: Interface, mark: number): boolean {
  arena.send(from, frame(mark));
  const frames = arena.receiveAll(to, 1);
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

for (const driver of DRIVERS) {
  t.test(`driver ${driver}`, { skip: reason ?? false }, (t) => suite(t, driver));
}

async function suite(t: Test, driver: DriverName): Promise<void> {
  t.test("a frame has its headroom, stands on a word, and goes back to the kernel", async (t) => {
    const { arena, ours, theirs } = await line(t, driver, 64);
    const sent = etherFrame(NEAR, FAR, [], IPV4, payload(100));
    for (let i = 0; i < 200; i++) {
      arena.send(theirs, sent);
      const frames = arena.receive(ours);
      if (frames.length !== 1) t.fail(`${frames.length} frames in turn ${i}`);
      const at = frames[0]?.at ?? 0;
      if (Buffer.compare(frames[0]?.bytes ?? sent.subarray(1), sent) !== 0)
        t.fail(`frame ${i} differs`);
      // Slots are aligned to their size, and the kernel's 52 bytes stand in front of the headroom.
      if (at % 4 !== 0 || (at % 2048) - Limit.Headroom < 52) t.fail(`frame ${i} at ${at}`);
      arena.bytes.fill(0xee, at - Limit.Headroom, at);
    }
    t.same(ours.counters, { rxMissed: 0, rxRefused: 0, txDropped: 0 });
  });

  t.test("a full ring loses the newest, and says how many", async (t) => {
    const { arena, ours, theirs } = await line(t, driver, 64);
    for (let i = 0; i < 80; i++)
      arena.send(theirs, etherFrame(NEAR, FAR, [], IPV4, payload(46, i)));
    const frames = arena.receiveAndMore(ours, 64);
    t.same(
      frames.map(({ bytes }) => bytes[14]),
      Array.from({ length: 64 }, (_, i) => i),
    );
    ours.check();
    t.equal(ours.counters.rxMissed, 16);
  });

  t.test("only our MAC and broadcast ARP pass the kernel's filter", async (t) => {
    const { arena, ours, theirs } = await line(t, driver, 64);
    const wanted = [
      etherFrame(NEAR, FAR, [], IPV4, payload(46)),
      etherFrame(BROADCAST, FAR, [], ARP, payload(46)),
      etherFrame(BROADCAST, FAR, [[0x8100, 7]], ARP, payload(46)),
      etherFrame(
        BROADCAST,
        FAR,
        [
          [0x88a8, 7],
          [0x8100, 8],
        ],
        ARP,
        payload(46),
      ),
    ];
    const unwanted = [
      etherFrame(OTHER, FAR, [], IPV4, payload(46)),
      etherFrame(BROADCAST, FAR, [], IPV4, payload(46)),
      etherFrame(macOf("01:00:5e:00:00:01"), FAR, [], IPV4, payload(46)),
      etherFrame(macOf("02:00:5e:00:ff:01"), FAR, [], IPV4, payload(46)),
      etherFrame(macOf("03:00:5e:00:00:01"), FAR, [], ARP, payload(46)),
    ];
    for (const frame of [...unwanted, ...wanted]) arena.send(theirs, frame);
    const frames = arena.receiveAndMore(ours, wanted.length);
    t.equal(frames.length, wanted.length);
  });

  t.test("other MACs need no other socket, and none is lost on the way", async (t) => {
    const { arena, near, far } = await cable(t);
    const notices: string[] = [];
    const onNotice = (text: string) => notices.push(text);
    const ours = arena.open(near, { driver, name: "eth0", macs: [NEAR], onNotice });
    const theirs = arena.open(far, { name: "eth0", macs: [FAR] });
    t.teardown(() => {
      ours.close();
      theirs.close();
    });
    const { fds } = ours;
    const said = [...notices];
    const arrived = (count: number) => {
      for (const to of [NEAR, OTHER])
        arena.send(theirs, etherFrame(to, FAR, [], IPV4, payload(46)));
      return arena.receiveAndMore(ours, count).map(({ bytes }) => [...bytes.subarray(0, 6)]);
    };
    const widen = (...macs: Uint8Array[]) => inside(near.pid, () => ours.widen?.(macs));
    const narrow = (...macs: Uint8Array[]) => inside(near.pid, () => ours.narrow?.(macs));
    const [near6, other6] = [[...NEAR], [...OTHER]];
    widen(OTHER);
    t.same(arrived(2).sort(), [near6, other6], "those before, and those to come");
    narrow(NEAR);
    t.same(arrived(1), [near6], "given up");
    widen(OTHER);
    narrow(OTHER);
    t.same(arrived(1), [other6], "switched to");
    for (let n = 0; n < 5; n++) inside(near.pid, () => ours.check());
    widen(OTHER, NEAR);
    narrow(OTHER, NEAR);
    t.same(arrived(2), [near6, other6], "in order: all by the same way");
    t.same(ours.fds, fds);
    t.same(notices, said);
    t.equal(await promiscuity(near), 1, "the kernel does for one what it did for the other");
  });

  t.test("above 64 MACs every unicast frame passes, and the user is told", async (t) => {
    const { arena, near, far } = await cable(t);
    const theirs = arena.open(far, { name: "eth0", macs: [FAR] });
    t.teardown(() => theirs.close());
    const macs = Array.from({ length: 65 }, (_, i) => macOf(`02:00:5e:00:01:${i.toString(16)}`));
    const notices: string[] = [];
    const onNotice = (text: string) => notices.push(text);
    const many = arena.open(near, { driver, name: "eth0", macs, onNotice });
    t.teardown(() => many.close());
    const more = /^afpacket eth0: more than 64 MACs: the kernel's filter lets all/;
    const instead = "afxdp eth0: more than 64 MACs; works as afpacket";
    t.match(notices, driver === "afxdp" ? [more, instead] : [more]);
    arena.send(theirs, etherFrame(OTHER, FAR, [], IPV4, payload(46)));
    arena.send(theirs, etherFrame(BROADCAST, FAR, [], IPV4, payload(46)));
    t.equal(arena.receiveAndMore(many, 1).length, 1);
    many.close();
    const few = arena.open(near, { driver, name: "eth0", macs: macs.slice(0, 64) });
    t.teardown(() => few.close());
    arena.send(theirs, etherFrame(macs[63] ?? OTHER, FAR, [], IPV4, payload(46)));
    arena.send(theirs, etherFrame(OTHER, FAR, [], IPV4, payload(46)));
    t.equal(arena.receiveAndMore(few, 1).length, 1);
  });

  t.test("tags are told, wherever they travel, and leave inside the frame", async (t) => {
    const { arena, ours, theirs } = await line(t, driver);
    const tagged: [number, number][][] = [
      [],
      [[0x8100, 0x600a]],
      [[0x8100, 0]],
      [[0x88a8, 100]],
      [
        [0x88a8, 100],
        [0x8100, 10],
      ],
    ];
    for (const tags of tagged) {
      const frame = etherFrame(NEAR, FAR, tags, IPV4, payload(46));
      arena.send(theirs, frame);
      t.same(arena.receive(ours).map(whole), [frame]);
      const back = etherFrame(FAR, NEAR, tags, IPV4, payload(46));
      arena.send(ours, back);
      t.same(arena.receive(theirs).map(whole), [back]);
    }
  });

  t.test("a thousand frames in one flush arrive, in order", async (t) => {
    const { arena, near, far } = await cable(t);
    const theirs = arena.open(far, { name: "eth0", macs: [FAR] });
    t.teardown(() => theirs.close());
    const big = arena.open(near, { driver, name: "eth0", macs: [OTHER], receiveSlots: 2048 });
    t.teardown(() => big.close());
    const frame = etherFrame(OTHER, FAR, [], IPV4, payload(46));
    for (let i = 0; i < 1500; i++) {
      arena.bytes.set(frame, 4096);
      arena.bytes[4096 + 14] = i & 0xff;
      theirs.send(4096, frame.length);
    }
    theirs.flush();
    const frames = arena.receiveAll(big, 1500);
    t.equal(frames.length, 1500, "beyond the ring's 1024 slots the first are handed over at once");
    t.ok(frames.every(({ bytes }, i) => bytes[14] === (i & 0xff)));
    t.equal(theirs.counters.txDropped, 0);
  });

  t.test("down and up again: the same socket goes on, nothing stale is sent", async (t) => {
    const { near, far, arena } = await cable(t);
    const ours = arena.open(near, { driver, name: "eth0", macs: [NEAR] });
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
    const frames = arena.receiveAndMore(theirs, 1);
    t.same(
      frames.map(({ bytes }) => bytes),
      [back],
    );
  });

  t.test("deleted and made again: lost, then returned over the same window", async (t) => {
    const { lab, near, far, arena } = await cable(t);
    const notices: string[] = [];
    const onNotice = (text: string) => notices.push(text);
    const ours = arena.open(near, { driver, name: "eth0", macs: [NEAR], onNotice });
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
    const way = "afxdp eth0: by the driver's own XDP, in copy mode";
    t.same(notices, driver === "afxdp" ? [way] : []);
  });

  t.test("gone and back between two looks, with another index", async (t) => {
    const { lab, near, far, arena } = await cable(t);
    const ours = arena.open(near, { driver, name: "eth0", macs: [NEAR] });
    t.teardown(() => ours.close());
    await near.ip("link delete eth0", "link add spare type veth peer name other");
    await lab.veth(near, "eth0", far, "eth0");
    t.equal(await nextEvent(near, ours), "lost");
    t.equal(await nextEvent(near, ours), "returned");
    const theirs = arena.open(far, { name: "eth0", macs: [FAR] });
    t.teardown(() => theirs.close());
    t.ok(carries(arena, theirs, ours, 9));
  });

  t.test("moved elsewhere and back between two looks, with the same index", async (t) => {
    const { near, far, arena } = await cable(t);
    const ours = arena.open(near, { driver, name: "eth0", macs: [NEAR] });
    t.teardown(() => ours.close());
    const before = await near.must("cat", ["/sys/class/net/eth0/ifindex"]);
    await near.ip(`link set eth0 netns ${far.pid} name moved`);
    await far.ip(`link set moved netns ${near.pid} name eth0`);
    await near.ip("link set eth0 up");
    t.equal(await near.must("cat", ["/sys/class/net/eth0/ifindex"]), before);
    t.equal(await nextEvent(near, ours), "lost");
    t.equal(await nextEvent(near, ours), "returned");
    const theirs = arena.open(far, { name: "eth0", macs: [FAR] });
    t.teardown(() => theirs.close());
    t.ok(carries(arena, theirs, ours, 9));
  });

  t.test("down from the start: opens, and receives once it is up", async (t) => {
    const { near, far, arena } = await cable(t);
    await near.ip("link set eth0 down");
    const ours = arena.open(near, { driver, name: "eth0", macs: [NEAR] });
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
    const ours = arena.open(near, { driver, name: "eth0", macs: [NEAR] });
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
      const ours = arena.open(near, { driver, name: "eth0", macs: [NEAR] });
      t.equal(
        await promiscuity(near),
        1,
        "veth filters no addresses: one is added by receiving all",
      );
      ours.close();
      t.equal(await promiscuity(near), 0);

      const child = near.spawn(process.execPath, [HOLD, driver]);
      await child.line("stdout", /open/);
      t.equal(await promiscuity(near), 1);
      child.signal("SIGKILL");
      await child.exited;
      t.equal(await promiscuity(near), 0);
    },
  );

  t.test("works in a worker thread", async (t) => {
    const { near } = await cable(t);
    const child = near.spawn(process.execPath, [HOLD, driver, "--worker"]);
    t.equal(await child.line("stdout", /open/), "open");
    child.end();
    t.equal(await child.exited, 0);
    t.equal(await promiscuity(near), 0);
  });

  t.test("errors name interface, call and reason", async (t) => {
    const { near, arena } = await cable(t);
    t.throws(() => arena.open(near, { driver, name: "eth9" }), {
      message: "afpacket eth9: no such interface",
    });
    t.throws(() => afpacketWindowBytes({ name: "sixteen-bytes-xx" }), {
      message: "afpacket sixteen-bytes-xx: an interface's name has 1 to 15 bytes",
    });
    t.throws(() => arena.open(near, { driver, name: "eth0", receiveSlots: 100 }), {
      message: /power of two/,
    });
    const window = { memory: arena.memory, at: 1 << 20, bytes: 65536 };
    t.throws(() => arena.open(near, { driver, name: "eth0", window }), {
      message: new RegExp(`^${driver} eth0: window of 65536, needs`),
    });
    const sockets = () => readFileSync("/proc/thread-self/net/packet", "utf8").trim().split("\n");
    t.equal(inside(near.pid, sockets).length, 1, "a failed opening leaves no socket");

    const bound = ["--bounding-set", "-net_raw,-net_admin", process.execPath, HOLD, driver];
    const child = near.spawn("setpriv", bound);
    t.equal(await child.exited, 1);
    t.match(child.stderr, /^afpacket eth0: socket\(AF_PACKET\) needs CAP_NET_RAW .*run as root/);
  });
}
