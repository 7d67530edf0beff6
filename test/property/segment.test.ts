import fc from "fast-check";
import t from "tap";
import { internals } from "../harness/internals.js";
import { FRAME, frameOf, INTO, ipOffset, piecesOf, sumIsRight } from "../harness/offload.js";
import { holds } from "../harness/property.js";

const wasm = await internals(24);
const STRIDE = 2048;
const MAX = 64;

const datagram = fc.record({
  protocol: fc.constantFrom(6 as const, 17 as const),
  data: fc.nat(9000),
  tags: fc.nat(2),
  ipOptions: fc.nat(10),
  tcpOptions: fc.nat(10),
  flags: fc.nat(0xff).map((flags) => flags & ~0x06),
  sequence: fc.nat(0xffffffff),
  identification: fc.nat(0xffff),
  partial: fc.boolean(),
});

function dataOf(piece: Buffer): Buffer {
  const ip = ipOffset(piece);
  const transport = ip + ((piece[ip] ?? 0) & 0xf) * 4;
  const header = piece[ip + 9] === 6 ? ((piece[transport + 12] ?? 0) >> 4) * 4 : 8;
  return piece.subarray(transport + header);
}

holds(
  t,
  "the pieces are whole packets, and their data is the frame's",
  fc.property(datagram, fc.integer({ min: 200, max: 1800 }), (datagram, segmentBytes) => {
    const frame = frameOf(datagram);
    wasm.bytes.set(frame, FRAME);
    const count = wasm.segment(FRAME, frame.length, segmentBytes, INTO, STRIDE, MAX);
    if (count !== Math.max(1, Math.ceil(datagram.data / segmentBytes))) throw new Error(`${count}`);
    const pieces = piecesOf(wasm, count, STRIDE);
    for (const [i, piece] of pieces.entries()) {
      const ip = ipOffset(piece);
      const transport = ip + ((piece[ip] ?? 0) & 0xf) * 4;
      if (!sumIsRight(piece)) throw new Error(`checksum of ${i}`);
      if (piece.readUInt16BE(ip + 2) !== piece.length - ip) throw new Error(`total length of ${i}`);
      const identification = (datagram.identification + i) & 0xffff;
      if (piece.readUInt16BE(ip + 4) !== identification) throw new Error(`identification of ${i}`);
      if (datagram.protocol === 17) continue;
      const sequence = (datagram.sequence + i * segmentBytes) >>> 0;
      if (piece.readUInt32BE(transport + 4) !== sequence) throw new Error(`sequence of ${i}`);
      const kept = (i > 0 ? 0x80 : 0) | (i + 1 < count ? 0x09 : 0);
      if (piece[transport + 13] !== (datagram.flags & ~kept)) throw new Error(`flags of ${i}`);
    }
    return Buffer.concat(pieces.map(dataOf)).equals(dataOf(frame));
  }),
);

holds(
  t,
  "a damaged frame is refused or cut within its bounds, and nothing behind it is looked at",
  fc.property(
    datagram,
    fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 3 }),
    fc.oneof(fc.constant(0), fc.nat(9000)),
    fc.oneof(fc.nat(2000), fc.nat(0xffffffff)),
    (datagram, damage, cutOff, segmentBytes) => {
      const frame = frameOf(datagram);
      for (const [at, byte] of damage) if (at < frame.length) frame[at] = byte;
      const size = Math.max(0, frame.length - cutOff);
      const results = [0x00, 0xff].map((poison) => {
        wasm.bytes.fill(poison, FRAME, FRAME + 70_000);
        wasm.bytes.set(frame.subarray(0, size), FRAME);
        wasm.bytes.fill(0xee, INTO, INTO + (MAX + 1) * STRIDE);
        const count = wasm.segment(FRAME, size, segmentBytes, INTO, STRIDE, MAX);
        if (count > MAX) throw new Error(`${count}`);
        const behind = wasm.bytes.subarray(INTO + count * STRIDE, INTO + (MAX + 1) * STRIDE);
        if (behind.some((byte) => byte !== 0xee)) throw new Error("wrote behind the last piece");
        const pieces = piecesOf(wasm, count, STRIDE);
        for (const piece of pieces) if (piece.length > STRIDE - 32) throw new Error("too long");
        return Buffer.concat(pieces).toString("latin1");
      });
      return results[0] === results[1];
    },
  ),
);
