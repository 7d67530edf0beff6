import t from "tap";
import { internals } from "../../harness/internals.js";
import {
  type Datagram,
  FRAME,
  frameOf,
  INTO,
  piecesOf,
  sumIsRight,
} from "../../harness/offload.js";

const wasm = await internals(16);
const STRIDE = 2048;
const FIN = 0x01;
const SYN = 0x02;
const RST = 0x04;
const PSH = 0x08;
const ACK = 0x10;
const CWR = 0x80;

function put(datagram: Partial<Datagram>): number {
  const frame = frameOf(datagram);
  wasm.bytes.set(frame, FRAME);
  return frame.length;
}

function cut(size: number, segmentBytes: number, stride = STRIDE, max = 64): number {
  wasm.bytes.fill(0xee, INTO, INTO + 200_000);
  return wasm.segment(FRAME, size, segmentBytes, INTO, stride, max);
}

function untouched(): boolean {
  return wasm.bytes.subarray(INTO, INTO + 200_000).every((byte) => byte === 0xee);
}

t.test("completeChecksum completes what the sender began", async (t) => {
  for (const protocol of [6, 17] as const) {
    for (const data of [0, 1, 7, 1000]) {
      const size = put({ protocol, data, partial: true });
      const field = protocol === 6 ? 16 : 6;
      t.equal(wasm.completeChecksum(FRAME, size, 34, field), 1);
      t.ok(sumIsRight(wasm.bytes.slice(FRAME, FRAME + size)));
    }
  }
});

t.test("RFC 768: a computed zero is sent as all ones by UDP, and only by UDP", async (t) => {
  for (const offset of [2, 6, 16]) {
    wasm.bytes.fill(0, FRAME, FRAME + 64);
    wasm.bytes.set([0xff, 0xff], FRAME + 34);
    t.equal(wasm.completeChecksum(FRAME, 64, 34, offset), 1);
    t.equal(wasm.load16(FRAME + 34 + offset), offset === 6 ? 0xffff : 0);
  }
});

t.test("a checksum outside the frame is refused and nothing written", async (t) => {
  for (const [size, start, offset] of [
    [60, 34, 25],
    [60, 34, 26],
    [60, 59, 0],
    [60, 60, 0],
    [60, 61, 0],
    [60, 34, 0xffffffff],
    [60, 0xffffffff, 6],
    [60, 0xfffffff0, 0x10],
    [0, 0, 0],
    [1, 0, 0],
  ] as const) {
    wasm.bytes.fill(0x55, FRAME, FRAME + 128);
    t.equal(wasm.completeChecksum(FRAME, size, start, offset), 0);
    t.ok(wasm.bytes.subarray(FRAME, FRAME + 128).every((byte) => byte === 0x55));
  }
  t.equal(wasm.completeChecksum(FRAME, 60, 34, 24), 1, "the last two bytes");
});

t.test("a checksum that was left to a card is known by the pseudo-header's sum", async (t) => {
  for (const protocol of [6, 17] as const) {
    for (const data of [0, 1, 7, 1000]) {
      const size = put({ protocol, data, partial: true });
      wasm.unsureComplete(FRAME + 14);
      const completed = wasm.bytes.slice(FRAME, FRAME + size);
      t.ok(sumIsRight(completed), `${protocol}, ${data} bytes`);
      wasm.unsureComplete(FRAME + 14);
      t.same(wasm.bytes.slice(FRAME, FRAME + size), completed, "and left alone from then on");
    }
  }
});

t.test("a checksum that is wrong, or not there, stays so", async (t) => {
  for (const checksum of [0, 0x1234]) {
    const size = put({ protocol: 17, data: 40 });
    wasm.store16(FRAME + 40, checksum);
    const before = wasm.bytes.slice(FRAME, FRAME + size);
    wasm.unsureComplete(FRAME + 14);
    t.same(wasm.bytes.slice(FRAME, FRAME + size), before);
  }
});

t.test("TCP is cut into segments that carry on where the one before ended", async (t) => {
  const flags = FIN | PSH | ACK | CWR;
  const size = put({
    protocol: 6,
    data: 3000,
    flags,
    sequence: 0xfffffc00,
    identification: 0xffff,
  });
  t.equal(cut(size, 1400), 3);
  const pieces = piecesOf(wasm, 3, STRIDE);
  t.same(
    pieces.map((piece) => piece.length),
    [1454, 1454, 254],
  );
  t.same(
    pieces.map((piece) => piece.readUInt16BE(16)),
    [1440, 1440, 240],
  );
  t.same(
    pieces.map((piece) => piece.readUInt16BE(18)),
    [0xffff, 0, 1],
  );
  t.same(
    pieces.map((piece) => piece.readUInt32BE(38)),
    [0xfffffc00, 0x178, 0x6f0],
  );
  t.same(
    pieces.map((piece) => piece[47]),
    [ACK | CWR, ACK, ACK | FIN | PSH],
  );
  for (const piece of pieces) t.ok(sumIsRight(piece));
});

t.test("UDP is cut into datagrams", async (t) => {
  for (const tags of [0, 1, 2]) {
    const size = put({ protocol: 17, data: 2500, tags });
    t.equal(cut(size, 1200), 3);
    const pieces = piecesOf(wasm, 3, STRIDE);
    const link = 14 + 4 * tags;
    t.same(
      pieces.map((piece) => piece.readUInt16BE(link + 24)),
      [1208, 1208, 108],
    );
    for (const piece of pieces) t.ok(sumIsRight(piece));
  }
});

t.test("a frame that needs no cutting comes out whole, its checksums complete", async (t) => {
  for (const protocol of [6, 17] as const) {
    for (const data of [0, 1, 1000]) {
      const size = put({ protocol, data, flags: SYN, partial: true });
      t.equal(cut(size, 1000), 1);
      const [piece] = piecesOf(wasm, 1, STRIDE);
      t.equal(piece?.length, size);
      t.ok(piece && sumIsRight(piece));
    }
  }
});

t.test("Ethernet padding is not data", async (t) => {
  const size = put({ protocol: 17, data: 4 });
  t.equal(cut(size + 20, 2), 2);
  t.same(
    piecesOf(wasm, 2, STRIDE).map((piece) => piece.length),
    [44, 44],
  );
});

t.test("as many as fit, and not one more", async (t) => {
  const size = put({ protocol: 17, data: 1000 });
  t.equal(cut(size, 100, STRIDE, 10), 10);
  t.equal(cut(size, 100, STRIDE, 9), 0);
  t.equal(cut(size, 1, STRIDE, 64), 0);
  t.equal(cut(size, 0xffffffff, STRIDE, 0), 0);
  t.ok(untouched());
  t.equal(cut(size, 100, 32 + 42 + 100), 10);
  t.equal(cut(size, 100, 32 + 42 + 99), 0);
  t.ok(untouched());
});

t.test("what must not be repeated is not cut", async (t) => {
  for (const flags of [SYN, SYN | ACK, RST]) {
    const size = put({ protocol: 6, data: 100, flags });
    t.equal(cut(size, 50), 0);
  }
  t.ok(untouched());
});

t.test("frames that contradict themselves give nothing", async (t) => {
  const size = put({ protocol: 6, data: 3000 });
  const whole = wasm.bytes.slice(FRAME, FRAME + size);
  const refused = (what: string, change: (frame: Buffer) => void, shown = size, segment = 1000) => {
    const frame = Buffer.from(whole);
    change(frame);
    wasm.bytes.set(frame, FRAME);
    t.equal(cut(shown, segment), 0, what);
    t.ok(untouched(), what);
  };
  const same = () => undefined;
  for (const shown of [0, 13, 14, 33, 34, 53, size - 1]) refused(`${shown} bytes`, same, shown);
  refused("segments of nothing", same, size, 0);
  refused("IPv6", (frame) => frame.writeUInt16BE(0x86dd, 12));
  refused("a tag with IPv6 behind", (frame) => frame.writeUInt16BE(0x8100, 12));
  refused("version 5", (frame) => frame.writeUInt8(0x55, 14));
  refused("a header of 16 bytes", (frame) => frame.writeUInt8(0x44, 14));
  refused("a total length of 0", (frame) => frame.writeUInt16BE(0, 16));
  refused("a total length behind the frame", (frame) => frame.writeUInt16BE(size, 16));
  refused("a total length without room for TCP", (frame) => frame.writeUInt16BE(39, 16));
  refused("a fragment", (frame) => frame.writeUInt16BE(0x2000, 20));
  refused("a later fragment", (frame) => frame.writeUInt16BE(0x0001, 20));
  refused("another protocol", (frame) => frame.writeUInt8(132, 23));
  refused("a TCP header of 16 bytes", (frame) => frame.writeUInt8(0x40, 46));
  refused("UDP of another length", (frame) => frame.writeUInt8(17, 23));
});

t.test("three tags are one too many", async (t) => {
  const size = put({ protocol: 17, data: 100, tags: 3 });
  t.equal(cut(size, 50), 0);
});
