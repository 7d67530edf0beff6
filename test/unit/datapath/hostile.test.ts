/** Frames and images that nobody should send: dropped with a Reason or handled, and no harm done. */

import t from "tap";
import { ImageAt } from "../../../assembly/abi.js";
import { everySection, exercise, image, isTaken, mendSum, prepared } from "../../fuzz/images.js";
import { mendHeader, soundFrames } from "../../fuzz/mutation.js";
import { fuzz } from "../../fuzz/run.js";
import { around, edge, SERVER } from "../../harness/host.js";
import { Router } from "../../harness/router.js";

function hostileRouter() {
  const router = new Router(edge(), { hostile: true });
  return { router, frames: soundFrames(router) };
}

t.test("every kind of frame, cut at every byte", async (t) => {
  const { router, frames } = hostileRouter();
  for (const { device, bytes } of frames) {
    for (let size = 0; size <= bytes.length; size++) {
      router.sendAtEnd(device, bytes.subarray(0, size));
      router.send(device, bytes.subarray(0, size));
      router.sendBeside(device, { tci: 10 }, bytes.subarray(0, size));
    }
  }
  t.pass("the router checked each");
  t.ok((router.reasons().FrameTruncated ?? 0) > 0);
});

t.test(
  "every kind of frame, every byte at its extremes, the header's checksum mended",
  async (t) => {
    const { router, frames } = hostileRouter();
    for (const { device, bytes } of frames) {
      for (let at = 0; at < bytes.length; at++) {
        for (const value of [0, 1, 0x0f, 0x7f, 0x80, 0xf0, 0xff]) {
          const spoiled = Buffer.from(bytes);
          spoiled[at] = value;
          router.sendAtEnd(device, spoiled);
          mendHeader(spoiled);
          router.sendAtEnd(device, spoiled);
        }
      }
    }
    t.pass("the router checked each");
  },
);

t.test("lengths at the limits", async (t) => {
  const router = new Router(edge());
  const { a } = around(router);
  const frame = (size: number) => {
    const bytes = Buffer.alloc(size, 0x61);
    a.frame(SERVER, { protocol: 17, bytes: () => Buffer.alloc(8) }).copy(bytes);
    return bytes;
  };
  router.send("lan-a", frame(9239));
  t.same(router.ended, { FrameTooLong: 1 });
  router.send("lan-a", frame(9238));
  t.notOk(router.ended.FrameTooLong);
  for (const size of [0, 1, 13]) {
    router.sendAtEnd("lan-a", frame(64).subarray(0, size));
    t.same(router.ended, { FrameTruncated: 1 });
  }
});

t.test("random frames", async (t) => {
  const { failures, tallies } = fuzz(30_000, 40, ["frames"]);
  for (const { error, command } of failures) t.fail(command, { error });
  t.ok(Object.keys(tallies.frames ?? {}).length > 20, "they end in many ways");
});

t.test("random images", async (t) => {
  const { failures, tallies } = fuzz(40_000, 40, ["images"]);
  for (const { error, command } of failures) t.fail(command, { error });
  t.ok((tallies.images?.taken ?? 0) > 0);
  t.ok((tallies.images?.refused ?? 0) > 0);
});

t.test(
  "an image with any byte flipped is refused by its sum, and the one in force goes on",
  async (t) => {
    const router = new Router(everySection());
    const { a } = around(router);
    a.udp(SERVER, 1, 53);
    const before = { conns: router.conns(), counters: router.counters() };
    const bytes = image(everySection());
    for (let at = 0; at < bytes.length; at++) {
      for (const bit of [1, 0x80]) {
        bytes[at] = (bytes[at] as number) ^ bit;
        if (isTaken(router, bytes)) t.fail(`byte ${at} bit ${bit}`);
        bytes[at] = (bytes[at] as number) ^ bit;
      }
    }
    t.same({ conns: router.conns(), counters: router.counters() }, before);
    a.udp(SERVER, 1, 53);
    t.same(router.ended, { Forwarded: 1 });
  },
);

t.test("an image with any byte flipped and its sum mended is refused or harmless", async (t) => {
  const { router, frames, memory, at: place } = prepared();
  const sound = image(everySection());
  let taken = 0;
  for (let at = ImageAt.Policy; at < sound.length; at++) {
    for (const bit of [1, 0x80]) {
      const bytes = sound.slice();
      bytes[at] = (bytes[at] as number) ^ bit;
      if (!isTaken(router, mendSum(bytes))) continue;
      taken++;
      exercise(router, frames, memory, place);
    }
  }
  t.ok(taken > 0, `${taken} were taken`);
  t.ok(isTaken(router, sound), "a sound one is taken afterwards");
});

t.test("an image with any word at its extremes", async (t) => {
  const { router, frames, memory, at: place } = prepared();
  const sound = image(everySection());
  for (let at = 0; at < sound.length; at += 4) {
    for (const value of [0, 1, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff]) {
      const bytes = sound.slice();
      new DataView(bytes.buffer).setUint32(at, value, true);
      if (at >= ImageAt.Policy) mendSum(bytes);
      if (isTaken(router, bytes)) exercise(router, frames, memory, place);
    }
  }
  t.ok(isTaken(router, sound), "a sound one is taken afterwards");
});

t.test("an image cut at every byte", async (t) => {
  const { router } = prepared();
  const sound = image(everySection());
  for (let size = 0; size < sound.length; size++) {
    if (isTaken(router, sound.slice(0, size))) t.fail(`${size} bytes`);
    const mended = sound.slice(0, size);
    if (size < ImageAt.Bytes) continue;
    new DataView(mended.buffer).setUint32(ImageAt.TotalBytes, size, true);
    isTaken(router, mendSum(mended));
  }
  t.ok(isTaken(router, sound));
});
