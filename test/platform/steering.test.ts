/** Several workers on the same interfaces: the kernel brings each what is its own, whatever happens to an interface. */

import { setTimeout as sleep } from "node:timers/promises";
import t, { type Test } from "tap";
import { parseConfig } from "../../host/config/parse.js";
import { Lab, labSupport, type Namespace } from "../../host/demo/lab.js";
import { Member, makeGroup } from "../../host/device/fanout.js";
import { libc } from "../../host/device/libc.js";
import { PacketOption, Socket } from "../../host/device/packet.js";
import { buildSteering, type SteeredDevice } from "../../host/device/steering.js";
import { Forwarder } from "../../host/forwarder.js";
import { burst, stream } from "../harness/burst.js";
import { inside } from "../harness/inside.js";
import { Arena, macOf } from "../harness/interface.js";

// What a busy machine spoils is tried again, and each attempt takes seconds there.
t.setTimeout(300_000);

const reason = labSupport();
const SEED = new Uint8Array(16);
const HOSTS = 2000;
/** Of what a busy machine can spoil. */
const ATTEMPTS = 15;

/** The burst goes to this MAC; no flow leads on from its zone. */
const LAN = {
  name: "lan",
  port: 1,
  zone: "z",
  interface: "eth0",
  mac: "02:00:00:00:00:01",
  addresses: ["10.0.0.1/8"],
};
/** Another tenant on the same interface, with a MAC of his own. */
const TENANT = { ...LAN, name: "lan2", port: 2, zone: "y", vlan: 7, mac: "02:00:00:00:00:02" };

function configuration(workers: number, devices: readonly object[], capacity = {}) {
  const zones = [
    { id: 1, name: "z" },
    { id: 2, name: "y" },
  ];
  return parseConfig(JSON.stringify({ version: 1, workers, zones, devices, capacity }), "test");
}

async function site(t: Test) {
  const lab = await Lab.create();
  t.teardown(() => lab.close());
  const near = await lab.namespace("near");
  const far = await lab.namespace("far");
  await lab.veth(near, "eth0", far, "eth0");
  /** Threads and sockets belong to the namespace in which they are made. */
  const here = <Result>(action: () => Result): Result => inside(near.pid, action);
  const start = async (workers: number, devices: readonly object[] = [LAN], capacity = {}) => {
    const parse = (devices: readonly object[]) => configuration(workers, devices, capacity);
    const forwarder = await here(() => Forwarder.start(parse(devices), SEED));
    t.teardown(() => forwarder.stop());
    const notices: string[] = [];
    forwarder.on("notice", (text) => notices.push(text));
    const reload = (devices: readonly object[]) =>
      here(() => forwarder.reconfigure(parse(devices)));
    return { forwarder, notices, reload };
  };
  /** Devices on further cables. */
  const more = async (count: number) => {
    const names = Array.from({ length: count }, (_, i) => `x${i}`);
    await Promise.all(names.map((name) => lab.veth(near, name, far, name)));
    return names.map((name, i) => ({
      name,
      port: i + 2,
      zone: "z",
      interface: name,
      addresses: [`172.16.${i}.1/24`],
    }));
  };
  return { lab, near, far, start, more };
}

/** Looks at what has arrived, in a row, that find nothing more before it is taken for all. */
const STILL_LOOKS = 5;
const LOOK_MS = 100;

/** Packets of a burst that arrived, and those of them that came to the wrong worker. */
async function count(
  forwarder: Forwarder,
  send: () => Promise<unknown>,
): Promise<[number, number]> {
  const before = (await forwarder.counters()).reasons;
  await send();
  const since = async () => {
    const { reasons } = await forwarder.counters();
    const more = (name: string) => (reasons[name] ?? 0) - (before[name] ?? 0);
    return [more("NoFlow"), more("HandedOff")] satisfies [number, number];
  };
  let found = await since();
  for (let still = 0; still < STILL_LOOKS && found[0] < HOSTS; still++) {
    await sleep(LOOK_MS);
    const now = await since();
    if (now[0] !== found[0]) still = -1;
    found = now;
  }
  return found;
}

/** Of a stream of HOSTS frames, how many arrive while something is done. */
async function arriving(forwarder: Forwarder, from: Namespace, act: () => Promise<void>) {
  let frames = 0;
  // A busy machine may have no core for a thread for longer than a ring lasts.
  for (let n = 0; n < ATTEMPTS && frames !== HOSTS; n++) {
    [frames] = await count(forwarder, async () => {
      const sent = stream(from, HOSTS, 3000);
      await sleep(400);
      await act();
      await sent;
    });
  }
  return frames;
}

t.test("several workers", { skip: reason ?? false }, async (t) => {
  for (const workers of [2, 3]) {
    t.test(`${workers} of them have what is their own`, async (t) => {
      const { lab, near, far, start } = await site(t);
      const { forwarder, reload, notices } = await start(workers);
      const counted = () => count(forwarder, () => burst(far, HOSTS));
      /** The others follow the first that notices what becomes of an interface, each in its turn. */
      const followed = async () => {
        let found: [number, number] = [0, 0];
        for (let n = 0; n < ATTEMPTS && !(found[0] === HOSTS && found[1] === 0); n++) {
          found = await counted();
        }
        return found;
      };
      t.same(await counted(), [HOSTS, 0], "from the start");
      await reload([LAN]);
      t.same(await counted(), [HOSTS, 0], "after the same again");
      await reload([LAN, TENANT]);
      t.same(await counted(), [HOSTS, 0], "with one MAC more");
      await reload([LAN]);
      t.same(await counted(), [HOSTS, 0], "with one MAC less");
      await near.ip("link set eth0 down", "link set eth0 up");
      t.same(await followed(), [HOSTS, 0], "switched off and on");
      for (let turn = 0; turn < 2; turn++) {
        const returned = new Promise<void>((resolve) => {
          forwarder.on("link", (_, event) => event === "returned" && resolve());
        });
        await near.ip("link delete eth0");
        await lab.veth(near, "eth0", far, "eth0");
        await returned;
        t.same(await followed(), [HOSTS, 0], "gone and back");
      }
      t.same(notices, []);
    });
  }

  t.test("the same configuration again costs no frame", async (t) => {
    const { far, start, more } = await site(t);
    const others = await more(9);
    // Each worker has room for 85 ms.
    const { forwarder, reload } = await start(2, [LAN, ...others], { slots: 128 });
    t.equal(await arriving(forwarder, far, () => reload([LAN, ...others])), HOSTS);
  });

  t.test("interfaces that come and go cost those that stay no frame", async (t) => {
    const { far, start, more } = await site(t);
    const others = await more(9);
    // Room for 85 ms, while each takes 25 and more. Their memory is what the start sets aside.
    const { forwarder, reload } = await start(1, [LAN, ...others], { slots: 256 });
    await reload([LAN]);
    // They are closed one by one, and all at once where somebody wants their room.
    await sleep(1200);
    const both = async () => {
      await reload([LAN, ...others]);
      await reload([LAN]);
    };
    t.equal(await arriving(forwarder, far, both), HOSTS);
  });

  t.test("a group has one program, which is set when it is another one", async (t) => {
    const { near } = await site(t);
    const arena = await Arena.create();
    const one = programFor([{ vlan: undefined, zone: 1, externals: [] }]);
    const other = programFor([{ vlan: undefined, zone: 2, externals: [] }]);
    const sharing = { group: makeGroup(), program: one, workers: 3, xdpWorker: 0, sockets: -1 };
    const set = countedPrograms(t);
    const devices = [0, 1, 2].map((worker) => {
      const member = new Member(sharing, worker);
      return arena.open(near, { name: "eth0", macs: [macOf(LAN.mac)], member });
    });
    t.teardown(() => devices.map((device) => device.close()));
    t.equal(set(), 1, "at the start");
    const steer = (program: Uint8Array) => {
      for (const device of devices) device.steer?.({ ...sharing, group: makeGroup(), program });
      return set();
    };
    t.equal(steer(Uint8Array.from(one)), 0, "the same bytes");
    t.equal(steer(other), 1, "others");
    t.equal(steer(other), 0);
    const thousand = Array.from({ length: 1000 }, (_, n) => ({
      vlan: n + 1,
      zone: n,
      externals: [],
    }));
    t.equal(steer(programFor(thousand)), 1, "the kernel takes one for a thousand VLANs");
  });
});

function programFor(devices: readonly SteeredDevice[]): Uint8Array {
  return buildSteering({ workers: 3, shareShift: 6, devices });
}

/** How often the kernel was given a program since the last call. */
function countedPrograms(t: Test): () => number {
  const calls = libc();
  const { setsockopt } = calls;
  t.teardown(() => {
    calls.setsockopt = setsockopt;
  });
  let count = 0;
  calls.setsockopt = (fd, level, name, ...rest) => {
    if (level === Socket.LevelPacket && name === PacketOption.FanoutData) count++;
    return setsockopt(fd, level, name, ...rest);
  };
  return () => {
    const since = count;
    count = 0;
    return since;
  };
}
