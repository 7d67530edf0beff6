/** What is driver `afxdp`'s own: the program in the kernel, what goes round it, and when it does not work. */

import { fileURLToPath } from "node:url";
import t, { type Test } from "tap";
import { DescriptorFlag, Driver, Limit } from "../../assembly/abi.js";
import { Lab, labSupport, type Namespace } from "../../host/demo/lab.js";
import { createSocketMap } from "../../host/device/afxdp.js";
import { assemble, exit, Register, set } from "../../host/device/bpf/assembler.js";
import { AttachType, createLink, loadProgram, ProgramType } from "../../host/device/bpf/system.js";
import { Member, makeGroup } from "../../host/device/fanout.js";
import { libc, poll, ready } from "../../host/device/libc.js";
import { Link } from "../../host/device/link.js";
import { windowBytes } from "../../host/device/open.js";
import { buildSteering } from "../../host/device/steering.js";
import { inside } from "../harness/inside.js";
import { Arena, etherFrame, macOf } from "../harness/interface.js";

const OURS = macOf("02:00:5e:00:00:01");
const THEIRS = macOf("02:00:5e:00:00:02");
const OTHER = macOf("02:00:5e:00:00:03");
const HOLD = fileURLToPath(new URL("../harness/hold.js", import.meta.url));

const reason = labSupport();

/** A cable; `open` opens its near end by the driver and gathers what it says. */
async function cable(t: Test, queues = 1) {
  const lab = await Lab.create();
  t.teardown(() => lab.close());
  const [near, far] = await Promise.all([lab.namespace("near"), lab.namespace("far")]);
  const link = queues > 1 ? `numrxqueues ${queues} numtxqueues ${queues}` : "";
  await lab.cables([
    { at: near, name: "eth0", link },
    { at: far, name: "eth0", link },
  ]);
  const arena = await Arena.create();
  const notices: string[] = [];
  const open = (name = "eth0") => {
    const onNotice = (text: string) => notices.push(text);
    const device = arena.open(near, { driver: "afxdp", name, macs: [OURS], onNotice });
    t.teardown(() => device.close());
    return device;
  };
  return { lab, near, far, arena, notices, open };
}

function frame(mark: number, bytes = 46): Uint8Array {
  return etherFrame(OURS, THEIRS, [], 0x0800, new Uint8Array(bytes).fill(mark));
}

async function programs(at: Namespace): Promise<number> {
  const text = await at.must("ip", ["-d", "link", "show", "eth0"]);
  return text.split("prog/xdp").length - 1;
}

t.test("driver afxdp", { skip: reason ?? false }, async (t) => {
  t.test("the kernel goes on with what is its own", async (t) => {
    const { near, far, arena, open } = await cable(t);
    await near.ip("address add 10.0.0.1/24 dev eth0");
    await far.ip("address add 10.0.0.2/24 dev eth0");
    const ours = open();
    const { stdout } = await far.run("ping", ["-n", "-c", "3", "-i", "0.05", "10.0.0.1"]);
    t.match(stdout, /3 received/);
    const frames = arena.receiveAll(ours, 9, 100);
    t.ok(frames.length > 0, "ARP asked for the kernel's address");
    t.ok(
      frames.every(({ bytes }) => bytes[0] === 0xff),
      "we saw at most who asked for whom",
    );
  });

  t.test("the program goes with the interface, and with the process", async (t) => {
    const { near, open } = await cable(t);
    t.equal(await programs(near), 0);
    const ours = open();
    t.equal(await programs(near), 1);
    ours.close();
    t.equal(await programs(near), 0);
    const child = near.spawn(process.execPath, [HOLD, "afxdp"]);
    await child.line("stdout", /open/);
    t.equal(await programs(near), 1);
    child.signal("SIGKILL");
    await child.exited;
    t.equal(await programs(near), 0);
  });

  t.test("where nobody tells of VLAN tags it works as afpacket, and loses none", async (t) => {
    const { near, far, arena, notices, open } = await cable(t);
    await near.ip(
      "link add br0 type bridge",
      "link set eth0 master br0",
      "link set br0 up",
      "tuntap add tap0 mode tap",
      "link set tap0 up",
    );
    const ours = open("br0");
    open("tap0");
    t.same(notices, [
      "afxdp br0: driver bridge does not tell XDP of VLAN tags beside frames; works as afpacket",
      "afxdp tap0: driver tun does not tell XDP of VLAN tags beside frames; works as afpacket",
    ]);
    const theirs = arena.open(far, { name: "eth0", macs: [THEIRS] });
    t.teardown(() => theirs.close());
    arena.send(theirs, etherFrame(OURS, THEIRS, [[0x8100, 10]], 0x0800, new Uint8Array(46)));
    const [received] = arena.receiveAll(ours, 1);
    t.match(received, { vlanTci: 10, flags: DescriptorFlag.VlanBeside });
  });

  t.test("what found no carrier is counted, and not sent when there is one again", async (t) => {
    const { near, far, arena, open } = await cable(t);
    const ours = open();
    await far.ip("link set eth0 down");
    const back = etherFrame(THEIRS, OURS, [], 0x0800, new Uint8Array(46).fill(9));
    arena.bytes.set(back, 4096);
    for (let i = 0; i < 300; i++) ours.send(4096, back.length);
    ours.flush();
    t.equal(ours.counters.txDropped, 300);
    await far.ip("link set eth0 up");
    const theirs = arena.open(far, { name: "eth0", macs: [THEIRS] });
    t.teardown(() => theirs.close());
    for (let i = 0; i < 20; i++) inside(near.pid, () => ours.check());
    t.same(arena.receiveAll(theirs, 1, 300), []);
  });

  t.test("each receive queue has a socket, the first four of them", async (t) => {
    for (const queues of [2, 4, 6]) {
      const { near, far, arena, open } = await cable(t, queues);
      const ours = open();
      const sockets = Math.min(queues, 4);
      t.equal(ours.fds.length, 1 + sockets, `${sockets} and the packet socket`);
      for (let queue = 0; queue < queues; queue++) {
        // On a virtual cable a frame arrives by the queue that it left by.
        const theirs = arena.openQueue(far, "eth0", queue);
        for (let mark = 0; mark < 20; mark++) {
          arena.bytes.set(frame(mark), 4096);
          theirs.send(4096, frame(mark).length);
          theirs.flush();
          poll(ours.fds, 1000);
          const place = queue < sockets ? 1 + queue : 0;
          const came = ours.fds.map((_, n) => ready(n));
          if (came.indexOf(true) !== place) t.fail(`queue ${queue}: ${came}`);
          if (arena.receive(ours)[0]?.bytes[14] !== mark) t.fail(`queue ${queue}: frame ${mark}`);
        }
        theirs.close();
      }
      t.same(ours.counters, { rxMissed: 0, rxRefused: 0, txDropped: 0 });
      t.equal(await programs(near), 1);
      ours.close();
    }
  });

  t.test("of two workers each has every other queue, under one program", async (t) => {
    const { near, far, arena: sender } = await cable(t, 4);
    const sockets = inside(near.pid, () => createSocketMap("test"));
    t.teardown(() => libc().close(sockets));
    const program = buildSteering({ workers: 2, shareShift: 6, devices: [] });
    const sharing = { group: makeGroup(), program, workers: 2, xdpWorker: 0, sockets };
    const notices: string[] = [];
    const onNotice = (text: string) => notices.push(text);
    const workers = await Promise.all(
      [0, 1].map(async (worker) => {
        const arena = await Arena.create();
        const member = new Member(sharing, worker);
        return {
          arena,
          options: { driver: "afxdp", name: "eth0", macs: [OURS], member, onNotice },
        };
      }),
    ).then((all) =>
      all.map(({ arena, options }) => ({
        arena,
        device: arena.open(near, { ...options, driver: "afxdp" }),
      })),
    );
    t.equal(await programs(near), 1);
    t.same(notices, ["afxdp eth0: by the driver's own XDP, in copy mode"]);
    /** By worker: the place among its file descriptors at which a frame waits. */
    const found = () => {
      const waiting = workers.flatMap(({ device }) => device.fds);
      poll(waiting, 1000);
      const isReady = waiting.map((_, n) => ready(n));
      return workers.map(({ device }) => isReady.splice(0, device.fds.length).indexOf(true));
    };
    const seen = (mac: Uint8Array) =>
      [0, 1, 2, 3].map((queue) => {
        const theirs = sender.openQueue(far, "eth0", queue);
        sender.bytes.set(etherFrame(mac, THEIRS, [], 0x0800, new Uint8Array(46)), 4096);
        theirs.send(4096, 60);
        theirs.flush();
        const places = found();
        for (const { arena, device } of workers) arena.receive(device, 256, 0);
        theirs.close();
        return places;
      });
    const byQueue = [
      [1, -1],
      [-1, 1],
      [2, -1],
      [-1, 2],
    ];
    t.same(seen(OURS), byQueue);
    for (const { device } of workers) {
      inside(near.pid, () => device.widen?.([OTHER]));
      inside(near.pid, () => device.narrow?.([OTHER]));
    }
    t.same(seen(OTHER), byQueue, "also for another MAC");
    const theirs = sender.open(far, { name: "eth0", macs: [THEIRS] });
    t.teardown(() => theirs.close());
    for (const { arena, device } of workers) {
      const back = etherFrame(THEIRS, OURS, [], 0x0800, new Uint8Array(46).fill(9));
      arena.send(device, back);
      t.same(sender.receive(theirs)[0]?.bytes, back, "each sends");
      device.close();
    }
    t.equal(await programs(near), 0);
  });

  t.test("who has no queue sets no memory aside for rings and frames", async (t) => {
    const { near } = await cable(t);
    const name = "eth0";
    const common = { group: makeGroup(), program: new Uint8Array(), sockets: -1 };
    const sharing = { ...common, workers: 2, xdpWorker: 0 };
    const bytes = (driver: Driver, worker: number) =>
      inside(near.pid, () =>
        windowBytes([{ name, driver, macs: [OURS], slots: 4096, sharing }], worker),
      );
    t.equal(bytes(Driver.Afxdp, 1), bytes(Driver.Afpacket, 1));
    t.ok(bytes(Driver.Afxdp, 0) > bytes(Driver.Afpacket, 0));
  });

  t.test(
    "frames for another MAC come by the same socket, before the old MAC is forgotten",
    async (t) => {
      const { near, far, arena, open } = await cable(t);
      const ours = open();
      const theirs = arena.open(far, { name: "eth0", macs: [THEIRS] });
      t.teardown(() => theirs.close());
      const [packet, xdp] = ours.fds;
      /** The way by which a frame comes. */
      const wayOf = (mac: Uint8Array) => {
        arena.send(theirs, etherFrame(mac, THEIRS, [], 0x0800, new Uint8Array(46)));
        poll(ours.fds, 1000);
        const way = ours.fds.filter((_, place) => ready(place));
        t.equal(arena.receive(ours).length, 1);
        return way;
      };
      t.same(wayOf(OURS), [xdp]);
      inside(near.pid, () => ours.widen?.([OTHER]));
      t.same(wayOf(OTHER), [packet]);
      t.same(wayOf(OURS), [xdp]);
      inside(near.pid, () => ours.narrow?.([OTHER]));
      t.same(wayOf(OTHER), [xdp]);
      t.equal(await programs(near), 1);
    },
  );

  t.test("where another program is attached it works as afpacket, and says so", async (t) => {
    const { near, far, arena, notices, open } = await cable(t);
    const other = inside(near.pid, () => {
      const code = assemble([set(Register.R0, 2), exit()]);
      const program = loadProgram("other", ProgramType.Xdp, code, { name: "other" });
      const link = new Link("other", "eth0");
      const attached = createLink("other", program, link.index(), AttachType.Xdp);
      link.close();
      libc().close(program);
      return attached;
    });
    t.teardown(() => libc().close(other));
    const ours = open();
    t.match(notices, [/^afxdp eth0: bpf\(BPF_LINK_CREATE\): .*EBUSY.*; works as afpacket$/]);
    const theirs = arena.open(far, { name: "eth0", macs: [THEIRS] });
    t.teardown(() => theirs.close());
    arena.send(theirs, frame(1));
    t.same(arena.receive(ours)[0]?.bytes, frame(1));
  });

  t.test("where frames are too long for XDP it works as afpacket, and says so", async (t) => {
    const { near, far, arena, notices, open } = await cable(t);
    for (const at of [near, far]) await at.ip("link set eth0 mtu 9000");
    const ours = open();
    t.match(notices, [/; works as afpacket$/]);
    const theirs = arena.open(far, { name: "eth0", macs: [THEIRS] });
    t.teardown(() => theirs.close());
    arena.send(theirs, frame(1, 9000));
    t.same(arena.receive(ours)[0]?.bytes, frame(1, 9000));
  });

  t.test("what no chunk holds comes by the packet socket, and goes by it", async (t) => {
    const { near, far, arena, open } = await cable(t);
    for (const at of [near, far]) await at.ip("link set eth0 mtu 3000");
    const ours = open();
    const theirs = arena.open(far, { name: "eth0", macs: [THEIRS] });
    t.teardown(() => theirs.close());
    for (const bytes of [46, 1770, 1800, 3000]) {
      arena.send(theirs, frame(bytes & 0xff, bytes));
      t.same(arena.receive(ours)[0]?.bytes, frame(bytes & 0xff, bytes), `${bytes} in`);
      const back = etherFrame(THEIRS, OURS, [], 0x0800, new Uint8Array(bytes).fill(7));
      arena.send(ours, back);
      t.same(arena.receive(theirs)[0]?.bytes, back, `${bytes} out`);
    }
    t.same(ours.counters, { rxMissed: 0, rxRefused: 0, txDropped: 0 });
  });

  t.test("a frame crosses from one interface to another where it stands", async (t) => {
    const { lab, near, far, arena, open } = await cable(t);
    await lab.veth(near, "eth1", far, "eth1");
    const ours = [open("eth0"), open("eth1")] as const;
    const theirs = ["eth0", "eth1"].map((name) => arena.open(far, { name, macs: [THEIRS] }));
    for (const each of theirs) t.teardown(() => each.close());
    const [from, to] = theirs as [(typeof theirs)[0], (typeof theirs)[0]];
    const back = etherFrame(THEIRS, OURS, [], 0x0800, new Uint8Array(46).fill(9));
    // More often than there are chunks: each is given back to somebody who fills it again.
    for (let i = 0; i < 20_000; i++) {
      arena.send(from, frame(i & 0xff));
      let lent = 0;
      poll(ours[0].fds, 5000);
      ours[0].receive({
        room: 1,
        push(at) {
          lent = at;
          arena.bytes.set(back.subarray(0, 12), at);
          ours[1].send(at, 60);
        },
      });
      ours[1].flush();
      // Whatever is written there now is another frame's: the kernel has this one.
      if (lent > 0) arena.bytes.fill(0, lent, lent + 60);
      for (const each of ours) each.release();
      const [received] = arena.receive(to, 1);
      if (received?.bytes[14] !== (i & 0xff)) return t.fail(`frame ${i}`);
    }
    for (const { counters } of ours) {
      t.same(counters, { rxMissed: 0, rxRefused: 0, txDropped: 0 });
    }
  });

  t.test("a hundred thousand frames sent from elsewhere use no chunk up", async (t) => {
    const { arena, open } = await cable(t);
    const ours = open();
    const back = etherFrame(THEIRS, OURS, [], 0x0800, new Uint8Array(46).fill(9));
    arena.bytes.set(back, 4096);
    for (let i = 0; i < 100_000; i += Limit.Batch) {
      for (let n = 0; n < Limit.Batch; n++) ours.send(4096, back.length);
      ours.flush();
      ours.release();
    }
    t.equal(ours.counters.txDropped, 0);
  });
});
