/** One round of config images that no compiler makes, each followed by traffic. */

import { ImageAt } from "../../assembly/abi.js";
import { compileImage } from "../../host/config/compile.js";
import { fnv1a } from "../../host/config/layout.js";
import { checkConfig } from "../../host/config/parse.js";
import { ImageRefused } from "../../host/datapath.js";
import { around, edge, SERVER } from "../harness/host.js";
import { type Document, Router } from "../harness/router.js";
import type { Tally } from "./isolation.js";
import { Random } from "./random.js";

/** A document with records of every section. */
export function everySection(): Document {
  return edge({
    capacity: { conns: 64, neighbors: 32, poolAddresses: 16, imageBytes: 16384 },
    forwards: [
      {
        protocol: "tcp",
        zone: "public",
        address: "203.0.113.7",
        port: 8080,
        to: { zone: "a", address: "192.168.0.10", port: 80 },
      },
    ],
    flows: [
      "priority=50,in_port(lan-a),udp,tp_dst=25 actions=drop",
      "zone=b,nw_dst=10.0.0.0/8 actions=route(zone=a),output(lan-a)",
      "conn_state=+tracked,zone=public,icmp actions=reject",
    ],
    pools: [{ name: "p1", zone: "public", addresses: ["203.0.113.7", "203.0.113.40/30"] }],
  });
}

export function image(document: Document): Uint8Array {
  return compileImage(checkConfig(document));
}

/** Makes the sum say what the bytes say. */
export function mendSum(bytes: Uint8Array): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  view.setUint32(ImageAt.Sum, fnv1a(bytes.subarray(ImageAt.Policy)), true);
  return bytes;
}

/** Hands an image in; true when it was taken. Anything but a refusal is thrown on. */
export function isTaken(router: Router, bytes: Uint8Array): boolean {
  try {
    router.datapath.configure(bytes, router.now);
    return true;
  } catch (error) {
    if (error instanceof ImageRefused) return false;
    throw error;
  }
}

/** Traffic of every kind through whatever is in force. What leaves is nobody's business: nothing may trap. */
export function exercise(
  router: Router,
  frames: readonly Uint8Array[],
  memory: Uint8Array,
  at: number,
) {
  const { datapath } = router;
  for (const carrier of [0, 1]) {
    for (const [i, bytes] of frames.entries()) {
      memory.set(bytes, at + i * 2048);
      datapath.inputs.interface = carrier;
      datapath.inputs.limit = 256;
      datapath.inputs.push(at + i * 2048, bytes.length, 0, 0);
    }
    datapath.process(router.now);
  }
  datapath.expire(router.now, 64);
  router.now += 500;
  datapath.expire(router.now, 64);
  for (const _ of datapath.connRows(router.now)) break;
  for (const _ of datapath.neighborRows(router.now)) break;
  datapath.zoneCounters();
}

/** The frames of `exercise`, made while the configuration is sound, and a place for them. */
export function prepared() {
  const router = new Router(everySection(), { hostile: true });
  const { a, b, server } = around(router);
  const grab = (host: typeof a, make: (host: typeof a) => unknown): Buffer => {
    let kept = Buffer.alloc(0);
    const { send } = router;
    router.send = (_device, bytes) => {
      kept = Buffer.from(bytes ?? kept);
      return [];
    };
    make(host);
    router.send = send;
    return kept;
  };
  const frames = [
    grab(a, (host) => host.udp(SERVER, 1, 53)),
    grab(a, (host) => host.udp("10.1.1.1", 1, 25)),
    grab(b, (host) => host.tcp(SERVER, 1, 80, 2)),
    grab(b, (host) => host.ping("10.2.2.2", 1)),
    grab(a, (host) => host.ping("192.168.0.1", 1)),
    grab(a, (host) => host.ask("192.168.0.1")),
    grab(server, (host) => host.tcp("203.0.113.7", 700, 8080, 2)),
    grab(server, (host) => host.ask("203.0.113.7")),
    grab(server, (host) => host.udp("203.0.113.40", 53, 2000)),
  ];
  const memory = new Uint8Array(router.datapath.memory.buffer);
  const at = memory.length - 64 * 2048;
  return { router, frames, memory, at };
}

export function imageRound(seed: number): Tally {
  const random = new Random(seed);
  const { router, frames, memory, at } = prepared();
  const sound = image(everySection());
  const tally: Tally = { taken: 0, refused: 0 };
  for (let i = 0; i < 60; i++) {
    const bytes = sound.slice();
    const view = new DataView(bytes.buffer);
    for (let n = 1 + random.below(3); n > 0; n--) {
      const place = ImageAt.Policy + random.below(bytes.length - ImageAt.Policy);
      if (random.chance(0.5)) bytes[place] = random.below(256);
      else view.setUint16(place & ~1, random.pick([0, 1, 2, 0x7fff, 0x8000, 0xfffe, 0xffff]), true);
    }
    if (isTaken(router, mendSum(bytes))) tally.taken = (tally.taken ?? 0) + 1;
    else tally.refused = (tally.refused ?? 0) + 1;
    exercise(router, frames, memory, at);
  }
  if (!isTaken(router, sound)) throw new Error("a sound image is refused");
  return tally;
}
